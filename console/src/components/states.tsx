import { Alert, Button, Code, Group, Stack, Text, ThemeIcon, Title } from '@mantine/core';
import { IconAlertTriangle, IconRefresh } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { ApiProblem } from '../api/client';
import { useTexts, type TextKey } from '../i18n';

/** Says that something went wrong. */
export function Trouble({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Alert
      role="alert"
      color="red"
      variant="outline"
      icon={<IconAlertTriangle />}
      title={title}
      classNames={{ root: 'panel' }}
      styles={{ title: { color: 'var(--bad)' }, icon: { color: 'var(--bad)' } }}
    >
      <Stack gap="xs" align="flex-start">
        {children}
      </Stack>
    </Alert>
  );
}

/** What kind of trouble an answer is, and what to do, in the reader's language. What it says beyond that is the server's. */
const KINDS: Record<number, { title: TextKey; advice?: TextKey }> = {
  0: { title: 'problem.unreachable', advice: 'problem.unreachable.advice' },
  400: { title: 'problem.invalid' },
  403: { title: 'problem.forbidden', advice: 'problem.forbidden.advice' },
  404: { title: 'problem.gone' },
  409: { title: 'problem.state' },
  413: { title: 'problem.too-large' },
  429: { title: 'problem.too-often', advice: 'problem.too-often.advice' },
};

/** What went wrong, what to do, and the id that finds it in the server's log. */
export function Problem({ error, onRetry }: { error: Error; onRetry?: () => void }) {
  const { t } = useTexts();
  const problem = error instanceof ApiProblem ? error : undefined;
  const status = problem?.status ?? -1;
  const kind = status >= 500 ? { title: 'problem.server', advice: 'problem.server.advice' } as const : KINDS[status];
  return (
    <Trouble title={t(kind?.title ?? 'problem.title')}>
      {status !== 0 && <Text size="sm">{error.message || t('problem.no-text')}</Text>}
      {kind?.advice !== undefined && <Text size="sm">{t(kind.advice)}</Text>}
      {problem !== undefined && problem.requestId !== '' && (
        <Text size="xs" c="dimmed">
          {t('problem.request')} <Code>{problem.requestId}</Code> · {problem.code}
        </Text>
      )}
      {onRetry !== undefined && (
        <Button size="xs" variant="default" leftSection={<IconRefresh size={16} />} onClick={onRetry}>
          {t('action.again')}
        </Button>
      )}
    </Trouble>
  );
}

/** Nothing here yet: says what belongs here and how it gets here. */
export function Empty({
  icon,
  title,
  children,
  action,
}: {
  icon: ReactNode;
  title: string;
  children: ReactNode;
  action?: ReactNode;
}) {
  return (
    <Stack align="center" gap="sm" py={48} px="md" ta="center">
      <ThemeIcon size={56} radius="xl" variant="default" aria-hidden>
        {icon}
      </ThemeIcon>
      <Title order={2} size="h4">
        {title}
      </Title>
      <Text c="dimmed" maw={520} component="div" style={{ textWrap: 'balance' }}>
        {children}
      </Text>
      {action !== undefined && (
        <Group mt="xs" justify="center">
          {action}
        </Group>
      )}
    </Stack>
  );
}
