// What a new administrator does first, with nothing but what the console says.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Scene } from './scene.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

async function choose(page, person) {
  await page.getByRole('textbox', { name: 'People and groups' }).fill(person);
  await page.getByRole('option', { name: person }).click();
}

test('a desktop is connected as the console says, and given its user', async () => {
  await scene.desktop('ANA-DESK', 'ana');
  await scene.desktop('BEN-DESK', 'ben');
  const page = await scene.loggedIn({}, '/console/local-1/desktops');
  await page.getByRole('button', { name: 'Connect a desktop' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Make a token for a day' }).click();
  await dialog.getByText('Waiting for a desktop to connect').waitFor();
  await dialog.getByRole('button', { name: 'Connect by hand instead' }).click();
  await dialog.getByText('Enrollment token').waitFor();
  const said = await dialog.innerText();
  const address = scene.bootstrap.agent_endpoint;
  assert.ok(said.includes(`Only the server’s own machine reaches ${address}`), said);
  assert.ok(said.includes(`curl -fsSk -o install.sh 'https://${address}/install.sh'`), said);
  assert.ok(said.includes(`outfitter-agent enroll --server ${address} --token -`), said);
  await scene.desktop('NEW-DESK', undefined, /^oft1\.[\w-]+$/m.exec(said)[0]);
  await dialog.getByText('Connected with this token: 1.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();

  await page.getByRole('link', { name: 'NEW-DESK' }).click();
  await page.getByText('nobody yet').waitFor();
  await page.getByRole('button', { name: 'Users of NEW-DESK' }).click();
  await choose(page, 'ana');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('The users of NEW-DESK are changed.').waitFor();
  await page.getByRole('button', { name: 'Users of NEW-DESK' }).click();
  await page.getByRole('button', { name: 'Remove ana' }).click();
  await choose(page, 'ben');
  await page.getByRole('button', { name: 'Save' }).click();
  await dialog.waitFor({ state: 'detached' });
  const { items } = await scene.call('GET', '/api/v1/{p}/desktops?name=NEW-DESK');
  assert.deepEqual(items[0].users.map(({ account }) => account), ['ben']);
  await page.context().close();
});

test('a machine that waits for approval is let in where its command was shown, and what leads nowhere says so', async () => {
  const page = await scene.loggedIn({}, '/console/local-1/desktops?enroll=1');
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Each machine waits until it is approved').click();
  await dialog.getByRole('button', { name: 'Make a token for a day' }).click();
  await dialog.getByRole('button', { name: 'Connect by hand instead' }).click();
  await dialog.getByText('Enrollment token').waitFor();
  await scene.desktop('FRED-DESK', undefined, /^oft1\.[\w-]+$/m.exec(await dialog.innerText())[0]);
  // What it waits for after the approval stands for as long as its agent does not ask.
  await dialog.getByRole('button', { name: /^Approve FRED-DESK/ }).waitFor();
  await scene.stopAgent('FRED-DESK');
  await dialog.getByRole('button', { name: /^Approve FRED-DESK/ }).click();
  await dialog.getByText('Approved, waiting for its agent').first().waitFor();
  scene.startAgent('FRED-DESK');
  await dialog.getByText('Connected with this token: 1.').waitFor();
  await dialog.getByRole('link', { name: 'FRED-DESK' }).click();
  await page.getByRole('heading', { level: 1, name: 'FRED-DESK' }).waitFor();

  for (const path of ['local-1/nosuch', 'nowhere/apps']) {
    await page.goto(`/console/${path}`);
    await page.getByText('There is no such page').waitFor();
  }
  await page.getByRole('link', { name: 'Overview' }).last().click();
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  await page.goto('/console/local-1/desktops/nobody');
  await page.getByText('This desktop no longer exists').waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('an app without a detection rule says what that means, and an install that reaches nobody is not done well', async () => {
  const page = await scene.loggedIn({}, '/console/local-1/apps/add');
  await page.locator('input[type=file]').setInputFiles(scene.script('bare-1.0.run', 'exit 0'));
  const card = page.getByRole('region', { name: 'bare-1.0.run' });
  await card.getByLabel('Version').fill('1.0');
  await card.getByLabel('Name').fill('Bare');
  await card.getByRole('button', { name: 'Add to catalogue' }).click();
  await card.getByRole('link', { name: 'Show' }).click();
  await page.getByText('Installs of this app stay unverified').waitFor();
  await page.getByRole('link', { name: 'Set a rule' }).click();
  await page.getByText('No rule: installs stay unverified').waitFor();

  const app = new URL(page.url()).pathname.split('/').at(-1);
  await scene.call('POST', '/api/v1/{p}/deployments', { app_ids: [app], users: [{ account: 'stranger', account_type: 'SIMPLE' }] });
  await page.getByRole('link', { name: 'Deployments', exact: true }).click();
  await page.getByText('Reached no desktop').waitFor();
  // What a filter hides is there all the same.
  await page.getByText('In progress', { exact: true }).click();
  await page.getByText('No matches').waitFor();
  await page.getByRole('link', { name: 'Jobs', exact: true }).click();
  await page.getByText('No jobs', { exact: true }).waitFor();
  // The address decides what is checked, a moment after the click.
  await page.getByLabel('Unverified only').click();
  await page.getByText('No matches').waitFor();
  await page.context().close();
});
