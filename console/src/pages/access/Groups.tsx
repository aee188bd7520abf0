import { Button, Group, MultiSelect, Table, TagsInput, Text, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { IconPencil, IconPlus, IconTrash, IconUsersGroup } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { api, ok, type Shape } from '../../api/client';
import { ConfirmByName, FormDialog, ListPanel, ListTable, say, When } from '../../components/parts';
import { Empty } from '../../components/states';
import { useRefresh } from '../../data';
import { useTexts } from '../../i18n';
import { useIamGroups, useIamUsers } from './data';

type IamGroup = Shape<'IamGroup'>;

/** IAM groups: who is in them, and which groups of the login provider stand for them. */
export function Groups() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const list = useIamGroups();
  const [adding, setAdding] = useState(false);
  const [editing, setEditing] = useState<IamGroup>();
  const [deleting, setDeleting] = useState<IamGroup>();
  const [name, setName] = useState('');
  const add = useMutation({
    mutationFn: () => ok(api.POST('/api/v1/iam/groups', { body: { name } })),
    onSuccess: async (made) => {
      setAdding(false);
      setName('');
      await refresh('iam-groups');
      setEditing(made);
    },
  });
  const button = (
    <Button leftSection={<IconPlus size={18} />} onClick={() => setAdding(true)}>
      {t('people.add-group')}
    </Button>
  );
  return (
    <>
      {(list.data?.items.length ?? 0) > 0 && (
        <Group justify="flex-end" mb="md">
          {button}
        </Group>
      )}
      <ListPanel list={list}>
        {list.data?.items.length === 0 ? (
          <Empty icon={<IconUsersGroup />} title={t('people.no-groups')} action={button}>
            {t('access.no-groups-text')}
          </Empty>
        ) : (
          <ListTable
            label={t('access.tab.groups')}
            head={[t('app.name'), t('people.members'), t('access.provider-groups'), t('list.created'), { hidden: t('action.edit') }]}
          >
            {list.data?.items.map((group) => (
              <Table.Tr key={group.id}>
                <Table.Td>
                  <Text size="sm" fw={600}>
                    {group.name}
                  </Text>
                </Table.Td>
                <Table.Td>{group.members.map((member) => member.user_name).join(', ') || '–'}</Table.Td>
                <Table.Td>{group.provider_groups.join(', ') || '–'}</Table.Td>
                <Table.Td>
                  <When at={group.created_at} />
                </Table.Td>
                <Table.Td>
                  <Group gap="xs" justify="flex-end" wrap="nowrap">
                    <Button
                      size="xs"
                      variant="default"
                      leftSection={<IconPencil size={14} />}
                      aria-label={t('app.edit-title', { name: group.name })}
                      onClick={() => setEditing(group)}
                    >
                      {t('action.edit')}
                    </Button>
                    <Button
                      size="xs"
                      variant="default"
                      leftSection={<IconTrash size={14} />}
                      aria-label={t('action.delete-this', { name: group.name })}
                      onClick={() => setDeleting(group)}
                    >
                      {t('action.delete')}
                    </Button>
                  </Group>
                </Table.Td>
              </Table.Tr>
            ))}
          </ListTable>
        )}
      </ListPanel>
      <FormDialog title={t('people.add-group')} opened={adding} onClose={() => setAdding(false)} submit={t('people.add-group')} save={add}>
        <TextInput data-autofocus label={t('app.name')} description={t('access.name-hint')} required maxLength={64} value={name} onChange={(event) => setName(event.currentTarget.value)} />
      </FormDialog>
      <Edit group={editing} onClose={() => setEditing(undefined)} />
      <ConfirmByName
        name={deleting?.name ?? ''}
        title={t('people.delete-group', { name: deleting?.name ?? '' })}
        effect={t('access.delete-group-effect')}
        action={t('action.delete')}
        opened={deleting !== undefined}
        onClose={() => setDeleting(undefined)}
        onConfirm={async () => {
          await ok(api.DELETE('/api/v1/iam/groups/{group_id}', { params: { path: { group_id: deleting?.id ?? '' } } }));
          await refresh('iam-groups', 'iam-attachments');
        }}
      />
    </>
  );
}

function Edit({ group, onClose }: { group: IamGroup | undefined; onClose: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const users = useIamUsers();
  const [members, setMembers] = useState<string[]>([]);
  const [provided, setProvided] = useState<string[]>([]);
  useEffect(() => {
    setMembers(group?.members.map((member) => member.user_id) ?? []);
    setProvided(group?.provider_groups ?? []);
  }, [group]);
  const save = useMutation({
    mutationFn: async () => {
      if (group === undefined) return;
      const before = group.members.map((member) => member.user_id);
      const add_user_ids = members.filter((id) => !before.includes(id));
      const remove_user_ids = before.filter((id) => !members.includes(id));
      await ok(
        api.PATCH('/api/v1/iam/groups/{group_id}', {
          params: { path: { group_id: group.id } },
          body: {
            ...(add_user_ids.length === 0 ? {} : { add_user_ids }),
            ...(remove_user_ids.length === 0 ? {} : { remove_user_ids }),
            ...(provided.join('\n') === group.provider_groups.join('\n') ? {} : { provider_groups: provided }),
          },
        }),
      );
    },
    onSuccess: () => {
      say(t('app.saved'));
      onClose();
      return refresh('iam-groups');
    },
  });
  const known = new Map(group?.members.map((member) => [member.user_id, member.user_name]));
  for (const user of users.data?.items ?? []) known.set(user.id, user.name);
  return (
    <FormDialog
      title={t('app.edit-title', { name: group?.name ?? '' })}
      opened={group !== undefined}
      onClose={onClose}
      size="lg"
      submit={t('action.save')}
      save={save}
    >
      <MultiSelect
        data-autofocus
        searchable
        label={t('people.members')}
        data={[...known].map(([value, label]) => ({ value, label }))}
        value={members}
        onChange={setMembers}
      />
      <TagsInput label={t('access.provider-groups')} description={t('access.provider-groups-hint')} value={provided} onChange={setProvided} />
    </FormDialog>
  );
}
