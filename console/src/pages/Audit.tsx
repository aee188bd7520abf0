import { Alert, Anchor, Button, Code, Drawer, Group, Modal, SegmentedControl, Select, SimpleGrid, Stack, Table, Text, TextInput, Title } from '@mantine/core';
import { keepPreviousData, useMutation, useQuery } from '@tanstack/react-query';
import { IconCircleCheck, IconFileDownload, IconHistory, IconShieldCheck, IconAlertTriangle } from '@tabler/icons-react';
import { Fragment, useState } from 'react';
import { useSearchParams } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { queryText, useInAddress } from '../address';
import { Copy, ListPanel, ListTable, PageHead, Pill, SearchBox, When } from '../components/parts';
import { Empty, Problem } from '../components/states';
import { localeOf, useTexts, wordOf, type Write } from '../i18n';
import { useProject } from '../session';

/** Entries in one page. */
const PAGE_SIZE = 50;

const KINDS = ['change', 'refusal', 'widening', 'enrollment', 'retention', 'results'] as const;

type Entry = Shape<'AuditEntry'>;

/** When it happened last: the time of an entry that tells of many is that of the first. */
function lastOf({ time, detail }: Entry): string {
  const last: unknown = detail['last_at'];
  return typeof last === 'number' ? new Date(last).toISOString() : time;
}

/** What an entry is about; the server itself has no name. */
const resourceWord = (resource: string, t: Write) => (resource === 'server:' ? t('audit.actor.server') : resource);

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

/** A field for a time that holds none is quiet, as one with a placeholder is. */
const dateStyles = (value: string) => (value === '' ? { input: { color: 'var(--mantine-color-dimmed)' } } : {});

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
            <Button variant="default" leftSection={<IconShieldCheck size={18} />} onClick={() => setVerifying(true)}>
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
            flex="1 1 150px"
            maw={{ sm: 190 }}
            data={KINDS.map((value) => ({ value, label: t(`audit.kind.${value}`) }))}
            value={kind === '' ? null : kind}
            onChange={choose(setKind)}
          />
          <Select
            aria-label={t('audit.outcome')}
            placeholder={t('audit.outcome')}
            clearable
            clearButtonProps={{ 'aria-label': t('action.clear') }}
            flex="1 1 120px"
            maw={{ sm: 150 }}
            data={(['done', 'refused'] as const).map((value) => ({ value, label: t(`audit.outcome.${value}`) }))}
            value={outcome === '' ? null : outcome}
            onChange={choose(setOutcome)}
          />
        </Group>
        <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }} spacing="sm">
          <SearchBox label={t('audit.actor')} name="actor" />
          <SearchBox label={t('audit.action')} name="action" />
          <SearchBox label={t('audit.resource')} name="resource" />
          <SearchBox label={t('audit.request')} name="request" />
          <TextInput type="datetime-local" aria-label={t('audit.from')} leftSection={<Text size="xs">{t('audit.from')}</Text>} leftSectionWidth={56} styles={dateStyles(from)} value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
          <TextInput type="datetime-local" aria-label={t('audit.to')} leftSection={<Text size="xs">{t('audit.to')}</Text>} leftSectionWidth={56} styles={dateStyles(to)} value={to} onChange={(event) => setTo(event.currentTarget.value)} />
        </SimpleGrid>
      </Stack>
      <ListPanel list={list}>
        {list.data?.items.length === 0 ? (
          <Empty icon={<IconHistory />} title={isFiltered ? t('list.none') : t('audit.empty')}>
            {isFiltered ? t('list.none-text') : t('audit.empty-text')}
          </Empty>
        ) : (
          <ListTable label={t('nav.audit')} head={[t('audit.what'), t('audit.on'), t('audit.who'), t('audit.when'), t('audit.outcome')]}>
            {list.data?.items.map((entry) => (
              <Table.Tr key={entry.id}>
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
                  <Text size="sm" fw={600}>
                    {entry.actor.name ?? wordOf(t, 'audit.actor', entry.actor.kind)}
                  </Text>
                  <Text size="xs" c="dimmed">
                    {entry.address}
                  </Text>
                </Table.Td>
                <Table.Td style={{ whiteSpace: 'nowrap' }}>
                  <When at={lastOf(entry)} />
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
    <div className="clip" title={entry.resources.map((resource) => resourceWord(resource, t)).join('\n')}>
      <Text size="sm" truncate>
        {entry.resource_name ?? resourceWord(first, t)}
      </Text>
      <Group gap={4} wrap="nowrap">
        {entry.resource_name !== undefined && (
          <Text size="xs" c="dimmed" truncate>
            {resourceWord(first, t)}
          </Text>
        )}
        {rest.length > 0 && (
          <Text size="xs" c="dimmed" flex="none">
            {t('deployment.more', { n: rest.length })}
          </Text>
        )}
      </Group>
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
  const instant = (at: string) => new Date(at).toLocaleString(localeOf(language), { dateStyle: 'medium', timeStyle: 'medium' });
  const facts: [string, React.ReactNode][] =
    entry === undefined
      ? []
      : [
          [t('audit.when'), [...new Set([entry.time, lastOf(entry)].map(instant))].join(' – ')],
          [t('audit.who'), entry.actor.name === undefined ? wordOf(t, 'audit.actor', entry.actor.kind) : t('list.brackets', { what: entry.actor.name, more: wordOf(t, 'audit.actor', entry.actor.kind) })],
          [t('audit.credential'), <Credential key="c" text={entry.actor.credential} />],
          [t('audit.address'), entry.address ?? '–'],
          [t('explain.action'), <Code key="a">{entry.action}</Code>],
          [t('audit.request'), entry.request_id === undefined ? '–' : <Code key="r">{entry.request_id}</Code>],
          [
            t('audit.place'),
            entry.sequence === undefined ? (
              t('audit.unsealed')
            ) : (
              <Group key="s" gap={4} wrap="nowrap">
                <Code>{`${entry.sequence}:${entry.hash?.slice(0, 16) ?? ''}…`}</Code>
                <Copy text={`${entry.sequence}:${entry.hash ?? ''}`} />
              </Group>
            ),
          ],
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
                  <Code>{resourceWord(resource, t)}</Code>
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
              {found.data?.differences.map((difference, index, all) => (
                <Fragment key={`${difference.resource}${difference.member}`}>
                  {difference.resource !== all[index - 1]?.resource && (
                    <Table.Tr>
                      <Table.Td colSpan={3}>
                        <Code>{resourceWord(difference.resource, t)}</Code>
                      </Table.Td>
                    </Table.Tr>
                  )}
                  <Changed difference={difference} />
                </Fragment>
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

/** A member with what it was and is; a whole resource that came or went takes the whole row. */
function Changed({ difference }: { difference: Shape<'AuditDifference'> }) {
  const { t } = useTexts();
  const sides = [
    { name: t('audit.before'), text: shown(difference.before), kind: 'gone' },
    { name: t('audit.after'), text: shown(difference.after), kind: 'come' },
  ];
  if (difference.member === '') {
    return sides
      .filter(({ text }) => text !== '')
      .map(({ name, text, kind }) => (
        <Table.Tr key={kind}>
          <Table.Td colSpan={3} className={kind}>
            <Text size="xs" c="dimmed">
              {name}
            </Text>
            <Value text={text} />
          </Table.Td>
        </Table.Tr>
      ));
  }
  return (
    <Table.Tr>
      <Table.Td w={{ sm: '30%' }} style={{ verticalAlign: 'top' }}>
        <Code>{difference.member}</Code>
      </Table.Td>
      {sides.map(({ text, kind }) => (
        <Table.Td key={kind} w={{ sm: '35%' }} style={{ verticalAlign: 'top' }} {...(text === '' ? {} : { className: kind })}>
          <Value text={text} />
        </Table.Td>
      ))}
    </Table.Tr>
  );
}

function Value({ text }: { text: string }) {
  return (
    <Text size="xs" ff="monospace" style={{ overflowWrap: 'anywhere', whiteSpace: 'pre-wrap' }} component="div">
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
                <Text size="sm">
                  {t('audit.checked', { n: found.checked })} {found.unsealed > 0 && t('audit.waiting', { n: found.unsealed })}
                </Text>
                {found.deleted_to_sequence > 0 && <Text size="sm">{t('audit.deleted-to', { n: found.deleted_to_sequence })}</Text>}
                {found.sequence > 0 && (
                  <div>
                    <Text size="sm">{t('audit.note')}</Text>
                    <Group gap={4} wrap="nowrap">
                      <Code style={{ display: 'block', overflowWrap: 'anywhere' }}>{place}</Code>
                      <Copy text={place} />
                    </Group>
                  </div>
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

/** What was shown: its kind, and which one where it has an id. */
function Credential({ text }: { text: string }) {
  const { t } = useTexts();
  const [kind = '', id] = text.split(' ');
  return (
    <>
      {wordOf(t, 'audit.credential', kind)} {id !== undefined && <Code>{id}</Code>}
    </>
  );
}
