import { Tabs } from '@mantine/core';
import { useEffect, useRef, type ReactNode } from 'react';

/** How far the end of a row fades where there is more beyond it. */
const FADE = '28px';

/** Tabs in a row. On a phone the row is pushed sideways to the one that is open. */
export function TabsList({ value, children }: { value: string; children: ReactNode }) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const row = list.current;
    if (row === null) return;
    const tab = row.querySelector<HTMLElement>('[data-active]');
    if (tab !== null) row.scrollLeft = tab.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
    const fade = () => {
      row.style.setProperty('--more-before', row.scrollLeft > 0 ? FADE : '0px');
      row.style.setProperty('--more-after', row.scrollLeft + row.clientWidth < row.scrollWidth - 1 ? FADE : '0px');
    };
    fade();
    row.addEventListener('scroll', fade);
    window.addEventListener('resize', fade);
    return () => {
      row.removeEventListener('scroll', fade);
      window.removeEventListener('resize', fade);
    };
  }, [value]);
  return (
    <Tabs.List ref={list} mb="md">
      {children}
    </Tabs.List>
  );
}
