import { Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, ok, type Shape } from '../../api/client';
import { AccountPicker, keyOf } from '../../components/AccountPicker';
import { FormDialog, say } from '../../components/parts';
import { useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { privilegeOf } from '../../import/desktops';
import { useProject } from '../../session';

type Account = Shape<'AccountInfo'>;

const named = ({ account, domain, account_type }: Account) => ({
  user_name: account,
  ...(domain === undefined || domain === '' ? {} : { domain }),
  type: account_type === 'USER_GROUP' ? ('GROUP' as const) : ('USER' as const),
});

/** Whose desktop it is: who is taken off first, then who is new is attached. */
export function DesktopUsers({ desktop, onClose }: { desktop: Shape<'RegisteredDesktop'>; onClose: () => void }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const refresh = useRefresh();
  const [users, setUsers] = useState<Account[]>(desktop.users);
  const kept = new Set(users.map(keyOf));
  const had = new Set(desktop.users.map(keyOf));
  const gone = desktop.users.filter((user) => !kept.has(keyOf(user)));
  const come = users.filter((user) => !had.has(keyOf(user)));
  const save = useMutation({
    mutationFn: async () => {
      const params = { path: { project_id } };
      if (gone.length > 0) {
        const answer = await ok(
          api.POST('/v2/{project_id}/desktops/batch-detach', {
            params,
            body: { desktops: [{ desktop_id: desktop.id, detach_user_infos: gone.map(named) }] },
          }),
        );
        const failure = answer.failed_operation_list?.[0];
        if (failure !== undefined) throw new Error(failure.error_msg ?? failure.error_code ?? t('problem.no-text'));
      }
      if (come.length > 0) {
        const user_group = privilegeOf(desktop.os_type);
        await ok(
          api.POST('/v2/{project_id}/desktops/attach', {
            params,
            body: { desktops: [{ desktop_id: desktop.id, attach_user_infos: come.map((user) => ({ ...named(user), user_group })) }] },
          }),
        );
      }
    },
    onError: () => refresh('desktops', 'users'),
    onSuccess: async () => {
      // Whoever opens it again finds the users as they are now.
      await refresh('desktops', 'users');
      say(t('desktop.users-saved', { name: desktop.name }));
      onClose();
    },
  });
  return (
    <FormDialog title={t('desktop.users-of', { name: desktop.name })} opened onClose={onClose} submit={t('action.save')} save={save}>
      <Text size="sm" c="dimmed">
        {t('desktop.users-text')}
      </Text>
      <AccountPicker label={t('install.people')} value={users} onChange={setUsers} />
    </FormDialog>
  );
}
