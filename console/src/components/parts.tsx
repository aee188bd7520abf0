import {
  ActionIcon,
  Anchor,
  Avatar,
  Breadcrumbs,
  Button,
  Group,
  Modal,
  type ModalProps,
  Pagination,
  Paper,
  PasswordInput,
  type PasswordInputProps,
  SegmentedControl,
  type SegmentedControlProps,
  SimpleGrid,
  type SimpleGridProps,
  Skeleton,
  Stack,
  Table,
  Text,
  TextInput,
  Title,
  Tooltip,
  VisuallyHidden,
} from '@mantine/core';
import { useClipboard, useMediaQuery } from '@mantine/hooks';
import { notifications } from '@mantine/notifications';
import { useMutation, type UseMutationResult } from '@tanstack/react-query';
import { IconCheck, IconCopy, IconPackage, IconSearch, IconX } from '@tabler/icons-react';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { Link } from 'react-router';
import { ApiProblem, type Shape } from '../api/client';
import { useInAddress } from '../address';
import { languageNow, localeOf, useTexts, write } from '../i18n';
import { Empty, Problem } from './states';

/** One of a few choices; on a phone they stand below each other. */
export function Choice(props: SegmentedControlProps) {
  const narrow = useMediaQuery('(max-width: 36em)') === true;
  return <SegmentedControl {...props} orientation={narrow ? 'vertical' : 'horizontal'} fullWidth={narrow} {...(narrow ? { styles: { label: { whiteSpace: 'normal' } } } : {})} />;
}

/** A state of a list to choose. On a phone it takes the whole width, so that none is cut off. */
export function States(props: SegmentedControlProps) {
  const narrow = useMediaQuery('(max-width: 36em)') === true;
  return <SegmentedControl {...props} fullWidth={narrow} w={narrow ? '100%' : undefined} size={narrow ? 'xs' : 'sm'} />;
}

export type Tone = 'ok' | 'bad' | 'busy' | 'wait' | 'care';

export function Pill({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span className="pill" data-tone={tone}>
      {children}
    </span>
  );
}

/** Head of a page: also the page's title in the browser. */
export function PageHead({
  title,
  sub,
  trail,
  actions,
  icon,
}: {
  title: string;
  sub?: ReactNode;
  trail?: { label: string; to: string }[];
  actions?: ReactNode;
  icon?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Outfitter`;
  }, [title]);
  return (
    // A name of 128 characters may have no space.
    <Stack gap={6} mb="lg" style={{ overflowWrap: 'anywhere' }}>
      {trail !== undefined && (
        <Breadcrumbs separatorMargin={6} styles={{ breadcrumb: { whiteSpace: 'normal' } }}>
          {trail.map((step) => (
            <Anchor key={step.to} component={Link} to={step.to} size="sm">
              {step.label}
            </Anchor>
          ))}
        </Breadcrumbs>
      )}
      <Group justify="space-between" align="flex-start" gap="md">
        <Group gap="md" wrap="nowrap" align="center">
          {icon}
          <div>
            <Title order={1} size="h2">
              {title}
            </Title>
            {sub !== undefined && (
              <Text c="dimmed" component="div" mt={2}>
                {sub}
              </Text>
            )}
          </div>
        </Group>
        {actions !== undefined && <Group gap="xs">{actions}</Group>}
      </Group>
    </Stack>
  );
}

/** A page that could not be read: with a head, and the way back. */
export function PageProblem({ title, error, trail, onRetry }: { title: string; error: Error; trail?: { label: string; to: string }[]; onRetry?: () => void }) {
  return (
    <>
      <PageHead title={title} {...(trail === undefined ? {} : { trail })} />
      <Problem error={error} {...(onRetry === undefined ? {} : { onRetry })} />
    </>
  );
}

/** The page of something that is not there, or no longer: says so, and leads to all of its kind. */
export function PageGone({ title, icon, gone, text, all }: { title: string; icon: ReactNode; gone: string; text: string; all: { label: string; to: string } }) {
  return (
    <>
      <PageHead title={title} />
      <section className="panel">
        <Empty
          icon={icon}
          title={gone}
          action={
            <Button component={Link} to={all.to} variant="default">
              {all.label}
            </Button>
          }
        >
          {text}
        </Empty>
      </section>
    </>
  );
}

/** The place of a page that is being read. */
export function PageWaiting() {
  return (
    <Stack gap="lg" role="status" aria-label="…">
      <Skeleton h={34} w={280} maw="70%" />
      <Skeleton h={110} radius={12} />
      <Skeleton h={220} radius={12} />
    </Stack>
  );
}

export function Panel({ title, action, children, pad = true }: { title?: string; action?: ReactNode; children: ReactNode; pad?: boolean }) {
  return (
    <section className={`panel ${pad ? 'panel-pad' : ''}`} aria-label={title}>
      {title !== undefined && (
        <Group justify="space-between" mb="md" px={pad ? 0 : 'var(--pad)'} pt={pad ? 0 : 16} gap="xs">
          <Title order={2} size="h5">
            {title}
          </Title>
          {action}
        </Group>
      )}
      {children}
    </section>
  );
}

/** What is known of a thing, each with its name; a dash stands for what is not. `fw`: values that are long are not bold. */
export function Facts({ rows, cols, fw = 550 }: { rows: [label: string, value: ReactNode][]; fw?: number } & Pick<SimpleGridProps, 'cols'>) {
  return (
    <SimpleGrid cols={cols}>
      {rows.map(([label, value]) => (
        <div key={label}>
          <Text size="sm" c="dimmed">
            {label}
          </Text>
          <Text size="sm" fw={fw} component="div" style={{ overflowWrap: 'anywhere' }}>
            {value === undefined || value === '' ? '–' : value}
          </Text>
        </div>
      ))}
    </SimpleGrid>
  );
}

/** An instant: how long ago, with the exact time as its tooltip. */
export function When({ at }: { at: string | undefined }) {
  const { language } = useTexts();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 15_000);
    return () => window.clearInterval(timer);
  }, []);
  if (at === undefined || at === '') return <>–</>;
  const date = new Date(at);
  const locale = localeOf(language);
  return (
    <time dateTime={at} title={date.toLocaleString(locale)}>
      {relative(date.getTime() - now, locale)}
    </time>
  );
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
];

/** A difference in milliseconds in words. */
export function relative(millis: number, locale: string): string {
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' });
  const [unit, size] = STEPS.find(([, size]) => Math.abs(millis) >= size) ?? (['second', 1_000] as const);
  // Chinese has a space between a number and what is counted, here as in the console's own texts.
  return format.format(Math.trunc(millis / size), unit).replace(/(\d)(?=\p{Script=Han})/u, '$1 ');
}

/** A size in bytes in words, powers of 1000. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${at === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[at] ?? ''}`;
}

export function Copy({ text }: { text: string }) {
  const { t } = useTexts();
  const { copied, error, copy } = useClipboard({ timeout: 1000 });
  // Over plain HTTP browsers let no page write to the clipboard.
  const label = copied ? t('action.copied') : error !== null ? t('action.not-copied') : t('action.copy');
  return (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" onClick={() => copy(text)} aria-label={label}>
        {copied ? <IconCheck size={16} /> : error !== null ? <IconX size={16} /> : <IconCopy size={16} />}
      </ActionIcon>
    </Tooltip>
  );
}

/** A search box whose text lives in the address. */
export function SearchBox({ label, name = 'q' }: { label: string; name?: string }) {
  const [kept, keep] = useInAddress(name);
  const [text, setText] = useState(kept);
  // What this box put into the address may come back later than the next letter is typed.
  const sent = useRef(kept);
  useEffect(() => {
    if (kept === sent.current) return;
    sent.current = kept;
    setText(kept);
  }, [kept]);
  useEffect(() => {
    if (text === sent.current) return;
    const timer = window.setTimeout(() => {
      sent.current = text;
      keep(text);
    }, 250);
    return () => window.clearTimeout(timer);
  }, [text, keep]);
  return (
    <TextInput
      type="search"
      aria-label={label}
      placeholder={label}
      leftSection={<IconSearch size={16} />}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      className="search"
    />
  );
}

/** How many there are, and the way to the other pages. A list that has become shorter is shown by its last page. */
export function Pages({
  count,
  size,
  page,
  settled = true,
  onPage,
}: {
  count: number;
  size: number;
  page: number;
  /** Whether `count` is of the list that is asked for: what stands in for its answer may be of another one. */
  settled?: boolean;
  onPage: (page: number) => void;
}) {
  const { t } = useTexts();
  const pages = Math.max(1, Math.ceil(count / size));
  const isBehind = settled && page > pages;
  useEffect(() => {
    if (isBehind) onPage(pages);
  });
  return (
    <Group justify="space-between" className="pages">
      <Text size="sm" c="dimmed" role="status">
        {t('list.count', { n: count })}
      </Text>
      {pages > 1 && (
        <Pagination
          total={pages}
          value={page}
          onChange={onPage}
          size="sm"
          getControlProps={(control) => ({ 'aria-label': t(control === 'next' ? 'list.next' : 'list.previous') })}
          getItemProps={(item) => ({ 'aria-label': t('list.page', { n: item }) })}
        />
      )}
    </Group>
  );
}

/**
 * A table in a panel. On a phone each row becomes a card whose cells carry their column's name; the names stand in custom
 * properties, because only the stylesheet knows where there is no room for columns.
 */
export function ListTable({
  label,
  head,
  least = 640,
  titled = true,
  children,
}: {
  label: string;
  head: (string | { hidden: string })[];
  least?: number;
  /** Whether the first column names the row, as a card's title. */
  titled?: boolean;
  children: ReactNode;
}) {
  const names = Object.fromEntries(
    head.flatMap((cell, place) => {
      const column = `--column-${place + 1}`;
      return typeof cell === 'string' ? [[column, JSON.stringify(cell)]] : [[column, '""'], [`${column}-room`, '0px'], [`${column}-gap`, '0px']];
    }),
  );
  return (
    <div className="scroll" role="region" aria-label={label} tabIndex={0}>
      <Table className="list" data-titled={titled || undefined} data-acts={typeof head.at(-1) === 'object' || undefined} verticalSpacing="sm" horizontalSpacing={14} highlightOnHover style={{ ...names, '--least': `${least}px` }}>
        <Table.Thead>
          <Table.Tr>
            {head.map((cell) =>
              typeof cell === 'string' ? (
                <Table.Th key={cell}>
                  <Text size="xs" fw={600} c="dimmed">
                    {cell}
                  </Text>
                </Table.Th>
              ) : (
                <Table.Th key={cell.hidden}>
                  <VisuallyHidden>{cell.hidden}</VisuallyHidden>
                </Table.Th>
              ),
            )}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>{children}</Table.Tbody>
      </Table>
    </div>
  );
}

/** The panel of a list: what went wrong stands in its place, and until it was read its outline. */
export function ListPanel({ list, children }: { list: { data: unknown; error: Error | null; refetch: () => unknown }; children: ReactNode }) {
  return (
    <>
      {list.error !== null && (
        <div style={{ marginBottom: list.data === undefined ? 0 : 16 }}>
          <Problem error={list.error} onRetry={() => void list.refetch()} />
        </div>
      )}
      {list.data !== undefined && <section className="panel">{children}</section>}
      {list.data === undefined && list.error === null && <Skeleton h={240} radius={12} />}
    </>
  );
}

/** An app's icon, or its first letter. */
export function AppIcon({ app, size = 40 }: { app: Pick<Shape<'Application'>, 'name' | 'app_icon_url'> | undefined; size?: number }) {
  if (app === undefined) {
    return (
      <Avatar size={size} radius={10} aria-hidden>
        <IconPackage size={size * 0.5} />
      </Avatar>
    );
  }
  const hue = [...app.name].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 360, 7);
  return (
    <Avatar
      size={size}
      radius={10}
      src={app.app_icon_url === undefined || app.app_icon_url === '' ? null : app.app_icon_url}
      alt=""
      styles={{ placeholder: { background: `hsl(${hue} 45% 38%)`, color: '#fff', fontWeight: 700, fontSize: size * 0.42 } }}
    >
      <span aria-hidden>{[...app.name][0]?.toUpperCase()}</span>
    </Avatar>
  );
}

export type JobStatus = Shape<'JobStatus'>;

export const JOB_TONE: Record<JobStatus, Tone> = { INIT: 'wait', WAITING: 'busy', SUCCESS: 'ok', FAIL: 'bad' };

/** What of a job tells how it stands. */
interface Judged {
  job_status: JobStatus;
  proof?: Shape<'JobEvent'>['proof'];
}

/** A success that nothing but the installer's exit code tells, or whose receipt proves nothing. */
export const isUnverified = ({ job_status, proof }: Judged) => job_status === 'SUCCESS' && (proof === 'exit_code_only' || proof === 'receipt_invalid');

/** How far a job is; an unverified success is no success like the others. */
export function JobPill({ job }: { job: Judged }) {
  const { t } = useTexts();
  if (isUnverified(job)) return <Pill tone="care">{t('job.unverified')}</Pill>;
  return <Pill tone={JOB_TONE[job.job_status]}>{t(`job.${job.job_status}`)}</Pill>;
}

export interface Share {
  tone: Tone;
  label: string;
  count: number;
  /** The list of them. */
  to?: string;
}

/** Shares of a whole as one bar; the numbers are said in words too. */
export function ShareBar({ shares }: { shares: Share[] }) {
  const text = shares.map((share) => `${share.label}: ${share.count}`).join(', ');
  return (
    <div className="bar" role="img" aria-label={text} title={text}>
      {shares
        .filter((share) => share.count > 0)
        .map((share) => (
          <span key={share.label} className={`tone-${share.tone}`} style={{ flexGrow: share.count, flexBasis: 0 }} />
        ))}
    </div>
  );
}

export function Legend({ shares }: { shares: Share[] }) {
  return (
    <div className="legend">
      {shares.map((share) => (
        <span key={share.label}>
          <span className={`tone-${share.tone}`} aria-hidden />
          {share.to === undefined ? (
            share.label
          ) : (
            <Anchor component={Link} to={share.to} inherit>
              {share.label}
            </Anchor>
          )}{' '}
          <b>{share.count}</b>
        </span>
      ))}
    </div>
  );
}

/** What a form does when it is submitted. */
interface FormProps {
  save: Pick<UseMutationResult<unknown, Error, void>, 'mutate' | 'isPending' | 'error' | 'reset'>;
  submit: string;
  /** What leaving says where "Cancel" could be taken for the act. */
  leave?: string | undefined;
  onClose: () => void;
  disabled?: boolean | undefined;
  destructive?: boolean;
  children: ReactNode;
}

/** Fields, what went wrong, and the buttons to leave and to go on. */
export function DialogForm({ save, submit, leave, onClose, disabled = false, destructive = false, children }: FormProps) {
  const { t } = useTexts();
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!disabled) save.mutate();
      }}
    >
      <Stack>
        {children}
        {save.error !== null && <Problem error={save.error} />}
        <Group justify="flex-end" className="dialog-acts">
          <Button variant="default" onClick={onClose}>
            {leave ?? t('action.cancel')}
          </Button>
          <Button type="submit" disabled={disabled} loading={save.isPending} {...(destructive ? { color: 'red' } : {})}>
            {submit}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** A form in a dialog of its own. What went wrong when it was open before is not told again. */
export function FormDialog({ title, opened, size = 'md', ...form }: FormProps & Pick<ModalProps, 'title' | 'opened' | 'size'>) {
  const { t } = useTexts();
  const { reset } = form.save;
  useEffect(() => {
    if (opened) reset();
  }, [opened, reset]);
  return (
    <Modal
      opened={opened}
      onClose={form.onClose}
      title={title}
      size={size}
      closeButtonProps={{ 'aria-label': t('action.close') }}
      centered
    >
      <DialogForm {...form} />
    </Modal>
  );
}

/** A password, which can be looked at. */
export function PasswordField(props: PasswordInputProps) {
  const { t } = useTexts();
  return <PasswordInput visibilityToggleButtonProps={{ 'aria-label': t('login.show') }} {...props} />;
}

/** A password of an administrator's account that is made anew, with its rule. */
export function NewPasswordField(props: PasswordInputProps) {
  const { t } = useTexts();
  return (
    <PasswordField
      label={t('access.new-password')}
      description={t('access.password-rule')}
      required
      minLength={12}
      maxLength={128}
      autoComplete="new-password"
      {...props}
    />
  );
}

/** Where files are dropped; `children` say what belongs here, and let them be chosen too. */
export function DropZone({ label, onFiles, children }: { label: string; onFiles: (files: FileList) => void; children: ReactNode }) {
  const [over, setOver] = useState(false);
  return (
    <section
      className="drop"
      data-over={over}
      aria-label={label}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        onFiles(event.dataTransfer.files);
      }}
    >
      <Stack align="center" gap="xs">
        {children}
      </Stack>
    </section>
  );
}

/** Asks for the name before something is destroyed, and says what that does. */
export function ConfirmByName({
  name,
  title,
  effect,
  action,
  leave,
  opened,
  onClose,
  onConfirm,
}: {
  name: string;
  title: string;
  effect: ReactNode;
  action: string;
  leave?: string;
  opened: boolean;
  onClose: () => void;
  onConfirm: () => Promise<unknown>;
}) {
  const { t } = useTexts();
  const [text, setText] = useState('');
  const confirm = useMutation({ mutationFn: onConfirm, onSuccess: onClose });
  const { reset } = confirm;
  useEffect(() => {
    setText('');
    reset();
  }, [opened, reset]);
  return (
    <FormDialog title={title} opened={opened} onClose={onClose} submit={action} leave={leave} destructive disabled={text !== name} save={confirm}>
      <Text component="div" size="sm">
        {effect}
      </Text>
      <TextInput
        data-autofocus
        label={t('confirm.type', { name })}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        autoComplete="off"
      />
    </FormDialog>
  );
}

/** A secret that is shown once. */
export function SecretOnce({ rows, note }: { rows: { label: string; value: string }[]; note: string }) {
  return (
    <Stack>
      <Text size="sm">{note}</Text>
      {rows.map((row) => (
        <Paper key={row.label} withBorder p="sm">
          <Text size="xs" c="dimmed">
            {row.label}
          </Text>
          <Group justify="space-between" wrap="nowrap">
            <Text ff="monospace" size="sm" style={{ overflowWrap: 'anywhere' }}>
              {row.value}
            </Text>
            <Copy text={row.value} />
          </Group>
        </Paper>
      ))}
    </Stack>
  );
}

/** The name of a message's button; messages are said outside of components too. */
const closing = () => ({ 'aria-label': write(languageNow(), 'action.close') });

export function say(message: string): void {
  notifications.show({ message, color: 'indigo', withBorder: true, closeButtonProps: closing() });
}

/** Says that an act failed, with the request id. */
export function sayProblem(error: unknown, title: string): void {
  const problem = error instanceof ApiProblem ? error : undefined;
  const said = error instanceof Error ? error.message : String(error);
  const message = problem?.status === 0 ? write(languageNow(), 'problem.unreachable') : said;
  notifications.show({
    title,
    message: problem !== undefined && problem.requestId !== '' ? `${message} (${problem.requestId})` : message,
    color: 'red',
    withBorder: true,
    closeButtonProps: closing(),
    autoClose: 12_000,
  });
}
