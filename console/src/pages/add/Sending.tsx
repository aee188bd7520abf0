import { Alert, Badge, Button, Code, Group, Progress, Stack, Text } from '@mantine/core';
import { IconAlertTriangle, IconFileUpload, IconPlayerPause, IconPlayerPlay, IconRefresh, IconX } from '@tabler/icons-react';
import { FileChooser } from '../../components/FileChooser';
import { bytes } from '../../components/parts';
import { Problem } from '../../components/states';
import { useTexts, type Write } from '../../i18n';
import { BucketProblem } from '../../upload/bucket';
import { Unreachable, UploadProblem, type Upload, type Uploads } from '../../upload/uploads';

/** Seconds in words. */
function lasting(seconds: number, t: Write): string {
  if (seconds < 60) return t('upload.seconds', { n: Math.max(1, Math.round(seconds)) });
  return t('upload.minutes', { n: Math.round(seconds / 60) });
}

/** How far it is: of what, how fast, how long still. */
function Figures({ item }: { item: Upload }) {
  const { t } = useTexts();
  const figures = [t('upload.sent', { sent: bytes(item.sentBytes), size: bytes(item.size) })];
  if (item.rate !== undefined && item.rate > 0) {
    figures.push(t('upload.rate', { rate: bytes(Math.round(item.rate)) }), t('upload.left', { time: lasting((item.size - item.sentBytes) / item.rate, t) }));
  }
  return (
    <Text size="sm" c="dimmed">
      {figures.join(' · ')}
    </Text>
  );
}

/** What went wrong with an upload, and what to do. */
function Wrong({ item, uploads }: { item: Upload; uploads: Uploads }) {
  const { t } = useTexts();
  const { error, key } = item;
  if (error === undefined) return null;
  const again = () => uploads.resume(key);
  // Saving what was uploaded failed: the form is still there.
  if (item.uploaded !== undefined) return <Problem error={error} />;
  if (!(error instanceof Unreachable || error instanceof UploadProblem || error instanceof BucketProblem)) return <Problem error={error} onRetry={again} />;
  const unreachable = error instanceof Unreachable;
  const title = unreachable
    ? t('upload.unreachable', { endpoint: error.endpoint })
    : error instanceof UploadProblem
      ? t(`upload.${error.what}`, error.values)
      : t('upload.bucket-refused');
  const repeats = !(error instanceof UploadProblem && ['same-name', 'other-file', 'too-large', 'unreadable'].includes(error.what));
  return (
    <Alert
      role="alert"
      color="red"
      variant="outline"
      icon={<IconAlertTriangle />}
      title={title}
      classNames={{ root: 'panel' }}
      styles={{ title: { color: 'var(--bad)' }, icon: { color: 'var(--bad)' } }}
    >
      <Stack gap="xs" align="flex-start">
        {unreachable && <Text size="sm">{t(`upload.unreachable.${error.reach}`, { page: window.location.origin })}</Text>}
        {unreachable && <Text size="sm">{t('upload.unreachable.else')}</Text>}
        {error instanceof UploadProblem && <Text size="sm">{t(`upload.${error.what}.advice`)}</Text>}
        {error instanceof BucketProblem && (
          <>
            <Text size="sm">{error.code === 'EntityTagHidden' ? t('upload.tag-hidden') : error.message}</Text>
            <Text size="xs" c="dimmed">
              {error.requestId !== '' && (
                <>
                  {t('problem.request')} <Code>{error.requestId}</Code> ·{' '}
                </>
              )}
              {error.code}
            </Text>
          </>
        )}
        {repeats && (
          <Group gap="xs">
            <Button size="xs" variant="default" leftSection={<IconRefresh size={16} />} onClick={again}>
              {t('action.again')}
            </Button>
            {unreachable && (
              <Button size="xs" variant="default" onClick={() => uploads.resume(key, 'server')}>
                {t('upload.through-server')}
              </Button>
            )}
          </Group>
        )}
      </Stack>
    </Alert>
  );
}

/** An upload from its choice to its recognition: how far it is, and what can be done with it. */
export function Sending({ item, uploads }: { item: Upload; uploads: Uploads }) {
  const { t } = useTexts();
  const { key, name, phase } = item;
  const isOpen = phase !== 'ready';
  const isToRemove = phase === 'failed' || phase === 'ready';
  const moves = phase === 'sending' || phase === 'reconnecting' || phase === 'waiting';
  return (
    <Stack gap="sm" mb={item.uploaded === undefined ? 0 : 'sm'}>
      <Group justify="space-between">
        <Group gap="xs">
          <Text fw={650} style={{ overflowWrap: 'anywhere' }}>
            {name}
          </Text>
          <Text size="sm" c="dimmed">
            {bytes(item.size)}
          </Text>
          {item.uploaded !== undefined && (
            <Badge variant="default" tt="none">
              {t(`kind.${item.uploaded.kind}`)}
            </Badge>
          )}
        </Group>
        {item.appId === undefined && item.saving !== true && (
          <Group gap="xs">
            {moves && !item.throughServer && (
              <Button size="xs" variant="default" leftSection={<IconPlayerPause size={16} />} onClick={() => uploads.pause(key)} aria-label={t('upload.pause-this', { name })}>
                {t('upload.pause')}
              </Button>
            )}
            {phase === 'paused' && (
              <Button size="xs" variant="default" leftSection={<IconPlayerPlay size={16} />} onClick={() => uploads.resume(key)} aria-label={t('upload.resume-this', { name })}>
                {t('upload.resume')}
              </Button>
            )}
            {phase === 'needs-file' && (
              <FileChooser label={t('upload.pick-this', { name })} onFiles={([file]) => file !== undefined && uploads.pick(key, file)}>
                {(props) => (
                  <Button {...props} size="xs" leftSection={<IconFileUpload size={16} />}>
                    {t('upload.pick')}
                  </Button>
                )}
              </FileChooser>
            )}
            <Button size="xs" variant="default" leftSection={<IconX size={16} />} onClick={() => uploads.remove(key)} aria-label={t(isToRemove ? 'action.remove-this' : 'upload.stop-this', { name })}>
              {t(isToRemove ? 'upload.remove' : 'action.stop')}
            </Button>
          </Group>
        )}
      </Group>
      {isOpen && phase !== 'needs-file' && phase !== 'failed' && (
        <>
          <Progress
            value={item.size === 0 ? 100 : (item.sentBytes / item.size) * 100}
            aria-label={t('add.progress', { name })}
            color={phase === 'paused' ? 'gray' : phase === 'reconnecting' ? 'yellow' : undefined}
            animated={phase === 'sending' || phase === 'reading'}
          />
          <Group gap="xs" justify="space-between">
            <Text size="sm" role="status">
              {t(`upload.phase.${phase}`)}
            </Text>
            <Figures item={item} />
          </Group>
        </>
      )}
      {phase === 'needs-file' && <Text size="sm">{t('upload.phase.needs-file')}</Text>}
      {item.digest !== undefined && isOpen && (
        <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
          SHA-256 <Code>{item.digest}</Code> {t('upload.local-digest')}
        </Text>
      )}
      <Wrong item={item} uploads={uploads} />
    </Stack>
  );
}
