import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { followed } from '../../src/stream';

class Source extends EventTarget {
  static readonly CLOSED = 2;
  static all: Source[] = [];
  readyState = 0;
  constructor(readonly url: string) {
    super();
    Source.all.push(this);
  }
  close() {
    this.readyState = Source.CLOSED;
  }
  fail(isForGood: boolean) {
    this.readyState = isForGood ? Source.CLOSED : 0;
    this.dispatchEvent(new Event('error'));
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('EventSource', Source);
  vi.stubGlobal('window', globalThis);
  Source.all = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('opens a stream anew when it was refused, later and later, and not once it is left', () => {
  const listened: Source[] = [];
  const stop = followed('/events', (source) => listened.push(source as unknown as Source));
  Source.all[0]?.fail(false);
  vi.advanceTimersByTime(60_000);
  expect(Source.all).toHaveLength(1);
  Source.all[0]?.fail(true);
  vi.advanceTimersByTime(5_000);
  expect(Source.all).toHaveLength(2);
  Source.all[1]?.fail(true);
  vi.advanceTimersByTime(5_000);
  expect(Source.all).toHaveLength(2);
  vi.advanceTimersByTime(5_000);
  expect(listened).toEqual(Source.all);
  expect(Source.all.map(({ url }) => url)).toEqual(['/events', '/events', '/events']);
  Source.all[2]?.fail(true);
  stop();
  vi.advanceTimersByTime(600_000);
  expect(Source.all).toHaveLength(3);
});
