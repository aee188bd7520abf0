import { Anchor, Button, Code, Group, Progress, Stack, Table, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconRefresh } from '@tabler/icons-react';
import { Link, useParams } from 'react-router';
import { api, ok } from '../api/client';
import { Copy, Legend, ListTable, PageHead, PageProblem, PageWaiting, Panel, Pill, sayProblem, ShareBar, When, type Share, type Tone } from '../components/parts';
import { MOVING_MS, QUIET_MS, useRefresh } from '../data';
import { useTold } from '../failures';
import { useTexts, type TextKey } from '../i18n';
import { usePath, useProject } from '../session';
import { WithCode } from '../components/WithCode';

const STATES: Record<string, { tone: Tone; word: TextKey }> = {
  WAITING: { tone: 'wait', word: 'push.WAITING' },
  RUNNING: { tone: 'busy', word: 'push.RUNNING' },
  SUCCESS: { tone: 'ok', word: 'push.SUCCESS' },
  FAILED: { tone: 'bad', word: 'push.FAILED' },
};

/** A text, and the line to run by hand that the text of a desktop without a way in ends with. */
function parted(text: string): [text: string, command: string | undefined] {
  const found = /^(.*:) (outfitter-agent(?:\.exe)? enroll .+)$/s.exec(text);
  return [found?.[1] ?? text, found?.[2]];
}

export default function Push() {
  const { t } = useTexts();
  const told = useTold();
  const path = usePath();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const { job: job_id = '' } = useParams();
  const job = useQuery({
    queryKey: ['push', project_id, job_id],
    refetchInterval: (query) => (query.state.data?.end_time === undefined ? MOVING_MS : QUIET_MS),
    queryFn: () => ok(api.GET('/v2/{project_id}/workspace-jobs/{job_id}', { params: { path: { project_id, job_id } } })),
  });
  const retry = useMutation({
    mutationFn: () =>
      ok(
        api.POST('/v2/{project_id}/workspace-jobs/{job_id}/actions', {
          params: { path: { project_id, job_id } },
          body: { op_type: 'retry' },
        }),
      ),
    onError: (error) => sayProblem(error, t('job.retry-failed')),
    onSettled: () => refresh('push'),
  });
  const trail = [{ label: t('nav.agents'), to: path('agents') }];
  if (job.error !== null && job.data === undefined) return <PageProblem title={t('push.title')} error={job.error} trail={trail} onRetry={() => void job.refetch()} />;
  if (job.data === undefined) return <PageWaiting />;
  const parts = job.data.sub_jobs ?? [];
  const shares: Share[] = Object.entries(STATES).map(([status, { tone, word }]) => ({
    tone,
    label: t(word),
    count: parts.filter((part) => part.status === status).length,
  }));
  return (
    <>
      <PageHead
        title={t('push.title')}
        sub={
          job.data.begin_time === undefined ? undefined : (
            <>
              {t('push.started')} <When at={job.data.begin_time} />
            </>
          )
        }
        trail={trail}
        actions={
          job.data.status === 'FAILED' ? (
            <Button leftSection={<IconRefresh size={16} />} loading={retry.isPending} onClick={() => retry.mutate()}>
              {t('job.retry')}
            </Button>
          ) : undefined
        }
      />
      <Stack gap="lg">
        <Panel>
          <ShareBar shares={shares} />
          <div role="status" aria-live="polite">
            <Legend shares={shares} />
          </div>
        </Panel>
        <section className="panel">
          <ListTable label={t('push.title')} head={[t('job.desktop'), t('list.state'), t('job.outcome')]}>
            {parts.map((part) => {
              const state = STATES[part.status ?? ''];
              const [said, command] = parted(part.fail_reason ?? '');
              return (
                <Table.Tr key={part.id}>
                  <Table.Td>
                    <Anchor component={Link} to={path(`desktops/${part.entities?.desktop_id ?? ''}`)} size="sm" fw={600}>
                      {part.entities?.desktop_name ?? part.desktop_name}
                    </Anchor>
                  </Table.Td>
                  <Table.Td>
                    {state === undefined ? part.status : <Pill tone={state.tone}>{t(state.word)}</Pill>}
                    {part.status === 'RUNNING' && (
                      <Progress value={part.process ?? 0} mt={6} aria-label={t('push.progress', { name: part.desktop_name ?? '' })} />
                    )}
                  </Table.Td>
                  <Table.Td>
                    <Stack gap={4} align="flex-start">
                      <Text size="sm" maw={620} style={{ overflowWrap: 'anywhere' }}>
                        {said === '' ? told(part.message) || '–' : <WithCode text={told(said)} />}
                      </Text>
                      {command !== undefined && (
                        <Group gap={4} wrap="nowrap">
                          <Code style={{ overflowWrap: 'anywhere' }}>{command}</Code>
                          <Copy text={command} />
                        </Group>
                      )}
                      {/* The text with a command says all that its code does. */}
                      {command === undefined && part.error_code !== undefined && part.error_code !== '' && (
                        <Text size="xs" c="dimmed">
                          <Code>{part.error_code}</Code>
                        </Text>
                      )}
                      {part.status === 'FAILED' && (
                        <Anchor component={Link} to={path(`agents?show=all&q=${encodeURIComponent(part.desktop_name ?? '')}`)} size="sm">
                          {t('push.mend')}
                        </Anchor>
                      )}
                    </Stack>
                  </Table.Td>
                </Table.Tr>
              );
            })}
          </ListTable>
        </section>
      </Stack>
    </>
  );
}
