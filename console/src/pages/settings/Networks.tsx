import { Button, Code, Group, Stack, Table, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconPencil, IconPlus, IconTrash } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import { useLocation } from 'react-router';
import { api, ok, type Shape } from '../../api/client';
import { ConfirmByName, FormDialog, ListTable, Panel, Pill, say } from '../../components/parts';
import { reachDraft, ReachForm, wireReach } from '../../components/ReachForm';
import { Problem } from '../../components/states';
import { useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { useProject } from '../../session';

type Network = Shape<'NetworkReach'>;

/** How the desktops of whole networks are reached when an agent is pushed onto them. */
export function Networks() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const [editing, setEditing] = useState<Network | 'new'>();
  const [deleting, setDeleting] = useState<Network>();
  const place = useRef<HTMLDivElement>(null);
  const { hash } = useLocation();
  useEffect(() => {
    if (hash === '#networks') place.current?.scrollIntoView();
  }, [hash]);
  const list = useQuery({
    queryKey: ['networks', project_id],
    queryFn: () => ok(api.GET('/api/v1/{project_id}/network-reaches', { params: { path: { project_id } } })),
  });
  return (
    <div id="networks" ref={place}>
      <Panel
        title={t('networks.title')}
        action={
          <Button size="xs" variant="default" leftSection={<IconPlus size={14} />} onClick={() => setEditing('new')}>
            {t('networks.add')}
          </Button>
        }
      >
        <Stack>
          <Text size="sm" c="dimmed">
            {t('networks.text')}
          </Text>
          {list.error !== null && <Problem error={list.error} />}
          {(list.data?.items.length ?? 0) > 0 && (
            <ListTable label={t('networks.title')} head={[t('networks.network'), t('reach.user'), t('reach.port'), t('reach.login'), { hidden: t('action.edit') }]}>
              {list.data?.items.map((network) => (
                <Table.Tr key={network.id}>
                  <Table.Td>
                    <Code>{network.network}</Code>
                  </Table.Td>
                  <Table.Td>{network.user ?? '–'}</Table.Td>
                  <Table.Td>{network.port ?? 22}</Table.Td>
                  <Table.Td>{network.has_login ? <Pill tone="ok">{t('reach.stored')}</Pill> : <Pill tone="care">{t('reach.no-login')}</Pill>}</Table.Td>
                  <Table.Td>
                    <Group gap="xs" justify="flex-end" wrap="nowrap">
                      <Button size="xs" variant="default" leftSection={<IconPencil size={14} />} aria-label={t('app.edit-title', { name: network.network })} onClick={() => setEditing(network)}>
                        {t('action.edit')}
                      </Button>
                      <Button size="xs" variant="default" leftSection={<IconTrash size={14} />} aria-label={t('action.delete-this', { name: network.network })} onClick={() => setDeleting(network)}>
                        {t('action.delete')}
                      </Button>
                    </Group>
                  </Table.Td>
                </Table.Tr>
              ))}
            </ListTable>
          )}
        </Stack>
        <Edit network={editing} onClose={() => setEditing(undefined)} />
        <ConfirmByName
          name={deleting?.network ?? ''}
          title={t('app.delete-title', { name: deleting?.network ?? '' })}
          effect={t('networks.delete-effect')}
          action={t('action.delete')}
          opened={deleting !== undefined}
          onClose={() => setDeleting(undefined)}
          onConfirm={async () => {
            await ok(api.DELETE('/api/v1/{project_id}/network-reaches/{network_reach_id}', { params: { path: { project_id, network_reach_id: deleting?.id ?? '' } } }));
            await refresh('networks');
          }}
        />
      </Panel>
    </div>
  );
}

function Edit({ network, onClose }: { network: Network | 'new' | undefined; onClose: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const old = network === 'new' ? undefined : network;
  const [range, setRange] = useState('');
  const [draft, setDraft] = useState(reachDraft());
  useEffect(() => {
    if (network === undefined) return;
    setRange(old?.network ?? '');
    setDraft(reachDraft(old));
  }, [network, old]);
  const save = useMutation({
    mutationFn: () =>
      ok(api.PUT('/api/v1/{project_id}/network-reaches', { params: { path: { project_id } }, body: { network: range.trim(), reach: wireReach(draft) } })),
    onSuccess: () => {
      say(t('app.saved'));
      onClose();
      return refresh('networks');
    },
  });
  return (
    <FormDialog
      title={old === undefined ? t('networks.add') : t('app.edit-title', { name: old.network })}
      opened={network !== undefined}
      onClose={onClose}
      size="lg"
      submit={t('action.save')}
      save={save}
    >
      <TextInput data-autofocus label={t('networks.network')} description={t('networks.network-hint')} placeholder="192.0.2.0/24" required disabled={old !== undefined} value={range} onChange={(event) => setRange(event.currentTarget.value)} />
      <ReachForm draft={draft} onChange={setDraft} of="network" hasLogin={old?.has_login ?? false} />
    </FormDialog>
  );
}
