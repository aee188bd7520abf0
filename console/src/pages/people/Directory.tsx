import {
  Accordion,
  Alert,
  Box,
  Button,
  Checkbox,
  Code,
  Group,
  List,
  NumberInput,
  SegmentedControl,
  SimpleGrid,
  Stack,
  Text,
  Textarea,
  TextInput,
} from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconAddressBook, IconAlertTriangle, IconCircleCheck, IconPlugConnected, IconRefresh, IconTrash } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { api, ApiProblem, ok, type Shape } from '../../api/client';
import { ConfirmByName, Facts, Panel, PasswordField, Pill, say, When } from '../../components/parts';
import { Empty, Problem } from '../../components/states';
import { useDirectoryStatus, useRefresh } from '../../data';
import { useTold } from '../../failures';
import { useTexts } from '../../i18n';
import { useProject } from '../../session';

type Draft = { [Member in keyof Shape<'SetDirectoryReq'>]-?: string } & { kind: Shape<'DirectoryKind'> };

const EMPTY: Draft = {
  kind: 'AD',
  url: 'ldaps://',
  base_dn: '',
  bind_user: '',
  bind_password: '',
  ca_pem: '',
  domain: '',
  group_base_dn: '',
  group_filter: '',
  group_name_attribute: '',
  sync_interval_seconds: '300',
  user_base_dn: '',
  user_filter: '',
  user_name_attribute: '',
};

function draftOf(directory: Shape<'Directory'>): Draft {
  return {
    ...EMPTY,
    kind: directory.kind,
    url: directory.url,
    base_dn: directory.user_base_dn,
    bind_user: directory.bind_user,
    ca_pem: directory.ca_pem,
    domain: directory.domain,
    group_base_dn: directory.group_base_dn,
    group_filter: directory.group_filter ?? '',
    group_name_attribute: directory.group_name_attribute,
    sync_interval_seconds: String(directory.sync_interval_seconds),
    user_base_dn: directory.user_base_dn,
    user_filter: directory.user_filter ?? '',
    user_name_attribute: directory.user_name_attribute,
  };
}

/** The company directory of the project: connection, test, synchronisation and how it went. */
export function Directory() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const params = { path: { project_id } };
  const [editing, setEditing] = useState(false);
  const [removing, setRemoving] = useState(false);
  const test = useTest();
  const shown = useQuery({
    queryKey: ['directory', project_id],
    queryFn: async () => {
      try {
        return await ok(api.GET('/api/v1/{project_id}/directory', { params }));
      } catch (problem) {
        if (problem instanceof ApiProblem && problem.status === 404) return null;
        throw problem;
      }
    },
  });
  const directory = shown.data;
  if (shown.error !== null && directory === undefined) return <Problem error={shown.error} onRetry={() => void shown.refetch()} />;
  if (directory === undefined) return null;
  if (directory === null && !editing) {
    return (
      <section className="panel">
        <Empty
          icon={<IconAddressBook />}
          title={t('directory.none')}
          action={<Button onClick={() => setEditing(true)}>{t('directory.connect')}</Button>}
        >
          {t('directory.none-text')}
        </Empty>
      </section>
    );
  }
  if (directory === null || editing) {
    return (
      <Box maw={800}>
        <Connection directory={directory ?? undefined} onDone={() => setEditing(false)} />
      </Box>
    );
  }
  const facts: [string, string][] = [
    [t('directory.kind'), directory.kind === 'AD' ? 'Active Directory' : 'LDAP'],
    [t('directory.domain'), directory.domain],
    [t('directory.bind-user'), directory.bind_user],
    [t('directory.user-base'), directory.user_base_dn],
    [t('directory.group-base'), directory.group_base_dn],
    [t('directory.user-filter'), directory.user_filter ?? '–'],
    [t('directory.group-filter'), directory.group_filter ?? '–'],
    [t('directory.interval'), String(directory.sync_interval_seconds)],
  ];
  return (
    <Stack gap="lg">
      <Status />
      <Panel
        title={directory.url}
        action={
          <Group gap="xs">
            {test.button}
            <Button size="xs" variant="default" onClick={() => setEditing(true)}>
              {t('action.edit')}
            </Button>
            <Button size="xs" variant="default" leftSection={<IconTrash size={14} />} onClick={() => setRemoving(true)}>
              {t('directory.remove')}
            </Button>
          </Group>
        }
      >
        <Stack>
          {test.answer}
          <Facts rows={facts} cols={{ base: 1, sm: 2 }} fw={400} />
        </Stack>
      </Panel>
      <ConfirmByName
        name={directory.domain}
        title={t('directory.remove-title')}
        effect={t('directory.remove-effect')}
        action={t('directory.remove')}
        opened={removing}
        onClose={() => setRemoving(false)}
        onConfirm={async () => {
          await ok(api.DELETE('/api/v1/{project_id}/directory', { params }));
          await refresh('directory', 'users', 'groups');
        }}
      />
    </Stack>
  );
}

/** Tries the stored connection: the button that does it, and the answer that stays until the next try. */
function useTest() {
  const { t } = useTexts();
  const told = useTold();
  const { id: project_id } = useProject();
  const test = useMutation({ mutationFn: () => ok(api.POST('/api/v1/{project_id}/directory/test', { params: { path: { project_id } } })) });
  const found = test.data;
  return {
    button: (
      <Button size="xs" variant="default" leftSection={<IconPlugConnected size={14} />} loading={test.isPending} onClick={() => test.mutate()}>
        {t('directory.test')}
      </Button>
    ),
    answer:
      test.error !== null ? (
        <Problem error={test.error} />
      ) : found === undefined ? null : (
        <Alert
          role="status"
          variant="outline"
          color={found.ok ? 'green' : 'red'}
          icon={found.ok ? <IconCircleCheck color="var(--ok)" /> : <IconAlertTriangle color="var(--bad)" />}
          title={found.ok ? t('directory.readable', { users: found.users ?? 0, groups: found.groups ?? 0 }) : t('directory.unreadable')}
        >
          <Stack gap={4}>
            {found.ok ? (
              <>
                <Text size="sm">{[...found.sample_users, ...found.sample_groups].join(', ')}</Text>
                <Text size="sm">{t(found.tells_changes === true ? 'directory.tells-changes' : 'directory.reads-all')}</Text>
              </>
            ) : (
              <>
                <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
                  {found.words} {found.error_code !== undefined && <Code>{found.error_code}</Code>}
                </Text>
                <Text size="sm">{told(found.hint)}</Text>
              </>
            )}
          </Stack>
        </Alert>
      ),
  };
}

/** How the last synchronisation went, what the next does, and a button to do it now. */
function Status() {
  const { t } = useTexts();
  const told = useTold();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const params = { path: { project_id } };
  const [removals, setRemovals] = useState(false);
  const status = useDirectoryStatus();
  const sync = useMutation({
    mutationFn: (full: boolean) =>
      ok(api.POST('/api/v1/{project_id}/directory/sync', { params, body: { ...(full ? { full } : {}), ...(removals ? { allow_removals: true } : {}) } })),
    onSettled: () => refresh('directory-status'),
  });
  const data = status.data;
  const ended = data?.last_attempt_at;
  useEffect(() => {
    if (ended !== undefined) void refresh('users', 'groups');
    // Asked again when another synchronisation has ended, not when the function is another.
  }, [ended]);
  const isGone = data === null;
  useEffect(() => {
    // Disconnected elsewhere.
    if (isGone) void refresh('directory');
  }, [isGone]);
  if (status.error !== null && data === undefined) return <Problem error={status.error} />;
  if (data === undefined || data === null) return null;
  const busy = data.running || data.pending;
  const facts: [string, React.ReactNode][] = [
    [t('directory.users'), data.users.toLocaleString()],
    [t('directory.groups'), data.groups.toLocaleString()],
    [t('directory.last-success'), <When key="s" at={data.last_success_at} />],
    [t('directory.last-full'), <When key="f" at={data.last_full_at} />],
    [t('directory.next'), <When key="n" at={data.next_at} />],
  ];
  return (
    <Panel
      title={t('directory.state')}
      action={
        <Group gap="xs">
          {busy ? (
            <Pill tone="busy">{t('directory.running')}</Pill>
          ) : data.stale ? (
            <Pill tone="bad">{t('directory.stale')}</Pill>
          ) : data.last_success_at === undefined ? (
            <Pill tone="wait">{t('directory.not-yet')}</Pill>
          ) : (
            <Pill tone="ok">{t('directory.fresh')}</Pill>
          )}
          <Button size="xs" variant="default" disabled={busy} onClick={() => sync.mutate(true)}>
            {t('directory.sync-full')}
          </Button>
          <Button size="xs" leftSection={<IconRefresh size={14} />} loading={sync.isPending || busy} onClick={() => sync.mutate(false)}>
            {t('directory.sync')}
          </Button>
        </Group>
      }
    >
      <Stack>
        {sync.error !== null && <Problem error={sync.error} />}
        <Facts rows={facts} cols={{ base: 2, sm: 3, md: 5 }} />
        {data.stale && (
          <Alert variant="outline" color="red" icon={<IconAlertTriangle color="var(--bad)" />} title={t('directory.unreadable')}>
            <Stack gap={4}>
              <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
                {data.words} {data.error_code !== undefined && <Code>{data.error_code}</Code>}
              </Text>
              <Text size="sm">{told(data.hint)}</Text>
              {data.error_code === 'too_many_removals' && (
                <Checkbox label={t('directory.allow-removals')} checked={removals} onChange={(event) => setRemovals(event.currentTarget.checked)} />
              )}
            </Stack>
          </Alert>
        )}
        {data.report !== undefined && (
          <div>
            <Text size="sm">
              {t('directory.report', {
                added: data.report.added,
                changed: data.report.changed,
                removed: data.report.removed,
                members: data.report.memberships_changed,
              })}
            </Text>
            {data.report.skipped_count > 0 && (
              <>
                <Text size="sm">{t('directory.skipped', { n: data.report.skipped_count })}</Text>
                <List size="sm">
                  {data.report.skipped.map((entry) => (
                    <List.Item key={`${entry.name}${entry.reason}`}>
                      {entry.name} · <Code>{entry.reason}</Code>
                    </List.Item>
                  ))}
                </List>
              </>
            )}
          </div>
        )}
      </Stack>
    </Panel>
  );
}

function Connection({ directory, onDone }: { directory: Shape<'Directory'> | undefined; onDone: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const [draft, setDraft] = useState<Draft>(directory === undefined ? EMPTY : draftOf(directory));
  const set = (member: keyof Draft) => (value: string) => setDraft((before) => ({ ...before, [member]: value }));
  const field = (member: keyof Draft) => ({
    value: draft[member],
    onChange: (event: { currentTarget: { value: string } }) => set(member)(event.currentTarget.value),
  });
  const save = useMutation({
    mutationFn: () => {
      const optional = ['bind_password', 'domain', 'group_base_dn', 'group_filter', 'group_name_attribute', 'user_base_dn', 'user_filter', 'user_name_attribute'] as const;
      const given = Object.fromEntries(optional.filter((member) => draft[member].trim() !== '').map((member) => [member, draft[member].trim()]));
      return ok(
        api.PUT('/api/v1/{project_id}/directory', {
          params: { path: { project_id } },
          body: {
            kind: draft.kind,
            url: draft.url.trim(),
            base_dn: draft.base_dn.trim(),
            bind_user: draft.bind_user.trim(),
            ca_pem: draft.ca_pem,
            sync_interval_seconds: Number(draft.sync_interval_seconds),
            ...given,
          },
        }),
      );
    },
    onSuccess: async () => {
      say(t('directory.saved'));
      await refresh('directory', 'directory-status');
      onDone();
    },
  });
  return (
    <Panel title={directory === undefined ? t('directory.connect') : t('directory.change')}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <SegmentedControl
            aria-label={t('directory.kind')}
            value={draft.kind}
            onChange={(value) => set('kind')(value)}
            data={[
              { value: 'AD', label: 'Active Directory' },
              { value: 'LDAP', label: 'LDAP' },
            ]}
          />
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TextInput label={t('directory.url')} description={t('directory.url-hint')} required placeholder="ldaps://dc1.corp.example" {...field('url')} />
            <TextInput label={t('directory.base')} description={t('directory.base-hint')} required placeholder="DC=corp,DC=example" {...field('base_dn')} />
            <TextInput label={t('directory.bind-user')} description={t('directory.bind-user-hint')} required placeholder={draft.kind === 'AD' ? 'outfitter@corp.example' : 'cn=outfitter,dc=corp,dc=example'} autoComplete="off" {...field('bind_user')} />
            <PasswordField
              label={t('login.password')}
              description={directory === undefined ? t('directory.password-hint') : t('directory.password-kept')}
              required={directory === undefined}
              autoComplete="new-password"
              {...field('bind_password')}
            />
          </SimpleGrid>
          <Textarea
            label={t('directory.ca')}
            description={t('directory.ca-hint')}
            required
            autosize
            minRows={4}
            maxRows={12}
            placeholder="-----BEGIN CERTIFICATE-----"
            styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 12.5 } }}
            {...field('ca_pem')}
          />
          <Accordion variant="contained">
            <Accordion.Item value="more">
              <Accordion.Control>{t('directory.more')}</Accordion.Control>
              <Accordion.Panel>
                <SimpleGrid cols={{ base: 1, sm: 2 }}>
                  <TextInput label={t('directory.domain')} description={t('directory.domain-hint')} {...field('domain')} />
                  <NumberInput
                    label={t('directory.interval')}
                    min={60}
                    max={86_400}
                    value={Number(draft.sync_interval_seconds)}
                    onChange={(value) => set('sync_interval_seconds')(String(value))}
                  />
                  <TextInput label={t('directory.user-base')} {...field('user_base_dn')} />
                  <TextInput label={t('directory.group-base')} {...field('group_base_dn')} />
                  <TextInput label={t('directory.user-filter')} placeholder="(department=it)" {...field('user_filter')} />
                  <TextInput label={t('directory.group-filter')} {...field('group_filter')} />
                  <TextInput label={t('directory.user-attribute')} placeholder={draft.kind === 'AD' ? 'sAMAccountName' : 'uid'} {...field('user_name_attribute')} />
                  <TextInput label={t('directory.group-attribute')} placeholder={draft.kind === 'AD' ? 'sAMAccountName' : 'cn'} {...field('group_name_attribute')} />
                </SimpleGrid>
              </Accordion.Panel>
            </Accordion.Item>
          </Accordion>
          {save.error !== null && <Problem error={save.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onDone}>
              {t('action.cancel')}
            </Button>
            <Button type="submit" loading={save.isPending}>
              {t('action.save')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Panel>
  );
}
