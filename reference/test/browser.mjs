// Drives the page in a real browser: logs in, runs a reading and a writing call, and prints what it saw as JSON.
//
// node test/browser.mjs ENDPOINT CHROMIUM < bootstrap.json
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [endpoint, executablePath] = process.argv.slice(2);
const account = JSON.parse(readFileSync(0, "utf8"));
const seen = { errors: [], foreign: [] };

const browser = await chromium.launch({ executablePath, headless: true });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  page.on("console", (message) => {
    if (message.type() === "error") seen.errors.push(message.text());
  });
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("request", (request) => {
    if (/^https?:/.test(request.url()) && !request.url().startsWith(`${endpoint}/`)) seen.foreign.push(request.url());
  });
  await page.goto(`${endpoint}/docs/api/`);
  const state = page.locator("#state");
  await page.locator(".opblock").first().waitFor();
  seen.operations = await page.evaluate(() => window.ui.specSelectors.operations().size);
  // Of a long list only what is in sight is drawn; the page's own filter brings a tag there.
  const operation = async (tag, id) => {
    await page.locator("input.operation-filter-input").fill(tag);
    await page.waitForFunction((id) => {
      const tags = document.querySelectorAll(".opblock-tag");
      return tags.length === 1 && tags[0].id === id;
    }, `operations-tag-${tag}`);
    const found = page.locator(`.opblock[id="operations-${tag}-${id}"]`);
    await found.waitFor();
    return found;
  };

  const login = page.locator("#login");
  await login.locator("[name=domain]").fill(account.domain_name);
  await login.locator("[name=user]").fill(account.user_name);
  await login.locator("[name=password]").fill("not the password");
  await login.locator("button").click();
  await page.waitForFunction(() => document.getElementById("state").textContent.startsWith("Not logged in: The"));
  seen.refused = await state.textContent();
  seen.errors = seen.errors.filter((text) => !text.includes("401"));

  await login.locator("[name=password]").fill(account.password);
  await login.locator("button").click();
  await page.waitForFunction(() => document.getElementById("state").textContent.startsWith("Logged in"));
  seen.state = await state.textContent();

  const reading = await operation("AppCenter", "ListAppCatalogs");
  await reading.locator(".opblock-summary").click();
  await reading.locator(".sample-curl").waitFor();
  seen.curl = await reading.locator(".sample-curl").textContent();
  await reading.locator("button.execute").click();
  const answer = reading.locator(".live-responses-table tbody .response-col_status").first();
  await answer.waitFor();
  seen.reading = { status: (await answer.textContent()).trim(), body: await reading.locator(".live-responses-table .microlight").first().textContent() };

  const writing = await operation("AppRestriction", "CreateAppRule");
  await writing.locator(".opblock-summary").click();
  await writing.locator("textarea").fill('{"name": "From the page", "rule": {"scope": "PATH", "path_rule": {"path": "C:\\\\Games"}}}');
  await page.waitForFunction(() => document.querySelector('[id$="-CreateAppRule"] .sample-python')?.textContent.includes("From the page"));
  seen.python = await writing.locator(".sample-python").textContent();
  await writing.locator("button.execute").click();
  const made = writing.locator(".live-responses-table tbody .response-col_status").first();
  await made.waitFor();
  seen.writing = { status: (await made.textContent()).trim() };
  seen.stored = await page.evaluate(() => Object.keys(localStorage).length + Object.keys(sessionStorage).length + document.cookie.length);
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(seen));
