import { Alert, Anchor, Button, Code, Group, NumberInput, Progress, SimpleGrid, Stack, Switch, Table, Text } from '@mantine/core';
import { keepPreviousData, useMutation, useQuery } from '@tanstack/react-query';
import { IconCircleCheck, IconRestore, IconSearch, IconShieldSearch, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { bytes, ConfirmByName, FormDialog, ListTable, PageHead, Pages, Panel, Pill, say, sayProblem, When } from '../components/parts';
import { Problem } from '../components/states';
import { offsetOf, PAGE_SIZE, QUIET_MS, useRefresh } from '../data';
import { usePage } from '../address';
import { useTexts, wordOf } from '../i18n';
import { usePath, useProject } from '../session';

const GIGABYTE = 1_000_000_000;

export default function Packages() {
  const { t } = useTexts();
  return (
    <>
      <PageHead title={t('nav.packages')} sub={t('packages.sub')} />
      <Stack gap="lg">
        <Space />
        <Damaged />
        <Deleted />
        <Housekeeping />
      </Stack>
    </>
  );
}

/** How much the packages take, how much they may, and what is asked of links. */
function Space() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const project = useProject();
  const params = { path: { project_id: project.id } };
  const [editing, setEditing] = useState(false);
  const [limit, setLimit] = useState<number | string>('');
  const settings = useQuery({ queryKey: ['package-settings', project.id], queryFn: () => ok(api.GET('/api/v1/{project_id}/package-settings', { params })) });
  const rule = useMutation({
    mutationFn: (require_link_digest: boolean) => ok(api.PUT('/api/v1/{project_id}/package-settings', { params, body: { require_link_digest } })),
    onError: (problem) => sayProblem(problem, t('packages.require-digest')),
    onSettled: () => refresh('package-settings'),
  });
  const quota = useMutation({
    mutationFn: () =>
      ok(
        api.PUT('/api/v1/projects/{project}/quota', {
          params: { path: { project: project.id } },
          body: limit === '' ? {} : { quota_bytes: Math.round(Number(limit) * GIGABYTE) },
        }),
      ),
    onSuccess: () => {
      say(t('app.saved'));
      setEditing(false);
      return refresh('package-settings');
    },
  });
  const data = settings.data;
  const share = data?.quota_bytes === undefined ? undefined : Math.min(100, (data.used_bytes / data.quota_bytes) * 100);
  return (
    <Panel
      title={t('packages.space')}
      action={
        <Button
          size="xs"
          variant="default"
          onClick={() => {
            setLimit(data?.quota_bytes === undefined ? '' : data.quota_bytes / GIGABYTE);
            setEditing(true);
          }}
        >
          {t('packages.set-quota')}
        </Button>
      }
    >
      {settings.error !== null && <Problem error={settings.error} />}
      {data !== undefined && (
        <Stack>
          <div>
            <Text size="sm" mb={6}>
              {data.quota_bytes === undefined
                ? t('packages.used', { used: bytes(data.used_bytes) })
                : t('packages.used-of', { used: bytes(data.used_bytes), all: bytes(data.quota_bytes) })}
            </Text>
            {share !== undefined && <Progress value={share} size="lg" color={share > 90 ? 'red' : 'indigo'} aria-label={t('packages.space')} />}
          </div>
          <Switch
            label={t('packages.require-digest')}
            description={t('packages.require-digest-text')}
            checked={data.require_link_digest}
            disabled={rule.isPending}
            onChange={(event) => rule.mutate(event.currentTarget.checked)}
          />
        </Stack>
      )}
      <FormDialog title={t('packages.set-quota')} opened={editing} onClose={() => setEditing(false)} submit={t('action.save')} save={quota}>
        <NumberInput data-autofocus label={t('packages.quota')} description={t('packages.quota-hint')} min={0.001} decimalScale={3} value={limit} onChange={setLimit} />
      </FormDialog>
    </Panel>
  );
}

/** Packages whose bytes are missing or altered, and a way to read every byte of one again. */
function Damaged() {
  const { t } = useTexts();
  const path = usePath();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const list = useQuery({
    queryKey: ['damaged', project_id],
    refetchInterval: QUIET_MS,
    queryFn: () => ok(api.GET('/api/v1/{project_id}/damaged-packages', { params: { path: { project_id }, query: { limit: 100, offset: 0 } } })),
  });
  const verify = useMutation({
    mutationFn: (app_id: string) => ok(api.POST('/api/v1/{project_id}/apps/{app_id}/package/actions/verify', { params: { path: { project_id, app_id } } })),
    onSuccess: () => say(t('packages.verifying')),
    onError: (problem) => sayProblem(problem, t('packages.verify')),
    onSettled: () => refresh('damaged'),
  });
  return (
    <Panel title={t('packages.health')}>
      {list.error !== null && <Problem error={list.error} />}
      {list.data?.count === 0 && (
        <Group gap="xs">
          <IconCircleCheck size={20} color="var(--ok)" aria-hidden />
          <Text size="sm">{t('packages.all-intact')}</Text>
        </Group>
      )}
      {list.data !== undefined && list.data.count > 0 && (
        <>
          <Text size="sm" mb="sm">
            {t('packages.damaged-text')}
          </Text>
          <ListTable label={t('packages.health')} head={[t('job.app'), t('list.state'), t('packages.size'), t('packages.looked'), { hidden: t('packages.verify') }]}>
            {list.data.items.map((damaged) => (
              <Table.Tr key={damaged.app_id}>
                <Table.Td>
                  <Anchor component={Link} to={path(`apps/${damaged.app_id}`)} size="sm" fw={600}>
                    {damaged.app_name}
                  </Anchor>
                  <Text size="xs" c="dimmed">
                    <Code title={damaged.sha256}>{damaged.sha256.slice(0, 12)}</Code>
                  </Text>
                </Table.Td>
                <Table.Td>
                  <Pill tone="bad">{wordOf(t, 'condition', damaged.condition)}</Pill>
                </Table.Td>
                <Table.Td>{bytes(damaged.size_bytes)}</Table.Td>
                <Table.Td>
                  <When at={damaged.looked_at} />
                </Table.Td>
                <Table.Td ta="right">
                  <Button
                    size="xs"
                    variant="default"
                    leftSection={<IconShieldSearch size={14} />}
                    loading={verify.isPending && verify.variables === damaged.app_id}
                    aria-label={t('packages.verify-this', { name: damaged.app_name })}
                    onClick={() => verify.mutate(damaged.app_id)}
                  >
                    {t('packages.verify')}
                  </Button>
                </Table.Td>
              </Table.Tr>
            ))}
          </ListTable>
        </>
      )}
    </Panel>
  );
}

/** Deleted apps that can still be had back. */
function Deleted() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const [page, setPage] = usePage();
  const list = useQuery({
    queryKey: ['deleted', project_id, page],
    placeholderData: keepPreviousData,
    queryFn: () => ok(api.GET('/api/v1/{project_id}/deleted-apps', { params: { path: { project_id }, query: { limit: PAGE_SIZE, offset: offsetOf(page) } } })),
  });
  const restore = useMutation({
    mutationFn: (app: Shape<'DeletedApp'>) => ok(api.POST('/api/v1/{project_id}/apps/{app_id}/actions/restore', { params: { path: { project_id, app_id: app.id } } })),
    onSuccess: (_, app) => say(t('packages.restored', { name: app.name })),
    onError: (problem) => sayProblem(problem, t('packages.restore')),
    onSettled: () => refresh('deleted', 'apps'),
  });
  return (
    <Panel title={t('packages.deleted')}>
      {list.error !== null && <Problem error={list.error} />}
      {list.data?.count === 0 && (
        <Text size="sm" c="dimmed">
          {t('packages.none-deleted')}
        </Text>
      )}
      {list.data !== undefined && list.data.count > 0 && (
        <>
          <ListTable label={t('packages.deleted')} head={[t('app.name'), t('packages.deleted-at'), t('packages.until'), { hidden: t('packages.restore') }]}>
            {list.data.items.map((app) => (
              <Table.Tr key={app.id}>
                <Table.Td>
                  <Text size="sm" fw={600}>
                    {app.name} {app.version}
                  </Text>
                </Table.Td>
                <Table.Td>
                  <When at={app.deleted_at} />
                </Table.Td>
                <Table.Td>
                  <When at={app.restorable_until} />
                </Table.Td>
                <Table.Td ta="right">
                  <Button
                    size="xs"
                    variant="default"
                    leftSection={<IconRestore size={14} />}
                    loading={restore.isPending && restore.variables === app}
                    aria-label={t('packages.restore-this', { name: app.name })}
                    onClick={() => restore.mutate(app)}
                  >
                    {t('packages.restore')}
                  </Button>
                </Table.Td>
              </Table.Tr>
            ))}
          </ListTable>
          {(list.data.count > PAGE_SIZE || page > 1) && <Pages count={list.data.count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
        </>
      )}
    </Panel>
  );
}

/** What nothing needs any more: looked at first, removed on a second press. */
function Housekeeping() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const [removing, setRemoving] = useState(false);
  const look = useMutation({ mutationFn: (dry_run: boolean) => ok(api.POST('/api/v1/store/actions/collect', { body: { dry_run } })) });
  const found = look.data;
  const isNothing = found !== undefined && found.due.count + found.waiting.count + found.missing.length + found.failed === 0;
  return (
    <Panel
      title={t('packages.housekeeping')}
      action={
        <Group gap="xs">
          <Button size="xs" variant="default" leftSection={<IconSearch size={14} />} loading={look.isPending} onClick={() => look.mutate(true)}>
            {t('packages.look')}
          </Button>
          {found !== undefined && found.dry_run && found.due.count > 0 && (
            <Button size="xs" color="red" leftSection={<IconTrash size={14} />} onClick={() => setRemoving(true)}>
              {t('packages.remove', { n: found.due.count })}
            </Button>
          )}
        </Group>
      }
    >
      <Stack>
        <Text size="sm" c="dimmed">
          {t('packages.housekeeping-text')}
        </Text>
        {look.error !== null && <Problem error={look.error} />}
        {found !== undefined && (
          <>
            {isNothing ? (
              <Text size="sm" role="status">
                {t('packages.nothing')}
              </Text>
            ) : (
              <SimpleGrid cols={{ base: 2, sm: 4 }} role="status">
                {[
                  [t(found.dry_run ? 'packages.due' : 'packages.gone'), t('packages.items', { n: found.due.count, size: bytes(found.due.size_bytes) })],
                  [t('packages.waiting'), t('packages.items', { n: found.waiting.count, size: bytes(found.waiting.size_bytes) })],
                  [t('packages.missing'), String(found.missing.length)],
                  [t('packages.failed'), String(found.failed)],
                ].map(([label, value]) => (
                  <div key={label}>
                    <Text size="sm" c="dimmed">
                      {label}
                    </Text>
                    <Text fw={650}>{value}</Text>
                  </div>
                ))}
              </SimpleGrid>
            )}
            {found.missing.length > 0 && (
              <Alert variant="outline" color="red" title={t('packages.missing')}>
                {found.missing.slice(0, 10).map((digest) => (
                  <Code key={digest} block mb={4}>
                    {digest}
                  </Code>
                ))}
              </Alert>
            )}
            {found.items.length > 0 && (
              <ListTable label={t('packages.housekeeping')} head={[t('packages.item'), t('preview.reason'), t('packages.size'), t('packages.due-at')]}>
                {found.items.slice(0, 100).map((item) => (
                  <Table.Tr key={item.name}>
                    <Table.Td>
                      <Code title={item.name}>{item.name.slice(0, 20)}</Code>
                    </Table.Td>
                    <Table.Td>{wordOf(t, 'collect', item.reason)}</Table.Td>
                    <Table.Td>{bytes(item.size_bytes)}</Table.Td>
                    <Table.Td>
                      <When at={item.due_at} />
                    </Table.Td>
                  </Table.Tr>
                ))}
              </ListTable>
            )}
          </>
        )}
      </Stack>
      <ConfirmByName
        name={t('packages.remove-word')}
        title={t('packages.housekeeping')}
        effect={t('packages.remove-effect', { n: found?.due.count ?? 0, size: bytes(found?.due.size_bytes ?? 0) })}
        action={t('packages.remove', { n: found?.due.count ?? 0 })}
        opened={removing}
        onClose={() => setRemoving(false)}
        onConfirm={async () => {
          await look.mutateAsync(false);
          await refresh('package-settings', 'damaged');
        }}
      />
    </Panel>
  );
}
