// Takes every page and every state worth looking at, light and dark, wide and phone, into a folder:
//   node screenshots.mjs FOLDER [PART...]      PART: begin, console, states, chinese, push, portal; all of them without one.
// With the part `documents` it takes the pictures of docs/console.md: node screenshots.mjs ../docs/images documents
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { furnish, furnishPortal, PAGES, PATIENCE_MS, Scene, STATES, waitFor } from './scene.mjs';

const [folder = 'screenshots', ...parts] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const isWanted = (part) => (parts.length === 0 && part !== 'documents') || parts.includes(part);

const SIZES = { wide: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
const LOOKS = Object.keys(SIZES).flatMap((size) => ['light', 'dark'].map((colorScheme) => ({ size, colorScheme, viewport: SIZES[size] })));
/** Until what was asked for has come and stands still, in milliseconds. */
const SETTLED_MS = 500;

/** Waits until nothing is outlined any more, and then until what came stands still. */
async function settled(page) {
  await page.waitForFunction(() => document.querySelector('.mantine-Skeleton-root') === null);
  if ((await page.locator('h1').count()) === 0) throw new Error(`nothing is drawn at ${page.url()}`);
  await page.waitForTimeout(SETTLED_MS);
}

/** Highest picture, in pixels. */
const MOST_PIXELS = 9000;

/** One picture. `whole`: all of the page, also what is below the fold; dialogs are taken as they are seen. */
async function shoot(page, name, { size, colorScheme, viewport }, { whole = true } = {}) {
  await settled(page);
  // The window grows to the page, as what sticks to its edges would else stand in the middle.
  const high = await page.evaluate(() => document.documentElement.scrollHeight);
  if (whole && high > viewport.height) await page.setViewportSize({ ...viewport, height: Math.min(high, MOST_PIXELS) });
  await page.screenshot({ path: join(folder, `${name}-${size}-${colorScheme}.png`) });
  await page.setViewportSize(viewport);
}

/** Before anything was done: log-in, the first page, and lists that teach. */
async function begin(scene) {
  for (const look of LOOKS) {
    const page = await scene.page(look);
    await page.goto('/console/');
    await page.locator('input[name=username]').waitFor();
    await shoot(page, 'login', look);
    await page.locator('input[name=username]').fill('administrator');
    await page.locator('input[name=password]').fill('not the password');
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await page.getByText('is wrong').waitFor();
    await shoot(page, 'login-wrong', look);
    await scene.logInto(page);
    await page.getByText('Install your first app').waitFor();
    await shoot(page, 'first', look);
    for (const name of ['apps', 'install', 'deployments', 'jobs', 'desktops', 'agents', 'people', 'rules']) {
      await page.goto(`/console/local-1/${name}`);
      await page.locator('#main h1').waitFor();
      await shoot(page, `empty-${name}`, look);
    }
    await page.context().close();
  }
}

async function everyPage(scene, ids) {
  for (const look of LOOKS) {
    const page = await scene.loggedIn(look);
    for (const [name, path] of PAGES(ids)) {
      await page.goto(`/console/local-1/${path}`);
      await page.locator('#main h1').waitFor();
      await shoot(page, name, look);
    }
    await page.context().close();
  }
}

async function everyState(scene, ids) {
  for (const look of LOOKS) {
    const page = await scene.loggedIn(look);
    for (const [name, path, act, options = { whole: false }] of STATES(ids)) {
      await page.goto(`/console/local-1/${path}`);
      await page.locator('#main h1').waitFor();
      await act(page, look);
      await shoot(page, name, look, options);
    }
    if (look.size === 'phone') {
      await page.goto('/console/local-1/overview');
      await page.getByRole('button', { name: 'Menu' }).click();
      await shoot(page, 'menu', look, { whole: false });
    }
    await page.context().close();
  }
  await scene.call('PUT', '/api/v1/{p}/freeze', { frozen: true, reason: 'Change freeze until Monday' });
  for (const look of LOOKS) {
    const page = await scene.loggedIn(look, '/console/local-1/settings');
    await page.getByText('This project is frozen').waitFor();
    await shoot(page, 'frozen', look);
    await page.context().close();
  }
  await scene.call('PUT', '/api/v1/{p}/freeze', { frozen: false });
}

const CHINESE = new Set(['overview', 'apps', 'app-detection', 'install', 'deployment', 'desktops', 'desktop', 'desktop-why', 'agents-updates', 'people', 'access-policies', 'audit', 'settings']);

async function inChinese(scene, ids) {
  for (const look of LOOKS.filter(({ size, colorScheme }) => (size === 'wide') === (colorScheme === 'light'))) {
    const page = await scene.loggedIn({ ...look, locale: 'zh-CN' });
    for (const [name, path] of PAGES(ids).filter(([name]) => CHINESE.has(name))) {
      await page.goto(`/console/local-1/${path}`);
      await page.locator('#main h1').waitFor();
      await shoot(page, `zh-${name}`, look);
    }
    await page.context().close();
  }
}

/** A push onto a machine that takes it and one that refuses. */
async function push(scene) {
  const { key, hosts, refusing } = scene.hosts;
  const ids = [];
  for (const [name, { address, port }] of [['GOOD-DESK', hosts[0]], ['BAD-DESK', refusing]]) {
    const { id } = await scene.call('POST', '/api/v1/{p}/desktops', { name, os_type: 'Linux' });
    await scene.call('PUT', `/api/v1/{p}/desktops/${id}/reach`, { address, port, user: 'root', key });
    ids.push(id);
  }
  const probing = await scene.loggedIn({}, '/console/local-1/agents');
  await probing.getByRole('button', { name: 'Probe GOOD-DESK' }).click();
  await probing.getByText('A push would go through').waitFor();
  await probing.getByRole('button', { name: 'Probe BAD-DESK' }).click();
  await probing.getByText('A push would end at').waitFor();
  for (const look of LOOKS) {
    await probing.emulateMedia({ colorScheme: look.colorScheme });
    await probing.setViewportSize(look.viewport);
    await shoot(probing, 'agents-probed', look);
  }
  // The first page is there before the push begins, or it would show its end.
  const first = await scene.loggedIn(LOOKS[0]);
  const { job_id } = await scene.call('POST', '/v2/{p}/desktops/agents', { desktop_ids: ids });
  for (const look of LOOKS) {
    const page = look === LOOKS[0] ? first : await scene.loggedIn(look);
    page.setDefaultTimeout(60_000);
    await page.goto(`/console/local-1/agents/${job_id}`);
    if (page === first) {
      await page.getByRole('row', { name: /GOOD-DESK.*Running/ }).waitFor();
      await shoot(page, 'push-running', look);
    }
    await page.getByRole('row', { name: /GOOD-DESK.*Done/ }).waitFor();
    await page.getByRole('row', { name: /BAD-DESK.*Failed/ }).waitFor();
    await shoot(page, 'push', look);
    await page.context().close();
  }
}

/** The portal with something of everything: at work, done, failed, sent, put off; and its dialogs. */
async function portal(scene, ids) {
  await scene.call('POST', '/api/v1/{p}/deployments', { app_ids: [ids.pushed], desktop_ids: [ids.desktop] });
  await scene.atDesk('MY-DESK', 'install', 'Calculator');
  await scene.atDesk('MY-DESK', 'install', 'Report Viewer').catch(() => undefined);
  const first = await scene.portal('MY-DESK');
  await first.getByRole('button', { name: 'Install Notes' }).click();
  await first.getByText('Installing').first().waitFor();
  for (const look of LOOKS) {
    for (const [language, locale] of [['', 'en-GB'], ['zh-', 'zh-CN']]) {
      const page = await scene.portal('MY-DESK', { ...look, locale });
      await page.getByRole('region', { name: 'Notes' }).waitFor();
      await shoot(page, `portal-${language}apps`, look);
      await page.goto('/portal/?tab=history');
      await shoot(page, `portal-${language}history`, look);
      await page.context().close();
    }
    const page = await scene.portal('MY-DESK', look);
    await page.getByRole('button', { name: 'Remove Calculator' }).click();
    await page.getByRole('dialog').waitFor();
    await shoot(page, 'portal-remove', look, { whole: false });
    await page.goto('/portal/?q=nothing');
    await page.getByText('No matches').waitFor();
    await shoot(page, 'portal-none', look);
    await page.context().close();
    const out = await scene.page(look);
    await out.goto('/portal/#ticket=used');
    await out.getByText('This link was used').waitFor();
    await shoot(out, 'portal-entry', look);
    await out.context().close();
  }
  // A deferral needs a job that waits, and a desktop that went away does not begin it.
  const away = await scene.portal('MY-DESK');
  const context = away.context();
  await scene.stopAgent('MY-DESK');
  await scene.call('POST', '/api/v1/{p}/deployments', { app_ids: [ids.waiting], desktop_ids: [ids.desktop] });
  // A desktop counts as connected for a while after it went.
  await waitFor('the desktop to count as away', async () => {
    await away.reload();
    await away.getByRole('region', { name: 'Notes' }).waitFor();
    return away.getByText('is not connected').isVisible();
  }, PATIENCE_MS);
  await away.getByRole('button', { name: 'Put off Printer Driver' }).waitFor();
  for (const look of LOOKS) {
    await away.emulateMedia({ colorScheme: look.colorScheme });
    await away.setViewportSize(look.viewport);
    await shoot(away, 'portal-away', look);
    await away.getByRole('button', { name: 'Put off Printer Driver' }).click();
    await shoot(away, 'portal-defer', look, { whole: false });
    await away.keyboard.press('Escape');
    await away.getByRole('dialog').waitFor({ state: 'detached' });
  }
  await context.close();
}

/** The pictures of docs/console.md, as large as a page of text bears. */
async function documents(scene, ids) {
  const take = async (name, path, { act, size = { width: 1280, height: 800 }, clip, colorScheme = 'light', locale = 'en-GB' } = {}) => {
    const page = await scene.loggedIn({ viewport: size, colorScheme, locale }, `/console/local-1/${path}`);
    await act?.(page);
    await settled(page);
    await (clip?.(page) ?? page).screenshot({ path: join(folder, `${name}.png`) });
    await page.context().close();
  };
  const states = new Map(STATES(ids).map(([name, path, act]) => [name, { path, act }]));
  await take('overview', 'overview', { size: { width: 1280, height: 1080 } });
  await take('install', `install?app=${ids.app}&for=everyone`, { size: { width: 1280, height: 1060 } });
  await take('deployment', `deployments/${ids.deployment}`, { size: { width: 1280, height: 900 } });
  await take('deployment-phone', `deployments/${ids.halted}`, { size: { width: 390, height: 760 }, colorScheme: 'dark' });
  await take('job', states.get('job').path, { act: states.get('job').act, size: { width: 1280, height: 560 }, clip: (page) => page.getByRole('dialog') });
  await take('detection', `apps/${ids.app}?tab=detection`, { size: { width: 1280, height: 1150 } });
  await take('desktop', `desktops/${ids.desktop}?why=${ids.app}`, { size: { width: 1280, height: 1600 }, colorScheme: 'dark', clip: (page) => page.getByRole('region', { name: 'Why an app is here, or not' }) });
  await take('audit', 'audit', { size: { width: 1280, height: 760 } });
}

async function portalDocuments(scene, ids) {
  await scene.call('POST', '/api/v1/{p}/deployments', { app_ids: [ids.pushed], desktop_ids: [ids.desktop] });
  await scene.atDesk('MY-DESK', 'install', 'Report Viewer').catch(() => undefined);
  const first = await scene.portal('MY-DESK');
  await first.getByRole('button', { name: 'Install Notes' }).click();
  await first.getByText('Installing').first().waitFor();
  for (const [name, look] of [
    ['portal', { viewport: { width: 1080, height: 720 }, colorScheme: 'light', locale: 'en-GB' }],
    ['portal-phone', { viewport: { width: 390, height: 760 }, colorScheme: 'dark', locale: 'zh-CN' }],
  ]) {
    const page = await scene.portal('MY-DESK', look);
    await page.getByRole('region', { name: 'Notes' }).waitFor();
    await page.waitForTimeout(SETTLED_MS);
    await page.screenshot({ path: join(folder, `${name}.png`) });
    await page.context().close();
  }
}

async function withScene(options, act) {
  const scene = await Scene.start(options);
  try {
    await act(scene);
  } finally {
    await scene.stop();
  }
}

if (['begin', 'console', 'states', 'chinese'].some(isWanted)) {
  await withScene({}, async (scene) => {
    if (isWanted('begin')) await begin(scene);
    if (!['console', 'states', 'chinese'].some(isWanted)) return;
    const ids = await furnish(scene, { desktops: 12 });
    if (isWanted('console')) await everyPage(scene, ids);
    if (isWanted('chinese')) await inChinese(scene, ids);
    if (isWanted('states')) await everyState(scene, ids);
  });
}
if (isWanted('push')) await withScene({ withHosts: 1 }, push);
if (isWanted('portal')) await withScene({}, async (scene) => portal(scene, await furnishPortal(scene)));
if (isWanted('documents')) {
  await withScene({}, async (scene) => documents(scene, await furnish(scene, { desktops: 12 })));
  await withScene({}, async (scene) => portalDocuments(scene, await furnishPortal(scene)));
}
