import { useQuery, useQueryClient, type QueryClient } from '@tanstack/react-query';
import { createContext, use, useEffect, useMemo, type ReactNode } from 'react';
import { useNavigate, useParams } from 'react-router';
import { api, endSession, ok, onSessionEnd, ApiProblem, type Shape } from './api/client';
import { sayProblem } from './components/parts';
import { useTexts } from './i18n';

/** How often a session that is in use is renewed, in milliseconds: well below the hour that it lives idle. */
const RENEWAL_MS = 10 * 60 * 1000;

const KEY = ['session'];

interface SessionState {
  session: Shape<'Session'> | undefined;
  isLoading: boolean;
  problem: Error | null;
}

const Context = createContext<SessionState | undefined>(undefined);

async function show(): Promise<Shape<'Session'> | null> {
  try {
    return await ok(api.GET('/api/v1/session'), 'unwatched');
  } catch (problem) {
    if (problem instanceof ApiProblem && problem.status === 401) return null;
    throw problem;
  }
}

/** Knows whose session it is. Renewed only while the page is used, so that a forgotten tab ends by itself. */
export function SessionProvider({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const { data, isPending, error } = useQuery({ queryKey: KEY, queryFn: show, staleTime: Infinity });
  useEffect(() => onSessionEnd(() => queries.setQueryData(KEY, null)), [queries]);
  useEffect(() => {
    if (!data) return;
    let used = false;
    const note = () => {
      used = true;
    };
    const events = ['pointerdown', 'keydown', 'wheel'] as const;
    for (const event of events) window.addEventListener(event, note, { passive: true });
    const timer = window.setInterval(() => {
      if (used) void queries.invalidateQueries({ queryKey: KEY });
      used = false;
    }, RENEWAL_MS);
    return () => {
      for (const event of events) window.removeEventListener(event, note);
      window.clearInterval(timer);
    };
  }, [data, queries]);
  const value = useMemo<SessionState>(
    () => ({ session: data ?? undefined, isLoading: isPending, problem: error }),
    [data, isPending, error],
  );
  return <Context value={value}>{children}</Context>;
}

export function useSessionState(): SessionState {
  const state = use(Context);
  if (state === undefined) throw new Error('useSessionState outside SessionProvider');
  return state;
}

/** The session, below the pages that need one. */
export function useSession(): Shape<'Session'> {
  const { session } = useSessionState();
  if (session === undefined) throw new Error('this page needs a session');
  return session;
}

/** Forgets what was read for another user. The session's own entry stays, because it is being watched. */
function forgetAllElse(queries: QueryClient): void {
  queries.removeQueries({ predicate: (query) => query.queryKey[0] !== KEY[0] });
}

export function useLogIn() {
  const queries = useQueryClient();
  return async (body: Shape<'CreateSessionReq'>) => {
    const session = await ok(api.POST('/api/v1/session', { body }), 'unwatched');
    forgetAllElse(queries);
    queries.setQueryData(KEY, session);
  };
}

export function useLogOut() {
  const { t } = useTexts();
  const queries = useQueryClient();
  const navigate = useNavigate();
  return async () => {
    try {
      await ok(api.DELETE('/api/v1/session'), 'unwatched');
    } catch (problem) {
      // Only who has no session is logged out without the server's word.
      if (!(problem instanceof ApiProblem && problem.status === 401)) return sayProblem(problem, t('shell.not-logged-out'));
    }
    forgetAllElse(queries);
    endSession();
    void navigate('/');
  };
}

/** The project that the address names. */
export function useProject(): Shape<'Project'> {
  const session = useSession();
  const { project } = useParams();
  const found = session.projects.find((candidate) => candidate.name === project) ?? session.projects[0];
  if (found === undefined) throw new Error('the session has no project');
  return found;
}

/** Path of a page in the project of the address. */
export function usePath(): (page: string) => string {
  const project = useProject();
  return (page) => `/${encodeURIComponent(project.name)}/${page}`;
}
