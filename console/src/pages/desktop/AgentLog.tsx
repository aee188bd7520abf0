import { Button, Group, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { IconFileText } from '@tabler/icons-react';
import { useEffect, useRef } from 'react';
import { api, ok } from '../../api/client';
import { Panel, When } from '../../components/parts';
import { Problem } from '../../components/states';
import { useTexts } from '../../i18n';
import { useProject } from '../../session';

/** What the desktop's agent logged since it started, asked for when somebody wants it. */
export function AgentLog({ desktopId, isConnected }: { desktopId: string; isConnected: boolean }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const read = useMutation({
    mutationFn: () => ok(api.GET('/api/v1/{project_id}/desktops/{desktop_id}/agent-log', { params: { path: { project_id, desktop_id: desktopId } } })),
  });
  const lines = useRef<HTMLPreElement>(null);
  useEffect(() => {
    // The newest stand last.
    if (lines.current !== null) lines.current.scrollTop = lines.current.scrollHeight;
  }, [read.data]);
  return (
    <Panel
      title={t('agent-log.title')}
      action={
        <Button size="xs" variant="default" leftSection={<IconFileText size={16} />} disabled={!isConnected} loading={read.isPending} onClick={() => read.mutate()}>
          {t(read.data === undefined ? 'agent-log.read' : 'agent-log.again')}
        </Button>
      }
    >
      {read.error !== null && <Problem error={read.error} />}
      {read.data === undefined ? (
        <Text size="sm" c="dimmed">
          {t(isConnected ? 'agent-log.text' : 'agent-log.away')}
        </Text>
      ) : (
        <>
          <pre className="log" ref={lines} tabIndex={0} aria-label={t('agent-log.title')}>
            {read.data.text}
          </pre>
          <Group mt="xs">
            <Text size="xs" c="dimmed">
              {t('agent-log.read-at')} <When at={read.data.read_at} />
            </Text>
          </Group>
        </>
      )}
    </Panel>
  );
}
