// Takes every page, light and dark, wide and phone, into a folder: node screenshots.mjs FOLDER
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { furnish, furnishPortal, PAGES, Scene } from './scene.mjs';

const folder = process.argv[2] ?? 'screenshots';
mkdirSync(folder, { recursive: true });
let scene = await Scene.start();

/** The portal with something of everything: at work, done, failed, sent, put off. */
async function portalPages(ids) {
  await scene.call('POST', '/api/v1/{p}/deployments', { app_ids: [ids.pushed], desktop_ids: [ids.desktop] });
  await scene.atDesk('MY-DESK', 'install', 'Calculator');
  await scene.atDesk('MY-DESK', 'install', 'Report Viewer').catch(() => undefined);
  const first = await scene.portal('MY-DESK');
  await first.getByRole('button', { name: 'Install Notes' }).click();
  await first.getByText('Installing').first().waitFor();
  for (const [size, viewport] of [['wide', { width: 1280, height: 800 }], ['phone', { width: 390, height: 844 }]]) {
    for (const [colorScheme, locale] of [['light', 'en-GB'], ['dark', 'zh-CN']]) {
      const page = await scene.portal('MY-DESK', { viewport, colorScheme, locale });
      await page.getByRole('region', { name: 'Notes' }).waitFor();
      await page.waitForTimeout(900);
      await page.screenshot({ path: join(folder, `portal-${size}-${colorScheme}.png`), fullPage: true });
      await page.goto('/portal/?tab=history');
      await page.waitForTimeout(900);
      await page.screenshot({ path: join(folder, `portal-history-${size}-${colorScheme}.png`), fullPage: true });
      await page.context().close();
    }
  }
  const out = await scene.page({ viewport: { width: 1280, height: 800 } });
  await out.goto('/portal/#ticket=used');
  await out.getByText('This link was used').waitFor();
  await out.screenshot({ path: join(folder, 'portal-entry-wide-light.png') });
  await out.context().close();
  scene.release('MY-DESK');
}

try {
  const login = await scene.page({ viewport: { width: 1280, height: 800 } });
  await login.goto('/console/');
  await login.locator('input[name=username]').waitFor();
  await login.screenshot({ path: join(folder, 'login-wide-light.png') });
  const empty = await scene.loggedIn({ viewport: { width: 1280, height: 800 } });
  await empty.getByText('Let us install something').waitFor();
  await empty.screenshot({ path: join(folder, 'first-wide-light.png'), fullPage: true });
  const ids = await furnish(scene);
  for (const [size, viewport] of [['wide', { width: 1280, height: 800 }], ['phone', { width: 390, height: 844 }]]) {
    for (const colorScheme of ['light', 'dark']) {
      const page = await scene.loggedIn({ viewport, colorScheme });
      for (const [name, path] of PAGES(ids)) {
        await page.goto(`/console/local-1/${path}`);
        await page.locator('#main h1').waitFor();
        await page.waitForTimeout(900);
        await page.screenshot({ path: join(folder, `${name}-${size}-${colorScheme}.png`), fullPage: true });
      }
      await page.goto(`/console/local-1/deployments/${ids.deployment}`);
      await page.getByRole('button', { name: /ANA-DESK · Report Viewer/ }).click();
      await page.getByRole('dialog').getByRole('heading', { name: 'Attempt 1' }).waitFor();
      await page.waitForTimeout(500);
      await page.screenshot({ path: join(folder, `job-${size}-${colorScheme}.png`) });
      await page.context().close();
    }
  }
} finally {
  await scene.stop();
}

scene = await Scene.start();
try {
  await portalPages(await furnishPortal(scene));
} finally {
  await scene.stop();
}
