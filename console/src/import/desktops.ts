import { api, ok, type Shape } from '../api/client';
import type { Line } from './csv';
import { allOf, eachOf, failed, fold, type Reason, type Wish } from './plan';
import { misfit, type Schemas } from './schema';

/**
 * Columns that say how a desktop is reached over SSH, each with what it is in a call. Keys and passwords have no place in
 * such a file: they are set for the desktop's network.
 */
const REACH = { address: 'address', port: 'port', ssh_user: 'user', host_key: 'host_key', jump: 'jump_address' } as const;
const REACH_COLUMNS = Object.keys(REACH) as (keyof typeof REACH)[];

export const COLUMNS = ['name', 'os', 'users', 'persistent', ...REACH_COLUMNS] as const;

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
  /** How those are reached of which the file says so, by id. */
  reaches: ReadonlyMap<string, Shape<'DesktopReach'>>;
}

const saysReach = (line: Line) => REACH_COLUMNS.some((column) => line.get(column) !== undefined);

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
  const reached = lines.flatMap((line) => (saysReach(line) ? (desktops.get(fold(line.get('name') ?? ''))?.id ?? []) : []));
  const reaches = new Map<string, Shape<'DesktopReach'>>();
  await eachOf(new Set(reached), async (desktop_id) => {
    reaches.set(desktop_id, await ok(api.GET('/api/v1/{project_id}/desktops/{desktop_id}/reach', { params: { path: { project_id, desktop_id } } })));
  });
  return { desktops, dedicated, reaches };
}

/** How a desktop is to be reached by its line, added to how it is: nothing when the line changes nothing of it, or why it cannot be. */
function reachWanted(line: Line, current: Shape<'DesktopReach'> | undefined, schemas: Schemas): { reach?: Shape<'SetReachReq'>; wrong?: Reason } {
  const said = REACH_COLUMNS.flatMap((column) => {
    const text = line.get(column);
    return text === undefined ? [] : [[REACH[column], column === 'port' ? Number(text) : text] as const];
  });
  if (said.every(([member, value]) => current?.[member] === value)) return {};
  const port = line.get('port');
  if (port !== undefined && !(/^\d+$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) return { wrong: { key: 'import.port', values: { value: port } } };
  if (current?.has_login === true) return { wrong: { key: 'import.own-login' } };
  const { address, user, sudo, host_key, jump_address, jump_port, jump_user, jump_host_key } = current ?? {};
  const kept = Object.entries({ address, port: current?.port, user, sudo, host_key, jump_address, jump_port, jump_user, jump_host_key }).filter(([, value]) => value !== undefined);
  const reach: Shape<'SetReachReq'> = { ...Object.fromEntries(kept), ...Object.fromEntries(said) };
  const wrong = misfit(schemas, 'SetReachReq', reach);
  return wrong === undefined ? { reach } : { wrong };
}

function missing(desktop: Desktop, users: string[]): string[] {
  const current = new Set(desktop.users.map(fold));
  return users.filter((user) => !current.has(fold(user)));
}

/** Decides what a line of desktops asks for. */
export function wishOf(project_id: string, { desktops, dedicated, reaches }: Known, schemas: Schemas, line: Line, name: string): Wish {
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
  const { reach, wrong: unreachable } = reachWanted(line, desktop && reaches.get(desktop.id), schemas);
  if (unreachable !== undefined) return { outcome: 'failed', reasons: [unreachable] };
  const setReach = async (desktop_id: string) => {
    if (reach !== undefined) await ok(api.PUT('/api/v1/{project_id}/desktops/{desktop_id}/reach', { params: { path: { project_id, desktop_id } }, body: reach }));
  };
  if (desktop === undefined) {
    const body: Shape<'RegisterDesktopReq'> = {
      name,
      os_type: system ?? 'Linux',
      ...(users.length === 0 ? {} : { users }),
      ...(persistent === undefined ? {} : { persistent }),
    };
    const wrong = misfit(schemas, 'RegisterDesktopReq', body);
    if (wrong !== undefined) return { outcome: 'failed', reasons: [wrong] };
    let made: string | undefined;
    return {
      outcome: 'added',
      reasons: [...attachedTo(users), ...reachedAt(reach)],
      // Lines that need the same new user: the first of them makes it.
      keys: folded,
      run: async () => {
        made ??= (await ok(api.POST('/api/v1/{project_id}/desktops', { params: { path: { project_id } }, body }))).id;
        await setReach(made);
      },
    };
  }
  if (system !== undefined && system !== desktop.os_type) return failed('import.other-os', { is: desktop.os_type, wanted: system });
  if (persistent !== undefined && persistent !== desktop.persistent) return failed('import.other-persistence');
  const wanted = missing(desktop, users);
  if (wanted.length === 0) {
    if (reach === undefined) return { outcome: 'unchanged' };
    return { outcome: 'changed', reasons: reachedAt(reach), run: () => setReach(desktop.id) };
  }
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
    reasons: [...attachedTo(wanted), ...reachedAt(reach)],
    keys: wanted.map(fold),
    run: async () => {
      await ok(api.POST('/v2/{project_id}/desktops/attach', { params: { path: { project_id } }, body }));
      await setReach(desktop.id);
    },
  };
}

function attachedTo(users: string[]): Reason[] {
  return users.length === 0 ? [] : [{ key: 'import.attached', values: { names: users.join(', ') } }];
}

function reachedAt(reach: Shape<'SetReachReq'> | undefined): Reason[] {
  if (reach === undefined) return [];
  return [reach.address == null ? { key: 'import.reached' } : { key: 'import.reached-at', values: { address: reach.address } }];
}
