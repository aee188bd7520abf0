import { Button, Checkbox, Group, Modal, Stack, Table, Tabs, Text, Textarea, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconFileImport, IconPlus, IconSearch, IconTrash, IconUser, IconUsers } from '@tabler/icons-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { useInAddress, usePage } from '../address';
import { ConfirmByName, FormDialog, ListPanel, ListTable, PageHead, Pages, PasswordField, Pill, say, sayProblem, SearchBox } from '../components/parts';
import { Empty } from '../components/states';
import { TabsList } from '../components/TabsList';
import { offsetOf, PAGE_SIZE, useGroups, useRefresh, useUsers } from '../data';
import { useTexts } from '../i18n';
import { usePath, useProject } from '../session';
import { Directory } from './people/Directory';
import { PortalWay } from './people/PortalWay';

/** Its tabs. */
const TABS = ['users', 'groups', 'directory'];

export default function People() {
  const { t } = useTexts();
  const [asked, setTab] = useInAddress('tab', 'users');
  const tab = TABS.find((name) => name === asked) ?? 'users';
  return (
    <>
      <PageHead title={t('nav.people')} sub={t('people.sub')} />
      <Tabs value={tab} onChange={(value) => setTab(value ?? 'users')} keepMounted={false}>
        <TabsList value={tab}>
          <Tabs.Tab value="users">{t('people.users')}</Tabs.Tab>
          <Tabs.Tab value="groups">{t('people.groups')}</Tabs.Tab>
          <Tabs.Tab value="directory">{t('directory.title')}</Tabs.Tab>
        </TabsList>
        <Tabs.Panel value="users">
          <Users />
        </Tabs.Panel>
        <Tabs.Panel value="groups">
          <Groups />
        </Tabs.Panel>
        <Tabs.Panel value="directory">
          <Directory />
        </Tabs.Panel>
      </Tabs>
    </>
  );
}

function ImportLink({ noun }: { noun: 'users' | 'groups' }) {
  const { t } = useTexts();
  const path = usePath();
  return (
    <Button component={Link} to={path(`import/${noun}`)} variant="default" leftSection={<IconFileImport size={18} />}>
      {t('import.start')}
    </Button>
  );
}

function Users() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const [search] = useInAddress('q');
  const [page, setPage] = usePage();
  const list = useUsers(search, offsetOf(page), PAGE_SIZE);
  const [adding, setAdding] = useState(false);
  const [deleting, setDeleting] = useState<Shape<'User'>>();
  const actions = (
    <Group gap="xs">
      <ImportLink noun="users" />
      <Button leftSection={<IconPlus size={18} />} onClick={() => setAdding(true)}>
        {t('people.add-user')}
      </Button>
    </Group>
  );
  const count = list.data?.total_count ?? 0;
  const isEmpty = list.data !== undefined && count === 0 && search === '';
  return (
    <>
      <PortalWay mb="md" />
      {!isEmpty && (
        <Group mb="md" justify="space-between">
          <SearchBox label={t('people.search-users')} />
          {actions}
        </Group>
      )}
      <ListPanel list={list}>
        {isEmpty ? (
          <Empty icon={<IconUser />} title={t('people.no-users')} action={actions}>
            {t('people.no-users-text')}
          </Empty>
        ) : list.data !== undefined && count === 0 ? (
          <Empty icon={<IconUser />} title={t('list.none')}>
            {t('list.none-text')}
          </Empty>
        ) : (
          <ListTable label={t('people.users')} head={[t('app.name'), t('people.email'), t('people.groups'), t('nav.desktops'), t('list.state'), { hidden: t('action.delete') }]}>
            {list.data?.users?.map((user) => (
              <Table.Tr key={user.id}>
                <Table.Td>
                  <Text size="sm" fw={600}>
                    {user.user_name}
                  </Text>
                  <Text size="xs" c="dimmed">
                    {user.description}
                  </Text>
                </Table.Td>
                <Table.Td>{user.user_email === undefined || user.user_email === '' ? '–' : user.user_email}</Table.Td>
                <Table.Td>{user.group_names?.join(', ') || '–'}</Table.Td>
                <Table.Td>{user.total_desktops ?? 0}</Table.Td>
                <Table.Td>
                  {user.disabled === true ? (
                    <Pill tone="care">{t('people.disabled')}</Pill>
                  ) : user.locked === true ? (
                    <Pill tone="bad">{t('people.locked')}</Pill>
                  ) : (
                    <Pill tone="ok">{t('people.active')}</Pill>
                  )}
                </Table.Td>
                <Table.Td>
                  <Button
                    size="xs"
                    variant="default"
                    leftSection={<IconTrash size={14} />}
                    aria-label={t('action.delete-this', { name: user.user_name ?? '' })}
                    onClick={() => setDeleting(user)}
                  >
                    {t('action.delete')}
                  </Button>
                </Table.Td>
              </Table.Tr>
            ))}
          </ListTable>
        )}
        {count > 0 && <Pages count={count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
      </ListPanel>
      <AddUser opened={adding} onClose={() => setAdding(false)} />
      <ConfirmByName
        name={deleting?.user_name ?? ''}
        title={t('people.delete-user', { name: deleting?.user_name ?? '' })}
        effect={t('people.delete-user-effect')}
        action={t('action.delete')}
        opened={deleting !== undefined}
        onClose={() => setDeleting(undefined)}
        onConfirm={async () => {
          await ok(api.DELETE('/v2/{project_id}/users/{user_id}', { params: { path: { project_id, user_id: deleting?.id ?? '' } } }));
          await refresh('users', 'groups', 'desktops');
        }}
      />
    </>
  );
}

function AddUser({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const [name, setName] = useState('');
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const add = useMutation({
    mutationFn: () =>
      ok(
        api.POST('/v2/{project_id}/users', {
          params: { path: { project_id } },
          body: {
            user_name: name,
            ...(email === '' ? {} : { user_email: email }),
            ...(password === '' ? { active_type: 'USER_ACTIVATE' as const } : { active_type: 'ADMIN_ACTIVATE' as const, password }),
          },
        }),
      ),
    onSuccess: () => {
      say(t('people.user-added', { name }));
      setName('');
      setEmail('');
      setPassword('');
      onClose();
      return refresh('users');
    },
  });
  return (
    <FormDialog title={t('people.add-user')} opened={opened} onClose={onClose} submit={t('people.add-user')} save={add}>
      <TextInput data-autofocus label={t('app.name')} required maxLength={32} value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <TextInput type="email" label={t('people.email')} required={password === ''} value={email} onChange={(event) => setEmail(event.currentTarget.value)} />
      <PasswordField
        label={t('login.password')}
        description={t('people.password-hint')}
        autoComplete="new-password"
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
    </FormDialog>
  );
}

function Groups() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const [search] = useInAddress('q');
  const [page, setPage] = usePage();
  const list = useGroups(search, offsetOf(page), PAGE_SIZE);
  const [adding, setAdding] = useState(false);
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [deleting, setDeleting] = useState<Shape<'UserGroupInfo'>>();
  const [members, setMembers] = useState<Shape<'UserGroupInfo'>>();
  const count = list.data?.total_count ?? 0;
  const isEmpty = list.data !== undefined && count === 0 && search === '';
  const add = useMutation({
    mutationFn: () =>
      ok(
        api.POST('/v2/{project_id}/groups', {
          params: { path: { project_id } },
          body: { group_name: name, platform_type: 'LOCAL', ...(description === '' ? {} : { description }) },
        }),
      ),
    onSuccess: () => {
      say(t('people.group-added', { name }));
      setName('');
      setDescription('');
      setAdding(false);
      return refresh('groups');
    },
  });
  const actions = (
    <Group gap="xs">
      <ImportLink noun="groups" />
      <Button leftSection={<IconPlus size={18} />} onClick={() => setAdding(true)}>
        {t('people.add-group')}
      </Button>
    </Group>
  );
  return (
    <>
      {!isEmpty && (
        <Group mb="md" justify="space-between">
          <SearchBox label={t('people.search-groups')} />
          {actions}
        </Group>
      )}
      <ListPanel list={list}>
        {isEmpty ? (
          <Empty icon={<IconUsers />} title={t('people.no-groups')} action={actions}>
            {t('people.no-groups-text')}
          </Empty>
        ) : list.data !== undefined && count === 0 ? (
          <Empty icon={<IconUsers />} title={t('list.none')}>
            {t('list.none-text')}
          </Empty>
        ) : (
          <ListTable label={t('people.groups')} head={[t('app.name'), t('people.platform'), t('people.members'), t('app.description'), { hidden: t('action.edit') }]}>
            {list.data?.user_groups?.map((group) => (
              <Table.Tr key={group.id}>
                <Table.Td>
                  <Text size="sm" fw={600}>
                    {group.name}
                  </Text>
                  {group.parent?.name !== undefined && group.parent.name !== '' && (
                    <Text size="xs" c="dimmed">
                      {t('people.inside', { name: group.parent.name })}
                    </Text>
                  )}
                </Table.Td>
                <Table.Td>
                  {t(group.platform_type === 'AD' ? 'people.platform-AD' : 'people.platform-LOCAL')}
                  {group.domain !== undefined && group.domain !== '' && (
                    <Text size="xs" c="dimmed">
                      {group.domain}
                    </Text>
                  )}
                </Table.Td>
                <Table.Td>{group.user_quantity ?? 0}</Table.Td>
                <Table.Td>{group.description}</Table.Td>
                <Table.Td>
                  <Group gap="xs" justify="flex-end" wrap="nowrap">
                    <Button size="xs" variant="default" onClick={() => setMembers(group)}>
                      {t('people.members')}
                    </Button>
                    {group.platform_type !== 'AD' && (
                      <Button
                        size="xs"
                        variant="default"
                        leftSection={<IconTrash size={14} />}
                        aria-label={t('action.delete-this', { name: group.name ?? '' })}
                        onClick={() => setDeleting(group)}
                      >
                        {t('action.delete')}
                      </Button>
                    )}
                  </Group>
                </Table.Td>
              </Table.Tr>
            ))}
          </ListTable>
        )}
        {count > 0 && <Pages count={count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
      </ListPanel>
      <FormDialog title={t('people.add-group')} opened={adding} onClose={() => setAdding(false)} submit={t('people.add-group')} save={add}>
        <TextInput data-autofocus label={t('app.name')} required maxLength={64} value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <Textarea label={t('app.description')} maxLength={255} value={description} onChange={(event) => setDescription(event.currentTarget.value)} />
      </FormDialog>
      <Members group={members} onClose={() => setMembers(undefined)} />
      <ConfirmByName
        name={deleting?.name ?? ''}
        title={t('people.delete-group', { name: deleting?.name ?? '' })}
        effect={t('people.delete-group-effect')}
        action={t('action.delete')}
        opened={deleting !== undefined}
        onClose={() => setDeleting(undefined)}
        onConfirm={async () => {
          await ok(api.DELETE('/v2/{project_id}/groups/{group_id}', { params: { path: { project_id, group_id: deleting?.id ?? '' } } }));
          await refresh('groups', 'users');
        }}
      />
    </>
  );
}

/** Members, and other users, that one search shows. */
const SHOWN = 50;

function Members({ group, onClose }: { group: Shape<'UserGroupInfo'> | undefined; onClose: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const group_id = group?.id ?? '';
  const [text, setText] = useState('');
  const users = useUsers(text, 0, SHOWN);
  const path = { project_id, group_id };
  // Members come first, as they were when the search began: who is ticked stays in place.
  const first = useQuery({
    queryKey: ['members-first', project_id, group_id, text],
    enabled: group !== undefined,
    staleTime: Infinity,
    gcTime: 0,
    placeholderData: (before, query) => (query?.queryKey[2] === group_id ? before : undefined),
    queryFn: () =>
      ok(api.GET('/v2/{project_id}/groups/{group_id}/users', { params: { path, query: { limit: SHOWN, offset: 0, ...(text === '' ? {} : { user_name: text }) } } })),
  });
  const ahead = first.data?.users ?? [];
  const taken = new Set(ahead.map((user) => user.id));
  const shown = first.isPending ? [] : [...ahead, ...(users.data?.users ?? []).filter((user) => !taken.has(user.id))];
  // Asked by name: a group may have more members than one answer holds.
  const user_names = shown.map((user) => user.user_name ?? '');
  const members = useQuery({
    queryKey: ['members', project_id, group_id, user_names],
    enabled: group !== undefined && shown.length > 0,
    placeholderData: (before, query) => (query?.queryKey[2] === group_id ? before : undefined),
    queryFn: () => ok(api.GET('/v2/{project_id}/groups/{group_id}/users', { params: { path, query: { user_names } } })),
  });
  const inside = new Set(members.data?.users?.map((user) => user.id));
  const change = useMutation({
    mutationFn: ({ id, op_type }: { id: string; op_type: Shape<'GroupOperation'> }) =>
      ok(api.POST('/v2/{project_id}/groups/{group_id}/actions', { params: { path }, body: { op_type, user_ids: [id] } })),
    onError: (problem) => sayProblem(problem, t('people.members')),
    onSettled: () => refresh('members', 'groups', 'users'),
  });
  return (
    <Modal
      opened={group !== undefined}
      onClose={onClose}
      title={t('people.members-of', { name: group?.name ?? '' })}
      closeButtonProps={{ 'aria-label': t('action.close') }}
      centered
    >
      <Stack>
        <Text size="sm" c="dimmed">
          {t(group?.platform_type === 'AD' ? 'import.from-directory' : 'people.at-once')}
        </Text>
        <TextInput
          data-autofocus
          type="search"
          aria-label={t('people.search-users')}
          placeholder={t('people.search-users')}
          leftSection={<IconSearch size={16} />}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        {shown.map((user) => (
          <Checkbox
            key={user.id}
            label={user.user_name}
            checked={inside.has(user.id)}
            disabled={members.isPending || members.isPlaceholderData || change.isPending || group?.platform_type === 'AD'}
            onChange={(event) => change.mutate({ id: user.id ?? '', op_type: event.currentTarget.checked ? 'ADD' : 'DELETE' })}
          />
        ))}
        {users.data !== undefined && !first.isPending && shown.length === 0 && (
          <Text size="sm" c="dimmed">
            {t('people.none-found')}
          </Text>
        )}
      </Stack>
    </Modal>
  );
}
