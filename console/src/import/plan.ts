// What becomes of the lines of a file: planned from what the server has, shown, and, when somebody confirms it, carried
// out by the ordinary calls. The rules are those of `outfitter desktop|user|group import` (docs/command-line.md): an
// import adds and changes, it never takes away; what is as the file says is left alone, so a file may be imported again.
import pLimit from 'p-limit';
import { ApiProblem } from '../api/client';
import type { TextKey } from '../i18n';
import type { Line } from './csv';

/** Calls under way at once: enough that none waits for the one before, few enough that others get their turn. */
const AT_ONCE = 4;
/** Tries of a call that the server puts off, and the first pause between two, in milliseconds; it doubles. */
const TRIES = 6;
const PAUSE_MS = 500;

/** Why, as a text of the console with its values, or in the server's own words. */
export type Reason = { key: TextKey; values?: Record<string, string | number> } | { text: string };

/** What a line asks for. */
export type Wish =
  | { outcome: 'unchanged' }
  | { outcome: 'failed'; reasons: Reason[] }
  | {
      outcome: 'added' | 'changed';
      reasons: Reason[];
      /** Does it. Called again when the server put a call off: what it made by then it makes no second time. */
      run: () => Promise<void>;
      /** What the first line that has it makes: the others wait for that line. */
      keys?: string[];
    };

/** A line with what it asks for. */
export interface Planned {
  line: number;
  name: string;
  wish: Wish;
}

/** What became of a line. */
export interface Result {
  outcome: 'added' | 'changed' | 'failed' | 'not_tried';
  reasons: Reason[];
}

export const failed = (key: TextKey, values?: Record<string, string | number>): Wish => ({
  outcome: 'failed',
  reasons: [values === undefined ? { key } : { key, values }],
});

/** Makes names that the server takes for the same equal, as the server's `fold` does. */
export function fold(text: string): string {
  return text.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
}

/** Plans every line. Whatever the thing, its line has as many fields as the header, a name, and that only once. */
export function planAll(lines: Line[], wishOf: (line: Line, name: string) => Wish): Planned[] {
  const seen = new Map<string, number>();
  return lines.map((line) => {
    const name = line.get('name') ?? '';
    const first = seen.get(fold(name));
    let wish;
    if (line.wrong !== undefined) wish = { outcome: 'failed' as const, reasons: [line.wrong] };
    else if (name === '') wish = failed('import.no-name');
    else if (first !== undefined) wish = failed('import.same-name', { n: first });
    else {
      seen.set(fold(name), line.number);
      wish = wishOf(line, name);
    }
    return { line: line.number, name, wish };
  });
}

/** Does something for each of many, a few at once, in their order. */
export async function eachOf<T>(items: Iterable<T>, act: (item: T) => Promise<void>): Promise<void> {
  await pLimit(AT_ONCE).map(items, act);
}

/** Every record of a list that is answered page by page. */
export async function allOf<T>(size: number, page: (offset: number, limit: number) => Promise<{ count: number; items: T[] }>): Promise<T[]> {
  const first = await page(0, size);
  const pages: T[][] = [first.items];
  const offsets: number[] = [];
  for (let offset = size; offset < first.count; offset += size) offsets.push(offset);
  await eachOf(offsets, async (offset) => {
    pages[offset / size] = (await page(offset, size)).items;
  });
  return pages.flat();
}

/**
 * Carries out what was planned and tells the result of each line as it comes. A line that fails does not stop the
 * others. When `signal` says stop, or the server can no longer be reached or asks for a login, the rest is not tried.
 */
export async function carryOut(plan: Planned[], tell: (line: number, result: Result) => void, signal: AbortSignal): Promise<void> {
  const firsts = new Map<string, Promise<void>>();
  let lost: Reason | undefined;
  const todo = plan.flatMap(({ line, wish }) => (wish.outcome === 'added' || wish.outcome === 'changed' ? [{ line, wish }] : []));
  await eachOf(todo, async ({ line, wish }) => {
    const keys = wish.keys ?? [];
    const before = keys.map((key) => firsts.get(key));
    const work = async (): Promise<Result> => {
      await Promise.all(before);
      if (signal.aborted) lost ??= { key: 'import.stopped' };
      if (lost !== undefined) return { outcome: 'not_tried', reasons: [lost] };
      try {
        await patiently(wish.run, signal);
        return { outcome: wish.outcome, reasons: wish.reasons };
      } catch (error) {
        if (error instanceof ApiProblem && error.status === 0) lost ??= { key: 'import.lost' };
        if (error instanceof ApiProblem && error.status === 401) lost ??= { key: 'import.logged-out' };
        const words = error instanceof Error ? error.message : String(error);
        return { outcome: 'failed', reasons: [lost ?? { text: words }] };
      }
    };
    const end = work().then((result) => tell(line, result));
    for (const key of keys) if (!firsts.has(key)) firsts.set(key, end);
    await end;
  });
}

/**
 * Calls again, after a while, what the server put off because it has too much to do. By hand, because p-retry with a signal
 * fails what succeeds after the signal: such a line was done.
 */
async function patiently(run: () => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await run();
    } catch (error) {
      const isPutOff = error instanceof ApiProblem && (error.status === 429 || error.status === 503);
      if (!isPutOff || tries === TRIES || signal.aborted) throw error;
      await pause(PAUSE_MS * 2 ** (tries - 1), signal);
      if (signal.aborted) throw error;
    }
  }
}

/** Waits, but no longer than until `signal` says stop. */
function pause(millis: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, millis);
    signal.addEventListener('abort', end);
  });
}
