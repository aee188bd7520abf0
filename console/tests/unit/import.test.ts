import { describe, expect, it } from 'vitest';
import document from '../../../api/openapi.json';
import { ApiProblem } from '../../src/api/client';
import { read, readFile } from '../../src/import/csv';
import * as desktops from '../../src/import/desktops';
import * as groups from '../../src/import/groups';
import { carryOut, fold, planAll, type Planned, type Result, type Wish } from '../../src/import/plan';
import { misfit, type Schemas } from '../../src/import/schema';
import * as users from '../../src/import/users';

const schemas = document.components.schemas as unknown as Schemas;
const COLUMNS = desktops.COLUMNS;

describe('a file', () => {
  it('is read by the names of its columns, whatever their order and case', async () => {
    const [line] = await read('OS,name , users\n Linux , A-1,"mei; tom;"\n', COLUMNS);
    expect([line?.number, line?.get('name'), line?.get('os'), line?.get('persistent')]).toEqual([2, 'A-1', 'Linux', undefined]);
    expect(line?.names('users')).toEqual(['mei', 'tom']);
  });

  it('keeps the numbers of its lines: empty ones, fields of several lines, and any line end', async () => {
    const lines = await read('name,users\r\n\r\nA,"mei;\r\ntom"\n\n   \nB,\r\nC,""\n', COLUMNS);
    expect(lines.map((line) => [line.number, line.get('name')])).toEqual([
      [3, 'A'],
      [7, 'B'],
      [8, 'C'],
    ]);
    expect(lines[0]?.names('users')).toEqual(['mei', 'tom']);
  });

  it('says which line is wrong, and reads the others', async () => {
    const lines = await read('name,os\nA,Linux,more\nB\nC,Linux\nD,"Lin"ux\nE,"Linux"\nF,"never closed\n', COLUMNS);
    expect(lines.map((line) => [line.number, line.wrong])).toEqual([
      [2, { key: 'import.fields', values: { has: 3, wants: 2 } }],
      [3, { key: 'import.fields', values: { has: 1, wants: 2 } }],
      [4, undefined],
      // Where a quotation ends cannot be told any more: what is not read is said.
      [5, { key: 'import.bad-quotes', values: { n: 6 } }],
      [7, { key: 'import.bad-quotes', values: { n: 7 } }],
    ]);
  });

  it('is not read with a header that has a slip', async () => {
    const reasonOf = (text: string) => read(text, COLUMNS).then(() => 'read', (error: { reason: { key: string } }) => error.reason.key);
    expect(await reasonOf('')).toBe('import.no-header');
    expect(await reasonOf('os,users\nLinux,mei\n')).toBe('import.no-header');
    expect(await reasonOf('name,user\nA,mei\n')).toBe('import.unknown-column');
    expect(await reasonOf('name;os\nA;Linux\n')).toBe('import.unknown-column');
    expect(await reasonOf('name,Name\nA,B\n')).toBe('import.column-twice');
  });

  it('is UTF-8, with or without a byte order mark', async () => {
    const [line] = await readFile(new Blob(['\ufeffname,description\nBüro,设计\n']), groups.COLUMNS);
    expect([line?.get('name'), line?.get('description')]).toEqual(['Büro', '设计']);
    await expect(readFile(new Blob([new Uint8Array([0x6e, 0xfc, 0x0a])]), COLUMNS)).rejects.toMatchObject({ reason: { key: 'import.not-utf8' } });
    await expect(readFile(new Blob([new Uint8Array(10_000_001)]), COLUMNS)).rejects.toMatchObject({ reason: { key: 'import.too-big' } });
  });
});

it('takes names for the same as the server does', () => {
  expect(fold('MEI-Desk')).toBe(fold('mei-DESK'));
  expect(fold('Straße')).toBe(fold('STRASSE'));
  expect(fold('ＡＢ')).toBe(fold('ab'));
});

it('checks what is sent by the schema that the server enforces', () => {
  const body = { name: 'A-1', os_type: 'Linux', users: ['mei'] };
  expect(misfit(schemas, 'RegisterDesktopReq', body)).toBeUndefined();
  expect(misfit(schemas, 'RegisterDesktopReq', { ...body, name: 'a-name-that-is-too-long' })).toEqual({ key: 'import.too-long', values: { field: 'name', n: 15 } });
  expect(misfit(schemas, 'RegisterDesktopReq', { ...body, name: '1A' })).toEqual({ key: 'import.pattern', values: { field: 'name', value: '1A' } });
  expect(misfit(schemas, 'RegisterDesktopReq', { ...body, users: ['x'.repeat(65)] })).toEqual({ key: 'import.too-long', values: { field: 'users', n: 64 } });
  expect(misfit(schemas, 'RegisterDesktopReq', { ...body, users: Array(501).fill('mei') })).toEqual({ key: 'import.too-many', values: { field: 'users', n: 500 } });
  const attach = { desktops: [{ desktop_id: 'd', attach_user_infos: [{ user_name: 'x'.repeat(65), user_group: 'default' }] }] };
  expect(misfit(schemas, 'AttachInstancesReq', attach)).toEqual({ key: 'import.too-long', values: { field: 'user_name', n: 64 } });
  expect(misfit(schemas, 'EditUserReq', { user_email: 'no address' })).toMatchObject({ key: 'import.pattern' });
});

const short = ({ line, wish }: Planned) => [line, wish.outcome, ...('reasons' in wish ? wish.reasons.map((reason) => ('key' in reason ? reason.key : reason.text)) : [])];

describe('a plan', () => {
  it('of desktops says what each line would do', async () => {
    const known: desktops.Known = {
      desktops: new Map([
        ['old', { id: '1', os_type: 'Linux' as const, persistent: true, users: ['mei'] }],
        ['own', { id: '2', os_type: 'Windows' as const, persistent: false, users: ['tom'] }],
      ]),
      dedicated: new Set(['2']),
      reaches: new Map(),
    };
    const text = [
      'name,os,users,persistent',
      'NEW,,tom;olga,',
      'old,linux,MEI,yes',
      'Old,Linux,,',
      'own,,olga,',
      'Bad name,Linux,,',
      ',Linux,,',
      'B,BeOS,,',
      'C,,,perhaps',
      'D,,mei;Mei,',
      'E,,\u0001,',
    ].join('\n');
    const plan = planAll(await read(text, COLUMNS), (line, name) => desktops.wishOf('p', known, schemas, line, name));
    expect(plan.map(short)).toEqual([
      [2, 'added', 'import.attached'],
      [3, 'unchanged'],
      [4, 'failed', 'import.same-name'],
      [5, 'failed', 'import.one-user-taken'],
      [6, 'failed', 'import.pattern'],
      [7, 'failed', 'import.no-name'],
      [8, 'failed', 'import.os'],
      [9, 'failed', 'import.yes-no'],
      [10, 'failed', 'import.twice'],
      [11, 'failed', 'import.pattern'],
    ]);
    const more = await read('name,os,users,persistent\nold,Windows,,\nOLD2,,,\nown,,,yes\n', COLUMNS);
    expect(planAll(more, (line, name) => desktops.wishOf('p', known, schemas, line, name)).map(short)).toEqual([
      [2, 'failed', 'import.other-os'],
      [3, 'added'],
      [4, 'failed', 'import.other-persistence'],
    ]);
    const [attach] = planAll(await read('name,users\nold,mei;tom\n', COLUMNS), (line, name) => desktops.wishOf('p', known, schemas, line, name));
    expect(attach?.wish).toMatchObject({ outcome: 'changed', reasons: [{ values: { names: 'tom' } }], keys: ['tom'] });
  });

  it('of desktops says how they are reached, and replaces no login', async () => {
    const desktop = { os_type: 'Linux' as const, persistent: true, users: [] };
    const known: desktops.Known = {
      desktops: new Map([
        ['old', { ...desktop, id: '1' }],
        ['own', { ...desktop, id: '2' }],
      ]),
      dedicated: new Set(),
      reaches: new Map([
        ['1', { desktop_id: '1', address: '10.1.0.1', has_login: false, sudo: false }],
        ['2', { desktop_id: '2', address: '10.1.0.2', port: 22, has_login: true }],
      ]),
    };
    const plan = async (lines: string) =>
      planAll(await read(`name,address,port,ssh_user\n${lines}`, COLUMNS), (line, name) => desktops.wishOf('p', known, schemas, line, name)).map(short);
    expect(await plan('NEW,10.1.0.3,,\nold,10.1.0.1,,\nown,10.1.0.2,22,\n')).toEqual([
      [2, 'added', 'import.reached-at'],
      [3, 'unchanged'],
      [4, 'unchanged'],
    ]);
    expect(await plan('NEW,,ssh,\nold,,2222,admin\nown,10.1.0.9,,\nNEW2,,70000,\n')).toEqual([
      [2, 'failed', 'import.port'],
      [3, 'changed', 'import.reached-at'],
      [4, 'failed', 'import.own-login'],
      [5, 'failed', 'import.port'],
    ]);
  });

  it('of users adds and changes, and never takes away', async () => {
    const known: users.Known = {
      users: new Map([['mei', { id: 'm', user_name: 'mei', user_email: 'mei@example.com', group_names: ['Design'] }]]),
      groups: new Map([
        ['design', 'g1'],
        ['lab', 'g2'],
      ]),
    };
    const text = 'name,email,phone,groups\nmei,mei@example.com,,design\nMei2,,,\ntom,tom@example.com,,lab\nolga,o@example.com,,none\n';
    const plan = planAll(await read(text, users.COLUMNS), (line, name) => users.wishOf('p', known, schemas, line, name));
    expect(plan.map(short)).toEqual([
      [2, 'unchanged'],
      [3, 'failed', 'import.needs-contact'],
      [4, 'added', 'import.joins'],
      [5, 'failed', 'import.no-group'],
    ]);
    const change = planAll(await read('name,email,groups\nMEI,new@example.com,design;lab\n', users.COLUMNS), (line, name) => users.wishOf('p', known, schemas, line, name));
    expect(change.map(short)).toEqual([[2, 'changed', 'import.new-value', 'import.joins']]);
  });

  it('of groups leaves those of the company directory alone', async () => {
    const known: groups.Known = {
      groups: new Map([
        ['design', { group: { id: 'g', name: 'design', platform_type: 'LOCAL', description: 'old' }, members: new Set(['m']) }],
        ['staff', { group: { id: 's', name: 'staff', platform_type: 'AD' }, members: new Set<string>() }],
      ]),
      users: new Map([
        ['mei', 'm'],
        ['tom', 't'],
      ]),
    };
    const text = 'name,description,members\ndesign,old,mei\nDesign2,,mei;tom\nstaff,,mei\nlab,,nobody\n';
    const plan = planAll(await read(text, groups.COLUMNS), (line, name) => groups.wishOf('p', known, schemas, line, name));
    expect(plan.map(short)).toEqual([
      [2, 'unchanged'],
      [3, 'added', 'import.join'],
      [4, 'failed', 'import.from-directory'],
      [5, 'failed', 'import.no-user'],
    ]);
  });
});

describe('carrying out', () => {
  const planned = (runs: (() => Promise<void>)[], keys: string[] = []): Planned[] =>
    runs.map((run, at) => ({ line: at + 2, name: `n${at}`, wish: { outcome: 'added', reasons: [], run, keys } satisfies Wish }));
  const results = async (plan: Planned[], signal = new AbortController().signal) => {
    const found = new Map<number, Result>();
    await carryOut(plan, (line, result) => found.set(line, result), signal);
    return [...found].sort(([left], [right]) => left - right).map(([, { outcome }]) => outcome);
  };

  it('does a few at once, and a failure does not stop the others', async () => {
    let now = 0;
    let most = 0;
    const run = async () => {
      most = Math.max(most, (now += 1));
      await new Promise((resolve) => setTimeout(resolve, 2));
      now -= 1;
    };
    const refused = () => Promise.reject(new ApiProblem(409, 'x', 'Taken.', ''));
    expect(await results(planned([run, refused, ...Array<typeof run>(20).fill(run)]))).toEqual(['added', 'failed', ...Array<string>(20).fill('added')]);
    expect(most).toBe(4);
  });

  it('lets the first line that needs a thing make it', async () => {
    const order: string[] = [];
    const run = (name: string) => async () => {
      order.push(`${name} begins`);
      await new Promise((resolve) => setTimeout(resolve, 2));
      order.push(`${name} ends`);
    };
    await results(planned([run('a'), run('b'), run('c')], ['mei']));
    expect(order.slice(0, 4)).toEqual(['a begins', 'a ends', 'b begins', 'c begins']);
  });

  it('does not try the rest when the server is gone, or when it is told to stop', async () => {
    const gone = () => Promise.reject(new ApiProblem(0, 'unreachable', '', ''));
    const good = () => Promise.resolve();
    expect(await results(planned([gone, good, good], ['mei']))).toEqual(['failed', 'not_tried', 'not_tried']);
    const stop = new AbortController();
    const stops = () => Promise.resolve(stop.abort());
    expect(await results(planned([good, stops, good], ['mei']), stop.signal)).toEqual(['added', 'added', 'not_tried']);
  });

  it('tries again what the server puts off', async () => {
    let tries = 0;
    const busy = () => ((tries += 1) === 1 ? Promise.reject(new ApiProblem(429, 'x', 'Later.', '')) : Promise.resolve());
    expect(await results(planned([busy]))).toEqual(['added']);
    expect(tries).toBe(2);
  });
});
