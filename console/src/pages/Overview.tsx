import { Anchor, Button, Group, SimpleGrid, Skeleton, Stack, Text } from '@mantine/core';
import { useQueries, useQuery } from '@tanstack/react-query';
import { IconAddressBook, IconApps, IconArrowRight, IconCircleCheck, IconDownload, IconFingerprint, IconHandStop, IconPackageOff, IconPlugConnectedX, IconRefresh, IconRocket, IconUpload, IconUserCheck } from '@tabler/icons-react';
import { lazy, Suspense, useMemo, type ReactNode } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { Board } from '../board';
import { FailureGroup } from '../components/FailureGroup';
import { AppIcon, Legend, PageHead, Panel, ShareBar, When, type Share } from '../components/parts';
import { Empty, Problem } from '../components/states';
import { useAllApps, useDeployments, useDesktops, useDirectoryStatus, useJobs, useWaitingEnrollments, MOVING_MS, QUIET_MS, type DesktopFilter } from '../data';
import { useTexts } from '../i18n';
import { usePath, useProject } from '../session';
import { DeploymentRow, titleOf } from './Deployments';

/** Deployments, reasons of failures, and apps that fail, that the overview has room for. */
const SHOWN = 5;
/** Running deployments that are looked through for those that were halted. Source: the operation's own maximum. */
const MOST_RUNNING = 100;
/** Newest failed jobs that reasons and apps are taken from. Source: the operation's own maximum. */
const NEWEST_FAILED = 100;

const OnlineChart = lazy(() => import('../components/OnlineChart'));

function useCount(filter: DesktopFilter) {
  return useDesktops(filter, 0, 1).data?.count;
}

function Figure({ label, value, note, to }: { label: string; value: number | undefined; note?: ReactNode; to: string }) {
  return (
    <Link to={to} className="panel tile">
      <Text size="sm" c="dimmed" fw={550}>
        {label}
      </Text>
      {value === undefined ? <Skeleton h={33} w={60} mt={4} /> : <div className="figure">{value.toLocaleString()}</div>}
      <Text size="sm" mt={4} component="div" c="dimmed">
        {value === undefined ? '…' : note}
      </Text>
    </Link>
  );
}

/** Shares of a whole; nothing is told before it is known. */
function Shares({ shares }: { shares: Share[] | undefined }) {
  if (shares === undefined) return <Skeleton h={44} />;
  return (
    <>
      <ShareBar shares={shares} />
      <Legend shares={shares} />
    </>
  );
}

export default function Overview() {
  const { t } = useTexts();
  const path = usePath();
  const project = useProject();
  const fleet = useDesktops({}, 0, 1);
  const counts = [useCount({ agent: 'online' }), useCount({ agent: 'offline' }), useCount({ agent: 'none' }), useCount({ restart_needed: true }), useCount({ has_copy: true })];
  const [online = 0, offline = 0, bare = 0, restart = 0, copies = 0] = counts;
  const damaged = useQuery({
    queryKey: ['damaged', project.id, 'count'],
    refetchInterval: QUIET_MS,
    queryFn: () => ok(api.GET('/api/v1/{project_id}/damaged-packages', { params: { path: { project_id: project.id }, query: { limit: 1, offset: 0 } } })),
  });
  const enrollments = useWaitingEnrollments(1);
  const asking = enrollments.data?.count ?? 0;
  const apps = useAllApps();
  const waiting = useJobs({ job_status: 'INIT' }, 0, 1);
  const running = useJobs({ job_status: 'WAITING' }, 0, 1);
  const failed = useJobs({ job_status: 'FAIL' }, 0, NEWEST_FAILED, MOVING_MS * 2);
  const succeeded = useJobs({ job_status: 'SUCCESS' }, 0, 1, MOVING_MS * 2);
  const unverified = useJobs({ unverified: true }, 0, 1, MOVING_MS * 2);
  const inProgress = useDeployments('running', 0, MOST_RUNNING);
  const deployments = useDeployments(undefined, 0, SHOWN);
  const directory = useDirectoryStatus();
  const problem = fleet.error ?? apps.error ?? failed.error ?? deployments.error;

  const fleetShares: Share[] = [
    { tone: 'ok', label: t('desktop.online'), count: online, to: path('desktops?state=online') },
    { tone: 'wait', label: t('desktop.offline'), count: offline, to: path('desktops?state=offline') },
    { tone: 'care', label: t('desktop.no-agent'), count: bare, to: path('desktops?state=none') },
  ];
  const jobShares: Share[] = [
    { tone: 'ok', label: t('job.SUCCESS'), count: Math.max(0, (succeeded.data?.count ?? 0) - (unverified.data?.count ?? 0)) },
    { tone: 'care', label: t('job.unverified'), count: unverified.data?.count ?? 0, to: path('jobs?unverified=1') },
    { tone: 'bad', label: t('job.FAIL'), count: failed.data?.count ?? 0, to: path('jobs?status=FAIL') },
    { tone: 'busy', label: t('job.WAITING'), count: running.data?.count ?? 0, to: path('jobs?status=WAITING') },
    { tone: 'wait', label: t('job.INIT'), count: waiting.data?.count ?? 0, to: path('jobs?status=INIT') },
  ];
  const newest = failed.data?.items;
  const board = useMemo(() => new Board(newest ?? []), [newest]);
  const { reasons } = board;
  // What goes on comes first.
  const going = inProgress.data?.items ?? [];
  const shownDeployments = [...going, ...(deployments.data?.items ?? []).filter(({ id }) => !going.some((other) => other.id === id))].slice(0, SHOWN);
  const halted = going.filter((deployment) => deployment.halted_at !== undefined);
  const isNew = apps.data?.length === 0 || fleet.data?.count === 0;
  // Nothing is well before it is known.
  const isKnown = [...counts, fleet.data, failed.data, succeeded.data, inProgress.data].every((answer) => answer !== undefined);
  const jobsEver = jobShares.reduce((sum, share) => sum + share.count, 0);

  return (
    <>
      <PageHead
        title={t('nav.overview')}
        sub={t('overview.sub')}
        actions={
          <Button component={Link} to={path('install')} variant={isNew ? 'default' : 'filled'} leftSection={<IconDownload size={18} />}>
            {t('nav.install')}
          </Button>
        }
      />
      <Stack gap="lg">
        {problem !== null && <Problem error={problem} />}
        {isNew && <FirstSteps hasApps={(apps.data?.length ?? 0) > 0} hasDesktops={(fleet.data?.count ?? 0) > 0} />}
        <SimpleGrid cols={{ base: 2, md: 4 }} spacing="md">
          <Figure label={t('nav.desktops')} value={fleet.data?.count} note={t('overview.online', { n: online })} to={path('desktops')} />
          <Figure label={t('nav.apps')} value={apps.data?.length} note={t('overview.in-catalogue')} to={path('apps')} />
          <Figure
            label={t('overview.jobs-now')}
            value={waiting.data === undefined ? undefined : waiting.data.count + (running.data?.count ?? 0)}
            note={t('overview.running', { n: running.data?.count ?? 0 })}
            to={path(running.data?.count === 0 ? 'jobs?status=INIT' : 'jobs?status=WAITING')}
          />
          <Figure
            label={t('overview.failed-jobs')}
            value={failed.data?.count}
            note={t('overview.reasons', { n: reasons.length })}
            to={path('jobs?status=FAIL')}
          />
        </SimpleGrid>
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
          <Panel title={t('overview.desktops-by-state')}>
            <Shares shares={fleet.data === undefined ? undefined : fleetShares} />
          </Panel>
          <Panel title={t('overview.jobs-by-state')}>
            <Shares shares={[failed, succeeded, unverified].some(({ data }) => data === undefined) ? undefined : jobShares} />
          </Panel>
        </SimpleGrid>
        {(fleet.data?.count ?? 0) > 0 && (
          <Panel title={t('online.title')}>
            <Suspense fallback={<Skeleton h={220} />}>
              <OnlineChart />
            </Suspense>
          </Panel>
        )}
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
          <Panel
            title={t('overview.attention')}
            action={
              reasons.length > 0 ? (
                <Anchor component={Link} to={path('jobs?status=FAIL')} size="sm">
                  {t('overview.all-failed')}
                </Anchor>
              ) : undefined
            }
          >
            <Stack gap="md">
              {reasons.slice(0, SHOWN).map((reason) => (
                <FailureGroup key={reason} board={board} reason={reason} />
              ))}
              {halted.slice(0, SHOWN).map((deployment) => (
                <Attention
                  key={deployment.id}
                  icon={<IconHandStop size={18} />}
                  text={t('overview.halted', { name: titleOf(deployment, apps.data, t) })}
                  to={path(`deployments/${deployment.id}`)}
                  action={t('action.show')}
                />
              ))}
              {copies > 0 && (
                <Attention icon={<IconFingerprint size={18} />} text={t('overview.copies', { n: copies })} to={path('desktops?copy=1')} action={t('action.show')} />
              )}
              {asking > 0 && (
                <Attention icon={<IconUserCheck size={18} />} text={t('overview.asking', { n: asking })} to={path('desktops')} action={t('action.show')} />
              )}
              {directory.data?.stale === true && (
                <Attention icon={<IconAddressBook size={18} />} text={t('directory.unreadable')} to={path('people?tab=directory')} action={t('action.show')} />
              )}
              {(damaged.data?.count ?? 0) > 0 && (
                <Attention
                  icon={<IconPackageOff size={18} />}
                  text={t('overview.damaged', { n: damaged.data?.count ?? 0 })}
                  to={path('packages')}
                  action={t('action.show')}
                />
              )}
              {restart > 0 && (
                <Attention icon={<IconRefresh size={18} />} text={t('overview.restart', { n: restart })} to={path('desktops?restart=1')} action={t('action.show')} />
              )}
              {offline > 0 && (
                <Attention
                  icon={<IconPlugConnectedX size={18} />}
                  text={t('overview.offline', { n: offline })}
                  to={path('desktops?state=offline')}
                  action={t('action.show')}
                />
              )}
              {bare > 0 && (
                <Attention
                  icon={<IconRocket size={18} />}
                  text={t('overview.bare', { n: bare })}
                  to={path('agents')}
                  action={t('desktop.push')}
                />
              )}
              {isKnown && reasons.length === 0 && offline === 0 && bare === 0 && restart === 0 && copies === 0 && !enrollments.isPending && asking === 0 && halted.length === 0 && directory.data?.stale !== true && damaged.data?.count === 0 && (
                <Group gap="xs">
                  <IconCircleCheck size={20} color="var(--ok)" aria-hidden />
                  <Text size="sm">{jobsEver === 0 ? t('overview.nothing-yet') : t('overview.all-well')}</Text>
                </Group>
              )}
            </Stack>
          </Panel>
          <Panel
            title={t('nav.deployments')}
            action={
              <Anchor component={Link} to={path('deployments')} size="sm">
                {t('action.all')}
              </Anchor>
            }
          >
            <Stack gap="lg">
              {shownDeployments.map((deployment) => (
                <DeploymentRow key={deployment.id} deployment={deployment} apps={apps.data} />
              ))}
              {deployments.data?.items.length === 0 && (
                <Text size="sm" c="dimmed">
                  {t('overview.no-deployments')}
                </Text>
              )}
            </Stack>
          </Panel>
        </SimpleGrid>
        {newest !== undefined && newest.length > 0 && <Worst failed={newest} apps={apps.data} />}
      </Stack>
    </>
  );
}

/** Apps that failed most lately, with how often and out of how many. */
function Worst({ failed, apps }: { failed: Shape<'AppInstallJob'>[]; apps: Shape<'Application'>[] | undefined }) {
  const { t } = useTexts();
  const path = usePath();
  const { id: project_id } = useProject();
  const lately = new Map<string, number>();
  for (const job of failed) lately.set(job.app_id, (lately.get(job.app_id) ?? 0) + 1);
  const ids = [...lately].sort((left, right) => right[1] - left[1]).slice(0, SHOWN).map(([id]) => id);
  const counts = useQueries({
    queries: ids.flatMap((app_id) =>
      (['FAIL', 'SUCCESS'] as const).map((job_status) => ({
        queryKey: ['jobs', project_id, 'count', app_id, job_status],
        refetchInterval: QUIET_MS,
        queryFn: () => ok(api.GET('/api/v1/{project_id}/jobs', { params: { path: { project_id }, query: { app_id, job_status, limit: 1, offset: 0 } } })),
      })),
    ),
    combine: (answers) => answers.map((answer) => answer.data?.count),
  });
  const rows = ids
    .map((id, place) => ({ id, fail: counts[place * 2], success: counts[place * 2 + 1] }))
    .sort((left, right) => (right.fail ?? 0) - (left.fail ?? 0));
  return (
    <Panel
      title={t('overview.worst')}
      action={
        <Text size="xs" c="dimmed" component="div">
          {t('overview.last-failure')} <When at={failed[0]?.update_time ?? failed[0]?.create_time} />
        </Text>
      }
    >
      <Stack gap="md" component="ul" m={0} p={0} style={{ listStyle: 'none' }}>
        {rows.map(({ id, fail, success }) => {
          const app = apps?.find((candidate) => candidate.id === id);
          const name = app?.name ?? failed.find((job) => job.app_id === id)?.app_name ?? t('app.unknown');
          return (
            <li key={id} className="worst">
              <AppIcon app={app} size={32} />
              <Anchor component={Link} to={path(`apps/${id}?tab=jobs`)} size="sm" fw={600}>
                {name}
              </Anchor>
              {fail === undefined || success === undefined ? (
                <Skeleton h={10} />
              ) : (
                <ShareBar
                  shares={[
                    { tone: 'bad', label: t('job.FAIL'), count: fail },
                    { tone: 'ok', label: t('job.SUCCESS'), count: success },
                  ]}
                />
              )}
              <Text size="sm" component={Link} to={path(`jobs?status=FAIL&app=${id}`)} c="var(--mantine-color-anchor)" style={{ whiteSpace: 'nowrap' }}>
                {t('overview.failed-of', { n: fail ?? 0, all: (fail ?? 0) + (success ?? 0) })}
              </Text>
            </li>
          );
        })}
      </Stack>
    </Panel>
  );
}

function Attention({ icon, text, to, action }: { icon: ReactNode; text: string; to: string; action: string }) {
  return (
    <Group justify="space-between" wrap="nowrap">
      <Group gap="xs" wrap="nowrap">
        <span style={{ display: 'flex', flex: 'none' }}>{icon}</span>
        <Text size="sm">{text}</Text>
      </Group>
      <Button component={Link} to={to} size="xs" variant="default" style={{ flex: 'none' }}>
        {action}
      </Button>
    </Group>
  );
}

function FirstSteps({ hasApps, hasDesktops }: { hasApps: boolean; hasDesktops: boolean }) {
  const { t } = useTexts();
  const path = usePath();
  return (
    <Panel>
      <Empty
        icon={<IconApps />}
        title={t('first.title')}
        action={
          <>
            <Button component={Link} to={path('apps/add')} leftSection={<IconUpload size={18} />} variant={hasApps ? 'default' : 'filled'}>
              {t('apps.add')}
            </Button>
            <Button
              component={Link}
              to={path('desktops?enroll=1')}
              rightSection={<IconArrowRight size={18} />}
              variant={hasApps && !hasDesktops ? 'filled' : 'default'}
            >
              {t('desktop.enroll')}
            </Button>
          </>
        }
      >
        {t('first.text')}
      </Empty>
    </Panel>
  );
}
