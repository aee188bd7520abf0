import { Accordion, Checkbox, NumberInput, SimpleGrid, Stack, Text, Textarea, TextInput } from '@mantine/core';
import type { Shape } from '../api/client';
import { PasswordField } from './parts';
import { useTexts } from '../i18n';

/** How something is reached, while it is edited: empty is left out. */
export interface ReachDraft {
  address: string;
  port: number | string;
  user: string;
  host_key: string;
  key: string;
  key_passphrase: string;
  password: string;
  sudo_password: string;
  noSudo: boolean;
  jump_address: string;
  jump_port: number | string;
  jump_user: string;
  jump_host_key: string;
  jump_password: string;
}

export function reachDraft(reach?: Shape<'Reach'>): ReachDraft {
  return {
    address: reach?.address ?? '',
    port: reach?.port ?? '',
    user: reach?.user ?? '',
    host_key: reach?.host_key ?? '',
    key: '',
    key_passphrase: '',
    password: '',
    sudo_password: '',
    noSudo: reach?.sudo === false,
    jump_address: reach?.jump_address ?? '',
    jump_port: reach?.jump_port ?? '',
    jump_user: reach?.jump_user ?? '',
    jump_host_key: reach?.jump_host_key ?? '',
    jump_password: '',
  };
}

export function wireReach({ noSudo, ...draft }: ReachDraft): Shape<'SetReachReq'> {
  const given = Object.fromEntries(
    Object.entries(draft)
      .map(([member, value]) => [member, typeof value === 'string' && member !== 'key' ? value.trim() : value] as const)
      .filter(([, value]) => value !== ''),
  );
  return { ...given, ...(noSudo ? { sudo: false } : {}) };
}

/** Fields of a way over SSH. Of a network there is no address: each desktop has its own. */
export function ReachForm({ draft, onChange, of, hasLogin }: { draft: ReachDraft; onChange: (draft: ReachDraft) => void; of: 'desktop' | 'network'; hasLogin: boolean }) {
  const { t } = useTexts();
  const text = (member: Exclude<keyof ReachDraft, 'noSudo' | 'port' | 'jump_port'>) => ({
    value: draft[member],
    onChange: (event: { currentTarget: { value: string } }) => onChange({ ...draft, [member]: event.currentTarget.value }),
    autoComplete: 'off',
  });
  return (
    <Stack gap="sm">
      <SimpleGrid cols={{ base: 1, xs: of === 'desktop' ? 3 : 2 }} spacing="sm">
        {of === 'desktop' && <TextInput label={t('reach.address')} placeholder="192.0.2.20" {...text('address')} />}
        <NumberInput label={t('reach.port')} placeholder="22" min={1} max={65_535} allowDecimal={false} value={draft.port} onChange={(port) => onChange({ ...draft, port })} />
        <TextInput label={t('reach.user')} placeholder="root" {...text('user')} />
      </SimpleGrid>
      <Textarea
        label={t('reach.key')}
        description={hasLogin ? t('reach.login-replaced') : t('reach.key-hint')}
        autosize
        minRows={3}
        maxRows={8}
        placeholder="-----BEGIN OPENSSH PRIVATE KEY-----"
        styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 12.5 } }}
        {...text('key')}
      />
      <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
        <PasswordField label={t('reach.password')} {...text('password')} autoComplete="new-password" />
        <PasswordField label={t('reach.sudo-password')} description={t('reach.sudo-password-hint')} inputWrapperOrder={['label', 'input', 'description']} {...text('sudo_password')} autoComplete="new-password" />
      </SimpleGrid>
      <Accordion variant="contained">
        <Accordion.Item value="more">
          <Accordion.Control>
            <Text size="sm" fw={600}>
              {t('reach.more')}
            </Text>
          </Accordion.Control>
          <Accordion.Panel>
            <Stack gap="sm">
              <TextInput label={t('reach.host-key')} description={t('reach.host-key-hint')} placeholder="SHA256:…" {...text('host_key')} />
              <PasswordField label={t('reach.key-passphrase')} {...text('key_passphrase')} autoComplete="new-password" />
              <Checkbox label={t('reach.no-sudo')} checked={draft.noSudo} onChange={(event) => onChange({ ...draft, noSudo: event.currentTarget.checked })} />
              <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="sm">
                <TextInput label={t('reach.jump-address')} {...text('jump_address')} />
                <NumberInput label={t('reach.port')} placeholder="22" min={1} max={65_535} allowDecimal={false} value={draft.jump_port} onChange={(jump_port) => onChange({ ...draft, jump_port })} />
                <TextInput label={t('reach.user')} {...text('jump_user')} />
              </SimpleGrid>
              <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
                <TextInput label={t('reach.jump-host-key')} placeholder="SHA256:…" {...text('jump_host_key')} />
                <PasswordField label={t('reach.jump-password')} {...text('jump_password')} autoComplete="new-password" />
              </SimpleGrid>
            </Stack>
          </Accordion.Panel>
        </Accordion.Item>
      </Accordion>
    </Stack>
  );
}
