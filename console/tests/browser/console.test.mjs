// The console in a real browser, against a real server with real agents.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { furnish, PAGES, Scene, seriousOn, STATES } from './scene.mjs';

let scene;
before(async () => {
  scene = await Scene.start();
});
after(() => scene?.stop());

const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor();

/** Uploads a package through the page and confirms what was recognised. Answers the app's page. */
async function addApp(page, path, name) {
  await page.getByRole('link', { name: 'Apps', exact: true }).click();
  await page.getByRole('link', { name: 'Add apps' }).first().click();
  await page.locator('input[type=file]').setInputFiles(path);
  const card = page.getByRole('region', { name: path.split('/').at(-1) });
  await card.getByLabel('Name').fill(name);
  await card.getByLabel('Version').fill('1.0');
  await card.getByRole('button', { name: 'Add to catalogue' }).click();
  await card.getByText(`${name} is in the catalogue.`).waitFor();
  return card;
}

/** From an app's card to its live deployment page, for one person. */
async function installFor(page, card, person) {
  await card.getByRole('link', { name: 'Install' }).click();
  await page.getByRole('textbox', { name: 'People and groups' }).fill(person);
  await page.getByRole('option', { name: person }).click();
  await page.getByText('Desktops reached').waitFor();
  await page.getByRole('button', { name: 'Install now' }).click();
  await page.waitForURL(/deployments\//);
}

test('from the first login to the first installed app', async () => {
  await scene.desktop('ANA-DESK', 'ana');
  const page = await scene.page();
  await page.goto('/');
  await page.waitForURL('**/console/**');
  await page.locator('input[name=username]').fill('administrator');
  await page.locator('input[name=password]').fill('not the password');
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await page.getByText('The user name or the password is wrong.').waitFor();
  await scene.logInto(page);
  await page.getByText('Install your first app').waitFor();

  const path = scene.script('hello-2.1.run', 'mkdir -p "$OUTFITTER_ROOT/opt/hello" && echo hi >"$OUTFITTER_ROOT/opt/hello/hello"');
  const card = await addApp(page, path, 'Hello');
  await installFor(page, card, 'ana');
  await page.getByRole('button', { name: 'ANA-DESK · Hello: Succeeded' }).click();
  await page.getByText('Unverified: exit code only').waitFor();
  // No event tells of it any more: the list does.
  await page.reload();
  await page.getByRole('button', { name: 'ANA-DESK · Hello: Succeeded, unverified' }).waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('the lying app is led to its reason', async () => {
  const page = await scene.loggedIn();
  const path = scene.script('liar-1.run', 'echo installed; exit 0');
  const card = await addApp(page, path, 'Liar');
  await card.getByRole('link', { name: 'Show' }).click();
  await page.getByRole('tab', { name: 'Detection rule' }).click();
  await page.getByLabel('Path that must exist').fill('/opt/liar/bin/liar');
  await page.getByRole('button', { name: 'Set rule' }).click();
  await page.getByText('Set by a person').waitFor();
  await page.getByRole('link', { name: 'Install' }).last().click();
  await page.getByText('Everyone', { exact: true }).click();
  await page.getByRole('button', { name: 'Install now' }).click();
  await page.getByRole('button', { name: 'ANA-DESK · Liar: Failed' }).click();
  const drawer = page.getByRole('dialog');
  await drawer.getByText('the application was not found afterwards').waitFor();
  await drawer.getByText('/opt/liar/bin/liar').first().waitFor();
  await page.context().close();
});

test('a failing app is retried and succeeds', async () => {
  const page = await scene.loggedIn();
  const path = scene.script('twice-1.run', 'mark="$OUTFITTER_ROOT/tried"; if [ -e "$mark" ]; then exit 0; fi; touch "$mark"; echo "no licence" >&2; exit 9');
  const card = await addApp(page, path, 'Twice');
  await installFor(page, card, 'ana');
  await page.getByRole('button', { name: 'ANA-DESK · Twice: Failed' }).waitFor();
  await page.getByRole('button', { name: 'Retry 1 failed' }).click();
  await page.getByRole('button', { name: 'ANA-DESK · Twice: Succeeded' }).click();
  await page.getByRole('heading', { name: 'Attempt 2' }).waitFor();
  await page.context().close();
});

test('a frozen project says so everywhere, and what waits is cancelled', async () => {
  const page = await scene.loggedIn();
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.getByRole('form', { name: 'This project' }).getByLabel('Reason, shown to everyone').fill('change freeze');
  await page.getByRole('button', { name: 'Freeze this project' }).click();
  const banner = page.getByRole('status').filter({ hasText: 'This project is frozen' });
  await banner.getByText('change freeze').waitFor();

  const path = scene.script('late-1.run', 'exit 0');
  const card = await addApp(page, path, 'Late');
  await installFor(page, card, 'ana');
  await banner.waitFor();
  await page.getByRole('button', { name: 'ANA-DESK · Late: Waiting' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel job' }).click();
  await page.getByRole('dialog').getByText('The installation was cancelled.').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Retry 1 failed' }).click();
  await page.getByRole('button', { name: 'ANA-DESK · Late: Waiting' }).waitFor();
  await page.getByRole('button', { name: 'Cancel the rest' }).click();
  await page.getByLabel('Type “Late” to confirm').fill('Late');
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the rest' }).click();
  await page.getByRole('button', { name: 'ANA-DESK · Late: Failed' }).waitFor();

  await page.getByRole('link', { name: 'Settings', exact: true }).click();
  await page.getByRole('button', { name: 'Unfreeze' }).click();
  await banner.waitFor({ state: 'detached' });
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test('the keyboard alone is enough', async () => {
  const page = await scene.page();
  await page.goto('/console/');
  await page.locator('input[name=username]:focus').waitFor();
  await page.keyboard.type(scene.bootstrap.user_name);
  await page.keyboard.press('Tab');
  await page.keyboard.type(scene.bootstrap.password);
  await page.keyboard.press('Enter');
  await heading(page, 'Overview');
  await page.evaluate(() => document.body.focus());
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
  // To the navigation by Tab, to a page by Enter.
  for (let steps = 0; ; steps += 1) {
    assert.ok(steps < 60, 'the link to the desktops is reached by Tab');
    await page.keyboard.press('Shift+Tab');
    if ((await page.evaluate(() => document.activeElement?.textContent)) === 'Desktops') break;
  }
  await page.keyboard.press('Enter');
  await heading(page, 'Desktops');
  await page.getByRole('link', { name: 'ANA-DESK' }).focus();
  await page.keyboard.press('Enter');
  await heading(page, 'ANA-DESK');
  // A dialog holds the focus and gives it back.
  await page.getByRole('button', { name: 'Delete' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByLabel('Type “ANA-DESK” to confirm').waitFor();
  await page.keyboard.type('ANA');
  assert.ok(await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).isDisabled());
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.context().close();
});

test('both languages, and the choice is kept', async () => {
  const page = await scene.loggedIn({ locale: 'zh-CN' });
  await heading(page, '概览');
  assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN');
  await page.getByRole('button', { name: '语言' }).click();
  await page.getByRole('menuitem', { name: 'English' }).click();
  await heading(page, 'Overview');
  await page.reload();
  await heading(page, 'Overview');
  await page.context().close();
});

test('a session that ended leads to the login and back to the same page', async () => {
  const page = await scene.loggedIn({}, '/console/local-1/desktops?q=ANA');
  await heading(page, 'Desktops');
  const cookies = await page.context().cookies();
  const session = cookies.find((cookie) => cookie.name === 'outfitter_session');
  assert.equal(session?.httpOnly, true);
  assert.equal(session?.sameSite, 'Strict');
  await page.context().clearCookies();
  await heading(page, 'Log in');
  await scene.logInto(page);
  await heading(page, 'Desktops');
  assert.match(page.url(), /desktops\?q=ANA$/);
  await page.getByRole('button', { name: 'administrator' }).click();
  await page.getByRole('menuitem', { name: 'Log out' }).click();
  await heading(page, 'Log in');
  assert.deepEqual((await page.context().cookies()).map((cookie) => cookie.name), []);
  await page.context().close();
});

test('the server restarts in the middle, and the page goes on', async () => {
  const page = await scene.loggedIn({}, '/console/local-1/jobs');
  await page.getByRole('button', { name: 'Twice' }).first().waitFor();
  await scene.stopServer();
  await page.getByText('The server cannot be reached').waitFor();
  await scene.startServer();
  await page.getByText('The server cannot be reached').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Twice' }).first().waitFor();
  await page.context().close();
});

const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

test('a page that cannot be drawn says so in its place, and is there after a reload', async () => {
  const page = await scene.loggedIn();
  // As after an update of the server, which has other parts than the console that is open.
  await page.route('**/assets/Rules-*.js', (route) => route.fulfill({ status: 404, body: '' }));
  await page.getByRole('link', { name: 'Control rules' }).click();
  await page.getByRole('alert').getByText('This page could not be shown').waitFor();
  await page.getByRole('link', { name: 'Jobs', exact: true }).click();
  await heading(page, 'Jobs');
  await page.getByRole('link', { name: 'Control rules' }).click();
  await page.getByText('This page could not be shown').waitFor();
  await page.unroute('**/assets/Rules-*.js');
  await page.getByRole('button', { name: 'Reload' }).click();
  await heading(page, 'Control rules');
  await page.context().close();
});

test('no page has a serious accessibility violation: light and dark, wide and phone, both languages', async () => {
  const ids = await furnish(scene);
  const wrong = [];
  const few = [
    { colorScheme: 'light', viewport: WIDE, locale: 'zh-CN' },
    { colorScheme: 'dark', viewport: PHONE, locale: 'en-GB' },
  ];
  const all = ['light', 'dark'].flatMap((colorScheme) => [WIDE, PHONE].flatMap((viewport) => ['en-GB', 'zh-CN'].map((locale) => ({ colorScheme, viewport, locale }))));
  // Dialogs and answers cost as much again: they are for the stated size (`make proof`).
  const full = process.env['OUTFITTER_PROOF_SIZE'] === 'full';
  for (const look of full ? all : few) {
    const { colorScheme } = look;
    const page = await scene.loggedIn(look);
    for (const [name, path] of PAGES(ids)) {
      await page.goto(`/console/local-1/${path}`);
      await page.locator('#main h1').waitFor();
      await page.waitForLoadState('load');
      await page.getByRole('status', { name: '…' }).waitFor({ state: 'detached' });
      wrong.push(...(await seriousOn(page, `${name} ${colorScheme}`)));
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, `${name} scrolls sideways`);
    }
    if (full && look.locale === 'en-GB') {
      for (const [name, path, act] of STATES(ids)) {
        await page.goto(`/console/local-1/${path}`);
        await page.locator('#main h1').waitFor();
        await act(page, { size: look.viewport.width, colorScheme });
        wrong.push(...(await seriousOn(page, `${name} ${colorScheme}`)));
      }
    }
    assert.deepEqual(page.complaints, []);
    await page.context().close();
    const out = await scene.page(look);
    await out.goto('/console/');
    await out.locator('input[name=username]').waitFor();
    wrong.push(...(await seriousOn(out, `login ${colorScheme}`)));
    await out.context().close();
  }
  assert.deepEqual(wrong, []);
});
