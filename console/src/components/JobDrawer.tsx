import { Alert, Anchor, Button, Code, Drawer, Group, Stack, Text, Timeline, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { IconCheck, IconPlayerStop, IconRefresh, IconX } from '@tabler/icons-react';
import { useRef } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { MOVING_MS } from '../data';
import { reasonOf, useTold } from '../failures';
import { useTexts, type Write } from '../i18n';
import { useCancel, useRetry, type JobRow } from '../pages/Jobs';
import { usePath, useProject } from '../session';
import { JobPill, Pill, When } from './parts';
import { Problem } from './states';

/** The job that the address names, from the rows of a list, or by itself where it is not among them (any more). */
export function JobOfRows({ id, rows, onClose }: { id: string; rows: readonly JobRow[] | undefined; onClose: () => void }) {
  const { id: project_id } = useProject();
  const row = rows?.find((candidate) => candidate.id === id);
  // A job that is tried again leaves the list of failed ones: the drawer stays, and follows it.
  const shown = useRef<JobRow>(undefined);
  if (row !== undefined) shown.current = row;
  const read = useQuery({
    queryKey: ['job', project_id, id],
    enabled: id !== '' && rows !== undefined && row === undefined,
    refetchInterval: MOVING_MS,
    queryFn: () => ok(api.GET('/api/v1/{project_id}/jobs/{job_id}', { params: { path: { project_id, job_id: id } } })),
  });
  const kept = shown.current?.id === id ? shown.current : undefined;
  return <JobDrawer job={row ?? (id === '' ? undefined : (read.data ?? kept))} onClose={onClose} />;
}

/** One job with everything known of its attempts: phases, exit code, what was looked for, the log's end. */
export function JobDrawer({ job, onClose }: { job: JobRow | undefined; onClose: () => void }) {
  const { t } = useTexts();
  return (
    <Drawer
      opened={job !== undefined}
      onClose={onClose}
      position="right"
      size="lg"
      title={
        <Text fw={650} component="span">
          {job?.kind === 'uninstall' ? t('deployment.uninstall-of', { apps: job.app_name ?? '' }) : job?.app_name} · {job?.instance_name}
        </Text>
      }
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      {job !== undefined && <JobDetail job={job} />}
    </Drawer>
  );
}

/** What a job is beside an ordinary install: an uninstall, one that waits for a restart, a share that is done. */
export function JobNotes({ job }: { job: JobRow }) {
  const { t } = useTexts();
  const notes = [
    job.kind === 'uninstall' ? t('mode.uninstall') : undefined,
    job.restart_pending === true ? t('desktop.restart-needed') : undefined,
    job.job_status === 'WAITING' && job.phase !== undefined ? `${t(`phase.${job.phase}`)}${job.percent === undefined ? '' : ` ${t('list.percent', { n: job.percent })}`}` : undefined,
  ].filter((note) => note !== undefined);
  if (notes.length === 0) return null;
  return (
    <Text size="xs" c="dimmed">
      {notes.join(' · ')}
    </Text>
  );
}

/** What a proof says: what shows that an app is there shows after an uninstall that it is gone. */
function proofText(t: Write, proof: Shape<'Proof'>, kind: JobRow['kind']): string {
  return t(kind === 'uninstall' && (proof === 'detection_rule' || proof === 'manifest') ? 'proof.gone' : `proof.${proof}`);
}

/** How a job ended, in one sentence: why it failed, or what proves that it did not. */
export function Outcome({ job }: { job: JobRow }) {
  const { t } = useTexts();
  const told = useTold();
  const reason = job.error_message === undefined || job.error_message === '' ? undefined : told(reasonOf(job.error_message));
  return (
    <Text size="sm" lineClamp={2} title={reason === undefined ? undefined : told(job.error_message)} c={reason === undefined ? 'dimmed' : undefined}>
      {reason ?? (job.proof === undefined ? '–' : proofText(t, job.proof, job.kind))}
    </Text>
  );
}

export function JobDetail({ job }: { job: JobRow }) {
  const { t } = useTexts();
  const told = useTold();
  const path = usePath();
  const { id: project_id } = useProject();
  const retry = useRetry();
  const cancel = useCancel();
  const attempts = useQuery({
    queryKey: ['attempts', project_id, job.id],
    refetchInterval: MOVING_MS,
    queryFn: () =>
      ok(
        api.GET('/api/v1/{project_id}/jobs/{job_id}/attempts', {
          params: { path: { project_id, job_id: job.id }, query: { limit: 20, offset: 0 } },
        }),
      ),
  });
  // The banner above every page asks.
  const { data: freeze } = useQuery<Shape<'FreezeState'>>({ queryKey: ['freeze', project_id], enabled: false });
  const waits = job.job_status === 'INIT';
  return (
    <Stack>
      <Group justify="space-between">
        <Group gap="sm">
          <JobPill job={job} />
          <Anchor component={Link} to={path(`desktops/${job.instance_id}`)} size="sm">
            {job.instance_name}
          </Anchor>
          <Anchor component={Link} to={path(`apps/${job.app_id}`)} size="sm">
            {job.app_name} {job.app_version}
          </Anchor>
        </Group>
        {job.job_status === 'FAIL' && (
          <Button size="xs" leftSection={<IconRefresh size={16} />} loading={retry.isPending} onClick={() => retry.mutate([job.id])}>
            {t('job.retry')}
          </Button>
        )}
        {(waits || job.job_status === 'WAITING') && (
          <Button size="xs" variant="default" leftSection={<IconPlayerStop size={16} />} loading={cancel.isPending} onClick={() => cancel.mutate([job.id])}>
            {t('job.cancel')}
          </Button>
        )}
      </Group>
      {job.error_message !== undefined && job.error_message !== '' && (
        <Alert variant="outline" color="red" title={t('job.why')} styles={{ title: { color: 'var(--bad)' } }}>
          {told(job.error_message)}
        </Alert>
      )}
      {attempts.error !== null && <Problem error={attempts.error} />}
      {waits && (freeze?.frozen === true || attempts.data?.items.length === 0) && (
        <Text size="sm" c="dimmed">
          {t(freeze?.frozen === true ? 'job.frozen' : 'job.no-attempt')}
        </Text>
      )}
      {attempts.data?.items.map((attempt) => <AttemptView key={attempt.id} attempt={attempt} job={job} />)}
    </Stack>
  );
}

/** Failures that looking at the result brought out. All others were one before, though the result was looked at after them. */
const SEEN_IN_RESULT = ['not_detected_after_install', 'still_detected_after_uninstall', 'evidence_refused'];

/** The place of the phase that an attempt failed in; -1 where it did not. */
function failedAt({ outcome = '', receipt }: Shape<'Attempt'>): number {
  const phases = receipt?.phases ?? [];
  if (outcome === 'succeeded') return -1;
  return phases.length - (phases.at(-1)?.phase === 'confirming' && !SEEN_IN_RESULT.includes(outcome) ? 2 : 1);
}

function AttemptView({ attempt, job }: { attempt: Shape<'Attempt'>; job: JobRow }) {
  const { t } = useTexts();
  const path = usePath();
  const { receipt } = attempt;
  const phases = receipt?.phases ?? [];
  const failed = failedAt(attempt);
  const current = attempt.phase;
  const detected = receipt?.detected_after;
  return (
    <section className="panel panel-pad" aria-label={t('attempt.title', { n: attempt.number })}>
      <Group justify="space-between" mb="sm">
        <Title order={3} size="h6">
          {t('attempt.title', { n: attempt.number })}
        </Title>
        <Text size="xs" c="dimmed">
          <When at={attempt.leased_at} />
        </Text>
      </Group>
      <Stack gap="sm">
        {phases.length > 0 ? (
          <Timeline bulletSize={18} lineWidth={2} active={phases.length} styles={{ itemBullet: { color: 'var(--mantine-color-body)' } }}>
            {phases.map((mark, index) => {
              const end = phases[index + 1]?.started_at ?? receipt?.ended_at;
              const millis = end === undefined ? undefined : new Date(end).getTime() - new Date(mark.started_at).getTime();
              const took = millis === undefined ? undefined : millis < 100 ? t('attempt.instant') : t('attempt.took', { seconds: (millis / 1000).toFixed(1) });
              return (
                <Timeline.Item
                  key={`${mark.phase}${mark.started_at}`}
                  color={index === failed ? 'var(--bad)' : 'var(--ok)'}
                  bullet={index === failed ? <IconX size={12} stroke={3} aria-hidden /> : <IconCheck size={12} stroke={3} aria-hidden />}
                  title={
                    <Text size="sm" fw={600} component="span">
                      {t(`phase.${mark.phase}`)}
                    </Text>
                  }
                >
                  <Text size="xs" c="dimmed">
                    {[index === failed ? t('job.FAIL') : undefined, took].filter((words) => words !== undefined).join(' · ')}
                  </Text>
                </Timeline.Item>
              );
            })}
          </Timeline>
        ) : (
          current !== undefined && <Pill tone="busy">{t(`phase.${current}`)}</Pill>
        )}
        {receipt !== undefined && (
          <>
            <Title order={4} size="sm">
              {t('attempt.receipt')}
            </Title>
            <Group gap="xs">
              {receipt.proof !== undefined && (
                <Pill tone={receipt.proof === 'receipt_invalid' ? 'bad' : receipt.proof === 'exit_code_only' ? 'care' : 'ok'}>{proofText(t, receipt.proof, job.kind)}</Pill>
              )}
              {receipt.exit_code !== undefined && (
                <Text size="sm">
                  {t('attempt.exit-code')} <Code>{receipt.exit_code}</Code>
                </Text>
              )}
            </Group>
            {receipt.signature_problem !== undefined && (
              <Text size="sm" c="red">
                {t('attempt.receipt-invalid')} {receipt.signature_problem}
              </Text>
            )}
            {receipt.command !== undefined && (
              <Code block style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
                {receipt.command}
              </Code>
            )}
            {detected !== undefined && (
              <Text size="sm">
                {t('attempt.detected-after')} {detected.holds ? t('attempt.found') : t('attempt.not-found')}{' '}
                <Text span c="dimmed" size="sm">
                  {detected.seen}
                </Text>{' '}
                {detected.holds === (job.kind === 'uninstall') && (
                  <Anchor component={Link} to={path(`apps/${job.app_id}?tab=detection`)} size="sm">
                    {t('attempt.rule')}
                  </Anchor>
                )}
              </Text>
            )}
            {receipt.failure_detail !== undefined && <Text size="sm">{receipt.failure_detail}</Text>}
            {receipt.output_tail !== undefined && receipt.output_tail !== '' && (
              <div>
                <Text size="sm" fw={600} mb={4}>
                  {t('attempt.log')}
                </Text>
                <pre className="log" tabIndex={0} aria-label={t('attempt.log')}>
                  {receipt.output_tail}
                </pre>
              </div>
            )}
            {receipt.sandbox_root !== undefined && (
              <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
                {t('attempt.sandbox', { path: receipt.sandbox_root })}
              </Text>
            )}
          </>
        )}
      </Stack>
    </section>
  );
}
