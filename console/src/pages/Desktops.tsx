import {
  Anchor,
  Button,
  Checkbox,
  Group,
  Select,
  Stack,
  Table,
  Tabs,
  TagsInput,
  Text,
  TextInput,
} from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { IconDeviceDesktop, IconFileImport, IconFileSpreadsheet, IconPlugConnected, IconPlus } from '@tabler/icons-react';
import { useState } from 'react';
import { Link, useNavigate, useSearchParams } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { queryText, useInAddress, usePage } from '../address';
import { SavedViews } from '../components/SavedViews';
import { FormDialog, ListPanel, ListTable, PageHead, Pages, Pill, say, SearchBox, States, When } from '../components/parts';
import { Empty } from '../components/states';
import { given, offsetOf, PAGE_SIZE, useDesktops, useRefresh } from '../data';
import { useTexts, wordOf } from '../i18n';
import { usePath, useProject } from '../session';
import { Connect } from './desktops/Connect';
import { Find } from './desktops/Find';
import { Waiting } from './desktops/Waiting';

const PRESENCES = ['online', 'offline', 'none'] as const;

/** Most desktops of one agent push. Source: the contract, BatchInstallAgentReq. */
const MOST_PUSHED = 100;

/** Names that a desktop may have. Source: RegisterDesktopReq. */
const NAME = /^[A-Za-z]([A-Za-z0-9-]{0,13}[A-Za-z0-9])?$/;

export function AgentPill({ desktop }: { desktop: Pick<Shape<'RegisteredDesktop'>, 'agent'> }) {
  const { t } = useTexts();
  if (desktop.agent === undefined) return <Pill tone="care">{t('desktop.no-agent')}</Pill>;
  return desktop.agent.connected ? <Pill tone="ok">{t('desktop.online')}</Pill> : <Pill tone="wait">{t('desktop.offline')}</Pill>;
}

/** Pushes the agent onto desktops, and goes to where one sees how it fares. */
export function usePush() {
  const { id: project_id } = useProject();
  const path = usePath();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: (desktop_ids: string[]) =>
      ok(api.POST('/v2/{project_id}/desktops/agents', { params: { path: { project_id } }, body: { desktop_ids } })),
    onSuccess: (job) => {
      if (job.job_id !== undefined) void navigate(path(`agents/${job.job_id}`));
    },
  });
}

export default function Desktops() {
  const { t } = useTexts();
  const path = usePath();
  const { id: project_id } = useProject();
  const [search] = useInAddress('q');
  const [state, setState] = useInAddress('state');
  const [enroll, setEnroll] = useInAddress('enroll');
  const [system, setSystem] = useInAddress('os');
  const [user] = useInAddress('user');
  const [version] = useInAddress('version');
  const [restart, setRestart] = useInAddress('restart');
  const [copy, setCopy] = useInAddress('copy');
  const [params, setParams] = useSearchParams();
  const tab = params.get('tab') === 'inventory' ? 'inventory' : 'list';
  const [page, setPage] = usePage();
  const [registering, setRegistering] = useState(false);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const filter = {
    name: search,
    user,
    agent_version: version,
    ...(PRESENCES.some((presence) => presence === state) ? { agent: state as Shape<'AgentPresence'> } : {}),
    ...(system === 'Linux' || system === 'Windows' ? { os_type: system as Shape<'OsTypeEnum'> } : {}),
    ...(restart === '1' ? { restart_needed: true } : {}),
    ...(copy === '1' ? { has_copy: true } : {}),
  };
  const list = useDesktops(filter, offsetOf(page), PAGE_SIZE);
  const count = list.data?.count;
  const ids = [...chosen].slice(0, MOST_PUSHED);
  const isFiltered = Object.keys(given(filter)).length > 0;
  const isEmpty = count === 0 && !isFiltered;
  const query = queryText(given(filter));
  const actions = (
    <>
      <Button component={Link} to={path('import/desktops')} variant="default" leftSection={<IconFileImport size={18} />}>
        {t('import.start')}
      </Button>
      <Button variant="default" leftSection={<IconPlus size={18} />} onClick={() => setRegistering(true)}>
        {t('desktop.register')}
      </Button>
      <Button leftSection={<IconPlugConnected size={18} />} onClick={() => setEnroll('1')}>
        {t('desktop.enroll')}
      </Button>
    </>
  );
  const listed = (
    <>
      <Waiting />
      {!isEmpty && (
        <Stack gap="sm" mb="md">
          <Group gap="sm" justify="space-between">
            <States
              aria-label={t('list.state')}
              value={state}
              onChange={setState}
              data={[
                { value: '', label: t('list.all') },
                { value: 'online', label: t('desktop.online') },
                { value: 'offline', label: t('desktop.offline') },
                { value: 'none', label: t('desktop.no-agent') },
              ]}
            />
            <Group gap="sm">
              <SavedViews />
              <Button
                component="a"
                href={`/api/v1/${project_id}/desktops/export${query === '' ? '' : `?${query}`}`}
                download="desktops.csv"
                variant="default"
                leftSection={<IconFileSpreadsheet size={16} />}
              >
                CSV
              </Button>
              {ids.length > 0 && (
                <Button
                  component={Link}
                  to={path(`agents?${ids.map((id) => `desktop=${id}`).join('&')}`)}
                  variant="default"
                  leftSection={<IconPlugConnected size={16} />}
                >
                  {t('desktop.push-chosen', { n: ids.length })}
                </Button>
              )}
            </Group>
          </Group>
          <Group gap="sm">
            <SearchBox label={t('desktops.search')} />
            <SearchBox label={t('desktops.by-user')} name="user" />
            <Select
              aria-label={t('app.system')}
              placeholder={t('app.system')}
              clearable
              clearButtonProps={{ 'aria-label': t('action.clear') }}
              className="search"
              data={['Linux', 'Windows']}
              value={system === '' ? null : system}
              onChange={(value) => setSystem(value ?? '')}
            />
            <SearchBox label={t('desktop.version')} name="version" />
            <Checkbox label={t('desktop.restart-needed')} checked={restart === '1'} onChange={(event) => setRestart(event.currentTarget.checked ? '1' : '')} />
            <Checkbox label={t('copy.has')} checked={copy === '1'} onChange={(event) => setCopy(event.currentTarget.checked ? '1' : '')} />
          </Group>
        </Stack>
      )}
      <ListPanel list={list}>
        {isEmpty ? (
          <Empty icon={<IconDeviceDesktop />} title={t('desktops.empty')} action={actions}>
            {t('desktops.empty-text')}
          </Empty>
        ) : count === 0 ? (
          <Empty icon={<IconDeviceDesktop />} title={t('list.none')}>
            {t('list.none-text')}
          </Empty>
        ) : (
          <ListTable
            label={t('nav.desktops')}
            head={[{ hidden: t('desktop.choose') }, t('app.name'), t('desktop.agent'), t('desktop.users'), t('app.system'), t('desktop.version'), t('desktop.last-seen')]}
          >
            {list.data?.items.map((desktop) => (
              <Table.Tr key={desktop.id}>
                <Table.Td w={40}>
                  <Checkbox
                    aria-label={t('desktop.choose-this', { name: desktop.name })}
                    checked={chosen.has(desktop.id)}
                    onChange={(event) => {
                      const next = new Set(chosen);
                      if (event.currentTarget.checked) next.add(desktop.id);
                      else next.delete(desktop.id);
                      setChosen(next);
                    }}
                  />
                </Table.Td>
                <Table.Td>
                  <Anchor component={Link} to={path(`desktops/${desktop.id}`)} fw={600} size="sm">
                    {desktop.name}
                  </Anchor>
                </Table.Td>
                <Table.Td>
                  <AgentPill desktop={desktop} />
                  {desktop.agent?.copy !== undefined && (
                    <Text size="xs" c="var(--care)">
                      {t('copy.has')}
                    </Text>
                  )}
                  {desktop.restart_needed_since !== undefined && (
                    <Text size="xs" c="dimmed">
                      {t('desktop.restart-needed')}
                    </Text>
                  )}
                </Table.Td>
                <Table.Td>{desktop.users.map((user) => user.account).join(', ') || '–'}</Table.Td>
                <Table.Td>{wordOf(t, 'desktop.system', desktop.os_type)}</Table.Td>
                <Table.Td>{desktop.agent?.version ?? '–'}</Table.Td>
                <Table.Td>
                  {desktop.agent?.connected === true ? t('desktop.now') : <When at={desktop.agent?.last_seen_at} />}
                </Table.Td>
              </Table.Tr>
            ))}
          </ListTable>
        )}
        {count !== undefined && count > 0 && <Pages count={count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
      </ListPanel>
    </>
  );
  return (
    <>
      <PageHead title={t('nav.desktops')} sub={t('desktops.sub')} actions={isEmpty && tab === 'list' ? undefined : actions} />
      {/* What one tab keeps in the address means nothing to the other. */}
      <Tabs value={tab} onChange={(value) => setParams(value === 'inventory' ? { tab: value } : {}, { replace: true })} mb="md">
        <Tabs.List>
          <Tabs.Tab value="list">{t('desktops.list')}</Tabs.Tab>
          <Tabs.Tab value="inventory">{t('inventory.title')}</Tabs.Tab>
        </Tabs.List>
      </Tabs>
      {tab === 'inventory' ? <Find /> : listed}
      <Connect opened={enroll !== ''} onClose={() => setEnroll('')} />
      <Register opened={registering} onClose={() => setRegistering(false)} />
    </>
  );
}

function Register({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const refresh = useRefresh();
  const [name, setName] = useState('');
  const [system, setSystem] = useState<Shape<'OsTypeEnum'>>('Linux');
  const [users, setUsers] = useState<string[]>([]);
  const isMisnamed = name !== '' && !NAME.test(name);
  const register = useMutation({
    mutationFn: () =>
      ok(
        api.POST('/api/v1/{project_id}/desktops', {
          params: { path: { project_id } },
          body: { name, os_type: system, ...(users.length === 0 ? {} : { users }) },
        }),
      ),
    onSuccess: () => {
      say(t('desktop.registered', { name }));
      setName('');
      setUsers([]);
      onClose();
      void refresh('desktops');
    },
  });
  return (
    <FormDialog title={t('desktop.register-title')} opened={opened} onClose={onClose} submit={t('desktop.register')} disabled={isMisnamed} save={register}>
      <Text size="sm" c="dimmed">
        {t('desktop.register-text')}
      </Text>
      <TextInput
        data-autofocus
        label={t('app.name')}
        description={t('desktop.name-hint')}
        required
        error={isMisnamed && t('desktop.name-wrong')}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Select
        label={t('app.system')}
        data={['Linux', 'Windows']}
        allowDeselect={false}
        value={system}
        onChange={(value) => value !== null && setSystem(value as Shape<'OsTypeEnum'>)}
      />
      <TagsInput label={t('desktop.users')} description={t('desktop.users-hint')} value={users} onChange={setUsers} />
    </FormDialog>
  );
}
