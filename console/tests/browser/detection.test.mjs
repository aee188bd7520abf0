// A detection rule is tried out on desktops before it is set, in a real browser, with real agents.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { Scene, waitFor } from './scene.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

test('a rule is tried on desktops before it is set, and each says what it saw', async () => {
  const root = await scene.desktop('TRY-DESK', 'tina');
  mkdirSync(join(root, 'opt'), { recursive: true });
  writeFileSync(join(root, 'opt/there'), 'there');
  await scene.desktop('GONE-DESK', 'gus');
  await waitFor('both agents to be online', async () => (await scene.call('GET', '/api/v1/{p}/desktops?agent=online')).count === 2);
  await scene.call('POST', '/api/v1/{p}/desktops', { name: 'BARE-DESK', os_type: 'Linux' });
  const app = await scene.app({ name: 'There' }, scene.script('there-1.run', 'exit 0'));
  await scene.stopAgent('GONE-DESK');
  const [gone] = (await scene.call('GET', '/api/v1/{p}/desktops?name=GONE')).items;
  await waitFor('the channel to be closed', async () => {
    const body = { desktop_ids: [gone.id], rule: { file: { path: '/opt/there' } } };
    const { items } = await scene.call('POST', `/api/v1/{p}/apps/${app}/actions/evaluate-detection`, body);
    return items[0].state === 'not_connected';
  });

  const page = await scene.loggedIn({}, `/console/local-1/apps/${app}?tab=detection`);
  const panel = page.getByRole('region', { name: 'Try it on desktops' });
  const act = panel.getByRole('button', { name: 'Try it' });
  await panel.getByText('Write a rule first.').waitFor();
  assert.ok(await act.isDisabled());
  await page.getByLabel('Path that must exist').fill('/opt/there');
  await panel.getByText('Choose a desktop first.').waitFor();

  // By keyboard alone: those online are proposed, one that is looked for by name says that it is not.
  const desktops = panel.getByRole('combobox', { name: 'Desktops' });
  await desktops.focus();
  await page.getByRole('option', { name: /TRY-DESK.*Online/ }).waitFor();
  assert.equal(await page.getByRole('option', { name: /BARE-DESK/ }).count(), 0);
  for (const [typed, option] of [
    ['try', /TRY-DESK.*Online/],
    ['gone', /GONE-DESK/],
    ['bare', /BARE-DESK.*No agent/],
  ]) {
    await page.keyboard.type(typed);
    await page.getByRole('option', { name: option }).waitFor();
    await waitFor('the others to go', async () => (await page.getByRole('option').count()) === 1);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
  }
  await page.keyboard.press('Escape');
  await act.focus();
  await page.keyboard.press('Enter');
  const answer = panel.getByRole('status');
  await answer.getByText('Holds on 1 of 3 · Offline: 2').waitFor();
  await panel.getByRole('row', { name: /TRY-DESK.*Holds.*\/opt\/there is there/ }).waitFor();
  await panel.getByRole('row', { name: /GONE-DESK.*Offline.*was not asked/ }).waitFor();
  await panel.getByRole('row', { name: /BARE-DESK.*Offline.*was not asked/ }).waitFor();

  await page.getByLabel('Path that must exist').fill('/opt/missing');
  await panel.getByText('The rule was changed since').waitFor();
  await act.click();
  await panel.getByRole('row', { name: /TRY-DESK.*Does not hold.*\/opt\/missing is missing/ }).waitFor();

  await page.getByText('JSON', { exact: true }).click();
  const json = page.getByLabel('Rule as JSON');
  await json.fill('{"registry_value": {"key": "HKEY_LOCAL_MACHINE\\\\SOFTWARE\\\\Editor"}}');
  await act.click();
  await panel.getByRole('row', { name: /TRY-DESK.*Cannot be told.*Windows registry/ }).waitFor();
  await json.fill('{"all": [{"script": {"script": "echo seen; exit 0"}}]}');
  await panel.getByText('This rule runs a script').waitFor();
  await act.click();
  await panel.getByRole('row', { name: /TRY-DESK.*Holds.*exit code 0: seen/ }).waitFor();
  // What is no rule cannot be tried.
  await json.fill('[5');
  assert.ok(await act.isDisabled());
  await json.fill('5');
  assert.ok(await act.isDisabled());

  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => [id, nodes[0]?.target]), []);
  assert.equal((await scene.call('GET', `/api/v1/{p}/apps/${app}/detection-rule`)).detection_rule, undefined);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});
