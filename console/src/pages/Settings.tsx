import { Anchor, Button, Code, Group, SegmentedControl, SimpleGrid, Stack, Switch, Table, Text, useMantineColorScheme } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../api/client';
import { FreezeSwitches } from '../components/Freeze';
import { ConfirmByName, Copy, Facts, ListTable, PageHead, Panel, Pill, sayProblem, When } from '../components/parts';
import { Problem } from '../components/states';
import { useRefresh } from '../data';
import { LANGUAGES, useTexts, type Language } from '../i18n';
import { usePath, useProject, useSession } from '../session';
import { standingOf } from '../tokens';
import { Copies } from './settings/Copies';
import { Downloads } from './settings/Downloads';
import { Networks } from './settings/Networks';
import { LoggedInUsers } from './settings/LoggedInUsers';
import { RunningPrograms } from './settings/RunningPrograms';
import { Store } from './settings/Store';

const FEATURES = ['app_center', 'app_restriction'] as const;

export default function Settings() {
  const { t, language, setLanguage } = useTexts();
  const session = useSession();
  const project = useProject();
  const refresh = useRefresh();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const params = { path: { project_id: project.id } };
  const profiles = useQuery({
    queryKey: ['profiles', project.id],
    queryFn: () => ok(api.GET('/v1/{project_id}/app-center/profiles', { params })),
  });
  const change = useMutation({
    mutationFn: (body: Record<string, boolean>) => ok(api.PATCH('/v1/{project_id}/app-center/profiles', { params, body })),
    onError: (problem) => sayProblem(problem, t('settings.features')),
    onSettled: () => refresh('profiles'),
  });
  const features = profiles.data as Record<string, boolean> | undefined;
  const facts: [string, string][] = [
    [t('settings.version'), session.version],
    [t('settings.region'), session.region],
    [t('settings.domain'), session.domain_name],
    [t('settings.domain-id'), session.domain_id],
    [t('settings.project'), project.name],
    [t('settings.project-id'), project.id],
    [t('settings.endpoint'), window.location.origin],
    [t('settings.iam-endpoint'), `${window.location.origin}/v3`],
  ];
  return (
    <>
      <PageHead title={t('nav.settings')} sub={t('settings.sub')} />
      <Stack gap="lg">
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
          <Panel title={t('settings.look')}>
            <Stack>
              <SegmentedControl
                aria-label={t('settings.scheme')}
                value={colorScheme}
                onChange={(value) => setColorScheme(value as typeof colorScheme)}
                data={[
                  { value: 'auto', label: t('settings.auto') },
                  { value: 'light', label: t('settings.light') },
                  { value: 'dark', label: t('settings.dark') },
                ]}
              />
              <SegmentedControl
                aria-label={t('shell.language')}
                value={language}
                onChange={(value) => setLanguage(value as Language)}
                data={Object.entries(LANGUAGES).map(([value, label]) => ({ value, label }))}
              />
            </Stack>
          </Panel>
          <Panel title={t('settings.features')}>
            {profiles.error !== null && <Problem error={profiles.error} />}
            <Stack>
              {FEATURES.map((name) => (
                <Switch
                  key={name}
                  label={t(`feature.${name}`)}
                  description={t(`feature.${name}.text`)}
                  checked={features?.[name] ?? false}
                  disabled={features === undefined || change.isPending}
                  onChange={(event) => change.mutate({ [name]: event.currentTarget.checked })}
                />
              ))}
            </Stack>
          </Panel>
        </SimpleGrid>
        <FreezeSwitches />
        <RunningPrograms />
        <LoggedInUsers />
        <Copies />
        <Tokens />
        <Networks />
        <Downloads />
        <Store />
        <Panel title={t('settings.about')}>
          <Facts
            cols={{ base: 1, sm: 2 }}
            fw={400}
            rows={facts.map(([label, value]) => [
              label,
              <Group gap={4} wrap="nowrap">
                <Code>{value}</Code>
                <Copy text={value} />
              </Group>,
            ])}
          />
          <Text size="sm" mt="md">
            <Anchor href="/docs/api" size="sm" mr="md">
              {t('settings.reference')}
            </Anchor>
            <Anchor href="/openapi.json" size="sm">
              {t('settings.api')}
            </Anchor>
          </Text>
        </Panel>
      </Stack>
    </>
  );
}

function Tokens() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const path = usePath();
  const [revoking, setRevoking] = useState<Shape<'EnrollmentToken'>>();
  const list = useQuery({
    queryKey: ['tokens', project_id],
    queryFn: () => ok(api.GET('/api/v1/{project_id}/enrollment-tokens', { params: { path: { project_id }, query: { limit: 50, offset: 0 } } })),
  });
  const state = (token: Shape<'EnrollmentToken'>) => {
    const standing = standingOf(token, Date.now());
    if (standing !== 'valid') return <Pill tone={standing === 'revoked' ? 'bad' : 'wait'}>{t(`token.${standing}`)}</Pill>;
    return <Pill tone="ok">{t(token.needs_approval ? 'token.with-approval' : 'token.valid')}</Pill>;
  };
  return (
    <Panel title={t('settings.tokens')} pad={false}>
      <Text size="sm" c="dimmed" px="var(--pad)" pb={8}>
        {t('token.make')}{' '}
        <Anchor component={Link} to={path('desktops?enroll=1')} size="sm">
          {t('desktop.enroll')}
        </Anchor>
      </Text>
      {list.error !== null && <Problem error={list.error} />}
      {list.data?.items.length === 0 && (
        <Text size="sm" c="dimmed" px="var(--pad)" pb={20}>
          {t('token.none')}
        </Text>
      )}
      {(list.data?.items.length ?? 0) > 0 && (
      <ListTable label={t('settings.tokens')} head={[t('app.name'), t('list.state'), t('token.uses'), t('token.expires'), { hidden: t('token.revoke') }]}>
        {list.data?.items.map((token) => (
          <Table.Tr key={token.id}>
            <Table.Td>
              <Text size="sm" fw={600}>
                {token.name}
              </Text>
            </Table.Td>
            <Table.Td>{state(token)}</Table.Td>
            <Table.Td>
              {token.uses}
              {token.max_uses !== undefined && ` / ${token.max_uses}`}
            </Table.Td>
            <Table.Td>{token.expires_at === undefined ? t('token.never') : <When at={token.expires_at} />}</Table.Td>
            <Table.Td>
              {token.revoked_at === undefined && (
                <Button size="xs" variant="default" aria-label={t('token.revoke-this', { name: token.name })} onClick={() => setRevoking(token)}>
                  {t('token.revoke')}
                </Button>
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </ListTable>
      )}
      <ConfirmByName
        name={revoking?.name ?? ''}
        title={t('token.revoke-title', { name: revoking?.name ?? '' })}
        effect={t('token.revoke-effect')}
        action={t('token.revoke')}
        opened={revoking !== undefined}
        onClose={() => setRevoking(undefined)}
        onConfirm={async () => {
          await ok(
            api.DELETE('/api/v1/{project_id}/enrollment-tokens/{token_id}', { params: { path: { project_id, token_id: revoking?.id ?? '' } } }),
          );
          await refresh('tokens');
        }}
      />
    </Panel>
  );
}
