import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { ApiProblem, api, ok, onSessionEnd, type Shape } from '../api/client';

export type Session = Shape<'PortalSession'>;

const KEY = ['portal-session'];

/** How often a session that is in use is renewed, in milliseconds: well below the hour that it lives idle. */
const RENEWAL_MS = 10 * 60 * 1000;

/**
 * Takes the ticket out of the address, before it can be kept anywhere, and trades it for a session. Nothing where there is
 * none; a ticket that is not good (any more) is told as the problem.
 */
export function takeTicket(): Promise<Session | undefined> {
  const ticket = new URLSearchParams(window.location.hash.slice(1)).get('ticket');
  if (ticket === null || ticket === '') return Promise.resolve(undefined);
  window.history.replaceState(null, '', window.location.pathname + window.location.search);
  const traded = ok(api.POST('/api/v1/portal/session', { body: { ticket } }), 'unwatched');
  // Whoever reads it says what went wrong.
  traded.catch(() => undefined);
  return traded;
}

async function show(entry: Promise<Session | undefined>): Promise<Session | null> {
  const entered = await entry.catch((problem: unknown) => {
    if (problem instanceof ApiProblem && problem.status === 401) return undefined;
    throw problem;
  });
  if (entered !== undefined) return entered;
  try {
    return await ok(api.GET('/api/v1/portal/session'), 'unwatched');
  } catch (problem) {
    if (problem instanceof ApiProblem && (problem.status === 401 || problem.status === 403)) return null;
    throw problem;
  }
}

/** Whose session it is; `null`: nobody's. Renewed only while the page is used, so that a forgotten tab ends by itself. */
export function useSession(entry: Promise<Session | undefined>) {
  const queries = useQueryClient();
  const found = useQuery({ queryKey: KEY, queryFn: () => show(entry), staleTime: Infinity });
  const isIn = found.data !== null && found.data !== undefined;
  useEffect(() => onSessionEnd(() => queries.setQueryData(KEY, null)), [queries]);
  useEffect(() => {
    if (!isIn) return;
    let used = false;
    const note = () => {
      used = true;
    };
    const events = ['pointerdown', 'keydown', 'wheel'] as const;
    for (const event of events) window.addEventListener(event, note, { passive: true });
    const timer = window.setInterval(() => {
      if (used) void renew().then((session) => queries.setQueryData(KEY, session), () => undefined);
      used = false;
    }, RENEWAL_MS);
    return () => {
      for (const event of events) window.removeEventListener(event, note);
      window.clearInterval(timer);
    };
  }, [isIn, queries]);
  return found;
}

function renew(): Promise<Session> {
  return ok(api.GET('/api/v1/portal/session'));
}

export function useEnter() {
  const queries = useQueryClient();
  return async (body: Shape<'CreatePortalSessionReq'>) => {
    const session = await ok(api.POST('/api/v1/portal/session', { body }), 'unwatched');
    queries.removeQueries({ predicate: (query) => query.queryKey[0] !== KEY[0] });
    queries.setQueryData(KEY, session);
  };
}

export function useLeave() {
  const queries = useQueryClient();
  return async () => {
    try {
      await ok(api.DELETE('/api/v1/portal/session'), 'unwatched');
    } finally {
      queries.removeQueries({ predicate: (query) => query.queryKey[0] !== KEY[0] });
      queries.setQueryData(KEY, null);
    }
  };
}
