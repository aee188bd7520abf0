import { Anchor, Button, Group, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { useEffect, useState, type FormEvent } from 'react';
import { ApiProblem } from '../api/client';
import { Problem } from '../components/states';
import { useTexts } from '../i18n';
import { Brand, LanguageMenu, SchemeButton } from '../layout/switches';
import { useLogIn } from '../session';

export function Login() {
  const { t } = useTexts();
  const logIn = useLogIn();
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
          </Stack>
        </form>
      </Stack>
    </main>
  );
}
