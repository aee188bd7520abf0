// Requests to the bucket with a temporary credential of the contract, in S3's protocol: one object, in parts. The
// library signs; XMLHttpRequest sends, because `fetch` cannot tell how far an upload is.
import { AwsV4Signer } from 'aws4fetch';
import type { Shape } from '../api/client';

/** A credential in memory; it is written down nowhere. */
export interface Credential {
  /** Origin of the bucket. */
  endpoint: string;
  bucket: string;
  objectPath: string;
  access: string;
  secret: string;
  token: string;
  /** What the clock of the server is ahead of ours, in milliseconds: signatures carry the time. */
  clockOffsetMs: number;
}

/** A part as the bucket has it. */
export interface Part {
  number: number;
  size: number;
  etag: string;
}

/** What the bucket refused, in its words. */
export class BucketProblem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string,
  ) {
    super(message === '' ? code : message);
  }
}

/** No answer came: the bucket cannot be reached, or the connection was cut. */
export class NoAnswer extends Error {}

/** How long nothing may move before a connection counts as cut, in milliseconds. */
const STALL_MS = 60_000;
/** The same where the bucket joins parts, which it does before it answers. */
const JOIN_MS = 15 * 60_000;

/** The credential that an answer of CreateBucketCredential holds. `date` is the answer's header of that name. */
export function credentialOf(answer: Shape<'CreateBucketCredentialResponse'>, date: string | null, now = Date.now()): Credential {
  const { server_end_point, bucket_name, object_path, credential } = answer;
  if (!server_end_point || !bucket_name || !object_path || !credential?.access || !credential.secret || !credential.security_token) {
    throw new Error('the credential is incomplete');
  }
  const at = date === null ? NaN : Date.parse(date);
  return {
    // The contract leaves the scheme out where it is HTTPS on a host name.
    endpoint: new URL(server_end_point.includes('://') ? server_end_point : `https://${server_end_point}`).origin,
    bucket: bucket_name,
    objectPath: object_path,
    access: credential.access,
    secret: credential.secret,
    token: credential.security_token,
    clockOffsetMs: Number.isNaN(at) ? 0 : at - now,
  };
}

/** A key as it stands in an address: what signatures are made over. */
export function encodedKey(key: string): string {
  const encode = (segment: string) =>
    encodeURIComponent(segment).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
  return key.split('/').map(encode).join('/');
}

function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

interface Ask {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  query: Record<string, string>;
  body?: ArrayBuffer | string;
  stallMs?: number;
  onProgress?: (sentBytes: number) => void;
}

interface Answer {
  header: (name: string) => string | null;
  document: Document | undefined;
}

/** Regions that stores named when they were asked with another one, by their origin. */
const regions = new Map<string, string>();

async function ask(credential: Credential, what: Ask, signal: AbortSignal): Promise<Answer> {
  try {
    return await askOnce(credential, what, signal);
  } catch (problem) {
    // Only the store knows its region; the credential does not name it.
    if (problem instanceof OtherRegion && regions.get(credential.endpoint) !== problem.region) {
      regions.set(credential.endpoint, problem.region);
      return askOnce(credential, what, signal);
    }
    throw problem;
  }
}

class OtherRegion extends BucketProblem {
  constructor(
    readonly region: string,
    ...rest: ConstructorParameters<typeof BucketProblem>
  ) {
    super(...rest);
  }
}

async function askOnce(credential: Credential, what: Ask, signal: AbortSignal): Promise<Answer> {
  const { method, query, body } = what;
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  const region = regions.get(credential.endpoint);
  const signed = await new AwsV4Signer({
    method,
    url: `${credential.endpoint}/${credential.bucket}/${encodedKey(credential.objectPath)}?${new URLSearchParams(query)}`,
    service: 's3',
    ...(region === undefined ? {} : { region }),
    accessKeyId: credential.access,
    secretAccessKey: credential.secret,
    sessionToken: credential.token,
    datetime: new Date(Date.now() + credential.clockOffsetMs).toISOString().replace(/[:-]|\.\d{3}/g, ''),
    headers: {
      ...(bytes === undefined ? {} : { 'x-amz-content-sha256': hex(await crypto.subtle.digest('SHA-256', bytes)) }),
      ...(typeof body === 'string' ? { 'content-type': 'application/xml' } : {}),
    },
  }).sign();
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let stalled = 0;
    const wait = () => {
      window.clearTimeout(stalled);
      stalled = window.setTimeout(() => {
        request.abort();
        reject(new NoAnswer('nothing moved'));
      }, what.stallMs ?? STALL_MS);
    };
    const stop = () => {
      request.abort();
      reject(signal.reason);
    };
    signal.addEventListener('abort', stop, { once: true });
    request.addEventListener('loadend', () => {
      window.clearTimeout(stalled);
      signal.removeEventListener('abort', stop);
    });
    request.addEventListener('progress', wait);
    request.upload.addEventListener('progress', (event) => {
      wait();
      what.onProgress?.(event.loaded);
    });
    request.addEventListener('error', () => reject(new NoAnswer('no answer')));
    request.addEventListener('load', () => {
      const { status, responseText } = request;
      const document = responseText.trim() === '' ? undefined : new DOMParser().parseFromString(responseText.trim(), 'application/xml');
      // A join that took long may fail after its answer has begun: then the refusal stands in a good answer.
      const refused = status < 200 || status > 299 || document?.documentElement.localName === 'Error';
      if (!refused) return resolve({ header: (name) => request.getResponseHeader(name), document });
      const facts = [status, textIn(document, 'Code') || String(status), textIn(document, 'Message'), textIn(document, 'RequestId')] as const;
      const wanted = textIn(document, 'Region');
      reject(wanted === '' ? new BucketProblem(...facts) : new OtherRegion(wanted, ...facts));
    });
    request.open(method, signed.url.toString());
    for (const [name, value] of signed.headers) request.setRequestHeader(name, value);
    wait();
    request.send(bytes ?? null);
  });
}

function textIn(within: Document | Element | undefined, name: string): string {
  return within?.getElementsByTagNameNS('*', name)[0]?.textContent ?? '';
}

const unquoted = (etag: string) => etag.replaceAll('"', '');

/** Begins an upload in parts; answers its id. */
export async function beginUpload(credential: Credential, signal: AbortSignal): Promise<string> {
  const { document } = await ask(credential, { method: 'POST', query: { uploads: '' } }, signal);
  const id = textIn(document, 'UploadId');
  if (id === '') throw new BucketProblem(200, 'NoUploadId', '', '');
  return id;
}

/** The parts that the bucket has. */
export async function listParts(credential: Credential, uploadId: string, signal: AbortSignal): Promise<Part[]> {
  const parts: Part[] = [];
  for (let marker = ''; ; ) {
    const query = { uploadId, ...(marker === '' ? {} : { 'part-number-marker': marker }) };
    const { document } = await ask(credential, { method: 'GET', query }, signal);
    for (const part of document?.getElementsByTagNameNS('*', 'Part') ?? []) {
      parts.push({ number: Number(textIn(part, 'PartNumber')), size: Number(textIn(part, 'Size')), etag: unquoted(textIn(part, 'ETag')) });
    }
    marker = textIn(document, 'NextPartNumberMarker');
    if (textIn(document, 'IsTruncated') !== 'true' || marker === '') return parts;
  }
}

/** Puts a part; answers its entity tag. */
export async function putPart(
  credential: Credential,
  uploadId: string,
  number: number,
  bytes: Blob,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
): Promise<string> {
  const query = { partNumber: String(number), uploadId };
  const { header } = await ask(credential, { method: 'PUT', query, body: await bytes.arrayBuffer(), onProgress }, signal);
  const etag = header('etag');
  // Without the store's word that pages may read the header, this is as far as one gets.
  if (etag === null) throw new BucketProblem(200, 'EntityTagHidden', '', '');
  return unquoted(etag);
}

/** Joins the parts; answers the entity tag of the object. */
export async function completeUpload(credential: Credential, uploadId: string, parts: Part[], signal: AbortSignal): Promise<string> {
  const named = [...parts].sort((one, other) => one.number - other.number);
  const body = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${named
    .map(({ number, etag }) => `<Part><PartNumber>${number}</PartNumber><ETag>"${etag}"</ETag></Part>`)
    .join('')}</CompleteMultipartUpload>`;
  const { document } = await ask(credential, { method: 'POST', query: { uploadId }, body, stallMs: JOIN_MS }, signal);
  return unquoted(textIn(document, 'ETag'));
}

/** Gives an upload up: the bucket forgets its parts. */
export async function abortUpload(credential: Credential, uploadId: string, signal: AbortSignal): Promise<void> {
  await ask(credential, { method: 'DELETE', query: { uploadId } }, signal);
}
