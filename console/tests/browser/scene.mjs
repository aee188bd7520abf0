// A real server with real agents, for browser tests and screenshots. Everything lies in one temporary folder and
// listens on loopback; `stop` ends every process that was started here.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const BINARIES = join(import.meta.dirname, '../../../target/debug');
const PYTHON = join(import.meta.dirname, '../../../.tools/venv/bin/python');
const LIMIT_MS = 60_000;
/** How long large things may take on a machine that has other work. */
export const PATIENCE_MS = 300_000;
/** A folder whose files stand for those that the server embeds, to look at a console without compiling the server. */
const DIST = process.env['OUTFITTER_CONSOLE_DIST'];
const TYPES = { js: 'text/javascript', css: 'text/css', html: 'text/html', svg: 'image/svg+xml' };

/** Waits until `condition` answers something true; fails after `limitMs` with what was waited for. */
export async function waitFor(what, condition, limitMs = LIMIT_MS) {
  const end = Date.now() + limitMs;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${limitMs / 1000} s for ${what}`);
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
  // The API has paths with these words too.
  const [, start, name] = /^\/(console|portal)\/(.*)$/.exec(pathname) ?? [];
  if (start === undefined) return route.fallback();
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

/** What stands between browsers and the bucket: lets as much through as it was told, and breaks connections. */
class Gate {
  #left = 0;
  #listener;
  #pairs = new Set();
  #bucketPort;
  /** Bytes that went to the bucket. */
  passed = 0;

  static async start(bucketPort) {
    const gate = new Gate();
    gate.#bucketPort = bucketPort;
    gate.port = await freePort();
    gate.address = `http://127.0.0.1:${gate.port}`;
    await gate.open();
    return gate;
  }

  /** Takes connections. */
  async open() {
    this.#listener = createServer((from) => this.#connected(from)).listen(this.port, '127.0.0.1');
    await once(this.#listener, 'listening');
  }

  #connected(from) {
    const to = connect(this.#bucketPort, '127.0.0.1');
    const pair = { from, to, waits: [], isFree: false, onAnswer: () => {} };
    this.#pairs.add(pair);
    const end = () => {
      from.destroy();
      to.destroy();
      this.#pairs.delete(pair);
      pair.onAnswer();
    };
    for (const socket of [from, to]) socket.on('error', end).on('close', end);
    to.on('data', (bytes) => {
      from.write(bytes);
      pair.isFree = false;
      pair.onAnswer();
    });
    from.on('data', (bytes) => {
      pair.waits.push(bytes);
      this.#forward(pair);
    });
  }

  #forward(pair, most = Infinity) {
    while (pair.waits.length > 0 && (pair.isFree || (this.#left > 0 && most > 0))) {
      const [bytes] = pair.waits;
      const some = pair.isFree ? bytes : bytes.subarray(0, Math.min(this.#left, most));
      pair.to.write(some);
      if (!pair.isFree) this.#left -= some.length;
      this.passed += some.length;
      most -= some.length;
      if (some.length === bytes.length) pair.waits.shift();
      else pair.waits[0] = bytes.subarray(some.length);
    }
    if (pair.waits.length > 0) pair.from.pause();
    else pair.from.resume();
  }

  /** Lets so many bytes more through, of all connections in turn. */
  let(bytes) {
    this.#left += bytes;
    for (let moved = true; moved; ) {
      const before = this.passed;
      for (const pair of this.#pairs) this.#forward(pair, 64 * 1024);
      moved = this.passed > before;
    }
  }

  /** Lets one request through, whole, and waits for its answer. Connections take turns. */
  async letOne() {
    const pair = await waitFor('a request at the gate', () => [...this.#pairs].find(({ waits }) => waits.length > 0), PATIENCE_MS);
    this.#pairs.delete(pair);
    this.#pairs.add(pair);
    const answered = new Promise((resolve) => (pair.onAnswer = resolve));
    pair.isFree = true;
    this.#forward(pair);
    await answered;
  }

  /** Lets nothing more through until it is told. */
  hold() {
    this.#left = 0;
  }

  /** Breaks every connection; new ones are refused until it is open again. */
  async close() {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    for (const { from } of this.#pairs) from.destroy();
    await closed;
  }

  stop() {
    this.#listener.close();
    for (const { from } of this.#pairs) from.destroy();
  }
}

export class Scene {
  #folder = mkdtempSync(join(tmpdir(), 'outfitter-console-'));
  #agents = [];
  #server;
  #hosts;
  #browser;

  /**
   * `withHosts`: so many machines with OpenSSH servers, onto which the server can push its agent. `withGate`: what goes to the
   * bucket passes a gate.
   */
  static async start({ withHosts = 0, withGate = false } = {}) {
    const scene = new Scene();
    if (withHosts > 0) await scene.#startHosts(withHosts);
    scene.ports = [await freePort(), await freePort(), await freePort()];
    if (withGate) scene.gate = await Gate.start(scene.ports[2]);
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
    const gate = this.gate === undefined ? [] : ['--bucket-public', this.gate.address];
    this.#server = this.#run('outfitter', ['serve', '--data-dir', data, '--listen', api, '--agent-listen', agents, '--bucket-listen', bucket, ...gate]);
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
    this.startAgent(name);
    return root;
  }

  /** Starts the agent of a desktop, or of a copy. */
  startAgent(name) {
    const agent = this.#run('outfitter-agent', ['run', '--state-dir', join(this.#folder, name, 'state')]);
    agent.stdout.resume();
    agent.stderr.resume();
    agent.desktop = name;
    this.#agents.push(agent);
  }

  /** Starts another machine with a copy of a desktop's disk, made while that is off. Answers what `stopAgent` and `startAgent` know it by. */
  async copyOf(name) {
    const copy = `${name}-copy`;
    const [root, state] = ['root', 'state'].map((part) => join(this.#folder, copy, part));
    mkdirSync(root, { recursive: true });
    // An agent that runs tidies its folder while it is read.
    await this.stopAgent(name);
    cpSync(join(this.#folder, name, 'state'), state, { recursive: true });
    const path = join(state, 'identity.json');
    // Its root is what a played machine is told by.
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), sandbox_root: root }));
    this.startAgent(name);
    this.startAgent(copy);
    return copy;
  }

  /** The desktop or copy of one that has a file, at a path below its root. */
  machineWith(path) {
    return readdirSync(this.#folder).find((name) => existsSync(join(this.#folder, name, 'root', path)));
  }

  /** Waits until another machine is shown beside a desktop; answers the desktop. */
  seenCopy(name) {
    return waitFor(`a copy of ${name}`, async () => (await this.call('GET', `/api/v1/{p}/desktops?has_copy=true&name=${name}`)).items[0]);
  }

  /** Ends the agent of a desktop, as when it is switched off. */
  async stopAgent(name) {
    const agent = this.#agents.findLast(({ desktop }) => desktop === name);
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

  /**
   * A large package: a script that leaves its own SHA-256 on the desktop, in front of bytes that belong to it; or these bytes. Its
   * time is always the same.
   */
  largeScript(fileName, content) {
    const path = join(this.#folder, fileName);
    const script = '#!/bin/sh\nmkdir -p "$OUTFITTER_ROOT/opt/large" && sha256sum <"$0" >"$OUTFITTER_ROOT/opt/large/digest"\nexit 0\n';
    const bytes = content instanceof Uint8Array ? content : Buffer.concat([Buffer.from(script), randomBytes(content * 1_000_000)]);
    writeFileSync(path, bytes);
    utimesSync(path, 1_700_000_000, 1_700_000_000);
    return { path, name: fileName, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
  }

  /** Parts of unfinished uploads that the server keeps. */
  parts() {
    const folder = join(this.#folder, 'server/packages/parts');
    return existsSync(folder) ? readdirSync(folder) : [];
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

  /** An icon as an app carries it: a drawing of the console's own set, white on two colours. */
  async icon(name, from, to) {
    const drawing = readFileSync(join(import.meta.dirname, `../../node_modules/@tabler/icons/icons/outline/${name}.svg`), 'utf8');
    const page = await (await this.context({ viewport: { width: 128, height: 128 } })).newPage();
    await page.setContent(
      `<style>body{margin:0;background:linear-gradient(145deg,${from},${to});display:grid;place-items:center;height:128px}svg{width:76px;height:76px;color:#fff;stroke-width:1.7}</style>${drawing}`,
    );
    const png = await page.screenshot();
    await page.context().close();
    return `data:image/png;base64,${png.toString('base64')}`;
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
    // A page that is handed in comes from no address: the browser would not let it at a bucket on this machine.
    this.#browser ??= await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', headless: true, args: DIST === undefined ? [] : ['--disable-features=LocalNetworkAccessChecks'] });
    const context = await this.#browser.newContext({ baseURL: this.bootstrap.endpoint, locale: 'en-GB', reducedMotion: 'reduce', ...options });
    if (DIST !== undefined) await context.route(/\/(console|portal)\//, serveDist);
    return context;
  }

  /** A page that is logged in. Whatever a script throws, or the policy refuses, is kept in `page.complaints`. */
  async page(options = {}) {
    const context = await this.context(options);
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.setDefaultNavigationTimeout(LIMIT_MS);
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
    // The page of the login has a heading too.
    await form.waitFor({ state: 'detached' });
    await page.locator('#main h1').waitFor();
  }

  async stop() {
    await this.#browser?.close();
    this.gate?.stop();
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

/** What axe-core finds on a page that is serious or worse, as lines that begin with `name`. */
export async function seriousOn(page, name) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map((found) => `${name}: ${found.id} ${found.nodes.map((node) => `${node.target} (${node.failureSummary})`).join('; ')}`);
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
  ['app-who', `apps/${ids.app}?tab=who`],
  ['app-jobs', `apps/${ids.app}?tab=jobs`],
  ['app-gone', 'apps/none'],
  ['app-detection', `apps/${ids.app}?tab=detection`],
  ['app-revisions', `apps/${ids.app}?tab=revisions`],
  ['app-outdated', `apps/${ids.app}?tab=outdated`],
  ['install', `install?app=${ids.app}&for=everyone`],
  ['install-blank', 'install'],
  ['repair', `install?do=repair&app=${ids.app}&for=desktops`],
  ['uninstall', `install?do=uninstall&app=${ids.app}&desktop=${ids.desktop}`],
  ['deployments', 'deployments'],
  ['deployment', `deployments/${ids.deployment}`],
  ['deployment-list', `deployments/${ids.deployment}?as=list`],
  ['deployment-halted', `deployments/${ids.halted}`],
  ['jobs', 'jobs'],
  ['jobs-failed', 'jobs?status=FAIL'],
  ['jobs-unverified', 'jobs?unverified=1'],
  ['desktops', 'desktops'],
  ['desktops-inventory', 'desktops?tab=inventory&software=text*'],
  ['desktops-none', 'desktops?q=nobody'],
  ['desktops-copies', 'desktops?copy=1'],
  ['import-desktops', 'import/desktops'],
  ['import-users', 'import/users'],
  ['import-groups', 'import/groups'],
  ['desktop', `desktops/${ids.desktop}`],
  ['desktop-copy', `desktops/${ids.copied}`],
  ['desktop-why', `desktops/${ids.desktop}?why=${ids.app}`],
  ['desktop-gone', 'desktops/nobody'],
  ['no-page', 'nowhere'],
  ['add-version', `apps/add?app=${ids.app}`],
  ['agents', 'agents?show=all'],
  ['agents-updates', 'agents?tab=updates'],
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
  ['audit-domain', 'audit?scope=domain'],
  ['settings', 'settings'],
];

/** States that a person has to act for: dialogs, drawers, menus, answers. Each begins at its own page; `look` sets names apart. */
export const STATES = (ids) => [
  ['job', `deployments/${ids.deployment}`, async (page) => {
    await page.getByRole('button', { name: 'ANA-DESK · Report Viewer: Failed', exact: true }).click();
    await page.getByRole('dialog').getByRole('heading', { name: 'Attempt 1' }).waitFor();
  }],
  ['deployment-cancel', `deployments/${ids.deployment}`, (page) => page.getByRole('button', { name: 'Cancel the rest' }).click()],
  ['app-edit', `apps/${ids.app}`, (page) => page.getByRole('button', { name: 'Edit' }).click()],
  ['app-menu', `apps/${ids.app}`, (page) => page.getByRole('button', { name: 'More' }).click()],
  ['app-delete', `apps/${ids.app}`, async (page) => {
    await page.getByRole('button', { name: 'More' }).click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
  }],
  ['app-try-out', `apps/${ids.app}?tab=detection`, async (page) => {
    await page.getByRole('combobox', { name: 'Desktops' }).click();
    await page.getByRole('option', { name: 'ANA-DESK' }).click();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Try it' }).click();
    await page.getByText('Holds on').waitFor();
  }, { whole: true }],
  ['app-json', `apps/${ids.app}?tab=detection`, (page) => page.getByText('JSON', { exact: true }).click(), { whole: true }],
  ['app-detection-remove', `apps/${ids.app}?tab=detection`, (page) => page.getByRole('button', { name: 'Remove rule' }).click()],
  ['desktops-views', 'desktops', (page) => page.getByRole('button', { name: 'Views' }).click()],
  ['desktops-keep-view', 'desktops', async (page) => {
    await page.getByRole('button', { name: 'Views' }).click();
    await page.getByRole('menuitem', { name: 'Save this view' }).click();
  }],
  ['desktops-register', 'desktops', (page) => page.getByRole('button', { name: 'Register' }).click()],
  ['desktops-enroll', 'desktops?enroll=1', async (page) => {
    await page.getByRole('button', { name: 'Make a token' }).click();
    await page.getByText('Shown only once').waitFor();
  }],
  ['desktop-delete', `desktops/${ids.desktop}`, (page) => page.getByRole('button', { name: 'Delete' }).click()],
  ['desktop-users', `desktops/${ids.desktop}`, (page) => page.getByRole('button', { name: 'Users of ANA-DESK' }).click()],
  ['desktop-keep', `desktops/${ids.copied}`, (page) => page.getByRole('button', { name: 'This desktop is the real one' }).click()],
  ['desktop-hand-over', `desktops/${ids.copied}`, (page) => page.getByRole('button', { name: 'The other machine is the real one' }).click()],
  ['agents-reach', 'agents?show=all', (page) => page.getByRole('button', { name: 'Connection of ANA-DESK' }).click()],
  ['people-add', 'people', (page) => page.getByRole('button', { name: 'Add user' }).click()],
  ['people-delete', 'people', (page) => page.getByRole('button', { name: 'Delete ana' }).click()],
  ['groups-add', 'people?tab=groups', (page) => page.getByRole('button', { name: 'Add group' }).click()],
  ['groups-delete', 'people?tab=groups', (page) => page.getByRole('button', { name: 'Delete design' }).click()],
  ['groups-members', 'people?tab=groups', (page) => page.getByRole('button', { name: 'Members' }).click()],
  ['directory-form', 'people?tab=directory', (page) => page.getByRole('button', { name: 'Connect a directory' }).click(), { whole: true }],
  ['import-preview', 'import/desktops', async (page) => {
    const buffer = Buffer.from('name,os,users\nNEW-DESK,Linux,ana\nANA-DESK,Linux,ana\nTOO-LONG-A-NAME-FOR-A-DESKTOP,Linux,\nODD-DESK,Plan9,\nBEN-DESK,Linux,nobody\n');
    await page.locator('input[type=file]').setInputFiles({ name: 'desktops.csv', mimeType: 'text/csv', buffer });
    await page.getByText('Preview of').waitFor();
  }, { whole: true }],
  ['add-form', 'apps/add', async (page) => {
    await page.locator('input[type=file]').setInputFiles({ name: 'notes-1.4.run', mimeType: 'application/x-sh', buffer: Buffer.from('#!/bin/sh\nexit 0\n') });
    await page.getByRole('button', { name: 'Add to catalogue' }).waitFor();
  }, { whole: true }],
  ['rules-add', 'rules', (page) => page.getByRole('button', { name: 'Add rule' }).click()],
  ['rules-delete', 'rules', (page) => page.getByRole('button', { name: 'Delete games' }).click()],
  ['access-add', 'access', (page) => page.getByRole('button', { name: 'Add user' }).click()],
  ['access-secret', 'access', async (page, look) => {
    await page.getByRole('button', { name: 'Add user' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill(`lin-${look.size}-${look.colorScheme}`);
    await page.getByRole('dialog').getByRole('button', { name: 'Add user' }).click();
    await page.getByText('Save these now').waitFor();
  }],
  ['access-keys', 'access', async (page) => {
    await page.getByRole('button', { name: /^Access keys of administrator/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Make access key' }).waitFor();
  }],
  ['access-group-add', 'access?tab=groups', (page) => page.getByRole('button', { name: 'Add group' }).click()],
  ['access-attach', 'access?tab=policies', (page) => page.getByRole('button', { name: 'Attach policy' }).click()],
  ['access-policy', 'access?tab=policies', (page) => page.getByRole('button', { name: 'Write policy' }).click()],
  ['audit-entry', 'audit', async (page) => {
    await page.getByRole('region', { name: 'Audit' }).getByRole('button').first().click();
    await page.getByRole('dialog').getByRole('heading', { name: 'What changed' }).waitFor();
  }],
  ['audit-verify', 'audit', async (page) => {
    await page.getByRole('button', { name: 'Check the chain' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Check now' }).click();
    await page.getByRole('dialog').getByText('The log is intact').waitFor();
  }],
  ['packages-look', 'packages', async (page) => {
    await page.getByRole('button', { name: 'Preview clean-up' }).click();
    await page.getByText(/Nothing to remove|Can be removed now/).waitFor();
  }, { whole: true }],
  ['packages-quota', 'packages', (page) => page.getByRole('button', { name: 'Set quota' }).click()],
  ['settings-copies', 'settings', async (page) => {
    await page.getByText('They enroll anew', { exact: true }).click();
    await page.getByRole('combobox', { name: 'Token that copies enroll with' }).click();
    await page.getByRole('option', { name: /^bootstrap/ }).click();
    await page.getByText('Whoever steals a disk gets a desktop too').waitFor();
  }, { whole: true }],
  ['settings-network', 'settings', (page) => page.getByRole('button', { name: 'Add network' }).click()],
  ['settings-revoke', 'settings', (page) => page.getByRole('button', { name: /^Revoke / }).first().click()],
  ['languages', 'overview', (page) => page.getByRole('button', { name: 'Language' }).click()],
  ['own-menu', 'overview', (page) => page.getByRole('button', { name: 'administrator' }).click()],
  ['own-password', 'overview', async (page) => {
    await page.getByRole('button', { name: 'administrator' }).click();
    await page.getByRole('menuitem', { name: 'Change password' }).click();
  }],
  ['problem', 'jobs', async (page) => {
    await page.route('**/api/v1/*/jobs?*', (route) => route.fulfill({ status: 500, headers: { 'x-request-id': 'f3b1c0de' }, json: { error_code: 'WKS.0500', error_msg: 'The database did not answer.' } }));
    await page.reload();
    await page.getByText('The server failed').waitFor();
    await page.unroute('**/api/v1/*/jobs?*');
  }],
];

/** A small fleet with good, lying and failing apps, for looking at. `desktops`: so many are connected. */
export async function furnish(scene, { desktops: count = 5 } = {}) {
  const hello = scene.script('text-tools-2.4.run', 'mkdir -p "$OUTFITTER_ROOT/opt/text-tools" && echo ok >"$OUTFITTER_ROOT/opt/text-tools/tt"');
  const lies = scene.script('report-viewer-1.0.run', 'echo "installing ..."; echo done; exit 0');
  // Half of the desktops have no licence.
  const fails = scene.script('licence-3.run', [
    'case "$OUTFITTER_ROOT" in *ANA*|*CHLOE*|*EVA*|*GUS*|*IDA*|*KIM*) ;; *) echo "no licence server" >&2; exit 7 ;; esac',
    'mkdir -p "$OUTFITTER_ROOT/opt/licence" && echo ok >"$OUTFITTER_ROOT/opt/licence/licence"',
  ].join('\n'));
  const people = ['ana', 'ben', 'chloe', 'dan', 'eva', 'finn', 'gus', 'ida', 'mei', 'jon', 'kim', 'lea'].slice(0, count);
  for (const name of people) await scene.desktop(`${name.toUpperCase()}-DESK`, name);
  await scene.call('POST', '/api/v1/{p}/desktops', { name: 'LOBBY-DESK', os_type: 'Linux' });
  await scene.call('POST', '/v2/{p}/groups', { group_name: 'design', platform_type: 'LOCAL', description: 'Designers and writers' });
  const { user_groups } = await scene.call('GET', '/v2/{p}/groups?keyword=design');
  const { users } = await scene.call('GET', '/v2/{p}/users?limit=100&offset=0');
  const members = users.filter(({ user_name }) => people.slice(0, 3).includes(user_name)).map(({ id }) => id);
  await scene.call('POST', `/v2/{p}/groups/${user_groups[0].id}/actions`, { op_type: 'ADD', user_ids: members });
  const good = await scene.app({
    name: 'Text Tools', version: '2.4', description: 'Search, count and convert text on every desktop.', catalog_id: '2', app_icon_url: await scene.icon('file-text', '#1d6fd6', '#17489c'),
    install_info: 'Installs in a minute. Your documents stay as they are.', uninstall_command: '/bin/sh ${FILE_PATH} --remove',
  }, hello);
  await scene.detection(good, { file: { path: '/opt/text-tools/tt' } });
  const lying = await scene.app({
    name: 'Report Viewer', version: '1.0', description: 'Opens the monthly reports.', catalog_id: '2', app_icon_url: await scene.icon('chart-bar', '#0f8f6b', '#0b5c53'),
  }, lies);
  await scene.detection(lying, { file: { path: '/opt/report-viewer/bin/report-viewer' } });
  const failing = await scene.app({
    name: 'Licence Manager', version: '3', description: 'Keeps the licences of this desktop.', catalog_id: '9', app_icon_url: await scene.icon('certificate', '#b4540a', '#7c3208'),
  }, fails);
  await scene.detection(failing, { file: { path: '/opt/licence/licence' } });
  const free = await scene.app({
    name: 'Calculator', version: '5.1', description: 'A calculator with a tape. No detection rule: installs stay unverified.', catalog_id: '2', app_icon_url: await scene.icon('calculator', '#6741d9', '#45279e'),
  }, hello);
  const hidden = await scene.app({ name: 'Sketch Pad', version: '0.9', description: 'Draws. Still being tried out, so users do not see it.', catalog_id: '6' }, hello);
  await scene.call('POST', '/v1/{p}/app-center/apps/actions/batch-disable', { items: [hidden] });
  await scene.call('POST', '/v1/{p}/app-center/app-rules', {
    name: 'games', description: 'No games at work', rule: { scope: 'PATH', path_rule: { path: 'C:\\Games' } },
  });
  const ended = async (deployment, jobs) =>
    waitFor('the fleet to be done', async () => {
      const { counts } = await scene.call('GET', `/api/v1/{p}/deployments/${deployment}`);
      return counts.jobs_success + counts.jobs_fail >= jobs;
    });
  // Four apps; the jobs of the desktop without an agent wait on.
  const deployment = await scene.installForAll([good, lying, failing, free]);
  await ended(deployment, 4 * people.length);
  await scene.call('POST', '/api/v1/{p}/desktops', { name: 'STORE-DESK', os_type: 'Linux' });
  const { id: halted } = await scene.call('POST', '/api/v1/{p}/deployments', { app_ids: [lying], assign_scope: 'ALL_USER', fail_limit: { count: 1 }, repair: true });
  await waitFor('the deployment to halt', async () => (await scene.call('GET', `/api/v1/{p}/deployments/${halted}`)).halted_at !== undefined);
  // A newer version, which nobody has yet.
  await scene.call('PATCH', `/v1/{p}/app-center/apps/${good}`, { version: '2.5', install_command: '/bin/sh ${FILE_PATH} --quiet' });
  await scene.copyOf('BEN-DESK');
  const copied = await scene.seenCopy('BEN-DESK');
  const desktops = await scene.call('GET', '/api/v1/{p}/desktops?name=ANA');
  return { app: good, lying, failing, deployment, halted, desktop: desktops.items[0].id, copied: copied.id, group: user_groups[0].id };
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
    uninstall_command: 'rm -r opt/notes', app_icon_url: await scene.icon('notes', '#1d6fd6', '#17489c'),
  }, waits);
  await scene.detection(notes, { file: { path: '/opt/notes/notes' } });
  const lying = await scene.app({ name: 'Report Viewer', description: 'Opens the monthly reports.', catalog_id: '2', app_icon_url: await scene.icon('chart-bar', '#0f8f6b', '#0b5c53') }, lies);
  await scene.detection(lying, { file: { path: '/opt/report-viewer/bin/report-viewer' } });
  await scene.app({ name: 'Calculator', version: '5.1', description: 'A calculator with a tape.', catalog_id: '1', app_icon_url: await scene.icon('calculator', '#6741d9', '#45279e') }, good);
  const pushed = await scene.app({ name: 'Security Update', version: '2026.11', description: 'Mends this desktop.', catalog_id: '8', app_icon_url: await scene.icon('shield-check', '#b4540a', '#7c3208') }, good);
  const waiting = await scene.app({ name: 'Printer Driver', version: '8', description: 'Prints on the new machine.', catalog_id: '9' }, good);
  const only = { authorization_type: 'ASSIGN_USER', catalog_id: '6' };
  const mine = await scene.app({ ...only, name: 'Only Mine', description: 'For one person.' }, good);
  await scene.app({ ...only, name: 'Of Somebody Else', description: 'For another one.' }, good);
  await scene.call('POST', `/v1/{p}/app-center/apps/${mine}/actions/assign-authorizations`, {
    authorization_type: 'ASSIGN_USER', users: [{ account: ME, account_type: 'SIMPLE' }],
  });
  const desktops = await scene.call('GET', '/api/v1/{p}/desktops?name=MY-DESK');
  return { notes, pushed, waiting, mine, desktop: desktops.items[0].id };
}
