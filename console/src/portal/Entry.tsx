import { Alert, Code, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { useSearchParams } from 'react-router';
import { api, ok } from '../api/client';
import { EntryPage, PasswordLogin } from '../components/PasswordLogin';
import { useTexts } from '../i18n';
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
  useEffect(() => {
    document.title = t('portal.title');
  }, [t]);
  return (
    <EntryPage>
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
          {methods.data?.password === true ? (
            t('portal.enter-or-log-in')
          ) : (
            <>
              {t('portal.enter')} <Code style={{ whiteSpace: 'nowrap' }}>outfitter-agent portal</Code>
            </>
          )}
        </Text>
        {methods.data?.password === true && (
          <PasswordLogin enter={(name, password) => enter({ user_name: name, password, ...(project_id === undefined ? {} : { project_id }) })} />
        )}
      </div>
    </EntryPage>
  );
}
