import { Alert, Anchor, Button, Checkbox, Group, Select, Stack, Table, Text } from '@mantine/core';
import { keepPreviousData, useMutation, useQuery } from '@tanstack/react-query';
import { IconPlayerPause, IconPlayerPlay, IconRefresh } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../../api/client';
import { usePage } from '../../address';
import { bytes, FormDialog, Legend, ListTable, Pages, Panel, Pill, say, ShareBar, When, type Share } from '../../components/parts';
import { Empty, Problem } from '../../components/states';
import { MOVING_MS, offsetOf, QUIET_MS, useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { usePath } from '../../session';

/** Releases in one page. */
const PAGE_SIZE = 10;
/** Shares that are offered to choose from, in percent. */
const SHARES = [0, 1, 5, 10, 25, 50, 100];

/** Releases of the agent: to how many desktops each is offered, how many run it, where it failed. */
export function Releases() {
  const { t } = useTexts();
  const [page, setPage] = usePage();
  const list = useQuery({
    queryKey: ['releases', page],
    refetchInterval: (query) => (query.state.data?.items.some((release) => release.trying > 0) === true ? MOVING_MS : QUIET_MS),
    placeholderData: keepPreviousData,
    queryFn: () => ok(api.GET('/api/v1/agent-releases', { params: { query: { limit: PAGE_SIZE, offset: offsetOf(page, PAGE_SIZE) } } })),
  });
  return (
    <Stack gap="lg">
      {list.data?.count !== 0 && (
        <Text size="sm" c="dimmed">
          {t('releases.text')}
        </Text>
      )}
      {list.error !== null && <Problem error={list.error} onRetry={() => void list.refetch()} />}
      {list.data?.count === 0 && (
        <section className="panel">
          <Empty icon={<IconRefresh />} title={t('releases.none')}>
            {t('releases.none-text')}
            <pre className="log" tabIndex={0} aria-label={t('releases.command')} style={{ textAlign: 'left', marginTop: 12 }}>
              outfitter agent release add ./outfitter-agent --version 0.2.0
            </pre>
          </Empty>
        </section>
      )}
      {list.data?.items.map((release) => <Release key={release.version} release={release} />)}
      {list.data !== undefined && (list.data.count > PAGE_SIZE || page > 1) && <Pages count={list.data.count} size={PAGE_SIZE} page={page} settled={!list.isPlaceholderData} onPage={setPage} />}
    </Stack>
  );
}

function Standing({ release }: { release: Shape<'AgentRelease'> }) {
  const { t } = useTexts();
  if (release.halted) return <Pill tone="bad">{t('releases.halted')}</Pill>;
  if (release.percent === 0) return <Pill tone="wait">{t('releases.not-offered')}</Pill>;
  return <Pill tone={release.trying > 0 ? 'busy' : 'ok'}>{t('releases.offered', { n: release.percent })}</Pill>;
}

function Release({ release }: { release: Shape<'AgentRelease'> }) {
  const { t } = useTexts();
  const [changing, setChanging] = useState<'share' | 'halt' | 'resume'>();
  const shares: Share[] = [
    { tone: 'ok', label: t('releases.done'), count: release.done },
    { tone: 'busy', label: t('releases.trying'), count: release.trying },
    { tone: 'bad', label: t('job.FAIL'), count: release.failed },
    { tone: 'care', label: t('releases.refused'), count: release.refused },
  ];
  return (
    <Panel
      title={release.version}
      action={
        <Group gap="xs">
          <Standing release={release} />
          {release.halted ? (
            <Button size="xs" leftSection={<IconPlayerPlay size={14} />} aria-label={t('releases.resume-this', { name: release.version })} onClick={() => setChanging('resume')}>
              {t('releases.resume')}
            </Button>
          ) : (
            <>
              <Button size="xs" variant="default" aria-label={t('releases.offer-this', { name: release.version })} onClick={() => setChanging('share')}>
                {t('releases.offer')}
              </Button>
              {release.percent > 0 && (
                <Button size="xs" variant="default" leftSection={<IconPlayerPause size={14} />} aria-label={t('releases.halt-this', { name: release.version })} onClick={() => setChanging('halt')}>
                  {t('releases.halt')}
                </Button>
              )}
            </>
          )}
        </Group>
      }
    >
      <Stack gap="sm">
        {release.halt_reason !== undefined && release.halted && (
          <Alert variant="outline" color="red" title={t('releases.halted-by-itself')} styles={{ title: { color: 'var(--bad)' } }}>
            {release.halt_reason}
          </Alert>
        )}
        <ShareBar shares={shares} />
        <div role="status" aria-live="polite">
          <Legend shares={shares} />
        </div>
        <Text size="sm" c="dimmed">
          {release.programs.map((program) => `${program.os} ${program.arch} (${bytes(program.size_bytes)})`).join(', ')} · {t('deployment.by', { who: release.operator })} ·{' '}
          <When at={release.created_at} /> · {t('releases.halts-after', { n: release.halt_after_failures })}
        </Text>
        {release.failed + release.refused > 0 && <Failures version={release.version} />}
      </Stack>
      <Change release={release} what={changing} onClose={() => setChanging(undefined)} />
    </Panel>
  );
}

function Failures({ version }: { version: string }) {
  const { t } = useTexts();
  const path = usePath();
  const shown = useQuery({
    queryKey: ['releases', 'one', version],
    refetchInterval: QUIET_MS,
    queryFn: () => ok(api.GET('/api/v1/agent-releases/{version}', { params: { path: { version } } })),
  });
  if (shown.error !== null && shown.data === undefined) return <Problem error={shown.error} />;
  return (
    <ListTable label={t('releases.failures', { name: version })} head={[t('job.desktop'), t('list.state'), t('job.why'), t('audit.when')]}>
      {(shown.data?.failures ?? []).map((failure) => (
        <Table.Tr key={failure.desktop_id}>
          <Table.Td>
            <Anchor component={Link} to={path(`desktops/${failure.desktop_id}`)} size="sm" fw={600}>
              {failure.desktop_name}
            </Anchor>
          </Table.Td>
          <Table.Td>
            <Pill tone={failure.refused ? 'care' : 'bad'}>{t(failure.refused ? 'releases.refused' : 'job.FAIL')}</Pill>
          </Table.Td>
          <Table.Td style={{ overflowWrap: 'anywhere' }}>{failure.detail ?? t('problem.no-text')}</Table.Td>
          <Table.Td>
            <When at={failure.at} />
          </Table.Td>
        </Table.Tr>
      ))}
    </ListTable>
  );
}

function Change({ release, what, onClose }: { release: Shape<'AgentRelease'>; what: 'share' | 'halt' | 'resume' | undefined; onClose: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const [percent, setPercent] = useState(release.percent);
  const [again, setAgain] = useState(false);
  const given = useRef(release.percent);
  given.current = release.percent;
  useEffect(() => {
    if (what === undefined) return;
    setPercent(given.current);
    setAgain(false);
  }, [what]);
  const save = useMutation({
    mutationFn: () =>
      ok(
        api.PUT('/api/v1/agent-releases/{version}/roll-out', {
          params: { path: { version: release.version } },
          body: what === 'share' ? { percent } : what === 'halt' ? { halted: true } : { halted: false, ...(again ? { retry_failed: true } : {}) },
        }),
      ),
    onSuccess: () => {
      say(t('app.saved'));
      onClose();
    },
    onSettled: () => refresh('releases'),
  });
  const word = what === 'halt' ? 'releases.halt-this' : what === 'resume' ? 'releases.resume-this' : 'releases.offer-this';
  return (
    <FormDialog
      title={t(word, { name: release.version })}
      opened={what !== undefined}
      onClose={onClose}
      submit={t(what === 'halt' ? 'releases.halt' : what === 'resume' ? 'releases.resume' : 'releases.offer')}
      destructive={what === 'halt'}
      save={save}
    >
      {what === 'share' && (
        <>
          <Text size="sm">{t('releases.offer-text')}</Text>
          <Select
            label={t('releases.share')}
            allowDeselect={false}
            data={[...new Set([...SHARES, release.percent])].sort((left, right) => left - right).map((share) => ({ value: String(share), label: `${share} %` }))}
            value={String(percent)}
            onChange={(value) => setPercent(Number(value))}
          />
        </>
      )}
      {what === 'halt' && <Text size="sm">{t('releases.halt-text')}</Text>}
      {what === 'resume' && (
        <>
          <Text size="sm">{t('releases.resume-text', { n: release.percent })}</Text>
          <Checkbox label={t('releases.again')} checked={again} onChange={(event) => setAgain(event.currentTarget.checked)} />
        </>
      )}
    </FormDialog>
  );
}
