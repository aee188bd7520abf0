import { Button, Group, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { IconAlertTriangle, IconCircleCheck, IconDatabase } from '@tabler/icons-react';
import { api, ok } from '../../api/client';
import { Panel } from '../../components/parts';
import { Problem } from '../../components/states';
import { useTexts, wordOf } from '../../i18n';

/** Whether the package store works, from writing to what a desktop fetches. */
export function Store() {
  const { t } = useTexts();
  const test = useMutation({ mutationFn: () => ok(api.POST('/api/v1/store/test')) });
  const found = test.data;
  return (
    <Panel
      title={t('store.title')}
      action={
        <Button size="xs" variant="default" leftSection={<IconDatabase size={16} />} loading={test.isPending} onClick={() => test.mutate()}>
          {t('store.test')}
        </Button>
      }
    >
      <Stack>
        <Text size="sm" c="dimmed">
          {t('store.text')}
        </Text>
        {test.error !== null && <Problem error={test.error} />}
        {found !== undefined && (
          <Stack gap="xs" role="status">
            <Text size="sm" fw={600} style={{ overflowWrap: 'anywhere' }}>
              {t(found.ok ? 'store.works' : 'store.fails', { place: found.place })}
            </Text>
            {found.steps.map(({ step, ok, detail }, at) => (
              <Group key={`${step} ${at}`} gap="xs" wrap="nowrap" align="flex-start">
                {ok ? <IconCircleCheck size={18} color="var(--ok)" aria-label={t('store.well')} /> : <IconAlertTriangle size={18} color="var(--bad)" aria-label={t('store.wrong')} />}
                <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
                  <strong>{wordOf(t, 'store.step', step)}</strong> · {detail}
                </Text>
              </Group>
            ))}
          </Stack>
        )}
      </Stack>
    </Panel>
  );
}
