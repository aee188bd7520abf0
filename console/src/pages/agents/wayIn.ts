import type { Shape } from '../../api/client';

type Reach = Pick<Shape<'Reach'>, 'address' | 'user' | 'has_login'>;

/** A desktop as it is known before a push. */
interface Goal {
  system: string | undefined;
  /** Where its agent connected from last. */
  seenAt: string | undefined;
  own: Reach;
}

/**
 * Why a push onto a desktop is certain to fail before it begins, by the server's rules (`app/reach.rs`): it needs an
 * address, a user, and a key or password; names belong to no network. Which network an address lies in the server alone
 * decides: where one could add what is missing, nothing is said.
 */
export function obstacleOf({ system, seenAt, own }: Goal, networks: Reach[]): 'system' | 'reach' | undefined {
  if (system === 'Windows') return 'system';
  const address = own.address ?? seenAt;
  if (address === undefined) return 'reach';
  const isName = !/:|^[\d.]+$/.test(address);
  const below: Reach[] = [{ has_login: false }, ...(isName ? [] : networks)];
  return below.some(({ user, has_login }) => (own.user ?? user) !== undefined && (own.has_login || has_login)) ? undefined : 'reach';
}
