import { Button, Code, Group, Progress, SegmentedControl, Stack, Table, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { IconFileSpreadsheet, IconPlayerStop, IconUpload } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import { Link, Navigate, useParams } from 'react-router';
import { FileChooser } from '../components/FileChooser';
import { DropZone, ListTable, PageHead, Pages, Panel, Pill, type Tone } from '../components/parts';
import { Empty, Problem } from '../components/states';
import { useRefresh } from '../data';
import { useTexts, type TextKey, type Write } from '../i18n';
import { readFile, Unreadable } from '../import/csv';
import { NOUNS, type Noun } from '../import/nouns';
import { carryOut, type Planned, type Reason, type Result } from '../import/plan';
import { usePath, useProject } from '../session';

/** Lines on one page of the report. */
const ROWS = 50;
/** How often results are drawn while they come, in milliseconds. */
const DRAWN_MS = 150;

type Outcome = 'added' | 'changed' | 'unchanged' | 'failed' | 'not_tried';
const OUTCOMES: Outcome[] = ['failed', 'not_tried', 'added', 'changed', 'unchanged'];
const DONE: Record<Outcome, [Tone, TextKey]> = {
  added: ['ok', 'import.added'],
  changed: ['ok', 'import.changed'],
  unchanged: ['wait', 'import.unchanged'],
  failed: ['bad', 'import.failed'],
  not_tried: ['care', 'import.not-tried'],
};
const PLANNED: Record<Outcome, [Tone, TextKey]> = {
  ...DONE,
  added: ['busy', 'import.would-add'],
  changed: ['busy', 'import.would-change'],
  failed: ['bad', 'import.error'],
};

const said = (reason: Reason, t: Write) => ('key' in reason ? t(reason.key, reason.values) : reason.text);

export default function Import() {
  const { noun } = useParams();
  const path = usePath();
  if (noun !== 'desktops' && noun !== 'users' && noun !== 'groups') return <Navigate to={path('overview')} replace />;
  // A page of its own for each thing: what was read of one is nothing to another.
  return <Of key={noun} noun={noun} />;
}

function Of({ noun }: { noun: Noun }) {
  const { t } = useTexts();
  const path = usePath();
  const { id: project_id } = useProject();
  const kind = NOUNS[noun];
  const read = useMutation({
    mutationFn: async (file: File) => ({ name: file.name, plan: await kind.plan(project_id, await readFile(file, kind.columns)) }),
  });
  const [isBusy, setBusy] = useState(false);
  const list = noun === 'desktops' ? { label: t('nav.desktops'), to: path('desktops') } : { label: t('nav.people'), to: path(noun === 'groups' ? 'people?tab=groups' : 'people') };
  return (
    <>
      <PageHead title={t(`import.title-${noun}`)} sub={t('import.sub')} trail={[list]} />
      <Stack gap="lg">
        {!isBusy && <Chooser noun={noun} isAgain={read.data !== undefined} onFile={(file) => read.mutate(file)} />}
        <div role="status" aria-live="polite" style={{ display: 'contents' }}>
          {read.isPending && <Text size="sm">{t('import.reading', { name: read.variables.name })}</Text>}
        </div>
        {read.error instanceof Unreadable ? (
          <Problem error={new Error(t('list.colon', { what: read.variables?.name ?? '', more: said(read.error.reason, t) }))} />
        ) : (
          read.error !== null && <Problem error={read.error} onRetry={() => read.variables !== undefined && read.mutate(read.variables)} />
        )}
        {read.data !== undefined && !read.isPending && <Report key={read.submittedAt} noun={noun} read={read.data} list={list} onBusy={setBusy} />}
      </Stack>
    </>
  );
}

function Chooser({ noun, isAgain, onFile }: { noun: Noun; isAgain: boolean; onFile: (file: File) => void }) {
  const { t } = useTexts();
  const take = ([file]: Iterable<File>) => {
    if (file !== undefined) onFile(file);
  };
  return (
    <DropZone label={t('import.drop')} onFiles={take}>
      <IconFileSpreadsheet size={40} stroke={1.4} aria-hidden />
      <Text fw={600}>{t('import.drop')}</Text>
      <Text size="sm" c="dimmed" maw={620}>
        {t(`import.columns-${noun}`)} {t('import.rules')}
      </Text>
      <Code block ta="left" maw="100%" style={{ overflowX: 'auto' }} tabIndex={0} aria-label={t('import.example')}>
        {NOUNS[noun].example}
      </Code>
      <FileChooser label={t('import.choose')} accept=".csv,text/csv,text/plain" onFiles={take}>
        {(props) => (
          <Button {...props} variant={isAgain ? 'default' : 'filled'} leftSection={<IconUpload size={18} />} mt="xs">
            {t('import.choose')}
          </Button>
        )}
      </FileChooser>
    </DropZone>
  );
}

/** What would happen, and, once that is confirmed, what did: a line for each line of the file. */
function Report({ noun, read, list, onBusy }: { noun: Noun; read: { name: string; plan: Planned[] }; list: { label: string; to: string }; onBusy: (isBusy: boolean) => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { plan } = read;
  const results = useRef(new Map<number, Result>());
  const [, draw] = useState(0);
  const [stop, setStop] = useState<AbortController>();
  const [state, setState] = useState<'planned' | 'running' | 'done'>('planned');
  const [view, setView] = useState<Outcome | ''>('');
  const [page, setPage] = useState(1);
  const todo = plan.filter(({ wish }) => wish.outcome === 'added' || wish.outcome === 'changed').length;

  // Who leaves the page stops what was not begun; who closes it is asked.
  useEffect(() => {
    if (state !== 'running') return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, [state]);
  useEffect(() => () => stop?.abort(), [stop]);

  const begin = async () => {
    const controller = new AbortController();
    setStop(controller);
    setState('running');
    onBusy(true);
    const timer = window.setInterval(() => draw(results.current.size), DRAWN_MS);
    await carryOut(plan, (line, result) => results.current.set(line, result), controller.signal);
    window.clearInterval(timer);
    setState('done');
    onBusy(false);
    await refresh(...NOUNS[noun].stale);
  };

  const rows = plan.map(({ line, name, wish }) => {
    const result = results.current.get(line);
    return {
      line,
      name,
      outcome: (result?.outcome ?? wish.outcome) as Outcome,
      reasons: result?.reasons ?? (wish.outcome === 'unchanged' ? [] : wish.reasons),
      isDone: result !== undefined,
    };
  });
  const counts = new Map<Outcome, number>();
  for (const { outcome } of rows) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const words = state === 'done' ? DONE : PLANNED;
  const sum = OUTCOMES.filter((outcome) => counts.has(outcome)).map((outcome) => t('list.colon', { what: t(words[outcome][1]), more: counts.get(outcome) ?? 0 }));
  const shown = view === '' ? rows : rows.filter(({ outcome }) => outcome === view);
  const done = results.current.size;
  return (
    <Panel title={state === 'done' ? t('import.done-title', { name: read.name }) : t('import.preview-title', { name: read.name })} pad={false}>
      <Stack gap="sm" px="var(--pad)" pb="md">
        <div role="status" aria-live="polite">
          {state !== 'running' && (
            <Text size="sm">
              <b>{t('import.lines', { n: rows.length })}</b>
              {sum.length > 0 && ` · ${sum.join(' · ')}`}
              {state === 'planned' && todo > 0 && ` · ${t('import.nothing-yet')}`}
            </Text>
          )}
          {state === 'planned' && todo === 0 && rows.length > 0 && <Text size="sm">{t('import.nothing-to-do')}</Text>}
        </div>
        {state === 'planned' && todo > 0 && (
          <Group>
            <Button onClick={() => void begin()}>{t('import.begin', { n: todo })}</Button>
            {counts.has('failed') && (
              <Text size="sm" c="dimmed">
                {t('import.left-out', { n: counts.get('failed') ?? 0 })}
              </Text>
            )}
          </Group>
        )}
        {state === 'running' && (
          <Group wrap="nowrap">
            <Progress.Root size="lg" flex={1}>
              <Progress.Section
                value={todo === 0 ? 100 : (done / todo) * 100}
                aria-label={t('import.progress')}
                aria-valuetext={t('import.of', { n: done, all: todo })}
              />
            </Progress.Root>
            <Text size="sm">{t('import.of', { n: done, all: todo })}</Text>
            <Button size="xs" variant="default" leftSection={<IconPlayerStop size={14} />} onClick={() => stop?.abort()} disabled={stop?.signal.aborted === true}>
              {t('action.stop')}
            </Button>
          </Group>
        )}
        {state === 'running' && (
          <Text size="sm" c="dimmed">
            {t('import.stay')}
          </Text>
        )}
        {state === 'done' && (
          <Group gap="sm">
            <Button component={Link} to={list.to} variant="default" size="xs">
              {t('import.to-list', { name: list.label })}
            </Button>
            {(counts.has('failed') || counts.has('not_tried')) && (
              <Text size="sm" c="dimmed">
                {t('import.again')}
              </Text>
            )}
          </Group>
        )}
        {counts.size > 1 && (
          <div className="scroll">
            <SegmentedControl
              size="xs"
              aria-label={t('list.state')}
              value={view}
              onChange={(value) => {
                setView(value as Outcome | '');
                setPage(1);
              }}
              data={[
                { value: '', label: t('list.all') },
                ...OUTCOMES.filter((outcome) => counts.has(outcome)).map((outcome) => ({ value: outcome, label: t('list.brackets', { what: t(words[outcome][1]), more: counts.get(outcome) ?? 0 }) })),
              ]}
            />
          </div>
        )}
      </Stack>
      {rows.length === 0 ? (
        <Empty icon={<IconFileSpreadsheet />} title={t('import.empty')}>
          {t('import.empty-text')}
        </Empty>
      ) : (
        <ListTable label={t('import.report')} titled={false} head={[t('import.line'), t('app.name'), t('import.result'), t('import.reason')]}>
          {shown.slice((page - 1) * ROWS, page * ROWS).map(({ line, name, outcome, reasons, isDone }) => {
            const [tone, word] = (isDone || state === 'done' ? DONE : PLANNED)[outcome];
            return (
              <Table.Tr key={line}>
                <Table.Td w={70}>{line}</Table.Td>
                <Table.Td>
                  <Text size="sm" fw={600} style={{ overflowWrap: 'anywhere' }}>
                    {name === '' ? '–' : name}
                  </Text>
                </Table.Td>
                <Table.Td>
                  <Pill tone={tone}>{t(word)}</Pill>
                </Table.Td>
                <Table.Td style={{ overflowWrap: 'anywhere' }}>{reasons.map((reason) => said(reason, t)).join(' · ')}</Table.Td>
              </Table.Tr>
            );
          })}
        </ListTable>
      )}
      {shown.length > ROWS && <Pages count={shown.length} size={ROWS} page={page} onPage={setPage} />}
    </Panel>
  );
}
