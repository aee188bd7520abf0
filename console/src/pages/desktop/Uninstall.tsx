import { Button, Menu } from '@mantine/core';
import { IconChevronDown, IconPackageOff } from '@tabler/icons-react';
import { Link } from 'react-router';
import { QUIET_MS, useAllApps, useJobs } from '../../data';
import { useTexts } from '../../i18n';
import { usePath } from '../../session';

/** Successes that are looked through for what the desktop has, the newest first. Source: the operation's own maximum. */
const NEWEST = 100;

/** Leads to taking an app off the desktop: one that it has, or another one. */
export function Uninstall({ desktopId }: { desktopId: string }) {
  const { t } = useTexts();
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default" leftSection={<IconPackageOff size={18} />} rightSection={<IconChevronDown size={16} />}>
          {t('mode.uninstall')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown mah={360} style={{ overflowY: 'auto' }}>
        <Choices desktopId={desktopId} />
      </Menu.Dropdown>
    </Menu>
  );
}

/** An app is there where its newest success installed it. */
function Choices({ desktopId }: { desktopId: string }) {
  const { t } = useTexts();
  const path = usePath();
  const apps = useAllApps();
  const done = useJobs({ desktop_id: desktopId, job_status: 'SUCCESS' }, 0, NEWEST, QUIET_MS);
  const problem = apps.error ?? done.error;
  if (problem === null && (apps.data === undefined || done.data === undefined)) return <Menu.Label>…</Menu.Label>;
  const here = (apps.data ?? []).flatMap((app) => {
    const newest = done.data?.items.find((job) => job.app_id === app.id);
    return newest?.kind === 'install' ? [{ ...app, version: newest.app_version ?? '' }] : [];
  });
  const to = path(`install?do=uninstall&desktop=${desktopId}`);
  return (
    <>
      <Menu.Label>{problem !== null ? problem.message || t('problem.no-text') : t(here.length === 0 ? 'desktop.has-none' : 'desktop.has')}</Menu.Label>
      {here.map((app) => (
        <Menu.Item key={app.id} component={Link} to={`${to}&app=${app.id}`}>
          {app.name} {app.version}
        </Menu.Item>
      ))}
      <Menu.Divider />
      <Menu.Item component={Link} to={to}>
        {t('desktop.has-other')}
      </Menu.Item>
    </>
  );
}
