import { Stack, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { api, ok, type Shape } from '../../api/client';
import { Choice, Panel, say } from '../../components/parts';
import { Problem } from '../../components/states';
import { useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { useProject } from '../../session';

/** Whether whoever logs in at a single-user desktop without a user becomes its user. */
export function LoggedInUsers() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const params = { path: { project_id } };
  const kept = useQuery({ queryKey: ['logged-in-users', project_id], queryFn: () => ok(api.GET('/api/v1/{project_id}/logged-in-users', { params })) });
  const save = useMutation({
    mutationFn: (mode: Shape<'LoggedInUsersMode'>) => ok(api.PUT('/api/v1/{project_id}/logged-in-users', { params, body: { mode } })),
    onSuccess: () => {
      say(t('app.saved'));
      return refresh('logged-in-users');
    },
  });
  return (
    <Panel title={t('logged-in.title')}>
      {(kept.error ?? save.error) !== null && <Problem error={(kept.error ?? save.error) as Error} />}
      <Stack>
        <Text size="sm" c="dimmed">
          {t('logged-in.text')}
        </Text>
        <div>
          <Choice
            aria-label={t('logged-in.title')}
            value={kept.data?.mode ?? 'ignore'}
            disabled={kept.data === undefined || save.isPending}
            onChange={(value) => save.mutate(value as Shape<'LoggedInUsersMode'>)}
            data={[
              { value: 'ignore', label: t('logged-in.ignore') },
              { value: 'known', label: t('logged-in.known') },
              { value: 'any', label: t('logged-in.any') },
            ]}
          />
        </div>
      </Stack>
    </Panel>
  );
}
