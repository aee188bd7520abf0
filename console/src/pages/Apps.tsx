import { Anchor, Badge, Button, Group, SegmentedControl, SimpleGrid, Skeleton, Table, Text } from '@mantine/core';
import { IconApps, IconDownload, IconLayoutGrid, IconList, IconUpload } from '@tabler/icons-react';
import { Link } from 'react-router';
import { useInAddress } from '../address';
import { AppIcon, ListTable, PageHead, Pill, SearchBox, When } from '../components/parts';
import { Empty, Problem } from '../components/states';
import { useAllApps, useCatalogs } from '../data';
import { useTexts, type TextKey } from '../i18n';
import { usePath } from '../session';
import type { Shape } from '../api/client';

export const FOLD = (text: string) => text.normalize('NFKC').toLocaleLowerCase();

export const INSTALL_TYPE: Record<Shape<'InstallType'>, TextKey> = {
  QUIET_INSTALL: 'app.type.QUIET_INSTALL',
  UNZIP_INSTALL: 'app.type.UNZIP_INSTALL',
  GUI_INSTALL: 'app.type.GUI_INSTALL',
};

export const SYSTEM: Record<Shape<'OsTypeEnum'>, TextKey> = {
  Linux: 'app.system.Linux',
  Windows: 'app.system.Windows',
  Other: 'app.system.Other',
};

export function Visibility({ app }: { app: Pick<Shape<'Application'>, 'status'> }) {
  const { t } = useTexts();
  return app.status === 'NORMAL' ? <Pill tone="ok">{t('app.visible')}</Pill> : <Pill tone="care">{t('app.hidden')}</Pill>;
}

export default function Apps() {
  const { t, language } = useTexts();
  const path = usePath();
  const apps = useAllApps();
  const catalogs = useCatalogs();
  const [search] = useInAddress('q');
  const [category, setCategory] = useInAddress('category');
  const [view, setView] = useInAddress('view', 'gallery');
  const shown = apps.data?.filter(
    (app) => (category === '' || app.catalog_id === category) && FOLD(`${app.name} ${app.description ?? ''}`).includes(FOLD(search)),
  );
  const used = new Set(apps.data?.map((app) => app.catalog_id));
  const categories = catalogs.data?.items.filter((catalog) => used.has(catalog.id)) ?? [];
  const categoryName = (id: string) => {
    const found = catalogs.data?.items.find((catalog) => catalog.id === id);
    return found === undefined ? '' : language === 'zh' ? found.catalog_zh : found.catalog_en;
  };
  const add = (
    <Button component={Link} to={path('apps/add')} leftSection={<IconUpload size={18} />}>
      {t('apps.add')}
    </Button>
  );
  return (
    <>
      <PageHead title={t('nav.apps')} sub={t('apps.sub')} {...(apps.data?.length === 0 ? {} : { actions: add })} />
      {apps.error !== null && <Problem error={apps.error} onRetry={() => void apps.refetch()} />}
      {apps.data !== undefined && apps.data.length === 0 ? (
        <section className="panel">
          <Empty icon={<IconApps />} title={t('apps.empty')} action={add}>
            {t('apps.empty-text')}
          </Empty>
        </section>
      ) : (
        <>
          <Group mb="md" gap="sm" justify="space-between">
            <Group gap="sm">
              <SearchBox label={t('apps.search')} />
              <Group gap={6} role="group" aria-label={t('apps.categories')}>
                {[{ id: '' }, ...categories].map(({ id }) => (
                  <Button
                    key={id}
                    size="xs"
                    radius="xl"
                    variant={category === id ? 'filled' : 'default'}
                    aria-pressed={category === id}
                    onClick={() => setCategory(id)}
                  >
                    {id === '' ? t('list.all') : categoryName(id)}
                  </Button>
                ))}
              </Group>
            </Group>
            <SegmentedControl
              value={view === 'table' ? 'table' : 'gallery'}
              onChange={setView}
              aria-label={t('apps.view')}
              data={[
                { value: 'gallery', label: <span className="icon-label"><IconLayoutGrid size={18} aria-label={t('apps.gallery')} /></span> },
                { value: 'table', label: <span className="icon-label"><IconList size={18} aria-label={t('apps.table')} /></span> },
              ]}
            />
          </Group>
          {shown === undefined && <Skeleton h={180} />}
          {shown?.length === 0 && (
            <section className="panel">
              <Empty icon={<IconApps />} title={t('list.none')}>
                {t('list.none-text')}
              </Empty>
            </section>
          )}
          {shown !== undefined && shown.length > 0 && view !== 'table' && (
            <SimpleGrid cols={{ base: 1, xs: 2, md: 3, lg: 4 }} spacing="md">
              {shown.map((app) => (
                <Link key={app.id} to={path(`apps/${app.id}`)} className="panel tile">
                  <Group wrap="nowrap" gap="sm" mb="sm">
                    <AppIcon app={app} size={44} />
                    <div style={{ minWidth: 0, overflowWrap: 'anywhere' }}>
                      <Text fw={650} lineClamp={2} title={app.name}>
                        {app.name}
                      </Text>
                      <Text size="sm" c="dimmed">
                        {app.version}
                      </Text>
                    </div>
                  </Group>
                  <Text size="sm" c="dimmed" className="two-lines" mih="2lh" style={{ overflowWrap: 'anywhere' }}>
                    {app.description}
                  </Text>
                  <Group gap={6} mt="sm">
                    {app.status === 'FORBIDDEN' && (
                      <Badge variant="default" size="sm" tt="none" fw={600} style={{ color: 'var(--care)', background: 'var(--care-soft)', borderColor: 'transparent' }}>
                        {t('app.hidden')}
                      </Badge>
                    )}
                    <Badge variant="default" size="sm" tt="none" fw={550}>
                      {categoryName(app.catalog_id)}
                    </Badge>
                    <Badge variant="default" size="sm" tt="none" fw={550}>
                      {t(SYSTEM[app.support_os])}
                    </Badge>
                  </Group>
                </Link>
              ))}
            </SimpleGrid>
          )}
          {shown !== undefined && shown.length > 0 && view === 'table' && (
            <section className="panel">
              <ListTable
                label={t('nav.apps')}
                head={[t('app.name'), t('app.version'), t('app.category'), t('app.system'), t('app.type'), t('app.for'), t('app.visibility'), t('list.created'), { hidden: t('nav.install') }]}
              >
                {shown.map((app) => (
                  <Table.Tr key={app.id}>
                    <Table.Td>
                      <Group gap="sm" wrap="nowrap">
                        <AppIcon app={app} size={28} />
                        <Anchor component={Link} to={path(`apps/${app.id}`)} fw={600} size="sm">
                          {app.name}
                        </Anchor>
                      </Group>
                    </Table.Td>
                    <Table.Td>{app.version}</Table.Td>
                    <Table.Td>{categoryName(app.catalog_id)}</Table.Td>
                    <Table.Td>{t(SYSTEM[app.support_os])}</Table.Td>
                    <Table.Td>{t(INSTALL_TYPE[app.install_type])}</Table.Td>
                    <Table.Td>{app.authorization_type === 'ALL_USER' ? t('app.for-all') : t('app.for-some')}</Table.Td>
                    <Table.Td>
                      <Visibility app={app} />
                    </Table.Td>
                    <Table.Td>
                      <When at={app.create_time} />
                    </Table.Td>
                    <Table.Td>
                      <Button
                        component={Link}
                        to={path(`install?app=${app.id}`)}
                        size="xs"
                        variant="default"
                        leftSection={<IconDownload size={14} />}
                      >
                        {t('nav.install')}
                      </Button>
                    </Table.Td>
                  </Table.Tr>
                ))}
              </ListTable>
            </section>
          )}
        </>
      )}
    </>
  );
}
