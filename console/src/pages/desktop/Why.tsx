import { Alert, Button, Group, Select, Text, Timeline } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { IconBan, IconCheck, IconDownload, IconInfoSmall } from '@tabler/icons-react';
import { Link } from 'react-router';
import { api, ok } from '../../api/client';
import { useInAddress } from '../../address';
import { Panel, When } from '../../components/parts';
import { Problem } from '../../components/states';
import { useAllApps } from '../../data';
import { useTexts, wordOf } from '../../i18n';
import { usePath, useProject } from '../../session';
import { WithCode } from '../../components/WithCode';

/** Why the desktop has an app or has it not, step by step. The app is in the address. */
export function Why({ desktopId }: { desktopId: string }) {
  const { t, language } = useTexts();
  const path = usePath();
  const { id: project_id } = useProject();
  const apps = useAllApps();
  const [app, setApp] = useInAddress('why');
  const why = useQuery({
    queryKey: ['jobs', project_id, 'why', desktopId, app, language],
    enabled: app !== '',
    queryFn: () => ok(api.GET('/api/v1/{project_id}/why', { params: { path: { project_id }, query: { app, desktop: desktopId, language } } })),
  });
  return (
    <Panel title={t('why.title')}>
      <Text size="sm" c="dimmed" mb="sm">
        {t('why.text')}
      </Text>
      <Select
        label={t('why.app')}
        placeholder={t('why.choose')}
        searchable
        clearable
        clearButtonProps={{ 'aria-label': t('action.clear') }}
        maw={360}
        data={apps.data?.map((candidate) => ({ value: candidate.id, label: `${candidate.name} ${candidate.version}` })) ?? []}
        value={app === '' ? null : app}
        onChange={(value) => setApp(value ?? '')}
      />
      {why.error !== null && <Problem error={why.error} />}
      {app !== '' && why.data !== undefined && (
        <div role="status">
          <Alert variant="outline" mt="md" title={<WithCode text={why.data.answer} />} />
          <Timeline bulletSize={22} lineWidth={2} mt="lg" active={why.data.steps.length}>
            {why.data.steps.map((step, index) => (
              <Timeline.Item
                key={index}
                color={step.result === 'fine' ? 'green.8' : step.result === 'blocks' ? 'red.8' : 'gray.7'}
                bullet={step.result === 'fine' ? <IconCheck size={14} /> : step.result === 'blocks' ? <IconBan size={14} /> : <IconInfoSmall size={24} />}
                title={
                  <Group gap="xs">
                    <Text size="sm" fw={600} component="span">
                      {wordOf(t, 'why.step', step.step)}
                    </Text>
                    <Text size="xs" c="dimmed" component="span">
                      {step.at !== undefined && <When at={step.at} />}
                    </Text>
                  </Group>
                }
              >
                <Text size="sm">
                  <WithCode text={step.text} />
                </Text>
                {step.hint !== undefined && (
                  <Text size="sm" c="dimmed">
                    <WithCode text={step.hint} />
                  </Text>
                )}
                {/* What these two advise is to install it. */}
                {step.hint !== undefined && (step.step === 'deployment' || step.step === 'installed') && (
                  <Button component={Link} to={path(`install?app=${app}&desktop=${desktopId}`)} size="xs" variant="default" mt={6} leftSection={<IconDownload size={14} />}>
                    {t('desktop.install-here')}
                  </Button>
                )}
              </Timeline.Item>
            ))}
          </Timeline>
        </div>
      )}
    </Panel>
  );
}
