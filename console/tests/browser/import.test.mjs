// Desktops, users and groups are imported from CSV files, in a real browser, against a real server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { Scene } from './scene.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor();
const csv = (name, lines) => ({ name, mimeType: 'text/csv', buffer: Buffer.from(lines.join('\r\n')) });
const choose = (page, file) => page.locator('input[type=file]').setInputFiles(file);

async function hasNoViolation(page) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => [id, nodes[0]?.target]), []);
}

test('desktops come from a file: seen before, told line by line, and again without harm', async () => {
  await scene.call('POST', '/api/v1/{p}/desktops', { name: 'SAME-1', os_type: 'Linux', users: ['mei'] });
  await scene.call('POST', '/api/v1/{p}/desktops', { name: 'WIN-1', os_type: 'Windows' });
  const page = await scene.loggedIn({}, '/console/local-1/desktops');
  await page.getByRole('link', { name: 'Import' }).click();
  await heading(page, 'Import desktops');

  // A header with a slip is no file at all.
  await choose(page, csv('slip.csv', ['name,user', 'A-1,mei']));
  await page.getByRole('alert').getByText('slip.csv: The first line names an unknown column “user”').waitFor();

  const lines = ['name,os,users,persistent', ...Array.from({ length: 60 }, (_, at) => `NEW-${at},,${at % 2 === 0 ? 'tom' : 'olga;tom'},`), 'same-1,linux,MEI,yes', 'WIN-1,Linux,,', 'bad name,,,', '"NEW-0",,,', 'short'];
  await choose(page, csv('fleet.csv', lines));
  const report = page.getByRole('region', { name: 'The lines of the file' });
  await page.getByText('65 lines').waitFor();
  await page.getByText('Error: 4 · New: 60 · Unchanged: 1 · Nothing is changed until you confirm').waitFor();
  await page.getByText('Error (4)').click();
  await report.getByRole('row', { name: /63 WIN-1 Error .*registered as Windows, not Linux/ }).waitFor();
  await report.getByRole('row', { name: /64 bad name Error “name” is not written as it must be: “bad name”/ }).waitFor();
  await report.getByRole('row', { name: /65 NEW-0 Error Line 2 has the same name/ }).waitFor();
  await report.getByRole('row', { name: /66 short Error Fields of the line: 1; of the first line: 4/ }).waitFor();
  await hasNoViolation(page);
  assert.equal((await scene.call('GET', '/api/v1/{p}/desktops')).count, 2, 'a preview changes nothing');

  await page.getByRole('button', { name: 'Import 60 lines' }).click();
  await page.getByRole('heading', { name: 'What became of fleet.csv' }).waitFor({ timeout: 60_000 });
  await page.getByRole('status').getByText('Failed: 4 · Added: 60 · Unchanged: 1').waitFor();
  await hasNoViolation(page);
  await page.getByRole('link', { name: 'To the list: Desktops' }).click();
  await page.getByText('62 in all').waitFor();
  const [desktop] = (await scene.call('GET', '/api/v1/{p}/desktops?name=NEW-59')).items;
  assert.deepEqual(desktop.users.map((user) => user.account).sort(), ['olga', 'tom']);

  // The same file again: what is there is left alone.
  await page.getByRole('link', { name: 'Import' }).click();
  await choose(page, csv('fleet.csv', lines));
  await page.getByText('Unchanged: 61').waitFor();
  await page.getByText('There is nothing to import.').waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a server that goes away in the middle leaves lines that were not tried, and says so', async () => {
  const page = await scene.loggedIn({}, '/console/local-1/import/desktops');
  await choose(page, csv('many.csv', ['name', ...Array.from({ length: 400 }, (_, at) => `LATE-${at}`)]));
  const begin = page.getByRole('button', { name: 'Import 400 lines' });
  await begin.waitFor();
  // By keyboard; and the connection breaks after some lines.
  let calls = 0;
  await page.route('**/api/v1/*/desktops', (route) => (route.request().method() === 'POST' && (calls += 1) > 40 ? route.abort() : route.fallback()));
  await begin.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'What became of many.csv' }).waitFor();
  await page.getByRole('status').getByText('Added: 40').waitFor();
  await page.getByText(/^Not tried \(3\d\d\)$/).click();
  await page.getByRole('row', { name: /Not tried The server could not be reached any more/ }).first().waitFor();
  await page.unroute('**/api/v1/*/desktops');
  await choose(page, csv('many.csv', ['name', ...Array.from({ length: 400 }, (_, at) => `LATE-${at}`)]));
  await page.getByText('New: 360 · Unchanged: 40').waitFor();
  await page.context().close();
});

test('users and groups come from files, in Chinese too', async () => {
  const page = await scene.loggedIn({}, '/console/local-1/people?tab=groups');
  await page.getByRole('link', { name: 'Import' }).click();
  await heading(page, 'Import groups');
  await choose(page, csv('groups.csv', ['name,description,members', 'design,Designers,mei', 'lab,,nobody']));
  await page.getByRole('row', { name: /2 design New Users who join: 1/ }).waitFor();
  await page.getByRole('row', { name: /3 lab Error There is no user named nobody/ }).waitFor();
  await page.getByRole('button', { name: 'Import 1 line' }).click();
  await page.getByRole('row', { name: /2 design Added/ }).waitFor();

  await page.goto('/console/local-1/import/users');
  await choose(page, csv('users.csv', ['name,email,groups', 'eva,eva@example.com,design', 'mei,mei@example.com,', 'finn,,']));
  await page.getByRole('row', { name: /2 eva New Joins design/ }).waitFor();
  await page.getByRole('row', { name: /3 mei Will change New email/ }).waitFor();
  await page.getByRole('row', { name: /4 finn Error .*needs an email or a phone number/ }).waitFor();
  await page.getByRole('button', { name: 'Import 2 lines' }).click();
  await page.getByRole('row', { name: /2 eva Added/ }).waitFor();
  await page.getByRole('row', { name: /3 mei Changed/ }).waitFor();
  const { user_groups } = await scene.call('GET', '/v2/{p}/groups?keyword=design');
  assert.equal(user_groups[0].user_quantity, 2);
  assert.deepEqual(page.complaints, []);
  await page.context().close();

  const chinese = await scene.loggedIn({ locale: 'zh-CN' }, '/console/local-1/import/users');
  await heading(chinese, '导入用户');
  await choose(chinese, csv('users.csv', ['name,email', 'eva,eva@example.com']));
  await chinese.getByRole('row', { name: /2 eva 无需更改/ }).waitFor();
  await hasNoViolation(chinese);
  await chinese.context().close();
});
