import { Anchor, Button, Group, Stack, Text } from '@mantine/core';
import { IconDownload, IconRocket } from '@tabler/icons-react';
import { Link } from 'react-router';
import type { Shape } from '../api/client';
import { useInAddress, usePage } from '../address';
import { ListPanel, PageHead, Pages, Pill, ShareBar, States, When, type Share } from '../components/parts';
import { Empty } from '../components/states';
import { offsetOf, PAGE_SIZE, useAllApps, useDeployments } from '../data';
import { useTexts, type Write } from '../i18n';
import { usePath } from '../session';

export function sharesOf(counts: Shape<'DeploymentCounts'>, t: Write): Share[] {
  return [
    { tone: 'ok', label: t('job.SUCCESS'), count: counts.jobs_success - counts.jobs_unverified },
    { tone: 'care', label: t('job.unverified'), count: counts.jobs_unverified },
    { tone: 'bad', label: t('job.FAIL'), count: counts.jobs_fail },
    { tone: 'busy', label: t('job.WAITING'), count: counts.jobs_waiting },
    { tone: 'wait', label: t('job.INIT'), count: counts.jobs_init },
  ];
}

export function DeploymentState({ deployment }: { deployment: Pick<Shape<'DeploymentSummary'>, 'state' | 'counts' | 'halted_at'> }) {
  const { t } = useTexts();
  if (deployment.state === 'expanding') return <Pill tone="busy">{t('deployment.expanding')}</Pill>;
  if (deployment.state === 'running' && deployment.halted_at !== undefined) return <Pill tone="bad">{t('deployment.halted-short')}</Pill>;
  if (deployment.state === 'running') return <Pill tone="busy">{t('deployment.running')}</Pill>;
  const { jobs_fail, jobs_success } = deployment.counts;
  if (jobs_fail > 0) return <Pill tone="bad">{t(jobs_success === 0 ? 'deployment.all-failed' : 'deployment.with-failures')}</Pill>;
  if (deployment.counts.desktops_reached === 0) return <Pill tone="care">{t('deployment.nobody')}</Pill>;
  return <Pill tone="ok">{t('deployment.done')}</Pill>;
}

export function titleOf(
  deployment: Pick<Shape<'DeploymentSummary'>, 'app_ids' | 'kind'>,
  apps: Shape<'Application'>[] | undefined,
  t: Write,
): string {
  const names = deployment.app_ids.map((id) => apps?.find((app) => app.id === id)?.name ?? t('app.unknown'));
  const shown = names.slice(0, 3).join(t('list.comma'));
  const more = names.length > 3 ? t('deployment.more', { n: names.length - 3 }) : '';
  return t(deployment.kind === 'install' ? 'deployment.install-of' : 'deployment.uninstall-of', { apps: shown + more });
}

export function DeploymentRow({ deployment, apps }: { deployment: Shape<'DeploymentSummary'>; apps: Shape<'Application'>[] | undefined }) {
  const { t } = useTexts();
  const path = usePath();
  const { counts } = deployment;
  const all = counts.jobs_success + counts.jobs_fail + counts.jobs_waiting + counts.jobs_init;
  return (
    <div>
      <Group justify="space-between" wrap="nowrap" align="flex-start" gap="sm">
        <Anchor component={Link} to={path(`deployments/${deployment.id}`)} fw={600} size="sm">
          {titleOf(deployment, apps, t)}
        </Anchor>
        <DeploymentState deployment={deployment} />
      </Group>
      <Text size="xs" c="dimmed" mt={2} mb={6}>
        {t('deployment.by', { who: deployment.operator })} · <When at={deployment.created_at} /> ·{' '}
        {t('deployment.progress', { done: counts.jobs_success + counts.jobs_fail, all })}
      </Text>
      <ShareBar shares={sharesOf(counts, t)} />
    </div>
  );
}

const STATES = ['', 'running', 'ended'] as const;

export default function Deployments() {
  const { t } = useTexts();
  const path = usePath();
  const apps = useAllApps();
  const [state, setState] = useInAddress('state');
  const [page, setPage] = usePage();
  const wanted = STATES.find((candidate) => candidate === state) ?? '';
  const list = useDeployments(wanted === '' ? undefined : wanted, offsetOf(page), PAGE_SIZE);
  const isEmpty = list.data?.count === 0 && wanted === '';
  const install = (
    <Button component={Link} to={path('install')} leftSection={<IconDownload size={18} />}>
      {t('nav.install')}
    </Button>
  );
  return (
    <>
      <PageHead title={t('nav.deployments')} sub={t('deployments.sub')} actions={isEmpty ? undefined : install} />
      {!isEmpty && (
        <States
          mb="md"
          value={wanted}
          onChange={setState}
          aria-label={t('list.state')}
          data={[
            { value: '', label: t('list.all') },
            { value: 'running', label: t('deployment.running') },
            { value: 'ended', label: t('deployment.ended') },
          ]}
        />
      )}
      <ListPanel list={list}>
        {isEmpty ? (
          <Empty icon={<IconRocket />} title={t('deployments.empty')} action={install}>
            {t('deployments.empty-text')}
          </Empty>
        ) : list.data?.count === 0 ? (
          <Empty icon={<IconRocket />} title={t('list.none')}>
            {t('list.none-text')}
          </Empty>
        ) : (
          <Stack gap="xl" p="var(--pad)">
            {list.data?.items.map((deployment) => <DeploymentRow key={deployment.id} deployment={deployment} apps={apps.data} />)}
          </Stack>
        )}
        {list.data !== undefined && list.data.count > 0 && <Pages count={list.data.count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
      </ListPanel>
    </>
  );
}
