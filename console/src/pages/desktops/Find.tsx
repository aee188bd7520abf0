import { Anchor, Checkbox, Group, Table, Text } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { IconDeviceDesktopSearch } from '@tabler/icons-react';
import { Link } from 'react-router';
import { api, ok } from '../../api/client';
import { useInAddress, usePage } from '../../address';
import { bytes, ListPanel, ListTable, Pages, Pill, SearchBox, When } from '../../components/parts';
import { Empty } from '../../components/states';
import { given, offsetOf, PAGE_SIZE, QUIET_MS } from '../../data';
import { useTexts } from '../../i18n';
import { usePath, useProject } from '../../session';

/** Programs that are named for one desktop. */
const NAMED = 3;

/** Finds desktops by what is installed there, their system, and who is logged in. */
export function Find() {
  const { t } = useTexts();
  const path = usePath();
  const { id: project_id } = useProject();
  const [software] = useInAddress('software');
  const [version] = useInAddress('version');
  const [os] = useInAddress('system');
  const [user] = useInAddress('user');
  const [pending, setPending] = useInAddress('pending');
  const [page, setPage] = usePage();
  // A version without its program is refused.
  const filter = given({ software, os, user, ...(software === '' ? {} : { version }), ...(pending === '1' ? { reboot_pending: true } : {}) });
  const list = useQuery({
    queryKey: ['desktops', project_id, 'find', filter, page],
    refetchInterval: QUIET_MS,
    placeholderData: keepPreviousData,
    queryFn: () =>
      ok(api.GET('/api/v1/{project_id}/inventory', { params: { path: { project_id }, query: { ...filter, limit: PAGE_SIZE, offset: offsetOf(page) } } })),
  });
  return (
    <>
      <Group gap="sm" mb="md">
        <SearchBox label={t('find.software')} name="software" />
        {software !== '' && <SearchBox label={t('find.version')} name="version" />}
        <SearchBox label={t('find.system')} name="system" />
        <SearchBox label={t('find.user')} name="user" />
        <Checkbox label={t('desktop.restart-needed')} checked={pending === '1'} onChange={(event) => setPending(event.currentTarget.checked ? '1' : '')} />
      </Group>
      <ListPanel list={list}>
        {list.data?.count === 0 ? (
          <Empty icon={<IconDeviceDesktopSearch />} title={t('list.none')}>
            {t('find.none-text')}
          </Empty>
        ) : (
          <ListTable label={t('inventory.title')} head={[t('job.desktop'), t('app.system'), t('find.has'), t('inventory.logged-in'), t('find.room'), t('inventory.changed')]}>
            {list.data?.items.map((found) => (
              <Table.Tr key={found.desktop_id}>
                <Table.Td>
                  <Anchor component={Link} to={path(`desktops/${found.desktop_id}`)} size="sm" fw={600}>
                    {found.desktop_name}
                  </Anchor>
                </Table.Td>
                <Table.Td>
                  {found.os_name ?? '–'}
                  {found.reboot_pending === true && <Pill tone="care">{t('desktop.restart-needed')}</Pill>}
                </Table.Td>
                <Table.Td>
                  <Text size="sm">
                    {found.software
                      .slice(0, NAMED)
                      .map((it) => `${it.name} ${it.version}`)
                      .join(', ') || '–'}
                    {found.software.length > NAMED && t('deployment.more', { n: found.software.length - NAMED })}
                  </Text>
                </Table.Td>
                <Table.Td>{found.users.join(', ') || '–'}</Table.Td>
                <Table.Td>{found.disk_free_bytes === undefined ? '–' : bytes(found.disk_free_bytes)}</Table.Td>
                <Table.Td>
                  <When at={found.told_at} />
                </Table.Td>
              </Table.Tr>
            ))}
          </ListTable>
        )}
        {list.data !== undefined && list.data.count > 0 && <Pages count={list.data.count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
      </ListPanel>
    </>
  );
}
