import { Badge, CloseButton, Combobox, Group, InputBase, Loader, ScrollArea, Text, useCombobox } from '@mantine/core';
import { IconSearch, IconUser, IconUsers } from '@tabler/icons-react';
import { useDebouncedValue } from '@mantine/hooks';
import { useState } from 'react';
import type { Shape } from '../api/client';
import { useGroups, useUsers } from '../data';
import { useTexts } from '../i18n';

type Account = Shape<'AccountInfo'>;

export const keyOf = (account: Account) => `${account.account_type}:${account.domain ?? ''}:${account.account}`;

/** Finds people and groups in the directory as one types. */
export function AccountPicker({ label, value, onChange }: { label: string; value: Account[]; onChange: (accounts: Account[]) => void }) {
  const { t } = useTexts();
  const [text, setText] = useState('');
  const [search] = useDebouncedValue(text, 200);
  const users = useUsers(search, 0, 20);
  const groups = useGroups(search, 0, 20);
  const combobox = useCombobox({ onDropdownClose: () => combobox.resetSelectedOption() });
  const taken = new Set(value.map(keyOf));
  const found: Account[] = [
    ...(groups.data?.user_groups ?? []).map(
      (group): Account => ({
        account: group.name ?? '',
        account_type: 'USER_GROUP',
        ...(group.domain === undefined || group.domain === '' ? {} : { domain: group.domain }),
        ...(group.platform_type === undefined ? {} : { platform_type: group.platform_type }),
      }),
    ),
    ...(users.data?.users ?? []).map(
      (user): Account => ({
        account: user.user_name ?? '',
        account_type: 'SIMPLE',
        ...(user.domain === undefined || user.domain === '' ? {} : { domain: user.domain }),
      }),
    ),
  ].filter((account) => account.account !== '' && !taken.has(keyOf(account)));
  return (
    <div>
      <Combobox
        store={combobox}
        onOptionSubmit={(key) => {
          const account = found.find((candidate) => keyOf(candidate) === key);
          if (account !== undefined) onChange([...value, account]);
          setText('');
          // It would lie over the button that comes next; typing opens it again.
          combobox.closeDropdown();
        }}
      >
        <Combobox.Target>
          <InputBase
            label={label}
            placeholder={t('people.search')}
            value={text}
            leftSection={<IconSearch size={16} />}
            rightSection={users.isFetching || groups.isFetching ? <Loader size={16} /> : null}
            onFocus={() => combobox.openDropdown()}
            onClick={() => combobox.openDropdown()}
            onBlur={() => combobox.closeDropdown()}
            onChange={(event) => {
              setText(event.currentTarget.value);
              combobox.openDropdown();
              combobox.updateSelectedOptionIndex();
            }}
          />
        </Combobox.Target>
        <Combobox.Dropdown>
          <Combobox.Options aria-label={label}>
            <ScrollArea.Autosize mah={260} type="scroll">
              {found.map((account) => (
                <Combobox.Option key={keyOf(account)} value={keyOf(account)}>
                  <Group gap="xs">
                    {account.account_type === 'SIMPLE' ? <IconUser size={16} /> : <IconUsers size={16} />}
                    <Text size="sm">{account.account}</Text>
                    <Text size="xs" c="dimmed">
                      {account.account_type === 'SIMPLE' ? t('people.user') : t('people.group')}
                      {account.domain ? ` · ${account.domain}` : ''}
                    </Text>
                  </Group>
                </Combobox.Option>
              ))}
              {found.length === 0 && <Combobox.Empty>{t('people.none-found')}</Combobox.Empty>}
            </ScrollArea.Autosize>
          </Combobox.Options>
        </Combobox.Dropdown>
      </Combobox>
      {value.length > 0 && (
        <Group gap={6} mt="xs">
          {value.map((account) => (
            <Badge
              key={keyOf(account)}
              size="lg"
              variant="default"
              tt="none"
              fw={550}
              leftSection={account.account_type === 'SIMPLE' ? <IconUser size={14} /> : <IconUsers size={14} />}
              rightSection={
                <CloseButton
                  size="xs"
                  aria-label={t('action.remove-this', { name: account.account })}
                  onClick={() => onChange(value.filter((other) => keyOf(other) !== keyOf(account)))}
                />
              }
            >
              {account.account}
            </Badge>
          ))}
        </Group>
      )}
    </div>
  );
}
