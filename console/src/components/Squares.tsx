import { useLayoutEffect, useRef } from 'react';
import type { Tone } from './parts';

/** One square: what it is, how it fares, and the words for it. */
export interface SquareData {
  id: string;
  tone: Tone;
  label: string;
}

/** How many rows ahead and behind the arrow keys reach is not known to the keys: they walk in the order of the list. */
const STEPS: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 };

/**
 * Ten thousand squares, of which some hundreds change at once. They are made and changed by hand, each by itself, because
 * comparing ten thousand elements each time costs more than a frame (docs/benchmarks.md). One of them is in the order of
 * Tab; arrows walk from there.
 */
export function Squares({ squares, label, onOpen }: { squares: SquareData[]; label: string; onOpen: (id: string) => void }) {
  const holder = useRef<HTMLDivElement>(null);
  const drawn = useRef<SquareData[]>([]);
  const opens = useRef(onOpen);
  opens.current = onOpen;
  useLayoutEffect(() => {
    const element = holder.current;
    if (element === null) return;
    const before = drawn.current;
    const children = element.children as HTMLCollectionOf<HTMLButtonElement>;
    for (let at = 0; at < squares.length; at += 1) {
      const next = squares[at];
      const last = before[at];
      if (next === undefined || (last !== undefined && last.id === next.id && last.tone === next.tone && last.label === next.label)) continue;
      let button = children[at];
      if (button === undefined) {
        button = document.createElement('button');
        button.type = 'button';
        button.className = 'square';
        button.tabIndex = at === 0 ? 0 : -1;
        element.append(button);
      }
      if (last === undefined || last.tone !== next.tone) button.dataset['tone'] = next.tone;
      if (last === undefined || last.label !== next.label) {
        button.setAttribute('aria-label', next.label);
        button.title = next.label;
      }
    }
    while (children.length > squares.length) children[children.length - 1]?.remove();
    drawn.current = squares;
  }, [squares]);
  const place = (target: EventTarget) => {
    const button = (target as HTMLElement).closest('button');
    return button === null || holder.current === null ? -1 : Array.prototype.indexOf.call(holder.current.children, button);
  };
  return (
    <div
      ref={holder}
      className="squares"
      data-size="small"
      role="group"
      aria-label={label}
      onClick={(event) => {
        const found = drawn.current[place(event.target)];
        if (found !== undefined) opens.current(found.id);
      }}
      onKeyDown={(event) => {
        const step = STEPS[event.key];
        const at = place(event.target);
        if (step === undefined || at < 0 || holder.current === null) return;
        const next = holder.current.children[Math.min(drawn.current.length - 1, Math.max(0, at + step))] as HTMLButtonElement | undefined;
        if (next === undefined) return;
        event.preventDefault();
        (event.target as HTMLElement).tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      }}
    />
  );
}
