import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { agentAddress, installLine, isLoopback } from '../../src/connect';

test('the token comes over the standard input of the command', () => {
  const line = installLine('(cat; echo done)', 'oft1.a-b_c');
  expect(execFileSync('sh', ['-c', line], { encoding: 'utf8' })).toBe('oft1.a-b_c\ndone\n');
});

test('the address of agents is that of the script, whatever port it has', () => {
  expect(agentAddress('https://desks.example.org:7443/install.sh')).toBe('desks.example.org:7443');
  expect(agentAddress('https://[2001:db8::1]:9/install.sh')).toBe('[2001:db8::1]:9');
});

test('only loopback addresses are loopback addresses', () => {
  expect(['127.0.0.1:7443', '127.1.2.3:1', 'localhost:7443', '[::1]:7443'].filter((address) => !isLoopback(address))).toEqual([]);
  expect(['10.0.0.1:7443', 'desks.example.org:7443', '[2001:db8::1]:7443', '128.0.0.1:1'].filter(isLoopback)).toEqual([]);
});
