import { Alert, Anchor, Button, Code, FileButton, Group, Stack, Text } from '@mantine/core';
import { IconCheck, IconDownload, IconFileUpload, IconInfoCircle, IconUpload } from '@tabler/icons-react';
import { useEffect, useSyncExternalStore } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { AppForm, type AppDraft } from '../components/AppForm';
import { DropZone, PageHead } from '../components/parts';
import { useRefresh } from '../data';
import { useTexts } from '../i18n';
import { usePath, useProject, useSession } from '../session';
import { uploadsOf, type Upload } from '../upload/uploads';
import { Sending } from './add/Sending';

/** Category of an app nobody put anywhere else: "Other". */
const OTHER_CATEGORY = '1';

export function draftOf(uploaded: Shape<'PackageUploadResponse'>, fileName: string): AppDraft {
  const { proposal } = uploaded;
  return {
    name: proposal.name.slice(0, 128),
    version: proposal.version ?? '',
    description: fileName.slice(0, 2048),
    catalogId: OTHER_CATEGORY,
    installType: proposal.install_type ?? 'QUIET_INSTALL',
    installCommand: proposal.install_command ?? '',
    uninstallCommand: proposal.uninstall_command ?? '',
    system: proposal.support_os ?? 'Other',
    audience: 'ALL_USER',
  };
}

export default function AddApps() {
  const { t } = useTexts();
  const path = usePath();
  const project = useProject();
  const { user_id } = useSession();
  const refresh = useRefresh();
  const uploads = uploadsOf(user_id, project.id, draftOf);
  const items = useSyncExternalStore(uploads.subscribe, uploads.snapshot);
  useEffect(() => () => uploads.clearSaved(), [uploads]);

  const save = ({ key, draft, uploaded }: Upload) => {
    if (draft === undefined || uploaded === undefined) return;
    uploads.change(key, { saving: true, error: undefined });
    ok(
      api.POST('/v1/{project_id}/app-center/apps', {
        params: { path: { project_id: project.id } },
        body: {
          name: draft.name.trim(),
          version: draft.version.trim(),
          description: draft.description.trim(),
          authorization_type: draft.audience,
          app_file_store: { store_type: 'OBS', bucket_store: uploaded.bucket_store },
          install_type: draft.installType,
          support_os: draft.system,
          catalog_id: draft.catalogId,
          ...(draft.installCommand.trim() === '' ? {} : { install_command: draft.installCommand.trim() }),
          ...(draft.uninstallCommand.trim() === '' ? {} : { uninstall_command: draft.uninstallCommand.trim() }),
        },
      }),
    )
      .then(
        (made) => {
          uploads.change(key, { appId: made.id });
          void refresh('apps');
        },
        (error: unknown) => uploads.change(key, { error: error instanceof Error ? error : new Error(String(error)) }),
      )
      .finally(() => uploads.change(key, { saving: false }));
  };
  const saved = items.filter((item) => item.appId !== undefined);

  return (
    <>
      <PageHead
        title={t('apps.add')}
        sub={t('add.sub')}
        trail={[{ label: t('nav.apps'), to: path('apps') }]}
        actions={
          saved.length > 0 ? (
            <Button
              component={Link}
              to={path(`install?${saved.map((item) => `app=${item.appId}`).join('&')}`)}
              leftSection={<IconDownload size={18} />}
            >
              {t('add.install', { n: saved.length })}
            </Button>
          ) : undefined
        }
      />
      <Stack gap="lg">
        <DropZone label={t('add.drop')} onFiles={(files) => void uploads.add(files)}>
          <IconFileUpload size={40} stroke={1.4} aria-hidden />
          <Text fw={600}>{t('add.drop')}</Text>
          <Text size="sm" c="dimmed" maw={560}>
            {t('add.kinds')}
          </Text>
          <FileButton onChange={(files) => void uploads.add(files)} multiple inputProps={{ 'aria-label': t('add.choose') }}>
            {(props) => (
              <Button {...props} variant={items.length === 0 ? 'filled' : 'default'} leftSection={<IconUpload size={18} />} mt="xs">
                {t('add.choose')}
              </Button>
            )}
          </FileButton>
        </DropZone>
        {items.map((item) => (
          <section key={item.key} className="panel panel-pad" aria-label={item.name}>
            <Sending item={item} uploads={uploads} />
            {item.uploaded !== undefined && item.draft !== undefined && item.appId === undefined && (
              <form
                onSubmit={(event) => {
                  event.preventDefault();
                  save(item);
                }}
              >
                <Stack gap="sm">
                  <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
                    SHA-256 <Code>{item.uploaded.sha256}</Code> {t('upload.same-digest')}
                  </Text>
                  <Alert variant="default" icon={<IconInfoCircle />} title={t('add.proposed')}>
                    {t(`advice.${item.uploaded.proposal.advice ?? 'ready'}`)}
                  </Alert>
                  <AppForm draft={item.draft} onChange={(draft) => uploads.change(item.key, { draft })} />
                  <Group justify="flex-end">
                    <Button type="submit" loading={item.saving ?? false}>
                      {t('add.save')}
                    </Button>
                  </Group>
                </Stack>
              </form>
            )}
            {item.appId !== undefined && (
              <Group gap="xs" role="status">
                <IconCheck size={20} color="var(--ok)" aria-hidden />
                <Text size="sm">{t('add.saved', { name: item.draft?.name ?? '' })}</Text>
                <Anchor component={Link} to={path(`apps/${item.appId}`)} size="sm">
                  {t('action.show')}
                </Anchor>
                <Anchor component={Link} to={path(`install?app=${item.appId}`)} size="sm">
                  {t('nav.install')}
                </Anchor>
              </Group>
            )}
          </section>
        ))}
      </Stack>
    </>
  );
}
