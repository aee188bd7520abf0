import { Button, Group, Text } from '@mantine/core';
import { Link } from 'react-router';
import { useOf, type Board } from '../board';
import { useTold } from '../failures';
import { useTexts } from '../i18n';
import { useRetry } from '../pages/Jobs';
import { usePath } from '../session';

/** Apps of one cause that are named. */
const NAMED = 3;

/** Failures of one cause: what was seen most often, how many they are, and what can be done. */
export function FailureGroup({ board, reason }: { board: Board; reason: string }) {
  const { t } = useTexts();
  const told = useTold();
  const retry = useRetry();
  return (
    <Group justify="space-between" align="flex-start" gap="xs">
      <div style={{ flex: '1 1 240px', minWidth: 0 }}>
        <Text size="sm" fw={600}>
          {told(reason) || t('problem.no-text')}
        </Text>
        <Detail board={board} reason={reason} />
        <Text size="sm" c="dimmed">
          <Facts board={board} reason={reason} />
        </Text>
      </div>
      <Group gap="xs" wrap="nowrap" style={{ flex: 'none' }}>
        <ToApp board={board} reason={reason} />
        <Button
          size="xs"
          variant="default"
          aria-label={t('deployment.retry-these', { reason: told(reason) })}
          loading={retry.isPending}
          onClick={() => retry.mutate(board.failedIds(reason))}
        >
          {t('job.retry')}
        </Button>
      </Group>
    </Group>
  );
}

const causeOf = ({ failures }: Board, reason: string) => failures.find((one) => one.reason === reason);

/** What was seen most often, which seldom changes. */
function Detail({ board, reason }: { board: Board; reason: string }) {
  const detail = useOf(board, (now) => causeOf(now, reason)?.detail);
  if (detail === undefined) return null;
  return (
    <Text size="sm" lineClamp={1} title={detail} style={{ overflowWrap: 'anywhere' }}>
      {detail}
    </Text>
  );
}

/** How many, of which apps and where. The text alone is drawn anew while jobs fail and are tried again. */
function Facts({ board, reason }: { board: Board; reason: string }) {
  const { t } = useTexts();
  const found = useOf(board, (now) => causeOf(now, reason));
  if (found === undefined) return null;
  const { count, apps, desktops, others } = found;
  const some = (names: string[], more: number) => names.join(t('list.comma')) + (more > 0 ? t('deployment.more', { n: more }) : '');
  return [t('overview.reason-jobs', { n: count }), some(apps.slice(0, NAMED), apps.length - NAMED), some(desktops, others)].join(' · ');
}

/** Where failures are mended that the app itself is the cause of, as a part of its address. */
const MENDED_AT: Partial<Record<string, string>> = { exit_code: '', not_detected_after_install: '?tab=detection' };

function ToApp({ board, reason }: { board: Board; reason: string }) {
  const { t } = useTexts();
  const path = usePath();
  // Of which app it is, not which job: that one changes with every job that fails.
  const app = useOf(board, () => board.example(reason)?.app_id);
  const job = board.example(reason);
  const part = MENDED_AT[job?.reason ?? ''];
  if (app === undefined || job === undefined || part === undefined) return null;
  return (
    <Button
      component={Link}
      to={path(`apps/${app}${part}`)}
      size="xs"
      variant="default"
      aria-label={t('list.colon', { what: t('job.show-app'), more: job.app_name ?? '' })}
    >
      {t('job.show-app')}
    </Button>
  );
}
