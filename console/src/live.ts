import { notifyManager, useQueryClient, type QueryClient, type QueryKey } from '@tanstack/react-query';
import { useEffect } from 'react';
import type { Shape } from './api/client';
import type { Board } from './board';
import { deploymentJobs, deploymentKey, isAway } from './data';
import { useProject } from './session';
import { followed } from './stream';

/** Events within this time are drawn together and ask once, in milliseconds: a thousand jobs that end together are one change. */
const GATHER_MS = 300;

/** What each event makes stale, but for what it tells itself. Source: docs/events.md. */
const STALE: Record<string, string[]> = {
  job: ['jobs', 'job', 'attempts'],
  deployment: ['deployments'],
  freeze: ['freeze'],
  lost: ['jobs', 'deployments', 'deployment', 'deployment-jobs', 'job', 'attempts', 'desktops'],
};

type Job = Shape<'JobEvent'>;
type Deployment = Shape<'Deployment'>;
/** Data of a `deployment` event. */
type Progress = Pick<Deployment, 'id' | 'state' | 'counts' | 'halted_at'>;

/**
 * Follows the project's events and asks again for what they make stale. It connects again by itself, also after sleep; what
 * happened meanwhile is asked for when it has, and what failed for it. Where there is no stream, pages go
 * on polling.
 */
export function useLive(): void {
  const queries = useQueryClient();
  const { id } = useProject();
  useEffect(() => {
    const stale = new Set<string>();
    let timer: number | undefined;
    const jobs = new Map<string, Map<string, Job>>();
    const deployments = new Map<string, Progress>();
    // What is told while the jobs of a deployment are being read may be newer than what comes of it.
    const late = new Map<string, Map<string, Job>>();
    // Squares and the counts that tell of them are drawn in one frame, with nothing asked.
    const draw = () =>
      notifyManager.batch(() => {
        for (const [deployment, progress] of deployments) tell(queries, deploymentKey(id, deployment), progress);
        const changed = [...jobs];
        notifyManager.schedule(() => {
          for (const [deployment, jobs] of changed) {
            const key = deploymentJobs(id, deployment);
            if (queries.getQueryState(key)?.fetchStatus === 'fetching') late.set(deployment, new Map([...(late.get(deployment) ?? []), ...jobs]));
            queries.getQueryData<Board>(key)?.apply(jobs.values());
          }
        });
        deployments.clear();
        jobs.clear();
      });
    const note = (kinds: string[]) => {
      for (const kind of kinds) stale.add(kind);
      timer ??= window.setTimeout(() => {
        timer = undefined;
        const asked = new Set(stale);
        stale.clear();
        draw();
        void queries.invalidateQueries({ predicate: ({ queryKey: [kind] }) => asked.has(String(kind)) });
      }, GATHER_MS);
    };
    const stopReading = queries.getQueryCache().subscribe((event) => {
      if (event.type !== 'updated' || (event.action.type !== 'success' && event.action.type !== 'error')) return;
      const [kind, , deployment] = event.query.queryKey as [string, string?, string?];
      const missed = kind === 'deployment-jobs' ? late.get(deployment ?? '') : undefined;
      if (deployment === undefined || missed === undefined) return;
      late.delete(deployment);
      if (event.action.type === 'success') (event.query.state.data as Board).apply(missed.values());
    });
    let connected = false;
    const listen = (source: EventSource) => {
      source.addEventListener('open', () => {
        const failed = queries.getQueryCache().findAll({ predicate: ({ state }) => isAway(state.error) });
        note([...(connected ? (STALE['lost'] ?? []) : []), ...failed.map(({ queryKey: [kind] }) => String(kind))]);
        connected = true;
      });
      source.addEventListener('job', (event: MessageEvent<string>) => {
        const job = JSON.parse(event.data) as Job;
        const changed = jobs.get(job.deployment_id) ?? new Map<string, Job>();
        changed.set(job.id, job);
        jobs.set(job.deployment_id, changed);
      });
      source.addEventListener('deployment', (event: MessageEvent<string>) => {
        const progress = JSON.parse(event.data) as Progress;
        deployments.set(progress.id, progress);
      });
      for (const [name, kinds] of Object.entries(STALE)) source.addEventListener(name, () => note(kinds));
    };
    const stop = followed(`/api/v1/${id}/events`, listen);
    return () => {
      stop();
      stopReading();
      window.clearTimeout(timer);
    };
  }, [id, queries]);
}

/** Puts what an event tells into a deployment that is known. The rest is asked for when it changes too: until all jobs are open. */
function tell(queries: QueryClient, key: QueryKey, progress: Progress): void {
  const known = queries.getQueryData<Deployment>(key);
  if (known === undefined) return;
  // An answer that is under way is older than the event.
  void queries.cancelQueries({ queryKey: key });
  const { halted_at: _, ...rest } = known;
  queries.setQueryData<Deployment>(key, { ...rest, ...progress });
  if (progress.state === 'expanding' || progress.state !== known.state) void queries.invalidateQueries({ queryKey: key });
}
