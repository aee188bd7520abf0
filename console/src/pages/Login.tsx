import { Anchor, Button, Divider, Group, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState, type FormEvent } from 'react';
import { ApiProblem, api, ok } from '../api/client';
import { Problem } from '../components/states';
import { useTexts } from '../i18n';
import { Brand, LanguageMenu, SchemeButton } from '../layout/switches';
import { useLogIn } from '../session';

/** Where the login begins; it ends at the page that was asked for. */
function providerAddress(path: string): string {
  const { pathname, search, hash } = window.location;
  return `${path}?${new URLSearchParams({ next: pathname + search + hash }).toString()}`;
}

export function Login() {
  const { t } = useTexts();
  const logIn = useLogIn();
  // Without an answer there is no button: the password is asked for all the same.
  const methods = useQuery({
    queryKey: ['login-methods'],
    queryFn: () => ok(api.GET('/api/v1/login-methods'), 'unwatched'),
    staleTime: Infinity,
    retry: false,
  });
  const provider = methods.data?.provider;
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [domain, setDomain] = useState('');
  const [withDomain, setWithDomain] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  useEffect(() => {
    document.title = `${t('login.title')} · Outfitter`;
  }, [t]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    logIn({ user_name: name, password, ...(domain === '' ? {} : { domain_name: domain }) }).catch((problem: unknown) => {
      setPassword('');
      setError(problem instanceof Error ? problem : new Error(String(problem)));
      setBusy(false);
    });
  };
  const isWrong = error instanceof ApiProblem && error.status === 401;
  return (
    <main className="login">
      <Stack w="100%" maw={400} gap="lg">
        <Group justify="space-between">
          <Brand />
          <Group gap={4}>
            <LanguageMenu />
            <SchemeButton />
          </Group>
        </Group>
        <form className="panel" style={{ padding: 28 }} onSubmit={submit}>
          <Stack>
            <div>
              <Title order={1} size="h3">
                {t('login.title')}
              </Title>
              <Text c="dimmed" size="sm" mt={4}>
                {t('login.hint')}
              </Text>
            </div>
            <TextInput
              label={t('login.user')}
              name="username"
              autoComplete="username"
              autoFocus
              required
              withAsterisk={false}
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
            />
            <PasswordInput
              label={t('login.password')}
              name="password"
              autoComplete="current-password"
              required
              withAsterisk={false}
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
              error={isWrong ? t('login.wrong') : undefined}
              visibilityToggleButtonProps={{ 'aria-label': t('login.show') }}
            />
            {withDomain ? (
              <TextInput label={t('login.domain')} value={domain} onChange={(event) => setDomain(event.currentTarget.value)} />
            ) : (
              <Anchor component="button" type="button" size="sm" ta="left" onClick={() => setWithDomain(true)}>
                {t('login.other-domain')}
              </Anchor>
            )}
            {error !== undefined && !isWrong && <Problem error={error} />}
            <Button type="submit" loading={busy} fullWidth>
              {t('login.submit')}
            </Button>
            {provider !== undefined && (
              <>
                <Divider label={t('login.or')} />
                <Button component="a" variant="default" fullWidth href={providerAddress(provider.path)}>
                  {t('login.with', { name: provider.name })}
                </Button>
              </>
            )}
          </Stack>
        </form>
      </Stack>
    </main>
  );
}
