/** Pause before a stream that was refused is opened again, and the longest of these pauses, in milliseconds. */
const SOON_MS = 5_000;
const LATE_MS = 60_000;

/**
 * Follows a stream of events until the answer is called. The browser goes on by itself after a connection that is lost, but
 * gives up for good when it is answered anything but a stream, as by a proxy while the server restarts: then it is opened
 * anew. `listen` adds the listeners to each.
 */
export function followed(url: string, listen: (source: EventSource) => void): () => void {
  let source: EventSource;
  let timer: number | undefined;
  let pause = SOON_MS;
  const open = () => {
    source = new EventSource(url);
    listen(source);
    source.addEventListener('open', () => (pause = SOON_MS));
    source.addEventListener('error', () => {
      if (source.readyState !== EventSource.CLOSED) return;
      timer = window.setTimeout(open, pause);
      pause = Math.min(LATE_MS, pause * 2);
    });
  };
  open();
  return () => {
    window.clearTimeout(timer);
    source.close();
  };
}
