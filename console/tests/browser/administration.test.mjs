// What administrators do beside installing, in a real browser, against a real server with real agents and machines.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Scene, seriousOn, waitFor } from './scene.mjs';

let scene;
before(async () => {
  scene = await Scene.start({ withHosts: 2 });
});
after(() => scene?.stop());

const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor();

/** Closes a page on which no script failed, and that kept no secret. */
async function closed(page, secrets = []) {
  assert.deepEqual(page.complaints, []);
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  for (const secret of secrets) assert.ok(!kept.includes(secret), 'a secret is in the storage of the browser');
  await page.context().close();
}

async function deploymentEnds(id) {
  return waitFor('the deployment to end', async () => {
    const shown = await scene.call('GET', `/api/v1/{p}/deployments/${id}`);
    return shown.state === 'ended' && shown;
  });
}

test('a user, a group and a policy are made, and the simulator says which statement decides', async () => {
  const page = await scene.loggedIn({}, '/console/local-1/access');
  await page.getByRole('button', { name: 'Add user' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('lin');
  await dialog.getByRole('button', { name: 'Add user' }).click();
  await dialog.getByText('Save these now').waitFor();
  const secrets = await dialog.locator('.mantine-Paper-root .mantine-Text-root:nth-child(1)').allTextContents();
  await dialog.getByRole('button', { name: 'I have saved them' }).click();
  await dialog.waitFor({ state: 'detached' });
  assert.ok(!(await page.content()).includes('Save these now'));

  await page.getByRole('tab', { name: 'Groups' }).click();
  await page.getByRole('button', { name: 'Add group' }).click();
  await page.getByRole('dialog').getByLabel('Name').fill('cleaners');
  await page.getByRole('dialog').getByRole('button', { name: 'Add group' }).click();
  await page.getByRole('dialog', { name: 'Edit cleaners' }).getByRole('combobox', { name: 'Members' }).click();
  await page.getByRole('option', { name: 'lin' }).click();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row', { name: /cleaners.*lin/ }).waitFor();

  await page.getByRole('tab', { name: 'Policies' }).click();
  await page.getByRole('button', { name: 'Write policy' }).click();
  await page.getByRole('dialog').getByLabel('Name').fill('may-delete');
  await page
    .getByRole('dialog')
    .getByLabel('Document')
    .fill('{"Version": "1.1", "Statement": [{"Effect": "Allow", "Action": ["workspace:appcenter:deleteApp"]}]}');
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Attach policy' }).click();
  await page.getByRole('dialog').getByRole('combobox', { name: 'Policy' }).click();
  await page.getByRole('option', { name: 'may-delete' }).click();
  await page.getByRole('dialog').getByRole('combobox', { name: 'Who' }).click();
  await page.getByRole('option', { name: 'cleaners' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Attach policy' }).click();
  await page.getByRole('row', { name: /cleaners.*may-delete/ }).waitFor();

  await page.getByRole('tab', { name: 'Why (not)' }).click();
  await page.getByRole('combobox', { name: 'User' }).click();
  await page.getByRole('option', { name: 'lin' }).click();
  await page.getByRole('combobox', { name: 'Action' }).fill('workspace:appcenter:deleteApp');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.getByText('Allowed', { exact: true }).waitFor();
  await page.getByText('held through the group cleaners').waitFor();
  await page.getByRole('combobox', { name: 'Action' }).fill('workspace:appcenter:createApp');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.getByText('Refused', { exact: true }).waitFor();

  await page.getByRole('tab', { name: 'Login provider' }).click();
  await page.getByText('/login/oidc/callback').waitFor();
  await closed(page, secrets.filter((text) => text.length > 15));
});

test('the audit log shows what a call changed, and its chain is whole', async () => {
  const { id } = await scene.call('POST', '/v2/{p}/groups', { group_name: 'writers', platform_type: 'LOCAL', description: 'first' }).then(
    async () => (await scene.call('GET', '/v2/{p}/groups?keyword=writers')).user_groups[0],
  );
  await scene.call('PUT', `/v2/{p}/groups/${id}`, { description: 'second' });
  const page = await scene.loggedIn({}, '/console/local-1/audit?action=workspace%3AuserGroups%3Aupdate');
  await page.getByRole('region', { name: 'Audit' }).getByRole('button').first().click();
  const drawer = page.getByRole('dialog');
  await drawer.getByRole('row', { name: /description.*first.*second/ }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Check the chain' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Check now' }).click();
  await page.getByRole('dialog').getByText('The log is intact').waitFor();
  const note = await page.getByRole('dialog').locator('code').first().textContent();
  assert.match(note, /^\d+:[0-9a-f]{64}$/);
  // What was noted is found again; a place that never was is not.
  await page.getByRole('dialog').getByLabel('A place noted earlier').fill(note.replace(/.$/, (last) => (last === '0' ? '1' : '0')));
  await page.getByRole('dialog').getByRole('button', { name: 'Check now' }).click();
  await page.getByRole('dialog').getByText('The log is not intact').waitFor();
  await page.keyboard.press('Escape');
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Export' }).click();
  const lines = (await readFile(await (await download).path(), 'utf8')).trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(lines.length >= 1 && lines.every((entry) => entry.action === 'workspace:userGroups:update'));
  await closed(page);
});

test('an app is updated where it is outdated, explained, and taken off', async () => {
  await scene.desktop('MEI-DESK', 'mei');
  const first = scene.script('notes-1.run', 'cd "$OUTFITTER_ROOT" && mkdir -p opt/notes && touch "opt/notes/${1:-one}"; if [ "$1" = off ]; then rm -r opt/notes; fi');
  const app = await scene.app({ name: 'Notes', uninstall_command: '/bin/sh ${FILE_PATH} off' }, first);
  await scene.detection(app, { file: { path: '/opt/notes/one' } });
  await deploymentEnds(await scene.installForAll([app]));

  const page = await scene.loggedIn({}, `/console/local-1/apps/${app}?tab=detection`);
  await page.getByText('File must exist:').waitFor();
  await page.getByLabel('Path that must exist').fill('/opt/notes/two');
  await page.getByRole('button', { name: 'Add condition' }).click();
  const second = page.getByRole('group', { name: 'Condition 2' });
  await second.getByLabel('Path that must exist').fill('/opt/notes/gone');
  await second.getByLabel('Must not be there').check();
  await page.getByRole('button', { name: 'Set rule' }).click();
  await page.getByText('All of these:').waitFor();
  const command = '/bin/sh ${FILE_PATH} two';
  await scene.call('PATCH', `/v1/{p}/app-center/apps/${app}`, { version: '2.0', install_command: command });

  await page.getByRole('tab', { name: 'Revisions' }).click();
  const newest = page.getByRole('region', { name: 'Revision 4' });
  await newest.getByText(command, { exact: true }).waitFor();
  await newest.getByText('/bin/sh ${FILE_PATH}', { exact: true }).waitFor();

  await page.getByRole('tab', { name: 'Outdated' }).click();
  await page.getByRole('row', { name: /MEI-DESK.*1\.0/ }).waitFor();
  await page.getByRole('link', { name: 'Update 1' }).click();
  await page.getByRole('button', { name: 'Install now' }).click();
  await page.getByRole('button', { name: 'MEI-DESK · Notes: Succeeded' }).waitFor();

  await page.goto(`/console/local-1/apps/${app}?tab=outdated`);
  await page.getByText('No desktop has an older revision of this app.').waitFor();
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: 'Uninstall' }).click();
  await heading(page, 'Uninstall');
  await page.getByText('Desktops', { exact: true }).last().click();
  await page.getByRole('combobox', { name: 'Desktops', exact: true }).fill('mei');
  await page.getByRole('option', { name: 'MEI-DESK' }).click();
  await page.keyboard.press('Escape');
  await page.getByText('Desktops reached').waitFor();
  await page.getByRole('button', { name: 'Uninstall now' }).click();
  await heading(page, 'Uninstall Notes');
  await page.getByRole('button', { name: 'MEI-DESK · Notes: Succeeded' }).waitFor();

  const desktops = await scene.call('GET', '/api/v1/{p}/desktops?name=MEI-DESK');
  await page.goto(`/console/local-1/desktops/${desktops.items[0].id}`);
  await page.getByRole('region', { name: 'Jobs on this desktop' }).getByText('Uninstall').waitFor();
  await page.getByRole('combobox', { name: 'App' }).click();
  await page.getByRole('option', { name: 'Notes 2.0' }).click();
  await page.getByText('Installed', { exact: true }).waitFor();
  assert.match(page.url(), /why=/);
  await page.getByRole('button', { name: 'Read the log' }).click();
  await page.getByRole('region', { name: 'The agent’s log' }).getByLabel('The agent’s log').getByText(/ INFO .*outfitter_agent/).waitFor();
  await page.getByRole('button', { name: 'Language' }).click();
  await page.getByRole('menuitem', { name: '简体中文' }).click();
  await page.getByText(/^Notes 已从 MEI-DESK 卸载（由 .+ 发起）。$/).waitFor();
  await closed(page);
});

test('an app is given a new package, and nothing is installed by that', async () => {
  await scene.desktop('LEO-DESK', 'leo');
  const lines = 'mkdir -p "$OUTFITTER_ROOT/opt/ledger" && touch "$OUTFITTER_ROOT/opt/ledger/ledger"';
  const app = await scene.app({ name: 'Ledger' }, scene.script('ledger-1.0.run', lines));
  await scene.detection(app, { file: { path: '/opt/ledger/ledger' } });
  await deploymentEnds(await scene.installForAll([app]));

  const page = await scene.loggedIn({}, `/console/local-1/apps/${app}?tab=nonsense`);
  await page.getByRole('tab', { name: 'About', selected: true }).waitFor();
  await page.getByRole('link', { name: 'New version' }).click();
  await heading(page, 'New version of Ledger');
  const choose = (file) => page.locator('input[type=file]').first().setInputFiles(file);
  await choose(scene.script('ledger-2.0.run', `${lines}; echo two`));
  const card = page.getByRole('region', { name: 'ledger-2.0.run' });
  await card.getByText('Becomes the newest revision of Ledger').waitFor();
  assert.equal(await card.getByLabel('Version').inputValue(), '2.0');
  await card.getByRole('button', { name: 'Use this: 1.0' }).waitFor();
  assert.deepEqual(await seriousOn(page, 'new version'), []);
  await card.getByRole('button', { name: 'Make it the newest revision of Ledger' }).click();
  await card.getByText('Ledger 2.0 is the newest revision now. Nothing was installed by that.').waitFor();
  await card.getByText('A person set its detection rule, and it stays').waitFor();
  const { items } = await scene.call('GET', `/api/v1/{p}/apps/${app}/revisions?limit=10&offset=0`);
  assert.equal(items[0].version, '2.0');
  assert.notEqual(items[0].package.sha256, items[1].package.sha256);
  await card.getByRole('link', { name: 'Update desktops that have an older one' }).click();
  await page.getByRole('row', { name: /LEO-DESK.*1\.0/ }).waitFor();

  // Where apps are added, one that is there already is told.
  await page.goto('/console/local-1/apps/add');
  await choose(scene.script('ledger-2.0.run', `${lines}; echo again`));
  await card.getByText('There is already Ledger 2.0').waitFor();
  await card.getByRole('button', { name: 'Make it a new version of Ledger' }).click();
  await card.getByText('this package would not be used').waitFor();
  const renew = card.getByRole('button', { name: 'Make it the newest revision of Ledger' });
  assert.ok(await renew.isDisabled());
  await card.getByLabel('Version').fill('2.1');
  await renew.click();
  await card.getByText('Ledger 2.1 is the newest revision now.').waitFor();

  // Nobody could install a file of no known kind without a command.
  await choose({ name: 'thing.bin', mimeType: 'application/octet-stream', buffer: Buffer.from('data') });
  const unknown = page.getByRole('region', { name: 'thing.bin' });
  await unknown.getByText('Not recognised: fill in, then add').waitFor();
  assert.equal(await unknown.getByLabel('Description').inputValue(), '');
  const command = unknown.getByRole('textbox', { name: /^Install command/ });
  assert.equal(await command.evaluate((field) => field.required), true);
  await unknown.getByRole('button', { name: 'Remove thing.bin' }).click();
  await closed(page);
});

test('a deleted app is restored, and housekeeping says what would go', async () => {
  const app = await scene.app({ name: 'Mistake' }, scene.script('mistake.run', 'exit 0'));
  const page = await scene.loggedIn({}, `/console/local-1/apps/${app}`);
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await page.getByLabel('Type “Mistake” to confirm').fill('Mistake');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await heading(page, 'Apps');
  await page.getByRole('link', { name: 'Packages', exact: true }).click();
  await page.getByText('Every package is intact.').waitFor();
  await page.getByRole('button', { name: 'Preview clean-up' }).click();
  await page.getByText(/Nothing to remove|Can be removed now/).waitFor();
  await page.getByRole('button', { name: 'Restore Mistake' }).click();
  await page.getByText('Mistake is back in the catalogue.').waitFor();
  assert.equal((await scene.call('GET', '/v1/{p}/app-center/apps?name=Mistake')).count, 1);

  await page.getByRole('button', { name: 'Set quota' }).click();
  await page.getByRole('dialog').getByLabel('Quota').fill('2');
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await page.getByText(/of 2\.0 GB in use/).waitFor();
  await closed(page);
});

test('a company directory that cannot be read says why, and its password stays on the server', async () => {
  const page = await scene.loggedIn({}, '/console/local-1/people?tab=directory');
  await page.getByRole('button', { name: 'Connect a directory' }).click();
  await page.getByLabel('Address').fill('ldaps://127.0.0.1:9');
  await page.getByLabel('Base DN').fill('DC=corp,DC=example');
  await page.getByLabel('Account for reading').fill('reader@corp.example');
  await page.getByLabel(/^Password/).fill('a-secret-of-the-directory');
  const certificate = await scene.certificate();
  await page.getByLabel('Certificate authority (PEM)').fill(certificate);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('region', { name: 'ldaps://127.0.0.1:9' }).getByRole('button', { name: 'Test' }).click();
  await page.getByText('The directory cannot be read').first().waitFor();
  await page.getByRole('button', { name: 'Sync now' }).click();
  await page.getByText('Failed', { exact: true }).waitFor();
  assert.ok(!(await page.content()).includes('a-secret-of-the-directory'));
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await page.getByLabel('Type “corp.example” to confirm').fill('corp.example');
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await page.getByText('No company directory').waitFor();
  await closed(page, ['a-secret-of-the-directory']);
});

test('download limits and networks are set in the settings', async () => {
  const page = await scene.loggedIn({}, '/console/local-1/settings');
  const total = page.getByRole('group', { name: 'All downloads of one server' });
  await total.getByLabel('Rate').fill('50');
  await total.getByRole('button', { name: 'Add time window' }).click();
  await total.getByLabel('Rate').last().fill('10');
  await page.getByRole('region', { name: 'Download limits' }).getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved.').waitFor();
  await page.reload();
  await page.getByText(/in total (50|10) MB\/s/).waitFor();
  await total.getByLabel('Rate').last().waitFor();
  assert.equal(await total.getByLabel('Rate').last().inputValue(), '10 MB/s');
  await page.getByRole('button', { name: 'Test the store' }).click();
  const store = page.getByRole('region', { name: 'Package store' });
  await store.getByText(/^Works: folder /).waitFor();
  await store.getByText('Read and digest all · the digest is right').first().waitFor();
  assert.equal(await store.getByLabel('wrong', { exact: true }).count(), 0);
  await closed(page);
});

test('desktops are filtered by the server, kept as a view, and exported', async () => {
  for (const name of ['BARE-1', 'BARE-2']) await scene.call('POST', '/api/v1/{p}/desktops', { name, os_type: 'Windows', users: ['olga'] });
  const page = await scene.loggedIn({}, '/console/local-1/desktops');
  await page.getByText('No agent', { exact: true }).first().click();
  await page.getByRole('searchbox', { name: 'Users' }).fill('olga');
  await page.getByText('2 in all').waitFor();
  assert.match(page.url(), /state=none/);
  await page.getByRole('button', { name: 'Views' }).click();
  await page.getByRole('menuitem', { name: 'Save this view' }).click();
  await page.getByRole('dialog').getByLabel('Name').fill('bare ones');
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'CSV' }).click();
  const rows = (await readFile(await (await download).path(), 'utf8')).trim().split('\r\n');
  assert.deepEqual(rows.slice(1).map((row) => row.split(',')[1]).sort(), ['BARE-1', 'BARE-2']);
  await page.getByRole('link', { name: 'Desktops', exact: true }).click();
  await page.getByRole('link', { name: 'BARE-1' }).waitFor();
  await page.getByRole('button', { name: 'Views' }).click();
  await page.getByRole('menuitem', { name: 'bare ones' }).click();
  await page.getByText('2 in all').waitFor();
  // An address that was kept may name a page that the list no longer has.
  await page.goto(`${page.url()}&page=9`);
  await page.getByRole('link', { name: 'BARE-1' }).waitFor();
  await page.waitForURL((url) => !url.searchParams.has('page'));
  await closed(page);
});

test('an agent is pushed: probed, followed, the failed one mended and tried again', async () => {
  const [host, other] = scene.hosts.hosts;
  const { refusing, key } = scene.hosts;
  for (const name of ['GOOD-DESK', 'BAD-DESK']) await scene.call('POST', '/api/v1/{p}/desktops', { name, os_type: 'Linux' });
  const page = await scene.loggedIn({}, '/console/local-1/agents?q=-DESK');
  const reach = async (name, { address, port }) => {
    await page.getByRole('button', { name: `Connection of ${name}` }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Host name or address').fill(address);
    await dialog.getByLabel('Port').first().fill(String(port));
    await dialog.getByLabel('User').first().fill('root');
    await dialog.getByLabel('Private key').fill(key);
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.waitFor({ state: 'detached' });
    await page.getByText(`root@${address}:${port}`).waitFor();
  };
  await reach('GOOD-DESK', host);
  await reach('BAD-DESK', refusing);
  await page.getByRole('button', { name: 'Probe GOOD-DESK' }).click();
  await page.getByText('A push would go through').waitFor();
  await page.getByRole('button', { name: 'Probe BAD-DESK' }).click();
  await page.getByText('A push would end at: connecting').waitFor();
  await page.getByLabel('Choose GOOD-DESK').click();
  await page.getByLabel('Choose BAD-DESK').click();
  await page.getByRole('button', { name: 'Push agent to 2' }).click();
  await heading(page, 'Agent push');
  page.setDefaultTimeout(60_000);
  await page.getByRole('row', { name: /GOOD-DESK.*Done/ }).waitFor();
  const failed = page.getByRole('row', { name: /BAD-DESK.*Failed/ });
  await failed.getByText(/connect/i).first().waitFor();
  assert.deepEqual(await seriousOn(page, 'push'), []);
  // Mended, it goes on from the same page.
  const pushed = page.url();
  await failed.getByRole('link', { name: 'Change how it is reached' }).click();
  await reach('BAD-DESK', other);
  await page.goto(pushed);
  await page.getByRole('button', { name: 'Retry' }).click();
  await page.getByRole('row', { name: /BAD-DESK.*Done/ }).waitFor();
  await waitFor('both agents to be online', async () => (await scene.call('GET', '/api/v1/{p}/desktops?name=D-DESK&agent=online')).count === 2);
  await closed(page, [key]);
});

test('the overview shows how many agents are online', async () => {
  const page = await scene.loggedIn();
  await page.getByRole('region', { name: 'Agents online' }).getByText(/of \d+ online now/).waitFor();
  // Counted every five minutes: no test waits for it.
  const counted = (minutes, online) => ({ at: new Date(Date.now() - minutes * 60_000).toISOString(), online, agents: 3 });
  await page.route('**/agents-online*', (route) =>
    route.fulfill({ json: { step_seconds: 300, samples: [counted(15, 3), counted(10, 1), counted(5, 3)], now: counted(0, 3) } }),
  );
  await page.reload();
  const chart = page.getByRole('region', { name: 'Agents online' });
  await chart.getByText(/Lowest: 1, at/).waitFor();
  await chart.locator('.recharts-area').first().waitFor();
  await chart.locator('.recharts-surface').first().hover();
  await chart.locator('.recharts-tooltip-wrapper').getByText('Online').waitFor();
  await closed(page);
});
