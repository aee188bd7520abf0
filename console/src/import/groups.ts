import { api, ok, type Shape } from '../api/client';
import type { Line } from './csv';
import { allOf, eachOf, failed, fold, type Reason, type Wish } from './plan';
import { misfit, type Schemas } from './schema';
import { groupsOf, usersOf } from './users';

export const COLUMNS = ['name', 'description', 'members'] as const;

/** Most users that one call adds. Source: contract, RunActionsOnGroup. */
const MEMBERS_PER_CALL = 50;
const MEMBERS_PAGE = 1000;

/** What the server has, by folded name. */
export interface Known {
  /** Those that the file names. */
  groups: ReadonlyMap<string, { group: Shape<'UserGroupInfo'>; members: ReadonlySet<string> }>;
  /** Ids of users. */
  users: ReadonlyMap<string, string>;
}

export async function known(project_id: string, lines: Line[]): Promise<Known> {
  const [users, stored] = await Promise.all([usersOf(project_id), groupsOf(project_id)]);
  const wanted = new Set(lines.map((line) => fold(line.get('name') ?? '')));
  const groups = new Map<string, { group: Shape<'UserGroupInfo'>; members: ReadonlySet<string> }>();
  await eachOf(
    stored.filter((group) => wanted.has(fold(group.name ?? ''))),
    async (group) => {
      const group_id = group.id ?? '';
      const members = await allOf(MEMBERS_PAGE, async (offset, limit) => {
        const page = await ok(
          api.GET('/v2/{project_id}/groups/{group_id}/users', { params: { path: { project_id, group_id }, query: { offset, limit } } }),
        );
        return { count: page.total_count ?? 0, items: page.users ?? [] };
      });
      groups.set(fold(group.name ?? ''), { group, members: new Set(members.map((user) => user.id ?? '')) });
    },
  );
  return { groups, users: new Map(users.map((user) => [fold(user.user_name ?? ''), user.id ?? ''])) };
}

/** Decides what a line of groups asks for. */
export function wishOf(project_id: string, { groups, users }: Known, schemas: Schemas, line: Line, name: string): Wish {
  const found = groups.get(fold(name));
  const joining = new Set<string>();
  for (const member of line.names('members')) {
    const id = users.get(fold(member));
    if (id === undefined) return failed('import.no-user', { name: member });
    if (found?.members.has(id) !== true) joining.add(id);
  }
  const joins: Reason[] = joining.size === 0 ? [] : [{ key: 'import.join', values: { n: joining.size } }];
  const join = async (group_id: string) => {
    const ids = [...joining];
    for (let at = 0; at < ids.length; at += MEMBERS_PER_CALL) {
      const user_ids = ids.slice(at, at + MEMBERS_PER_CALL);
      await ok(api.POST('/v2/{project_id}/groups/{group_id}/actions', { params: { path: { project_id, group_id } }, body: { op_type: 'ADD', user_ids } }));
    }
  };
  const description = line.get('description');
  if (found === undefined) {
    const body: Shape<'CreateUserGroupReq'> = { group_name: name, platform_type: 'LOCAL', ...(description === undefined ? {} : { description }) };
    const wrong = misfit(schemas, 'CreateUserGroupReq', body);
    if (wrong !== undefined) return { outcome: 'failed', reasons: [wrong] };
    let isMade = false;
    return {
      outcome: 'added',
      reasons: joins,
      run: async () => {
        if (!isMade) await ok(api.POST('/v2/{project_id}/groups', { params: { path: { project_id } }, body }));
        isMade = true;
        if (joining.size === 0) return;
        // The answer is empty in the contract; the list knows the id.
        const page = await ok(api.GET('/v2/{project_id}/groups', { params: { path: { project_id }, query: { keyword: name, offset: '0', limit: '100' } } }));
        const made = page.user_groups?.find((group) => group.name === name);
        if (made?.id === undefined) throw new Error(`the group ${name} was added and is gone`);
        await join(made.id);
      },
    };
  }
  if (found.group.platform_type === 'AD') return failed('import.from-directory');
  const isEdited = description !== undefined && description !== found.group.description;
  if (isEdited) {
    const wrong = misfit(schemas, 'EditUserGroupRequest', { description });
    if (wrong !== undefined) return { outcome: 'failed', reasons: [wrong] };
  }
  if (!isEdited && joins.length === 0) return { outcome: 'unchanged' };
  const group_id = found.group.id ?? '';
  return {
    outcome: 'changed',
    reasons: [...(isEdited ? [{ key: 'import.new-value' as const, values: { column: 'description' } }] : []), ...joins],
    run: async () => {
      if (isEdited) await ok(api.PUT('/v2/{project_id}/groups/{group_id}', { params: { path: { project_id, group_id } }, body: { description } }));
      await join(group_id);
    },
  };
}
