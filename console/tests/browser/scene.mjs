// A real server with real agents, for browser tests and screenshots. Everything lies in one temporary folder and
// listens on loopback; `stop` ends every process that was started here.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const BINARIES = join(import.meta.dirname, '../../../target/debug');
const PYTHON = join(import.meta.dirname, '../../../.tools/venv/bin/python');
const LIMIT_MS = 60_000;
/** A folder whose files stand for those that the server embeds, to look at a console without compiling the server. */
const DIST = process.env['OUTFITTER_CONSOLE_DIST'];
const TYPES = { js: 'text/javascript', css: 'text/css', html: 'text/html', svg: 'image/svg+xml' };

/** Waits until `condition` answers something true; fails after a minute with what was waited for. */
export async function waitFor(what, condition) {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited a minute for ${what}`);
    await pause(50);
  }
}

/** A port that is free now: a server that is restarted must come back on the one it had. */
async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Answers from `DIST`, under the policy that the server gives its own. */
async function serveDist(route) {
  const { pathname, origin } = new URL(route.request().url());
  const found = /^\/(console|portal)\/(.*)$/.exec(pathname);
  // The API has such words in its paths too.
  if (found === null) return route.fallback();
  const [, start, name] = found;
  const path = join(DIST, name);
  // A page that came by a redirect is the server's own, and so are its files.
  if (name.startsWith('assets/') && !existsSync(path)) return route.fallback();
  const file = name !== '' && existsSync(path) ? path : join(DIST, start === 'portal' ? 'portal.html' : 'index.html');
  let headers;
  try {
    ({ headers } = await fetch(`${origin}/${start}/`));
  } catch {
    return route.abort();
  }
  return route.fulfill({
    headers: { 'content-security-policy': headers.get('content-security-policy'), 'content-type': TYPES[file.split('.').at(-1)] },
    body: readFileSync(file),
  });
}

export class Scene {
  #folder = mkdtempSync(join(tmpdir(), 'outfitter-console-'));
  #agents = [];
  #server;
  #hosts;
  #browser;

  /** `withHosts`: so many machines with OpenSSH servers, onto which the server can push its agent. */
  static async start({ withHosts = 0 } = {}) {
    const scene = new Scene();
    if (withHosts > 0) await scene.#startHosts(withHosts);
    scene.ports = [await freePort(), await freePort(), await freePort()];
    await scene.startServer();
    return scene;
  }

  async #startHosts(count) {
    this.#hosts = this.#run(PYTHON, [join(import.meta.dirname, 'hosts.py'), this.#folder, String(count)]);
    this.hosts = await waitFor('the machines to answer', () => {
      if (this.#hosts.exitCode !== null) throw new Error(`the machines ended: ${this.#hosts.output}`);
      return /^\{.*\}$/m.test(this.#hosts.output) && JSON.parse(/^\{.*\}$/m.exec(this.#hosts.output)[0]);
    });
  }

  #run(program, args) {
    const child = spawn(program.startsWith('/') ? program : join(BINARIES, program), args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...(this.hosts === undefined ? {} : { OUTFITTER_AGENT_BINARIES: this.hosts.agents }) },
    });
    child.output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (child.output += text));
    return child;
  }

  async startServer() {
    const data = join(this.#folder, 'server');
    const [api, agents, bucket] = this.ports.map((port) => `127.0.0.1:${port}`);
    this.#server = this.#run('outfitter', ['serve', '--data-dir', data, '--listen', api, '--agent-listen', agents, '--bucket-listen', bucket]);
    const { stdout, stderr } = this.#server;
    stdout.resume();
    stderr.resume();
    const path = join(data, 'bootstrap.json');
    await waitFor('the server to answer', async () => {
      if (this.#server.exitCode !== null) throw new Error(`the server ended: ${this.#server.output}`);
      if (!existsSync(path)) return false;
      try {
        return (await fetch(`http://${api}/readyz`)).ok;
      } catch {
        return false;
      }
    });
    this.bootstrap = JSON.parse(readFileSync(path, 'utf8'));
  }

  async stopServer() {
    const ended = once(this.#server, 'exit');
    this.#server.kill('SIGKILL');
    await ended;
  }

  /** A desktop played by a folder, with a real agent; its user, if it has one, is made when it does not exist. */
  async desktop(name, user, token = this.bootstrap.enrollment_token) {
    const root = join(this.#folder, name, 'root');
    if (existsSync(root)) return root;
    const state = join(this.#folder, name, 'state');
    mkdirSync(root, { recursive: true });
    const enroll = this.#run('outfitter-agent', [
      'enroll', '--server', this.bootstrap.agent_endpoint, '--token', '-', '--state-dir', state, '--name', name, '--sandbox-root', root,
      ...(user === undefined ? [] : ['--user', user]),
    ]);
    enroll.stdin.end(token);
    const [code] = await once(enroll, 'exit');
    if (code !== 0) throw new Error(`${name} could not enroll: ${enroll.output}`);
    const agent = this.#run('outfitter-agent', ['run', '--state-dir', state]);
    agent.stdout.resume();
    agent.stderr.resume();
    agent.desktop = name;
    this.#agents.push(agent);
    return root;
  }

  /** Ends the agent of a desktop, as when it is switched off. */
  async stopAgent(name) {
    const agent = this.#agents.find(({ desktop }) => desktop === name);
    const ended = once(agent, 'exit');
    agent.kill('SIGTERM');
    await ended;
  }

  /** A certificate of its own, PEM: an authority that nothing comes from. */
  async certificate() {
    const path = join(this.#folder, 'authority.pem');
    const make = this.#run('/usr/bin/openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null', '-subj', '/CN=nobody', '-out', path,
    ]);
    const [code] = await once(make, 'exit');
    if (code !== 0) throw new Error(`no certificate: ${make.output}`);
    return readFileSync(path, 'utf8');
  }

  /** A command of whoever sits at a desktop. Answers its output; fails when the command does. */
  async atDesk(name, ...args) {
    const socket = join(this.#folder, name, 'root/run/outfitter-agent/desk.sock');
    await waitFor(`the socket of ${name}`, () => existsSync(socket));
    const command = this.#run('outfitter-agent', [...args, '--socket', socket]);
    const [code] = await once(command, 'close');
    if (code !== 0) throw new Error(`outfitter-agent ${args.join(' ')}: ${code} ${command.output}`);
    return command.output;
  }

  /** A page of the portal for the person who sits at a desktop, opened as its agent does. */
  async portal(name, options = {}) {
    // Until the agent is known to the server, it is told so.
    const address = await waitFor(`the portal of ${name}`, () => this.atDesk(name, 'portal', '--print').catch(() => undefined));
    const page = await this.page(options);
    await page.goto(address.trim());
    await page.getByRole('heading', { level: 1, name: /Your apps|我的应用/ }).waitFor();
    return page;
  }

  /** A package: a shell script, which has `$OUTFITTER_ROOT` for the desktop's folder. */
  script(fileName, lines) {
    const path = join(this.#folder, fileName);
    writeFileSync(path, `#!/bin/sh\n${lines}\n`);
    return path;
  }

  /** Calls the API as the administrator, beside the browser. */
  async call(method, path, body) {
    this.token ??= await this.#logIn();
    const response = await fetch(`${this.bootstrap.endpoint}${path.replace('{p}', this.bootstrap.project_id)}`, {
      method,
      headers: { 'x-auth-token': this.token, ...(body instanceof Uint8Array ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: body instanceof Uint8Array ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return { headers: response.headers, ...(text === '' ? {} : JSON.parse(text)) };
  }

  async #logIn() {
    const { domain_name, user_name, password, project_id } = this.bootstrap;
    const response = await fetch(`${this.bootstrap.endpoint}/v3/auth/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        auth: {
          identity: { methods: ['password'], password: { user: { name: user_name, password, domain: { name: domain_name } } } },
          scope: { project: { id: project_id } },
        },
      }),
    });
    return response.headers.get('x-subject-token');
  }

  /** Adds an app from a package file, without the browser. */
  async app(fields, path) {
    const fileName = path.split('/').at(-1);
    const uploaded = await this.call('POST', `/api/v1/{p}/packages?file_name=${encodeURIComponent(fileName)}`, readFileSync(path));
    const { id } = await this.call('POST', '/v1/{p}/app-center/apps', {
      version: '1.0',
      description: fields.name,
      authorization_type: 'ALL_USER',
      install_type: 'QUIET_INSTALL',
      install_command: '/bin/sh ${FILE_PATH}',
      support_os: 'Linux',
      catalog_id: '1',
      app_file_store: { store_type: 'OBS', bucket_store: uploaded.bucket_store },
      ...fields,
    });
    return id;
  }

  async detection(app, rule) {
    await this.call('PUT', `/api/v1/{p}/apps/${app}/detection-rule`, { rule });
  }

  async installForAll(apps) {
    const answer = await this.call('POST', '/v1/{p}/app-center/apps/actions/batch-auto-install', { app_ids: apps, assign_scope: 'ALL_USER' });
    return answer.headers.get('x-deployment-id');
  }

  /** Lets the installer on a desktop that waits for it go on. */
  release(name) {
    writeFileSync(join(this.#folder, name, 'root/go-on'), '');
  }

  async context(options = {}) {
    this.#browser ??= await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', headless: true });
    const context = await this.#browser.newContext({ baseURL: this.bootstrap.endpoint, locale: 'en-GB', reducedMotion: 'reduce', ...options });
    if (DIST !== undefined) await context.route(/\/(console|portal)\//, serveDist);
    return context;
  }

  /** A page that is logged in. Whatever a script throws, or the policy refuses, is kept in `page.complaints`. */
  async page(options = {}) {
    const context = await this.context(options);
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.complaints = [];
    page.on('pageerror', (error) => page.complaints.push(String(error)));
    page.on('console', (message) => {
      if (/Content Security Policy|Warning:/.test(message.text())) page.complaints.push(message.text());
    });
    return page;
  }

  async loggedIn(options = {}, path = '/console/') {
    const page = await this.page(options);
    await page.goto(path);
    await this.logInto(page);
    return page;
  }

  async logInto(page) {
    const form = page.locator('form');
    await form.locator('input[name=username]').fill(this.bootstrap.user_name);
    await form.locator('input[name=password]').fill(this.bootstrap.password);
    await form.locator('button[type=submit]').click();
    await page.locator('#main h1').waitFor();
  }

  async stop() {
    await this.#browser?.close();
    const children = [...this.#agents, this.#server].filter((child) => child !== undefined && child.exitCode === null && child.signalCode === null);
    await Promise.all(children.map((child) => (child.kill('SIGKILL'), once(child, 'exit'))));
    // The machines take their mounts and agents with them when they are told to end.
    if (this.#hosts !== undefined && this.#hosts.exitCode === null) {
      const ended = once(this.#hosts, 'exit');
      this.#hosts.stdin.end();
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Who runs the tests: the account that the agents' sockets see. */
export const ME = userInfo().username;

/** Every page, by a short name, as a path below the project. */
export const PAGES = (ids) => [
  ['overview', 'overview'],
  ['apps', 'apps'],
  ['apps-table', 'apps?view=table'],
  ['add', 'apps/add'],
  ['app', `apps/${ids.app}`],
  ['app-detection', `apps/${ids.app}?tab=detection`],
  ['app-revisions', `apps/${ids.app}?tab=revisions`],
  ['app-outdated', `apps/${ids.app}?tab=outdated`],
  ['install', `install?app=${ids.app}&for=everyone`],
  ['uninstall', `install?do=uninstall&app=${ids.app}&desktop=${ids.desktop}`],
  ['deployments', 'deployments'],
  ['deployment', `deployments/${ids.deployment}`],
  ['jobs', 'jobs'],
  ['desktops', 'desktops'],
  ['import-desktops', 'import/desktops'],
  ['import-users', 'import/users'],
  ['import-groups', 'import/groups'],
  ['desktop', `desktops/${ids.desktop}`],
  ['desktop-why', `desktops/${ids.desktop}?why=${ids.app}`],
  ['agents', 'agents?show=all'],
  ['people', 'people'],
  ['groups', 'people?tab=groups'],
  ['directory', 'people?tab=directory'],
  ['packages', 'packages'],
  ['rules', 'rules'],
  ['access', 'access'],
  ['access-groups', 'access?tab=groups'],
  ['access-policies', 'access?tab=policies'],
  ['access-explain', 'access?tab=explain&who=administrator&action=workspace:appcenter:listApps'],
  ['access-provider', 'access?tab=provider'],
  ['audit', 'audit'],
  ['settings', 'settings'],
];

/** A small fleet with good, lying and failing apps, for looking at. */
export async function furnish(scene) {
  const hello = scene.script('text-tools-2.4.run', 'mkdir -p "$OUTFITTER_ROOT/opt/text-tools" && echo ok >"$OUTFITTER_ROOT/opt/text-tools/tt"');
  const lies = scene.script('report-viewer-1.0.run', 'echo "installing ..."; echo done; exit 0');
  const fails = scene.script('licence-3.run', 'echo "no licence server" >&2; exit 7');
  const people = ['ana', 'ben', 'chloe', 'dan', 'eva', 'finn'];
  for (const name of people.slice(0, 5)) await scene.desktop(`${name.toUpperCase()}-DESK`, name);
  await scene.call('POST', '/api/v1/{p}/desktops', { name: 'FINN-DESK', os_type: 'Linux' });
  await scene.call('POST', '/v2/{p}/groups', { group_name: 'design', platform_type: 'LOCAL', description: 'Designers and writers' });
  const good = await scene.app({ name: 'Text Tools', version: '2.4', description: 'Search, count and convert text on every desktop.', catalog_id: '2' }, hello);
  await scene.detection(good, { file: { path: '/opt/text-tools/tt' } });
  const lying = await scene.app({ name: 'Report Viewer', version: '1.0', description: 'Opens the monthly reports.', catalog_id: '3' }, lies);
  await scene.detection(lying, { file: { path: '/opt/report-viewer/bin/report-viewer' } });
  const failing = await scene.app({ name: 'Licence Manager', version: '3', description: 'Keeps the licences of this desktop.', catalog_id: '1' }, fails);
  const free = await scene.app({ name: 'Calculator', version: '5.1', description: 'A calculator with a tape. No detection rule: installs stay unverified.', catalog_id: '2' }, hello);
  await scene.call('POST', '/v1/{p}/app-center/app-rules', {
    name: 'games', description: 'No games at work', rule: { scope: 'PATH', path_rule: { path: 'C:\\Games' } },
  });
  const deployment = await scene.installForAll([good, lying, failing, free]);
  // Four apps on five desktops; the jobs of the desktop without an agent wait on.
  await waitFor('the fleet to be done', async () => {
    const { counts } = await scene.call('GET', `/api/v1/{p}/deployments/${deployment}`);
    return counts.jobs_success + counts.jobs_fail === 20;
  });
  const desktops = await scene.call('GET', '/api/v1/{p}/desktops?name=ANA');
  return { app: good, deployment, desktop: desktops.items[0].id };
}

/** Two desktops of whoever runs this, with apps that install, fail, are sent, and are somebody else's. */
export async function furnishPortal(scene) {
  for (const name of ['MY-DESK', 'OTHER-DESK']) await scene.desktop(name, ME);
  const waits = scene.script('notes-1.0.run', [
    'until [ -e "$OUTFITTER_ROOT/go-on" ]; do sleep 0.1; done',
    'mkdir -p "$OUTFITTER_ROOT/opt/notes" && echo ok >"$OUTFITTER_ROOT/opt/notes/notes"',
  ].join('\n'));
  const good = scene.script('good-1.run', 'exit 0');
  const lies = scene.script('viewer-1.0.run', 'echo done; exit 0');
  const notes = await scene.app({
    name: 'Notes', description: 'Writes things down and finds them again.', catalog_id: '2', install_info: 'Close your documents first.',
    uninstall_command: 'rm -r opt/notes',
  }, waits);
  await scene.detection(notes, { file: { path: '/opt/notes/notes' } });
  const lying = await scene.app({ name: 'Report Viewer', description: 'Opens the monthly reports.', catalog_id: '2' }, lies);
  await scene.detection(lying, { file: { path: '/opt/report-viewer/bin/report-viewer' } });
  await scene.app({ name: 'Calculator', version: '5.1', description: 'A calculator with a tape.', catalog_id: '1' }, good);
  const pushed = await scene.app({ name: 'Security Update', version: '2026.11', description: 'Mends this desktop.', catalog_id: '8' }, good);
  const only = { authorization_type: 'ASSIGN_USER', catalog_id: '6' };
  const mine = await scene.app({ ...only, name: 'Only Mine', description: 'For one person.' }, good);
  await scene.app({ ...only, name: 'Of Somebody Else', description: 'For another one.' }, good);
  await scene.call('POST', `/v1/{p}/app-center/apps/${mine}/actions/assign-authorizations`, {
    authorization_type: 'ASSIGN_USER', users: [{ account: ME, account_type: 'SIMPLE' }],
  });
  const desktops = await scene.call('GET', '/api/v1/{p}/desktops?name=MY-DESK');
  return { notes, pushed, mine, desktop: desktops.items[0].id };
}
