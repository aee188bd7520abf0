import { describe, expect, it } from 'vitest';
import type { Shape } from '../../src/api/client';
import { Board, MOST_SHOWN } from '../../src/board';

type Job = Shape<'JobEvent'>;
const job = (at: number, job_status: Job['job_status'] = 'INIT', error_message?: string) =>
  ({ id: `j${at}`, app_id: 'a', app_name: at % 2 === 0 ? 'Editor' : 'Viewer', instance_name: `D-${at}`, job_status, error_message }) as Job;

describe('a board', () => {
  it('has a job once that was read twice, as it was read last', () => {
    const board = new Board([job(0), job(1, 'WAITING'), job(1, 'FAIL'), job(2)]);
    expect(board.jobs.map(({ id, job_status }) => [id, job_status])).toEqual([['j0', 'INIT'], ['j1', 'FAIL'], ['j2', 'INIT']]);
    expect(board.failed).toBe(1);
  });

  it('changes jobs in their places and says which', () => {
    const board = new Board([job(0), job(1), job(2)]);
    const told: (readonly number[] | undefined)[] = [];
    const stop = board.listen((places) => told.push(places));
    const { jobs, order } = board;
    board.apply([job(2, 'WAITING'), job(0, 'SUCCESS')]);
    expect(told).toEqual([[2, 0]]);
    expect(board.jobs).toBe(jobs);
    expect(board.order).toBe(order);
    expect(board.jobs.map(({ job_status }) => job_status)).toEqual(['SUCCESS', 'INIT', 'WAITING']);
    expect(board.job('j2')?.job_status).toBe('WAITING');
    stop();
    board.apply([job(1, 'FAIL')]);
    expect(told).toHaveLength(1);
  });

  it('puts new jobs first, as the list has them, and holds no more than it shows', () => {
    const board = new Board(Array.from({ length: MOST_SHOWN }, (_, at) => job(at, at === MOST_SHOWN - 1 ? 'FAIL' : 'INIT')));
    expect(board.failed).toBe(1);
    let all = false;
    board.listen((places) => (all = places === undefined));
    board.apply([job(-1), job(-2), job(5, 'SUCCESS')]);
    expect(all).toBe(true);
    expect(board.jobs).toHaveLength(MOST_SHOWN);
    expect(board.jobs.slice(0, 3).map(({ id }) => id)).toEqual(['j-2', 'j-1', 'j0']);
    expect([board.job('j5')?.job_status, board.job(`j${MOST_SHOWN - 1}`), board.failed]).toEqual(['SUCCESS', undefined, 0]);
  });

  it('counts failures by cause as they come and go', () => {
    const board = new Board([job(0, 'FAIL', 'No licence. Code 7.'), job(1, 'FAIL', 'No licence. Code 8.'), job(2, 'FAIL', 'Too slow.'), job(3)]);
    expect(board.failures).toEqual([
      { reason: 'No licence.', count: 2, apps: ['Editor', 'Viewer'], desktops: ['D-0', 'D-1'], others: 0 },
      { reason: 'Too slow.', count: 1, apps: ['Editor'], desktops: ['D-2'], others: 0 },
    ]);
    const before = board.failures;
    board.apply([job(3, 'WAITING')]);
    expect(board.failures).toBe(before);
    const { reasons } = board;
    expect(reasons).toEqual(['No licence.', 'Too slow.']);
    board.apply([job(3, 'FAIL', 'No licence.')]);
    expect(board.failures).not.toBe(before);
    expect(board.reasons).toBe(reasons);
    board.apply([job(3, 'WAITING')]);
    board.apply([job(0, 'INIT'), job(2, 'FAIL', 'No licence.')]);
    expect(board.failures).toEqual([{ reason: 'No licence.', count: 2, apps: ['Viewer', 'Editor'], desktops: ['D-1', 'D-2'], others: 0 }]);
    expect(board.reasons).toEqual(['No licence.']);
    expect([board.failed, board.failedIds(), board.failedIds('Too slow.')]).toEqual([2, ['j1', 'j2'], []]);
  });

  it('names some desktops of a cause, each once, and counts the others', () => {
    const on = (at: number, desktop: number, job_status: Job['job_status'] = 'FAIL') => ({ ...job(at, job_status, 'Too slow.'), instance_name: `D-${desktop}` });
    // Two jobs on each of six desktops.
    const board = new Board(Array.from({ length: 12 }, (_, at) => on(at, at % 6)));
    expect(board.failures).toMatchObject([{ count: 12, desktops: ['D-0', 'D-1', 'D-2', 'D-3'], others: 2 }]);
    board.apply([on(0, 0, 'SUCCESS'), on(1, 1, 'SUCCESS'), on(7, 1, 'SUCCESS')]);
    expect(board.failures).toMatchObject([{ count: 9, desktops: ['D-0', 'D-2', 'D-3', 'D-4'], others: 1 }]);
    board.apply([on(6, 0, 'INIT'), on(1, 1)]);
    expect(board.failures).toMatchObject([{ count: 9, desktops: ['D-2', 'D-3', 'D-4', 'D-5'], others: 1 }]);
  });
});
