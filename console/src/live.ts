import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { useProject } from './session';

/** Events within this time ask once, in milliseconds: a thousand jobs that end together are one question. */
const GATHER_MS = 300;

/** What each event makes stale. Source: docs/events.md. */
const STALE: Record<string, string[]> = {
  job: ['jobs', 'deployment', 'attempts'],
  deployment: ['deployments', 'deployment'],
  freeze: ['freeze'],
  lost: ['jobs', 'deployments', 'deployment', 'attempts', 'desktops'],
};

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
    const note = (kinds: string[]) => {
      for (const kind of kinds) stale.add(kind);
      timer ??= window.setTimeout(() => {
        timer = undefined;
        for (const kind of stale) void queries.invalidateQueries({ queryKey: [kind] });
        stale.clear();
      }, GATHER_MS);
    };
    let connected = false;
    source.addEventListener('open', () => {
      if (connected) note(STALE['lost'] ?? []);
      connected = true;
    });
    for (const [name, kinds] of Object.entries(STALE)) source.addEventListener(name, () => note(kinds));
    return () => {
      source.close();
      window.clearTimeout(timer);
    };
  }, [id, queries]);
}
