import {
  ActionIcon,
  Alert,
  Button,
  Checkbox,
  Code,
  Group,
  JsonInput,
  List,
  SegmentedControl,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { api, ok, type Shape } from '../../api/client';
import { ConfirmByName, Panel, say } from '../../components/parts';
import { Problem } from '../../components/states';
import { useApp, useRefresh } from '../../data';
import { useTexts, type Write } from '../../i18n';
import { useProject } from '../../session';
import { TryOut, type ChosenDesktops } from './TryOut';

type Rule = Shape<'DetectionRule'>;

/** A detection rule as text, a line for each of its parts, deeper ones moved in. */
export function ruleText(rule: Rule, t: Write, depth = 0): string {
  const indent = '  '.repeat(depth);
  if ('file' in rule) {
    const { path, sha256, size_bytes } = rule.file;
    const more = [sha256 ? `SHA-256 ${sha256}` : '', size_bytes === undefined || size_bytes === null ? '' : `${size_bytes} B`].filter((part) => part !== '');
    return `${indent}${t('rule.file')} ${[path, ...more].join(', ')}`;
  }
  if ('debian_package' in rule) return `${indent}${t('rule.package')} ${rule.debian_package.name} ${rule.debian_package.version ?? t('rule.any-version')}`;
  if ('rpm_package' in rule) return `${indent}${t('rule.rpm')} ${rule.rpm_package.name} ${rule.rpm_package.version ?? t('rule.any-version')}`;
  if ('script' in rule) return `${indent}${t('rule.script')} ${rule.script.script} ${(rule.script.exit_codes ?? [0]).join(', ')}`;
  if ('registry_value' in rule) return `${indent}${t('rule.registry')} ${registryWords(rule.registry_value)}`;
  if ('msi_product' in rule) return `${indent}${t('rule.msi')} ${rule.msi_product.product_code} ${rule.msi_product.version ?? t('rule.any-version')}`;
  if ('not' in rule) return `${indent}${t('rule.not')}\n${ruleText(rule.not, t, depth + 1)}`;
  const [word, parts] = 'all' in rule ? [t('rule.all'), rule.all] : [t('rule.any'), rule.any];
  return [`${indent}${word}`, ...parts.map((part) => ruleText(part, t, depth + 1))].join('\n');
}

function registryWords(value: Extract<Rule, { registry_value: unknown }>['registry_value']): string {
  return [value.key, value.name, value.data].filter((part) => part !== undefined && part !== null).join(' ');
}

/** A detection rule in words, nested rules as nested lists; `not`: what must not be. */
export function RuleView({ rule, not = false }: { rule: Rule; not?: boolean }) {
  const { t } = useTexts();
  if ('file' in rule) {
    return (
      <Text size="sm" component="span" style={{ overflowWrap: 'anywhere' }}>
        {t(not ? 'rule.file-not-there' : 'rule.file-there')} <Code>{rule.file.path}</Code>
        {rule.file.sha256 !== undefined && rule.file.sha256 !== null && (
          <>
            {' '}
            {t('rule.with-digest')} <Code title={rule.file.sha256}>{rule.file.sha256.slice(0, 12)}…</Code>
          </>
        )}
        {rule.file.size_bytes !== undefined && rule.file.size_bytes !== null && ` · ${rule.file.size_bytes.toLocaleString()} B`}
      </Text>
    );
  }
  if ('debian_package' in rule) {
    return (
      <Text size="sm" component="span">
        {t(not ? 'rule.package-not-there' : 'rule.package-there')} <Code>{rule.debian_package.name}</Code> {rule.debian_package.version ?? t('rule.any-version')}
      </Text>
    );
  }
  if ('not' in rule) {
    if ('file' in rule.not || 'debian_package' in rule.not) return <RuleView rule={rule.not} not />;
    return (
      <>
        <Text size="sm" component="span">
          {t('rule.not')}{' '}
        </Text>
        <RuleView rule={rule.not} />
      </>
    );
  }
  if ('rpm_package' in rule) {
    return (
      <Text size="sm" component="span">
        {t('rule.rpm')} <Code>{rule.rpm_package.name}</Code> {rule.rpm_package.version ?? t('rule.any-version')}
      </Text>
    );
  }
  if ('script' in rule) {
    return (
      <Text size="sm" component="span" style={{ overflowWrap: 'anywhere' }}>
        {t('rule.script')} <Code>{rule.script.script}</Code> {(rule.script.exit_codes ?? [0]).join(', ')}
      </Text>
    );
  }
  if ('registry_value' in rule) {
    return (
      <Text size="sm" component="span" style={{ overflowWrap: 'anywhere' }}>
        {t('rule.registry')} <Code>{registryWords(rule.registry_value)}</Code>
      </Text>
    );
  }
  if ('msi_product' in rule) {
    return (
      <Text size="sm" component="span">
        {t('rule.msi')} <Code>{rule.msi_product.product_code}</Code> {rule.msi_product.version ?? t('rule.any-version')}
      </Text>
    );
  }
  const [word, parts] = 'all' in rule ? [t('rule.all'), rule.all] : [t('rule.any'), rule.any];
  return (
    <>
      <Text size="sm">{word}</Text>
      <List size="sm" withPadding>
        {parts.map((part, index) => (
          <List.Item key={index}>
            <RuleView rule={part} />
          </List.Item>
        ))}
      </List>
    </>
  );
}

/** One condition while it is edited. */
interface Condition {
  kind: 'file' | 'package';
  not: boolean;
  /** Path, or name of the package. */
  what: string;
  /** SHA-256, or version; empty: any. */
  exact: string;
}

const NEW: Condition = { kind: 'file', not: false, what: '', exact: '' };

function ruleOf({ kind, not, what, exact }: Condition): Rule {
  const more = exact.trim();
  const rule: Rule =
    kind === 'file'
      ? { file: { path: what.trim(), ...(more === '' ? {} : { sha256: more.toLowerCase() }) } }
      : { debian_package: { name: what.trim(), ...(more === '' ? {} : { version: more }) } };
  return not ? { not: rule } : rule;
}

function conditionOf(rule: Rule): Condition | undefined {
  if ('not' in rule) {
    const inner = conditionOf(rule.not);
    return inner === undefined || inner.not ? undefined : { ...inner, not: true };
  }
  if ('file' in rule) {
    // A size has no field here: such a rule is edited as JSON.
    if (rule.file.size_bytes !== undefined && rule.file.size_bytes !== null) return undefined;
    return { kind: 'file', not: false, what: rule.file.path, exact: rule.file.sha256 ?? '' };
  }
  if ('debian_package' in rule) return { kind: 'package', not: false, what: rule.debian_package.name, exact: rule.debian_package.version ?? '' };
  return undefined;
}

/** A rule as conditions that all or any must hold; a deeper one has no such form. */
export function conditionsOf(rule: Rule): { join: 'all' | 'any'; conditions: Condition[] } | undefined {
  const join = 'any' in rule ? 'any' : 'all';
  const parts = 'all' in rule ? rule.all : 'any' in rule ? rule.any : [rule];
  const conditions = parts.map(conditionOf);
  return conditions.every((condition) => condition !== undefined) ? { join, conditions } : undefined;
}

/** The newest revision of an app, with the rule that is in force. */
export function useDetection(appId: string) {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['detection', project_id, appId],
    queryFn: () => ok(api.GET('/api/v1/{project_id}/apps/{app_id}/detection-rule', { params: { path: { project_id, app_id: appId } } })),
  });
}

export function Detection({ appId, isArchive }: { appId: string; isArchive: boolean }) {
  const revision = useDetection(appId);
  // Chosen for as long as the page is open: a rule that is set makes a new revision, and so a new form.
  const [desktops, setDesktops] = useState<ReadonlyMap<string, string>>(new Map());
  if (revision.error !== null && revision.data === undefined) return <Problem error={revision.error} />;
  if (revision.data === undefined) return null;
  // A form of its own for each revision: it begins with the rule that is in force.
  return (
    <Rules
      key={revision.data.id}
      appId={appId}
      isArchive={isArchive}
      revision={revision.data}
      desktops={desktops}
      onDesktops={setDesktops}
    />
  );
}

interface RulesProps extends ChosenDesktops {
  appId: string;
  isArchive: boolean;
  revision: Shape<'AppRevision'>;
}

function Rules({ appId, isArchive, revision, desktops, onDesktops }: RulesProps) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const rule = revision.detection_rule;
  const known = rule === undefined ? { join: 'all' as const, conditions: [NEW] } : conditionsOf(rule);
  const { app } = useApp(appId);
  const [removing, setRemoving] = useState(false);
  const [own, setOwn] = useState(known === undefined);
  const [join, setJoin] = useState<'all' | 'any'>(known?.join ?? 'all');
  const [conditions, setConditions] = useState<Condition[]>(known?.conditions ?? [NEW]);
  const [json, setJson] = useState(rule === undefined ? '' : JSON.stringify(rule, null, 2));
  const set = useMutation({
    mutationFn: (next: Rule | null) =>
      ok(api.PUT('/api/v1/{project_id}/apps/{app_id}/detection-rule', { params: { path: { project_id, app_id: appId } }, body: { rule: next } })),
    onSuccess: (_, next) => {
      say(t(next === null ? 'detection.removed' : 'detection.saved'));
      return refresh('detection', 'revisions');
    },
  });
  const draft = (): Rule | undefined => {
    if (own) {
      try {
        const written: unknown = JSON.parse(json);
        return typeof written === 'object' && written !== null && !Array.isArray(written) ? (written as Rule) : undefined;
      } catch {
        return undefined;
      }
    }
    if (conditions.some((condition) => condition.what.trim() === '')) return undefined;
    const rules = conditions.map(ruleOf);
    const [only, ...rest] = rules;
    if (only === undefined) return undefined;
    return rest.length === 0 ? only : join === 'all' ? { all: rules } : { any: rules };
  };
  const ready = draft();
  const change = (index: number, part: Partial<Condition>) =>
    setConditions(conditions.map((condition, place) => (place === index ? { ...condition, ...part } : condition)));
  return (
    <Stack gap="lg">
      <Panel title={t('detection.now')}>
        {rule === undefined && isArchive && (
          <Alert variant="outline" title={t('detection.none-archive')}>
            {t('detection.none-archive-text')}
          </Alert>
        )}
        {rule === undefined && !isArchive && (
          <Alert variant="outline" color="yellow" title={t('detection.none')}>
            {t('detection.none-text')}
          </Alert>
        )}
        {rule !== undefined && (
          <Stack gap="sm">
            <RuleView rule={rule} />
            <Group gap="xs">
              <Text size="sm" c="dimmed">
                {revision.detection_origin === 'derived' ? t('detection.derived') : t('detection.written')}
              </Text>
              <Button size="xs" variant="default" onClick={() => setRemoving(true)}>
                {t('detection.remove')}
              </Button>
            </Group>
          </Stack>
        )}
      </Panel>
      <Panel
        title={rule === undefined ? t('detection.change') : t('detection.edit')}
        action={
          <SegmentedControl
            size="xs"
            aria-label={t('detection.kind')}
            value={own ? 'json' : 'words'}
            onChange={(value) => {
              if (value === 'json') {
                if (ready !== undefined) setJson(JSON.stringify(ready, null, 2));
                setOwn(true);
              } else {
                const found = ready === undefined ? undefined : conditionsOf(ready);
                if (found !== undefined) {
                  setJoin(found.join);
                  setConditions(found.conditions);
                }
                setOwn(false);
              }
            }}
            data={[
              { value: 'words', label: t('detection.words') },
              { value: 'json', label: 'JSON' },
            ]}
          />
        }
      >
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (ready !== undefined) set.mutate(ready);
          }}
        >
          <Stack maw={760}>
            <Text size="sm" c="dimmed">
              {t('detection.text')}
            </Text>
            {!own && (
              <>
                {conditions.length > 1 && (
                  <SegmentedControl
                    aria-label={t('detection.join')}
                    value={join}
                    onChange={(value) => setJoin(value as typeof join)}
                    data={[
                      { value: 'all', label: t('detection.all') },
                      { value: 'any', label: t('detection.any') },
                    ]}
                  />
                )}
                {conditions.map((condition, index) => (
                  <div key={index} className="panel" style={{ padding: 12 }} role="group" aria-label={t('detection.condition', { n: index + 1 })}>
                    <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
                      <Select
                        label={t('detection.look')}
                        allowDeselect={false}
                        data={[
                          { value: 'file', label: t('rule.file') },
                          { value: 'package', label: t('rule.package') },
                        ]}
                        value={condition.kind}
                        onChange={(value) => value !== null && change(index, { kind: value as Condition['kind'], what: '', exact: '' })}
                      />
                      <TextInput
                        label={condition.kind === 'file' ? (condition.not ? t('detection.path-not') : t('detection.path')) : t('detection.package')}
                        placeholder={condition.kind === 'file' ? '/opt/editor/bin/editor' : 'hello'}
                        value={condition.what}
                        onChange={(event) => change(index, { what: event.currentTarget.value })}
                      />
                      <TextInput
                        label={condition.kind === 'file' ? t('detection.digest') : t('detection.version')}
                        value={condition.exact}
                        onChange={(event) => change(index, { exact: event.currentTarget.value })}
                      />
                      <Group justify="space-between" align="center" pt={{ base: 0, xs: 24 }}>
                        <Checkbox label={t('detection.must-not')} checked={condition.not} onChange={(event) => change(index, { not: event.currentTarget.checked })} />
                        {conditions.length > 1 && (
                          <ActionIcon
                            variant="default"
                            size="lg"
                            aria-label={t('action.remove-this', { name: t('detection.condition', { n: index + 1 }) })}
                            onClick={() => setConditions(conditions.filter((_, place) => place !== index))}
                          >
                            <IconTrash size={16} />
                          </ActionIcon>
                        )}
                      </Group>
                    </SimpleGrid>
                  </div>
                ))}
                <Group>
                  <Button size="xs" variant="default" leftSection={<IconPlus size={14} />} onClick={() => setConditions([...conditions, NEW])}>
                    {t('detection.add')}
                  </Button>
                </Group>
              </>
            )}
            {own && (
              <JsonInput
                label={t('detection.json')}
                description={
                  <>
                    {t('detection.example')} <Code style={{ overflowWrap: 'anywhere' }}>{'{"all": [{"file": {"path": "/opt/a"}}, {"not": {"file": {"path": "/opt/b"}}}]}'}</Code>
                  </>
                }
                validationError={t('detection.bad-json')}
                autosize
                minRows={4}
                value={json}
                onChange={setJson}
              />
            )}
            {set.error !== null && <Problem error={set.error} />}
            <Group>
              <Button type="submit" disabled={ready === undefined} loading={set.isPending}>
                {t('detection.set')}
              </Button>
            </Group>
          </Stack>
        </form>
      </Panel>
      <TryOut appId={appId} edited={ready} inForce={rule} desktops={desktops} onDesktops={onDesktops} />
      <ConfirmByName
        name={app?.name ?? ''}
        title={t('detection.remove-title', { name: app?.name ?? '' })}
        effect={t('detection.remove-effect')}
        action={t('detection.remove')}
        opened={removing}
        onClose={() => setRemoving(false)}
        onConfirm={() => set.mutateAsync(null)}
      />
    </Stack>
  );
}
