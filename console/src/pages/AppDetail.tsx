import {
  Alert,
  Anchor,
  Button,
  Code,
  Group,
  Menu,
  Modal,
  Stack,
  Table,
  Tabs,
  Text,
} from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconChevronDown, IconDownload, IconEye, IconEyeOff, IconPackageOff, IconPencil, IconTool, IconTrash, IconUpload } from '@tabler/icons-react';
import { useState } from 'react';
import { Link, useNavigate, useParams } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { useInAddress } from '../address';
import { AccountPicker, keyOf } from '../components/AccountPicker';
import { AppForm, changesOf, draftOfApp } from '../components/AppForm';
import { FileChooser } from '../components/FileChooser';
import { Outcome } from '../components/JobDrawer';
import { AppIcon, Choice, ConfirmByName, Copy, DialogForm, Facts, JobPill, ListTable, PageHead, PageProblem, PageWaiting, Panel, say, sayProblem, When } from '../components/parts';
import { Problem } from '../components/states';
import { TabsList } from '../components/TabsList';
import { useApp, useJobs, useRefresh } from '../data';
import { useTexts } from '../i18n';
import { usePath, useProject } from '../session';
import { Detection, useDetection } from './app/Detection';
import { Gone } from './app/Gone';
import { Outdated } from './app/Outdated';
import { Revisions } from './app/Revisions';
import { INSTALL_TYPE, SYSTEM, Visibility } from './Apps';

const TABS = ['about', 'detection', 'revisions', 'outdated', 'who', 'jobs'];

export default function AppDetail() {
  const { t } = useTexts();
  const path = usePath();
  const navigate = useNavigate();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const { app: id = '' } = useParams();
  const { app, data, error, isPending, refetch } = useApp(id);
  const [asked, setTab] = useInAddress('tab', 'about');
  const tab = TABS.includes(asked) ? asked : 'about';
  const [editing, setEditing] = useState(false);
  const [deleting, setDeleting] = useState(false);
  const visibility = useMutation({
    mutationFn: (show: boolean) => {
      const call = { params: { path: { project_id } }, body: { items: [id] } };
      return ok(
        show
          ? api.POST('/v1/{project_id}/app-center/apps/actions/batch-enable', call)
          : api.POST('/v1/{project_id}/app-center/apps/actions/batch-disable', call),
      );
    },
    onError: (problem) => sayProblem(problem, t('app.visibility')),
    onSettled: () => refresh('apps'),
  });
  const trail = [{ label: t('nav.apps'), to: path('apps') }];
  if (error !== null && data === undefined) return <PageProblem title={t('job.app')} error={error} trail={trail} onRetry={() => void refetch()} />;
  if (isPending) return <PageWaiting />;
  if (app === undefined) return <Gone />;
  return (
    <>
      <PageHead
        title={app.name}
        icon={<AppIcon app={app} size={52} />}
        sub={
          <Group gap="xs">
            {app.version} <Visibility app={app} />
          </Group>
        }
        trail={trail}
        actions={
          <>
            <Button component={Link} to={path(`install?app=${id}`)} leftSection={<IconDownload size={18} />}>
              {t('nav.install')}
            </Button>
            {app.application_source === 'CUSTOM' && (
              <Button component={Link} to={path(`apps/add?app=${id}`)} variant="default" leftSection={<IconUpload size={18} />}>
                {t('app.new-version')}
              </Button>
            )}
            <Button variant="default" leftSection={<IconPencil size={18} />} onClick={() => setEditing(true)}>
              {t('action.edit')}
            </Button>
            <Menu position="bottom-end">
              <Menu.Target>
                <Button variant="default" rightSection={<IconChevronDown size={16} />}>
                  {t('app.more')}
                </Button>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Item component={Link} to={path(`install?do=repair&app=${id}`)} leftSection={<IconTool size={16} />}>
                  {t('mode.repair')}
                </Menu.Item>
                <Menu.Item component={Link} to={path(`install?do=uninstall&app=${id}`)} leftSection={<IconPackageOff size={16} />}>
                  {t('mode.uninstall')}
                </Menu.Item>
                <Menu.Item
                  leftSection={app.status === 'NORMAL' ? <IconEyeOff size={16} /> : <IconEye size={16} />}
                  onClick={() => visibility.mutate(app.status !== 'NORMAL')}
                >
                  {app.status === 'NORMAL' ? t('app.hide') : t('app.show')}
                </Menu.Item>
                <Menu.Divider />
                <Menu.Item color="var(--mantine-color-error)" leftSection={<IconTrash size={16} />} onClick={() => setDeleting(true)}>
                  {t('action.delete')}
                </Menu.Item>
              </Menu.Dropdown>
            </Menu>
          </>
        }
      />
      <Tabs value={tab} onChange={(value) => setTab(value ?? 'about')} keepMounted={false}>
        <TabsList value={tab}>
          <Tabs.Tab value="about">{t('app.about')}</Tabs.Tab>
          <Tabs.Tab value="detection">{t('app.detection')}</Tabs.Tab>
          <Tabs.Tab value="revisions">{t('app.revisions')}</Tabs.Tab>
          <Tabs.Tab value="outdated">{t('outdated.title')}</Tabs.Tab>
          <Tabs.Tab value="who">{t('app.for')}</Tabs.Tab>
          <Tabs.Tab value="jobs">{t('nav.jobs')}</Tabs.Tab>
        </TabsList>
        <Tabs.Panel value="about">
          <About app={app} />
        </Tabs.Panel>
        <Tabs.Panel value="detection">
          <Detection appId={id} isArchive={app.install_type === 'UNZIP_INSTALL'} />
        </Tabs.Panel>
        <Tabs.Panel value="revisions">
          <Revisions appId={id} />
        </Tabs.Panel>
        <Tabs.Panel value="outdated">
          <Outdated appId={id} />
        </Tabs.Panel>
        <Tabs.Panel value="who">
          <Who app={app} />
        </Tabs.Panel>
        <Tabs.Panel value="jobs">
          <AppJobs appId={id} />
        </Tabs.Panel>
      </Tabs>
      <Edit app={app} opened={editing} onClose={() => setEditing(false)} />
      <ConfirmByName
        name={app.name}
        title={t('app.delete-title', { name: app.name })}
        effect={t('app.delete-effect')}
        action={t('action.delete')}
        opened={deleting}
        onClose={() => setDeleting(false)}
        onConfirm={async () => {
          await ok(api.DELETE('/v1/{project_id}/app-center/apps/{app_id}', { params: { path: { project_id, app_id: id } } }));
          await refresh('apps');
          void navigate(path('apps'));
        }}
      />
    </>
  );
}

function About({ app }: { app: Shape<'Application'> }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const icon = useMutation({
    mutationFn: async (file: File | null) => {
      const app_icon_url = file === null ? '' : await dataUri(file);
      await ok(
        api.PATCH('/v1/{project_id}/app-center/apps/{app_id}', {
          params: { path: { project_id, app_id: app.id } },
          body: { app_icon_url },
        }),
      );
    },
    onSuccess: () => {
      say(t('app.icon-changed'));
      return refresh('apps');
    },
    onError: (problem) => sayProblem(problem, t('app.icon')),
  });
  return (
    <Stack gap="lg">
      {app.install_type === 'QUIET_INSTALL' && <Unproven appId={app.id} />}
      <Panel>
        <Stack gap="md">
          {app.description !== undefined && app.description !== '' && <Text style={{ overflowWrap: 'anywhere' }}>{app.description}</Text>}
          {app.install_info !== undefined && app.install_info !== '' && (
            <div>
              <Text size="sm" c="dimmed">
                {t('app.help')}
              </Text>
              <Text size="sm" style={{ whiteSpace: 'pre-line', overflowWrap: 'anywhere' }}>
                {app.install_info}
              </Text>
            </div>
          )}
          <Facts
            cols={{ base: 2, md: 4 }}
            rows={[
              [t('app.type'), t(INSTALL_TYPE[app.install_type])],
              [t('app.system'), t(SYSTEM[app.support_os])],
              [t('app.for'), app.authorization_type === 'ALL_USER' ? t('app.for-all') : t('app.for-some')],
              [t('list.created'), <When key="when" at={app.create_time} />],
            ]}
          />
          {[
            [t('app.command'), app.install_command],
            [t('app.uninstall-command'), app.uninstall_command],
            [t('app.package'), app.app_file_store.file_link ?? app.app_file_store.bucket_store?.bucket_file_path],
          ].map(
            ([label, value]) =>
              value !== undefined &&
              value !== null &&
              value !== '' && (
                <div key={label}>
                  <Text size="sm" c="dimmed">
                    {label}
                  </Text>
                  <Group gap={4} wrap="nowrap">
                    <Code style={{ overflowWrap: 'anywhere' }}>{value}</Code>
                    <Copy text={value} />
                  </Group>
                </div>
              ),
          )}
        </Stack>
      </Panel>
      <Panel title={t('app.icon')}>
        <Group wrap="nowrap" align="flex-start">
          <AppIcon app={app} size={64} />
          <Stack gap="xs">
            <Group gap="xs">
              <FileChooser label={t('app.icon-choose')} accept="image/png" onFiles={([file]) => file !== undefined && icon.mutate(file)}>
                {(props) => (
                  <Button {...props} variant="default" loading={icon.isPending}>
                    {t('app.icon-choose')}
                  </Button>
                )}
              </FileChooser>
              {app.app_icon_url !== undefined && app.app_icon_url !== '' && (
                <Button variant="default" loading={icon.isPending} onClick={() => icon.mutate(null)}>
                  {t('app.icon-remove')}
                </Button>
              )}
            </Group>
            <Text size="sm" c="dimmed">
              {t('app.icon-hint')}
            </Text>
          </Stack>
        </Group>
      </Panel>
    </Stack>
  );
}

/** Says that an app has no detection rule, and where one is set. */
function Unproven({ appId }: { appId: string }) {
  const { t } = useTexts();
  const path = usePath();
  const revision = useDetection(appId);
  if (revision.data === undefined || revision.data.detection_rule !== undefined) return null;
  return (
    <Alert variant="outline" color="yellow" title={t('app.unproven')}>
      {t('app.unproven-text')}{' '}
      <Anchor component={Link} to={path(`apps/${appId}?tab=detection`)} size="sm">
        {t('detection.change')}
      </Anchor>
    </Alert>
  );
}

function dataUri(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error('unreadable'));
    reader.readAsDataURL(file);
  });
}

function Edit({ app, opened, onClose }: { app: Shape<'Application'>; opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={t('app.edit-title', { name: app.name })}
      size="lg"
      closeButtonProps={{ 'aria-label': t('action.close') }}
      centered
    >
      <Editor key={app.id} app={app} onDone={onClose} />
    </Modal>
  );
}

/** The form of the dialog, there only while it is open: each time it begins with the app as it then is. */
function Editor({ app, onDone }: { app: Shape<'Application'>; onDone: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  // Fixed together with the draft: what others change meanwhile is not taken for a change made here.
  const [before] = useState(() => draftOfApp(app));
  const [draft, setDraft] = useState(before);
  const save = useMutation({
    mutationFn: () =>
      ok(api.PATCH('/v1/{project_id}/app-center/apps/{app_id}', { params: { path: { project_id, app_id: app.id } }, body: changesOf(draft, before) })),
    onSuccess: () => {
      say(t('app.saved'));
      onDone();
      return refresh('apps', 'revisions', 'detection');
    },
  });
  return (
    <DialogForm save={save} submit={t('action.save')} onClose={onDone}>
      <Text size="sm" c="dimmed">
        {t('app.edit-note')}
      </Text>
      <AppForm
        draft={draft}
        onChange={setDraft}
        only="edit"
        mayLackCommand={before.installCommand === '' && draft.installType === before.installType}
      />
    </DialogForm>
  );
}

function Who({ app }: { app: Shape<'Application'> }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const path = { project_id, app_id: app.id };
  const list = useQuery({
    queryKey: ['authorizations', project_id, app.id],
    queryFn: () =>
      ok(api.GET('/v1/{project_id}/app-center/apps/{app_id}/authorizations', { params: { path, query: { limit: 100, offset: 0 } } })),
  });
  const change = useMutation({
    mutationFn: (body: Shape<'AssignAppAuthorizationsReq'>) =>
      ok(api.POST('/v1/{project_id}/app-center/apps/{app_id}/actions/assign-authorizations', { params: { path }, body })),
    onError: (problem) => sayProblem(problem, t('app.for')),
    onSettled: () => refresh('authorizations', 'apps'),
  });
  const accounts = list.data?.items ?? [];
  return (
    <Panel title={t('app.for')}>
      <Stack>
        <div>
          <Choice
            aria-label={t('app.for')}
            value={app.authorization_type}
            disabled={change.isPending}
            onChange={(value) => change.mutate({ authorization_type: value as Shape<'AssignType'> })}
            data={[
              { value: 'ALL_USER', label: t('app.for-all') },
              { value: 'ASSIGN_USER', label: t('app.for-some') },
            ]}
          />
        </div>
        {list.error !== null && <Problem error={list.error} />}
        {app.authorization_type === 'ALL_USER' ? (
          <Text size="sm" c="dimmed">
            {t('app.for-all-text')}
          </Text>
        ) : (
          <>
            <Text size="sm" c="dimmed">
              {t(list.data?.count === 0 ? 'app.for-none-text' : 'app.for-some-text')}
            </Text>
            <AccountPicker
              label={t('install.people')}
              value={accounts}
              onChange={(next) => {
                const before = new Set(accounts.map(keyOf));
                const after = new Set(next.map(keyOf));
                const users = next.filter((account) => !before.has(keyOf(account)));
                const del_users = accounts.filter((account) => !after.has(keyOf(account)));
                change.mutate({
                  authorization_type: 'ASSIGN_USER',
                  ...(users.length === 0 ? {} : { users }),
                  ...(del_users.length === 0 ? {} : { del_users }),
                });
              }}
            />
          </>
        )}
      </Stack>
    </Panel>
  );
}

function AppJobs({ appId }: { appId: string }) {
  const { t } = useTexts();
  const path = usePath();
  const jobs = useJobs({ app_id: appId }, 0, 50);
  if (jobs.error !== null && jobs.data === undefined) return <Problem error={jobs.error} />;
  return (
    <section className="panel">
      {jobs.data !== undefined && jobs.data.count > 0 && (
        <Group justify="space-between" px="var(--pad)" pt={14}>
          <Text size="sm" c="dimmed">
            {t('list.count', { n: jobs.data.count })}
          </Text>
          <Anchor component={Link} to={path(`jobs?app=${appId}`)} size="sm">
            {t('app.all-jobs')}
          </Anchor>
        </Group>
      )}
      {jobs.data?.items.length === 0 ? (
        <Text size="sm" c="dimmed" p="var(--pad)">
          {t('jobs.empty-text')}
        </Text>
      ) : (
        <ListTable label={t('nav.jobs')} head={[t('job.desktop'), t('list.state'), t('job.outcome'), t('list.changed')]}>
          {jobs.data?.items.map((job) => (
            <Table.Tr key={job.id}>
              <Table.Td>
                <Anchor component={Link} to={path(`desktops/${job.instance_id}?job=${job.id}`)} size="sm" fw={600}>
                  {job.instance_name}
                </Anchor>
              </Table.Td>
              <Table.Td>
                <JobPill job={job} />
              </Table.Td>
              <Table.Td>
                <Outcome job={job} />
              </Table.Td>
              <Table.Td>
                <When at={job.update_time ?? job.create_time} />
              </Table.Td>
            </Table.Tr>
          ))}
        </ListTable>
      )}
    </section>
  );
}
