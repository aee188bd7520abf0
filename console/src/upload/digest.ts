/** The SHA-256 of a file, lower-case hex, computed beside the page. */
export function digestOf(file: File, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./digest.worker.ts', import.meta.url), { type: 'module' });
    const end = () => worker.terminate();
    signal.addEventListener('abort', () => {
      end();
      reject(signal.reason);
    });
    worker.addEventListener('message', ({ data }: MessageEvent<{ sha256?: string; error?: string }>) => {
      end();
      if (data.sha256 !== undefined) resolve(data.sha256);
      else reject(new Error(data.error));
    });
    worker.addEventListener('error', (event) => {
      end();
      reject(new Error(event.message));
    });
    worker.postMessage(file);
  });
}
