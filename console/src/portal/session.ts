import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { ApiProblem, api, ok, onSessionEnd, type Shape } from '../api/client';
import { sayProblem } from '../components/parts';
import { useTexts } from '../i18n';
import { LOOK_MS } from './data';

export type Session = Shape<'PortalSession'>;

/** Trades the ticket that the page was opened with for a session, as often as it takes; nothing where there was none. */
export type Ticket = () => Promise<Session | undefined>;

/** Whose session it is; `null`: nobody's; `turned-away`: nobody's, because the ticket is not good (any more). */
type Known = Session | 'turned-away' | null;

export const isTheirs = (known: Known | undefined): known is Session => typeof known === 'object' && known !== null;

const KEY = ['portal-session'];

/** How long after its last use a page still renews the session, in milliseconds: well below the hour that it lives idle. */
const IN_USE_MS = 10 * 60 * 1000;

/** Ends a renewal that is under way while its user leaves: the answer would set the cookie again. */
let stay = new AbortController();

const isRefused = (problem: unknown) => problem instanceof ApiProblem && problem.status === 401;

/**
 * Takes the ticket out of the address, before it can be kept anywhere, and trades it at once. It counts once: only a trade
 * that failed without the server's word on the ticket is tried again.
 */
export function takeTicket(): Ticket {
  const ticket = new URLSearchParams(window.location.hash.slice(1)).get('ticket');
  if (ticket === null || ticket === '') return () => Promise.resolve(undefined);
  window.history.replaceState(null, '', window.location.pathname + window.location.search);
  let traded: Promise<Session> | undefined;
  const trade = () => {
    traded ??= ok(api.POST('/api/v1/portal/session', { body: { ticket } }), 'unwatched').catch((problem: unknown) => {
      if (!isRefused(problem)) traded = undefined;
      throw problem;
    });
    return traded;
  };
  // Whoever asks next says what went wrong, or tries again.
  trade().catch(() => undefined);
  return trade;
}

async function show(ticket: Ticket): Promise<Known> {
  let wasTurnedAway = false;
  const entered = await ticket().catch((problem: unknown) => {
    if (!isRefused(problem)) throw problem;
    wasTurnedAway = true;
    return undefined;
  });
  if (entered !== undefined) return entered;
  try {
    return await ok(api.GET('/api/v1/portal/session'), 'unwatched');
  } catch (problem) {
    if (problem instanceof ApiProblem && (problem.status === 401 || problem.status === 403)) return wasTurnedAway ? 'turned-away' : null;
    throw problem;
  }
}

/**
 * Whose session it is. Asked again as often as the apps are, because it tells which desktops are connected; but only while
 * the page is used, so that a forgotten tab ends by itself.
 */
export function useSession(ticket: Ticket) {
  const queries = useQueryClient();
  const found = useQuery({ queryKey: KEY, queryFn: () => show(ticket), staleTime: Infinity });
  const isIn = isTheirs(found.data);
  useEffect(() => onSessionEnd(() => queries.setQueryData(KEY, null)), [queries]);
  useEffect(() => {
    if (!isIn) return;
    let usedAt = Date.now();
    const note = () => {
      usedAt = Date.now();
    };
    const events = ['pointerdown', 'keydown', 'wheel', 'focus'] as const;
    for (const event of events) window.addEventListener(event, note, { passive: true });
    const timer = window.setInterval(() => {
      if (Date.now() - usedAt < IN_USE_MS) void renew().then((session) => queries.setQueryData(KEY, session), () => undefined);
    }, LOOK_MS);
    return () => {
      for (const event of events) window.removeEventListener(event, note);
      window.clearInterval(timer);
    };
  }, [isIn, queries]);
  return found;
}

function renew(): Promise<Session> {
  return ok(api.GET('/api/v1/portal/session', { signal: stay.signal }));
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
  const { t } = useTexts();
  return async () => {
    stay.abort();
    try {
      await ok(api.DELETE('/api/v1/portal/session'), 'unwatched');
    } catch (problem) {
      // The cookie is still there: whoever saw the login now would believe that nobody is in.
      if (!isRefused(problem)) return sayProblem(problem, t('portal.not-done'));
    } finally {
      stay = new AbortController();
    }
    queries.removeQueries({ predicate: (query) => query.queryKey[0] !== KEY[0] });
    queries.setQueryData(KEY, null);
  };
}
