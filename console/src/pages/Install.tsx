import { Alert, Anchor, Box, Button, Checkbox, Group, List, NativeSelect, NumberInput, Select, SimpleGrid, Stack, Table, Text, TextInput, Title } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconAlertTriangle, IconApps, IconCircleCheck, IconDownload, IconRefresh, IconSearch, IconTrash, IconUpload } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { Link, useNavigate, useSearchParams } from 'react-router';
import { useChosenInAddress, useEditAddress } from '../address';
import { api, ok, type Shape } from '../api/client';
import { AccountPicker, keyOf } from '../components/AccountPicker';
import { DesktopPicker } from '../components/DesktopPicker';
import { AppIcon, Choice, ListTable, PageHead, Panel } from '../components/parts';
import { Empty, Problem } from '../components/states';
import { useAllApps, useRefresh } from '../data';
import { useTexts } from '../i18n';
import { usePath, useProject } from '../session';
import { SYSTEM } from './Apps';

/** Most apps and accounts of one call. Source: the contract, BatchAutoInstallAppsReq. */
const MOST = 50;
/** Most desktops of one call. Source: CreateDeploymentReq. */
const MOST_DESKTOPS = 100;

const DAY_SECS = 86_400;
/** Days after which jobs that could not be handed out fail. The first is what the server does by itself. */
const WAITS = [30, 1, 7, 90] as const;

function parseAccount(text: string): Shape<'AccountInfo'> | undefined {
  const [type, domain, ...rest] = text.split(':');
  const account = rest.join(':');
  if ((type !== 'SIMPLE' && type !== 'USER_GROUP') || account === '') return undefined;
  return { account, account_type: type, ...(domain === undefined || domain === '' ? {} : { domain }) };
}

/** What the page does: the address says which. Repairing is installing where the app is there already. */
const MODES = ['install', 'repair', 'uninstall'] as const;

export default function Install() {
  const { t } = useTexts();
  const path = usePath();
  const project = useProject();
  const navigate = useNavigate();
  const refresh = useRefresh();
  const apps = useAllApps();
  const [search] = useSearchParams();
  const [text, setText] = useState('');
  const [typed, setTyped] = useState('');
  const [command] = useDebouncedValue(typed, 400);
  const [limit, setLimit] = useState<number | string>('');
  const [limitIn, setLimitIn] = useState<keyof Shape<'FailLimit'>>('count');
  const [wait, setWait] = useState<(typeof WAITS)[number]>(30);
  const [chosen, choose] = useChosenInAddress('app', MOST);
  const mode = MODES.find((candidate) => candidate === search.get('do')) ?? 'install';
  const everyone = search.get('for') === 'everyone';
  const desktops = useMemo(() => search.getAll('desktop').slice(0, MOST_DESKTOPS), [search]);
  const byDesktop = !everyone && (desktops.length > 0 || search.get('for') === 'desktops');
  const accounts = useMemo(
    () => search.getAll('who').map(parseAccount).filter((account): account is Shape<'AccountInfo'> => account !== undefined),
    [search],
  );
  const change = useEditAddress();
  const body = {
    app_ids: chosen,
    ...(everyone ? { assign_scope: 'ALL_USER' as const } : byDesktop ? { desktop_ids: desktops } : { assign_scope: 'ASSIGN_USER' as const, users: accounts.slice(0, MOST) }),
    ...(mode === 'repair' ? { repair: true } : {}),
    ...(mode === 'uninstall' && command.trim() !== '' ? { uninstall_command: command.trim() } : {}),
  };
  const complete = chosen.length > 0 && (everyone || (byDesktop ? desktops.length > 0 : accounts.length > 0));
  const preview = useQuery({
    queryKey: ['preview', project.id, mode, body],
    enabled: complete,
    retry: false,
    gcTime: 0,
    queryFn: () => {
      const call = { params: { path: { project_id: project.id } }, body };
      return ok(
        mode === 'uninstall'
          ? api.POST('/api/v1/{project_id}/deployments/uninstall/preview', call)
          : api.POST('/api/v1/{project_id}/deployments/preview', call),
      );
    },
  });
  const install = useMutation({
    mutationFn: () => {
      const call = {
        params: { path: { project_id: project.id } },
        body: { ...body, ...(limit === '' ? {} : { fail_limit: { [limitIn]: Number(limit) } }), ...(wait === 30 ? {} : { expires_in_secs: wait * DAY_SECS }) },
      };
      return ok(
        mode === 'uninstall' ? api.POST('/api/v1/{project_id}/deployments/uninstall', call) : api.POST('/api/v1/{project_id}/deployments', call),
      );
    },
    onSuccess: (made) => {
      void refresh('jobs', 'deployments', 'apps');
      void navigate(path(`deployments/${made.id}`));
    },
  });
  const shown = apps.data?.filter((app) => app.name.toLocaleLowerCase().includes(text.toLocaleLowerCase())) ?? [];
  const nameOf = (id: string) => apps.data?.find((app) => app.id === id)?.name ?? t('app.unknown');

  if (apps.data !== undefined && apps.data.length === 0) {
    return (
      <>
        <PageHead title={t('nav.install')} sub={t('install.sub')} />
        <section className="panel">
          <Empty
            icon={<IconApps />}
            title={t('apps.empty')}
            action={
              <Button component={Link} to={path('apps/add')} leftSection={<IconUpload size={18} />}>
                {t('apps.add')}
              </Button>
            }
          >
            {t('apps.empty-text')}
          </Empty>
        </section>
      </>
    );
  }
  return (
    <>
      <PageHead title={t(`mode.${mode}`)} sub={t(`mode.${mode}.sub`)} />
      <Choice
        aria-label={t('mode.what')}
        mb="lg"
        value={mode}
        onChange={(value) => change((next) => (value === 'install' ? next.delete('do') : next.set('do', value)))}
        data={MODES.map((value) => ({ value, label: t(`mode.${value}`) }))}
      />
      {apps.error !== null && <Problem error={apps.error} />}
      <Stack gap="lg">
        <Panel title={t('install.step-apps')}>
          <TextInput
            type="search"
            aria-label={t('apps.search')}
            placeholder={t('apps.search')}
            leftSection={<IconSearch size={16} />}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            className="search"
            mb="md"
          />
          <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }} spacing="sm">
            {shown.map((app) => {
              const is = chosen.includes(app.id);
              const cannot = mode !== 'uninstall' && (app.install_type === 'GUI_INSTALL' || app.status === 'FORBIDDEN');
              return (
                <label key={app.id} className="panel tile" data-chosen={is} style={{ padding: 12, opacity: cannot ? 0.75 : 1 }}>
                  <Group wrap="nowrap" gap="sm">
                    <Checkbox
                      aria-label={app.name}
                      checked={is}
                      disabled={cannot || (!is && chosen.length >= MOST)}
                      onChange={() => choose((before) => (before.includes(app.id) ? before.filter((id) => id !== app.id) : [...before, app.id]))}
                    />
                    <AppIcon app={app} size={36} />
                    <div style={{ minWidth: 0 }}>
                      <Text fw={600} size="sm" truncate>
                        {app.name}
                      </Text>
                      <Text size="xs" c="dimmed">
                        {app.version} · {t(SYSTEM[app.support_os])}
                        {app.install_type === 'GUI_INSTALL' && ` · ${t('install.needs-person')}`}
                        {app.status === 'FORBIDDEN' && ` · ${t('app.hidden')}`}
                      </Text>
                    </div>
                  </Group>
                </label>
              );
            })}
          </SimpleGrid>
        </Panel>
        <Panel title={t('install.step-people')}>
          <Choice
            aria-label={t('install.step-people')}
            value={everyone ? 'everyone' : byDesktop ? 'desktops' : 'some'}
            onChange={(value) =>
              change((next) => {
                if (value === 'some') next.delete('for');
                else next.set('for', value);
                if (value !== 'desktops') next.delete('desktop');
              })
            }
            data={[
              { value: 'some', label: t('install.some') },
              { value: 'desktops', label: t('nav.desktops') },
              { value: 'everyone', label: t('install.everyone') },
            ]}
            mb="md"
          />
          {everyone ? (
            <Text size="sm" c="dimmed">
              {mode === 'uninstall' ? t('mode.uninstall.everyone') : t('install.everyone-text')}
            </Text>
          ) : byDesktop ? (
            <DesktopPicker
              label={t('nav.desktops')}
              value={desktops}
              onChange={(next) =>
                change((address) => {
                  address.set('for', 'desktops');
                  address.delete('desktop');
                  for (const id of next) address.append('desktop', id);
                })
              }
            />
          ) : (
            <AccountPicker
              label={t('install.people')}
              value={accounts}
              onChange={(next) =>
                change((address) => {
                  address.delete('who');
                  for (const account of next) address.append('who', keyOf(account));
                })
              }
            />
          )}
        </Panel>
        <Panel title={t('install.step-preview')}>
          {mode === 'uninstall' && (
            <TextInput
              label={t('mode.uninstall.command')}
              description={t('mode.uninstall.command-hint', { path: '${FILE_PATH}' })}
              maw={640}
              mb="md"
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
            />
          )}
          {!complete && (
            <Text size="sm" c="dimmed">
              {t('install.incomplete')}
            </Text>
          )}
          {complete && preview.error !== null && <Problem error={preview.error} onRetry={() => void preview.refetch()} />}
          {complete && preview.isFetching && preview.data === undefined && (
            <Text size="sm" c="dimmed" role="status">
              {t('install.looking')}
            </Text>
          )}
          {complete && preview.data !== undefined && <Preview preview={preview.data} mode={mode} nameOf={nameOf} />}
          <SimpleGrid cols={{ base: 1, sm: 2 }} mt="lg" maw={640}>
            <NumberInput
              label={t('install.limit')}
              description={t('install.limit-hint')}
              inputWrapperOrder={['label', 'input', 'description']}
              placeholder={t('install.no-limit')}
              min={0}
              max={limitIn === 'percent' ? 100 : 1_000_000}
              allowDecimal={false}
              value={limit}
              onChange={setLimit}
              inputContainer={(input) => (
                <Group gap="xs" wrap="nowrap" align="flex-start">
                  <div style={{ flex: 1, minWidth: 0 }}>{input}</div>
                  <NativeSelect
                    w={120}
                    aria-label={t('install.limit-in')}
                    data={(['count', 'percent'] as const).map((value) => ({ value, label: t(`install.limit-in.${value}`) }))}
                    value={limitIn}
                    onChange={(event) => setLimitIn(event.currentTarget.value === 'percent' ? 'percent' : 'count')}
                  />
                </Group>
              )}
            />
            <Select
              label={t('install.wait')}
              description={t('install.wait-hint')}
              inputWrapperOrder={['label', 'input', 'description']}
              allowDeselect={false}
              data={[...WAITS].sort((left, right) => left - right).map((days) => ({ value: String(days), label: t('install.days', { n: days }) }))}
              value={String(wait)}
              onChange={(value) => setWait(WAITS.find((days) => String(days) === value) ?? 30)}
            />
          </SimpleGrid>
          {install.error !== null && (
            <Box mt="lg">
              <Problem error={install.error} />
            </Box>
          )}
          <Group mt="lg" justify="space-between">
            <Text size="sm" c="dimmed">
              {t('install.nothing-yet')}
            </Text>
            <Button
              size="md"
              color={mode === 'uninstall' ? 'red' : undefined}
              leftSection={mode === 'uninstall' ? <IconTrash size={18} /> : mode === 'repair' ? <IconRefresh size={18} /> : <IconDownload size={18} />}
              disabled={!complete || typed !== command || preview.data === undefined || (preview.data.complete && preview.data.jobs === 0)}
              // Until the page of what was made is there.
              loading={install.isPending || install.isSuccess}
              onClick={() => install.mutate()}
            >
              {t(`mode.${mode}.go`)}
            </Button>
          </Group>
        </Panel>
      </Stack>
    </>
  );
}

function Preview({ preview, mode, nameOf }: { preview: Shape<'DeploymentPreview'>; mode: (typeof MODES)[number]; nameOf: (id: string) => string }) {
  const { t } = useTexts();
  const path = usePath();
  const { desktops_reached, desktops_skipped, accounts_unknown, authorizations_widened } = preview;
  return (
    <Stack gap="md" role="region" aria-label={t('install.step-preview')}>
      <SimpleGrid cols={{ base: 2, sm: 4 }}>
        {[
          { label: t('preview.desktops'), value: desktops_reached.count },
          { label: t('preview.jobs'), value: preview.jobs },
          { label: t('preview.skipped'), value: desktops_skipped.count },
          ...(mode === 'uninstall' ? [] : [{ label: t('preview.widened'), value: authorizations_widened.count }]),
        ].map((figure) => (
          <div key={figure.label}>
            <Text size="sm" c="dimmed">
              {figure.label}
            </Text>
            <div className="figure">
              {figure.value.toLocaleString()}
              {!preview.complete && '+'}
            </div>
          </div>
        ))}
      </SimpleGrid>
      {!preview.complete && <Text size="sm">{t('preview.partial')}</Text>}
      {preview.complete && preview.jobs === 0 && (
        <Alert variant="outline" color="yellow" icon={<IconAlertTriangle />} title={t(`mode.${mode}.nothing`)}>
          {t('preview.nothing-text')}
        </Alert>
      )}
      {desktops_reached.count > 0 && (
        <Group gap="xs" wrap="nowrap" align="flex-start">
          <IconCircleCheck size={18} color="var(--ok)" aria-hidden style={{ flex: 'none', marginTop: 1 }} />
          <Text size="sm">
            {desktops_reached.items
              .slice(0, 8)
              .map((desktop) => desktop.desktop_name)
              .join(t('list.comma'))}
            {desktops_reached.count > 8 && t('deployment.more', { n: desktops_reached.count - Math.min(8, desktops_reached.items.length) })}
          </Text>
        </Group>
      )}
      {accounts_unknown.count > 0 && (
        <Alert variant="outline" color="yellow" icon={<IconAlertTriangle />} title={t('preview.unknown', { n: accounts_unknown.count })}>
          {accounts_unknown.items.map((account) => account.account).join(t('list.comma'))} – {t('preview.unknown-text')}{' '}
          <Anchor component={Link} to={path('people')} size="sm" underline="always">
            {t('nav.people')}
          </Anchor>
        </Alert>
      )}
      {authorizations_widened.count > 0 && (
        <div>
          <Title order={3} size="h6" mb={4}>
            {t('preview.widened-title')}
          </Title>
          <List size="sm">
            {authorizations_widened.items.slice(0, 10).map((widened, index) => (
              <List.Item key={index}>
                {widened.account === undefined
                  ? t('preview.widened-all', { app: nameOf(widened.app_id) })
                  : t('preview.widened-one', { app: nameOf(widened.app_id), who: widened.account.account })}
              </List.Item>
            ))}
          </List>
        </div>
      )}
      {desktops_skipped.count > 0 && (
        <div>
          <Title order={3} size="h6" mb={4}>
            {t('preview.skipped-title')}
          </Title>
          <ListTable label={t('preview.skipped-title')} head={[t('job.desktop'), t('job.app'), t('preview.reason')]}>
            {desktops_skipped.items.slice(0, 20).map((skipped) => (
              <Table.Tr key={`${skipped.desktop_id}${skipped.app_id}`}>
                <Table.Td>{skipped.desktop_name}</Table.Td>
                <Table.Td>{nameOf(skipped.app_id)}</Table.Td>
                <Table.Td>{t(`skip.${skipped.reason}`)}</Table.Td>
              </Table.Tr>
            ))}
          </ListTable>
        </div>
      )}
    </Stack>
  );
}
