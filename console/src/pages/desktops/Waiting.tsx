import { Anchor, Button, Group, Table, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../../api/client';
import { ListTable, say, When } from '../../components/parts';
import { Problem } from '../../components/states';
import { QUIET_MS, useRefresh, useWaitingEnrollments } from '../../data';
import { useTexts } from '../../i18n';
import { usePath, useProject } from '../../session';

/** Machines shown at once; the next ones come when these are decided. */
const SHOWN = 25;

/** Machines that ask to come in, with one token or with any: those to decide about, and those approved whose agents have yet to ask again. */
export function useAsking(tokenId?: string) {
  const { id: project_id } = useProject();
  const waiting = useWaitingEnrollments(SHOWN).data;
  const { data: approved } = useQuery({
    queryKey: ['enrollment-requests', project_id, 'APPROVED'],
    refetchInterval: QUIET_MS,
    queryFn: () =>
      ok(api.GET('/api/v1/{project_id}/enrollment-requests', { params: { path: { project_id }, query: { state: 'APPROVED', offset: 0, limit: SHOWN } } })),
  });
  const of = (list: Shape<'ListEnrollmentRequestsResponse'> | undefined) => {
    if (list === undefined) return { items: [], count: 0 };
    if (tokenId === undefined) return list;
    const items = list.items.filter((request) => request.token_id === tokenId);
    return { items, count: items.length };
  };
  return { waiting: of(waiting), approved: of(approved) };
}

/** Machines whose token demands approval, or those of one token: let in or refused here. Nothing where none asks. */
export function Waiting({ tokenId }: { tokenId?: string }) {
  const { t } = useTexts();
  const path = usePath();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const {
    waiting: { items, count },
    approved,
  } = useAsking(tokenId);
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
  if (items.length === 0 && approved.count === 0) return null;
  const coming = t('waiting.coming', { n: approved.count });
  return (
    <section
      className="panel"
      aria-label={items.length === 0 ? coming : t('waiting.title')}
      style={tokenId === undefined ? { marginBottom: 'var(--mantine-spacing-lg)' } : undefined}
    >
      {items.length > 0 && (
        <Group justify="space-between" px={20} pt={16} pb={8} wrap="nowrap">
          <div>
            <Text component="h2" fw={650} m={0}>
              {t('list.brackets', { what: t('waiting.title'), more: count })}
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
      )}
      {decide.error !== null && <Problem error={decide.error} />}
      {items.length > 0 && (
        <ListTable
          label={t('waiting.title')}
          head={[t('job.desktop'), t('waiting.machine'), t('waiting.address'), ...(tokenId === undefined ? [t('waiting.token')] : []), t('waiting.asked'), { hidden: t('waiting.decide') }]}
        >
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
              {tokenId === undefined && <Table.Td>{request.token_name}</Table.Td>}
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
      )}
      {approved.count > 0 && (
        <div style={{ padding: '12px 20px 16px' }}>
          <Text size="sm">
            {t('list.colon', { what: coming, more: approved.items.map((request) => request.name).join(t('list.comma')) })}
            {approved.count > approved.items.length && t('deployment.more', { n: approved.count - approved.items.length })}
          </Text>
          <Text size="sm" c="dimmed">
            {t('waiting.coming-text')}
          </Text>
        </div>
      )}
    </section>
  );
}
