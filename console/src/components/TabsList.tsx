import { Tabs } from '@mantine/core';
import { useEffect, useRef, type ReactNode } from 'react';

/** Tabs in a row. On a phone the row is pushed sideways to the one that is open. */
export function TabsList({ value, children }: { value: string; children: ReactNode }) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const row = list.current;
    const tab = row?.querySelector<HTMLElement>('[data-active]');
    if (row && tab) row.scrollLeft = tab.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
  }, [value]);
  return (
    <Tabs.List ref={list} mb="md">
      {children}
    </Tabs.List>
  );
}
