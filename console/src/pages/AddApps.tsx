import { Button, Stack, Text } from '@mantine/core';
import { IconDownload, IconFileUpload, IconUpload } from '@tabler/icons-react';
import { useEffect, useSyncExternalStore } from 'react';
import { Link } from 'react-router';
import { useInAddress } from '../address';
import type { Shape } from '../api/client';
import { FileChooser } from '../components/FileChooser';
import { DropZone, PageHead, PageProblem, PageWaiting } from '../components/parts';
import { useApp } from '../data';
import { useTexts } from '../i18n';
import { usePath, useProject, useSession } from '../session';
import { uploadsOf } from '../upload/uploads';
import { draftOf } from './add/drafts';
import { Making } from './add/Making';
import { Sending } from './add/Sending';
import { Gone } from './app/Gone';

/** Adds apps; with `?app=` in the address, the package of a new version of one. */
export default function AddApps() {
  const { t } = useTexts();
  const path = usePath();
  const [appId] = useInAddress('app');
  const { app, error, isPending, refetch } = useApp(appId);
  if (appId === '' || app !== undefined) return <Adding app={app} />;
  if (error !== null) return <PageProblem title={t('apps.add')} error={error} trail={[{ label: t('nav.apps'), to: path('apps') }]} onRetry={() => void refetch()} />;
  return isPending ? <PageWaiting /> : <Gone />;
}

function Adding({ app }: { app: Shape<'Application'> | undefined }) {
  const { t } = useTexts();
  const path = usePath();
  const project = useProject();
  const { user_id } = useSession();
  const uploads = uploadsOf(user_id, project.id, draftOf);
  const items = useSyncExternalStore(uploads.subscribe, uploads.snapshot);
  useEffect(() => () => uploads.clearSaved(), [uploads]);
  const added = items.filter(({ appId, draft }) => appId !== undefined && typeof draft?.versionOf !== 'string');
  const add = (files: Iterable<File>) => void uploads.add(files, app?.id ?? null);
  const drop = t(app === undefined ? 'add.drop' : 'add.drop-one');
  const choose = t(app === undefined ? 'add.choose' : 'add.choose-one');

  return (
    <>
      <PageHead
        title={app === undefined ? t('apps.add') : t('add.version', { name: app.name })}
        sub={t(app === undefined ? 'add.sub' : 'add.version-sub')}
        trail={[{ label: t('nav.apps'), to: path('apps') }]}
        actions={
          added.length > 0 ? (
            <Button
              component={Link}
              to={path(`install?${added.map((item) => `app=${item.appId}`).join('&')}`)}
              leftSection={<IconDownload size={18} />}
            >
              {t('add.install', { n: added.length })}
            </Button>
          ) : undefined
        }
      />
      <Stack gap="lg">
        <DropZone label={drop} onFiles={add}>
          <IconFileUpload size={40} stroke={1.4} aria-hidden />
          <Text fw={600}>{drop}</Text>
          <Text size="sm" c="dimmed" maw={560}>
            {t(app === undefined ? 'add.kinds' : 'add.kinds-one')}
          </Text>
          <FileChooser label={choose} multiple={app === undefined} onFiles={add}>
            {(props) => (
              <Button {...props} variant={items.length === 0 ? 'filled' : 'default'} leftSection={<IconUpload size={18} />} mt="xs">
                {choose}
              </Button>
            )}
          </FileChooser>
        </DropZone>
        {items.map((item) => (
          <section key={item.key} className="panel panel-pad" aria-label={item.name}>
            <Sending item={item} uploads={uploads} />
            <Making item={item} uploads={uploads} />
          </section>
        ))}
      </Stack>
    </>
  );
}
