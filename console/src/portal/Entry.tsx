import { Alert, Button, Group, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState, type FormEvent } from 'react';
import { useSearchParams } from 'react-router';
import { ApiProblem, api, ok } from '../api/client';
import { Problem } from '../components/states';
import { useTexts } from '../i18n';
import { Brand, LanguageMenu, SchemeButton } from '../layout/switches';
import { useEnter } from './session';

/** Nobody is in: by the password of the company directory, else from the desktop. */
export function Entry({ wasTurnedAway }: { wasTurnedAway: boolean }) {
  const { t } = useTexts();
  const enter = useEnter();
  const [search] = useSearchParams();
  const project_id = search.get('project') ?? undefined;
  const methods = useQuery({
    queryKey: ['portal-login-methods', project_id],
    queryFn: () =>
      ok(
        api.GET('/api/v1/portal/login-methods', { params: { query: project_id === undefined ? {} : { project_id } } }),
        'unwatched',
      ),
    staleTime: Infinity,
    retry: false,
  });
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  useEffect(() => {
    document.title = t('portal.title');
  }, [t]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    enter({ user_name: name, password, ...(project_id === undefined ? {} : { project_id }) }).catch((problem: unknown) => {
      setPassword('');
      setError(problem instanceof Error ? problem : new Error(String(problem)));
      setBusy(false);
    });
  };
  const isWrong = error instanceof ApiProblem && error.status === 401;
  return (
    <main className="login" id="main">
      <Stack w="100%" maw={420} gap="lg">
        <Group justify="space-between">
          <Brand />
          <Group gap={4}>
            <LanguageMenu />
            <SchemeButton />
          </Group>
        </Group>
        {wasTurnedAway && (
          <Alert color="yellow" variant="outline" role="alert" title={t('portal.ticket-gone')}>
            {t('portal.ticket-gone-text')}
          </Alert>
        )}
        <div className="panel" style={{ padding: 28 }}>
          <Title order={1} size="h3">
            {t('portal.title')}
          </Title>
          <Text c="dimmed" size="sm" mt={4}>
            {t('portal.enter')}
          </Text>
          {methods.data?.password === true && (
            <form onSubmit={submit}>
              <Stack mt="lg">
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
                {error !== undefined && !isWrong && <Problem error={error} />}
                <Button type="submit" loading={busy} fullWidth>
                  {t('login.submit')}
                </Button>
              </Stack>
            </form>
          )}
        </div>
      </Stack>
    </main>
  );
}
