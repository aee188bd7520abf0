// What the browser keeps of unfinished uploads, so that they go on after a reload: which upload of which file. No
// credential: whoever goes on gets a new one, and picks the file again.

/** An unfinished upload. */
export interface Kept {
  userId: string;
  projectId: string;
  name: string;
  size: number;
  lastModified: number;
  uploadId: string;
  partSize: number;
  /** The app that it was added to as a new version; an older console did not say. */
  versionOf?: string | null;
  /** When it began, in milliseconds. */
  begunAt: number;
}

const STORAGE_KEY = 'outfitter.uploads';
/** Most that are kept, the newest. */
const MOST = 50;
/**
 * How long one is kept, in milliseconds. Our bucket gives an upload up after a day in which nothing came, other stores by
 * a rule of their own: then it begins anew.
 */
const LIFE_MS = 7 * 24 * 60 * 60 * 1000;

const MIB = 1024 * 1024;
/** Smallest part, in bytes. The protocol asks for 5 MiB. */
const PART_BYTES = 8 * MIB;
/** Most parts that an upload is cut into; the protocol has 10,000. */
const MOST_PARTS = 9_000;

/** Size of the parts of a file, in bytes. */
export function partSizeOf(size: number): number {
  return Math.max(PART_BYTES, Math.ceil(size / MOST_PARTS / MIB) * MIB);
}

/** The parts of a file: number, first byte, byte after the last. An empty file has one, which is empty. */
export function partsOf(size: number, partSize: number): { number: number; start: number; end: number }[] {
  const count = Math.max(1, Math.ceil(size / partSize));
  return Array.from({ length: count }, (_, at) => ({ number: at + 1, start: at * partSize, end: Math.min(size, (at + 1) * partSize) }));
}

function isKept(value: unknown): value is Kept {
  if (typeof value !== 'object' || value === null) return false;
  const kept = value as Record<keyof Kept, unknown>;
  const texts = [kept.userId, kept.projectId, kept.name, kept.uploadId];
  const numbers = [kept.size, kept.lastModified, kept.partSize, kept.begunAt];
  const { versionOf = null } = kept;
  if (versionOf !== null && typeof versionOf !== 'string') return false;
  return texts.every((text) => typeof text === 'string') && numbers.every((number) => typeof number === 'number' && number >= 0) && kept.partSize !== 0;
}

function read(now: number): Kept[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '[]');
    return Array.isArray(found) ? found.filter(isKept).filter(({ begunAt }) => now - begunAt < LIFE_MS) : [];
  } catch {
    return [];
  }
}

function write(all: Kept[]): void {
  try {
    if (all.length === 0) localStorage.removeItem(STORAGE_KEY);
    else localStorage.setItem(STORAGE_KEY, JSON.stringify(all.slice(-MOST)));
  } catch {
    // A browser without storage uploads all the same; only a reload is a loss then.
  }
}

/** The unfinished uploads of a user into a project, the oldest first. */
export function keptOf(userId: string, projectId: string, now = Date.now()): Kept[] {
  return read(now).filter((kept) => kept.userId === userId && kept.projectId === projectId);
}

export function keep(kept: Kept, now = Date.now()): void {
  write([...read(now).filter(({ uploadId }) => uploadId !== kept.uploadId), kept]);
}

export function forget(uploadId: string, now = Date.now()): void {
  write(read(now).filter((kept) => kept.uploadId !== uploadId));
}

/** Whether a file is, as far as can be told without reading it, the one whose upload is unfinished. */
export function isSame(kept: Pick<Kept, 'name' | 'size' | 'lastModified'>, file: Pick<File, 'name' | 'size' | 'lastModified'>): boolean {
  return kept.name === file.name && kept.size === file.size && kept.lastModified === file.lastModified;
}
