import { useCallback, useMemo } from 'react';
import { useLocation, useNavigate, useSearchParams } from 'react-router';

/**
 * Changes the address in place. What stands there counts, not what was drawn last: of two quick changes the second one
 * must not undo the first.
 */
export function useEditAddress(): (edit: (next: URLSearchParams) => void) => void {
  const [, setSearch] = useSearchParams();
  return useCallback(
    (edit) => {
      const next = new URLSearchParams(window.location.search);
      edit(next);
      setSearch(next, { replace: true });
    },
    [setSearch],
  );
}

/** The text of a query for our server, to which a plus sign is itself and no space. */
export function queryText(values: Record<string, unknown>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    .join('&');
}

/** One value that lives in the address, so that what one sees can be shared. The empty text is left out. */
export function useInAddress(name: string, initial = ''): [string, (value: string) => void] {
  const [search] = useSearchParams();
  const edit = useEditAddress();
  const set = useCallback(
    (value: string) =>
      edit((next) => {
        if (value === initial) next.delete(name);
        else next.set(name, value);
        if (name !== 'page') next.delete('page');
      }),
    [name, initial, edit],
  );
  return [search.get(name) ?? initial, set];
}

/**
 * What is opened over a page, by its id in the address: the browser's Back closes it. The empty text closes it too, by the
 * same way back, or in place where the page was entered with it open.
 */
export function useOpenedInAddress(name: string): [string, (id: string) => void] {
  const [search, setSearch] = useSearchParams();
  const state = useLocation().state as { opened?: string } | null;
  const navigate = useNavigate();
  const opened = search.get(name) ?? '';
  const isOverPage = state?.opened === name;
  const open = useCallback(
    (id: string) => {
      if (id === '' && isOverPage) return void navigate(-1);
      const next = new URLSearchParams(window.location.search);
      if (id === '') next.delete(name);
      else next.set(name, id);
      setSearch(next, id === '' ? { replace: true } : { state: { opened: name } });
    },
    [name, isOverPage, navigate, setSearch],
  );
  return [opened, open];
}

/** Values that are chosen one by one and live in the address, the first `most` of them. */
export function useChosenInAddress(name: string, most: number): [string[], (change: (before: string[]) => string[]) => void] {
  const [search] = useSearchParams();
  const edit = useEditAddress();
  const chosen = useMemo(() => search.getAll(name).slice(0, most), [search, name, most]);
  const choose = useCallback(
    (change: (before: string[]) => string[]) =>
      edit((next) => {
        const values = change(next.getAll(name)).slice(0, most);
        next.delete(name);
        for (const value of values) next.append(name, value);
      }),
    [name, most, edit],
  );
  return [chosen, choose];
}

/** The page of a list, from 1, in the address. */
export function usePage(): [number, (page: number) => void] {
  const [text, set] = useInAddress('page', '1');
  const page = Number.parseInt(text, 10);
  return [Number.isSafeInteger(page) && page > 0 ? page : 1, (next) => set(String(next))];
}
