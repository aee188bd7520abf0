import { Alert, Autocomplete, Button, Checkbox, Group, Select, SimpleGrid, Stack, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { IconBan, IconCircleCheck } from '@tabler/icons-react';
import { useState } from 'react';
import { useSearchParams } from 'react-router';
import { api, ok, type Shape } from '../../api/client';
import { Panel } from '../../components/parts';
import { Problem } from '../../components/states';
import { useTexts, type Write } from '../../i18n';
import { useProject } from '../../session';
import { useIamUsers } from './data';
import { StatementView } from './Policies';

/** Actions that people ask about most; any other may be typed. */
const ACTIONS = [
  'workspace:appcenter:batchInstallApps',
  'workspace:appcenter:createApp',
  'workspace:appcenter:deleteApp',
  'workspace:appcenter:listApps',
  'workspace:appcenter:retryJobs',
  'workspace:desktops:batchInstallAgent',
  'workspace:users:create',
  'outfitter:deployments:uninstall',
  'outfitter:iamPolicies:attach',
  'outfitter:audit:list',
];

/** Which statement decided. */
function because(t: Write, { policy, through_group, statement_number }: Shape<'ExplainIamResponse'>): string {
  if (policy === undefined || statement_number === undefined) return t('explain.by-none');
  if (through_group === undefined) return t('explain.by', { policy, n: statement_number });
  return t('explain.by-group', { policy, n: statement_number, group: through_group });
}

/** Asks the server what it would answer somebody, and which statement says so. The question lives in the address. */
export function Explain() {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const users = useIamUsers();
  const [search, setSearch] = useSearchParams();
  const [user, setUser] = useState(search.get('who'));
  const [action, setAction] = useState(search.get('action') ?? '');
  const [resource, setResource] = useState(search.get('resource') ?? '');
  const [address, setAddress] = useState(search.get('address') ?? '');
  const [widens, setWidens] = useState(search.get('widens') === '1');
  const asked = { user: search.get('who') ?? '', action: search.get('action') ?? '' };
  const answer = useQuery({
    queryKey: ['explain', project_id, search.toString()],
    enabled: asked.user !== '' && asked.action !== '',
    retry: false,
    queryFn: () => {
      const on = search.get('resource') ?? '';
      const from = search.get('address') ?? '';
      return ok(
        api.GET('/api/v1/{project_id}/iam/explain', {
          params: {
            path: { project_id },
            query: {
              ...asked,
              ...(on === '' ? {} : { resource: on }),
              ...(from === '' ? {} : { source_ip: from }),
              ...(search.get('widens') === '1' ? { widens_authorization: true } : {}),
            },
          },
        }),
      );
    },
  });
  return (
    <Panel title={t('explain.title')}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          setSearch(
            {
              tab: 'explain',
              who: user ?? '',
              action,
              ...(resource === '' ? {} : { resource }),
              ...(address === '' ? {} : { address }),
              ...(widens ? { widens: '1' } : {}),
            },
            { replace: true },
          );
        }}
      >
        <Stack>
          <Text size="sm" c="dimmed">
            {t('explain.text')}
          </Text>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <Select
              label={t('access.user')}
              required
              searchable
              data={users.data?.items.map((candidate) => ({ value: candidate.name, label: candidate.name })) ?? []}
              value={user}
              onChange={setUser}
            />
            <Autocomplete label={t('explain.action')} description={t('explain.action-hint')} inputWrapperOrder={['label', 'input', 'description']} required data={ACTIONS} value={action} onChange={setAction} />
            <TextInput label={t('explain.resource')} placeholder="app:…" value={resource} onChange={(event) => setResource(event.currentTarget.value)} />
            <TextInput label={t('explain.address')} placeholder="192.0.2.7" value={address} onChange={(event) => setAddress(event.currentTarget.value)} />
          </SimpleGrid>
          <Checkbox label={t('explain.widens')} checked={widens} onChange={(event) => setWidens(event.currentTarget.checked)} />
          <Group>
            <Button type="submit" disabled={user === null || action.trim() === ''} loading={answer.isFetching}>
              {t('explain.ask')}
            </Button>
          </Group>
        </Stack>
      </form>
      {answer.error !== null && <Problem error={answer.error} />}
      {answer.data !== undefined && (
        <Alert
          role="status"
          mt="lg"
          variant="outline"
          color={answer.data.allowed ? 'green' : 'red'}
          icon={answer.data.allowed ? <IconCircleCheck color="var(--ok)" /> : <IconBan color="var(--bad)" />}
          title={answer.data.allowed ? t('explain.allowed') : t('explain.refused')}
        >
          <Stack gap="xs">
            <Text size="sm">{because(t, answer.data)}</Text>
            {answer.data.statement !== undefined && <StatementView statement={answer.data.statement} />}
          </Stack>
        </Alert>
      )}
    </Panel>
  );
}
