import { useCallback, useEffect, useLayoutEffect, useRef } from 'react';
import type { Tone } from './parts';

/** One square: what it is, how it fares, and the words for it. */
export interface SquareData {
  id: string;
  tone: Tone;
  label: string;
}

/** Least width of a square and what lies between two, in pixels, as in style.css. */
const SIZE = 24;
const GAP = 5;
/** Rows of a block. */
const BLOCK_ROWS = 8;

/**
 * Ten thousand squares, of which some hundreds change at once. They are made and changed by hand, each by itself, because
 * comparing ten thousand elements each time costs more than a frame (docs/benchmarks.md). One of them is in the order of
 * Tab; arrows walk from there.
 */
export function Squares({ squares, label, onOpen }: { squares: SquareData[]; label: string; onOpen: (id: string) => void }) {
  const holder = useRef<HTMLDivElement>(null);
  const drawn = useRef<SquareData[]>([]);
  const buttons = useRef<HTMLButtonElement[]>([]);
  const places = useRef(new WeakMap<Element, number>());
  const columns = useRef(0);
  const opens = useRef(onOpen);
  opens.current = onOpen;

  /** Lays the squares into blocks of whole rows: a block out of sight costs nothing but its height. */
  const lay = useCallback(() => {
    const element = holder.current;
    if (element === null) return;
    columns.current = Math.max(1, Math.floor((element.clientWidth + GAP) / (SIZE + GAP)));
    const size = columns.current * BLOCK_ROWS;
    const blocks: HTMLElement[] = [];
    for (let from = 0; from < buttons.current.length; from += size) {
      const block = document.createElement('div');
      block.className = 'squares block';
      block.dataset['size'] = 'small';
      block.style.gridTemplateColumns = `repeat(${columns.current}, minmax(0, 1fr))`;
      block.style.containIntrinsicBlockSize = `auto ${BLOCK_ROWS * (SIZE + GAP)}px`;
      block.append(...buttons.current.slice(from, from + size));
      blocks.push(block);
    }
    element.replaceChildren(...blocks);
  }, []);

  useLayoutEffect(() => {
    const before = drawn.current;
    const made = buttons.current;
    const had = made.length;
    for (let at = 0; at < squares.length; at += 1) {
      const next = squares[at];
      const last = before[at];
      if (next === undefined || last === next) continue;
      let button = made[at];
      if (button === undefined) {
        button = document.createElement('button');
        button.type = 'button';
        button.className = 'square';
        button.tabIndex = at === 0 ? 0 : -1;
        made.push(button);
        places.current.set(button, at);
      }
      if (last?.tone !== next.tone) button.dataset['tone'] = next.tone;
      if (last?.label !== next.label) {
        button.setAttribute('aria-label', next.label);
        button.title = next.label;
      }
    }
    made.length = squares.length;
    drawn.current = squares;
    if (made.length !== had) lay();
  }, [squares, lay]);

  useEffect(() => {
    const element = holder.current;
    if (element === null) return;
    const watch = new ResizeObserver(() => {
      if (Math.max(1, Math.floor((element.clientWidth + GAP) / (SIZE + GAP))) !== columns.current) lay();
    });
    watch.observe(element);
    return () => watch.disconnect();
  }, [lay]);

  return (
    <div
      ref={holder}
      role="group"
      aria-label={label}
      onClick={(event) => {
        const found = drawn.current[places.current.get(event.target as Element) ?? -1];
        if (found !== undefined) opens.current(found.id);
      }}
      onKeyDown={(event) => {
        const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns.current, ArrowUp: -columns.current };
        const step = steps[event.key];
        const at = places.current.get(event.target as Element);
        if (step === undefined || at === undefined) return;
        const next = buttons.current[Math.min(buttons.current.length - 1, Math.max(0, at + step))];
        if (next === undefined) return;
        event.preventDefault();
        (event.target as HTMLElement).tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      }}
    />
  );
}
