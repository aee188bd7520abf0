// Two machines with one key, in a real browser, against a real server with real agents.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Scene, waitFor } from './scene.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor();
const notice = (page, name) => page.getByRole('status').filter({ hasText: `Another machine is connecting as ${name}` });
const shown = async (name) => (await scene.call('GET', `/api/v1/{p}/desktops?name=${name}`)).items[0];

async function restarted(machine) {
  await scene.stopAgent(machine);
  scene.startAgent(machine);
}

let jobs = 0;
/** On which machine a job of a desktop runs. */
async function runsOn(name) {
  const mark = `ran-${(jobs += 1)}`;
  const app = await scene.app({ name: mark }, scene.script(`${mark}.run`, `touch "$OUTFITTER_ROOT/${mark}"`));
  const { id } = await scene.call('POST', '/api/v1/{p}/deployments', { app_ids: [app], desktop_ids: [(await shown(name)).id] });
  await waitFor('the job to end', async () => (await scene.call('GET', `/api/v1/{p}/deployments/${id}`)).counts.jobs_success === 1);
  return scene.machineWith(mark);
}

test('a copy that was refused is shown, found from the overview, and settled as a copy', async () => {
  await scene.desktop('ANA-DESK', 'ana');
  await scene.desktop('BEN-DESK', 'ben');
  const page = await scene.loggedIn();
  await heading(page, 'Overview');
  const copy = await scene.copyOf('ANA-DESK');
  await scene.seenCopy('ANA-DESK');
  await page.reload();
  const attention = page.getByRole('region', { name: 'Needs attention' });
  await attention.getByText('Another machine has the key of 1 desktop').waitFor();
  await attention.getByRole('link', { name: 'Show' }).first().click();
  await page.getByRole('row', { name: /Two machines/ }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'BEN-DESK' }).count(), 0);
  await page.getByRole('link', { name: 'ANA-DESK' }).click();

  await heading(page, 'ANA-DESK');
  const told = notice(page, 'ANA-DESK');
  await told.getByText('but another machine id or board').waitFor();
  await told.getByText('from 127.0.0.1').waitFor();
  const facts = page.getByRole('region', { name: 'About this desktop' });
  await facts.getByText('Two machines').waitFor();
  await told.getByRole('button', { name: 'This desktop is the real one' }).click();
  const dialog = page.getByRole('dialog', { name: 'Keep ANA-DESK where it is?' });
  await dialog.getByText('The other one is a copy: it stays refused').waitFor();
  await dialog.getByRole('button', { name: 'Keep' }).click();
  await told.waitFor({ state: 'detached' });
  await facts.getByText('One machine').waitFor();
  assert.equal((await shown('ANA-DESK')).agent.copy, undefined);

  // It is refused as before, and nobody is asked again.
  await restarted(copy);
  assert.equal(await runsOn('ANA-DESK'), 'ANA-DESK');
  await page.goto('/console/local-1/overview');
  await heading(page, 'Overview');
  await page.getByText('Nothing needs you.').waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('a desktop is handed over to the machine that was refused, and the other one is refused', async () => {
  await scene.desktop('BEN-DESK', 'ben');
  const copy = await scene.copyOf('BEN-DESK');
  const { id } = await scene.seenCopy('BEN-DESK');
  const page = await scene.loggedIn({}, `/console/local-1/desktops/${id}`);
  await notice(page, 'BEN-DESK').getByRole('button', { name: 'The other machine is the real one' }).click();
  const dialog = page.getByRole('dialog', { name: 'Hand BEN-DESK over to the other machine?' });
  await dialog.getByText('The machine that is BEN-DESK now is disconnected and refused').waitFor();
  assert.ok(await dialog.getByRole('button', { name: 'Hand over' }).isDisabled());
  await dialog.getByLabel('Type “BEN-DESK” to confirm').fill('BEN-DESK');
  await dialog.getByRole('button', { name: 'Hand over' }).click();
  await page.getByText('BEN-DESK is handed over.').waitFor();
  // Not to wait until they ask by themselves.
  await restarted(copy);
  assert.equal(await runsOn('BEN-DESK'), copy);
  // The machine that was there first is the other one now.
  await restarted('BEN-DESK');
  await notice(page, 'BEN-DESK').waitFor();
  await page.getByRole('button', { name: 'This desktop is the real one' }).click();
  // Somebody else was faster.
  await scene.call('PUT', `/api/v1/{p}/desktops/${id}/identity`, { real: 'present' });
  await page.getByRole('dialog').getByRole('button', { name: 'Keep' }).click();
  await page.getByRole('dialog').getByText('No other machine has connected as this desktop').waitFor();
  await page.keyboard.press('Escape');
  await notice(page, 'BEN-DESK').waitFor({ state: 'detached' });
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('copies enroll anew with the token that is chosen for them, when somebody approves', async () => {
  await scene.desktop('CHLOE-DESK', 'chloe');
  await scene.call('POST', '/api/v1/{p}/enrollment-tokens', { name: 'for copies', expires_in_seconds: 86_400, needs_approval: true });
  const page = await scene.loggedIn({}, '/console/local-1/settings');
  const card = page.getByRole('region', { name: 'Copies of desktops' });
  await card.getByText('A copy runs nothing.').waitFor();
  await card.getByText('They enroll anew', { exact: true }).click();
  const token = card.getByRole('combobox', { name: 'Token that copies enroll with' });
  await token.click();
  await page.getByRole('option', { name: /^bootstrap/ }).click();
  await card.getByText('Whoever steals a disk gets a desktop too').waitFor();
  await token.click();
  await page.getByRole('option', { name: /^for copies/ }).click();
  await card.getByText('Each copy waits under Desktops until somebody approves it.').waitFor();
  await card.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved.').waitFor();

  const copy = await scene.copyOf('CHLOE-DESK');
  await scene.seenCopy('CHLOE-DESK');
  await page.goto('/console/local-1/desktops');
  const waiting = page.getByRole('region', { name: 'Waiting for approval' }).first();
  await waiting.getByRole('link', { name: 'a copy of CHLOE-DESK' }).waitFor();
  await waiting.getByRole('button', { name: /^Approve CHLOE-DESK/ }).click();
  await page.getByText('Each becomes a desktop when its agent asks next').waitFor();
  await restarted(copy);
  const { items } = await waitFor('the copy to be a desktop of its own', async () => {
    const listed = await scene.call('GET', '/api/v1/{p}/desktops?name=CHLOE-DESK&agent=online');
    return listed.count === 2 && listed;
  });
  assert.deepEqual(items.map((desktop) => desktop.agent.copy), [undefined, undefined]);
  await page.goto('/console/local-1/settings');
  await card.getByText('Each copy waits under Desktops until somebody approves it.').waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});
