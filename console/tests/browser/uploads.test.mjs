// Packages on their way from a real browser to a real bucket: through breaks, restarts and reloads, several at once.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { PATIENCE_MS, Scene, waitFor } from './scene.mjs';

const MEGABYTE = 1_000_000;
/** In what time a page has learnt of an answer that came. */
const SETTLED_MS = 4_000;
const ADD = '/console/local-1/apps/add';

let scene;
before(async () => {
  scene = await Scene.start({ withGate: true });
});
after(() => scene?.stop());

/** The page that adds apps; notes which parts the bucket took, and what credentials it was given. A part that is sent again counts once. */
async function adding(options) {
  const page = await scene.loggedIn(options, ADD);
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('dialog', (dialog) => dialog.accept());
  page.partsPut = new Map();
  page.begun = [];
  page.credentials = [];
  page.on('response', async (response) => {
    const url = new URL(response.url());
    if (url.pathname.endsWith('/create-credential') && response.ok()) page.credentials.push((await response.json()).credential);
    if (url.origin !== scene.gate.address || !response.ok()) return;
    const id = url.searchParams.get('uploadId');
    if (url.searchParams.has('uploads')) page.begun.push(url.pathname);
    if (response.request().method() === 'PUT') page.partsPut.set(id, (page.partsPut.get(id) ?? new Set()).add(url.searchParams.get('partNumber')));
  });
  return page;
}

const put = (page) => [...page.partsPut.values()].reduce((sum, { size }) => sum + size, 0);
const choose = (page, ...paths) => page.getByLabel('Choose files').setInputFiles(paths);
const row = (page, { name }) => page.getByRole('region', { name });
const says = (page, file, text) => row(page, file).getByText(text, { exact: true }).waitFor();

/** Lets one request after another through, each whole, until it holds; then no more. */
async function letUntil(what, holds) {
  while (!holds()) {
    await scene.gate.letOne();
    // The page learns of the answer a little later.
    await waitFor(what, holds, SETTLED_MS).catch(() => undefined);
  }
}

const letParts = (page, count) => letUntil(`${count} parts in the bucket`, () => put(page) >= count);

async function assertAccessible(page) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const wrong = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(wrong.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`)}`), []);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, 'the page scrolls sideways');
}

/** Waits for the recognition, checks the digest, and makes an app of it. */
async function save(page, file, name) {
  const card = row(page, file);
  await card.getByText(file.sha256).waitFor();
  await card.getByText('computed by the server and by this browser alike').waitFor();
  await card.getByLabel('Name').fill(name);
  await card.getByLabel('Version').fill('1.0');
  await card.getByRole('button', { name: 'Add to catalogue' }).click();
  await card.getByText(`${name} is in the catalogue.`).waitFor();
  const { items } = await scene.call('GET', `/v1/{p}/app-center/apps?name=${encodeURIComponent(name)}`);
  const rule = await scene.call('GET', `/api/v1/{p}/apps/${items[0].id}/detection-rule`);
  assert.equal(rule.package.sha256, file.sha256);
  assert.equal(rule.package.size_bytes, file.bytes.length);
  return items[0].id;
}

test('an upload goes on after a restart of the server, a pause and a reload, and is installed as it was', async () => {
  const file = scene.largeScript('large-1.0.run', 64);
  const page = await adding();
  await choose(page, file.path);
  await letParts(page, 2);
  await says(page, file, 'Uploading');
  assert.ok(scene.parts().length > 0);

  // The server dies in the middle of parts, and comes back.
  await scene.stopServer();
  await scene.gate.close();
  await says(page, file, 'No answer: tries again by itself');
  await assertAccessible(page);
  await scene.startServer();
  await scene.gate.open();
  const beforeBreak = put(page);
  await letParts(page, beforeBreak + 1);

  // By hand.
  await page.getByRole('button', { name: `Pause ${file.name}` }).click();
  await says(page, file, 'Paused');
  const pausedAt = put(page);
  scene.gate.let(100 * MEGABYTE);
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Apps' }).click();
  await page.getByRole('link', { name: 'Add apps' }).first().click();
  await says(page, file, 'Paused');
  assert.equal(put(page), pausedAt, 'nothing is sent meanwhile');
  scene.gate.hold();
  await page.getByRole('button', { name: `Go on with ${file.name}` }).click();
  await letParts(page, pausedAt + 1);

  // What is kept in the browser is no credential.
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  assert.match(kept, /large-1\.0\.run/);
  assert.ok(page.credentials.length > 0);
  for (const secret of page.credentials.flatMap((given) => Object.values(given))) assert.ok(!kept.includes(secret), 'a credential is kept');

  // The page is loaded anew: another file of that name is not it, the same is.
  const beforeReload = put(page);
  await page.reload();
  // What the old page had on its way goes with it: a busy machine's buffers hold a whole part.
  await scene.gate.close();
  await scene.gate.open();
  await row(page, file).getByText('Unfinished: the page was loaded anew.').waitFor();
  await assertAccessible(page);
  const pick = page.getByLabel(`Choose ${file.name} again`).and(page.locator('input'));
  await pick.setInputFiles({ name: file.name, mimeType: 'application/x-sh', buffer: Buffer.from('something else') });
  await row(page, file).getByText(`${file.name} is not the file whose upload is unfinished`).waitFor();
  const { passed } = scene.gate;
  await pick.setInputFiles(file.path);
  scene.gate.let(1000 * MEGABYTE);
  const app = await save(page, file, 'Large');
  const again = scene.gate.passed - passed;
  assert.ok(again < file.bytes.length - beforeReload * 5 * MEGABYTE, `parts that had arrived are not sent again: ${again} of ${file.bytes.length} bytes after ${beforeReload} parts`);
  assert.equal(page.begun.length, 1, 'one upload from its beginning to its end');
  assert.deepEqual(scene.parts(), []);
  assert.equal(await page.evaluate(() => localStorage.getItem('outfitter.uploads')), null);

  const desk = await scene.desktop('ANA-DESK', 'ana');
  await scene.installForAll([app]);
  const digest = join(desk, 'opt/large/digest');
  await waitFor('the app on the desktop', () => existsSync(digest) && readFileSync(digest, 'utf8').startsWith(file.sha256), PATIENCE_MS);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('two files go side by side, each with a state of its own; one that is stopped leaves nothing', async () => {
  scene.gate.hold();
  const older = scene.parts();
  const [first, second, third] = ['first', "second 1+2 (名é)='s %", 'third'].map((name) => scene.largeScript(`${name}-1.0.run`, 20));
  const page = await adding({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  await choose(page, first.path, second.path);
  await letParts(page, 1);
  await says(page, first, 'Uploading');
  await says(page, second, 'Uploading');
  await assertAccessible(page);
  await page.getByRole('button', { name: `Pause ${second.name}` }).click();
  await says(page, second, 'Paused');
  // The same name twice would be the same object.
  await choose(page, first.path);
  await page.getByText('A file of this name is in the list already').waitFor();
  await page.getByRole('button', { name: `Remove ${first.name}` }).click();

  await choose(page, third.path);
  await letUntil('three uploads in the bucket', () => page.begun.length === 3);
  await says(page, third, 'Uploading');
  await page.getByRole('button', { name: `Stop ${third.name}` }).click();
  await row(page, third).waitFor({ state: 'detached' });
  scene.gate.let(1000 * MEGABYTE);
  await save(page, first, 'First');
  await says(page, second, 'Paused');
  await page.getByRole('button', { name: `Go on with ${second.name}` }).click();
  await save(page, second, 'Second');
  await waitFor('the parts of the one that was stopped to be gone', () => scene.parts().every((part) => older.includes(part)), PATIENCE_MS);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a file that changes on the way is no app', async () => {
  scene.gate.hold();
  const file = scene.largeScript('changes-1.0.run', 20);
  const page = await adding();
  await choose(page, file.path);
  await letParts(page, 1);
  await page.reload();
  // Name, size and time are the same: only the digest tells.
  const changed = Buffer.from(file.bytes);
  for (const at of [200, changed.length / 2, changed.length - 1]) changed[Math.floor(at)] ^= 1;
  scene.largeScript(file.name, changed);
  await page.getByLabel(`Choose ${file.name} again`).and(page.locator('input')).setInputFiles(file.path);
  scene.gate.let(1000 * MEGABYTE);
  await row(page, file).getByText('What arrived is not this file').waitFor();
  assert.equal(await row(page, file).getByRole('button', { name: 'Add to catalogue' }).count(), 0);
  await page.context().close();
});

test('a bucket that pages cannot reach is said, with what to do; nothing else is done unasked', async () => {
  const file = scene.largeScript('unreachable-1.0.run', 1);
  const page = await adding({ viewport: { width: 390, height: 844 } });
  await scene.gate.close();
  await choose(page, file.path);
  await row(page, file).getByText(`This page cannot reach the bucket at ${scene.gate.address}`).waitFor();
  await row(page, file).getByText('Open that address in a new tab.').waitFor();
  await assertAccessible(page);
  const { count } = await scene.call('GET', '/v1/{p}/app-center/apps?name=unreachable');
  assert.equal(count, 0);
  await row(page, file).getByRole('button', { name: 'Upload through the server instead' }).click();
  await save(page, file, 'Unreachable');
  await scene.gate.open();
  await page.context().close();
});
