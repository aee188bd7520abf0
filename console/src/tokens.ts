import type { Shape } from './api/client';

/** How an enrollment token stands: `valid`, or why no desktop can enroll with it any more. */
export function standingOf(token: Pick<Shape<'EnrollmentToken'>, 'revoked_at' | 'expires_at' | 'max_uses' | 'uses'>, now: number): 'revoked' | 'expired' | 'used-up' | 'valid' {
  if (token.revoked_at !== undefined) return 'revoked';
  if (token.expires_at !== undefined && new Date(token.expires_at).getTime() <= now) return 'expired';
  if (token.max_uses !== undefined && token.uses >= token.max_uses) return 'used-up';
  return 'valid';
}
