import { Accordion, Button, Group, JsonInput, List, SegmentedControl, Select, Stack, Table, Text, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { IconFileCertificate, IconPencil, IconPlus, IconTrash } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { api, ok, type Shape } from '../../api/client';
import { ConfirmByName, FormDialog, ListTable, Panel, Pill, say } from '../../components/parts';
import { Empty, Problem } from '../../components/states';
import { useRefresh } from '../../data';
import { useTexts, wordOf, type Write } from '../../i18n';
import { useProject, useSession } from '../../session';
import { useIamAttachments, useIamGroups, useIamPolicies, useIamUsers } from './data';

type Policy = Shape<'IamPolicy'>;
type Statement = Shape<'IamStatement'>;

/** A ready-made policy is called as its role is: there the id is the name. */
const nameOf = (t: Write, id: string, name: string) => (id === name ? wordOf(t, 'role', name) : name);

/** A statement in words: what it allows or denies, on what, and when. */
export function StatementView({ statement }: { statement: Statement }) {
  const { t } = useTexts();
  const deny = statement.Effect === 'Deny';
  const conditions = Object.entries((statement.Condition ?? {}) as Record<string, Record<string, string[]>>).flatMap(([operator, keys]) =>
    Object.entries(keys).map(([key, values]) => `${key} ${operator} ${values.join(', ')}`),
  );
  return (
    <div style={{ overflowWrap: 'anywhere' }}>
      <Group gap={6} mb={2}>
        <Pill tone={deny ? 'bad' : 'ok'}>{deny ? t('policy.denies') : t('policy.allows')}</Pill>
      </Group>
      <Text size="sm" component="div">
        {t('list.colon', { what: t('audit.what'), more: '' })} {statement.Action.includes('*') ? t('policy.every-action') : <code>{statement.Action.join(', ')}</code>}
      </Text>
      <Text size="sm" c="dimmed">
        {t('list.colon', { what: t('audit.on'), more: '' })} {statement.Resource === undefined || statement.Resource === null ? t('policy.every-resource') : statement.Resource.join(', ')}
      </Text>
      {conditions.map((condition) => (
        <Text size="sm" c="dimmed" key={condition}>
          {t('policy.when')}: {condition}
        </Text>
      ))}
    </div>
  );
}

const SAMPLE = JSON.stringify(
  { Version: '1.1', Statement: [{ Effect: 'Allow', Action: ['workspace:appcenter:list*', 'workspace:appcenter:batchInstallApps'] }] },
  null,
  2,
);

export function Policies() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const list = useIamPolicies();
  const [editing, setEditing] = useState<Policy | 'new'>();
  const [deleting, setDeleting] = useState<Policy>();
  const own = list.data?.items.filter((policy) => !policy.ready_made) ?? [];
  const ready = list.data?.items.filter((policy) => policy.ready_made) ?? [];
  const item = (policy: Policy) => (
    <Accordion.Item key={policy.id} value={policy.id}>
      <Accordion.Control>
        <Text size="sm" fw={600}>
          {nameOf(t, policy.id, policy.name)}
        </Text>
        <Text size="xs" c="dimmed">
          {policy.ready_made ? wordOf(t, 'role-text', policy.name) : policy.description}
        </Text>
      </Accordion.Control>
      <Accordion.Panel>
        <Stack gap="sm">
          <List listStyleType="none" spacing="sm">
            {policy.document.Statement.map((statement, index) => (
              <List.Item key={index}>
                <StatementView statement={statement} />
              </List.Item>
            ))}
          </List>
          {!policy.ready_made && (
            <Group gap="xs">
              <Button size="xs" variant="default" leftSection={<IconPencil size={14} />} aria-label={t('app.edit-title', { name: policy.name })} onClick={() => setEditing(policy)}>
                {t('action.edit')}
              </Button>
              <Button size="xs" variant="default" leftSection={<IconTrash size={14} />} aria-label={t('action.delete-this', { name: policy.name })} onClick={() => setDeleting(policy)}>
                {t('action.delete')}
              </Button>
            </Group>
          )}
        </Stack>
      </Accordion.Panel>
    </Accordion.Item>
  );
  const button = (
    <Button leftSection={<IconPlus size={18} />} onClick={() => setEditing('new')}>
      {t('policy.add')}
    </Button>
  );
  return (
    <Stack gap="lg">
      {list.error !== null && <Problem error={list.error} onRetry={() => void list.refetch()} />}
      <Attachments />
      <Panel title={t('policy.own')} action={own.length > 0 ? button : undefined}>
        {own.length === 0 ? (
          <Empty icon={<IconFileCertificate />} title={t('policy.none')} action={button}>
            {t('policy.none-text')}
          </Empty>
        ) : (
          <Accordion chevronPosition="left">{own.map(item)}</Accordion>
        )}
      </Panel>
      <Panel title={t('policy.ready-made')}>
        <Accordion chevronPosition="left">{ready.map(item)}</Accordion>
      </Panel>
      <Edit policy={editing} onClose={() => setEditing(undefined)} />
      <ConfirmByName
        name={deleting?.name ?? ''}
        title={t('action.delete-this', { name: deleting?.name ?? '' })}
        effect={t('policy.delete-effect')}
        action={t('action.delete')}
        opened={deleting !== undefined}
        onClose={() => setDeleting(undefined)}
        onConfirm={async () => {
          await ok(api.DELETE('/api/v1/iam/policies/{policy_id}', { params: { path: { policy_id: deleting?.id ?? '' } } }));
          await refresh('iam-policies', 'iam-attachments');
        }}
      />
    </Stack>
  );
}

function Edit({ policy, onClose }: { policy: Policy | 'new' | undefined; onClose: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [text, setText] = useState(SAMPLE);
  const old = policy === 'new' ? undefined : policy;
  useEffect(() => {
    if (policy === undefined) return;
    setName(old?.name ?? '');
    setDescription(old?.description ?? '');
    setText(old === undefined ? SAMPLE : JSON.stringify(old.document, null, 2));
  }, [policy, old]);
  let document: Shape<'IamPolicyDocument'> | undefined;
  try {
    document = JSON.parse(text) as Shape<'IamPolicyDocument'>;
  } catch {
    document = undefined;
  }
  const save = useMutation({
    mutationFn: async () => {
      if (document === undefined) return;
      if (old === undefined) await ok(api.POST('/api/v1/iam/policies', { body: { name, description, document } }));
      else await ok(api.PATCH('/api/v1/iam/policies/{policy_id}', { params: { path: { policy_id: old.id } }, body: { description, document } }));
    },
    onSuccess: () => {
      say(t('app.saved'));
      onClose();
      return refresh('iam-policies');
    },
  });
  return (
    <FormDialog
      title={old === undefined ? t('policy.add') : t('app.edit-title', { name: old.name })}
      opened={policy !== undefined}
      onClose={onClose}
      size="xl"
      submit={t('action.save')}
      disabled={document === undefined}
      save={save}
    >
      <TextInput data-autofocus label={t('app.name')} description={t('access.name-hint')} required maxLength={64} disabled={old !== undefined} value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <TextInput label={t('app.description')} maxLength={255} value={description} onChange={(event) => setDescription(event.currentTarget.value)} />
      <JsonInput
        label={t('policy.document')}
        description={t('policy.document-hint')}
        validationError={t('detection.bad-json')}
        autosize
        minRows={8}
        maxRows={24}
        required
        value={text}
        onChange={setText}
        styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 13 } }}
      />
    </FormDialog>
  );
}

/** Who holds which policy, and where. Roles are shown with the users: they are policies too. */
function Attachments() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const session = useSession();
  const project = useProject();
  const list = useIamAttachments();
  const users = useIamUsers();
  const groups = useIamGroups();
  const policies = useIamPolicies();
  const [policy, setPolicy] = useState<string | null>(null);
  const [holder, setHolder] = useState<string | null>(null);
  const [where, setWhere] = useState('project');
  const [opened, setOpened] = useState(false);
  const attach = useMutation({
    mutationFn: () => {
      const [kind, id] = (holder ?? '').split(/:(.*)/s);
      return ok(
        api.POST('/api/v1/iam/attachments', {
          body: {
            policy: policy ?? '',
            ...(kind === 'user' ? { user_id: id ?? '' } : { group_id: id ?? '' }),
            ...(where === 'project' ? { project_id: project.id } : {}),
          },
        }),
      );
    },
    onSuccess: () => {
      setOpened(false);
      setPolicy(null);
      setHolder(null);
      return refresh('iam-attachments', 'iam');
    },
  });
  const detach = useMutation({
    mutationFn: (item: Shape<'IamAttachment'>) =>
      ok(
        api.POST('/api/v1/iam/attachments/actions/detach', {
          body: {
            policy: item.policy,
            ...(item.user_id === undefined ? { group_id: item.group_id ?? '' } : { user_id: item.user_id }),
            ...(item.project_id === undefined ? {} : { project_id: item.project_id }),
          },
        }),
      ),
    onSettled: () => refresh('iam-attachments', 'iam'),
  });
  const [detaching, setDetaching] = useState<Shape<'IamAttachment'>>();
  const place = (id: string | undefined) =>
    id === undefined ? t('policy.everywhere') : (session.projects.find((candidate) => candidate.id === id)?.name ?? id);
  return (
    <Panel
      title={t('policy.held')}
      action={
        <Button size="xs" variant="default" leftSection={<IconPlus size={16} />} onClick={() => setOpened(true)}>
          {t('policy.attach')}
        </Button>
      }
    >
      {list.error !== null && <Problem error={list.error} />}
      {list.data?.items.length === 0 && (
        <Text size="sm" c="dimmed">
          {t('policy.none-held')}
        </Text>
      )}
      {(list.data?.items.length ?? 0) > 0 && (
      <ListTable label={t('policy.held')} head={[t('policy.holder'), t('policy.policy'), t('settings.project'), { hidden: t('policy.detach') }]}>
        {list.data?.items.map((item) => {
          const who = item.user_name ?? item.group_name ?? '';
          const policyName = nameOf(t, item.policy, item.policy_name);
          return (
            <Table.Tr key={`${item.policy}${item.user_id ?? item.group_id ?? ''}${item.project_id ?? ''}`}>
              <Table.Td>
                <Text size="sm" fw={600}>
                  {who}
                </Text>
                <Text size="xs" c="dimmed">
                  {item.user_id === undefined ? t('people.group') : t('people.user')}
                </Text>
              </Table.Td>
              <Table.Td>{policyName}</Table.Td>
              <Table.Td>{place(item.project_id)}</Table.Td>
              <Table.Td ta="right">
                <Button
                  size="xs"
                  variant="default"
                  disabled={item.user_id === session.user_id}
                  aria-label={t('policy.detach-this', { policy: policyName, who })}
                  onClick={() => setDetaching(item)}
                >
                  {t('policy.detach')}
                </Button>
              </Table.Td>
            </Table.Tr>
          );
        })}
      </ListTable>
      )}
      <ConfirmByName
        name={detaching?.user_name ?? detaching?.group_name ?? ''}
        title={t('policy.detach-this', { policy: detaching === undefined ? '' : nameOf(t, detaching.policy, detaching.policy_name), who: detaching?.user_name ?? detaching?.group_name ?? '' })}
        effect={t('policy.detach-effect')}
        action={t('policy.detach')}
        opened={detaching !== undefined}
        onClose={() => setDetaching(undefined)}
        onConfirm={async () => {
          if (detaching !== undefined) await detach.mutateAsync(detaching);
        }}
      />
      <FormDialog
        title={t('policy.attach')}
        opened={opened}
        onClose={() => setOpened(false)}
        submit={t('policy.attach')}
        save={attach}
      >
        <Select
          data-autofocus
          label={t('policy.policy')}
          required
          searchable
          data={policies.data?.items.map((item) => ({ value: item.id, label: nameOf(t, item.id, item.name) })) ?? []}
          value={policy}
          onChange={setPolicy}
        />
        <Select
          label={t('policy.holder')}
          required
          searchable
          data={[
            { group: t('people.users'), items: users.data?.items.map((user) => ({ value: `user:${user.id}`, label: user.name })) ?? [] },
            { group: t('people.groups'), items: groups.data?.items.map((group) => ({ value: `group:${group.id}`, label: group.name })) ?? [] },
          ]}
          value={holder}
          onChange={setHolder}
        />
        <SegmentedControl
          aria-label={t('settings.project')}
          value={where}
          onChange={setWhere}
          data={[
            { value: 'project', label: t('policy.in-project', { name: project.name }) },
            { value: 'everywhere', label: t('policy.everywhere') },
          ]}
        />
      </FormDialog>
    </Panel>
  );
}
