// The end users' portal in a real browser, opened through the socket of a real agent.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { furnishPortal, ME, Scene, seriousOn, waitFor } from './scene.mjs';

let scene;
let ids;
before(async () => {
  scene = await Scene.start();
  ids = await furnishPortal(scene);
});
after(() => scene?.stop());

const card = (page, name) => page.getByRole('region', { name, exact: true });

test('an end user opens the portal from the desktop, installs an app and watches it arrive', async () => {
  const page = await scene.portal('MY-DESK');
  assert.ok(!page.url().includes('ticket'), 'the ticket leaves the address');
  const cookies = await page.context().cookies(`${scene.bootstrap.endpoint}/api/v1/x`);
  assert.deepEqual(
    cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]),
    [['outfitter_portal', true, 'Strict']],
  );
  await page.getByText('On MY-DESK').waitFor();
  const notes = card(page, 'Notes');
  await notes.getByText('Not installed').waitFor();
  await notes.getByText('Close your documents first.').waitFor();
  await notes.getByRole('button', { name: 'Install Notes' }).click();
  // The installer waits until somebody has seen it at work.
  await notes.getByText('Installing').first().waitFor();
  await notes.getByRole('button', { name: 'Stop Notes' }).waitFor();
  await scene.release('MY-DESK');
  await notes.getByText('Installed', { exact: true }).waitFor();
  assert.ok((await scene.atDesk('MY-DESK', 'apps', 'Notes')).includes('installed'));

  await page.getByRole('tab', { name: 'History' }).click();
  await page.getByText('Install Notes 1.0').waitFor();
  await page.getByText('by you').waitFor();
  await page.getByRole('tab', { name: 'Apps' }).click();
  await notes.getByRole('button', { name: 'Remove Notes' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await notes.getByText('Not installed').waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('an app that fails says why, and the same from the command line', async () => {
  const page = await scene.portal('MY-DESK');
  const viewer = card(page, 'Report Viewer');
  await viewer.getByRole('button', { name: 'Install Report Viewer' }).click();
  await viewer.getByText('but the app is not there').waitFor();
  await viewer.getByRole('button', { name: 'Install Report Viewer' }).waitFor();
  await assert.rejects(scene.atDesk('MY-DESK', 'install', 'Report Viewer'), /was not found afterwards/);
  const done = await scene.atDesk('MY-DESK', 'install', 'Calculator');
  assert.match(done, /Calculator 5\.1 is installed \(unverified/);
  await page.context().close();
});

test('what an administrator sent is put off and not stopped', async () => {
  await scene.call('PUT', '/api/v1/{p}/freeze', { frozen: true, reason: 'so that it waits' });
  await scene.call('POST', '/api/v1/{p}/deployments', { app_ids: [ids.pushed], desktop_ids: [ids.desktop] });
  const page = await scene.portal('MY-DESK');
  const update = card(page, 'Security Update');
  await update.getByText('Sent by your administrator').waitFor();
  assert.equal(await update.getByRole('button', { name: 'Stop Security Update' }).count(), 0);
  await update.getByRole('button', { name: 'Put off Security Update' }).click();
  await page.getByRole('button', { name: 'In an hour' }).click();
  await update.getByText(/Begins .* at the earliest/).waitFor();
  await scene.call('PUT', '/api/v1/{p}/freeze', { frozen: false });
  await page.context().close();
});

test('a revoked app disappears, and one of somebody else is never there', async () => {
  const page = await scene.portal('MY-DESK');
  const mine = card(page, 'Only Mine');
  await mine.waitFor();
  const notMine = await scene.portal('OTHER-DESK');
  await card(notMine, 'Calculator').waitFor();
  // The same person at another desktop: that session sees that desktop alone.
  await notMine.getByText('On OTHER-DESK').waitFor();
  assert.equal(await notMine.getByText('MY-DESK').count(), 0);
  assert.equal(await card(page, 'Of Somebody Else').count(), 0);
  await scene.call('POST', `/v1/{p}/app-center/apps/${ids.mine}/actions/assign-authorizations`, {
    authorization_type: 'ASSIGN_USER', del_users: [{ account: ME, account_type: 'SIMPLE' }],
  });
  await mine.waitFor({ state: 'detached' });
  await assert.rejects(scene.atDesk('MY-DESK', 'install', 'Only Mine'), /no application "Only Mine"/);
  await notMine.context().close();
  await page.context().close();
});

test('a link opens the portal once, and says so', async () => {
  const address = (await scene.atDesk('MY-DESK', 'portal', '--print')).trim();
  const first = await scene.page();
  await first.goto(address);
  await card(first, 'Calculator').waitFor();
  const second = await scene.page();
  await second.goto(address);
  await second.getByText('This link was used, or is too old').waitFor();
  await first.getByRole('button', { name: ME }).click();
  await first.getByRole('menuitem', { name: 'Log out' }).click();
  await first.getByText('Open this page from your desktop').waitFor();
  assert.deepEqual(await first.context().cookies(`${scene.bootstrap.endpoint}/api/v1/x`), []);
  for (const page of [first, second]) await page.context().close();
});

test('the portal by keyboard, in both languages, and accessible in light and dark, wide and on a phone', async () => {
  const wrong = [];
  for (const [colorScheme, width] of [['light', 1280], ['dark', 390]]) {
    const page = await scene.portal('MY-DESK', { colorScheme, viewport: { width, height: 844 }, locale: colorScheme === 'dark' ? 'zh-CN' : 'en-GB' });
    await card(page, 'Calculator').waitFor();
    for (const tab of ['apps', 'history']) {
      await page.goto(`/portal/?tab=${tab}`);
      await page.getByRole('tab', { selected: true }).waitFor();
      await page.getByRole('status', { name: '…' }).waitFor({ state: 'detached' });
      wrong.push(...(await seriousOn(page, `${tab} ${colorScheme}`)));
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, `${tab} scrolls sideways`);
    }
    const out = await scene.page({ colorScheme, viewport: { width, height: 844 } });
    await out.goto('/portal/#ticket=used');
    await out.getByText('This link was used').waitFor();
    wrong.push(...(await seriousOn(out, `entry ${colorScheme}`)));
    await out.context().close();
    if (colorScheme === 'dark') assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN');
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  }
  assert.deepEqual(wrong, []);
  const page = await scene.portal('MY-DESK');
  await card(page, 'Calculator').waitFor();
  await page.evaluate(() => document.body.focus());
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Skip to the content');
  await page.getByRole('searchbox').focus();
  await page.keyboard.type('calc');
  await card(page, 'Notes').waitFor({ state: 'detached' });
  await waitFor('the search in the address', () => page.url().includes('q=calc'));
  await page.context().close();
});
