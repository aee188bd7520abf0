import { Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, endSession, ok } from '../api/client';
import { useTexts } from '../i18n';
import { FormDialog, NewPasswordField, PasswordField, say } from './parts';

/** Lets whoever is logged in change the own password. Every session ends by it, this one too. */
export function OwnPassword({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  const [before, setBefore] = useState('');
  const [password, setPassword] = useState('');
  const change = useMutation({
    mutationFn: () => ok(api.PUT('/api/v1/iam/password', { body: { original_password: before, password } }), 'unwatched'),
    onSuccess: () => {
      say(t('own-password.changed'));
      endSession();
    },
  });
  const close = () => {
    change.reset();
    setBefore('');
    setPassword('');
    onClose();
  };
  return (
    <FormDialog title={t('own-password.title')} opened={opened} onClose={close} submit={t('action.save')} save={change}>
      <Text size="sm">{t('own-password.effect')}</Text>
      <PasswordField
        data-autofocus
        label={t('own-password.before')}
        required
        autoComplete="current-password"
        value={before}
        onChange={(event) => setBefore(event.currentTarget.value)}
      />
      <NewPasswordField value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
    </FormDialog>
  );
}
