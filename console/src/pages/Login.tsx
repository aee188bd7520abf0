import { Anchor, Button, Divider, Stack, Text, TextInput, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api, ok } from '../api/client';
import { EntryPage, PasswordLogin } from '../components/PasswordLogin';
import { useTexts } from '../i18n';
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
  const [domain, setDomain] = useState('');
  const [withDomain, setWithDomain] = useState(false);
  useEffect(() => {
    document.title = `${t('login.title')} · Outfitter`;
  }, [t]);
  return (
    <EntryPage>
      <div className="panel" style={{ padding: 28 }}>
        <Title order={1} size="h3">
          {t('login.title')}
        </Title>
        <Text c="dimmed" size="sm" mt={4}>
          {t('login.hint')}
        </Text>
        <PasswordLogin enter={(name, password) => logIn({ user_name: name, password, ...(domain === '' ? {} : { domain_name: domain }) })}>
          {withDomain ? (
            <TextInput label={t('login.domain')} description={t('login.domain-hint')} value={domain} onChange={(event) => setDomain(event.currentTarget.value)} />
          ) : (
            <Anchor component="button" type="button" size="sm" ta="left" onClick={() => setWithDomain(true)}>
              {t('login.other-domain')}
            </Anchor>
          )}
        </PasswordLogin>
        {provider !== undefined && (
          <Stack mt="md">
            <Divider label={t('login.or')} />
            <Button component="a" variant="default" fullWidth href={providerAddress(provider.path)}>
              {t('login.with', { name: provider.name })}
            </Button>
          </Stack>
        )}
      </div>
    </EntryPage>
  );
}
