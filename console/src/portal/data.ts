import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { api, ok, type Shape } from '../api/client';
import { sayProblem } from '../components/parts';
import { useTexts } from '../i18n';
import { followed } from '../stream';

export type App = Shape<'PortalApp'>;
export type Act = Shape<'PortalAct'>;
export type Job = Shape<'PortalJob'>;

/** Where one acts: the project and a desktop of the user's. */
export interface Place {
  project_id: string;
  desktop_id: string;
}

/** How often is asked without a word from the stream, in milliseconds: neither an authorization that went nor the desktop is told there. */
export const LOOK_MS = 15_000;

/** Events within this time ask once, in milliseconds. */
const GATHER_MS = 250;

/** Every app that the user may have there. */
export function useApps({ project_id, desktop_id }: Place) {
  return useQuery({
    queryKey: ['portal-apps', project_id, desktop_id],
    refetchInterval: LOOK_MS,
    queryFn: async () => {
      const apps: App[] = [];
      for (;;) {
        const query = { desktop_id, offset: apps.length, limit: 100 };
        const page = await ok(api.GET('/api/v1/{project_id}/portal/apps', { params: { path: { project_id }, query } }));
        apps.push(...page.items);
        if (page.items.length === 0 || apps.length >= page.count) return apps;
      }
    },
  });
}

export function useHistory({ project_id, desktop_id }: Place, offset: number, limit: number) {
  return useQuery({
    queryKey: ['portal-history', project_id, desktop_id, offset, limit],
    refetchInterval: LOOK_MS,
    placeholderData: keepPreviousData,
    queryFn: () =>
      ok(
        api.GET('/api/v1/{project_id}/portal/history', {
          params: { path: { project_id }, query: { desktop_id, offset, limit } },
        }),
      ),
  });
}

/** Follows the desktop's events and asks again, also whenever the stream was opened anew. */
export function useLive({ project_id, desktop_id }: Place): void {
  const queries = useQueryClient();
  useEffect(() => {
    let timer: number | undefined;
    const note = () => {
      timer ??= window.setTimeout(() => {
        timer = undefined;
        void queries.invalidateQueries({ queryKey: ['portal-apps'] });
        void queries.invalidateQueries({ queryKey: ['portal-history'] });
      }, GATHER_MS);
    };
    const url = `/api/v1/${project_id}/portal/events?desktop_id=${encodeURIComponent(desktop_id)}`;
    const stop = followed(url, (source) => {
      for (const name of ['change', 'lost', 'open']) source.addEventListener(name, note);
    });
    return () => {
      stop();
      window.clearTimeout(timer);
    };
  }, [project_id, desktop_id, queries]);
}

/**
 * What a click does; under way until the list was read again, because until then its button stands there unchanged. What was
 * refused is said, and the list asked for too: it was not as it looked. One for each app, or a click on another ends its wait.
 */
export function useAct({ project_id, desktop_id }: Place) {
  const queries = useQueryClient();
  const { t } = useTexts();
  return useMutation({
    mutationFn: async ({ app, act, minutes = 240 }: { app: App; act: Act; minutes?: number }) => {
      const onApp = { params: { path: { project_id, app_id: app.id } }, body: { desktop_id } };
      const job = { path: { project_id, job_id: app.job?.id ?? '' } };
      switch (act) {
        case 'install':
        case 'update':
          return ok(api.POST('/api/v1/{project_id}/portal/apps/{app_id}/actions/install', onApp));
        case 'remove':
          return ok(api.POST('/api/v1/{project_id}/portal/apps/{app_id}/actions/remove', onApp));
        case 'cancel':
          return ok(api.POST('/api/v1/{project_id}/portal/jobs/{job_id}/actions/cancel', { params: job }));
        case 'defer':
          return ok(api.POST('/api/v1/{project_id}/portal/jobs/{job_id}/actions/defer', { params: job, body: { minutes } }));
      }
    },
    onError: (problem) => sayProblem(problem, t('portal.not-done')),
    onSettled: () =>
      Promise.all([
        queries.invalidateQueries({ queryKey: ['portal-apps'] }),
        queries.invalidateQueries({ queryKey: ['portal-history'] }),
      ]),
  });
}
