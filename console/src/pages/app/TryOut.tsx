import { Alert, Anchor, Button, Group, MultiSelect, Stack, Table, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useMutation } from '@tanstack/react-query';
import { IconTerminal2, IconTestPipe } from '@tabler/icons-react';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../../api/client';
import { Choice, ListTable, Panel, Pill, type Tone } from '../../components/parts';
import { Problem } from '../../components/states';
import { useDesktops } from '../../data';
import { useTexts, type TextKey } from '../../i18n';
import { usePath, useProject } from '../../session';

type Rule = Shape<'DetectionRule'>;
type Answer = Shape<'DetectionAnswer'>;

/** Most desktops that one call asks. Source: the operation's own bound, EvaluateDetectionReq. */
const MOST_ASKED = 20;

/** What came of asking a desktop, as one word. */
export type Verdict = 'holds' | 'not' | 'unknown' | 'offline' | 'silent';

export function verdictOf({ state, holds }: Pick<Answer, 'state' | 'holds'>): Verdict {
  switch (state) {
    case 'evaluated':
      return holds === true ? 'holds' : 'not';
    case 'not_evaluable':
      return 'unknown';
    case 'not_connected':
      return 'offline';
    case 'no_answer':
      return 'silent';
  }
}

const TONES: Record<Verdict, Tone> = { holds: 'ok', not: 'bad', unknown: 'care', offline: 'wait', silent: 'care' };
const WORDS: Record<Verdict, TextKey> = { holds: 'try.holds', not: 'try.not', unknown: 'try.unknown', offline: 'try.offline', silent: 'try.silent' };

/** Whether asking runs something on the desktop. The rule may be JSON as somebody is writing it. */
export function runsScript(rule: unknown): boolean {
  if (Array.isArray(rule)) return rule.some(runsScript);
  if (typeof rule !== 'object' || rule === null) return false;
  return Object.entries(rule).some(([kind, inner]) => kind === 'script' || (['all', 'any', 'not'].includes(kind) && runsScript(inner)));
}

/** Desktops that a rule is tried on: names by id. */
export interface ChosenDesktops {
  desktops: ReadonlyMap<string, string>;
  onDesktops: (desktops: ReadonlyMap<string, string>) => void;
}

interface Props extends ChosenDesktops {
  appId: string;
  edited: Rule | undefined;
  inForce: Rule | undefined;
}

/** Asks desktops whether a rule holds there now, before it is set. Nothing is installed or changed. */
export function TryOut({ appId, edited, inForce, desktops, onDesktops }: Props) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const path = usePath();
  const [which, setWhich] = useState<'edited' | 'force'>('edited');
  const rule = inForce !== undefined && which === 'force' ? inForce : edited;
  const ask = useMutation({
    mutationFn: async (asked: Rule) => {
      const answer = await ok(
        api.POST('/api/v1/{project_id}/apps/{app_id}/actions/evaluate-detection', {
          params: { path: { project_id, app_id: appId } },
          body: { desktop_ids: [...desktops.keys()], rule: asked },
        }),
      );
      return answer.items;
    },
  });
  const answers = ask.data;
  const count = (verdict: Verdict) => answers?.filter((answer) => verdictOf(answer) === verdict).length ?? 0;
  const isStale = rule === undefined || JSON.stringify(rule) !== JSON.stringify(ask.variables);
  const missing = rule === undefined ? t('try.no-rule') : desktops.size === 0 ? t('try.no-desktop') : undefined;
  return (
    <Panel title={t('try.title')}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (rule !== undefined && desktops.size > 0) ask.mutate(rule);
        }}
      >
        <Stack>
          <Text size="sm" c="dimmed" maw={760}>
            {t('try.text')}
          </Text>
          {inForce !== undefined && (
            <div>
              <Choice
                aria-label={t('try.which')}
                value={which}
                onChange={(value) => setWhich(value as typeof which)}
                data={[
                  { value: 'edited', label: t('try.edited') },
                  { value: 'force', label: t('detection.now') },
                ]}
              />
            </div>
          )}
          <Desktops desktops={desktops} onDesktops={onDesktops} />
          {rule !== undefined && runsScript(rule) && (
            <Alert variant="outline" color="yellow" icon={<IconTerminal2 />} maw={760}>
              {t('try.script')}
            </Alert>
          )}
          <Group gap="sm">
            <Button
              type="submit"
              variant="default"
              leftSection={<IconTestPipe size={18} />}
              loading={ask.isPending}
              disabled={missing !== undefined}
              aria-describedby="try-missing"
            >
              {t('try.act')}
            </Button>
            <Text size="sm" c="dimmed" id="try-missing">
              {missing}
            </Text>
          </Group>
        </Stack>
      </form>
      {ask.error !== null && (
        <Stack mt="md">
          <Problem error={ask.error} />
        </Stack>
      )}
      {/* It stands here from the start: a region that comes with its text is not read out. */}
      <div role="status" aria-live="polite" aria-label={t('try.answer')}>
        {ask.isPending && (
          <Text size="sm" mt="md" c="dimmed">
            {t('try.asking', { n: desktops.size })}
          </Text>
        )}
        {answers !== undefined && (
          <Text size="sm" fw={600} mt="lg" mb="xs">
            {t('try.holds-on', { n: count('holds'), all: answers.length })}
            {(['not', 'unknown', 'offline', 'silent'] as const)
              .filter((verdict) => count(verdict) > 0)
              .map((verdict) => ` · ${t('list.colon', { what: t(WORDS[verdict]), more: count(verdict) })}`)}
          </Text>
        )}
      </div>
      {answers !== undefined && isStale && (
        <Text size="sm" c="dimmed" mb="xs">
          {t('try.stale')}
        </Text>
      )}
      {answers !== undefined && (
        <ListTable label={t('try.answer')} least={300} head={[t('job.desktop'), t('try.verdict'), t('try.seen')]}>
          {answers.map((answer) => {
            const verdict = verdictOf(answer);
            return (
              <Table.Tr key={answer.desktop_id}>
                <Table.Td>
                  <Anchor component={Link} to={path(`desktops/${answer.desktop_id}`)} fw={600} size="sm">
                    {answer.desktop_name}
                  </Anchor>
                </Table.Td>
                <Table.Td>
                  <Pill tone={TONES[verdict]}>{t(WORDS[verdict])}</Pill>
                </Table.Td>
                <Table.Td style={{ overflowWrap: 'anywhere' }}>
                  {answer.seen ?? t(verdict === 'offline' ? 'try.offline-text' : verdict === 'silent' ? 'try.silent-text' : 'try.nothing-seen')}
                </Table.Td>
              </Table.Tr>
            );
          })}
        </ListTable>
      )}
    </Panel>
  );
}

/** Proposes desktops that are online; one that is looked for by name and is not says so. */
function Desktops({ desktops: chosen, onDesktops }: ChosenDesktops) {
  const { t } = useTexts();
  const [text, setText] = useState('');
  const [search] = useDebouncedValue(text, 200);
  const online = useDesktops({ name: search, agent: 'online' }, 0, MOST_ASKED);
  const named = useDesktops({ name: search }, 0, MOST_ASKED);
  const isLoading = [online, named].some((list) => list.isPending || list.isPlaceholderData);
  // For some heartbeats the list takes one that went away for online: whom it shows as offline is not proposed.
  const proposed = (online.data?.items ?? []).filter(({ agent }) => search !== '' || agent?.connected === true);
  const known = new Map([...proposed, ...(search === '' ? [] : (named.data?.items ?? []))].map((desktop) => [desktop.id, desktop]));
  const options = new Map([...chosen, ...[...known.values()].map((desktop) => [desktop.id, desktop.name] as const)]);
  return (
    <MultiSelect
      label={t('nav.desktops')}
      description={t('try.desktops-hint', { n: MOST_ASKED })}
      placeholder={chosen.size === 0 ? t('people.search') : ''}
      maw={760}
      searchable
      hidePickedOptions
      maxValues={MOST_ASKED}
      nothingFoundMessage={isLoading ? '…' : search === '' ? t('try.none-online') : t('people.none-found')}
      data={[...options].map(([value, label]) => ({ value, label }))}
      value={[...chosen.keys()]}
      onChange={(ids) => onDesktops(new Map(ids.map((id) => [id, options.get(id) ?? id])))}
      searchValue={text}
      onSearchChange={setText}
      renderOption={({ option }) => {
        const agent = known.get(option.value)?.agent;
        return (
          <Group justify="space-between" w="100%" wrap="nowrap">
            <Text size="sm">{option.label}</Text>
            {agent?.connected === true ? (
              <Pill tone="ok">{t('desktop.online')}</Pill>
            ) : (
              <Pill tone="wait">{agent === undefined ? t('desktop.no-agent') : t('desktop.offline')}</Pill>
            )}
          </Group>
        );
      }}
    />
  );
}
