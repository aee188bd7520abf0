import { api, ok, type Shape } from '../api/client';
import type { Line } from './csv';
import { allOf, failed, fold, type Reason, type Wish } from './plan';
import { misfit, type Schemas } from './schema';

export const COLUMNS = ['name', 'email', 'phone', 'description', 'groups'] as const;

const PAGE = 100;

/** What the server has, by folded name. */
export interface Known {
  users: ReadonlyMap<string, Shape<'User'>>;
  /** Ids of groups. */
  groups: ReadonlyMap<string, string>;
}

/** Every user of the project, and every group. */
export async function usersOf(project_id: string): Promise<Shape<'User'>[]> {
  return allOf(PAGE, async (offset, limit) => {
    const page = await ok(
      api.GET('/v2/{project_id}/users', { params: { path: { project_id }, query: { offset: String(offset), limit: String(limit) } } }),
    );
    return { count: page.total_count ?? 0, items: page.users ?? [] };
  });
}

export async function groupsOf(project_id: string): Promise<Shape<'UserGroupInfo'>[]> {
  return allOf(PAGE, async (offset, limit) => {
    const page = await ok(
      api.GET('/v2/{project_id}/groups', { params: { path: { project_id }, query: { offset: String(offset), limit: String(limit) } } }),
    );
    return { count: page.total_count ?? 0, items: page.user_groups ?? [] };
  });
}

export async function known(project_id: string): Promise<Known> {
  const [users, groups] = await Promise.all([usersOf(project_id), groupsOf(project_id)]);
  return {
    users: new Map(users.map((user) => [fold(user.user_name ?? ''), user])),
    groups: new Map(groups.map((group) => [fold(group.name ?? ''), group.id ?? ''])),
  };
}

/** Decides what a line of users asks for. */
export function wishOf(project_id: string, { users, groups }: Known, schemas: Schemas, line: Line, name: string): Wish {
  const user = users.get(fold(name));
  const current = new Set((user?.group_names ?? []).map(fold));
  const joined = new Map<string, string>();
  for (const group of line.names('groups')) {
    const id = groups.get(fold(group));
    if (id === undefined) return failed('import.no-group', { name: group });
    if (!current.has(fold(group)) && !joined.has(id)) joined.set(id, group);
  }
  const joins: Reason[] = joined.size === 0 ? [] : [{ key: 'import.joins', values: { names: [...joined.values()].join(', ') } }];
  const join = async (user_id: string) => {
    for (const group_id of joined.keys()) {
      await ok(api.POST('/v2/{project_id}/groups/{group_id}/actions', { params: { path: { project_id, group_id } }, body: { op_type: 'ADD', user_ids: [user_id] } }));
    }
  };
  const [email, phone, description] = [line.get('email'), line.get('phone'), line.get('description')];
  if (user === undefined) {
    if (email === undefined && phone === undefined) return failed('import.needs-contact');
    const body: Shape<'CreateUserRequest'> = {
      user_name: name,
      active_type: 'USER_ACTIVATE',
      ...(email === undefined ? {} : { user_email: email }),
      ...(phone === undefined ? {} : { user_phone: phone }),
      ...(description === undefined ? {} : { description }),
    };
    const wrong = misfit(schemas, 'CreateUserRequest', body);
    if (wrong !== undefined) return { outcome: 'failed', reasons: [wrong] };
    let made: string | undefined;
    return {
      outcome: 'added',
      reasons: joins,
      run: async () => {
        made ??= (await ok(api.POST('/v2/{project_id}/users', { params: { path: { project_id } }, body }))).id ?? '';
        await join(made);
      },
    };
  }
  const changed: Reason[] = [];
  const differs = (column: string, wanted: string | undefined, stored: string | undefined) => {
    if (wanted === undefined || wanted === stored) return false;
    changed.push({ key: 'import.new-value', values: { column } });
    return true;
  };
  const body: Shape<'EditUserReq'> = {
    ...(differs('email', email, user.user_email) ? { user_email: email } : {}),
    ...(differs('phone', phone, user.user_phone) ? { user_phone: phone } : {}),
    ...(differs('description', description, user.description) ? { description } : {}),
  } as Shape<'EditUserReq'>;
  const isEdited = changed.length > 0;
  if (isEdited) {
    const wrong = misfit(schemas, 'EditUserReq', body);
    if (wrong !== undefined) return { outcome: 'failed', reasons: [wrong] };
  }
  if (!isEdited && joins.length === 0) return { outcome: 'unchanged' };
  const user_id = user.id ?? '';
  return {
    outcome: 'changed',
    reasons: [...changed, ...joins],
    run: async () => {
      if (isEdited) await ok(api.PUT('/v2/{project_id}/users/{user_id}', { params: { path: { project_id, user_id } }, body }));
      await join(user_id);
    },
  };
}
