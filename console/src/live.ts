import { notifyManager, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import type { Shape } from './api/client';
import type { Board } from './board';
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
    const draw = () => {
      for (const [deployment, jobs] of changed) queries.getQueryData<Board>(deploymentJobs(id, deployment))?.apply(jobs.values());
      changed.clear();
    };
    // Jobs are drawn in one frame with the counts that tell of them.
    const stop = queries.getQueryCache().subscribe((event) => {
      if (event.type === 'updated' && event.action.type === 'success' && event.query.queryKey[0] === 'deployment') notifyManager.schedule(draw);
    });
    const note = (kinds: string[]) => {
      for (const kind of kinds) stale.add(kind);
      timer ??= window.setTimeout(() => {
        timer = undefined;
        const asked = new Set(stale);
        stale.clear();
        void queries.invalidateQueries({ predicate: ({ queryKey: [kind] }) => asked.has(String(kind)) });
        // A slow answer is not waited for.
        window.setTimeout(draw, GATHER_MS);
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
      stop();
      source.close();
      window.clearTimeout(timer);
    };
  }, [id, queries]);
}
