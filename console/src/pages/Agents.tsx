import { Alert, Anchor, Button, Checkbox, Code, Group, List, Modal, Skeleton, Stack, Table, Tabs, Text } from '@mantine/core';
import { keepPreviousData, queryOptions, useMutation, useQueries, useQuery } from '@tanstack/react-query';
import { IconAlertTriangle, IconCircleCheck, IconDeviceDesktop, IconPlugConnected, IconRocket, IconRoute } from '@tabler/icons-react';
import { useState } from 'react';
import { Link, useSearchParams } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { useChosenInAddress, useInAddress, usePage } from '../address';
import { ChooseAll } from '../components/ChooseAll';
import { bytes, DialogForm, ListPanel, ListTable, PageHead, Pages, Pill, say, SearchBox, States } from '../components/parts';
import { reachDraft, ReachForm, wireReach } from '../components/ReachForm';
import { Empty, Problem } from '../components/states';
import { TabsList } from '../components/TabsList';
import { offsetOf, PAGE_SIZE, useDesktops, useRefresh } from '../data';
import { useTold } from '../failures';
import { useTexts, wordOf } from '../i18n';
import { usePath, useProject } from '../session';
import { Releases } from './agents/Releases';
import { obstacleOf } from './agents/wayIn';
import { AgentPill, usePush } from './Desktops';

/** Most desktops of one push. Source: the contract, BatchInstallAgentReq. */
const MOST = 100;

const TABS = { push: PushOnto, updates: Releases } as const;

export default function Agents() {
  const { t } = useTexts();
  const [search, setSearch] = useSearchParams();
  const tab = search.get('tab') === 'updates' ? 'updates' : 'push';
  return (
    <>
      <PageHead title={t('agents.title')} sub={t('agents.sub')} />
      {/* What one tab keeps in the address means nothing to the other. */}
      <Tabs value={tab} onChange={(value) => setSearch(value === 'updates' ? { tab: value } : {}, { replace: true })} keepMounted={false}>
        <TabsList value={tab}>
          <Tabs.Tab value="push">{t('agents.push')}</Tabs.Tab>
          <Tabs.Tab value="updates">{t('releases.title')}</Tabs.Tab>
        </TabsList>
        {Object.entries(TABS).map(([name, Content]) => (
          <Tabs.Panel key={name} value={name}>
            <Content />
          </Tabs.Panel>
        ))}
      </Tabs>
    </>
  );
}

/** Picks desktops, shows how each is reached, looks what a push would find, and pushes. */
const reachOf = (project_id: string, desktop_id: string) =>
  queryOptions({
    queryKey: ['reach', project_id, desktop_id],
    queryFn: () => ok(api.GET('/api/v1/{project_id}/desktops/{desktop_id}/reach', { params: { path: { project_id, desktop_id } } })),
  });

function PushOnto() {
  const { t } = useTexts();
  const path = usePath();
  const { id: project_id } = useProject();
  const [name] = useInAddress('q');
  const [show, setShow] = useInAddress('show', 'none');
  const [page, setPage] = usePage();
  const [editing, setEditing] = useState<{ id: string; name: string }>();
  const push = usePush();
  const isFiltered = name !== '' || show !== 'none';
  const [chosen, choose] = useChosenInAddress('desktop', MOST);
  const list = useDesktops({ name, ...(show === 'none' || show === 'offline' ? { agent: show } : {}) }, offsetOf(page), PAGE_SIZE);
  const isBare = useDesktops({}, 0, 1).data?.count === 0;
  const networks = useQuery({
    queryKey: ['networks', project_id],
    queryFn: () => ok(api.GET('/api/v1/{project_id}/network-reaches', { params: { path: { project_id } } })),
  });
  const items = list.data?.items ?? [];
  const here = items.map((desktop) => desktop.id);
  // Those chosen may stand on another page.
  const known = [...new Set([...here, ...chosen])];
  const reaches = useQueries({
    queries: known.map((desktop_id) => reachOf(project_id, desktop_id)),
    combine: (answers) => new Map(answers.map((answer, index) => [known[index] ?? '', answer.data])),
  });
  const goals = useQuery({
    queryKey: ['desktops', project_id, 'goals', chosen],
    enabled: chosen.length > 0,
    placeholderData: keepPreviousData,
    queryFn: () => ok(api.GET('/v2/{project_id}/desktops/detail', { params: { path: { project_id }, query: { desktop_id: chosen, limit: MOST } } })),
  });
  // Of what is not known nothing is said: the push itself tells.
  const obstacles = chosen.flatMap((id) => {
    const goal = goals.data?.desktops?.find((desktop) => desktop.desktop_id === id);
    const own = reaches.get(id);
    if (goal === undefined || own === undefined || networks.data === undefined) return [];
    const obstacle = obstacleOf({ system: goal.metadata?.['os_type'], seenAt: goal.ip_addresses?.[0], own }, networks.data.items);
    return obstacle === undefined ? [] : [{ id, name: goal.computer_name ?? id, obstacle }];
  });
  return (
    <>
      <Stack gap="lg">
        {push.error !== null && <Problem error={push.error} />}
        {networks.data !== undefined && (
          <Text size="sm" c="dimmed">
            {networks.data.count === 0 ? t('agents.no-network') : t('agents.networks', { names: networks.data.items.map((network) => network.network).join(', ') })}{' '}
            <Anchor component={Link} to={path('settings#networks')} size="sm">
              {t('networks.title')}
            </Anchor>
          </Text>
        )}
        <Group gap="sm">
          <States
            aria-label={t('list.state')}
            value={show}
            onChange={setShow}
            data={[
              { value: 'none', label: t('desktop.no-agent') },
              { value: 'offline', label: t('desktop.offline') },
              { value: 'all', label: t('list.all') },
            ]}
          />
          <SearchBox label={t('desktops.search')} />
          <Button ml="auto" leftSection={<IconRocket size={18} />} disabled={obstacles.length === chosen.length} loading={push.isPending || push.data?.job_id !== undefined} onClick={() => push.mutate(chosen)}>
            {chosen.length === 0 ? t('desktop.push') : t('desktop.push-chosen', { n: chosen.length })}
          </Button>
        </Group>
        {obstacles.length > 0 && <Obstacles obstacles={obstacles} of={chosen.length} onEdit={setEditing} />}
        <ListPanel list={list}>
          {list.data?.count === 0 ? (
            <Empty
              icon={<IconDeviceDesktop />}
              title={t(isBare ? 'desktops.empty' : isFiltered ? 'agents.none-such' : 'agents.none')}
              action={
                <>
                  <Button component={Link} to={path('desktops')} variant="default">
                    {t('nav.desktops')}
                  </Button>
                  <Button component={Link} to={path('desktops?enroll=1')}>{t('desktop.enroll')}</Button>
                </>
              }
            >
              {t(isBare ? 'agents.bare-text' : isFiltered ? 'agents.none-such-text' : 'agents.none-text')}
            </Empty>
          ) : (
            <>
              <Group px="var(--pad)" pt={14}>
                <ChooseAll
                  label={t('agents.choose-page')}
                  chosen={here.filter((id) => chosen.includes(id)).length}
                  of={here.length}
                  onChange={(all) => choose((before) => (all ? [...new Set([...before, ...here])] : before.filter((id) => !here.includes(id))))}
                />
              </Group>
              <ListTable label={t('agents.title')} head={[{ hidden: t('desktop.choose') }, t('job.desktop'), t('desktop.agent'), t('agents.reach'), { hidden: t('action.edit') }]}>
                {items.map((desktop) => (
                  <Row
                    key={desktop.id}
                    desktop={desktop}
                    reach={reaches.get(desktop.id)}
                    byNetwork={networks.data?.count !== 0}
                    chosen={chosen.includes(desktop.id)}
                    full={chosen.length >= MOST}
                    onChoose={(is) => choose((before) => (is ? [...before, desktop.id] : before.filter((id) => id !== desktop.id)))}
                    onEdit={() => setEditing(desktop)}
                  />
                ))}
              </ListTable>
            </>
          )}
          {list.data !== undefined && list.data.count > 0 && <Pages count={list.data.count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
        </ListPanel>
      </Stack>
      <EditReach desktop={editing} onClose={() => setEditing(undefined)} />
    </>
  );
}

/** Which of the chosen desktops a push cannot reach, and the way to change it. */
function Obstacles({
  obstacles,
  of,
  onEdit,
}: {
  obstacles: { id: string; name: string; obstacle: 'system' | 'reach' }[];
  of: number;
  onEdit: (desktop: { id: string; name: string }) => void;
}) {
  const { t } = useTexts();
  const path = usePath();
  const unset = obstacles.filter(({ obstacle }) => obstacle === 'reach');
  const foreign = obstacles.filter(({ obstacle }) => obstacle === 'system');
  return (
    <Alert
      role="status"
      variant="outline"
      color="yellow"
      icon={<IconAlertTriangle />}
      title={obstacles.length === of ? t('agents.all-fail') : t('agents.some-fail', { n: obstacles.length, of })}
    >
      <Stack gap={4}>
        {unset.length > 0 && (
          <>
            <Text size="sm">
              {t('agents.unset')}{' '}
              <Anchor component={Link} to={path('settings#networks')} inherit>
                {t('networks.title')}
              </Anchor>
            </Text>
            <Group gap="xs">
              {unset.map(({ id, name }) => (
                <Button key={id} size="xs" variant="default" leftSection={<IconRoute size={14} />} onClick={() => onEdit({ id, name })}>
                  {name}
                </Button>
              ))}
            </Group>
          </>
        )}
        {foreign.length > 0 && <Text size="sm">{t('list.colon', { what: t('agents.by-hand'), more: foreign.map(({ name }) => name).join(t('list.comma')) })}</Text>}
      </Stack>
    </Alert>
  );
}

function Row({
  desktop,
  reach,
  byNetwork,
  chosen,
  full,
  onChoose,
  onEdit,
}: {
  desktop: Shape<'RegisteredDesktop'>;
  reach: Shape<'DesktopReach'> | undefined;
  /** Whether what the desktop leaves open may come from a network. */
  byNetwork: boolean;
  chosen: boolean;
  full: boolean;
  onChoose: (is: boolean) => void;
  onEdit: () => void;
}) {
  const { t } = useTexts();
  const told = useTold();
  const { id: project_id } = useProject();
  const path = usePath();
  const probe = useMutation({
    mutationFn: () => ok(api.POST('/api/v1/{project_id}/desktops/{desktop_id}/probe', { params: { path: { project_id, desktop_id: desktop.id } } })),
  });
  const found = probe.data;
  const way =
    reach === undefined
      ? ''
      : [reach.user, reach.address].filter((part) => part !== undefined).join('@') + (reach.port === undefined ? '' : `:${reach.port}`);
  return (
    <>
      <Table.Tr>
        <Table.Td w={40}>
          <Checkbox aria-label={t('desktop.choose-this', { name: desktop.name })} checked={chosen} disabled={!chosen && full} onChange={(event) => onChoose(event.currentTarget.checked)} />
        </Table.Td>
        <Table.Td>
          <Anchor component={Link} to={path(`desktops/${desktop.id}`)} fw={600} size="sm">
            {desktop.name}
          </Anchor>
        </Table.Td>
        <Table.Td>
          <AgentPill desktop={desktop} />
          {desktop.agent !== undefined && (
            <Text size="xs" c="dimmed">
              {desktop.agent.version}
            </Text>
          )}
        </Table.Td>
        <Table.Td>
          <Text size="sm" {...(way === '' && !byNetwork ? { c: 'dimmed' } : {})}>
            {way !== '' ? <Code>{way}</Code> : t(byNetwork ? 'agents.by-network' : 'agents.not-set')}
          </Text>
          {reach !== undefined && (way !== '' || reach.has_login) && (
            <Text size="xs" c="dimmed">
              {t(reach.has_login ? 'agents.login-stored' : byNetwork ? 'agents.login-network' : 'agents.login-none')}
              {reach.jump_address !== undefined && ` · ${t('agents.through', { name: reach.jump_address })}`}
            </Text>
          )}
        </Table.Td>
        <Table.Td>
          <Group gap="xs" justify="flex-end" wrap="nowrap">
            <Button size="xs" variant="default" leftSection={<IconRoute size={14} />} aria-label={t('agents.reach-of', { name: desktop.name })} onClick={onEdit}>
              {t('agents.reach')}
            </Button>
            <Button
              size="xs"
              variant="default"
              leftSection={<IconPlugConnected size={14} />}
              loading={probe.isPending}
              aria-label={t('agents.probe-this', { name: desktop.name })}
              onClick={() => probe.mutate()}
            >
              {t('agents.probe')}
            </Button>
          </Group>
        </Table.Td>
      </Table.Tr>
      {(found !== undefined || probe.error !== null) && (
        <Table.Tr>
          <Table.Td />
          <Table.Td colSpan={4}>
            {probe.error !== null && <Problem error={probe.error} />}
            {found !== undefined && (
              <Alert
                role="status"
                variant="outline"
                color={found.ok ? 'green' : 'red'}
                icon={found.ok ? <IconCircleCheck color="var(--ok)" /> : <IconAlertTriangle color="var(--bad)" />}
                title={found.ok ? t('agents.probe-ok') : found.step === undefined ? t('agents.probe-no-way') : t('agents.probe-fails', { step: wordOf(t, 'agents.step', found.step) })}
              >
                <Stack gap={4}>
                  {found.ok ? (
                    <Text size="sm">
                      {[found.host, found.system, found.arch, found.free_bytes === undefined ? undefined : t('agents.free', { size: bytes(found.free_bytes) })]
                        .filter((part) => part !== undefined)
                        .join(' · ')}
                    </Text>
                  ) : (
                    <>
                      <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
                        {told(found.words)}
                      </Text>
                      <Text size="sm">{told(found.hint)}</Text>
                    </>
                  )}
                  {found.host_key !== undefined && (
                    <Text size="xs" c="dimmed">
                      {t('reach.host-key')}: <Code>{found.host_key}</Code>
                    </Text>
                  )}
                  {found.would.length > 0 && (
                    <>
                      <Text size="sm">{t('agents.would')}</Text>
                      <List size="sm">
                        {found.would.map((line) => (
                          <List.Item key={line}>{line}</List.Item>
                        ))}
                      </List>
                    </>
                  )}
                </Stack>
              </Alert>
            )}
          </Table.Td>
        </Table.Tr>
      )}
    </>
  );
}

function EditReach({ desktop, onClose }: { desktop: { id: string; name: string } | undefined; onClose: () => void }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const reach = useQuery({ ...reachOf(project_id, desktop?.id ?? ''), enabled: desktop !== undefined });
  return (
    <Modal
      opened={desktop !== undefined}
      onClose={onClose}
      title={t('agents.reach-of', { name: desktop?.name ?? '' })}
      size="lg"
      centered
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      {/* What is stored must be known before it is edited: what a form leaves out is forgotten. */}
      {desktop !== undefined &&
        (reach.data !== undefined ? (
          <ReachEditor key={desktop.id} desktopId={desktop.id} reach={reach.data} onDone={onClose} />
        ) : reach.error !== null ? (
          <Problem error={reach.error} onRetry={() => void reach.refetch()} />
        ) : (
          <Skeleton height={240} />
        ))}
    </Modal>
  );
}

function ReachEditor({ desktopId, reach, onDone }: { desktopId: string; reach: Shape<'DesktopReach'>; onDone: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const params = { path: { project_id, desktop_id: desktopId } };
  const [draft, setDraft] = useState(reachDraft(reach));
  const done = async () => {
    onDone();
    await refresh('reach');
  };
  const save = useMutation({
    mutationFn: () => ok(api.PUT('/api/v1/{project_id}/desktops/{desktop_id}/reach', { params, body: wireReach(draft) })),
    onSuccess: () => {
      say(t('app.saved'));
      return done();
    },
  });
  const forget = useMutation({
    mutationFn: () => ok(api.DELETE('/api/v1/{project_id}/desktops/{desktop_id}/reach', { params })),
    onSuccess: done,
  });
  return (
    <DialogForm save={save} submit={t('action.save')} onClose={onDone}>
      <Text size="sm" c="dimmed">
        {t('agents.reach-text')}
      </Text>
      {reach.pinned_host_key !== undefined && (
        <Group gap="xs">
          <Pill tone="ok">{t('agents.pinned')}</Pill>
          <Code style={{ overflowWrap: 'anywhere' }}>{reach.pinned_host_key}</Code>
        </Group>
      )}
      <ReachForm draft={draft} onChange={setDraft} of="desktop" hasLogin={reach.has_login} />
      {(reach.updated_at !== undefined || reach.pinned_host_key !== undefined) && (
        <Button variant="default" style={{ alignSelf: 'flex-start' }} loading={forget.isPending} onClick={() => forget.mutate()}>
          {t('agents.forget')}
        </Button>
      )}
      {forget.error !== null && <Problem error={forget.error} />}
    </DialogForm>
  );
}
