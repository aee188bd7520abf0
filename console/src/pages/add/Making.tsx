import { Alert, Anchor, Button, Code, Group, Stack, Text } from '@mantine/core';
import { IconAlertTriangle, IconCheck, IconInfoCircle } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../../api/client';
import { AppForm, changesOf, draftOfApp, type AppDraft } from '../../components/AppForm';
import { Problem } from '../../components/states';
import { useAllApps, useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { usePath, useProject } from '../../session';
import type { Upload, Uploads } from '../../upload/uploads';
import { useDetection } from '../app/Detection';
import { FOLD } from '../Apps';
import { draftOf, nextOf, recognisedOf } from './drafts';

type App = Shape<'Application'>;
type Recognised = Shape<'PackageUploadResponse'>;

/** What becomes of a package that was recognised: an app, or the newest revision of one. */
export function Making({ item, uploads }: { item: Upload; uploads: Uploads }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const refresh = useRefresh();
  const apps = useAllApps();
  const { key, uploaded, draft, appId, saving = false } = item;
  if (uploaded === undefined || draft === undefined) return null;
  if (appId !== undefined) return <Made appId={appId} draft={draft} />;
  const { versionOf = item.versionOf } = draft;
  if (typeof versionOf === 'string' && apps.data === undefined) return apps.error === null ? null : <Problem error={apps.error} onRetry={() => void apps.refetch()} />;
  const app = apps.data?.find(({ id }) => id === versionOf);
  const change = (next: AppDraft) => uploads.change(key, { draft: next });
  const finish = (made: AppDraft, call: Promise<{ id: string }>, ...stale: string[]) => {
    uploads.change(key, { draft: made, saving: true, error: undefined });
    call
      .then(
        ({ id }) => {
          uploads.change(key, { appId: id });
          void refresh(...stale);
        },
        (error: unknown) => uploads.change(key, { error: error instanceof Error ? error : new Error(String(error)) }),
      )
      .finally(() => uploads.change(key, { saving: false }));
  };
  const app_file_store = { store_type: 'OBS', bucket_store: uploaded.bucket_store } as const;

  const add = (made: AppDraft) =>
    finish(
      made,
      ok(
        api.POST('/v1/{project_id}/app-center/apps', {
          params: { path: { project_id } },
          body: {
            name: made.name.trim(),
            version: made.version.trim(),
            description: made.description.trim(),
            authorization_type: made.audience,
            app_file_store,
            install_type: made.installType,
            support_os: made.system,
            catalog_id: made.catalogId,
            ...(made.installCommand.trim() === '' ? {} : { install_command: made.installCommand.trim() }),
            ...(made.uninstallCommand.trim() === '' ? {} : { uninstall_command: made.uninstallCommand.trim() }),
          },
        }),
      ),
      'apps',
    );
  const renew = (of: App, made: AppDraft) => {
    const before = draftOfApp(of);
    // Nothing else: what others changed of the app since the form was filled stays.
    const { version, installType, installCommand, uninstallCommand } = made;
    const body = { ...changesOf({ ...before, version, installType, installCommand, uninstallCommand }, before), app_file_store };
    finish(
      made,
      ok(api.PATCH('/v1/{project_id}/app-center/apps/{app_id}', { params: { path: { project_id, app_id: of.id } }, body })),
      'apps',
      'revisions',
      'detection',
    );
  };

  return (
    <Stack gap="sm" style={{ overflowWrap: 'anywhere' }}>
      <Text size="xs" c="dimmed">
        SHA-256 <Code>{uploaded.sha256}</Code> {t('upload.same-digest')}
      </Text>
      {app === undefined ? (
        <NewApp
          apps={apps.data ?? []}
          uploaded={uploaded}
          // The app that it was to become a new version of is gone.
          draft={typeof versionOf === 'string' ? ownOf(uploaded) : draft}
          saving={saving}
          onChange={change}
          onSave={add}
        />
      ) : (
        <NewVersion
          app={app}
          uploaded={uploaded}
          draft={draft.versionOf === app.id ? draft : nextOf(app, uploaded)}
          saving={saving}
          onChange={change}
          onSave={(next) => renew(app, next)}
        />
      )}
    </Stack>
  );
}

/** The app of its own that a package becomes, also where it was added to another app. */
const ownOf = (uploaded: Recognised): AppDraft => ({ ...draftOf(uploaded), versionOf: null });

interface FormProps {
  uploaded: Recognised;
  draft: AppDraft;
  saving: boolean;
  onChange: (draft: AppDraft) => void;
  onSave: (draft: AppDraft) => void;
}

function NewApp({ apps, uploaded, draft, onChange, ...form }: FormProps & { apps: App[] }) {
  const { t } = useTexts();
  const { advice = 'ready' } = uploaded.proposal;
  const named = apps.filter((app) => FOLD(app.name) === FOLD(draft.name.trim()));
  const twin = named.find((app) => app.version === draft.version.trim());
  const like = twin ?? named[0];
  return (
    <Form {...form} draft={draft} submit={t('add.save')}>
      <Alert variant="default" icon={<IconInfoCircle />} title={t(advice === 'unknown' ? 'add.unknown' : 'add.proposed')}>
        {t(`advice.${advice}`)}
      </Alert>
      {like !== undefined && (
        <Alert variant="outline" color="yellow" icon={<IconAlertTriangle />} title={t(twin === undefined ? 'add.exists' : 'add.twice', { name: like.name, version: like.version })}>
          <Stack gap="xs" align="flex-start">
            {t('add.exists-text')}
            <Button size="xs" variant="default" onClick={() => onChange(nextOf(like, uploaded))}>
              {t('add.as-version', { name: like.name })}
            </Button>
          </Stack>
        </Alert>
      )}
      <AppForm draft={draft} onChange={onChange} />
    </Form>
  );
}

function NewVersion({ app, uploaded, draft, onChange, ...form }: FormProps & { app: App }) {
  const { t } = useTexts();
  const { store_type, bucket_store } = app.app_file_store;
  const isSameVersion = draft.version.trim() === app.version;
  // The server tells packages apart by place and version: with both unchanged it keeps the one it has.
  const isIgnored = isSameVersion && store_type === 'OBS' && bucket_store?.bucket_file_path === uploaded.bucket_store.bucket_file_path;
  return (
    <Form {...form} draft={draft} submit={t('add.save-version', { name: app.name })} disabled={isIgnored}>
      <Alert variant="default" icon={<IconInfoCircle />} title={t('add.becomes', { name: app.name })}>
        <Stack gap="xs" align="flex-start">
          {t(`advice.${uploaded.proposal.advice ?? 'ready'}`)}
          <Button size="xs" variant="default" onClick={() => onChange(ownOf(uploaded))}>
            {t('add.own-app')}
          </Button>
        </Stack>
      </Alert>
      {isSameVersion && !isIgnored && (
        <Alert variant="outline" color="yellow" icon={<IconAlertTriangle />} title={t('add.twice', { name: app.name, version: app.version })} />
      )}
      <AppForm
        draft={draft}
        onChange={onChange}
        only="version"
        beside={[
          { label: t('app.now'), values: draftOfApp(app) },
          { label: t('app.recognised'), values: recognisedOf(uploaded) },
        ]}
        versionError={isIgnored ? t('add.same-file') : undefined}
      />
    </Form>
  );
}

function Form({ draft, saving, onSave, submit, disabled = false, children }: Omit<FormProps, 'uploaded' | 'onChange'> & { submit: string; disabled?: boolean; children: ReactNode }) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!disabled) onSave(draft);
      }}
    >
      <Stack gap="sm">
        {children}
        <Group justify="flex-end">
          <Button type="submit" loading={saving} disabled={disabled} h="auto" mih={36} py={6} styles={{ label: { whiteSpace: 'normal' } }}>
            {submit}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** What was made of a package, and what comes next. */
function Made({ appId, draft }: { appId: string; draft: AppDraft }) {
  const { t } = useTexts();
  const path = usePath();
  const { name, version } = draft;
  const isVersion = typeof draft.versionOf === 'string';
  return (
    <>
      <Group gap="xs" role="status" style={{ overflowWrap: 'anywhere' }}>
        <IconCheck size={20} color="var(--ok)" aria-hidden />
        <Text size="sm">{isVersion ? t('add.newest', { name, version }) : t('add.saved', { name })}</Text>
        <Anchor component={Link} to={path(`apps/${appId}${isVersion ? '?tab=outdated' : ''}`)} size="sm">
          {t(isVersion ? 'add.outdated' : 'action.show')}
        </Anchor>
        <Anchor component={Link} to={path(`install?app=${appId}`)} size="sm">
          {t('nav.install')}
        </Anchor>
      </Group>
      {isVersion && <RuleStays appId={appId} />}
    </>
  );
}

/** A rule that a person wrote may be about the version before. */
function RuleStays({ appId }: { appId: string }) {
  const { t } = useTexts();
  const path = usePath();
  const { data } = useDetection(appId);
  if (data?.detection_origin !== 'written') return null;
  return (
    <Text size="sm" mt="xs">
      {t('add.rule-stays')}{' '}
      <Anchor component={Link} to={path(`apps/${appId}?tab=detection`)} size="sm">
        {t('app.detection')}
      </Anchor>
    </Text>
  );
}
