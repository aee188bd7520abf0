import { describe, expect, it } from 'vitest';
import { queryText } from '../../src/address';
import { problemOf, type Shape } from '../../src/api/client';
import { changesOf, draftOfApp } from '../../src/components/AppForm';
import { bytes, relative } from '../../src/components/parts';
import { reasonOf, translated } from '../../src/failures';
import { write } from '../../src/i18n';
import { dictionary } from '../../src/i18n/dictionary';
import sentences from '../../src/i18n/sentences.json';
import { draftOf, nextOf } from '../../src/pages/add/drafts';
import { conditionsOf, ruleText } from '../../src/pages/app/Detection';
import { runsScript, verdictOf } from '../../src/pages/app/TryOut';

describe('texts', () => {
  it('have the same places in both languages', () => {
    const places = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();
    for (const [key, [en, zh]] of Object.entries(dictionary)) expect(places(zh), key).toEqual(places(en));
  });
  it('put values in place', () => {
    expect(write('en', 'list.count', { n: 12345 })).toBe('12,345 in all');
    expect(write('zh', 'list.page', { n: 2 })).toBe('第 2 页');
  });
});

describe('failures', () => {
  it('with the same first sentence are one reason', () => {
    expect(reasonOf('The installer failed. Exit code 7.')).toBe('The installer failed.');
    expect(reasonOf('Version 1.2 is too old. Update it.')).toBe('Version 1.2 is too old.');
    expect(reasonOf(undefined)).toBe('');
  });
  it('are told in Chinese, but for what was seen on the desktop', () => {
    const said = (message: string) => translated(message, sentences);
    expect(said('The desktop has too little free space. Free some space, then retry. (12 KiB free. Sorry.)')).toBe(
      '桌面的磁盘空间不足。请释放磁盘空间，然后重试。(12 KiB free. Sorry.)',
    );
    expect(said('connect: 192.0.2.1:22: Connection refused (os error 111). Check address and port, and that sshd runs there.')).toBe(
      'connect: 192.0.2.1:22: Connection refused (os error 111). 请检查地址和端口，并确认该处运行着 sshd。',
    );
    expect(said('The application was deleted.')).toBe('应用已被删除。');
    expect(said('Something newer than this console. Look there.')).toBe('Something newer than this console. Look there.');
  });
  it('keep code, sentence and request id, also without a body', () => {
    const headers = new Headers({ 'x-request-id': 'abc' });
    const full = problemOf({ status: 409, headers }, { error_code: 'WKS.1', error_msg: 'Taken.' });
    expect([full.code, full.message, full.requestId]).toEqual(['WKS.1', 'Taken.', 'abc']);
    expect(problemOf({ status: 502, headers: new Headers() }, undefined).code).toBe('502');
  });
});

it('says sizes and times in words', () => {
  expect([bytes(0), bytes(999), bytes(1500), bytes(25_000_000)]).toEqual(['0 B', '999 B', '1.5 kB', '25 MB']);
  expect(relative(-90_000, 'en-GB')).toMatch(/1 min/);
});

it('shows a rule as conditions, and leaves deeper ones to JSON', () => {
  const file = { file: { path: '/opt/a' } };
  const hello = { debian_package: { name: 'hello', version: '2.10-3' } };
  expect(conditionsOf({ all: [file, { not: hello }] })).toEqual({
    join: 'all',
    conditions: [
      { kind: 'file', not: false, what: '/opt/a', exact: '' },
      { kind: 'package', not: true, what: 'hello', exact: '2.10-3' },
    ],
  });
  expect(conditionsOf(file)?.conditions).toHaveLength(1);
  expect(conditionsOf({ any: [file, { all: [file, hello] }] })).toBeUndefined();
  expect(conditionsOf({ not: { not: file } })).toBeUndefined();
  expect(conditionsOf({ file: { path: '/opt/a', size_bytes: 3 } })).toBeUndefined();
});

it('writes a rule down line by line', () => {
  const t = (key: Parameters<typeof write>[1]) => write('en', key);
  expect(ruleText({ any: [{ file: { path: '/a' } }, { not: { debian_package: { name: 'b' } } }] }, t)).toBe(
    ['Any of these:', '  File /a', '  Not:', '    Debian package b in any version'].join('\n'),
  );
});

it('says what a desktop that was asked about a rule answered', () => {
  expect(verdictOf({ state: 'evaluated', holds: true })).toBe('holds');
  expect(verdictOf({ state: 'evaluated', holds: false })).toBe('not');
  // A rule that cannot be evaluated is neither true nor false.
  expect(verdictOf({ state: 'not_evaluable' })).toBe('unknown');
  expect(verdictOf({ state: 'not_connected' })).toBe('offline');
  expect(verdictOf({ state: 'no_answer' })).toBe('silent');
});

it('knows a rule that runs a script, however deep, also while it is being written', () => {
  expect(runsScript({ any: [{ file: { path: '/script' } }, { not: { all: [{ script: { script: 'true' } }] } }] })).toBe(true);
  expect(runsScript({ all: [{ file: { path: '/script' } }] })).toBe(false);
  for (const written of [null, 5, {}, { all: 3 }, { not: null }]) expect(runsScript(written)).toBe(false);
});

it('fills the form with what the package proposes', () => {
  const proposal = { name: 'editor', version: '2', install_type: 'UNZIP_INSTALL', install_command: 'unzip ${FILE_PATH}', support_os: 'Other' } as const;
  expect(draftOf({ proposal })).toMatchObject({ name: 'editor', version: '2', description: '', installType: 'UNZIP_INSTALL', installCommand: 'unzip ${FILE_PATH}' });
});

describe('a new version', () => {
  const app: Shape<'Application'> = {
    id: 'a', tenant_id: 't', name: 'Editor', version: '1', description: 'Edits.', authorization_type: 'ALL_USER', app_file_store: { store_type: 'OBS' },
    install_type: 'QUIET_INSTALL', install_command: '/bin/sh ${FILE_PATH} --quiet', support_os: 'Linux', status: 'NORMAL', application_source: 'CUSTOM',
    create_time: '2026-01-01T00:00:00Z', catalog_id: '2',
  };
  const next = (proposal: Partial<Shape<'PackageProposal'>>, of: Partial<typeof app> = {}) => nextOf({ ...app, ...of }, { proposal: { name: 'editor', ...proposal } });
  it('proposes what was recognised, and keeps the app', () => {
    const deb = { version: '2', install_type: 'QUIET_INSTALL', install_command: 'dpkg -i', uninstall_command: 'dpkg -r editor' } as const;
    expect(next(deb)).toMatchObject({ name: 'Editor', description: 'Edits.', version: '2', installCommand: 'dpkg -i', uninstallCommand: 'dpkg -r editor', versionOf: 'a' });
    expect(next({ install_type: 'UNZIP_INSTALL' }).installType).toBe('UNZIP_INSTALL');
    expect(next({})).toMatchObject({ version: '', installType: 'QUIET_INSTALL', installCommand: app.install_command });
  });
  it('keeps what a person decided beyond that', () => {
    expect(next({ install_command: '/bin/sh ${FILE_PATH}' }).installCommand).toBe('/bin/sh ${FILE_PATH} --quiet');
    expect(next({ install_command: '/bin/sh ${FILE}' }).installCommand).toBe('/bin/sh ${FILE}');
    expect(next({ version: '2', install_type: 'QUIET_INSTALL', install_command: 'msiexec' }, { install_type: 'GUI_INSTALL' })).toMatchObject({
      version: '2', installType: 'GUI_INSTALL', installCommand: app.install_command,
    });
  });
  it('sends nothing but what changes', () => {
    const before = draftOfApp(app);
    expect(changesOf(before, before)).toEqual({});
    expect(changesOf({ ...before, version: ' 2 ', uninstallCommand: 'rm' }, before)).toEqual({ version: '2', uninstall_command: 'rm' });
  });
});

it('asks with a space where a space is meant: a plus sign is itself', () => {
  expect(queryText({ actor: 'ann lee', status: 'on+off', agent: true })).toBe('actor=ann%20lee&status=on%2Boff&agent=true');
});
