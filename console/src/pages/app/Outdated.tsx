import { Anchor, Button, Checkbox, Group, Table, Text } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { IconCircleCheck, IconRefresh } from '@tabler/icons-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, ok } from '../../api/client';
import { usePage } from '../../address';
import { ChooseAll } from '../../components/ChooseAll';
import { ListTable, Pages, Panel, When } from '../../components/parts';
import { Problem } from '../../components/states';
import { offsetOf, QUIET_MS } from '../../data';
import { useTexts } from '../../i18n';
import { usePath, useProject } from '../../session';

/** Desktops in one page: as many as one call installs on. Source: CreateDeploymentReq. */
const PAGE_SIZE = 100;

/** Desktops that have an older revision than the newest, and the way to update them. */
export function Outdated({ appId }: { appId: string }) {
  const { t } = useTexts();
  const path = usePath();
  const { id: project_id } = useProject();
  const [page, setPage] = usePage();
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const list = useQuery({
    queryKey: ['jobs', project_id, 'outdated', appId, page],
    refetchInterval: QUIET_MS,
    placeholderData: keepPreviousData,
    queryFn: () =>
      ok(
        api.GET('/api/v1/{project_id}/apps/{app_id}/outdated-desktops', {
          params: { path: { project_id, app_id: appId }, query: { limit: PAGE_SIZE, offset: offsetOf(page, PAGE_SIZE) } },
        }),
      ),
  });
  const items = list.data?.items ?? [];
  const chosen = items.filter((desktop) => !left.has(desktop.desktop_id));
  return (
    <Panel
      title={t('outdated.title')}
      action={
        chosen.length > 0 ? (
          <Button
            size="xs"
            component={Link}
            to={path(`install?app=${appId}&${chosen.map((desktop) => `desktop=${desktop.desktop_id}`).join('&')}`)}
            leftSection={<IconRefresh size={14} />}
          >
            {t('outdated.update', { n: chosen.length })}
          </Button>
        ) : undefined
      }
    >
      {list.error !== null && <Problem error={list.error} />}
      {list.data?.count === 0 && (
        <Group gap="xs">
          <IconCircleCheck size={20} color="var(--ok)" aria-hidden />
          <Text size="sm">{t('outdated.none')}</Text>
        </Group>
      )}
      {items.length > 0 && (
        <>
          <Group mb="xs">
            <ChooseAll
              label={t('agents.choose-page')}
              chosen={chosen.length}
              of={items.length}
              onChange={(all) => setLeft(new Set(all ? [] : items.map((desktop) => desktop.desktop_id)))}
            />
          </Group>
          <ListTable label={t('outdated.title')} head={[{ hidden: t('desktop.choose') }, t('job.desktop'), t('outdated.has'), t('outdated.since')]}>
            {items.map((desktop) => (
              <Table.Tr key={desktop.desktop_id}>
                <Table.Td w={40}>
                  <Checkbox
                    aria-label={t('desktop.choose-this', { name: desktop.desktop_name })}
                    checked={!left.has(desktop.desktop_id)}
                    onChange={(event) => {
                      const next = new Set(left);
                      if (event.currentTarget.checked) next.delete(desktop.desktop_id);
                      else next.add(desktop.desktop_id);
                      setLeft(next);
                    }}
                  />
                </Table.Td>
                <Table.Td>
                  <Anchor component={Link} to={path(`desktops/${desktop.desktop_id}`)} size="sm" fw={600}>
                    {desktop.desktop_name}
                  </Anchor>
                </Table.Td>
                <Table.Td>{desktop.app_version}</Table.Td>
                <Table.Td>
                  <When at={desktop.installed_at} />
                </Table.Td>
              </Table.Tr>
            ))}
          </ListTable>
          {list.data !== undefined && (list.data.count > PAGE_SIZE || page > 1) && <Pages count={list.data.count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
        </>
      )}
    </Panel>
  );
}
