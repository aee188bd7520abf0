import { Table, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, ok } from '../../api/client';
import { bytes, Facts, ListTable, Pages, Panel, When } from '../../components/parts';
import { Problem } from '../../components/states';
import { offsetOf, PAGE_SIZE, QUIET_MS } from '../../data';
import { useTexts } from '../../i18n';
import { useProject } from '../../session';

/** What the desktop is and what is installed there, as its agent told last. */
export function Inventory({ desktopId }: { desktopId: string }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const [typed, setTyped] = useState('');
  const [name] = useDebouncedValue(typed.trim(), 300);
  const [page, setPage] = useState(1);
  const path = { project_id, desktop_id: desktopId };
  const inventory = useQuery({
    queryKey: ['desktops', project_id, 'inventory', desktopId],
    refetchInterval: QUIET_MS,
    queryFn: () => ok(api.GET('/api/v1/{project_id}/desktops/{desktop_id}/inventory', { params: { path } })),
  });
  const query = { offset: offsetOf(page), limit: PAGE_SIZE, ...(name === '' ? {} : { name }) };
  const software = useQuery({
    queryKey: ['desktops', project_id, 'software', desktopId, query],
    queryFn: () => ok(api.GET('/api/v1/{project_id}/desktops/{desktop_id}/software', { params: { path, query } })),
    placeholderData: (before) => before,
  });
  const facts = inventory.data?.facts;
  const rows: [string, string | undefined][] =
    facts === undefined
      ? []
      : [
          [t('inventory.system'), facts.os_name],
          [t('inventory.kernel'), facts.kernel],
          [t('inventory.architecture'), facts.architecture],
          [t('inventory.machine'), [facts.vendor, facts.model].filter(Boolean).join(' ')],
          [t('inventory.hardware'), [facts.processors === undefined ? '' : t('inventory.processors', { n: facts.processors }), facts.memory_bytes === undefined ? '' : bytes(facts.memory_bytes)].filter(Boolean).join(', ')],
          [t('inventory.addresses'), facts.addresses.map((it) => it.address).join(', ')],
          [t('inventory.logged-in'), facts.users.join(', ')],
          [t('inventory.disks'), facts.disks.map((disk) => t('inventory.free', { free: bytes(disk.free_bytes), all: bytes(disk.total_bytes), path: disk.path })).join(', ')],
          [t('inventory.pending'), facts.reboot_pending === undefined ? undefined : t(facts.reboot_pending ? 'desktop.restart-needed' : 'desktop.restart-no')],
        ];
  return (
    <Panel title={t('inventory.title')}>
      {inventory.error !== null && <Problem error={inventory.error} />}
      {inventory.data !== undefined && inventory.data.facts_at === undefined && (
        <Text size="sm" c="dimmed">
          {t('inventory.untold')}
        </Text>
      )}
      {inventory.data?.facts_at !== undefined && (
        <>
          <Facts rows={rows} cols={{ base: 2, md: 3 }} />
          <Text size="xs" c="dimmed" mt="md">
            {t('inventory.changed')} <When at={inventory.data.facts_at} />
          </Text>
        </>
      )}
      <TextInput
        mt="lg"
        maw={360}
        label={t('inventory.software')}
        placeholder={t('inventory.search')}
        maxLength={128}
        value={typed}
        onChange={(event) => {
          setTyped(event.currentTarget.value);
          setPage(1);
        }}
      />
      {software.error !== null && <Problem error={software.error} />}
      {software.data?.items.length === 0 && (
        <Text size="sm" c="dimmed" mt="sm">
          {t(typed === '' ? 'inventory.nothing' : 'inventory.none-found')}
        </Text>
      )}
      {software.data !== undefined && software.data.items.length > 0 && (
        <ListTable label={t('inventory.software')} head={[t('inventory.name'), t('inventory.version'), t('inventory.source')]}>
          {software.data.items.map((it) => (
            <Table.Tr key={`${it.source} ${it.name} ${it.version}`}>
              <Table.Td>{it.name}</Table.Td>
              <Table.Td>{it.version}</Table.Td>
              <Table.Td>{it.source}</Table.Td>
            </Table.Tr>
          ))}
        </ListTable>
      )}
      {software.data !== undefined && (software.data.count > PAGE_SIZE || page > 1) && <Pages count={software.data.count} size={PAGE_SIZE} page={page} settled={!software.isPlaceholderData} onPage={setPage} />}
    </Panel>
  );
}
