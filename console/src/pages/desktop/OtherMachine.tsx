import { Alert, Button, Code, Group, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { IconFingerprint } from '@tabler/icons-react';
import { useState } from 'react';
import { api, ok, type Shape } from '../../api/client';
import { ConfirmByName, FormDialog, say, When } from '../../components/parts';
import { Problem } from '../../components/states';
import { useCopies, useRefresh } from '../../data';
import { useTexts, wordOf } from '../../i18n';
import { useProject } from '../../session';

type Desktop = Shape<'RegisteredDesktop'>;

/** Another machine that connected with a copy of the desktop's key and was refused, until it is said which is the real one. */
export function OtherMachine({ desktop }: { desktop: Desktop }) {
  const { t } = useTexts();
  const copy = desktop.agent?.copy;
  // A dialog stays until it is closed, also where somebody else settled it meanwhile.
  const [asking, setAsking] = useState<Shape<'RealMachine'>>();
  const { name } = desktop;
  return (
    <>
      {copy !== undefined && (
        <Alert
          role="status"
          variant="outline"
          color="yellow"
          icon={<IconFingerprint aria-hidden />}
          title={t('copy.title', { name })}
          classNames={{ root: 'panel' }}
          styles={{ title: { color: 'var(--care)' } }}
        >
          <Stack gap="sm">
            <Text size="sm">{wordOf(t, 'copy.sign', copy.sign)}</Text>
            <Text size="sm">{t('copy.refused')}</Text>
            <Text size="sm" c="dimmed">
              {t('copy.last')} <When at={copy.seen_at} /> · {copy.address === undefined ? t('copy.from-unknown') : t('copy.from', { address: copy.address })}
            </Text>
            <Group gap="xs">
              <Button size="xs" variant="default" onClick={() => setAsking('present')}>
                {t('copy.real-present')}
              </Button>
              <Button size="xs" variant="default" onClick={() => setAsking('refused')}>
                {t('copy.real-refused')}
              </Button>
            </Group>
          </Stack>
        </Alert>
      )}
      {asking === 'present' && <Keep desktop={desktop} onClose={() => setAsking(undefined)} />}
      <HandOver desktop={desktop} opened={asking === 'refused'} onClose={() => setAsking(undefined)} />
    </>
  );
}

function useSettle({ id: desktop_id }: Desktop) {
  const { id: project_id } = useProject();
  const refresh = useRefresh();
  return async (real: Shape<'RealMachine'>) => {
    try {
      await ok(api.PUT('/api/v1/{project_id}/desktops/{desktop_id}/identity', { params: { path: { project_id, desktop_id } }, body: { real } }));
    } finally {
      // Somebody else may have settled it.
      await refresh('desktops');
    }
  };
}

/** The machine that is the desktop stays it; the other one is a copy. */
function Keep({ desktop, onClose }: { desktop: Desktop; onClose: () => void }) {
  const { t } = useTexts();
  const { name } = desktop;
  const settle = useSettle(desktop);
  const copies = useCopies();
  const token = copies.data?.token_name;
  const save = useMutation({
    mutationFn: () => settle('present'),
    onSuccess: () => {
      say(t('copy.kept', { name }));
      onClose();
    },
  });
  return (
    <FormDialog title={t('copy.keep-title', { name })} opened onClose={onClose} submit={t('copy.keep')} disabled={copies.data === undefined} save={save}>
      {copies.error !== null && <Problem error={copies.error} />}
      {copies.data !== undefined && <Text size="sm">{token === undefined ? t('copy.keep-effect') : t('copy.keep-anew', { token })}</Text>}
      {copies.data !== undefined && token === undefined && (
        <Text size="sm" c="dimmed">
          {t('copy.own-desktop')} <Code>outfitter-agent enroll --replace</Code>
        </Text>
      )}
    </FormDialog>
  );
}

/** The machine that was refused becomes the desktop; the one that is the desktop now is the copy. */
function HandOver({ desktop, opened, onClose }: { desktop: Desktop; opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  const { name } = desktop;
  const settle = useSettle(desktop);
  return (
    <ConfirmByName
      name={name}
      title={t('copy.hand-over-title', { name })}
      effect={
        <Stack gap="sm">
          <Text size="sm">{t('copy.hand-over-effect', { name })}</Text>
          <Text size="sm">{t('copy.hand-over-care')}</Text>
        </Stack>
      }
      action={t('copy.hand-over')}
      opened={opened}
      onClose={onClose}
      onConfirm={async () => {
        await settle('refused');
        say(t('copy.handed-over', { name }));
      }}
    />
  );
}
