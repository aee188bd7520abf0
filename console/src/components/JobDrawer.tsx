import { Alert, Anchor, Button, Code, Drawer, Group, Stack, Text, Timeline, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { IconPlayerStop, IconRefresh } from '@tabler/icons-react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { MOVING_MS } from '../data';
import { reasonOf, useTold } from '../failures';
import { useTexts } from '../i18n';
import { useCancel, useRetry, type JobRow } from '../pages/Jobs';
import { usePath, useProject } from '../session';
import { JobPill, Pill, When } from './parts';
import { Problem } from './states';

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
          {job?.app_name} · {job?.instance_name}
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

/** How a job ended, in one sentence: why it failed, or what proves that it did not. */
export function Outcome({ job }: { job: JobRow }) {
  const { t } = useTexts();
  const told = useTold();
  const reason = job.error_message === undefined || job.error_message === '' ? undefined : told(reasonOf(job.error_message));
  return (
    <Text size="sm" lineClamp={2} title={reason === undefined ? undefined : told(job.error_message)} c={reason === undefined ? 'dimmed' : undefined}>
      {reason ?? (job.proof === undefined ? '–' : t(`proof.${job.proof}`))}
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
        {(job.job_status === 'INIT' || job.job_status === 'WAITING') && (
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
      {attempts.data?.items.length === 0 && (
        <Text size="sm" c="dimmed">
          {t('job.no-attempt')}
        </Text>
      )}
      {attempts.data?.items.map((attempt) => <AttemptView key={attempt.id} attempt={attempt} appId={job.app_id} />)}
    </Stack>
  );
}

function AttemptView({ attempt, appId }: { attempt: Shape<'Attempt'>; appId: string | undefined }) {
  const { t } = useTexts();
  const path = usePath();
  const { receipt } = attempt;
  const phases = receipt?.phases ?? [];
  const current = attempt.phase;
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
          <Timeline bulletSize={14} lineWidth={2} active={phases.length} styles={{ itemBullet: { backgroundColor: 'var(--mantine-color-body)' } }}>
            {phases.map((mark, index) => {
              const end = phases[index + 1]?.started_at ?? receipt?.ended_at;
              const millis = end === undefined ? undefined : new Date(end).getTime() - new Date(mark.started_at).getTime();
              return (
                <Timeline.Item
                  key={`${mark.phase}${mark.started_at}`}
                  {...(receipt !== undefined && receipt.proof === undefined && index === phases.length - 1 ? { color: 'var(--bad)' } : {})}
                  title={
                    <Text size="sm" fw={600} component="span">
                      {t(`phase.${mark.phase}`)}
                    </Text>
                  }
                >
                  <Text size="xs" c="dimmed">
                    {millis === undefined ? '' : millis < 100 ? t('attempt.instant') : t('attempt.took', { seconds: (millis / 1000).toFixed(1) })}
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
            <Group gap="xs">
              {receipt.proof !== undefined && (
                <Pill tone={receipt.proof === 'receipt_invalid' ? 'bad' : receipt.proof === 'exit_code_only' ? 'care' : 'ok'}>{t(`proof.${receipt.proof}`)}</Pill>
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
            {receipt.detected_after !== undefined && (
              <Text size="sm">
                {t('attempt.detected-after')} {receipt.detected_after.holds ? t('attempt.found') : t('attempt.not-found')}{' '}
                <Text span c="dimmed" size="sm">
                  {receipt.detected_after.seen}
                </Text>{' '}
                {!receipt.detected_after.holds && appId !== undefined && (
                  <Anchor component={Link} to={path(`apps/${appId}?tab=detection`)} size="sm">
                    {t('attempt.rule')}
                  </Anchor>
                )}
              </Text>
            )}
            {receipt.failure_detail !== undefined && <Text size="sm">{receipt.failure_detail}</Text>}
            {receipt.output_tail !== undefined && receipt.output_tail !== '' && (
              <pre className="log" tabIndex={0} aria-label={t('attempt.log')}>
                {receipt.output_tail}
              </pre>
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
