import { Alert, Anchor, Button, Checkbox, Code, Group, Loader, Modal, Stack, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconCircleCheck, IconUserCheck } from '@tabler/icons-react';
import { Fragment, useEffect, useState } from 'react';
import { Link } from 'react-router';
import { api, ok, type Shape } from '../../api/client';
import { SecretOnce } from '../../components/parts';
import { Problem } from '../../components/states';
import { agentAddress, installLine, isLoopback } from '../../connect';
import { useDesktops, useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { usePath, useProject } from '../../session';
import { useAsking, Waiting } from './Waiting';

/** How often it is asked whether a desktop has come. */
const ASK_MS = 3_000;
/** Tokens that are looked through for the one just made; the newest come first. */
const NEWEST = 20;
/** Newest desktops that are looked through for those that came. Source: the operation's own maximum. */
const NEWEST_DESKTOPS = 100;
/** Desktops that are named. */
const NAMED = 10;

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
      // Machines to decide about are shown with what tells them apart.
      size={made?.token.enrollment_token.needs_approval === true ? 'xl' : 'lg'}
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
            <Arrived token={made.token.enrollment_token} />
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

/** Who has come with a token, and who waits to be let in. */
function Arrived({ token }: { token: Shape<'EnrollmentToken'> }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const refresh = useRefresh();
  const { waiting, approved } = useAsking(token.id);
  const uses = useQuery({
    queryKey: ['tokens', project_id, 'uses', token.id],
    refetchInterval: ASK_MS,
    queryFn: async () => {
      const list = await ok(
        api.GET('/api/v1/{project_id}/enrollment-tokens', { params: { path: { project_id }, query: { limit: NEWEST, offset: 0 } } }),
      );
      return list.items.find(({ id }) => id === token.id)?.uses ?? 0;
    },
  });
  const count = uses.data ?? 0;
  useEffect(() => {
    if (count > 0) void refresh('desktops', 'enrollment-requests');
    // Asked again when another desktop has come, not when the function is another.
  }, [count]);
  const said =
    count > 0
      ? t('enroll.arrived', { n: count })
      : waiting.count > 0
        ? t('enroll.asked', { n: waiting.count })
        : approved.count > 0
          ? t('waiting.coming', { n: approved.count })
          : t('enroll.waiting');
  return (
    <>
      {uses.error !== null && <Problem error={uses.error} />}
      <Group gap="xs" role="status" wrap="nowrap">
        {count > 0 ? (
          <IconCircleCheck size={20} color="var(--ok)" aria-hidden />
        ) : waiting.count > 0 ? (
          <IconUserCheck size={20} color="var(--care)" aria-hidden />
        ) : (
          <Loader size={16} aria-hidden />
        )}
        <Text size="sm">{said}</Text>
      </Group>
      {count > 0 && <Came since={token.created_at} />}
      <Waiting tokenId={token.id} />
    </>
  );
}

/** Desktops that enrolled since the token was made, and what is next. Which of them came with it nothing tells. */
function Came({ since }: { since: string }) {
  const { t } = useTexts();
  const path = usePath();
  const newest = useDesktops({}, 0, NEWEST_DESKTOPS);
  const came = newest.data?.items.filter(({ agent }) => agent !== undefined && Date.parse(agent.enrolled_at) >= Date.parse(since)) ?? [];
  return (
    <>
      {came.length > 0 && (
        <Text size="sm">
          {t('list.colon', { what: t('enroll.came'), more: '' })}
          {came.slice(0, NAMED).map((desktop, index) => (
            <Fragment key={desktop.id}>
              {index > 0 && t('list.comma')}
              <Anchor component={Link} to={path(`desktops/${desktop.id}`)} inherit>
                {desktop.name}
              </Anchor>
            </Fragment>
          ))}
          {came.length > NAMED && t('deployment.more', { n: came.length - NAMED })}
        </Text>
      )}
      <Text size="sm">{t('enroll.next')}</Text>
    </>
  );
}
