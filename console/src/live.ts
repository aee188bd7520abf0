import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import type { Shape } from './api/client';
import { deploymentJobs } from './data';
import { useProject } from './session';

/** Events within this time ask once, in milliseconds: a thousand jobs that end together are one question. */
const GATHER_MS = 300;

/** What each event makes stale. Source: docs/events.md. */
const STALE: Record<string, string[]> = {
  job: ['jobs', 'deployment', 'attempts'],
  deployment: ['deployments', 'deployment'],
  freeze: ['freeze'],
  lost: ['jobs', 'deployments', 'deployment', 'deployment-jobs', 'attempts', 'desktops'],
};

type Job = Shape<'JobEvent'>;

/** Jobs of one deployment with those that changed in their places; new ones come first, as the list has them. */
export function patched(jobs: Job[], changed: ReadonlyMap<string, Job>): Job[] {
  const left = new Map(changed);
  const next = jobs.map((job) => {
    const newer = left.get(job.id);
    if (newer === undefined) return job;
    left.delete(job.id);
    return newer;
  });
  return left.size === 0 ? next : [...[...left.values()].reverse(), ...next];
}

/**
 * Follows the project's events and asks again for what they make stale. The browser connects again by itself, also
 * after sleep; what happened meanwhile is asked for when it has. Where there is no stream, pages go on polling.
 */
export function useLive(): void {
  const queries = useQueryClient();
  const { id } = useProject();
  useEffect(() => {
    const source = new EventSource(`/api/v1/${id}/events`);
    const stale = new Set<string>();
    let timer: number | undefined;
    const changed = new Map<string, Map<string, Job>>();
    const note = (kinds: string[]) => {
      for (const kind of kinds) stale.add(kind);
      timer ??= window.setTimeout(() => {
        timer = undefined;
        for (const kind of stale) void queries.invalidateQueries({ queryKey: [kind] });
        stale.clear();
        for (const [deployment, jobs] of changed) {
          queries.setQueryData<Job[]>(deploymentJobs(id, deployment), (known) => (known === undefined ? undefined : patched(known, jobs)));
        }
        changed.clear();
      }, GATHER_MS);
    };
    let connected = false;
    source.addEventListener('open', () => {
      if (connected) note(STALE['lost'] ?? []);
      connected = true;
    });
    source.addEventListener('job', (event: MessageEvent<string>) => {
      const job = JSON.parse(event.data) as Job;
      const jobs = changed.get(job.deployment_id) ?? new Map<string, Job>();
      jobs.set(job.id, job);
      changed.set(job.deployment_id, jobs);
    });
    for (const [name, kinds] of Object.entries(STALE)) source.addEventListener(name, () => note(kinds));
    return () => {
      source.close();
      window.clearTimeout(timer);
    };
  }, [id, queries]);
}
