import { Alert, Button, Group, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconSnowflake } from '@tabler/icons-react';
import { useState } from 'react';
import { api, ok } from '../api/client';
import { QUIET_MS, useRefresh } from '../data';
import { useTexts } from '../i18n';
import { useProject } from '../session';
import { Panel, sayProblem, When } from './parts';
import { Problem } from './states';

/** Longest reason, in characters. Source: the operation, SetFreezeReq. */
const REASON_LIMIT = 255;

function useFreeze() {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['freeze', project_id],
    refetchInterval: QUIET_MS,
    queryFn: () => ok(api.GET('/api/v1/{project_id}/freeze', { params: { path: { project_id } } })),
  });
}

function useSetFreeze() {
  const { id: project_id } = useProject();
  const { t } = useTexts();
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (body: { frozen: boolean; reason?: string }) =>
      ok(api.PUT('/api/v1/{project_id}/freeze', { params: { path: { project_id } }, body })),
    onError: (problem) => sayProblem(problem, t('freeze.failed')),
    onSettled: () => refresh('freeze'),
  });
}

/** Stands above every page while nothing is handed out, and says who wanted that. */
export function FreezeBanner() {
  const { t } = useTexts();
  const { data } = useFreeze();
  const standing = data?.server ?? data?.project;
  if (standing === undefined) return null;
  return (
    <Alert
      role="status"
      variant="outline"
      color="yellow"
      mb="lg"
      icon={<IconSnowflake size={20} aria-hidden />}
      title={data?.server === undefined ? t('freeze.standing') : t('freeze.server')}
      styles={{ title: { color: 'var(--care)' } }}
    >
      {standing.reason === undefined || standing.reason === '' ? standing.operator : t('freeze.by', { who: standing.operator, reason: standing.reason })} ·{' '}
      <When at={standing.since} />
    </Alert>
  );
}

/** The switch of the project. */
export function FreezeSwitch() {
  const { t } = useTexts();
  const freeze = useFreeze();
  const set = useSetFreeze();
  const [reason, setReason] = useState('');
  const standing = freeze.data?.project;
  return (
    <Panel title={t('freeze.title')}>
      {freeze.error !== null && <Problem error={freeze.error} />}
      <Stack>
        <Text size="sm" c="dimmed">
          {t('freeze.text')}
        </Text>
        {standing === undefined ? (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              set.mutate({ frozen: true, ...(reason === '' ? {} : { reason }) }, { onSuccess: () => setReason('') });
            }}
          >
            <Group align="flex-end" wrap="wrap">
              <TextInput
                label={t('freeze.reason')}
                value={reason}
                maxLength={REASON_LIMIT}
                onChange={(event) => setReason(event.currentTarget.value)}
                style={{ flex: '1 1 240px' }}
              />
              <Button type="submit" color="red" leftSection={<IconSnowflake size={16} />} loading={set.isPending} disabled={freeze.data === undefined}>
                {t('freeze.label')}
              </Button>
            </Group>
          </form>
        ) : (
          <Group>
            <Button loading={set.isPending} onClick={() => set.mutate({ frozen: false })}>
              {t('freeze.let-go')}
            </Button>
          </Group>
        )}
      </Stack>
    </Panel>
  );
}
