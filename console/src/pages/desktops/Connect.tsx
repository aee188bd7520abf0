import { Alert, Anchor, Button, Checkbox, Code, Group, Loader, Modal, Stack, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconCircleCheck } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { api, ok } from '../../api/client';
import { SecretOnce } from '../../components/parts';
import { Problem } from '../../components/states';
import { agentAddress, installLine, isLoopback } from '../../connect';
import { useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { useProject } from '../../session';

/** How often it is asked whether a desktop has come. */
const ASK_MS = 3_000;
/** Tokens that are looked through for the one just made; the newest come first. */
const NEWEST = 20;

/** Makes a token, says what to run on the desktop, and waits for it to come. */
export function Connect({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const refresh = useRefresh();
  const [byHand, setByHand] = useState(false);
  const [approval, setApproval] = useState(false);
  const make = useMutation({
    mutationFn: async () => {
      const path = { project_id };
      const installer = await ok(api.GET('/api/v1/{project_id}/agent-installer', { params: { path } }));
      const token = await ok(
        api.POST('/api/v1/{project_id}/enrollment-tokens', {
          params: { path },
          body: { name: `console-${new Date().toISOString().slice(0, 16)}`, expires_in_seconds: 86_400, may_attach: true, needs_approval: approval },
        }),
      );
      void refresh('tokens');
      return { installer, token };
    },
  });
  const close = () => {
    make.reset();
    setByHand(false);
    setApproval(false);
    onClose();
  };
  const made = make.data;
  const address = made === undefined ? '' : agentAddress(made.installer.url);
  const hasProgram = (made?.installer.programs.length ?? 0) > 0;
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={t('desktop.enroll')}
      size="lg"
      closeButtonProps={{ 'aria-label': t('action.close') }}
      // The token is shown once: it does not go by a click beside it.
      closeOnClickOutside={made === undefined}
      centered
    >
      <Stack>
        {make.error !== null && <Problem error={make.error} />}
        {made === undefined ? (
          <>
            <Text size="sm">{t('enroll.text')}</Text>
            <Checkbox label={t('enroll.approval')} description={t('enroll.approval-text')} checked={approval} onChange={(event) => setApproval(event.currentTarget.checked)} />
            <Group justify="flex-end">
              <Button onClick={() => make.mutate()} loading={make.isPending}>
                {t('enroll.make')}
              </Button>
            </Group>
          </>
        ) : (
          <>
            {isLoopback(address) && (
              <Alert variant="outline" color="yellow" title={t('enroll.loopback', { address })}>
                {t('enroll.loopback-text')} <Code style={{ whiteSpace: 'nowrap' }}>--agent-listen 0.0.0.0:7443</Code>{' '}
                <Code style={{ whiteSpace: 'nowrap' }}>--agent-public {t('enroll.its-name')}:7443</Code>
              </Alert>
            )}
            {hasProgram ? (
              <SecretOnce note={t('enroll.once')} rows={[{ label: t('enroll.line'), value: installLine(made.installer.command, made.token.token) }]} />
            ) : (
              <Text size="sm">{t('enroll.no-program')}</Text>
            )}
            <Arrived tokenId={made.token.enrollment_token.id} />
            {hasProgram && (
              <Anchor component="button" type="button" size="sm" ta="left" aria-expanded={byHand} onClick={() => setByHand(!byHand)}>
                {t('enroll.by-hand')}
              </Anchor>
            )}
            {(byHand || !hasProgram) && (
              <SecretOnce
                note={t('enroll.by-hand-text')}
                rows={[
                  { label: t('enroll.token'), value: made.token.token },
                  { label: t('enroll.command'), value: `sudo outfitter-agent enroll --server ${address} --token - --state-dir /var/lib/outfitter-agent` },
                  { label: t('enroll.then'), value: 'sudo outfitter-agent run --state-dir /var/lib/outfitter-agent' },
                ]}
              />
            )}
          </>
        )}
      </Stack>
    </Modal>
  );
}

/** How many desktops have come with a token. */
function Arrived({ tokenId }: { tokenId: string }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const refresh = useRefresh();
  const uses = useQuery({
    queryKey: ['tokens', project_id, 'uses', tokenId],
    refetchInterval: ASK_MS,
    queryFn: async () => {
      const list = await ok(
        api.GET('/api/v1/{project_id}/enrollment-tokens', { params: { path: { project_id }, query: { limit: NEWEST, offset: 0 } } }),
      );
      return list.items.find((token) => token.id === tokenId)?.uses ?? 0;
    },
  });
  const count = uses.data ?? 0;
  useEffect(() => {
    if (count > 0) void refresh('desktops');
    // Asked again when another desktop has come, not when the function is another.
  }, [count]);
  return (
    <>
      {uses.error !== null && <Problem error={uses.error} />}
      <Group gap="xs" role="status" wrap="nowrap">
        {count === 0 ? <Loader size={16} aria-hidden /> : <IconCircleCheck size={20} color="var(--ok)" aria-hidden />}
        <Text size="sm">{count === 0 ? t('enroll.waiting') : t('enroll.arrived', { n: count })}</Text>
      </Group>
    </>
  );
}
