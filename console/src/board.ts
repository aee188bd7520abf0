import { useSyncExternalStore } from 'react';
import type { Shape } from './api/client';
import { reasonOf } from './failures';
import type { JobRow } from './pages/Jobs';

/** Most jobs that a board holds. Above it, it has the newest; the numbers beside it count all. */
export const MOST_SHOWN = 10_000;

/** Failures of one cause, in few words. */
export interface Failures {
  reason: string;
  count: number;
  apps: string[];
  /** Some of the desktops. */
  desktops: string[];
  /** How many desktops beyond these. */
  others: number;
  /** What was seen most often. */
  detail: string | undefined;
}

/** Desktops that stand for all those with the same failure. */
const NAMED = 4;

/** Hears which places changed; nothing is said when all did. */
export type Listener = (places?: readonly number[]) => void;

function firstOf<T>(all: Iterable<T>, most: number): T[] {
  const first: T[] = [];
  for (const one of all) {
    if (first.length === most) break;
    first.push(one);
  }
  return first;
}

/** Counts one more or one less of a name; of which there is none any more is taken out. */
function tally(counts: Map<string, number>, name: string | undefined, by: 1 | -1): void {
  const key = name ?? '';
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

/** The name that was counted most often. */
function mostOf(counts: Map<string, number>): string | undefined {
  let most: string | undefined;
  let times = 0;
  for (const [name, count] of counts) {
    if (name === '' || count <= times) continue;
    most = name;
    times = count;
  }
  return most;
}

/** What was seen on the desktop: it stands in brackets behind the sentences of a failure. */
const detailOf = (message: string | undefined) => /[.。] \((.*)\)$/s.exec(message ?? '')?.[1];

interface Group {
  jobs: Map<string, JobRow>;
  apps: Map<string, number>;
  desktops: Map<string, number>;
  details: Map<string, number>;
}

/**
 * The jobs of one deployment, changed in place by what the server tells. A change costs what changed, not what there is:
 * of ten thousand jobs some hundreds change at once (docs/benchmarks.md). Who shows a part of it listens and draws that
 * part alone.
 */
export class Board {
  #jobs: JobRow[];
  #places = new Map<string, number>();
  #failures = new Map<string, Group>();
  #shownFailures: readonly Failures[] | undefined;
  #reasons: readonly string[] = [];
  #failed = 0;
  #listeners = new Set<Listener>();
  #version = 0;
  #order = 0;

  /** `jobs`: the newest first. What was read page by page may have one twice: others came before it meanwhile. */
  constructor(jobs: readonly JobRow[]) {
    this.#jobs = [...new Map(jobs.map((job) => [job.id, job])).values()].slice(0, MOST_SHOWN);
    this.#place();
    for (const job of this.#jobs) this.#count(job);
  }

  /** The newest first. The same list for as long as none comes or goes; what stands in it changes. */
  get jobs(): readonly JobRow[] {
    return this.#jobs;
  }

  /** Another number after each change. */
  get version(): number {
    return this.#version;
  }

  /** Another number when jobs came or went. */
  get order(): number {
    return this.#order;
  }

  get failed(): number {
    return this.#failed;
  }

  /** Failures by cause, the most frequent first. The same list until one of them changes. */
  get failures(): readonly Failures[] {
    this.#shownFailures ??= [...this.#failures]
      .map(([reason, { jobs, apps, desktops, details }]) => ({
        reason,
        count: jobs.size,
        apps: [...apps.keys()],
        desktops: firstOf(desktops.keys(), NAMED),
        others: Math.max(0, desktops.size - NAMED),
        detail: mostOf(details),
      }))
      .sort((left, right) => right.count - left.count);
    return this.#shownFailures;
  }

  /** Causes of failures, the most frequent first. The same list until one comes, goes or moves. */
  get reasons(): readonly string[] {
    const reasons = this.failures.map(({ reason }) => reason);
    if (reasons.length !== this.#reasons.length || reasons.some((reason, at) => reason !== this.#reasons[at])) this.#reasons = reasons;
    return this.#reasons;
  }

  job(id: string): JobRow | undefined {
    return this.#jobs[this.#places.get(id) ?? -1];
  }

  /** One of the jobs that failed for a cause. */
  example(reason: string): JobRow | undefined {
    return this.#failures.get(reason)?.jobs.values().next().value;
  }

  /** Ids of the failed jobs, or of those with one cause. */
  failedIds(reason?: string): string[] {
    const groups = reason === undefined ? [...this.#failures.values()] : [this.#failures.get(reason)];
    return groups.flatMap((group) => [...(group?.jobs.keys() ?? [])]);
  }

  /** Puts changed jobs into their places; new ones come first, as the server's list has them. */
  apply(changed: Iterable<Shape<'JobEvent'>>): void {
    const places: number[] = [];
    const added: JobRow[] = [];
    for (const job of changed) {
      const place = this.#places.get(job.id);
      const before = place === undefined ? undefined : this.#jobs[place];
      if (place === undefined || before === undefined) {
        added.push(job);
        continue;
      }
      this.#forget(before);
      this.#count(job);
      this.#jobs[place] = job;
      places.push(place);
    }
    this.#version += 1;
    if (added.length > 0) {
      for (const job of added) this.#count(job);
      const all = [...added.reverse(), ...this.#jobs];
      for (const job of all.slice(MOST_SHOWN)) this.#forget(job);
      this.#jobs = all.slice(0, MOST_SHOWN);
      this.#place();
      this.#order += 1;
    }
    for (const tell of [...this.#listeners]) tell(added.length > 0 ? undefined : places);
  }

  /** Calls back after each change. Answers how to stop. */
  readonly listen = (listener: Listener): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  #place(): void {
    this.#places = new Map(this.#jobs.map((job, place) => [job.id, place]));
  }

  #count(job: JobRow): void {
    if (job.job_status !== 'FAIL') return;
    const reason = reasonOf(job.error_message);
    const group = this.#failures.get(reason) ?? {
      jobs: new Map<string, JobRow>(),
      apps: new Map<string, number>(),
      desktops: new Map<string, number>(),
      details: new Map<string, number>(),
    };
    this.#failures.set(reason, group);
    group.jobs.set(job.id, job);
    tally(group.apps, job.app_name, 1);
    tally(group.desktops, job.instance_name, 1);
    tally(group.details, detailOf(job.error_message), 1);
    this.#failed += 1;
    this.#shownFailures = undefined;
  }

  #forget(job: JobRow): void {
    if (job.job_status !== 'FAIL') return;
    const reason = reasonOf(job.error_message);
    const group = this.#failures.get(reason);
    if (group === undefined) return;
    group.jobs.delete(job.id);
    tally(group.apps, job.app_name, -1);
    tally(group.desktops, job.instance_name, -1);
    tally(group.details, detailOf(job.error_message), -1);
    if (group.jobs.size === 0) this.#failures.delete(reason);
    this.#failed -= 1;
    this.#shownFailures = undefined;
  }
}

/** What of a board is shown, told anew when that very part changes. */
export const useOf = <T,>(board: Board, part: (board: Board) => T) => useSyncExternalStore(board.listen, () => part(board));
