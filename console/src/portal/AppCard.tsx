import { Button, Group, Modal, Progress, Spoiler, Stack, Text, Title } from '@mantine/core';
import { useState } from 'react';
import { AppIcon, Pill, type Tone } from '../components/parts';
import { useTold } from '../failures';
import { localeOf, useTexts, type TextKey } from '../i18n';
import { useAct, type Act, type App, type Job, type Place } from './data';

const TONE: Record<App['standing'], Tone> = {
  absent: 'wait',
  waiting: 'busy',
  installing: 'busy',
  removing: 'busy',
  installed: 'ok',
  update_available: 'care',
  failed: 'bad',
};

const WORD: Record<App['standing'], TextKey> = {
  absent: 'portal.absent',
  waiting: 'portal.waiting',
  installing: 'portal.installing',
  removing: 'portal.removing',
  installed: 'portal.installed',
  update_available: 'portal.update-available',
  failed: 'portal.failed',
};

const ACT: Record<Act, TextKey> = {
  install: 'portal.install-this',
  update: 'portal.update-this',
  remove: 'portal.remove-this',
  cancel: 'portal.cancel-this',
  defer: 'portal.defer-this',
};

const SHORT: Record<Act, TextKey> = {
  install: 'portal.install',
  update: 'portal.update',
  remove: 'portal.remove',
  cancel: 'action.stop',
  defer: 'portal.defer',
};

const PHASE: Record<NonNullable<Job['phase']>, TextKey> = {
  detecting: 'phase.detecting',
  downloading: 'phase.downloading',
  verifying: 'phase.verifying',
  closing_programs: 'phase.closing_programs',
  running: 'portal.installing',
  confirming: 'phase.confirming',
};

/** Reasons that a user can do something about, in their words; any other is told as administrators see it. */
const REASON: Record<string, TextKey> = {
  not_detected_after_install: 'portal.reason.not-detected',
  exit_code: 'portal.reason.exit-code',
  download_failed: 'portal.reason.download',
  disk_full: 'portal.reason.disk',
  run_limit: 'portal.reason.slow',
  program_running: 'portal.reason.running',
  no_session: 'portal.reason.session',
  expired_offline: 'portal.reason.offline',
  interrupted: 'portal.reason.interrupted',
};

/** Why a job failed, in the user's language. */
export function useReason(): (job: Job) => string {
  const { t } = useTexts();
  const told = useTold();
  return (job) => {
    const key = job.reason === undefined ? undefined : REASON[job.reason];
    return key === undefined ? told(job.sentence) : t(key);
  };
}

/** Where a job is, in words: also read out while it moves. */
function Progressing({ app, job }: { app: App; job: Job }) {
  const { t, language } = useTexts();
  const phase = job.phase === undefined ? undefined : job.kind === 'uninstall' && job.phase === 'running' ? 'portal.removing' : PHASE[job.phase];
  const until =
    job.waits_until === undefined
      ? undefined
      : new Date(job.waits_until).toLocaleString(localeOf(language), { dateStyle: 'medium', timeStyle: 'short' });
  const text =
    until !== undefined ? t('portal.waits-until', { when: until }) : phase === undefined ? t('portal.its-turn') : t(phase);
  const isMoving = job.state === 'running';
  return (
    <div>
      <Text size="sm" role="status">
        {text}
        {job.percent !== undefined && job.percent > 0 ? ` · ${t('list.percent', { n: job.percent })}` : ''}
      </Text>
      <Progress
        mt={6}
        size="sm"
        value={job.percent !== undefined && job.percent > 0 ? job.percent : 100}
        animated={isMoving && (job.percent === undefined || job.percent === 0)}
        color={isMoving ? 'indigo' : 'gray'}
        aria-label={t('portal.progress', { name: app.name })}
      />
    </div>
  );
}

export function AppCard({ app, place }: { app: App; place: Place }) {
  const { t } = useTexts();
  const { mutate, isPending } = useAct(place);
  const reason = useReason();
  const [defers, setDefers] = useState(false);
  const [removes, setRemoves] = useState(false);
  const live = app.job !== undefined && (app.job.state === 'waiting' || app.job.state === 'running') ? app.job : undefined;
  const version =
    app.installed_version !== undefined && app.installed_version !== app.version
      ? t('portal.from-to', { from: app.installed_version, to: app.version })
      : app.version;
  const press = (act: Act) => {
    if (act === 'defer') setDefers(true);
    else if (act === 'remove') setRemoves(true);
    else mutate({ app, act });
  };
  return (
    <section className="panel panel-pad" aria-label={app.name} style={{ display: 'flex', flexDirection: 'column', gap: 12 }}>
      <Group wrap="nowrap" align="flex-start" gap="md">
        <AppIcon app={{ name: app.name, ...(app.icon_url === undefined ? {} : { app_icon_url: app.icon_url }) }} size={48} />
        <div style={{ minWidth: 0, flex: 1 }}>
          <Title order={2} size="h5" style={{ overflowWrap: 'anywhere' }}>
            {app.name}
          </Title>
          <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
            {version}
          </Text>
        </div>
        <Pill tone={TONE[app.standing]}>{t(WORD[app.standing])}</Pill>
      </Group>
      {app.description !== '' && (
        <Text size="sm" className="two-lines" style={{ overflowWrap: 'anywhere' }}>
          {app.description}
        </Text>
      )}
      {app.install_info !== undefined && app.install_info !== '' && (
        <Spoiler maxHeight={44} showLabel={t('portal.more')} hideLabel={t('portal.less')}>
          <Text size="sm" c="dimmed" style={{ whiteSpace: 'pre-line', overflowWrap: 'anywhere' }}>
            {app.install_info}
          </Text>
        </Spoiler>
      )}
      {live !== undefined && <Progressing app={app} job={live} />}
      {app.standing === 'failed' && app.job !== undefined && (
        <Text size="sm" c="var(--bad)" role="status">
          {reason(app.job)}
        </Text>
      )}
      {app.standing === 'installed' && app.verified === false && (
        <Text size="sm" c="dimmed">
          {t('portal.unverified')}
        </Text>
      )}
      {app.job?.restart_pending === true && (
        <Text size="sm" c="var(--care)" role="status">
          {t('portal.restart')}
        </Text>
      )}
      {live !== undefined && !live.by_user && (
        <Text size="xs" c="dimmed">
          {t('portal.by-administrator')}
        </Text>
      )}
      {app.acts.length > 0 && (
        <Group gap="xs" mt="auto">
          {app.acts.map((act) => (
            <Button
              key={act}
              size="sm"
              variant={act === 'install' || act === 'update' ? 'filled' : 'default'}
              disabled={isPending}
              aria-label={t(ACT[act], { name: app.name })}
              onClick={() => press(act)}
            >
              {t(act === 'install' && app.standing === 'failed' ? 'action.again' : SHORT[act])}
            </Button>
          ))}
        </Group>
      )}
      <Modal opened={defers} onClose={() => setDefers(false)} title={t('portal.defer-this', { name: app.name })} centered closeButtonProps={{ 'aria-label': t('action.close') }}>
        <Stack>
          <Text size="sm">{t('portal.defer-text')}</Text>
          {([60, 240, 1440] as const).map((minutes) => (
            <Button
              key={minutes}
              variant="default"
              onClick={() => {
                setDefers(false);
                mutate({ app, act: 'defer', minutes });
              }}
            >
              {t(minutes === 60 ? 'portal.one-hour' : minutes === 240 ? 'portal.four-hours' : 'portal.one-day')}
            </Button>
          ))}
        </Stack>
      </Modal>
      <Modal opened={removes} onClose={() => setRemoves(false)} title={t('portal.remove-this', { name: app.name })} centered closeButtonProps={{ 'aria-label': t('action.close') }}>
        <Stack>
          <Text size="sm">{t('portal.remove-text', { name: app.name })}</Text>
          <Group justify="flex-end">
            <Button variant="default" onClick={() => setRemoves(false)}>
              {t('action.cancel')}
            </Button>
            <Button
              data-autofocus
              color="red"
              onClick={() => {
                setRemoves(false);
                mutate({ app, act: 'remove' });
              }}
            >
              {t('portal.remove')}
            </Button>
          </Group>
        </Stack>
      </Modal>
    </section>
  );
}
