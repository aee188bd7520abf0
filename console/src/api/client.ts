import createClient from 'openapi-fetch';
import type { components, paths } from './schema';

/** A shape of the API's document, by name. */
export type Shape<Name extends keyof components['schemas']> = components['schemas'][Name];

/** What a refused or failed call said. `requestId` finds it in the server's log. */
export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string,
  ) {
    super(message);
  }
}

/** Header without which a session's changing calls are refused: a page of another origin cannot send it. */
export const GUARD = { 'X-Outfitter-Console': '1' } as const;

/** The API. The session's cookie is sent by the browser; no script can read it. */
export const api = createClient<paths>({ baseUrl: '', headers: GUARD, credentials: 'same-origin' });

const sessionEnded = new Set<() => void>();

/** Calls back when there is no session (any more). Answers how to stop. */
export function onSessionEnd(callback: () => void): () => void {
  sessionEnded.add(callback);
  return () => void sessionEnded.delete(callback);
}

/** Tells everybody that there is no session any more: the person logged out, or the server says so. */
export function endSession(): void {
  for (const tell of sessionEnded) tell();
}

function textOf(body: unknown, member: string): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const value = (body as Record<string, unknown>)[member];
  return typeof value === 'string' ? value : undefined;
}

/** Makes the problem that an answer stands for. */
export function problemOf(response: Pick<Response, 'status' | 'headers'>, body: unknown): ApiProblem {
  return new ApiProblem(
    response.status,
    textOf(body, 'error_code') ?? String(response.status),
    textOf(body, 'error_msg') ?? textOf(body, 'message') ?? '',
    response.headers.get('x-request-id') ?? '',
  );
}

/** The answer's body, or an {@link ApiProblem}. */
export async function ok<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
  session: 'watched' | 'unwatched' = 'watched',
): Promise<T> {
  let answer;
  try {
    answer = await call;
  } catch (cause) {
    throw new ApiProblem(0, 'unreachable', cause instanceof Error ? cause.message : '', '');
  }
  if (answer.response.ok) return answer.data as T;
  if (answer.response.status === 401 && session === 'watched') endSession();
  throw problemOf(answer.response, answer.error);
}

/** Sends a package's bytes through the server's API, with progress; `fetch` cannot tell how far an upload is. */
export function uploadPackage(
  projectId: string,
  file: File,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
): Promise<Shape<'PackageUploadResponse'>> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const query = `file_name=${encodeURIComponent(file.name)}`;
    request.open('POST', `/api/v1/${projectId}/packages?${query}`);
    for (const [name, value] of Object.entries(GUARD)) request.setRequestHeader(name, value);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.upload.addEventListener('progress', (event) => onProgress(event.loaded));
    request.addEventListener('load', () => {
      let body: unknown;
      try {
        body = JSON.parse(request.responseText);
      } catch {
        body = undefined;
      }
      if (request.status === 200) return resolve(body as Shape<'PackageUploadResponse'>);
      if (request.status === 401) endSession();
      const headers = new Headers({ 'x-request-id': request.getResponseHeader('x-request-id') ?? '' });
      reject(problemOf({ status: request.status, headers }, body));
    });
    request.addEventListener('error', () => reject(new ApiProblem(0, 'unreachable', '', '')));
    signal.addEventListener('abort', () => {
      request.abort();
      reject(signal.reason);
    });
    request.send(file);
  });
}
