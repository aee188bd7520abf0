import { Alert, Anchor, Button, Group, SimpleGrid, Stack, Text, TextInput, Title } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconSnowflake } from '@tabler/icons-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { QUIET_MS, useRefresh } from '../data';
import { useTexts } from '../i18n';
import { usePath, useProject } from '../session';
import { Panel, Pill, sayProblem, When } from './parts';
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

function useSetFreeze(of: 'project' | 'server') {
  const { id: project_id } = useProject();
  const { t } = useTexts();
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (body: { frozen: boolean; reason?: string }) =>
      ok(of === 'server' ? api.PUT('/api/v1/freeze', { body }) : api.PUT('/api/v1/{project_id}/freeze', { params: { path: { project_id } }, body })),
    onError: (problem) => sayProblem(problem, t('freeze.failed')),
    onSettled: () => refresh('freeze'),
  });
}

/** Stands above every page while nothing is handed out, and says who wanted that. */
export function FreezeBanner() {
  const { t } = useTexts();
  const path = usePath();
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
    >
      {standing.reason === undefined || standing.reason === '' ? standing.operator : t('freeze.by', { who: standing.operator, reason: standing.reason })} ·{' '}
      <When at={standing.since} />{' '}
      <Anchor component={Link} to={path('settings')} size="sm">
        {t('freeze.change')}
      </Anchor>
    </Alert>
  );
}

/** The switches of the project and of the whole server. */
export function FreezeSwitches() {
  const { t } = useTexts();
  const freeze = useFreeze();
  return (
    <Panel title={t('freeze.title')}>
      {freeze.error !== null && <Problem error={freeze.error} />}
      <Text size="sm" c="dimmed" mb="md">
        {t('freeze.text')}
      </Text>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <Switch of="project" standing={freeze.data?.project} known={freeze.data !== undefined} />
        <Switch of="server" standing={freeze.data?.server} known={freeze.data !== undefined} />
      </SimpleGrid>
    </Panel>
  );
}

function Switch({ of, standing, known }: { of: 'project' | 'server'; standing: Shape<'Freeze'> | undefined; known: boolean }) {
  const { t } = useTexts();
  const set = useSetFreeze(of);
  const [reason, setReason] = useState('');
  const label = t(`freeze.of-${of}`);
  return (
    <form
      aria-label={label}
      onSubmit={(event) => {
        event.preventDefault();
        if (standing !== undefined) set.mutate({ frozen: false });
        else set.mutate({ frozen: true, ...(reason === '' ? {} : { reason }) }, { onSuccess: () => setReason('') });
      }}
    >
      <Stack gap="sm">
        <Group gap="xs">
          <Title order={3} size="h6">
            {label}
          </Title>
          {known && <Pill tone={standing === undefined ? 'ok' : 'care'}>{t(standing === undefined ? 'freeze.off' : 'freeze.on')}</Pill>}
        </Group>
        {standing === undefined ? (
          <TextInput label={t('freeze.reason')} value={reason} maxLength={REASON_LIMIT} onChange={(event) => setReason(event.currentTarget.value)} />
        ) : (
          <Text size="sm">
            {standing.reason === undefined || standing.reason === '' ? standing.operator : t('freeze.by', { who: standing.operator, reason: standing.reason })} ·{' '}
            <When at={standing.since} />
          </Text>
        )}
        <Group>
          {standing === undefined ? (
            <Button type="submit" variant="outline" color="red" leftSection={<IconSnowflake size={16} />} loading={set.isPending} disabled={!known}>
              {t(of === 'project' ? 'freeze.label' : 'freeze.label-server')}
            </Button>
          ) : (
            <Button type="submit" loading={set.isPending}>
              {t('freeze.let-go')}
            </Button>
          )}
        </Group>
      </Stack>
    </form>
  );
}
