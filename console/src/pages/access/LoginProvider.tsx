import { Alert, Button, Code, Group, List, Stack, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconAlertTriangle, IconCircleCheck, IconPlugConnected, IconUserShield } from '@tabler/icons-react';
import { api, ok } from '../../api/client';
import { Copy, Facts, Panel } from '../../components/parts';
import { Empty, Problem } from '../../components/states';
import { useTold } from '../../failures';
import { useTexts } from '../../i18n';

const SAMPLE = `[oidc]
issuer = "https://login.example.com/staff"
client_id = "outfitter"
client_secret_file = "/etc/outfitter/oidc-secret"
name = "Example login"`;

/** The login provider as the server's configuration has it, and whether it answers. */
export function LoginProvider() {
  const { t } = useTexts();
  const told = useTold();
  const shown = useQuery({ queryKey: ['login-provider'], queryFn: () => ok(api.GET('/api/v1/login-provider')) });
  const test = useMutation({ mutationFn: () => ok(api.POST('/api/v1/login-provider/test')) });
  if (shown.error !== null && shown.data === undefined) return <Problem error={shown.error} onRetry={() => void shown.refetch()} />;
  const provider = shown.data?.provider;
  if (shown.data === undefined) return null;
  const redirect = shown.data.redirect_uri;
  if (provider === undefined) {
    return (
      <section className="panel">
        <Empty icon={<IconUserShield />} title={t('provider.none')}>
          <Stack gap="sm" ta="left" style={{ textWrap: 'wrap' }}>
            <Text size="sm">{t('provider.none-text')}</Text>
            <pre className="log" tabIndex={0} aria-label={t('provider.sample')}>
              {SAMPLE}
            </pre>
            <div>
              <Text size="sm" c="dimmed">
                {t('provider.redirect')}
              </Text>
              <Group gap={4} wrap="nowrap">
                <Code style={{ overflowWrap: 'anywhere' }}>{redirect}</Code>
                <Copy text={redirect} />
              </Group>
            </div>
          </Stack>
        </Empty>
      </section>
    );
  }
  const facts: [string, string][] = [
    [t('app.name'), provider.name],
    [t('provider.issuer'), provider.issuer],
    [t('provider.client'), provider.client_id],
    [t('provider.secret'), t(provider.has_client_secret ? 'provider.secret-kept' : 'provider.secret-none')],
    [t('provider.redirect'), redirect],
    [t('provider.scopes'), ['openid', ...provider.scopes].join(' ')],
    [t('provider.user-claim'), provider.user_claim],
    [t('provider.groups-claim'), provider.groups_claim],
  ];
  const found = test.data;
  return (
    <Panel
      title={t('access.tab.provider')}
      action={
        <Button size="xs" leftSection={<IconPlugConnected size={16} />} loading={test.isPending} onClick={() => test.mutate()}>
          {t('directory.test')}
        </Button>
      }
    >
      <Stack>
        <Text size="sm" c="dimmed">
          {t('provider.text')}
        </Text>
        <Facts rows={facts} cols={{ base: 1, sm: 2 }} fw={400} />
        {test.error !== null && <Problem error={test.error} />}
        {found !== undefined && (
          <Alert
            role="status"
            variant="outline"
            color={found.ok ? 'green' : 'red'}
            icon={found.ok ? <IconCircleCheck color="var(--ok)" /> : <IconAlertTriangle color="var(--bad)" />}
            title={found.ok ? t('provider.answers') : t('provider.fails')}
          >
            {found.ok ? (
              <Stack gap={4}>
                <Text size="sm">{t('provider.keys', { n: found.signing_keys ?? 0 })}</Text>
                <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
                  {t('provider.goes-to')} <Code>{found.authorization_endpoint}</Code>
                </Text>
                <Text size="sm">{t('provider.not-tried')}</Text>
              </Stack>
            ) : (
              <Stack gap={4}>
                <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
                  {found.words}
                </Text>
                <Text size="sm">{told(found.hint)}</Text>
              </Stack>
            )}
          </Alert>
        )}
        <Group gap="xs">
          <List size="sm" c="dimmed">
            <List.Item>{t('provider.groups-note')}</List.Item>
          </List>
        </Group>
      </Stack>
    </Panel>
  );
}
