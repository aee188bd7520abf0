import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { agentAddress, installLine, isLoopback } from '../../src/connect';

const SCRIPT = 'read -r token\necho "got $token with $*"\n';
const SHA256 = createHash('sha256').update(SCRIPT).digest('hex');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outfitter-line-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the line in a shell, where `script` lies at its address. */
function run(script: string, sha256: string) {
  const path = join(folder, "it's here.sh");
  writeFileSync(path, script);
  return spawnSync('sh', ['-c', installLine({ url: `file://${path.replaceAll(' ', '%20')}`, sha256 }, 'oft1.a-b_c')], { encoding: 'utf8' });
}

test('the line runs the script with the token on standard input', () => {
  const { stdout, status } = run(SCRIPT, SHA256);
  expect(stdout).toContain('got oft1.a-b_c with --token -');
  expect(status).toBe(0);
});

test('the line runs no script of another digest', () => {
  const { stdout, status } = run(`${SCRIPT}echo more\n`, SHA256);
  expect(stdout).not.toContain('got');
  expect(status).not.toBe(0);
});

test('the address of agents is that of the script, whatever port it has', () => {
  expect(agentAddress('https://desks.example.org:7443/install.sh')).toBe('desks.example.org:7443');
  expect(agentAddress('https://[2001:db8::1]:9/install.sh')).toBe('[2001:db8::1]:9');
});

test('only loopback addresses are loopback addresses', () => {
  expect(['127.0.0.1:7443', '127.1.2.3:1', 'localhost:7443', '[::1]:7443'].filter((address) => !isLoopback(address))).toEqual([]);
  expect(['10.0.0.1:7443', 'desks.example.org:7443', '[2001:db8::1]:7443', '128.0.0.1:1'].filter(isLoopback)).toEqual([]);
});
