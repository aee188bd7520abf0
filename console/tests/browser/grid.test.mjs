// The squares of a large deployment, in a real browser, against a real server: reached by keyboard, changed by events.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { Scene, waitFor } from './scene.mjs';

const DESKTOPS = 50;
const APPS = 24;
const JOBS = DESKTOPS * APPS;
let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

test('of many squares only those in sight exist, each is reached by keyboard, and events change them where they stand', async () => {
  for (let at = 0; at < DESKTOPS; at += 1) await scene.call('POST', '/api/v1/{p}/desktops', { name: `DESK-${at}`, os_type: 'Linux', users: ['ana'] });
  const script = scene.script('editor-1.run', 'exit 0');
  const apps = [];
  for (let at = 0; at < APPS; at += 1) apps.push(await scene.app({ name: `Editor ${at}` }, script));
  const deployment = await scene.installForAll(apps);
  const page = await scene.loggedIn({ viewport: { width: 1280, height: 600 } }, `/console/local-1/deployments/${deployment}`);
  const grid = page.getByRole('group', { name: 'Jobs', exact: true });
  await page.waitForFunction((count) => document.querySelector('[data-count]')?.dataset.count === String(count), JOBS);
  await grid.getByRole('button').first().waitFor();
  const made = await grid.getByRole('button').count();
  assert.ok(made < JOBS, `${made} squares were made`);

  // One of them is in the order of Tab. Arrows go from square to square, End to the last, where nothing was drawn yet.
  assert.equal(await page.locator('.square[tabindex="0"]').count(), 1);
  const names = async () => page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
  await page.locator('.square[tabindex="0"]').focus();
  const first = await names();
  await page.keyboard.press('ArrowRight');
  assert.notEqual(await names(), first);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowLeft');
  assert.equal(await names(), first);
  await page.keyboard.press('End');
  const last = await names();
  assert.match(last, /^DESK-\d+ · Editor \d+: Waiting$/);
  assert.notEqual(last, first);
  await page.waitForFunction(() => document.activeElement?.getBoundingClientRect().bottom <= window.innerHeight);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByText(last.split(' ')[0]).first().waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.locator('.square[tabindex="0"]').focus();
  await page.keyboard.press('Home');
  assert.equal(await names(), first);
  // A square keeps its way to the keyboard when it is scrolled out of sight.
  await page.mouse.wheel(0, 10_000);
  await page.waitForFunction(() => window.scrollY > 200);
  assert.equal(await page.locator('.square[tabindex="0"]').getAttribute('aria-label'), first);

  // What the server tells is drawn in place, also where it comes into sight later.
  await scene.call('POST', `/api/v1/{p}/deployments/${deployment}/actions/cancel`);
  await page.getByRole('button', { name: `Retry ${JOBS.toLocaleString('en-GB')} failed` }).waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll('.square')].every((square) => square.dataset.tone === 'bad'));
  await page.locator('.square[tabindex="0"]').focus();
  await page.keyboard.press('End');
  assert.match(await names(), /Failed$/);
  await page.getByRole('region', { name: 'Failures by reason' }).getByText(/1,200/).waitFor();

  // Squares and counts are drawn from what events tell, whatever becomes of questions.
  const held = [];
  const asked = (url) => url.pathname.endsWith(`/deployments/${deployment}`);
  await page.route(asked, (route) => held.push(route));
  await page.locator('.square[tabindex="0"]').focus();
  await page.keyboard.press('Home');
  const { items } = await scene.call('GET', `/api/v1/{p}/deployments/${deployment}/jobs?limit=10&offset=0`);
  const [one, ...others] = items.map(({ id }) => id);
  const retry = (...items) => scene.call('POST', '/v1/{p}/app-center/jobs/actions/retry', { items });
  await retry(one);
  // The deployment goes on, so what events do not tell is asked for. From here on no answer comes, also none that was under way.
  await waitFor('the deployment to be asked for', () => held.length > 0);
  await retry(...others);
  await page.waitForFunction((count) => document.querySelectorAll('.square:not([data-tone="bad"])').length === count, items.length);
  await page.getByRole('button', { name: `Retry ${(JOBS - items.length).toLocaleString('en-GB')} failed` }).waitFor();
  await page.getByRole('status').getByText(`Failed ${JOBS - items.length}`).waitFor();
  await page.unroute(asked);

  // The same as a table, for those whom squares do not serve.
  await page.getByText('List', { exact: true }).click();
  await page.getByText('1,200 in all').waitFor();
  await page.getByRole('row', { name: /DESK-\d+ Editor \d+ Failed/ }).first().waitFor();
  assert.match(page.url(), /as=list/);
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => [id, nodes[0]?.target]), []);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});
