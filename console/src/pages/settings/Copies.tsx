import { Alert, Anchor, Button, Group, Select, Stack, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../../api/client';
import { Choice, Panel, say, When } from '../../components/parts';
import { Problem } from '../../components/states';
import { useCopies, useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { usePath, useProject } from '../../session';
import { standingOf } from '../../tokens';

type Token = Shape<'EnrollmentToken'>;

/** Tokens to choose from, newest first. Source: the operation's own maximum. */
const NEWEST = 100;

/** What becomes of a machine that connects with a copy of a desktop's key. */
export function Copies() {
  const { t } = useTexts();
  const path = usePath();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const params = { path: { project_id } };
  const kept = useCopies();
  const tokens = useQuery({
    queryKey: ['tokens', project_id, 'newest'],
    queryFn: () => ok(api.GET('/api/v1/{project_id}/enrollment-tokens', { params: { ...params, query: { limit: NEWEST, offset: 0 } } })),
  });
  const [mode, setMode] = useState<'refuse' | 'enroll'>('refuse');
  const [chosen, setChosen] = useState<string | null>(null);
  const stored = kept.data;
  useEffect(() => {
    if (stored === undefined) return;
    setMode(stored.token_id === undefined ? 'refuse' : 'enroll');
    setChosen(stored.token_id ?? null);
  }, [stored]);
  const save = useMutation({
    mutationFn: () => ok(api.PUT('/api/v1/{project_id}/copies', { params, body: { token_id: mode === 'refuse' ? null : chosen } })),
    onSuccess: () => {
      say(t('app.saved'));
      return refresh('copies');
    },
  });
  const items = tokens.data?.items ?? [];
  // The one that is set stays to be seen, also when it is good for nobody any more.
  const offered = items.filter((token) => token.id === stored?.token_id || standingOf(token, Date.now()) === 'valid');
  const options = offered.map((token) => ({ value: token.id, label: token.name }));
  if (stored?.token_id !== undefined && !offered.some(({ id }) => id === stored.token_id)) options.push({ value: stored.token_id, label: stored.token_name ?? stored.token_id });
  const token = items.find(({ id }) => id === chosen);
  return (
    <Panel title={t('copies.title')}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          {kept.error !== null && <Problem error={kept.error} />}
          {tokens.error !== null && <Problem error={tokens.error} />}
          <Text size="sm" c="dimmed">
            {t('copies.text')}
          </Text>
          <div>
            <Choice
              aria-label={t('copies.title')}
              value={mode}
              disabled={stored === undefined}
              onChange={(value) => setMode(value as typeof mode)}
              data={[
                { value: 'refuse', label: t('copies.refuse') },
                { value: 'enroll', label: t('copies.enroll') },
              ]}
            />
          </div>
          <Text size="sm">{t(mode === 'refuse' ? 'copies.refuse-text' : 'copies.enroll-text')}</Text>
          {mode === 'enroll' && tokens.data !== undefined && options.length === 0 && (
            <Text size="sm">
              {t('copies.no-token')}{' '}
              <Anchor component={Link} to={path('desktops?enroll=1')} size="sm">
                {t('desktop.enroll')}
              </Anchor>
            </Text>
          )}
          {mode === 'enroll' && options.length > 0 && (
            <Select
              label={t('copies.token')}
              placeholder={t('copies.choose')}
              required
              searchable
              allowDeselect={false}
              maw={420}
              data={options}
              value={chosen}
              onChange={setChosen}
              renderOption={({ option }) => <Option name={option.label} token={items.find(({ id }) => id === option.value)} />}
            />
          )}
          {mode === 'enroll' && token !== undefined && <What token={token} />}
          {save.error !== null && <Problem error={save.error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={save.isPending} disabled={stored === undefined || (mode === 'enroll' && chosen === null)}>
              {t('action.save')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Panel>
  );
}

function Option({ name, token }: { name: string; token: Token | undefined }) {
  return (
    <div>
      <Text size="sm">{name}</Text>
      {token !== undefined && (
        <Text size="xs" c="dimmed">
          <Limits token={token} />
        </Text>
      )}
    </div>
  );
}

/** Whom a token lets in: all its limits in one line. */
function Limits({ token }: { token: Token }) {
  const { t } = useTexts();
  return (
    <>
      {t(token.needs_approval ? 'copies.with-approval' : 'copies.without-approval')} ·{' '}
      {token.max_uses === undefined ? t('copies.any-uses') : t('copies.uses-left', { n: Math.max(0, token.max_uses - token.uses) })} ·{' '}
      {token.networks.length === 0 ? t('copies.any-network') : t('copies.networks', { networks: token.networks.join(', ') })} ·{' '}
      {token.expires_at === undefined ? (
        t('copies.no-end')
      ) : (
        <>
          {t('copies.ends')} <When at={token.expires_at} />
        </>
      )}
    </>
  );
}

/** What the chosen token means for copies. */
function What({ token }: { token: Token }) {
  const { t } = useTexts();
  const standing = standingOf(token, Date.now());
  const care = standing === 'valid' ? (token.needs_approval ? undefined : 'copies.no-approval') : 'copies.over';
  return (
    <Stack gap="xs" role="status">
      {standing === 'valid' && (
        <Text size="sm">
          <Limits token={token} />
        </Text>
      )}
      {care === undefined ? (
        <Text size="sm">{t('copies.approval-text')}</Text>
      ) : (
        <Alert variant="outline" color="yellow" title={t(care)}>
          {t(`${care}-text`)}
        </Alert>
      )}
    </Stack>
  );
}
