import { api, ok, type Shape } from '../api/client';
import type { Line } from './csv';
import { allOf, eachOf, failed, fold, type Reason, type Wish } from './plan';
import { misfit, type Schemas } from './schema';

export const COLUMNS = ['name', 'os', 'users', 'persistent'] as const;

/** Largest page of the list. Source: the operation's own maximum. */
const PAGE = 100;
/** Wire's word for a desktop that takes one user. */
const DEDICATED = 'DEDICATED';
const SYSTEMS = ['Linux', 'Windows', 'Other'] as const satisfies Shape<'OsTypeEnum'>[];
const YES_NO: Record<string, boolean> = { yes: true, true: true, no: false, false: false };

/** Privilege group of an ordinary user on a desktop of a system. Source: contract, AttachInstances. */
export const privilegeOf = (system: Shape<'OsTypeEnum'>) => (system === 'Windows' ? 'users' : 'default');

type Desktop = Pick<Shape<'RegisteredDesktop'>, 'id' | 'os_type' | 'persistent'> & { users: string[] };

/** What the server has, as far as lines of desktops are about it. */
export interface Known {
  /** By folded name. */
  desktops: ReadonlyMap<string, Desktop>;
  /** Ids of those that take one user. */
  dedicated: ReadonlySet<string>;
}

export async function known(project_id: string, lines: Line[]): Promise<Known> {
  const all = await allOf(PAGE, (offset, limit) => ok(api.GET('/api/v1/{project_id}/desktops', { params: { path: { project_id }, query: { offset, limit } } })));
  const desktops = new Map(all.map((desktop) => [fold(desktop.name), { ...desktop, users: desktop.users.map((user) => user.account) }]));
  // Only the desktop itself tells whether it takes a single user: asked where a line would give it another one.
  const asked = lines.flatMap((line) => {
    const desktop = desktops.get(fold(line.get('name') ?? ''));
    return desktop !== undefined && missing(desktop, line.names('users')).length > 0 ? [desktop.id] : [];
  });
  const dedicated = new Set<string>();
  await eachOf(new Set(asked), async (desktop_id) => {
    const { desktop } = await ok(api.GET('/v2/{project_id}/desktops/{desktop_id}', { params: { path: { project_id, desktop_id } } }));
    if (desktop?.desktop_type === DEDICATED) dedicated.add(desktop_id);
  });
  return { desktops, dedicated };
}

function missing(desktop: Desktop, users: string[]): string[] {
  const current = new Set(desktop.users.map(fold));
  return users.filter((user) => !current.has(fold(user)));
}

/** Decides what a line of desktops asks for. */
export function wishOf(project_id: string, { desktops, dedicated }: Known, schemas: Schemas, line: Line, name: string): Wish {
  const os = line.get('os');
  const system = SYSTEMS.find((known) => known.toLowerCase() === os?.toLowerCase());
  if (os !== undefined && system === undefined) return failed('import.os', { value: os });
  const lasting = line.get('persistent');
  const persistent = lasting === undefined ? undefined : YES_NO[lasting.toLowerCase()];
  if (lasting !== undefined && persistent === undefined) return failed('import.yes-no', { value: lasting });
  const users = line.names('users');
  const folded = users.map(fold);
  const twice = users.find((_, at) => folded.indexOf(folded[at] ?? '') !== at);
  if (twice !== undefined) return failed('import.twice', { name: twice });
  const odd = users.find((user) => /\p{Cc}/u.test(user));
  if (odd !== undefined) return failed('import.pattern', { field: 'users', value: odd });
  const desktop = desktops.get(fold(name));
  if (desktop === undefined) {
    const body: Shape<'RegisterDesktopReq'> = {
      name,
      os_type: system ?? 'Linux',
      ...(users.length === 0 ? {} : { users }),
      ...(persistent === undefined ? {} : { persistent }),
    };
    const wrong = misfit(schemas, 'RegisterDesktopReq', body);
    if (wrong !== undefined) return { outcome: 'failed', reasons: [wrong] };
    return {
      outcome: 'added',
      reasons: attachedTo(users),
      // Lines that need the same new user: the first of them makes it.
      keys: folded,
      run: async () => void (await ok(api.POST('/api/v1/{project_id}/desktops', { params: { path: { project_id } }, body }))),
    };
  }
  if (system !== undefined && system !== desktop.os_type) return failed('import.other-os', { is: desktop.os_type, wanted: system });
  if (persistent !== undefined && persistent !== desktop.persistent) return failed('import.other-persistence');
  const wanted = missing(desktop, users);
  if (wanted.length === 0) return { outcome: 'unchanged' };
  if (dedicated.has(desktop.id) && desktop.users.length + wanted.length > 1) {
    const [user] = desktop.users;
    return user === undefined ? failed('import.one-user') : failed('import.one-user-taken', { name: user });
  }
  const body: Shape<'AttachInstancesReq'> = {
    desktops: [{ desktop_id: desktop.id, attach_user_infos: wanted.map((user_name) => ({ user_name, user_group: privilegeOf(desktop.os_type), type: 'USER' as const })) }],
  };
  const wrong = misfit(schemas, 'AttachInstancesReq', body);
  if (wrong !== undefined) return { outcome: 'failed', reasons: [wrong] };
  return {
    outcome: 'changed',
    reasons: attachedTo(wanted),
    keys: wanted.map(fold),
    run: async () => void (await ok(api.POST('/v2/{project_id}/desktops/attach', { params: { path: { project_id } }, body }))),
  };
}

function attachedTo(users: string[]): Reason[] {
  return users.length === 0 ? [] : [{ key: 'import.attached', values: { names: users.join(', ') } }];
}
