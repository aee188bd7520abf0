import { Alert, Button, Group, Loader, Menu, NativeSelect, SimpleGrid, Stack, Tabs, Text, Title } from '@mantine/core';
import { IconApps, IconChevronDown, IconHistory, IconPlugOff, IconUser } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { useInAddress } from '../address';
import { Pages, Pill, SearchBox, When, type Tone } from '../components/parts';
import { Empty, Problem } from '../components/states';
import { useTexts, type TextKey } from '../i18n';
import { Brand, LanguageMenu, SchemeButton } from '../layout/switches';
import { AppCard, useReason } from './AppCard';
import { Entry } from './Entry';
import { useApps, useHistory, useLive, type App, type Job, type Place } from './data';
import { isTheirs, useLeave, useSession, type Session, type Ticket } from './session';

/** Records in one page of the history. */
const PAGE_SIZE = 20;

/** Categories by id. Source: contract, section 3. */
const CATEGORY: Record<string, TextKey> = {
  '1': 'portal.catalog.1',
  '2': 'portal.catalog.2',
  '3': 'portal.catalog.3',
  '4': 'portal.catalog.4',
  '5': 'portal.catalog.5',
  '6': 'portal.catalog.6',
  '7': 'portal.catalog.7',
  '8': 'portal.catalog.8',
  '9': 'portal.catalog.9',
};

export function Portal({ ticket }: { ticket: Ticket }) {
  const { t } = useTexts();
  const session = useSession(ticket);
  if (session.error !== null && session.data === undefined) return <Problem error={session.error} onRetry={() => void session.refetch()} />;
  if (session.isPending) {
    return (
      <main className="login" id="main" aria-label={t('portal.title')}>
        <Loader type="dots" role="status" aria-label="…" />
      </main>
    );
  }
  if (!isTheirs(session.data)) return <Entry wasTurnedAway={session.data === 'turned-away'} />;
  return <Inside session={session.data} />;
}

function Inside({ session }: { session: Session }) {
  const { t } = useTexts();
  const leave = useLeave();
  const [chosen, choose] = useInAddress('desktop');
  const desktop = session.desktops.find(({ id }) => id === chosen) ?? session.desktops[0];
  useEffect(() => {
    document.title = desktop === undefined ? t('portal.title') : `${t('portal.title')} · ${desktop.name}`;
  }, [t, desktop]);
  return (
    <>
      <a className="skip" href="#main">
        {t('shell.skip')}
      </a>
      <header className="panel" style={{ borderRadius: 0, borderWidth: '0 0 1px' }}>
        <Group justify="space-between" px="md" h={60} maw={1180} mx="auto" wrap="nowrap">
          <Brand />
          <Group gap={4} wrap="nowrap">
            <LanguageMenu />
            <SchemeButton />
            <Menu position="bottom-end">
              <Menu.Target>
                <Button variant="subtle" color="gray" leftSection={<IconUser size={18} />} rightSection={<IconChevronDown size={16} />} c="var(--mantine-color-text)">
                  <span className="clip">{session.user_name}</span>
                </Button>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Item onClick={() => void leave()}>{t('portal.leave')}</Menu.Item>
              </Menu.Dropdown>
            </Menu>
          </Group>
        </Group>
      </header>
      <main id="main" tabIndex={-1} style={{ maxWidth: 1180, margin: '0 auto', padding: '24px 16px 48px' }}>
        <Group justify="space-between" align="flex-end" mb="lg" gap="md">
          <div>
            <Title order={1} size="h2">
              {t('portal.title')}
            </Title>
            {desktop !== undefined && session.desktops.length === 1 && (
              <Text c="dimmed">{t('portal.on', { name: desktop.name })}</Text>
            )}
          </div>
          {session.desktops.length > 1 && (
            <NativeSelect
              label={t('portal.desktop')}
              value={desktop?.id ?? ''}
              onChange={(event) => choose(event.currentTarget.value)}
              data={session.desktops.map(({ id, name }) => ({ value: id, label: name }))}
            />
          )}
        </Group>
        {desktop === undefined ? (
          <section className="panel">
            <Empty icon={<IconPlugOff />} title={t('portal.no-desktop')}>
              {t('portal.no-desktop-text')}
            </Empty>
          </section>
        ) : (
          <>
            {!desktop.connected && (
              <Alert color="yellow" variant="outline" mb="md" role="status" icon={<IconPlugOff />} title={t('portal.away', { name: desktop.name })}>
                {t('portal.away-text')}
              </Alert>
            )}
            <AtDesktop key={desktop.id} place={{ project_id: session.project_id, desktop_id: desktop.id }} />
          </>
        )}
      </main>
    </>
  );
}

function AtDesktop({ place }: { place: Place }) {
  const { t } = useTexts();
  const [asked, setTab] = useInAddress('tab', 'apps');
  const tab = asked === 'history' ? asked : 'apps';
  useLive(place);
  return (
    <Tabs value={tab} onChange={(next) => setTab(next ?? 'apps')} keepMounted={false}>
      <Tabs.List mb="lg">
        <Tabs.Tab value="apps" leftSection={<IconApps size={18} />}>
          {t('portal.apps')}
        </Tabs.Tab>
        <Tabs.Tab value="history" leftSection={<IconHistory size={18} />}>
          {t('portal.history')}
        </Tabs.Tab>
      </Tabs.List>
      <Tabs.Panel value="apps">
        <AppList place={place} />
      </Tabs.Panel>
      <Tabs.Panel value="history">
        <History place={place} />
      </Tabs.Panel>
    </Tabs>
  );
}

/** Categories by id, but what is of no other category last. */
const otherLast = (one: string, other: string) => Number(one === '1') - Number(other === '1') || one.localeCompare(other);

/** What holds attention first: what moves, what failed, what can be updated; then by name. */
const RANK: Record<App['standing'], number> = {
  installing: 0,
  removing: 0,
  waiting: 0,
  failed: 1,
  update_available: 2,
  absent: 3,
  installed: 3,
};

function AppList({ place }: { place: Place }) {
  const { t, language } = useTexts();
  const apps = useApps(place);
  const [text] = useInAddress('q');
  const [category, setCategory] = useInAddress('category');
  if (apps.error !== null && apps.data === undefined) return <Problem error={apps.error} onRetry={() => void apps.refetch()} />;
  if (apps.data === undefined) return <Loader type="dots" role="status" aria-label="…" />;
  if (apps.data.length === 0) {
    return (
      <section className="panel">
        <Empty icon={<IconApps />} title={t('portal.nothing')}>
          {t('portal.nothing-text')}
        </Empty>
      </section>
    );
  }
  const categories = [...new Set(apps.data.map((app) => app.catalog_id))].filter((id) => CATEGORY[id] !== undefined).sort(otherLast);
  const wanted = text.toLocaleLowerCase(language);
  const shown = apps.data
    .filter((app) => category === '' || app.catalog_id === category)
    .filter((app) => `${app.name} ${app.description}`.toLocaleLowerCase(language).includes(wanted))
    .sort((one, other) => RANK[one.standing] - RANK[other.standing]);
  return (
    <Stack gap="lg">
      {apps.error !== null && <Problem error={apps.error} onRetry={() => void apps.refetch()} />}
      <Group gap="md">
        <SearchBox label={t('portal.search')} />
        {categories.length > 1 && (
          <Group gap={6} role="group" aria-label={t('portal.category')}>
            {['', ...categories].map((id) => (
              <Button key={id} size="xs" radius="xl" variant={category === id ? 'filled' : 'default'} aria-pressed={category === id} onClick={() => setCategory(id)}>
                {t(CATEGORY[id] ?? 'portal.all')}
              </Button>
            ))}
          </Group>
        )}
      </Group>
      {shown.length === 0 ? (
        <div className="panel" role="status">
          <Empty icon={<IconApps />} title={t('list.none')}>
            {t('list.none-text')}
          </Empty>
        </div>
      ) : (
        <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }} spacing="md">
          {shown.map((app) => (
            <AppCard key={app.id} app={app} place={place} />
          ))}
        </SimpleGrid>
      )}
    </Stack>
  );
}

const JOB_TONE: Record<Job['state'], Tone> = { waiting: 'wait', running: 'busy', done: 'ok', failed: 'bad', cancelled: 'wait' };
const JOB_WORD: Record<Job['state'], TextKey> = {
  waiting: 'portal.waiting',
  running: 'portal.job-running',
  done: 'portal.job-done',
  failed: 'portal.failed',
  cancelled: 'portal.job-cancelled',
};

function History({ place }: { place: Place }) {
  const { t } = useTexts();
  const reason = useReason();
  const [page, setPage] = useState(1);
  const history = useHistory(place, (page - 1) * PAGE_SIZE, PAGE_SIZE);
  if (history.error !== null && history.data === undefined) return <Problem error={history.error} onRetry={() => void history.refetch()} />;
  if (history.data === undefined) return <Loader type="dots" role="status" aria-label="…" />;
  if (history.data.count === 0) {
    return (
      <section className="panel">
        <Empty icon={<IconHistory />} title={t('portal.no-history')}>
          {t('portal.no-history-text')}
        </Empty>
      </section>
    );
  }
  return (
    <section className="panel" aria-label={t('portal.history')}>
      <ul style={{ listStyle: 'none', margin: 0, padding: 0 }}>
        {history.data.items.map((job) => (
          <li key={job.id} style={{ padding: '14px var(--pad)', borderBottom: '1px solid var(--line)' }}>
            <Group justify="space-between" gap="sm" align="flex-start" wrap="nowrap">
              <div style={{ minWidth: 0, flex: 1 }}>
                <Text fw={600} style={{ overflowWrap: 'anywhere' }}>
                  {t(job.kind === 'install' ? 'portal.history-install' : 'portal.history-remove', { name: job.app_name, version: job.app_version })}
                </Text>
                <Text size="sm" c="dimmed">
                  <When at={job.updated_at} /> · {t(job.by_user ? 'portal.by-you' : 'portal.by-other')}
                </Text>
                {job.state === 'failed' && (
                  <Text size="sm" c="var(--bad)">
                    {reason(job)}
                  </Text>
                )}
              </div>
              <Pill tone={JOB_TONE[job.state]}>{t(JOB_WORD[job.state])}</Pill>
            </Group>
          </li>
        ))}
      </ul>
      <Pages count={history.data.count} size={PAGE_SIZE} page={page} settled={!history.isPlaceholderData} onPage={setPage} />
    </section>
  );
}
