import { useCallback } from 'react';
import { useSearchParams } from 'react-router';

/** One value that lives in the address, so that what one sees can be shared. The empty text is left out. */
export function useInAddress(name: string, initial = ''): [string, (value: string) => void] {
  const [search, setSearch] = useSearchParams();
  const set = useCallback(
    (value: string) =>
      setSearch(
        (before) => {
          const next = new URLSearchParams(before);
          if (value === initial) next.delete(name);
          else next.set(name, value);
          if (name !== 'page') next.delete('page');
          return next;
        },
        { replace: true },
      ),
    [name, initial, setSearch],
  );
  return [search.get(name) ?? initial, set];
}

/** The page of a list, from 1, in the address. */
export function usePage(): [number, (page: number) => void] {
  const [text, set] = useInAddress('page', '1');
  const page = Number.parseInt(text, 10);
  return [Number.isSafeInteger(page) && page > 0 ? page : 1, (next) => set(String(next))];
}
