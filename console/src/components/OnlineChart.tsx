import '@mantine/charts/styles.css';

import { AreaChart } from '@mantine/charts';
import { Group, SegmentedControl, Text } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { api, ok } from '../api/client';
import { useInAddress } from '../address';
import { QUIET_MS } from '../data';
import { localeOf, useTexts } from '../i18n';
import { useProject } from '../session';
import { Problem } from './states';

const HOURS = { day: 24, week: 168 } as const;

/** Agents online over the last day or week, with what it is now as its last point. */
export default function OnlineChart() {
  const { t, language } = useTexts();
  const { id: project_id } = useProject();
  const [span, setSpan] = useInAddress('span', 'day');
  const hours = span === 'week' ? HOURS.week : HOURS.day;
  const shown = useQuery({
    queryKey: ['agents-online', project_id, hours],
    refetchInterval: QUIET_MS * 3,
    placeholderData: keepPreviousData,
    queryFn: () => ok(api.GET('/api/v1/{project_id}/agents-online', { params: { path: { project_id }, query: { hours } } })),
  });
  if (shown.error !== null && shown.data === undefined) return <Problem error={shown.error} />;
  if (shown.data === undefined) return null;
  const locale = localeOf(language);
  const format = new Intl.DateTimeFormat(locale, hours === 24 ? { hour: '2-digit', minute: '2-digit' } : { weekday: 'short', hour: '2-digit', minute: '2-digit' });
  // The chart asks for the words of no point too.
  const wordOf = (at: unknown) => (typeof at === 'number' && Number.isFinite(at) ? format.format(at) : '');
  const { samples, now, step_seconds } = shown.data;
  // Where nothing was counted the line is broken, not drawn through.
  const points: { at: number; online: number | null; agents: number | null }[] = [];
  let before: number | undefined;
  for (const sample of [...samples, now]) {
    const at = new Date(sample.at).getTime();
    if (before !== undefined && at - before > step_seconds * 2500) points.push({ at: before + step_seconds * 1000, online: null, agents: null });
    points.push({ at, online: sample.online, agents: sample.agents });
    before = at;
  }
  const lowest = samples.reduce<(typeof samples)[number] | undefined>((found, sample) => (found === undefined || sample.online < found.online ? sample : found), undefined);
  // Counted at some moment of its time, which is told as a whole: at its beginning there may have been no server.
  const during = ({ at }: { at: string }) => {
    const from = new Date(at).getTime();
    return [from, Math.min(from + step_seconds * 1000, new Date(now.at).getTime())].map(wordOf).join('–');
  };
  const words = [
    t('online.now', { online: now.online, agents: now.agents }),
    ...(lowest === undefined ? [] : [t('online.lowest', { n: lowest.online, when: during(lowest) })]),
  ].join(' · ');
  return (
    <>
      <Group justify="space-between" mb="sm">
        <Text size="sm">{words}</Text>
        <SegmentedControl
          size="xs"
          aria-label={t('online.span')}
          value={hours === 24 ? 'day' : 'week'}
          onChange={setSpan}
          data={[
            { value: 'day', label: t('online.day') },
            { value: 'week', label: t('online.week') },
          ]}
        />
      </Group>
      {samples.length === 0 ? (
        <Text size="sm" c="dimmed">
          {t('online.begins')}
        </Text>
      ) : (
        <div role="img" aria-label={t('list.colon', { what: t('online.title'), more: words })}>
          <AreaChart
            h={200}
            data={points}
            dataKey="at"
            series={[{ name: 'online', label: t('desktop.online'), color: 'indigo.6' }]}
            curveType="stepAfter"
            withDots={false}
            connectNulls={false}
            fillOpacity={0.25}
            strokeWidth={1.8}
            tickLine="none"
            yAxisProps={{ allowDecimals: false, domain: [0, (most: number) => Math.max(1, most)], width: 44 }}
            xAxisProps={{ type: 'number', scale: 'time', domain: ['dataMin', 'dataMax'], tickFormatter: wordOf, minTickGap: 48 }}
            tooltipProps={{ labelFormatter: wordOf }}
            areaChartProps={{ margin: { top: 12 } }}
            areaProps={{ isAnimationActive: false }}
          />
        </div>
      )}
    </>
  );
}
