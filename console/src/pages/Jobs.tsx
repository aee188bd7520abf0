import { Anchor, Button, Checkbox, Group, Select, Table, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { IconListDetails, IconRefresh, IconX } from '@tabler/icons-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { useInAddress, useOpenedInAddress, usePage } from '../address';
import { ChooseAll } from '../components/ChooseAll';
import { JobNotes, JobOfRows, Outcome } from '../components/JobDrawer';
import { JobPill, ListPanel, ListTable, PageHead, Pages, say, sayProblem, States, When, type JobStatus } from '../components/parts';
import { Empty } from '../components/states';
import { offsetOf, PAGE_SIZE, useAllApps, useJobs, useRefresh } from '../data';
import { useTexts } from '../i18n';
import { usePath, useProject } from '../session';

const STATUSES = ['', 'INIT', 'WAITING', 'SUCCESS', 'FAIL'] as const;

/** Most jobs one call takes. Source: the contract, BatchOperateJobsReq. */
export const MOST_JOBS = 50;

export function useRetry() {
  const { id: project_id } = useProject();
  const { t } = useTexts();
  const refresh = useRefresh();
  return useMutation({
    mutationFn: async (ids: string[]) => {
      for (let from = 0; from < ids.length; from += MOST_JOBS) {
        await ok(
          api.POST('/v1/{project_id}/app-center/jobs/actions/retry', {
            params: { path: { project_id } },
            body: { items: ids.slice(from, from + MOST_JOBS) },
          }),
        );
      }
    },
    onSuccess: (_, ids) => say(t('job.retried', { n: ids.length })),
    onError: (error) => sayProblem(error, t('job.retry-failed')),
    onSettled: () => refresh('jobs', 'deployments', 'deployment', 'deployment-jobs', 'attempts'),
  });
}

/** Cancels jobs: those that wait end at once, those that run are asked to stop. */
export function useCancel() {
  const { id: project_id } = useProject();
  const { t } = useTexts();
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (ids: string[]) =>
      ok(api.POST('/api/v1/{project_id}/jobs/actions/cancel', { params: { path: { project_id } }, body: { items: ids } })),
    onSuccess: ({ cancelled, stopping }) => say(t('job.cancelled', { cancelled, stopping })),
    onError: (error) => sayProblem(error, t('job.cancel-failed')),
    onSettled: () => refresh('jobs', 'deployments', 'deployment', 'deployment-jobs', 'attempts'),
  });
}

export default function Jobs() {
  const { t } = useTexts();
  const path = usePath();
  const apps = useAllApps();
  const [status, setStatus] = useInAddress('status');
  const [app, setApp] = useInAddress('app');
  const [target, setTarget] = useInAddress('target');
  const [unverified, setUnverified] = useInAddress('unverified');
  const [opened, open] = useOpenedInAddress('job');
  const [page, setPage] = usePage();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const wanted = STATUSES.find((candidate) => candidate === status) ?? '';
  const list = useJobs(
    {
      ...(wanted === '' ? {} : { job_status: wanted }),
      ...(app === '' ? {} : { app_id: app }),
      ...(target === '' ? {} : { target }),
      ...(unverified === '' ? {} : { unverified: true as const }),
    },
    offsetOf(page),
    PAGE_SIZE,
  );
  const isFiltered = [wanted, app, target, unverified].some((value) => value !== '');
  const retry = useRetry();
  const failedHere = list.data?.items.filter((job) => job.job_status === 'FAIL') ?? [];
  const ids = failedHere.filter((job) => chosen.has(job.id)).map((job) => job.id);
  return (
    <>
      <PageHead title={t('nav.jobs')} sub={t('jobs.sub')} />
      <Group mb="md" gap="sm" align="flex-end">
        <States
          value={wanted}
          onChange={setStatus}
          aria-label={t('list.state')}
          data={STATUSES.map((value) => ({ value, label: value === '' ? t('list.all') : t(`job.${value}` as const) }))}
        />
        <Select
          aria-label={t('job.app')}
          placeholder={t('job.any-app')}
          className="search"
          clearable
          searchable
          data={apps.data?.map((candidate) => ({ value: candidate.id, label: `${candidate.name} ${candidate.version}` })) ?? []}
          value={app === '' ? null : app}
          onChange={(value) => setApp(value ?? '')}
          clearButtonProps={{ 'aria-label': t('action.clear') }}
        />
        <Checkbox
          label={t('jobs.unverified')}
          checked={unverified !== ''}
          onChange={(event) => setUnverified(event.currentTarget.checked ? '1' : '')}
          pb={9}
        />
        {target !== '' && (
          <Button variant="default" rightSection={<IconX size={14} />} onClick={() => setTarget('')}>
            {t('job.target')}: {target}
          </Button>
        )}
        {failedHere.length > 0 && (
          <Button
            variant="default"
            leftSection={<IconRefresh size={16} />}
            loading={retry.isPending}
            disabled={ids.length === 0}
            onClick={() => retry.mutate(ids, { onSuccess: () => setChosen(new Set()) })}
          >
            {ids.length === 0 ? t('job.retry-none') : t('job.retry-chosen', { n: ids.length })}
          </Button>
        )}
      </Group>
      <ListPanel list={list}>
        {list.data?.count === 0 && isFiltered ? (
          <Empty icon={<IconListDetails />} title={t('list.none')}>
            {t('list.none-text')}
          </Empty>
        ) : list.data?.count === 0 ? (
          <Empty
            icon={<IconListDetails />}
            title={t('jobs.empty')}
            action={
              <Button component={Link} to={path('install')} variant="default">
                {t('nav.install')}
              </Button>
            }
          >
            {t('jobs.empty-text')}
          </Empty>
        ) : (
          <>
            {failedHere.length > 0 && (
              <Group px="var(--pad)" pt={14}>
                <ChooseAll
                  label={t('job.choose-page')}
                  chosen={ids.length}
                  of={failedHere.length}
                  onChange={(all) => setChosen(new Set(all ? failedHere.map((job) => job.id) : []))}
                />
              </Group>
            )}
            <ListTable
              label={t('nav.jobs')}
              head={[
                ...(failedHere.length > 0 ? [{ hidden: t('job.choose') }] : []),
                t('job.app'),
                t('job.desktop'),
                t('job.target'),
                t('list.state'),
                t('job.outcome'),
                t('list.changed'),
              ]}
            >
              {list.data?.items.map((job) => (
                <Table.Tr key={job.id}>
                  {failedHere.length > 0 && (
                    <Table.Td w={40}>
                      {job.job_status === 'FAIL' && (
                        <Checkbox
                          aria-label={t('job.choose-this', { app: job.app_name ?? '', desktop: job.instance_name ?? '' })}
                          checked={chosen.has(job.id)}
                          onChange={(event) => {
                            const next = new Set(chosen);
                            if (event.currentTarget.checked) next.add(job.id);
                            else next.delete(job.id);
                            setChosen(next);
                          }}
                        />
                      )}
                    </Table.Td>
                  )}
                  <Table.Td>
                    <div className="kept">
                      <Anchor component="button" type="button" size="sm" fw={600} ta="left" onClick={() => open(job.id)}>
                        {job.app_name}
                      </Anchor>{' '}
                      <Text span size="sm" c="dimmed">
                        {job.app_version}
                      </Text>
                    </div>
                    <JobNotes job={job} />
                  </Table.Td>
                  <Table.Td>
                    <Anchor component={Link} to={path(`desktops/${job.instance_id}`)} size="sm">
                      {job.instance_name}
                    </Anchor>
                  </Table.Td>
                  <Table.Td>{job.target || '–'}</Table.Td>
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
          </>
        )}
        {list.data !== undefined && list.data.count > 0 && <Pages count={list.data.count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
      </ListPanel>
      <JobOfRows id={opened} rows={list.data?.items} onClose={() => open('')} />
    </>
  );
}

export type JobRow = Pick<Shape<'AppInstallJob'>, 'id' | 'app_id' | 'app_name' | 'app_version' | 'instance_id' | 'instance_name' | 'error_message'> & {
  job_status: JobStatus;
} & Partial<Pick<Shape<'JobEvent'>, 'kind' | 'phase' | 'percent' | 'proof' | 'reason' | 'restart_pending'>>;
