import { ActionIcon, Autocomplete, Button, Group, NumberInput, SimpleGrid, Stack, Text, TextInput, Title } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { api, ok, type Shape } from '../../api/client';
import { bytes, Panel, say, When } from '../../components/parts';
import { Problem } from '../../components/states';
import { QUIET_MS, useRefresh } from '../../data';
import { useTexts } from '../../i18n';

const MEGABYTE = 1_000_000;

/** A rate while it is edited: megabytes per second, empty for unlimited. */
interface Rate {
  rate: number | string;
  windows: { from: string; to: string; rate: number | string }[];
}

const inMegabytes = (rate: number | null | undefined): number | string => (rate === undefined || rate === null ? '' : rate / MEGABYTE);
const inBytes = (rate: number | string) => (rate === '' ? {} : { bytes_per_second: Math.round(Number(rate) * MEGABYTE) });

function rateOf(given: Shape<'DownloadRate'>): Rate {
  return {
    rate: inMegabytes(given.bytes_per_second),
    windows: (given.windows ?? []).map((window) => ({ from: window.from, to: window.to, rate: inMegabytes(window.bytes_per_second) })),
  };
}

function wireRate(rate: Rate): Shape<'DownloadRate'> {
  return { ...inBytes(rate.rate), windows: rate.windows.map((window) => ({ from: window.from, to: window.to, ...inBytes(window.rate) })) };
}

/** How fast packages are handed out, by every server and in every project. */
export function Downloads() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const state = useQuery({
    queryKey: ['download-limits'],
    refetchInterval: QUIET_MS,
    queryFn: () => ok(api.GET('/api/v1/download-limits')),
  });
  const [total, setTotal] = useState<Rate>({ rate: '', windows: [] });
  const [each, setEach] = useState<Rate>({ rate: '', windows: [] });
  const [parallel, setParallel] = useState<number | string>('');
  const [zone, setZone] = useState('UTC');
  const saved = state.data?.updated_at;
  const loaded = state.data !== undefined;
  useEffect(() => {
    if (state.data === undefined) return;
    setTotal(rateOf(state.data.total));
    setEach(rateOf(state.data.per_desktop));
    setParallel(state.data.parallel_downloads ?? '');
    setZone(state.data.time_zone);
    // The form follows what is stored when that changes, not each look at how downloads stand.
  }, [saved, loaded]);
  const save = useMutation({
    mutationFn: () =>
      ok(
        api.PUT('/api/v1/download-limits', {
          body: {
            time_zone: zone,
            total: wireRate(total),
            per_desktop: wireRate(each),
            ...(parallel === '' ? {} : { parallel_downloads: Number(parallel) }),
          },
        }),
      ),
    onSuccess: () => {
      say(t('app.saved'));
      return refresh('download-limits');
    },
  });
  const rate = (value: number | undefined) => (value === undefined ? t('downloads.unlimited') : t('upload.rate', { rate: bytes(value) }));
  return (
    <Panel title={t('downloads.title')}>
      {state.error !== null && <Problem error={state.error} />}
      {state.data !== undefined && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            save.mutate();
          }}
        >
          <Stack>
            <Text size="sm" c="dimmed">
              {t('downloads.text')}
            </Text>
            <Text size="sm" role="status">
              {t('downloads.now', {
                running: state.data.downloading,
                waiting: state.data.waiting,
                total: rate(state.data.total_now),
                each: rate(state.data.per_desktop_now),
              })}
            </Text>
            <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
              <RateEditor label={t('downloads.total')} value={total} onChange={setTotal} />
              <RateEditor label={t('downloads.each')} value={each} onChange={setEach} />
            </SimpleGrid>
            <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
              <NumberInput label={t('downloads.parallel')} placeholder={t('downloads.any-number')} min={1} max={100_000} allowDecimal={false} value={parallel} onChange={setParallel} />
              <Autocomplete label={t('downloads.zone')} data={Intl.supportedValuesOf('timeZone')} limit={20} value={zone} onChange={setZone} />
            </SimpleGrid>
            {save.error !== null && <Problem error={save.error} />}
            <Group justify="space-between">
              <Text size="xs" c="dimmed">
                {state.data.operator !== undefined && (
                  <>
                    {t('deployment.by', { who: state.data.operator })} · <When at={state.data.updated_at} />
                  </>
                )}
              </Text>
              <Button type="submit" loading={save.isPending}>
                {t('action.save')}
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Panel>
  );
}

function RateEditor({ label, value, onChange }: { label: string; value: Rate; onChange: (rate: Rate) => void }) {
  const { t } = useTexts();
  const change = (index: number, part: Partial<Rate['windows'][number]>) =>
    onChange({ ...value, windows: value.windows.map((window, place) => (place === index ? { ...window, ...part } : window)) });
  return (
    <div role="group" aria-label={label}>
      <Title order={3} size="h6" mb={6}>
        {label}
      </Title>
      <Stack gap="xs">
        <NumberInput label={t('downloads.rate')} placeholder={t('downloads.unlimited')} suffix=" MB/s" min={0.002} decimalScale={3} value={value.rate} onChange={(rate) => onChange({ ...value, rate })} />
        {value.windows.map((window, index) => (
          <Group key={index} gap="xs" wrap="nowrap" align="flex-end">
            <TextInput type="time" label={t('audit.from')} required value={window.from} onChange={(event) => change(index, { from: event.currentTarget.value })} />
            <TextInput type="time" label={t('audit.to')} required value={window.to} onChange={(event) => change(index, { to: event.currentTarget.value })} />
            <NumberInput label={t('downloads.rate')} placeholder={t('downloads.unlimited')} suffix=" MB/s" min={0.002} decimalScale={3} value={window.rate} onChange={(rate) => change(index, { rate })} style={{ flex: 1, minWidth: 0 }} />
            <ActionIcon variant="default" size="lg" aria-label={t('downloads.remove-window', { from: window.from, to: window.to })} onClick={() => onChange({ ...value, windows: value.windows.filter((_, place) => place !== index) })}>
              <IconTrash size={16} />
            </ActionIcon>
          </Group>
        ))}
        <Group>
          <Button size="xs" variant="default" leftSection={<IconPlus size={14} />} onClick={() => onChange({ ...value, windows: [...value.windows, { from: '08:00', to: '18:00', rate: '' }] })}>
            {t('downloads.add-window')}
          </Button>
        </Group>
      </Stack>
    </div>
  );
}
