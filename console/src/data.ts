import {
  keepPreviousData,
  QueryClient,
  useQuery,
  useQueryClient,
  type DefaultedQueryObserverOptions,
  type DefaultError,
  type QueryKey,
  type QueryObserverOptions,
} from '@tanstack/react-query';
import { api, ApiProblem, ok, type Shape } from './api/client';
import { useProject } from './session';

/** How often something that moves is asked for, in milliseconds, where no event says that it moved. */
export const MOVING_MS = 1_500;
/** How often a quiet page looks again, in milliseconds. */
export const QUIET_MS = 10_000;
/** How soon, and how late at most, it is asked again while the server is away, in milliseconds. */
const SOON_MS = 5_000;
const LATE_MS = 20_000;

/** Whether a call failed for the server, which is down or fails, and not for what was asked. */
export const isAway = (error: unknown) => error instanceof ApiProblem && (error.status === 0 || error.status >= 500);

/**
 * Asks for what pages show. While the server is away it is asked less and less often, and by queries that ask but once too;
 * its events tell at once when it is back (`useLive`). What is not there, or not for this person, is not asked for again
 * and again.
 */
export class Queries extends QueryClient {
  override defaultQueryOptions<Data = unknown, Problem = DefaultError, Shown = Data, Kept = Data, Key extends QueryKey = QueryKey, Page = never>(
    options: QueryObserverOptions<Data, Problem, Shown, Kept, Key, Page> | DefaultedQueryObserverOptions<Data, Problem, Shown, Kept, Key>,
  ): DefaultedQueryObserverOptions<Data, Problem, Shown, Kept, Key> {
    const whole = super.defaultQueryOptions<Data, Problem, Shown, Kept, Key, Page>(options);
    if (options._defaulted === true) return whole;
    const { refetchInterval } = whole;
    return {
      ...whole,
      refetchInterval: (query) => {
        const usual = typeof refetchInterval === 'function' ? refetchInterval(query) : refetchInterval;
        const { error, dataUpdatedAt, errorUpdatedAt } = query.state;
        if (error instanceof ApiProblem && (error.status === 403 || error.status === 404)) return false;
        if (!isAway(error)) return usual;
        // As long again as there has been no answer.
        return Math.max(usual || 0, Math.min(LATE_MS, Math.max(SOON_MS, errorUpdatedAt - dataUpdatedAt)));
      },
    };
  }
}

/** Records in one page of a list. */
export const PAGE_SIZE = 25;

export const offsetOf = (page: number, size = PAGE_SIZE) => (page - 1) * size;

/** Every app of the project, by id: up to a thousand, page by page. */
export function useAllApps() {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['apps', project_id, 'all'],
    staleTime: 10_000,
    queryFn: async () => {
      const apps: Shape<'Application'>[] = [];
      for (let offset = 0; offset < 1000; offset += 100) {
        const page = await ok(
          api.GET('/v1/{project_id}/app-center/apps', { params: { path: { project_id }, query: { offset, limit: 100 } } }),
        );
        apps.push(...page.items);
        if (apps.length >= page.count || page.items.length === 0) break;
      }
      return apps;
    },
  });
}

export function useApp(appId: string | undefined) {
  const all = useAllApps();
  return { ...all, app: all.data?.find((app) => app.id === appId) };
}

export function useCatalogs() {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['catalogs', project_id],
    staleTime: 300_000,
    queryFn: () => ok(api.GET('/v1/{project_id}/app-center/app-catalogs', { params: { path: { project_id } } })),
  });
}

export interface JobFilter {
  job_status?: Shape<'JobStatus'>;
  app_id?: string;
  desktop_id?: string;
  kind?: Shape<'DeploymentKind'>;
  target?: string;
  unverified?: true;
}

export function useJobs(filter: JobFilter, offset: number, limit: number, refetchInterval: number = MOVING_MS) {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['jobs', project_id, filter, offset, limit],
    refetchInterval,
    placeholderData: keepPreviousData,
    queryFn: () =>
      ok(
        api.GET('/api/v1/{project_id}/jobs', {
          params: { path: { project_id }, query: { ...filter, offset, limit } },
        }),
      ),
  });
}

export type DesktopFilter = {
  name?: string;
  agent?: Shape<'AgentPresence'>;
  agent_version?: string;
  user?: string;
  os_type?: Shape<'OsTypeEnum'>;
  restart_needed?: boolean;
  has_copy?: boolean;
};

/** A filter without what asks for nothing. */
export function given<Filter extends object>(filter: Filter): Filter {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined && value !== '')) as Filter;
}

export function useDesktops(filter: DesktopFilter, offset: number, limit: number) {
  const { id: project_id } = useProject();
  const asked = given(filter);
  return useQuery({
    queryKey: ['desktops', project_id, asked, offset, limit],
    refetchInterval: QUIET_MS,
    placeholderData: keepPreviousData,
    queryFn: () => ok(api.GET('/api/v1/{project_id}/desktops', { params: { path: { project_id }, query: { offset, limit, ...asked } } })),
  });
}

/** What becomes of copies of desktops. */
export function useCopies() {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['copies', project_id],
    queryFn: () => ok(api.GET('/api/v1/{project_id}/copies', { params: { path: { project_id } } })),
  });
}

/** Machines that wait for approval, newest first. */
export function useWaitingEnrollments(limit: number) {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['enrollment-requests', project_id, limit],
    refetchInterval: QUIET_MS,
    queryFn: () =>
      ok(api.GET('/api/v1/{project_id}/enrollment-requests', { params: { path: { project_id }, query: { state: 'WAITING', offset: 0, limit } } })),
  });
}

/** How the synchronisation with the company directory stands; null where there is none, which is not asked for again and again. */
export function useDirectoryStatus() {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['directory-status', project_id],
    refetchInterval: ({ state: { data } }) => (data === null ? false : data?.running === true || data?.pending === true ? MOVING_MS : QUIET_MS),
    queryFn: async () => {
      try {
        return await ok(api.GET('/api/v1/{project_id}/directory/status', { params: { path: { project_id } } }));
      } catch (problem) {
        if (problem instanceof ApiProblem && problem.status === 404) return null;
        throw problem;
      }
    },
  });
}

export function useDeployments(state: Shape<'DeploymentState'> | undefined, offset: number, limit: number) {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['deployments', project_id, state, offset, limit],
    refetchInterval: MOVING_MS,
    placeholderData: keepPreviousData,
    queryFn: () =>
      ok(
        api.GET('/api/v1/{project_id}/deployments', {
          params: { path: { project_id }, query: { offset, limit, ...(state === undefined ? {} : { state }) } },
        }),
      ),
  });
}

export function useUsers(name: string, offset: number, limit: number) {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['users', project_id, name, offset, limit],
    placeholderData: keepPreviousData,
    queryFn: () =>
      ok(
        api.GET('/v2/{project_id}/users', {
          params: {
            path: { project_id },
            query: { offset: String(offset), limit: String(limit), ...(name === '' ? {} : { user_name: name }) },
          },
        }),
      ),
  });
}

export function useGroups(keyword: string, offset: number, limit: number) {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['groups', project_id, keyword, offset, limit],
    placeholderData: keepPreviousData,
    queryFn: () =>
      ok(
        api.GET('/v2/{project_id}/groups', {
          params: {
            path: { project_id },
            query: { offset: String(offset), limit: String(limit), ...(keyword === '' ? {} : { keyword }) },
          },
        }),
      ),
  });
}

/** Under which a deployment is kept. */
export const deploymentKey = (project_id: string, deployment_id: string) => ['deployment', project_id, deployment_id];

/** Under which the jobs of a deployment are kept. */
export const deploymentJobs = (project_id: string, deployment_id: string) => ['deployment-jobs', project_id, deployment_id];

/** Asks again for everything of these kinds. */
export function useRefresh() {
  const queries = useQueryClient();
  return (...kinds: string[]) => Promise.all(kinds.map((kind) => queries.invalidateQueries({ queryKey: [kind] })));
}
