// Takes every page, light and dark, wide and phone, into a folder: node screenshots.mjs FOLDER
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { furnish, PAGES, Scene } from './scene.mjs';

const folder = process.argv[2] ?? 'screenshots';
mkdirSync(folder, { recursive: true });
const scene = await Scene.start();
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
