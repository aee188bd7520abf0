import { Button, Code, Drawer, Group, Modal, Select, Stack, Switch, Table, Text, TextInput } from '@mantine/core';
import { keepPreviousData, useMutation, useQuery } from '@tanstack/react-query';
import { IconKey, IconPlus, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { api, ok, type Shape } from '../../api/client';
import { useInAddress, usePage } from '../../address';
import { ConfirmByName, DialogForm, FormDialog, ListPanel, ListTable, NewPasswordField, Pages, PasswordField, Pill, say, sayProblem, SecretOnce, When } from '../../components/parts';
import { Empty, Problem } from '../../components/states';
import { offsetOf, PAGE_SIZE, useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { useProject, useSession } from '../../session';

export const ROLES = ['read-only', 'help-desk', 'app-operator', 'administrator'] as const;

export function Users() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const session = useSession();
  const { id: project_id } = useProject();
  const [page, setPage] = usePage();
  const [opened, open] = useInAddress('user');
  const [adding, setAdding] = useState(false);
  const [renewing, setRenewing] = useState<Shape<'IamUser'>>();
  const list = useQuery({
    queryKey: ['iam', project_id, page],
    placeholderData: keepPreviousData,
    queryFn: () =>
      ok(api.GET('/api/v1/{project_id}/iam/users', { params: { path: { project_id }, query: { limit: PAGE_SIZE, offset: offsetOf(page) } } })),
  });
  const change = useMutation({
    mutationFn: ({ id, body }: { id: string; body: Shape<'UpdateIamUserReq'> }) =>
      ok(api.PATCH('/api/v1/{project_id}/iam/users/{user_id}', { params: { path: { project_id, user_id: id } }, body })),
    onError: (problem) => sayProblem(problem, t('nav.access')),
    onSettled: () => refresh('iam'),
  });
  return (
    <>
      <Group justify="flex-end" mb="md">
        <Button leftSection={<IconPlus size={18} />} onClick={() => setAdding(true)}>
          {t('access.add')}
        </Button>
      </Group>
      <ListPanel list={list}>
        <ListTable label={t('nav.access')} head={[t('app.name'), t('access.role'), t('access.enabled'), t('list.created'), { hidden: t('access.keys') }]}>
          {list.data?.items.map((user) => (
            <Table.Tr key={user.id}>
              <Table.Td>
                <Text size="sm" fw={600}>
                  {user.name} {user.id === session.user_id && <Pill tone="busy">{t('access.you')}</Pill>}
                </Text>
              </Table.Td>
              <Table.Td>
                {user.id === session.user_id ? (
                  t(`role.${user.role}`)
                ) : (
                <Select
                  size="xs"
                  w={160}
                  aria-label={t('access.role-of', { name: user.name })}
                  data={ROLES.map((role) => ({ value: role, label: t(`role.${role}`) }))}
                  value={user.role}
                  allowDeselect={false}
                  disabled={change.isPending}
                  onChange={(role) => role !== null && role !== user.role && change.mutate({ id: user.id, body: { role: role as Shape<'IamRole'> } })}
                />
                )}
              </Table.Td>
              <Table.Td>
                <Switch
                  aria-label={t('access.enable-this', { name: user.name })}
                  checked={user.enabled}
                  disabled={user.id === session.user_id || change.isPending}
                  onChange={(event) => change.mutate({ id: user.id, body: { enabled: event.currentTarget.checked } })}
                />
              </Table.Td>
              <Table.Td>
                <When at={user.created_at} />
              </Table.Td>
              <Table.Td>
                {user.external ? (
                  <Text size="xs" c="dimmed">
                    {t('access.external')}
                  </Text>
                ) : (
                <Group gap="xs" wrap="nowrap" justify="flex-end">
                <Button size="xs" variant="default" aria-label={t('access.password-of', { name: user.name })} onClick={() => setRenewing(user)}>
                  {t('login.password')}
                </Button>
                <Button
                  size="xs"
                  variant="default"
                  leftSection={<IconKey size={14} />}
                  aria-label={t('access.keys-of', { name: user.name })}
                  onClick={() => open(user.id)}
                >
                  {t('access.keys')}
                </Button>
                </Group>
                )}
              </Table.Td>
            </Table.Tr>
          ))}
        </ListTable>
        {list.data !== undefined && <Pages count={list.data.count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
      </ListPanel>
      <AddUser opened={adding} onClose={() => setAdding(false)} />
      <Password user={renewing} onClose={() => setRenewing(undefined)} />
      <Keys user={list.data?.items.find((user) => user.id === opened)} onClose={() => open('')} />
    </>
  );
}

function AddUser({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [role, setRole] = useState<Shape<'IamRole'>>('read-only');
  const add = useMutation({
    mutationFn: () =>
      ok(
        api.POST('/api/v1/{project_id}/iam/users', {
          params: { path: { project_id } },
          body: { name, role, ...(password === '' ? {} : { password }) },
        }),
      ),
    onSuccess: () => refresh('iam'),
  });
  const close = () => {
    add.reset();
    setName('');
    setPassword('');
    onClose();
  };
  const made = add.data;
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={made === undefined ? t('access.add') : t('access.added', { name: made.user.name })}
      closeButtonProps={{ 'aria-label': t('action.close') }}
      centered
      // Secrets are shown once: only the button below them closes it then.
      withCloseButton={made === undefined}
      closeOnEscape={made === undefined}
      closeOnClickOutside={made === undefined}
    >
      {made !== undefined ? (
        <Stack>
          <SecretOnce
            note={t('access.once')}
            rows={[
              { label: t('login.user'), value: made.user.name },
              ...(made.password === undefined ? [] : [{ label: t('login.password'), value: made.password }]),
              { label: t('access.access-key'), value: made.access_key.access_key },
              { label: t('access.secret-key'), value: made.access_key.secret_key },
            ]}
          />
          <Group justify="flex-end">
            <Button onClick={close}>{t('access.kept')}</Button>
          </Group>
        </Stack>
      ) : (
        <DialogForm onClose={close} submit={t('access.add')} save={add}>
          <TextInput data-autofocus label={t('app.name')} required maxLength={64} value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <Select
            label={t('access.role')}
            allowDeselect={false}
            value={role}
            onChange={(value) => value !== null && setRole(value as Shape<'IamRole'>)}
            data={ROLES.map((value) => ({ value, label: t(`role.${value}`) }))}
          />
          <PasswordField
            label={t('login.password')}
            description={t('access.password-hint')}
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
        </DialogForm>
      )}
    </Modal>
  );
}

/** A new password for somebody; tokens and sessions made before end. */
function Password({ user, onClose }: { user: Shape<'IamUser'> | undefined; onClose: () => void }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const [password, setPassword] = useState('');
  const set = useMutation({
    mutationFn: () =>
      ok(api.PATCH('/api/v1/{project_id}/iam/users/{user_id}', { params: { path: { project_id, user_id: user?.id ?? '' } }, body: { password } })),
    onSuccess: () => {
      say(t('app.saved'));
      close();
    },
  });
  const close = () => {
    set.reset();
    setPassword('');
    onClose();
  };
  return (
    <FormDialog title={t('access.password-of', { name: user?.name ?? '' })} opened={user !== undefined} onClose={close} submit={t('action.save')} save={set}>
      <Text size="sm">{t('access.password-effect')}</Text>
      <NewPasswordField data-autofocus value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
    </FormDialog>
  );
}

function Keys({ user, onClose }: { user: Shape<'IamUser'> | undefined; onClose: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const user_id = user?.id ?? '';
  const path = { project_id, user_id };
  const [deleting, setDeleting] = useState<string>();
  const list = useQuery({
    queryKey: ['keys', project_id, user_id],
    enabled: user !== undefined,
    queryFn: () => ok(api.GET('/api/v1/{project_id}/iam/users/{user_id}/access-keys', { params: { path, query: { limit: 100, offset: 0 } } })),
  });
  const make = useMutation({
    mutationFn: () => ok(api.POST('/api/v1/{project_id}/iam/users/{user_id}/access-keys', { params: { path } })),
    onError: (problem) => sayProblem(problem, t('access.keys')),
    onSettled: () => refresh('keys'),
  });
  const enable = useMutation({
    mutationFn: ({ access_key, enabled }: { access_key: string; enabled: boolean }) =>
      ok(
        api.PATCH('/api/v1/{project_id}/iam/users/{user_id}/access-keys/{access_key}', {
          params: { path: { ...path, access_key } },
          body: { enabled },
        }),
      ),
    onError: (problem) => sayProblem(problem, t('access.keys')),
    onSettled: () => refresh('keys'),
  });
  return (
    <Drawer
      opened={user !== undefined}
      onClose={() => {
        make.reset();
        onClose();
      }}
      position="right"
      size="lg"
      // A secret is shown once: it goes by a deliberate click alone.
      closeOnEscape={make.data === undefined}
      closeOnClickOutside={make.data === undefined}
      title={t('access.keys-of', { name: user?.name ?? '' })}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <Stack>
        {make.data !== undefined && (
          <SecretOnce
            note={t('access.once')}
            rows={[
              { label: t('access.access-key'), value: make.data.access_key },
              { label: t('access.secret-key'), value: make.data.secret_key },
            ]}
          />
        )}
        {list.error !== null && <Problem error={list.error} />}
        {list.data?.items.length === 0 && (
          <Empty icon={<IconKey />} title={t('access.no-keys')}>
            {t('access.no-keys-text')}
          </Empty>
        )}
        {list.data?.items.map((key) => (
          <Group key={key.access_key} justify="space-between" className="panel" p="sm">
            <div>
              <Code>{key.access_key}</Code>
              <Text size="xs" c="dimmed">
                {key.last_used_at === undefined ? (
                  t('access.never-used')
                ) : (
                  <>
                    {t('access.last-used')} <When at={key.last_used_at} />
                  </>
                )}
              </Text>
            </div>
            <Group gap="sm">
              <Switch
                aria-label={t('access.enable-this', { name: key.access_key })}
                checked={key.enabled}
                onChange={(event) => enable.mutate({ access_key: key.access_key, enabled: event.currentTarget.checked })}
              />
              <Button
                size="xs"
                variant="default"
                leftSection={<IconTrash size={14} />}
                aria-label={t('action.delete-this', { name: key.access_key })}
                onClick={() => setDeleting(key.access_key)}
              >
                {t('action.delete')}
              </Button>
            </Group>
          </Group>
        ))}
        <Button leftSection={<IconPlus size={18} />} loading={make.isPending} onClick={() => make.mutate()}>
          {t('access.make-key')}
        </Button>
      </Stack>
      <ConfirmByName
        name={deleting ?? ''}
        title={t('access.delete-key')}
        effect={t('access.delete-key-effect')}
        action={t('action.delete')}
        opened={deleting !== undefined}
        onClose={() => setDeleting(undefined)}
        onConfirm={async () => {
          await ok(
            api.DELETE('/api/v1/{project_id}/iam/users/{user_id}/access-keys/{access_key}', {
              params: { path: { ...path, access_key: deleting ?? '' } },
            }),
          );
          await refresh('keys');
        }}
      />
    </Drawer>
  );
}
