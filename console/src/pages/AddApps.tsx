import { Alert, Anchor, Badge, Button, Code, FileButton, Group, Progress, Stack, Text } from '@mantine/core';
import { IconCheck, IconDownload, IconFileUpload, IconInfoCircle, IconUpload } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import { Link } from 'react-router';
import { api, ok, uploadPackage, type Shape } from '../api/client';
import { AppForm, type AppDraft } from '../components/AppForm';
import { bytes, PageHead } from '../components/parts';
import { Problem } from '../components/states';
import { useRefresh } from '../data';
import { useTexts } from '../i18n';
import { usePath, useProject } from '../session';

/** Category of an app nobody put anywhere else: "Other". */
const OTHER_CATEGORY = '1';

interface Item {
  key: number;
  file: File;
  stop: AbortController;
  sentBytes: number;
  uploaded?: Shape<'PackageUploadResponse'>;
  draft?: AppDraft;
  appId?: string;
  saving?: boolean;
  error?: Error;
}

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

let nextKey = 0;

export default function AddApps() {
  const { t } = useTexts();
  const path = usePath();
  const project = useProject();
  const refresh = useRefresh();
  const [items, setItems] = useState<Item[]>([]);
  const [over, setOver] = useState(false);
  const running = useRef(new Set<AbortController>());
  useEffect(() => {
    const open = running.current;
    return () => {
      for (const stop of open) stop.abort();
    };
  }, []);
  const change = (key: number, part: Partial<Item>) =>
    setItems((before) => before.map((item) => (item.key === key ? { ...item, ...part } : item)));

  const begin = (files: Iterable<File>) => {
    for (const file of files) {
      const item: Item = { key: (nextKey += 1), file, stop: new AbortController(), sentBytes: 0 };
      setItems((before) => [...before, item]);
      send(item);
    }
  };
  const send = (item: Item) => {
    running.current.add(item.stop);
    uploadPackage(project.id, item.file, (sentBytes) => change(item.key, { sentBytes }), item.stop.signal)
      .then(
        (uploaded) => change(item.key, { uploaded, draft: draftOf(uploaded, item.file.name) }),
        (error: unknown) => {
          if (error instanceof DOMException) setItems((before) => before.filter((other) => other.key !== item.key));
          else change(item.key, { error: error instanceof Error ? error : new Error(String(error)) });
        },
      )
      .finally(() => running.current.delete(item.stop));
  };
  const save = (item: Item) => {
    const { draft, uploaded } = item;
    if (draft === undefined || uploaded === undefined) return;
    setItems((before) =>
      before.map((other) => {
        if (other.key !== item.key) return other;
        const { error: _, ...rest } = other;
        return { ...rest, saving: true };
      }),
    );
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
          change(item.key, { appId: made.id });
          void refresh('apps');
        },
        (error: unknown) => change(item.key, { error: error instanceof Error ? error : new Error(String(error)) }),
      )
      .finally(() => change(item.key, { saving: false }));
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
        <section
          className="drop"
          data-over={over}
          aria-label={t('add.drop')}
          onDragOver={(event) => {
            event.preventDefault();
            setOver(true);
          }}
          onDragLeave={() => setOver(false)}
          onDrop={(event) => {
            event.preventDefault();
            setOver(false);
            begin(event.dataTransfer.files);
          }}
        >
          <Stack align="center" gap="xs">
            <IconFileUpload size={40} stroke={1.4} aria-hidden />
            <Text fw={600}>{t('add.drop')}</Text>
            <Text size="sm" c="dimmed" maw={560}>
              {t('add.kinds')}
            </Text>
            <FileButton onChange={(files) => begin(files)} multiple inputProps={{ 'aria-label': t('add.choose') }}>
              {(props) => (
                <Button {...props} leftSection={<IconUpload size={18} />} mt="xs">
                  {t('add.choose')}
                </Button>
              )}
            </FileButton>
          </Stack>
        </section>
        {items.map((item) => (
          <section key={item.key} className="panel panel-pad" aria-label={item.file.name}>
            <Group justify="space-between" mb="sm">
              <Group gap="xs">
                <Text fw={650} style={{ overflowWrap: 'anywhere' }}>
                  {item.file.name}
                </Text>
                <Text size="sm" c="dimmed">
                  {bytes(item.file.size)}
                </Text>
                {item.uploaded !== undefined && (
                  <Badge variant="default" tt="none">
                    {t(`kind.${item.uploaded.kind}`)}
                  </Badge>
                )}
              </Group>
              {item.uploaded === undefined && item.error === undefined && (
                <Button size="xs" variant="default" onClick={() => item.stop.abort()}>
                  {t('action.stop')}
                </Button>
              )}
            </Group>
            {item.uploaded === undefined && item.error === undefined && (
              <Progress
                value={item.file.size === 0 ? 100 : (item.sentBytes / item.file.size) * 100}
                aria-label={t('add.progress', { name: item.file.name })}
                animated
              />
            )}
            {item.error !== undefined && (
              <Problem
                error={item.error}
                {...(item.uploaded === undefined
                  ? {
                      onRetry: () => {
                        const again: Item = { key: item.key, file: item.file, stop: new AbortController(), sentBytes: 0 };
                        setItems((before) => before.map((other) => (other.key === item.key ? again : other)));
                        send(again);
                      },
                    }
                  : {})}
              />
            )}
            {item.uploaded !== undefined && item.draft !== undefined && item.appId === undefined && (
              <form
                onSubmit={(event) => {
                  event.preventDefault();
                  save(item);
                }}
              >
                <Stack gap="sm">
                  <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
                    SHA-256 <Code>{item.uploaded.sha256}</Code>
                  </Text>
                  <Alert variant="default" icon={<IconInfoCircle />} title={t('add.proposed')}>
                    {t(`advice.${item.uploaded.proposal.advice ?? 'ready'}`)}
                  </Alert>
                  <AppForm draft={item.draft} onChange={(draft) => change(item.key, { draft })} />
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
