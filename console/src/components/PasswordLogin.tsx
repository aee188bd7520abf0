import { Button, Group, Stack, TextInput } from '@mantine/core';
import { useState, type ReactNode } from 'react';
import { ApiProblem } from '../api/client';
import { useTexts } from '../i18n';
import { Brand, LanguageMenu, SchemeButton } from '../layout/switches';
import { PasswordField } from './parts';
import { Problem } from './states';

/** The page before anybody is in: the name of the product, language and scheme, and what is asked for. */
export function EntryPage({ children }: { children: ReactNode }) {
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
        {children}
      </Stack>
    </main>
  );
}

/** Name and password; a password that did not count is asked for again. */
export function PasswordLogin({ enter, children }: { enter: (name: string, password: string) => Promise<unknown>; children?: ReactNode }) {
  const { t } = useTexts();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error>();
  const isWrong = error instanceof ApiProblem && error.status === 401;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setBusy(true);
        setError(undefined);
        enter(name, password).catch((problem: unknown) => {
          setPassword('');
          setError(problem instanceof Error ? problem : new Error(String(problem)));
          setBusy(false);
        });
      }}
    >
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
        <PasswordField
          label={t('login.password')}
          name="password"
          autoComplete="current-password"
          required
          withAsterisk={false}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          error={isWrong ? t('login.wrong') : undefined}
        />
        {children}
        {error !== undefined && !isWrong && <Problem error={error} />}
        <Button type="submit" loading={busy} fullWidth>
          {t('login.submit')}
        </Button>
      </Stack>
    </form>
  );
}
