// The uploads of a person into a project: several at once, each by itself. They live beside the pages, so that going to
// another page of the console stops none.
//
// Bytes go from the browser to the bucket, in parts, with the contract's temporary credential. What the bucket has of an
// upload only the bucket says (ListParts): that is how one goes on after a pause, a break, a reload or a restart.
import pLimit from 'p-limit';
import pRetry from 'p-retry';
import { api, ApiProblem, ok, onSessionEnd, uploadPackage, type Shape } from '../api/client';
import type { AppDraft } from '../components/AppForm';
import { abortUpload, beginUpload, BucketProblem, completeUpload, credentialOf, listParts, NoAnswer, putPart, type Credential, type Part } from './bucket';
import { digestOf } from './digest';
import { forget, isSame, keep, keptOf, partSizeOf, partsOf, type Kept } from './kept';

/** Files that are sent at once; the others wait for their turn. */
const FILES_AT_ONCE = 3;
/** Parts that are sent at once, of all files together: browsers hold few connections to one host. */
const PARTS_AT_ONCE = 4;
/** Longest pause between two tries, in milliseconds. */
const LONGEST_PAUSE_MS = 30_000;
/** Tries of what was refused for now. What got no answer is tried until it does, or somebody stops it. */
const TRIES = 8;
/** Tries of a bucket that never answered: it is no break then, but a bucket that pages cannot reach. */
const FIRST_TRIES = 3;
/** Age from which a credential is replaced, in milliseconds: it is good for 15 minutes, and a part takes its time. */
const CREDENTIAL_AGE_MS = 10 * 60 * 1000;
/** How often a server that reads an upload is asked, in milliseconds. */
const ASK_AGAIN_MS = 1_500;
/** Largest package that the server takes, in bytes. */
export const MOST_BYTES = 64 * 1024 ** 3;
/** Time over which the rate is taken, and how often the page is told, in milliseconds. */
const RATE_MS = 5_000;
const TELL_MS = 250;

export type Phase =
  /** Others go first. */
  | 'waiting'
  | 'sending'
  /** No answer; it is tried again by itself. */
  | 'reconnecting'
  | 'paused'
  /** The bucket joins the parts, the server reads what came. */
  | 'reading'
  /** The page was loaded anew: the person must pick the file again. */
  | 'needs-file'
  | 'failed'
  /** It lies in the bucket and was recognised. */
  | 'ready';

/** Why a page cannot reach a bucket, as far as a page can tell. */
export type Reach = 'unspecified' | 'mixed' | 'insecure' | 'unknown';

/** The bucket that a credential named cannot be reached from this page. */
export class Unreachable extends Error {
  constructor(
    readonly endpoint: string,
    readonly reach: Reach,
  ) {
    super(`cannot reach ${endpoint}`);
  }
}

/** What is wrong with a file or an upload, by the text that says it. */
export class UploadProblem extends Error {
  constructor(
    readonly what: 'same-name' | 'other-file' | 'too-large' | 'refused' | 'other-digest' | 'elsewhere' | 'unreadable',
    readonly values: Record<string, string> = {},
  ) {
    super(what);
  }
}

export interface Upload {
  readonly key: number;
  readonly name: string;
  readonly size: number;
  readonly phase: Phase;
  readonly sentBytes: number;
  /** Bytes a second, while some are sent. */
  readonly rate?: number | undefined;
  /** Goes through the server's API, because the person asked for it. */
  readonly throughServer: boolean;
  /** SHA-256 as this browser computed it. */
  readonly digest?: string | undefined;
  readonly uploaded?: Shape<'PackageUploadResponse'> | undefined;
  readonly error?: Error | undefined;
  /** The app that it was added to as a new version; `null`: none. A draft that says otherwise counts more. */
  readonly versionOf: string | null;
  /** The app that the person makes of it. */
  readonly draft?: AppDraft | undefined;
  readonly appId?: string | undefined;
  readonly saving?: boolean | undefined;
}

/** What an upload needs beside what is shown. */
interface Work {
  file?: File;
  lastModified: number;
  kept?: Kept | undefined;
  stop: AbortController;
  hash?: { stop: AbortController; digest: Promise<string> } | undefined;
}

const PAUSED = new DOMException('paused', 'AbortError');
/** Names of what browsers throw where a file that was picked is not what it was. */
const UNREADABLE = ['NotReadableError', 'NotFoundError'];
const STOPPED = new DOMException('stopped', 'AbortError');

/** Buckets that answered a page of this console since it was loaded. */
const reached = new Set<string>();

export function reachOf(endpoint: string, page: { protocol: string; isSecure: boolean }): Reach {
  const { protocol, hostname } = new URL(endpoint);
  if (hostname === '0.0.0.0' || hostname === '[::]') return 'unspecified';
  if (!page.isSecure) return 'insecure';
  const isLocal = hostname === 'localhost' || hostname === '127.0.0.1';
  if (page.protocol === 'https:' && protocol === 'http:' && !isLocal) return 'mixed';
  return 'unknown';
}

/** What a failure is worth: `retry` with the same credential or a `renewed` one, or the end. */
export function worthOf(problem: unknown): 'no-answer' | 'retry' | 'renewed' | 'end' {
  if (problem instanceof NoAnswer || (problem instanceof ApiProblem && problem.status === 0)) return 'no-answer';
  if (problem instanceof ApiProblem || problem instanceof BucketProblem) {
    const { status, code } = problem;
    if (['ExpiredToken', 'RequestTimeTooSkewed', 'RequestExpired'].includes(code)) return 'renewed';
    // The bytes changed on the way, or did not all come.
    if (['BadDigest', 'IncompleteBody', 'XAmzContentSHA256Mismatch', 'RequestTimeout', 'SlowDown'].includes(code)) return 'retry';
    if (status === 507) return 'end';
    if (status >= 500 || status === 429 || status === 408 || code === 'InternalError') return 'retry';
  }
  return 'end';
}

export class Uploads {
  private all: readonly Upload[] = [];
  private readonly works = new Map<number, Work>();
  private readonly listeners = new Set<() => void>();
  private readonly files = pLimit(FILES_AT_ONCE);
  private readonly parts = pLimit(PARTS_AT_ONCE);
  private nextKey = 1;
  private readonly recalled: Promise<void>;

  constructor(
    private readonly userId: string,
    private readonly projectId: string,
    private readonly draftOf: (uploaded: Shape<'PackageUploadResponse'>) => AppDraft,
  ) {
    this.recalled = this.recall();
    window.addEventListener('beforeunload', (event) => {
      // What somebody had who was here before is gone already.
      if (current?.projects.get(this.projectId) === this && this.all.some(isLost)) event.preventDefault();
    });
  }

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };
  readonly snapshot = () => this.all;

  change(key: number, part: Partial<Upload>): void {
    this.all = this.all.map((upload) => (upload.key === key ? { ...upload, ...part } : upload));
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }

  private of(key: number): Upload | undefined {
    return this.all.find((upload) => upload.key === key);
  }

  private insert(name: string, size: number, versionOf: string | null, phase: Phase, work: Omit<Work, 'stop'>, error?: Error): number {
    const key = this.nextKey;
    this.nextKey += 1;
    this.works.set(key, { ...work, stop: new AbortController() });
    this.all = [...this.all, { key, name, size, phase, sentBytes: 0, throughServer: false, error, versionOf }];
    this.tell();
    return key;
  }

  /** Unfinished uploads of an earlier page, but for those that another page is at. */
  private async recall(): Promise<void> {
    const held = new Set((await navigator.locks?.query())?.held?.map(({ name }) => name));
    for (const kept of keptOf(this.userId, this.projectId)) {
      const isHere = [...this.works.values()].some((work) => work.kept?.uploadId === kept.uploadId);
      if (!isHere && !held.has(lockOf(kept.uploadId))) {
        this.insert(kept.name, kept.size, kept.versionOf ?? null, 'needs-file', { lastModified: kept.lastModified, kept });
      }
    }
  }

  /** Begins with files, as new versions of an app or, with `null`, as apps; one whose upload is unfinished goes on. */
  async add(files: Iterable<File>, versionOf: string | null): Promise<void> {
    const picked = [...files];
    await this.recalled;
    for (const file of picked) {
      const clash = this.all.find(({ name, appId }) => name === file.name && appId === undefined);
      if (clash !== undefined && (clash.phase === 'needs-file' || clash.phase === 'failed')) {
        if (this.pick(clash.key, file, versionOf)) continue;
        // Another file of that name: it takes the place of the one that is unfinished.
        this.remove(clash.key);
      } else if (clash !== undefined) {
        // Both would become the same object of the bucket.
        this.insert(file.name, file.size, versionOf, 'failed', { lastModified: file.lastModified }, new UploadProblem('same-name'));
        continue;
      }
      if (file.size > MOST_BYTES) {
        this.insert(file.name, file.size, versionOf, 'failed', { lastModified: file.lastModified }, new UploadProblem('too-large'));
        continue;
      }
      this.start(this.insert(file.name, file.size, versionOf, 'waiting', { file, lastModified: file.lastModified }));
    }
  }

  /** Goes on with the file that the person picked again, for another app where one is named; `false` where it is another file. */
  pick(key: number, file: File, versionOf = this.of(key)?.versionOf ?? null): boolean {
    const work = this.works.get(key);
    if (work?.kept === undefined || !isSame(work.kept, file)) {
      this.change(key, { error: new UploadProblem('other-file', { name: file.name }) });
      return false;
    }
    work.file = file;
    work.kept = { ...work.kept, versionOf };
    this.change(key, { versionOf });
    this.start(key);
    return true;
  }

  pause(key: number): void {
    this.works.get(key)?.stop.abort(PAUSED);
  }

  /** Goes on, or tries again: from then on through the server where the person asks for it. */
  resume(key: number, how?: 'server'): void {
    if (how === 'server') this.change(key, { throughServer: true });
    this.start(key);
  }

  /** Stops for good: the bucket forgets what it has of it. */
  remove(key: number): void {
    const work = this.works.get(key);
    const upload = this.of(key);
    this.all = this.all.filter((other) => other.key !== key);
    this.works.delete(key);
    work?.stop.abort(STOPPED);
    work?.hash?.stop.abort(STOPPED);
    this.tell();
    if (work?.kept === undefined || upload === undefined) return;
    const { uploadId, name } = work.kept;
    forget(uploadId);
    // Without an answer the bucket gives it up by itself, a day later.
    void this.tried(undefined, new AbortController().signal, new Access(this.projectId, name), (credential, signal) =>
      abortUpload(credential, uploadId, signal),
    ).catch(() => undefined);
  }

  /** Takes those from the list of which an app was made. */
  clearSaved(): void {
    for (const { key, appId } of this.all) if (appId !== undefined) this.works.delete(key);
    this.all = this.all.filter(({ appId }) => appId === undefined);
    this.tell();
  }

  /** Stops everything without giving it up: whose session it was is gone. */
  pauseAll(): void {
    for (const { stop } of this.works.values()) stop.abort(PAUSED);
  }

  private start(key: number): void {
    const work = this.works.get(key);
    const file = work?.file;
    if (work === undefined || file === undefined) return;
    work.stop = new AbortController();
    const { signal } = work.stop;
    this.change(key, { phase: 'waiting', error: undefined, rate: undefined });
    const run = async () => {
      signal.throwIfAborted();
      const throughServer = this.of(key)?.throughServer === true;
      const uploaded = throughServer ? await this.sendThroughServer(key, file, signal) : await this.sendToBucket(key, work, file, signal);
      if (uploaded.sha256 !== (await this.digest(key, work, file))) {
        throw new UploadProblem('other-digest', { digest: uploaded.sha256 });
      }
      // What it left in the bucket before it went through the server is of no more use.
      if (work.kept !== undefined) {
        forget(work.kept.uploadId);
        work.kept = undefined;
      }
      this.change(key, { phase: 'ready', uploaded, draft: this.draftOf(uploaded), rate: undefined });
    };
    // Whoever waits for a place can be paused, too.
    Promise.race([this.files(run), abortOf(signal)]).catch((problem: unknown) => {
      if (problem === STOPPED) return;
      work.stop.abort(PAUSED);
      if (problem === PAUSED) return this.change(key, { phase: 'paused', rate: undefined });
      if (problem instanceof DOMException && UNREADABLE.includes(problem.name)) {
        // Changed or moved since it was picked: the person picks it again.
        work.hash = undefined;
        const phase = work.kept === undefined ? 'failed' : 'needs-file';
        return this.change(key, { phase, rate: undefined, error: new UploadProblem('unreadable') });
      }
      this.change(key, { phase: 'failed', rate: undefined, error: problem instanceof Error ? problem : new Error(String(problem)) });
    });
  }

  /** The digest of the file as this browser reads it: computed once, while parts are sent. */
  private digest(key: number, work: Work, file: File): Promise<string> {
    if (work.hash === undefined) {
      const stop = new AbortController();
      const digest = digestOf(file, stop.signal);
      work.hash = { stop, digest };
      digest.then(
        (digest) => this.change(key, { digest }),
        () => (work.hash = undefined),
      );
    }
    return work.hash.digest;
  }

  private async sendThroughServer(key: number, file: File, signal: AbortSignal): Promise<Shape<'PackageUploadResponse'>> {
    const work = this.works.get(key);
    if (work !== undefined) void this.digest(key, work, file);
    const meter = new Meter((sentBytes, rate) => this.change(key, { sentBytes, rate }));
    this.change(key, { phase: 'sending' });
    const onProgress = (sentBytes: number) => {
      meter.set(0, sentBytes);
      if (sentBytes >= file.size) this.change(key, { phase: 'reading', rate: undefined });
    };
    return uploadPackage(this.projectId, file, onProgress, signal);
  }

  private async sendToBucket(key: number, work: Work, file: File, signal: AbortSignal): Promise<Shape<'PackageUploadResponse'>> {
    const access = new Access(this.projectId, file.name);
    const tried = <T>(attempt: (credential: Credential, signal: AbortSignal) => Promise<T>) => this.tried(key, signal, access, attempt);
    this.change(key, { phase: 'sending' });
    let there: Part[] = [];
    const known = work.kept;
    if (known !== undefined) {
      try {
        there = await tried((credential, signal) => listParts(credential, known.uploadId, signal));
      } catch (problem) {
        if (!isOver(problem)) throw problem;
        forget(known.uploadId);
        work.kept = undefined;
        // It was completed and nobody read the answer, or the bucket gave it up: then it begins anew.
        const complete = await this.completed(key, work, file, access, signal);
        if (complete !== undefined) return complete;
      }
    }
    const kept = work.kept ?? {
      userId: this.userId,
      projectId: this.projectId,
      name: file.name,
      size: file.size,
      lastModified: file.lastModified,
      uploadId: await tried(beginUpload),
      partSize: partSizeOf(file.size),
      versionOf: this.of(key)?.versionOf ?? null,
      begunAt: Date.now(),
    };
    work.kept = kept;
    keep(kept);
    void this.digest(key, work, file);
    return holding(lockOf(kept.uploadId), signal, async () => {
      const uploaded = await this.sendParts(key, file, kept, there, tried, signal).then(
        (etag) => this.recognised(key, access, etag, signal),
        async (problem: unknown) => {
          const complete = isOver(problem) ? await this.completed(key, work, file, access, signal) : undefined;
          if (complete === undefined) throw problem;
          return complete;
        },
      );
      forget(kept.uploadId);
      work.kept = undefined;
      return uploaded;
    });
  }

  /** What lies in the bucket under the name of a file, where it is the file; `undefined` where it is not. */
  private async completed(key: number, work: Work, file: File, access: Access, signal: AbortSignal): Promise<Shape<'PackageUploadResponse'> | undefined> {
    let found;
    try {
      found = await this.recognised(key, access, undefined, signal);
    } catch (problem) {
      if (problem instanceof UploadProblem || (problem instanceof ApiProblem && problem.status === 404)) return undefined;
      throw problem;
    }
    return found.sha256 === (await this.digest(key, work, file)) ? found : undefined;
  }

  private async sendParts(
    key: number,
    file: File,
    kept: Kept,
    there: Part[],
    tried: <T>(attempt: (credential: Credential, signal: AbortSignal) => Promise<T>) => Promise<T>,
    signal: AbortSignal,
  ): Promise<string> {
    const meter = new Meter((sentBytes, rate) => this.change(key, { sentBytes, rate }));
    const done: Part[] = [];
    const missing = partsOf(file.size, kept.partSize).filter(({ number, start, end }) => {
      const found = there.find((part) => part.number === number && part.size === end - start);
      if (found === undefined) return true;
      done.push(found);
      meter.set(number, found.size, 'was there');
      return false;
    });
    this.change(key, { sentBytes: meter.sum });
    const onProgress = (number: number, size: number) => (sentBytes: number) => {
      if (this.of(key)?.phase === 'reconnecting') this.change(key, { phase: 'sending' });
      meter.set(number, Math.min(sentBytes, size));
    };
    // A few of its parts wait for a place at a time, so that files go on side by side.
    const queue = missing[Symbol.iterator]();
    const sendSome = async () => {
      for (const { number, start, end } of queue) {
        const etag = await this.parts(() =>
          tried((credential, signal) => {
            meter.set(number, 0);
            return putPart(credential, kept.uploadId, number, file.slice(start, end), onProgress(number, end - start), signal);
          }),
        );
        signal.throwIfAborted();
        meter.set(number, end - start);
        done.push({ number, size: end - start, etag });
      }
    };
    await Promise.all(Array.from({ length: PARTS_AT_ONCE }, sendSome));
    this.change(key, { phase: 'reading', sentBytes: file.size, rate: undefined });
    return tried((credential, signal) => completeUpload(credential, kept.uploadId, done, signal));
  }

  /** What the server made of the upload. Where it went past the server, that reads it first. */
  private async recognised(key: number, access: Access, etag: string | undefined, signal: AbortSignal): Promise<Shape<'PackageUploadResponse'>> {
    this.change(key, { phase: 'reading' });
    for (;;) {
      const { state, package: uploaded } = await this.tried(key, signal, access, async ({ objectPath }) => {
        const query = { object_path: objectPath, ...(etag === undefined ? {} : { etag }) };
        return ok(api.GET('/api/v1/{project_id}/packages', { params: { path: { project_id: this.projectId }, query }, signal }));
      });
      signal.throwIfAborted();
      if (state === 'ready' && uploaded !== undefined) return uploaded;
      if (state === 'refused') throw new UploadProblem('refused');
      await new Promise((resolve) => window.setTimeout(resolve, ASK_AGAIN_MS));
    }
  }

  /** Tries until it succeeds, with pauses that grow; what cannot succeed ends at once. */
  private async tried<T>(
    key: number | undefined,
    signal: AbortSignal,
    access: Access,
    attempt: (credential: Credential, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    let credential: Credential | undefined;
    let before: Phase | undefined;
    const back = () => {
      if (key !== undefined && this.of(key)?.phase === 'reconnecting') this.change(key, { phase: before ?? 'sending' });
    };
    try {
      const result = await pRetry(
        async () => {
          signal.throwIfAborted();
          credential = undefined;
          credential = await access.credential(signal);
          if (!window.isSecureContext) throw new Unreachable(credential.endpoint, 'insecure');
          if (reachOf(credential.endpoint, page()) === 'unspecified') throw new Unreachable(credential.endpoint, 'unspecified');
          const result = await attempt(credential, signal);
          reached.add(credential.endpoint);
          back();
          return result;
        },
        {
          retries: Number.POSITIVE_INFINITY,
          factor: 2,
          minTimeout: 500,
          maxTimeout: LONGEST_PAUSE_MS,
          randomize: true,
          signal,
          shouldRetry: ({ error, attemptNumber }) => {
            // What was stopped gets no answer either.
            if (signal.aborted) return false;
            const worth = worthOf(error);
            if (error instanceof BucketProblem && credential !== undefined) reached.add(credential.endpoint);
            if (worth === 'end') return false;
            if (worth === 'renewed') access.forget();
            if (worth !== 'no-answer') return attemptNumber < TRIES;
            if (credential !== undefined && !reached.has(credential.endpoint)) return attemptNumber < FIRST_TRIES;
            if (key !== undefined) {
              const phase = this.of(key)?.phase;
              if (phase !== 'reconnecting') before = phase;
              this.change(key, { phase: 'reconnecting', rate: undefined });
            }
            return true;
          },
        },
      );
      return result;
    } catch (problem) {
      if (problem instanceof NoAnswer && credential !== undefined && !reached.has(credential.endpoint)) {
        throw new Unreachable(credential.endpoint, reachOf(credential.endpoint, page()));
      }
      throw problem;
    }
  }
}

/** Whether the bucket knows no such upload (any more). */
const isOver = (problem: unknown) => problem instanceof BucketProblem && problem.code === 'NoSuchUpload';

const page = () => ({ protocol: window.location.protocol, isSecure: window.isSecureContext });

/** In these something is lost for now when the page is left. */
const MOVES = new Set<Phase>(['waiting', 'sending', 'reconnecting', 'reading']);

/** Whether leaving the page loses something: what moves, or the form of what was recognised and is no app yet. */
export const isLost = ({ phase, appId }: Pick<Upload, 'phase' | 'appId'>) => MOVES.has(phase) || (phase === 'ready' && appId === undefined);

const lockOf = (uploadId: string) => `outfitter.upload.${uploadId}`;

/** Rejects when the work is stopped. */
function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

/** Does work that no other page of this browser does at the same time. */
async function holding<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const locks: LockManager | undefined = navigator.locks;
  if (locks === undefined) return work();
  return locks.request(name, { ifAvailable: true }, async (lock) => {
    if (lock === null) throw new UploadProblem('elsewhere');
    // What is stopped lets go at once: whoever goes on a moment later is the next.
    return Promise.race([work(), abortOf(signal)]);
  }) as Promise<T>;
}

/** Gives a credential for a file of that name, and a new one before it lapses. */
class Access {
  private given: Promise<Credential> | undefined;
  private givenAt = 0;

  constructor(
    private readonly projectId: string,
    private readonly fileName: string,
  ) {}

  forget(): void {
    this.given = undefined;
  }

  credential(signal: AbortSignal): Promise<Credential> {
    if (this.given === undefined || performance.now() - this.givenAt > CREDENTIAL_AGE_MS) {
      this.givenAt = performance.now();
      const given = this.ask(signal);
      given.catch(() => this.forget());
      this.given = given;
    }
    return this.given;
  }

  private async ask(signal: AbortSignal): Promise<Credential> {
    const params = { path: { project_id: this.projectId } };
    let date: string | null = null;
    const ask = () =>
      ok(
        api
          .POST('/v1/{project_id}/app-center/buckets/actions/create-credential', { params, body: { file_name: this.fileName }, signal })
          .then((answer) => {
            date = answer.response.headers.get('date');
            return answer;
          }),
      );
    let answer;
    try {
      answer = await ask();
    } catch (problem) {
      // The project has no bucket yet, or none that takes uploads.
      if (!(problem instanceof ApiProblem) || problem.code !== 'WKS.00211108') throw problem;
      await ok(api.POST('/v1/{project_id}/app-center/buckets', { params, signal }));
      answer = await ask();
    }
    return credentialOf(answer, date);
  }
}

/** Counts what was sent, part by part, and says it now and then. */
class Meter {
  private readonly sent = new Map<number, number>();
  private readonly samples: { at: number; sum: number }[] = [];
  private toldAt = 0;

  constructor(private readonly say: (sentBytes: number, rate: number | undefined) => void) {}

  get sum(): number {
    let sum = 0;
    for (const bytes of this.sent.values()) sum += bytes;
    return sum;
  }

  set(part: number, bytes: number, how: 'sent' | 'was there' = 'sent'): void {
    this.sent.set(part, bytes);
    if (how === 'was there') return;
    const at = performance.now();
    if (at - this.toldAt < TELL_MS) return;
    this.toldAt = at;
    const { sum } = this;
    this.samples.push({ at, sum });
    while (this.samples.length > 2 && at - (this.samples[0]?.at ?? at) > RATE_MS) this.samples.shift();
    const first = this.samples[0];
    const rate = first === undefined || at === first.at ? undefined : Math.max(0, ((sum - first.sum) / (at - first.at)) * 1000);
    this.say(sum, rate);
  }
}

let current: { userId: string; projects: Map<string, Uploads> } | undefined;

/** The uploads of a user into a project. Those of whoever was here before are gone. */
export function uploadsOf(userId: string, projectId: string, draftOf: ConstructorParameters<typeof Uploads>[2]): Uploads {
  if (current?.userId !== userId) current = { userId, projects: new Map() };
  const { projects } = current;
  const found = projects.get(projectId) ?? new Uploads(userId, projectId, draftOf);
  projects.set(projectId, found);
  return found;
}

onSessionEnd(() => {
  for (const uploads of current?.projects.values() ?? []) uploads.pauseAll();
});
