// How long the grid of a deployment takes when 500 of 10,000 squares change: script and paint of each change, which have a
// budget, and style and layout beside them, from the browser's own trace. The page and its code are the console's; the
// server's answers are made up here, because ten thousand agents are no part of what is measured. node trace-grid.mjs [ROUNDS]
import { readFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const ROUNDS = Number(process.argv[2] ?? 40);
const JOBS = 10_000;
const CHANGED = 500;
const DIST = join(import.meta.dirname, '../dist');
const ORIGIN = 'http://console.test';
const TYPES = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
const PROJECT = { id: '0'.repeat(32), name: 'local-1', domain_id: 'd', enabled: true, created_at: '2026-01-01T00:00:00Z' };
const STATES = ['INIT', 'WAITING', 'SUCCESS', 'FAIL'];

if (!existsSync(join(DIST, 'index.html'))) throw new Error('the console is not built: scripts/build console');

let seed = 7;
const random = (below) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
const job = (at, job_status) => ({
  id: `job-${at}`, app_id: 'app', app_name: 'Editor', app_version: '1', instance_id: `desktop-${at}`, instance_name: `DESK-${at}`,
  job_status, create_time: '2026-01-01T00:00:00Z', deployment_id: 'deployment', kind: 'install', restart_pending: false,
});
const jobs = Array.from({ length: JOBS }, (_, at) => job(at, 'INIT'));
// The counts are those of the jobs: a page whose numbers stand still while its squares change has less to draw than a real one.
const jobsIn = (state) => jobs.reduce((sum, { job_status }) => sum + (job_status === state ? 1 : 0), 0);
const counts = () => ({
  accounts_unknown: 0, authorizations_widened: 0, desktops_reached: JOBS, desktops_skipped: 0,
  jobs_init: jobsIn('INIT'), jobs_waiting: jobsIn('WAITING'), jobs_success: jobsIn('SUCCESS'), jobs_unverified: 0, jobs_fail: jobsIn('FAIL'),
});
const none = { count: 0, items: [] };

function answer(url) {
  const path = url.pathname;
  if (path === '/api/v1/session') {
    return { user_id: 'u', user_name: 'administrator', domain_id: 'd', domain_name: 'outfitter', region: 'local-1', version: '0', projects: [PROJECT] };
  }
  if (path.endsWith('/deployments/deployment/jobs')) {
    const offset = Number(url.searchParams.get('offset'));
    return { count: JOBS, items: jobs.slice(offset, offset + Number(url.searchParams.get('limit'))) };
  }
  if (path.endsWith('/deployments/deployment')) {
    return {
      id: 'deployment', app_ids: ['app'], kind: 'install', state: 'running', operator: 'administrator', repair: false, counts: counts(), assign_scope: 'ALL_USER',
      created_at: '2026-01-01T00:00:00Z', expires_at: '2027-01-01T00:00:00Z',
      accounts_unknown: none, authorizations_widened: none, desktops_reached: none, desktops_skipped: none,
    };
  }
  if (path.endsWith('/freeze')) return { frozen: false };
  return none;
}

const browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', headless: true });
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' });
  // Events are given by the script below, where the console listens for them.
  await page.addInitScript(() => {
    window.EventSource = class extends EventTarget {
      constructor() {
        super();
        window.stream = this;
      }
      close() {}
    };
  });
  await page.route(`${ORIGIN}/**`, (route) => {
    const url = new URL(route.request().url());
    if (url.pathname.startsWith('/console/assets/') || url.pathname.endsWith('.svg')) {
      return route.fulfill({ contentType: TYPES[url.pathname.split('.').at(-1)], body: readFileSync(join(DIST, url.pathname.replace('/console/', ''))) });
    }
    if (url.pathname.startsWith('/console')) return route.fulfill({ contentType: 'text/html', body: readFileSync(join(DIST, 'index.html')) });
    return route.fulfill({ json: answer(url) });
  });
  await page.goto(`${ORIGIN}/console/local-1/deployments/deployment`);
  await page.waitForFunction((count) => document.querySelector('[data-count]')?.dataset.count === String(count), JOBS);
  await page.waitForTimeout(1000);

  const client = await page.context().newCDPSession(page);
  const events = [];
  client.on('Tracing.dataCollected', ({ value }) => events.push(...value));
  // `v8.execute`: what runs after an answer came runs as microtasks.
  await client.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['devtools.timeline', 'disabled-by-default-devtools.timeline.frame', 'v8.execute', 'blink.user_timing'] } });
  for (let round = 0; round < ROUNDS; round += 1) {
    const changed = new Set();
    while (changed.size < CHANGED) changed.add(random(JOBS));
    const told = [...changed].map((at) => (jobs[at] = job(at, STATES[(STATES.indexOf(jobs[at].job_status) + 1 + random(3)) % 4])));
    const tones = () => page.evaluate(() => [...document.querySelectorAll('.square')].map((square) => square.dataset.tone).join());
    const before = round === 0 ? await tones() : '';
    const progress = { id: 'deployment', state: 'running', counts: counts() };
    await page.evaluate(({ told, progress }) => {
      for (const job of told) window.stream.dispatchEvent(new MessageEvent('job', { data: JSON.stringify(job) }));
      window.stream.dispatchEvent(new MessageEvent('deployment', { data: JSON.stringify(progress) }));
      performance.mark('told');
    }, { told, progress });
    // Events gather for 300 ms; then one change is drawn.
    await page.waitForTimeout(600);
    if (round === 0 && (await tones()) === before) throw new Error('no square changed: nothing is measured');
  }
  const ended = new Promise((resolve) => client.once('Tracing.tracingComplete', resolve));
  await client.send('Tracing.end');
  await ended;

  // The work of one change: from the timer that draws what was gathered to the frame's end, on the page's main thread.
  const marks = events.filter((event) => event.name === 'told').map((event) => ({ at: event.ts, thread: event.tid }));
  const KINDS = {
    script: ['FunctionCall', 'TimerFire', 'FireAnimationFrame', 'RunMicrotasks', 'MinorGC', 'MajorGC'],
    paint: ['PrePaint', 'Paint', 'Layerize', 'Commit'],
    layout: ['UpdateLayoutTree', 'Layout', 'HitTest'],
  };
  const kindOf = new Map(Object.entries(KINDS).flatMap(([kind, names]) => names.map((name) => [name, kind])));
  const rounds = marks.map(({ at, thread }, index) => {
    const from = at;
    // Before the next change is told: making it up is no work of the page.
    const until = Math.min(at + 590_000, marks[index + 1]?.at ?? Infinity);
    const parts = events
      .filter((event) => event.tid === thread && event.ph === 'X' && kindOf.has(event.name) && event.ts >= from && event.ts < until)
      .sort((left, right) => left.ts - right.ts || right.dur - left.dur);
    let end = 0;
    const spent = { script: 0, paint: 0, layout: 0 };
    for (const { name, ts, dur, tdur } of parts) {
      // What lies inside another part is counted with it.
      if (ts < end) continue;
      end = ts + dur;
      spent[kindOf.get(name)] += (tdur ?? dur) / 1000;
    }
    return { ...spent, budgeted: spent.script + spent.paint, all: spent.script + spent.paint + spent.layout };
  });
  if (rounds.some(({ paint }) => paint === 0)) throw new Error('a change was not drawn in its time: the machine is too busy to measure');
  const at = (share, member) => rounds.map((round) => round[member]).sort((left, right) => left - right)[Math.floor((rounds.length - 1) * share)]?.toFixed(1);
  console.log(`${CHANGED} of ${JOBS} squares change, ${rounds.length} rounds, milliseconds of processor time of the main thread`);
  for (const [member, name] of [['script', 'script'], ['paint', 'paint'], ['budgeted', 'script and paint'], ['layout', 'style and layout'], ['all', 'together']]) {
    console.log(`${name.padEnd(22)} median ${at(0.5, member)}  p90 ${at(0.9, member)}  most ${at(1, member)}`);
  }
} finally {
  await browser.close();
}
