import { Alert, Anchor, Button, Code, Drawer, Group, Modal, SegmentedControl, Select, SimpleGrid, Stack, Table, Text, TextInput, Title } from '@mantine/core';
import { keepPreviousData, useMutation, useQuery } from '@tanstack/react-query';
import { IconCircleCheck, IconFileDownload, IconHistory, IconShieldCheck, IconAlertTriangle } from '@tabler/icons-react';
import { useState } from 'react';
import { useSearchParams } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { queryText, useInAddress } from '../address';
import { Copy, ListPanel, ListTable, PageHead, Pill, SearchBox, When } from '../components/parts';
import { Empty, Problem } from '../components/states';
import { localeOf, useTexts, wordOf } from '../i18n';
import { useProject } from '../session';

/** Entries in one page. */
const PAGE_SIZE = 50;

const KINDS = ['change', 'refusal', 'widening', 'enrollment', 'retention'] as const;

type Entry = Shape<'AuditEntry'>;

/** What the address asks for, as the query of the list and of the export. */
function useFilter() {
  const [search] = useSearchParams();
  const text = (name: string) => search.get(name) ?? '';
  const instant = (name: string) => {
    const at = new Date(text(name));
    return Number.isNaN(at.getTime()) ? '' : at.toISOString();
  };
  const all = {
    actor: text('actor'),
    action: text('action'),
    resource: text('resource'),
    request_id: text('request'),
    kind: text('kind') as Shape<'AuditKind'> | '',
    outcome: text('outcome') as Shape<'AuditOutcome'> | '',
    from: instant('from'),
    to: instant('to'),
  };
  const filter = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== '')) as Partial<Record<keyof typeof all, never>>;
  return { filter, domain: text('scope') === 'domain', isFiltered: Object.keys(filter).length > 0 };
}

export default function Audit() {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const { filter, domain, isFiltered } = useFilter();
  const [scope, setScope] = useInAddress('scope', 'project');
  const [kind, setKind] = useInAddress('kind');
  const [outcome, setOutcome] = useInAddress('outcome');
  const [from, setFrom] = useInAddress('from');
  const [to, setTo] = useInAddress('to');
  const [marker, setMarker] = useInAddress('after');
  const [opened, open] = useInAddress('entry');
  const [verifying, setVerifying] = useState(false);
  const list = useQuery({
    queryKey: ['audit', project_id, domain, filter, marker],
    placeholderData: keepPreviousData,
    queryFn: () => {
      const query = { ...filter, limit: PAGE_SIZE, ...(marker === '' ? {} : { marker }) };
      return domain
        ? ok(api.GET('/api/v1/audit', { params: { query } }))
        : ok(api.GET('/api/v1/{project_id}/audit', { params: { path: { project_id }, query } }));
    },
  });
  const query = queryText(filter);
  const exported = `/api/v1/${domain ? '' : `${project_id}/`}audit/export${query === '' ? '' : `?${query}`}`;
  const choose = (set: (value: string) => void) => (value: string | null) => set(value ?? '');
  return (
    <>
      <PageHead
        title={t('nav.audit')}
        sub={t('audit.sub')}
        actions={
          <>
            <Button component="a" href={exported} download="audit.jsonl" variant="default" leftSection={<IconFileDownload size={18} />}>
              {t('audit.export')}
            </Button>
            <Button leftSection={<IconShieldCheck size={18} />} onClick={() => setVerifying(true)}>
              {t('audit.verify')}
            </Button>
          </>
        }
      />
      <Stack gap="sm" mb="md">
        <Group gap="sm">
          <SegmentedControl
            aria-label={t('audit.scope')}
            value={scope}
            onChange={setScope}
            data={[
              { value: 'project', label: t('audit.scope.project') },
              { value: 'domain', label: t('audit.scope.domain') },
            ]}
          />
          <Select
            aria-label={t('audit.kind')}
            placeholder={t('audit.kind')}
            clearable
            clearButtonProps={{ 'aria-label': t('action.clear') }}
            w={190}
            data={KINDS.map((value) => ({ value, label: t(`audit.kind.${value}`) }))}
            value={kind === '' ? null : kind}
            onChange={choose(setKind)}
          />
          <Select
            aria-label={t('audit.outcome')}
            placeholder={t('audit.outcome')}
            clearable
            clearButtonProps={{ 'aria-label': t('action.clear') }}
            w={150}
            data={(['done', 'refused'] as const).map((value) => ({ value, label: t(`audit.outcome.${value}`) }))}
            value={outcome === '' ? null : outcome}
            onChange={choose(setOutcome)}
          />
        </Group>
        <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }} spacing="sm">
          <SearchBox label={t('audit.actor')} name="actor" />
          <SearchBox label={t('audit.action')} name="action" />
          <SearchBox label={t('audit.resource')} name="resource" />
          <SearchBox label={t('problem.request')} name="request" />
          <TextInput type="datetime-local" aria-label={t('audit.from')} leftSection={<Text size="xs">{t('audit.from')}</Text>} leftSectionWidth={56} value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
          <TextInput type="datetime-local" aria-label={t('audit.to')} leftSection={<Text size="xs">{t('audit.to')}</Text>} leftSectionWidth={56} value={to} onChange={(event) => setTo(event.currentTarget.value)} />
        </SimpleGrid>
      </Stack>
      <ListPanel list={list}>
        {list.data?.items.length === 0 ? (
          <Empty icon={<IconHistory />} title={isFiltered ? t('list.none') : t('audit.empty')}>
            {isFiltered ? t('list.none-text') : t('audit.empty-text')}
          </Empty>
        ) : (
          <ListTable label={t('nav.audit')} head={[t('audit.when'), t('audit.who'), t('audit.what'), t('audit.on'), t('audit.outcome')]}>
            {list.data?.items.map((entry) => (
              <Table.Tr key={entry.id}>
                <Table.Td style={{ whiteSpace: 'nowrap' }}>
                  <When at={entry.time} />
                </Table.Td>
                <Table.Td>
                  <Text size="sm" fw={600}>
                    {entry.actor.name ?? wordOf(t, 'audit.actor', entry.actor.kind)}
                  </Text>
                  <Text size="xs" c="dimmed">
                    {entry.address}
                  </Text>
                </Table.Td>
                <Table.Td>
                  <Anchor component="button" type="button" size="sm" fw={600} onClick={() => open(entry.id)}>
                    {entry.operation}
                  </Anchor>
                  <Text size="xs" c="dimmed">
                    {wordOf(t, 'audit.kind', entry.kind)}
                    {entry.times > 1 && ` · ${t('audit.times', { n: entry.times })}`}
                  </Text>
                </Table.Td>
                <Table.Td>
                  <Resource entry={entry} />
                </Table.Td>
                <Table.Td>
                  <Outcome entry={entry} />
                </Table.Td>
              </Table.Tr>
            ))}
          </ListTable>
        )}
        {(marker !== '' || list.data?.next_marker !== undefined) && (
          <Group justify="flex-end" px="var(--pad)" py={12}>
            <Button size="xs" variant="default" disabled={marker === ''} onClick={() => setMarker('')}>
              {t('audit.newest')}
            </Button>
            <Button size="xs" variant="default" disabled={list.data?.next_marker === undefined} onClick={() => setMarker(list.data?.next_marker ?? '')}>
              {t('audit.older')}
            </Button>
          </Group>
        )}
      </ListPanel>
      <EntryDrawer id={opened} domain={domain} onClose={() => open('')} />
      <Verify opened={verifying} onClose={() => setVerifying(false)} />
    </>
  );
}

function Outcome({ entry }: { entry: Entry }) {
  const { t } = useTexts();
  return (
    <Pill tone={entry.outcome === 'done' ? 'ok' : 'bad'}>
      {wordOf(t, 'audit.outcome', entry.outcome)}
      {entry.status !== undefined && ` ${entry.status}`}
    </Pill>
  );
}

function Resource({ entry }: { entry: Entry }) {
  const { t } = useTexts();
  const [first, ...rest] = entry.resources;
  if (first === undefined) return <>–</>;
  return (
    <div className="clip" title={entry.resources.join('\n')}>
      <Text size="sm" truncate>
        {entry.resource_name ?? first}
      </Text>
      <Text size="xs" c="dimmed" truncate>
        {entry.resource_name === undefined ? '' : first}
        {rest.length > 0 && t('deployment.more', { n: rest.length })}
      </Text>
    </div>
  );
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value, null, 1);
}

function EntryDrawer({ id, domain, onClose }: { id: string; domain: boolean; onClose: () => void }) {
  const { t, language } = useTexts();
  const { id: project_id } = useProject();
  const found = useQuery({
    queryKey: ['audit', project_id, domain, 'entry', id],
    enabled: id !== '',
    queryFn: () =>
      domain
        ? ok(api.GET('/api/v1/audit/{entry_id}', { params: { path: { entry_id: id } } }))
        : ok(api.GET('/api/v1/{project_id}/audit/{entry_id}', { params: { path: { project_id, entry_id: id } } })),
  });
  const entry = found.data?.entry;
  const facts: [string, React.ReactNode][] =
    entry === undefined
      ? []
      : [
          [t('audit.when'), new Date(entry.time).toLocaleString(localeOf(language))],
          [t('audit.who'), `${entry.actor.name ?? '–'} (${wordOf(t, 'audit.actor', entry.actor.kind)})`],
          [t('audit.credential'), <Code key="c">{entry.actor.credential}</Code>],
          [t('audit.address'), entry.address ?? '–'],
          [t('explain.action'), <Code key="a">{entry.action}</Code>],
          [t('problem.request'), entry.request_id === undefined ? '–' : <Code key="r">{entry.request_id}</Code>],
          [t('audit.place'), entry.sequence === undefined ? t('audit.unsealed') : <Code key="s">{`${entry.sequence}:${entry.hash?.slice(0, 16) ?? ''}…`}</Code>],
        ];
  return (
    <Drawer
      opened={id !== ''}
      onClose={onClose}
      position="right"
      size="lg"
      title={
        <Text fw={650} component="span">
          {entry?.operation ?? t('nav.audit')}
        </Text>
      }
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      {found.error !== null && <Problem error={found.error} />}
      {entry !== undefined && (
        <Stack>
          <Group gap="sm">
            <Outcome entry={entry} />
            <Text size="sm">{wordOf(t, 'audit.kind', entry.kind)}</Text>
          </Group>
          <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
            {facts.map(([label, value]) => (
              <div key={label} style={{ overflowWrap: 'anywhere' }}>
                <Text size="xs" c="dimmed">
                  {label}
                </Text>
                <Text size="sm" component="div">
                  {value}
                </Text>
              </div>
            ))}
          </SimpleGrid>
          {entry.resources.length > 0 && (
            <div>
              <Text size="xs" c="dimmed">
                {t('audit.on')}
              </Text>
              {entry.resources.map((resource) => (
                <Text size="sm" key={resource} style={{ overflowWrap: 'anywhere' }}>
                  <Code>{resource}</Code>
                </Text>
              ))}
            </div>
          )}
          <Title order={3} size="h6">
            {t('audit.differences')}
          </Title>
          {(found.data?.differences.length ?? 0) === 0 ? (
            <Text size="sm" c="dimmed">
              {t('audit.no-differences')}
            </Text>
          ) : (
            <ListTable label={t('audit.differences')} least={420} titled={false} head={[t('audit.member'), t('audit.before'), t('audit.after')]}>
              {found.data?.differences.map((difference) => (
                <Table.Tr key={`${difference.resource}${difference.member}`}>
                  <Table.Td style={{ verticalAlign: 'top' }}>
                    <Code>{difference.member === '' ? difference.resource : difference.member}</Code>
                  </Table.Td>
                  <Table.Td className="gone">
                    <Value value={difference.before} />
                  </Table.Td>
                  <Table.Td className="come">
                    <Value value={difference.after} />
                  </Table.Td>
                </Table.Tr>
              ))}
            </ListTable>
          )}
          <Title order={3} size="h6">
            {t('audit.detail')}
          </Title>
          <pre className="log" tabIndex={0} aria-label={t('audit.detail')}>
            {JSON.stringify(entry.detail, null, 2)}
          </pre>
        </Stack>
      )}
    </Drawer>
  );
}

function Value({ value }: { value: unknown }) {
  const text = shown(value);
  return (
    <Text size="sm" style={{ overflowWrap: 'anywhere', whiteSpace: 'pre-wrap', minWidth: 120 }} component="div">
      {text === '' ? '–' : text}
    </Text>
  );
}

/** Whether the log is whole, up to which place, and against a place that was noted earlier. */
function Verify({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  const [known, setKnown] = useState('');
  const parsed = /^\s*(\d+):([0-9a-f]{64})\s*$/.exec(known);
  const verify = useMutation({
    mutationFn: () =>
      ok(
        api.POST('/api/v1/audit/actions/verify', {
          body: parsed === null ? {} : { known: { sequence: Number(parsed[1]), hash: parsed[2] ?? '' } },
        }),
      ),
  });
  const found = verify.data;
  const place = found === undefined ? '' : `${found.sequence}:${found.hash}`;
  return (
    <Modal
      opened={opened}
      onClose={() => {
        verify.reset();
        onClose();
      }}
      title={t('audit.verify')}
      size="lg"
      closeButtonProps={{ 'aria-label': t('action.close') }}
      centered
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          verify.mutate();
        }}
      >
        <Stack>
          <Text size="sm">{t('audit.verify-text')}</Text>
          <TextInput
            label={t('audit.known')}
            description={t('audit.known-text')}
            placeholder="1204:5f1c…"
            value={known}
            error={known.trim() !== '' && parsed === null ? t('audit.known-wrong') : undefined}
            onChange={(event) => setKnown(event.currentTarget.value)}
          />
          {verify.error !== null && <Problem error={verify.error} />}
          {found !== undefined && (
            <Alert
              role="status"
              variant="outline"
              color={found.whole ? 'green' : 'red'}
              icon={found.whole ? <IconCircleCheck color="var(--ok)" /> : <IconAlertTriangle color="var(--bad)" />}
              title={found.whole ? t('audit.whole') : t('audit.not-whole')}
            >
              <Stack gap={4}>
                <Text size="sm">{t('audit.checked', { n: found.checked, unsealed: found.unsealed })}</Text>
                {found.deleted_to_sequence > 0 && <Text size="sm">{t('audit.deleted-to', { n: found.deleted_to_sequence })}</Text>}
                {found.sequence > 0 && (
                  <Group gap={4} wrap="nowrap">
                    <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
                      {t('audit.note')} <Code>{place}</Code>
                    </Text>
                    <Copy text={place} />
                  </Group>
                )}
                {found.findings.map((finding, index) => (
                  <Text size="sm" key={index}>
                    <b>{wordOf(t, 'audit.problem', finding.problem)}</b>{' '}
                    {finding.sequence !== undefined && `${finding.sequence}${finding.to_sequence === undefined ? '' : `–${finding.to_sequence}`}`}{' '}
                    {finding.entry_id !== undefined && <Code>{finding.entry_id}</Code>}
                  </Text>
                ))}
                {found.more_findings > 0 && <Text size="sm">{t('deployment.more', { n: found.more_findings })}</Text>}
              </Stack>
            </Alert>
          )}
          <Group justify="flex-end">
            <Button type="submit" loading={verify.isPending} disabled={known.trim() !== '' && parsed === null}>
              {t('audit.verify-now')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
