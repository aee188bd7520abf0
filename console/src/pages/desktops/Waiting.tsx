import { Anchor, Button, Group, Table, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { Link } from 'react-router';
import { api, ok } from '../../api/client';
import { ListTable, say, When } from '../../components/parts';
import { Problem } from '../../components/states';
import { useRefresh, useWaitingEnrollments } from '../../data';
import { useTexts } from '../../i18n';
import { usePath, useProject } from '../../session';

/** Machines shown at once; the next ones come when these are decided. */
const SHOWN = 25;

/** Machines whose token demands approval: let in or refused here. Nothing where none waits. */
export function Waiting() {
  const { t } = useTexts();
  const path = usePath();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const list = useWaitingEnrollments(SHOWN);
  const decide = useMutation({
    mutationFn: async ({ items, approve }: { items: string[]; approve: boolean }) => {
      const call = { params: { path: { project_id } }, body: { items } };
      if (approve) await ok(api.POST('/api/v1/{project_id}/enrollment-requests/actions/approve', call));
      else await ok(api.POST('/api/v1/{project_id}/enrollment-requests/actions/refuse', call));
    },
    onSuccess: (_, { approve }) => say(t(approve ? 'waiting.approved' : 'waiting.refused')),
    // Somebody else may have decided.
    onSettled: () => refresh('enrollment-requests', 'desktops'),
  });
  const items = list.data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <section className="panel" aria-label={t('waiting.title')} style={{ marginBottom: 'var(--mantine-spacing-lg)' }}>
      <Group justify="space-between" px={20} pt={16} pb={8} wrap="nowrap">
        <div>
          <Text component="h2" fw={650} m={0}>
            {t('list.brackets', { what: t('waiting.title'), more: list.data?.count ?? 0 })}
          </Text>
          <Text size="sm" c="dimmed">
            {t('waiting.text')}
          </Text>
        </div>
        {items.length > 1 && (
          <Button
            size="xs"
            variant="default"
            style={{ flex: 'none' }}
            loading={decide.isPending}
            onClick={() => decide.mutate({ items: items.map((request) => request.id), approve: true })}
          >
            {t('waiting.approve-shown', { n: items.length })}
          </Button>
        )}
      </Group>
      {decide.error !== null && <Problem error={decide.error} />}
      <ListTable label={t('waiting.title')} head={[t('job.desktop'), t('waiting.machine'), t('waiting.address'), t('waiting.token'), t('waiting.asked'), { hidden: t('waiting.decide') }]}>
        {items.map((request) => (
          <Table.Tr key={request.id}>
            <Table.Td>
              <Text size="sm" fw={600}>
                {request.name}
              </Text>
              {request.copy_of !== undefined && (
                <Anchor component={Link} to={path(`desktops/${request.copy_of.desktop_id}`)} size="xs" c="var(--care)">
                  {t('waiting.copy-of', { name: request.copy_of.desktop_name })}
                </Anchor>
              )}
              {request.user !== undefined && (
                <Text size="xs" c="dimmed">
                  {request.user}
                </Text>
              )}
            </Table.Td>
            <Table.Td>
              <Text size="sm">
                {request.os} {request.arch}
              </Text>
              <Text size="xs" c="dimmed" title={request.machine_id}>
                {request.machine_id.slice(0, 12)} · {request.agent_version}
              </Text>
            </Table.Td>
            <Table.Td>{request.address}</Table.Td>
            <Table.Td>{request.token_name}</Table.Td>
            <Table.Td>
              <When at={request.asked_at} />
            </Table.Td>
            <Table.Td>
              <Group gap="xs" justify="flex-end" wrap="nowrap">
                <Button
                  size="xs"
                  aria-label={t('waiting.approve-this', { name: request.name })}
                  loading={decide.isPending}
                  onClick={() => decide.mutate({ items: [request.id], approve: true })}
                >
                  {t('waiting.approve')}
                </Button>
                <Button
                  size="xs"
                  variant="default"
                  aria-label={t('waiting.refuse-this', { name: request.name })}
                  loading={decide.isPending}
                  onClick={() => decide.mutate({ items: [request.id], approve: false })}
                >
                  {t('waiting.refuse')}
                </Button>
              </Group>
            </Table.Td>
          </Table.Tr>
        ))}
      </ListTable>
    </section>
  );
}
