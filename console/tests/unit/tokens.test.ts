import { expect, test } from 'vitest';
import { standingOf } from '../../src/tokens';

test('a token is good until it is revoked, over, or used up', () => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  const standing = (token: Partial<Parameters<typeof standingOf>[0]>) => standingOf({ uses: 2, ...token }, now);
  expect(standing({})).toBe('valid');
  expect(standing({ max_uses: 3, expires_at: '2026-01-02T00:00:01Z' })).toBe('valid');
  expect(standing({ max_uses: 2 })).toBe('used-up');
  expect(standing({ expires_at: '2026-01-02T00:00:00Z' })).toBe('expired');
  expect(standing({ revoked_at: '2026-01-01T00:00:00Z', expires_at: '2026-01-01T00:00:00Z', max_uses: 1 })).toBe('revoked');
});
