import { useCallback, useEffect, useLayoutEffect, useRef } from 'react';
import type { Tone } from './parts';

/** Least width of a square and what lies between two, in pixels, as in style.css. */
const SIZE = 24;
const GAP = 5;
/** Rows of a block. */
const BLOCK_ROWS = 2;
/** How far beyond what is seen blocks have their squares, in pixels: one block, so that scrolling does not outrun them. */
const AHEAD = BLOCK_ROWS * (SIZE + GAP);

interface Props<Item> {
  /** What there is. It may change in place; `listen` says where. */
  items: readonly Item[];
  listen?: ((listener: (places?: readonly number[]) => void) => () => void) | undefined;
  toneOf: (item: Item) => Tone;
  /** The words for it. A new function draws everything anew. */
  labelOf: (item: Item) => string;
  label: string;
  onOpen: (item: Item) => void;
}

/**
 * Ten thousand squares, of which some hundreds change at once. They are made and changed by hand, each by itself, and only
 * those in sight or near it exist: a change elsewhere costs nothing (docs/benchmarks.md). One of them is in the order of
 * Tab, the one that had the focus last; arrows, Home and End walk from there, also to where nothing was drawn yet.
 */
export function Squares<Item>({ items, listen, toneOf, labelOf, label, onOpen }: Props<Item>) {
  const holder = useRef<HTMLDivElement>(null);
  const shown = useRef({ items, toneOf, labelOf, onOpen });
  shown.current = { items, toneOf, labelOf, onOpen };
  const blocks = useRef<HTMLElement[]>([]);
  /** Blocks in sight or near it. */
  const near = useRef(new Set<number>());
  /** The squares that exist, by place. */
  const buttons = useRef(new Map<number, HTMLButtonElement>());
  const places = useRef(new WeakMap<Element, number>());
  const columns = useRef(1);
  /** The place in the order of Tab. Its block keeps its squares, so that Tab gets there. */
  const stop = useRef(0);
  const watch = useRef<IntersectionObserver>(undefined);

  const blockOf = (place: number) => Math.floor(place / (columns.current * BLOCK_ROWS));

  const paint = useCallback((place: number) => {
    const button = buttons.current.get(place);
    const item = shown.current.items[place];
    if (button === undefined || item === undefined) return;
    const tone = shown.current.toneOf(item);
    const words = shown.current.labelOf(item);
    if (button.getAttribute('data-tone') !== tone) button.setAttribute('data-tone', tone);
    if (button.getAttribute('aria-label') !== words) button.setAttribute('aria-label', words);
    if (button.hasAttribute('title')) button.title = words;
  }, []);

  const fill = useCallback(
    (at: number) => {
      const block = blocks.current[at];
      if (block === undefined || block.childElementCount > 0) return;
      const size = columns.current * BLOCK_ROWS;
      const until = Math.min(shown.current.items.length, (at + 1) * size);
      const made: HTMLButtonElement[] = [];
      for (let place = at * size; place < until; place += 1) {
        const button = document.createElement('button');
        button.type = 'button';
        button.className = 'square';
        button.tabIndex = place === stop.current ? 0 : -1;
        buttons.current.set(place, button);
        places.current.set(button, place);
        paint(place);
        made.push(button);
      }
      block.append(...made);
    },
    [paint],
  );

  const empty = useCallback((at: number) => {
    const block = blocks.current[at];
    if (block === undefined || near.current.has(at) || at === blockOf(stop.current)) return;
    for (const button of block.children) buttons.current.delete(places.current.get(button) ?? -1);
    block.replaceChildren();
  }, []);

  /** Lays out blocks of whole rows. Each has its height before it has its squares. */
  const lay = useCallback(() => {
    const element = holder.current;
    const observer = watch.current;
    if (element === null || observer === undefined) return;
    const hadFocus = element.contains(document.activeElement);
    const count = shown.current.items.length;
    const width = element.clientWidth;
    columns.current = Math.max(1, Math.floor((width + GAP) / (SIZE + GAP)));
    stop.current = Math.max(0, Math.min(stop.current, count - 1));
    const side = (width - (columns.current - 1) * GAP) / columns.current;
    const rows = Math.ceil(count / columns.current);
    observer.disconnect();
    near.current.clear();
    buttons.current.clear();
    blocks.current = [];
    for (let row = 0; row < rows; row += BLOCK_ROWS) {
      const block = document.createElement('div');
      const high = Math.min(BLOCK_ROWS, rows - row);
      block.className = 'squares block';
      block.dataset['size'] = 'small';
      block.style.gridTemplateColumns = `repeat(${columns.current}, minmax(0, 1fr))`;
      block.style.height = `${high * side + (high - 1) * GAP}px`;
      blocks.current.push(block);
    }
    element.replaceChildren(...blocks.current);
    element.dataset['count'] = String(count);
    fill(blockOf(stop.current));
    if (hadFocus) buttons.current.get(stop.current)?.focus({ preventScroll: true });
    for (const block of blocks.current) observer.observe(block);
  }, [fill]);

  useEffect(() => {
    const element = holder.current;
    if (element === null) return;
    watch.current = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          const at = blocks.current.indexOf(target as HTMLElement);
          if (isIntersecting) {
            near.current.add(at);
            fill(at);
          } else {
            near.current.delete(at);
            empty(at);
          }
        }
      },
      { rootMargin: `${AHEAD}px 0px` },
    );
    let width = -1;
    const resized = new ResizeObserver(() => {
      if (element.clientWidth === width) return;
      width = element.clientWidth;
      lay();
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      watch.current?.disconnect();
      watch.current = undefined;
    };
  }, [lay, fill, empty]);

  // Another list: the same squares, unless there are more or fewer of them.
  const drawn = useRef(-1);
  useLayoutEffect(() => {
    if (drawn.current !== items.length) lay();
    else for (const place of buttons.current.keys()) paint(place);
    drawn.current = items.length;
  }, [items, toneOf, labelOf, lay, paint]);

  useEffect(
    () =>
      listen?.((changed) => {
        for (const place of changed ?? []) paint(place);
      }),
    [listen, paint],
  );

  return (
    <div
      ref={holder}
      role="group"
      aria-label={label}
      onClick={(event) => {
        const item = shown.current.items[places.current.get(event.target as Element) ?? -1];
        if (item !== undefined) shown.current.onOpen(item);
      }}
      onPointerOver={(event) => {
        // Who points at a square reads its words: few ever do.
        const item = shown.current.items[places.current.get(event.target as Element) ?? -1];
        if (item !== undefined) (event.target as HTMLElement).title = shown.current.labelOf(item);
      }}
      onFocus={(event) => {
        const at = places.current.get(event.target);
        const before = stop.current;
        if (at === undefined || at === before) return;
        stop.current = at;
        event.target.tabIndex = 0;
        const left = buttons.current.get(before);
        if (left !== undefined) left.tabIndex = -1;
        empty(blockOf(before));
      }}
      onKeyDown={(event) => {
        const at = places.current.get(event.target as Element);
        const last = shown.current.items.length - 1;
        const steps: Record<string, number> = {
          ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns.current, ArrowUp: -columns.current, Home: -last, End: last,
        };
        const step = steps[event.key];
        if (step === undefined || at === undefined) return;
        event.preventDefault();
        const next = Math.min(last, Math.max(0, at + step));
        fill(blockOf(next));
        buttons.current.get(next)?.focus();
      }}
    />
  );
}
