import { AppShell, Burger, Button, Group, Menu, NavLink, ScrollArea, Select, Stack, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import {
  IconApps,
  IconChevronDown,
  IconDeviceDesktop,
  IconDownload,
  IconGauge,
  IconHistory,
  IconKey,
  IconListDetails,
  IconLock,
  IconLogout,
  IconPackages,
  IconPlugConnected,
  IconRocket,
  IconSettings,
  IconShieldLock,
  IconUserCircle,
  IconUsers,
} from '@tabler/icons-react';
import { useEffect, useState, type ReactNode } from 'react';
import { Link, useLocation, useNavigate } from 'react-router';
import { FreezeBanner } from '../components/Freeze';
import { OwnPassword } from '../components/OwnPassword';
import { useTexts, type TextKey } from '../i18n';
import { useLive } from '../live';
import { useLogOut, usePath, useProject, useSession } from '../session';
import { Brand, LanguageMenu, SchemeButton } from './switches';

const PAGES: { page: string; label: TextKey; icon: typeof IconApps }[] = [
  { page: 'overview', label: 'nav.overview', icon: IconGauge },
  { page: 'apps', label: 'nav.apps', icon: IconApps },
  { page: 'install', label: 'nav.install', icon: IconDownload },
  { page: 'deployments', label: 'nav.deployments', icon: IconRocket },
  { page: 'jobs', label: 'nav.jobs', icon: IconListDetails },
  { page: 'desktops', label: 'nav.desktops', icon: IconDeviceDesktop },
  { page: 'agents', label: 'nav.agents', icon: IconPlugConnected },
  { page: 'people', label: 'nav.people', icon: IconUsers },
  { page: 'packages', label: 'nav.packages', icon: IconPackages },
  { page: 'rules', label: 'nav.rules', icon: IconShieldLock },
  { page: 'access', label: 'nav.access', icon: IconKey },
  { page: 'audit', label: 'nav.audit', icon: IconHistory },
  { page: 'settings', label: 'nav.settings', icon: IconSettings },
];

export function Shell({ children }: { children: ReactNode }) {
  const { t } = useTexts();
  useLive();
  const session = useSession();
  const project = useProject();
  const path = usePath();
  const logOut = useLogOut();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  // An import belongs to the list that it fills.
  const place = pathname.startsWith(path('import/')) ? path(pathname === path('import/desktops') ? 'desktops' : 'people') : pathname;
  const [opened, { toggle, close }] = useDisclosure(false);
  const [renewing, setRenewing] = useState(false);
  useEffect(() => {
    close();
    window.scrollTo(0, 0);
  }, [pathname, close]);
  return (
    <AppShell
      header={{ height: 60 }}
      navbar={{ width: 232, breakpoint: 'sm', collapsed: { mobile: !opened } }}
      padding={{ base: 'md', sm: 'xl' }}
    >
      <a className="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        document.getElementById('main')?.focus();
      }}>
        {t('shell.skip')}
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t('shell.menu')} />
            <Link to={path('overview')} style={{ textDecoration: 'none', color: 'inherit' }} aria-label="Outfitter">
              <Brand />
            </Link>
          </Group>
          <Group gap={4} wrap="nowrap">
            <LanguageMenu />
            <SchemeButton />
            <Menu position="bottom-end" width={230}>
              <Menu.Target>
                <Button variant="subtle" color="gray" px={8} maw={220} aria-label={session.user_name}>
                  <IconUserCircle size={20} aria-hidden />
                  <Text span size="sm" fw={600} truncate mx={6} className="hide-narrow">
                    {session.user_name}
                  </Text>
                  <IconChevronDown size={16} aria-hidden />
                </Button>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Label>
                  {/* On a phone the button has no room for the name. */}
                  <Text span inherit hiddenFrom="sm">
                    {session.user_name} ·{' '}
                  </Text>
                  {session.domain_name} · {project.name}
                </Menu.Label>
                <Menu.Item leftSection={<IconLock size={16} />} onClick={() => setRenewing(true)}>
                  {t('own-password.title')}
                </Menu.Item>
                <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void logOut()}>
                  {t('shell.log-out')}
                </Menu.Item>
              </Menu.Dropdown>
            </Menu>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm" aria-label={t('shell.navigation')}>
        <AppShell.Section grow component={ScrollArea}>
          <Stack gap={2}>
            {PAGES.map(({ page, label, icon: Icon }) => {
              const to = path(page);
              const active = place === to || place.startsWith(`${to}/`);
              return (
                <NavLink
                  key={page}
                  className="nav-link"
                  component={Link}
                  to={to}
                  label={t(label)}
                  leftSection={<Icon size={18} stroke={1.8} aria-hidden />}
                  active={active}
                  aria-current={active ? 'page' : undefined}
                  variant="filled"
                />
              );
            })}
          </Stack>
        </AppShell.Section>
        <AppShell.Section pt="sm">
          {session.projects.length > 1 && (
            <Select
              size="xs"
              label={t('shell.project')}
              data={session.projects.map((candidate) => candidate.name)}
              value={project.name}
              allowDeselect={false}
              onChange={(name) => name !== null && void navigate(`/${encodeURIComponent(name)}/overview`)}
              mb="xs"
            />
          )}
          <Text size="xs" c="dimmed" px={6}>
            Outfitter {session.version}
          </Text>
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        <div style={{ maxWidth: 1240, margin: '0 auto' }}>
          <FreezeBanner />
          {children}
        </div>
        <OwnPassword opened={renewing} onClose={() => setRenewing(false)} />
      </AppShell.Main>
    </AppShell>
  );
}
