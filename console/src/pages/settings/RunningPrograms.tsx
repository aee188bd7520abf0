import { Button, Group, NumberInput, Stack, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api, ok, type Shape } from '../../api/client';
import { Choice, Panel, say } from '../../components/parts';
import { Problem } from '../../components/states';
import { useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { useProject } from '../../session';

/** How long a user who is asked may have, in minutes. Source: SetRunningProgramsReq, in seconds. */
const LEAST_MINUTES = 1;
const MOST_MINUTES = 120;

/** What is done where a program of the app runs at the moment of an install or uninstall. */
export function RunningPrograms() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const params = { path: { project_id } };
  const kept = useQuery({ queryKey: ['running-programs', project_id], queryFn: () => ok(api.GET('/api/v1/{project_id}/running-programs', { params })) });
  const [mode, setMode] = useState<Shape<'RunningProgramsMode'>>('ask');
  const [minutes, setMinutes] = useState<number | string>(10);
  const stored = kept.data;
  useEffect(() => {
    if (stored === undefined) return;
    setMode(stored.mode);
    setMinutes(Math.round(stored.wait_seconds / 60));
  }, [stored]);
  const save = useMutation({
    mutationFn: () =>
      ok(api.PUT('/api/v1/{project_id}/running-programs', { params, body: { mode, ...(mode === 'ask' ? { wait_seconds: Number(minutes) * 60 } : {}) } })),
    onSuccess: () => {
      say(t('app.saved'));
      return refresh('running-programs');
    },
  });
  return (
    <Panel title={t('programs.title')}>
      {kept.error !== null && <Problem error={kept.error} />}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <Text size="sm" c="dimmed">
            {t('programs.text')}
          </Text>
          <div>
            <Choice
              aria-label={t('programs.title')}
              value={mode}
              disabled={stored === undefined}
              onChange={(value) => setMode(value as typeof mode)}
              data={[
                { value: 'ask', label: t('programs.ask') },
                { value: 'stop', label: t('programs.stop') },
              ]}
            />
          </div>
          {mode === 'ask' ? (
            <NumberInput
              label={t('programs.minutes')}
              min={LEAST_MINUTES}
              max={MOST_MINUTES}
              allowDecimal={false}
              required
              maw={320}
              value={minutes}
              onChange={setMinutes}
            />
          ) : (
            <Text size="sm">{t('programs.stop-text')}</Text>
          )}
          {save.error !== null && <Problem error={save.error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={save.isPending} disabled={stored === undefined || (mode === 'ask' && minutes === '')}>
              {t('action.save')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Panel>
  );
}
