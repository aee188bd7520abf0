import { Alert, Anchor, Button, Group, SegmentedControl, SimpleGrid, Stack, Table, Text, Title } from '@mantine/core';
import { keepPreviousData, queryOptions, useMutation, useQuery } from '@tanstack/react-query';
import { IconBan, IconPlayerPlay, IconRefresh, IconRocket } from '@tabler/icons-react';
import { useMemo, useState, type ReactNode } from 'react';
import { Link, useParams } from 'react-router';
import { api, ApiProblem, ok, type Shape } from '../api/client';
import { useInAddress, useOpenedInAddress, usePage } from '../address';
import { Board, MOST_SHOWN, useOf } from '../board';
import { FailureGroup } from '../components/FailureGroup';
import { JobDrawer, Outcome } from '../components/JobDrawer';
import { ConfirmByName, isUnverified, JOB_TONE, JobPill, Legend, ListTable, PageGone, PageHead, PageProblem, Pages, PageWaiting, Panel, Pill, say, sayProblem, ShareBar, When, type Tone } from '../components/parts';
import { Squares } from '../components/Squares';
import { Problem } from '../components/states';
import { deploymentJobs, deploymentKey, MOVING_MS, offsetOf, PAGE_SIZE, QUIET_MS, useAllApps, useRefresh } from '../data';
import { localeOf, useTexts } from '../i18n';
import { usePath, useProject } from '../session';
import { DeploymentState, sharesOf, titleOf } from './Deployments';
import { useRetry, type JobRow } from './Jobs';

/** Up to so many jobs are asked for again and again; more are told of by events. */
const FEW = 500;
/** Up to so many squares carry their words. */
const WITH_WORDS = 60;
/** Page of the grid's list. Source: the operation's own maximum. */
const PAGE = 500;
/** Until the jobs are known. */
const NONE = new Board([]);

const asked = (project_id: string, deployment_id: string) =>
  queryOptions({
    queryKey: deploymentKey(project_id, deployment_id),
    queryFn: () =>
      ok(
        api.GET('/api/v1/{project_id}/deployments/{deployment_id}', {
          params: { path: { project_id, deployment_id }, query: { limit: 100, offset: 0 } },
        }),
      ),
  });

const countsOf = ({ counts }: Shape<'Deployment'>) => counts;

/** A deployment but for the counts of its jobs, which change all the time. */
const restOf = ({ counts, ...rest }: Shape<'Deployment'>) => ({ ...rest, reached: counts.desktops_reached });
type Rest = ReturnType<typeof restOf>;

export default function Deployment() {
  const { t } = useTexts();
  const path = usePath();
  const { deployment: id = '' } = useParams();
  const { id: project_id } = useProject();
  const apps = useAllApps();
  const [view, setView] = useInAddress('show');
  const [opened, open] = useOpenedInAddress('job');
  const [form, setForm] = useInAddress('as');
  const deployment = useQuery({
    ...asked(project_id, id),
    refetchInterval: (query) => (query.state.data?.state === 'ended' ? QUIET_MS : MOVING_MS),
    select: restOf,
  });
  const moving = deployment.data?.state !== 'ended';
  const jobs = useQuery({
    queryKey: deploymentJobs(project_id, id),
    refetchInterval: (query) => ((query.state.data?.jobs.length ?? 0) > FEW ? QUIET_MS * 6 : moving ? MOVING_MS : QUIET_MS),
    placeholderData: keepPreviousData,
    // Ten thousand jobs are not compared member by member: what changed is drawn by itself.
    structuralSharing: false,
    queryFn: async () => {
      const all: Shape<'JobEvent'>[] = [];
      for (let offset = 0; offset < MOST_SHOWN; offset += PAGE) {
        const page = await ok(
          api.GET('/api/v1/{project_id}/deployments/{deployment_id}/jobs', {
            params: { path: { project_id, deployment_id: id }, query: { offset, limit: PAGE } },
          }),
        );
        all.push(...page.items);
        if (all.length >= page.count || page.items.length === 0) break;
      }
      return new Board(all);
    },
  });
  const refresh = useRefresh();
  const resume = useMutation({
    mutationFn: () =>
      ok(api.POST('/api/v1/{project_id}/deployments/{deployment_id}/actions/resume', { params: { path: { project_id, deployment_id: id } } })),
    onError: (problem) => sayProblem(problem, t('deployment.resume')),
    onSettled: () => refresh('deployment', 'deployments'),
  });
  const [cancelling, setCancelling] = useState(false);
  const board = jobs.data ?? NONE;

  const trail = [{ label: t('nav.deployments'), to: path('deployments') }];
  if (deployment.error instanceof ApiProblem && deployment.error.status === 404) {
    return <PageGone title={t('deployment.one')} icon={<IconRocket />} gone={t('deployment.gone')} text={t('deployment.gone-text')} all={{ label: t('deployment.all'), to: path('deployments') }} />;
  }
  if (deployment.error !== null && deployment.data === undefined) {
    return <PageProblem title={t('deployment.one')} error={deployment.error} trail={trail} onRetry={() => void deployment.refetch()} />;
  }
  if (deployment.data === undefined) return <PageWaiting />;
  const rest = deployment.data;
  const title = titleOf(rest, apps.data, t);
  const [halted, haltedEnd] = t('deployment.halted-text').split('{when}');
  return (
    <>
      <PageHead
        title={title}
        trail={trail}
        sub={
          <Group gap="xs">
            <Counted id={id}>{(counts) => <DeploymentState deployment={{ ...rest, counts }} />}</Counted>
            <span>
              {t('deployment.by', { who: rest.operator })} · <When at={rest.created_at} /> ·{' '}
              {t('deployment.reached', { n: rest.reached })}
            </span>
          </Group>
        }
        actions={
          <Group gap="sm">
            {moving && rest.halted_at !== undefined && (
              <Button variant="default" leftSection={<IconPlayerPlay size={16} />} loading={resume.isPending} onClick={() => resume.mutate()}>
                {t('deployment.resume')}
              </Button>
            )}
            {moving && (
              <Button variant="default" leftSection={<IconBan size={16} />} onClick={() => setCancelling(true)}>
                {t('deployment.cancel')}
              </Button>
            )}
            <RetryAll board={board} />
          </Group>
        }
      />
      <Stack gap="lg">
        {rest.halted_at !== undefined && (
          <Alert variant="outline" color="yellow" title={t('deployment.halted')}>
            {halted}
            <When at={rest.halted_at} />
            {haltedEnd}
          </Alert>
        )}
        <Panel>
          <Counted id={id}>
            {(counts) => {
              const shares = sharesOf(counts, t);
              return (
                <>
                  <ShareBar shares={shares} />
                  <div role="status" aria-live="polite">
                    <Legend shares={shares} />
                  </div>
                </>
              );
            }}
          </Counted>
          <Bounds deployment={rest} />
        </Panel>
        <FailurePanel board={board} />
        <Panel
          title={t('deployment.grid')}
          action={
            <Group gap="xs">
              <SegmentedControl
                size="xs"
                aria-label={t('list.state')}
                value={view}
                onChange={setView}
                data={[
                  { value: '', label: t('list.all') },
                  { value: 'moving', label: t('deployment.running') },
                  { value: 'failed', label: t('job.FAIL') },
                ]}
              />
              <SegmentedControl
                size="xs"
                aria-label={t('deployment.form')}
                value={form}
                onChange={setForm}
                data={[
                  { value: '', label: t('deployment.squares') },
                  { value: 'list', label: t('deployment.list') },
                ]}
              />
            </Group>
          }
        >
          {jobs.error !== null && <Problem error={jobs.error} />}
          {jobs.data !== undefined && <Jobs board={jobs.data} view={view} form={form} onOpen={open} />}
          <Counted id={id}>{({ jobs_unverified }) => <Unverified n={jobs_unverified} />}</Counted>
        </Panel>
        {rest.desktops_skipped.count > 0 && (
          <Panel title={t('preview.skipped-title')}>
            <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="xs">
              {rest.desktops_skipped.items.map((skipped) => (
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
        {rest.accounts_unknown.count > 0 && (
          <Alert variant="outline" color="yellow" title={t('preview.unknown', { n: rest.accounts_unknown.count })}>
            {rest.accounts_unknown.items.map((account) => account.account).join(', ')} – {t('preview.unknown-text')}
          </Alert>
        )}
        <Title order={2} size="h6" c="dimmed" fw={500}>
          {t('deployment.id')} <code>{id}</code>
        </Title>
      </Stack>
      <ConfirmByName
        // Its title is too long to type.
        name={apps.data?.find((app) => app.id === rest.app_ids[0])?.name ?? t('app.unknown')}
        title={t('deployment.cancel-title', { name: title })}
        effect={<Counted id={id}>{({ jobs_init, jobs_waiting }) => t('deployment.cancel-effect', { n: jobs_init + jobs_waiting })}</Counted>}
        action={t('deployment.cancel')}
        leave={t('deployment.keep')}
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
      <Opened board={board} id={opened} onClose={() => open('')} />
    </>
  );
}

/** What tells of the counts of a deployment's jobs. It alone is drawn anew when they change. */
function Counted({ id, children }: { id: string; children: (counts: Shape<'DeploymentCounts'>) => ReactNode }) {
  const { id: project_id } = useProject();
  // The page asks; this is drawn with what was answered.
  const { data } = useQuery({ ...asked(project_id, id), select: countsOf, staleTime: Infinity });
  return data === undefined ? null : children(data);
}

/** How many failures it may have, how many it has, and until when it waits for desktops. */
function Bounds({ deployment }: { deployment: Rest }) {
  const { t, language } = useTexts();
  const { fail_limit, halted_at, state } = deployment;
  const most = [
    ...(fail_limit?.count === undefined || fail_limit.count === null ? [] : [t('deployment.limit-count', { n: fail_limit.count })]),
    ...(fail_limit?.percent === undefined || fail_limit.percent === null ? [] : [t('list.percent', { n: fail_limit.percent })]),
  ].join(t('deployment.limit-or'));
  return (
    <Group gap="md" mt="md">
      {most !== '' && (
        <Group gap={6}>
          <Text size="sm">{t('deployment.limit', { most })}</Text>
          <Pill tone={halted_at !== undefined ? 'bad' : 'ok'}>
            <Counted id={deployment.id}>
              {({ jobs_fail }) => t(halted_at !== undefined ? 'deployment.limit-passed' : 'deployment.limit-kept', { n: jobs_fail })}
            </Counted>
          </Pill>
        </Group>
      )}
      {most === '' && (
        <Text size="sm" c="dimmed">
          {t('deployment.no-limit')}
        </Text>
      )}
      {state !== 'ended' && (
        <Text size="sm" c="dimmed">
          {t('deployment.waits', {
            when: new Date(deployment.expires_at).toLocaleString(localeOf(language), { dateStyle: 'medium', timeStyle: 'short' }),
          })}
        </Text>
      )}
    </Group>
  );
}

function Opened({ board, id, onClose }: { board: Board; id: string; onClose: () => void }) {
  const job = useOf(board, () => board.job(id));
  return <JobDrawer job={job} onClose={onClose} />;
}

function RetryAll({ board }: { board: Board }) {
  const retry = useRetry();
  const anyFailed = useOf(board, ({ failed }) => failed > 0);
  if (!anyFailed) return null;
  return (
    <Button leftSection={<IconRefresh size={16} />} loading={retry.isPending} onClick={() => retry.mutate(board.failedIds())}>
      <RetryAllText board={board} />
    </Button>
  );
}

/** It alone is drawn anew when another job fails. */
function RetryAllText({ board }: { board: Board }) {
  const { t } = useTexts();
  return t('deployment.retry-all', { n: useOf(board, ({ failed }) => failed) });
}

function FailurePanel({ board }: { board: Board }) {
  const { t } = useTexts();
  const reasons = useOf(board, ({ reasons }) => reasons);
  if (reasons.length === 0) return null;
  return (
    <Panel title={t('deployment.failures')}>
      <Stack gap="md">
        {reasons.map((reason) => (
          <FailureGroup key={reason} board={board} reason={reason} />
        ))}
      </Stack>
    </Panel>
  );
}

/** How many successes stand on nothing but an exit code. */
function Unverified({ n }: { n: number }) {
  const { t } = useTexts();
  if (n === 0) return null;
  return (
    <Text size="sm" mt="md">
      <Pill tone="care">{t('job.unverified')}</Pill> {t('deployment.unverified', { n })}
    </Text>
  );
}

const isMoving = ({ job_status }: JobRow) => job_status === 'INIT' || job_status === 'WAITING';
const hasFailed = ({ job_status }: JobRow) => job_status === 'FAIL';
const toneOf = (job: JobRow): Tone => (isUnverified(job) ? 'care' : JOB_TONE[job.job_status]);

/** As squares, few of which carry their words; or as a list, page by page. */
function Jobs({ board, view, form, onOpen }: { board: Board; view: string; form: string; onOpen: (id: string) => void }) {
  const { t } = useTexts();
  const isWhole = view !== 'failed' && view !== 'moving';
  // All squares of many listen for themselves: here only who comes or goes is drawn.
  const version = useOf(board, ({ jobs, version, order }) => (isWhole && form === '' && jobs.length > WITH_WORDS ? -1 - order : version));
  const jobs = useMemo(
    () => (isWhole ? board.jobs : board.jobs.filter(view === 'failed' ? hasFailed : isMoving)),
    // `version`: the jobs change in place.
    [board, view, isWhole, version],
  );
  const labelOf = useMemo(() => {
    const word = { INIT: t('job.INIT'), WAITING: t('job.WAITING'), SUCCESS: t('job.SUCCESS'), FAIL: t('job.FAIL') };
    const unverified = t('job.unverified');
    return (job: JobRow) => `${job.instance_name} · ${job.app_name}: ${isUnverified(job) ? unverified : word[job.job_status]}`;
  }, [t]);
  if (jobs.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {t('deployment.no-jobs')}
      </Text>
    );
  }
  if (form !== '') return <List jobs={jobs} onOpen={onOpen} />;
  if (jobs.length > WITH_WORDS) {
    return (
      <Squares
        items={jobs}
        listen={isWhole ? board.listen : undefined}
        toneOf={toneOf}
        labelOf={labelOf}
        label={t('deployment.grid')}
        onOpen={(job) => onOpen(job.id)}
      />
    );
  }
  return (
    <div className="squares" data-size="large" role="group" aria-label={t('deployment.grid')}>
      {jobs.map((job) => {
        const text = labelOf(job);
        return (
          <button key={job.id} type="button" className="square" data-tone={toneOf(job)} title={text} aria-label={text} onClick={() => onOpen(job.id)}>
            {job.instance_name}
            <small>
              {job.app_name} · {isUnverified(job) ? t('job.unverified') : t(`job.${job.job_status}`)}
            </small>
          </button>
        );
      })}
    </div>
  );
}

function List({ jobs, onOpen }: { jobs: readonly JobRow[]; onOpen: (id: string) => void }) {
  const { t } = useTexts();
  const [page, setPage] = usePage();
  return (
    <>
      <ListTable label={t('deployment.grid')} head={[t('job.desktop'), t('job.app'), t('list.state'), t('job.outcome')]}>
        {jobs.slice(offsetOf(page), offsetOf(page) + PAGE_SIZE).map((job) => (
          <Table.Tr key={job.id}>
            <Table.Td>
              <Anchor component="button" type="button" size="sm" fw={600} ta="left" style={{ whiteSpace: 'nowrap' }} onClick={() => onOpen(job.id)}>
                {job.instance_name}
              </Anchor>
            </Table.Td>
            <Table.Td>{job.app_name}</Table.Td>
            <Table.Td>
              <JobPill job={job} />
            </Table.Td>
            <Table.Td>
              <Outcome job={job} />
            </Table.Td>
          </Table.Tr>
        ))}
      </ListTable>
      <Pages count={jobs.length} size={PAGE_SIZE} page={page} onPage={setPage} />
    </>
  );
}
