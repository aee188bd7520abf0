import { Anchor, Button, Group, Select, Stack, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { IconDeviceDesktop, IconDeviceDesktopOff, IconDownload, IconPlugConnected, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { Link, useNavigate, useParams } from 'react-router';
import { api, ApiProblem, ok } from '../api/client';
import { useInAddress, useOpenedInAddress, usePage } from '../address';
import { JobNotes, JobOfRows, Outcome } from '../components/JobDrawer';
import { ConfirmByName, Facts, JobPill, ListTable, PageGone, PageHead, PageProblem, Pages, PageWaiting, Panel, Pill, When } from '../components/parts';
import { Problem } from '../components/states';
import { offsetOf, PAGE_SIZE, QUIET_MS, useJobs, useRefresh } from '../data';
import { useTexts, wordOf } from '../i18n';
import { usePath, useProject } from '../session';
import { AgentLog } from './desktop/AgentLog';
import { Inventory } from './desktop/Inventory';
import { OtherMachine } from './desktop/OtherMachine';
import { Uninstall } from './desktop/Uninstall';
import { DesktopUsers } from './desktop/Users';
import { Why } from './desktop/Why';
import { AgentPill } from './Desktops';
import { PortalWay } from './people/PortalWay';

const STATUSES = ['INIT', 'WAITING', 'SUCCESS', 'FAIL'] as const;

/** Finds a desktop among the registered ones by the name that the contract's detail tells. */
function useDesktop(id: string) {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['desktops', project_id, 'one', id],
    refetchInterval: QUIET_MS,
    queryFn: async () => {
      const path = { project_id, desktop_id: id };
      const detail = await ok(api.GET('/v2/{project_id}/desktops/{desktop_id}', { params: { path } }));
      const name = detail.desktop?.computer_name ?? '';
      const list = await ok(api.GET('/api/v1/{project_id}/desktops', { params: { path: { project_id }, query: { name, limit: 100, offset: 0 } } }));
      return { detail: detail.desktop, registered: list.items.find((desktop) => desktop.id === id) };
    },
  });
}

export default function Desktop() {
  const { t } = useTexts();
  const path = usePath();
  const navigate = useNavigate();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const { desktop: id = '' } = useParams();
  const found = useDesktop(id);
  const [page, setPage] = usePage();
  const [status, setStatus] = useInAddress('status');
  const [opened, open] = useOpenedInAddress('job');
  const [deleting, setDeleting] = useState(false);
  const [sharing, setSharing] = useState(false);
  const wanted = STATUSES.find((candidate) => candidate === status);
  const jobs = useJobs({ desktop_id: id, ...(wanted === undefined ? {} : { job_status: wanted }) }, offsetOf(page), PAGE_SIZE);
  const trail = [{ label: t('nav.desktops'), to: path('desktops') }];
  if (found.data === undefined && found.error instanceof ApiProblem && found.error.status === 404) {
    return <PageGone title={t('job.desktop')} icon={<IconDeviceDesktopOff />} gone={t('desktop.gone')} text={t('desktop.gone-text')} all={{ label: t('desktop.all'), to: path('desktops') }} />;
  }
  if (found.error !== null && found.data === undefined) return <PageProblem title={t('job.desktop')} error={found.error} trail={trail} onRetry={() => void found.refetch()} />;
  if (found.data === undefined) return <PageWaiting />;
  const desktop = found.data.registered;
  const name = desktop?.name ?? found.data.detail?.computer_name ?? '…';
  const facts: [string, React.ReactNode][] = [
    [t('app.system'), desktop === undefined ? undefined : wordOf(t, 'desktop.system', desktop.os_type)],
    [
      t('desktop.users'),
      <Group key="users" gap="xs">
        {desktop?.users.map((user) => user.account).join(', ') || t('desktop.users-none')}
        {desktop !== undefined && (
          <Anchor component="button" type="button" size="sm" aria-label={t('desktop.users-of', { name })} onClick={() => setSharing(true)}>
            {t('desktop.users-change')}
          </Anchor>
        )}
      </Group>,
    ],
    [t('desktop.version'), desktop?.agent?.version ?? '–'],
    [t('desktop.last-seen'), desktop?.agent?.connected === true ? t('desktop.now') : <When at={desktop?.agent?.last_seen_at} />],
    [t('desktop.enrolled'), <When at={desktop?.agent?.enrolled_at} />],
    [
      t('desktop.identity'),
      desktop?.agent === undefined ? (
        '–'
      ) : desktop.agent.copy === undefined ? (
        t('desktop.identity-one')
      ) : (
        <Pill key="identity" tone="care">
          {t('copy.has')}
        </Pill>
      ),
    ],
    [t('desktop.address'), found.data.detail?.ip_addresses?.join(', ') || '–'],
    [
      t('desktop.restart'),
      desktop?.restart_needed_since === undefined ? (
        t('desktop.restart-no')
      ) : (
        <Pill key="restart" tone="care">
          {t('desktop.restart-needed')} <When at={desktop.restart_needed_since} />
        </Pill>
      ),
    ],
    [t('desktop.kept'), desktop === undefined ? '–' : t(desktop.persistent ? 'desktop.persistent' : 'desktop.recomposed')],
  ];
  return (
    <>
      <PageHead
        title={name}
        trail={trail}
        icon={<IconDeviceDesktop size={36} stroke={1.5} aria-hidden />}
        sub={desktop === undefined ? undefined : <AgentPill desktop={desktop} />}
        actions={
          <>
            <Button component={Link} to={path(`install?desktop=${id}`)} leftSection={<IconDownload size={18} />}>
              {t('desktop.install-here')}
            </Button>
            <Uninstall desktopId={id} />
            <Button component={Link} to={path(`agents?desktop=${id}`)} variant="default" leftSection={<IconPlugConnected size={18} />}>
              {t('desktop.push')}
            </Button>
            <Button variant="default" leftSection={<IconTrash size={18} />} onClick={() => setDeleting(true)}>
              {t('action.delete')}
            </Button>
          </>
        }
      />
      <Stack gap="lg">
        {desktop !== undefined && <OtherMachine desktop={desktop} />}
        <Panel title={t('desktop.facts')}>
          <Facts rows={facts} cols={{ base: 2, md: 3 }} />
          <PortalWay mt="md" />
          {desktop?.agent?.sandbox_root !== undefined && (
            <Text size="xs" c="dimmed" mt="md" style={{ overflowWrap: 'anywhere' }}>
              {t('attempt.sandbox', { path: desktop.agent.sandbox_root })}
            </Text>
          )}
        </Panel>
        <Why desktopId={id} />
        <section className="panel" aria-label={t('desktop.jobs')}>
          <Group justify="space-between" px="var(--pad)" pt={16} pb={8}>
            <Text component="h2" fw={650} m={0}>
              {t('desktop.jobs')}
            </Text>
            <Select
              aria-label={t('list.state')}
              size="xs"
              clearable
              placeholder={t('list.all')}
              data={STATUSES.map((value) => ({ value, label: t(`job.${value}`) }))}
              value={wanted ?? null}
              onChange={(value) => setStatus(value ?? '')}
              clearButtonProps={{ 'aria-label': t('action.clear') }}
            />
          </Group>
          {jobs.error !== null && <Problem error={jobs.error} />}
          {jobs.data?.items.length === 0 && (
            <Text size="sm" c="dimmed" px="var(--pad)" pb={20}>
              {t('desktop.no-jobs')}
            </Text>
          )}
          {jobs.data !== undefined && jobs.data.items.length > 0 && (
            <ListTable label={t('desktop.jobs')} head={[t('job.app'), t('list.state'), t('job.outcome'), t('list.changed')]}>
              {jobs.data.items.map((job) => (
                <Table.Tr key={job.id}>
                  <Table.Td>
                    <Anchor component="button" type="button" size="sm" fw={600} ta="left" onClick={() => open(job.id)}>
                      {job.app_name} {job.app_version}
                    </Anchor>
                    <JobNotes job={job} />
                  </Table.Td>
                  <Table.Td>
                    <JobPill job={job} />
                  </Table.Td>
                  <Table.Td>
                    <Outcome job={job} />
                  </Table.Td>
                  <Table.Td style={{ whiteSpace: 'nowrap' }}>
                    <When at={job.update_time ?? job.create_time} />
                  </Table.Td>
                </Table.Tr>
              ))}
            </ListTable>
          )}
          {jobs.data !== undefined && (jobs.data.count > PAGE_SIZE || page > 1) && <Pages count={jobs.data.count} size={PAGE_SIZE} page={page} settled={!jobs.isPlaceholderData} onPage={setPage} />}
        </section>
        <Inventory desktopId={id} />
        <AgentLog desktopId={id} isConnected={desktop?.agent?.connected === true} />
      </Stack>
      <JobOfRows id={opened} rows={jobs.data?.items} onClose={() => open('')} />
      {sharing && desktop !== undefined && <DesktopUsers desktop={desktop} onClose={() => setSharing(false)} />}
      <ConfirmByName
        name={name}
        title={t('desktop.delete-title', { name })}
        effect={t('desktop.delete-effect')}
        action={t('action.delete')}
        opened={deleting}
        onClose={() => setDeleting(false)}
        onConfirm={async () => {
          await ok(api.DELETE('/api/v1/{project_id}/desktops/{desktop_id}', { params: { path: { project_id, desktop_id: id } } }));
          await refresh('desktops', 'jobs');
          void navigate(path('desktops'));
        }}
      />
    </>
  );
}
