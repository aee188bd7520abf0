import { Alert, Anchor, Button, Group, SegmentedControl, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { keepPreviousData, useMutation, useQuery } from '@tanstack/react-query';
import { IconPlayerStop, IconRefresh } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { Link, useParams } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { useInAddress } from '../address';
import { JobDrawer } from '../components/JobDrawer';
import { ConfirmByName, JOB_TONE, Legend, PageHead, Panel, say, sayProblem, ShareBar, When } from '../components/parts';
import { Squares, type SquareData } from '../components/Squares';
import { Problem } from '../components/states';
import { deploymentJobs, MOVING_MS, QUIET_MS, reasonOf, useAllApps, useRefresh } from '../data';
import { useTexts } from '../i18n';
import { usePath, useProject } from '../session';
import { DeploymentState, sharesOf, titleOf } from './Deployments';
import { useRetry, type JobRow } from './Jobs';

/** Jobs read for the grid. Above it the grid shows the newest, the numbers above it show all. */
const MOST_SHOWN = 10_000;
/** Up to so many squares carry their words, and all are asked for again and again; more are told of by events. */
const FEW = 500;
/** Page of the grid's list. Source: the operation's own maximum. */
const PAGE = 500;

export default function Deployment() {
  const { t } = useTexts();
  const path = usePath();
  const { deployment: id = '' } = useParams();
  const { id: project_id } = useProject();
  const apps = useAllApps();
  const [view, setView] = useInAddress('show');
  const [opened, open] = useInAddress('job');
  const deployment = useQuery({
    queryKey: ['deployment', project_id, id],
    refetchInterval: (query) => (query.state.data?.state === 'ended' ? QUIET_MS : MOVING_MS),
    queryFn: () =>
      ok(
        api.GET('/api/v1/{project_id}/deployments/{deployment_id}', {
          params: { path: { project_id, deployment_id: id }, query: { limit: 100, offset: 0 } },
        }),
      ),
  });
  const moving = deployment.data?.state !== 'ended';
  const jobs = useQuery({
    queryKey: deploymentJobs(project_id, id),
    refetchInterval: (query) => ((query.state.data?.length ?? 0) > FEW ? QUIET_MS * 6 : moving ? MOVING_MS : QUIET_MS),
    placeholderData: keepPreviousData,
    // Ten thousand jobs are not compared member by member: what changed is drawn by itself.
    structuralSharing: false,
    queryFn: async () => {
      const all: Shape<'AppInstallJob'>[] = [];
      for (let offset = 0; offset < MOST_SHOWN; offset += PAGE) {
        const page = await ok(
          api.GET('/api/v1/{project_id}/deployments/{deployment_id}/jobs', {
            params: { path: { project_id, deployment_id: id }, query: { offset, limit: PAGE } },
          }),
        );
        all.push(...page.items);
        if (all.length >= page.count || page.items.length === 0) break;
      }
      return all;
    },
  });
  const refresh = useRefresh();
  const resume = useMutation({
    mutationFn: () =>
      ok(api.POST('/api/v1/{project_id}/deployments/{deployment_id}/actions/resume', { params: { path: { project_id, deployment_id: id } } })),
    onError: (problem) => sayProblem(problem, t('deployment.resume')),
    onSettled: () => refresh('deployment', 'deployments'),
  });
  const retry = useRetry();
  const [cancelling, setCancelling] = useState(false);
  const failed = useMemo(() => jobs.data?.filter((job) => job.job_status === 'FAIL') ?? [], [jobs.data]);
  const reasons = useMemo(() => {
    const groups = new Map<string, Shape<'AppInstallJob'>[]>();
    for (const job of failed) {
      const reason = reasonOf(job.error_message);
      const group = groups.get(reason);
      if (group === undefined) groups.set(reason, [job]);
      else group.push(job);
    }
    return [...groups].sort((left, right) => right[1].length - left[1].length);
  }, [failed]);
  const shown = useMemo(
    () => (view === 'failed' ? failed : view === 'moving' ? (jobs.data ?? []).filter((job) => job.job_status === 'INIT' || job.job_status === 'WAITING') : (jobs.data ?? [])),
    [view, failed, jobs.data],
  );

  if (deployment.error !== null && deployment.data === undefined) return <Problem error={deployment.error} onRetry={() => void deployment.refetch()} />;
  if (deployment.data === undefined) return null;
  const { counts } = deployment.data;
  const title = titleOf(deployment.data, apps.data, t);
  const shares = sharesOf(counts, t);
  return (
    <>
      <PageHead
        title={title}
        trail={[{ label: t('nav.deployments'), to: path('deployments') }]}
        sub={
          <>
            {t('deployment.by', { who: deployment.data.operator })} · <When at={deployment.data.created_at} /> ·{' '}
            {t('deployment.reached', { n: counts.desktops_reached })}
          </>
        }
        actions={
          <Group gap="sm">
            <DeploymentState deployment={deployment.data} />
            {moving && deployment.data.halted_at !== undefined && (
              <Button variant="default" loading={resume.isPending} onClick={() => resume.mutate()}>
                {t('deployment.resume')}
              </Button>
            )}
            {moving && (
              <Button variant="default" leftSection={<IconPlayerStop size={16} />} onClick={() => setCancelling(true)}>
                {t('deployment.cancel')}
              </Button>
            )}
            {failed.length > 0 && (
              <Button leftSection={<IconRefresh size={16} />} loading={retry.isPending} onClick={() => retry.mutate(failed.map((job) => job.id))}>
                {t('deployment.retry-all', { n: failed.length })}
              </Button>
            )}
          </Group>
        }
      />
      <Stack gap="lg">
        {deployment.data.halted_at !== undefined && (
          <Alert variant="outline" color="yellow" title={t('deployment.halted')}>
            {t('deployment.halted-text')} <When at={deployment.data.halted_at} />
          </Alert>
        )}
        <Panel>
          <ShareBar shares={shares} />
          <div role="status" aria-live="polite">
            <Legend shares={shares} />
          </div>
        </Panel>
        {reasons.length > 0 && (
          <Panel title={t('deployment.failures')}>
            <Stack gap="md">
              {reasons.map(([reason, group]) => (
                <Group key={reason} justify="space-between" wrap="nowrap" align="flex-start">
                  <div>
                    <Text size="sm" fw={600}>
                      {reason || t('problem.no-text')}
                    </Text>
                    <Text size="sm" c="dimmed">
                      {t('overview.reason-jobs', { n: group.length })} · {[...new Set(group.map((job) => job.app_name))].join(', ')} ·{' '}
                      {group
                        .slice(0, 4)
                        .map((job) => job.instance_name)
                        .join(', ')}
                    </Text>
                  </div>
                  <Button
                    size="xs"
                    variant="default"
                    style={{ flex: 'none' }}
                    aria-label={t('deployment.retry-these', { reason })}
                    onClick={() => retry.mutate(group.map((job) => job.id))}
                  >
                    {t('job.retry')}
                  </Button>
                </Group>
              ))}
            </Stack>
          </Panel>
        )}
        <Panel
          title={t('deployment.grid')}
          action={
            <SegmentedControl
              size="xs"
              aria-label={t('list.state')}
              value={view}
              onChange={setView}
              data={[
                { value: '', label: t('list.all') },
                { value: 'moving', label: t('deployment.moving') },
                { value: 'failed', label: t('job.FAIL') },
              ]}
            />
          }
        >
          {jobs.error !== null && <Problem error={jobs.error} />}
          {shown.length === 0 && jobs.data !== undefined && (
            <Text size="sm" c="dimmed">
              {t('deployment.no-jobs')}
            </Text>
          )}
          <Grid jobs={shown} onOpen={open} />
        </Panel>
        {deployment.data.desktops_skipped.count > 0 && (
          <Panel title={t('preview.skipped-title')}>
            <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="xs">
              {deployment.data.desktops_skipped.items.map((skipped) => (
                <Text size="sm" key={`${skipped.desktop_id}${skipped.app_id}`}>
                  <Anchor component={Link} to={path(`desktops/${skipped.desktop_id}`)} size="sm">
                    {skipped.desktop_name}
                  </Anchor>{' '}
                  · {apps.data?.find((app) => app.id === skipped.app_id)?.name ?? t('app.unknown')} · {t(`skip.${skipped.reason}`)}
                </Text>
              ))}
            </SimpleGrid>
          </Panel>
        )}
        {deployment.data.accounts_unknown.count > 0 && (
          <Alert variant="outline" color="yellow" title={t('preview.unknown', { n: deployment.data.accounts_unknown.count })}>
            {deployment.data.accounts_unknown.items.map((account) => account.account).join(', ')} – {t('preview.unknown-text')}
          </Alert>
        )}
        <Title order={2} size="h6" c="dimmed" fw={500}>
          {t('deployment.id')} <code>{id}</code>
        </Title>
      </Stack>
      <ConfirmByName
        name={title}
        title={t('deployment.cancel-title', { name: title })}
        effect={t('deployment.cancel-effect', { n: counts.jobs_init + counts.jobs_waiting })}
        action={t('deployment.cancel')}
        opened={cancelling}
        onClose={() => setCancelling(false)}
        onConfirm={async () => {
          const done = await ok(
            api.POST('/api/v1/{project_id}/deployments/{deployment_id}/actions/cancel', {
              params: { path: { project_id, deployment_id: id } },
            }),
          );
          say(t('job.cancelled', { cancelled: done.cancelled, stopping: done.stopping }));
          await refresh('jobs', 'deployments', 'deployment', 'deployment-jobs', 'attempts');
        }}
      />
      <JobDrawer job={jobs.data?.find((job) => job.id === opened)} onClose={() => open('')} />
    </>
  );
}

/** Few jobs carry their words; of many there are squares alone. */
function Grid({ jobs, onOpen }: { jobs: JobRow[]; onOpen: (id: string) => void }) {
  const { t } = useTexts();
  const many = jobs.length > 60;
  const made = useMemo(() => new WeakMap<JobRow, SquareData>(), [t]);
  const squares = useMemo(() => {
    if (!many) return [];
    const word = { INIT: t('job.INIT'), WAITING: t('job.WAITING'), SUCCESS: t('job.SUCCESS'), FAIL: t('job.FAIL') };
    return jobs.map((job) => {
      // A job that did not change keeps its square, and so is passed over.
      const known = made.get(job);
      if (known !== undefined) return known;
      const square = { id: job.id, tone: JOB_TONE[job.job_status], label: `${job.instance_name} · ${job.app_name}: ${word[job.job_status]}` };
      made.set(job, square);
      return square;
    });
  }, [jobs, many, t, made]);
  if (many) return <Squares squares={squares} label={t('deployment.grid')} onOpen={onOpen} />;
  return (
    <div className="squares" data-size="large" role="group" aria-label={t('deployment.grid')}>
      {jobs.map((job) => {
        const word = t(`job.${job.job_status}`);
        const text = `${job.instance_name} · ${job.app_name}: ${word}`;
        return (
          <button key={job.id} type="button" className="square" data-tone={JOB_TONE[job.job_status]} title={text} aria-label={text} onClick={() => onOpen(job.id)}>
            {job.instance_name}
            <small>
              {job.app_name} · {word}
            </small>
          </button>
        );
      })}
    </div>
  );
}
