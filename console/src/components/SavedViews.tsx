import { ActionIcon, Button, Group, Menu, Text, TextInput } from '@mantine/core';
import { useLocalStorage } from '@mantine/hooks';
import { IconBookmark, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { useLocation, useNavigate } from 'react-router';
import { useTexts } from '../i18n';
import { Copy, FormDialog } from './parts';

/** A view is an address with a name; names are kept in this browser, addresses can be shared with anybody. */
interface View {
  name: string;
  search: string;
}

/** Most views of one page: a list that one still looks through. */
const MOST = 30;

export function SavedViews() {
  const { t } = useTexts();
  const { pathname, search } = useLocation();
  const navigate = useNavigate();
  const [views, setViews] = useLocalStorage<View[]>({ key: `outfitter.views.${pathname}`, defaultValue: [] });
  const [naming, setNaming] = useState(false);
  const [name, setName] = useState('');
  const save = () => {
    setViews([...views.filter((view) => view.name !== name.trim()), { name: name.trim(), search }].slice(-MOST));
    setName('');
    setNaming(false);
  };
  const here = `${window.location.origin}/console${pathname}${search}`;
  return (
    <>
      <Menu position="bottom-end" width={280}>
        <Menu.Target>
          <Button variant="default" leftSection={<IconBookmark size={16} />}>
            {t('views.title')}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {views.length === 0 && <Menu.Label>{t('views.none')}</Menu.Label>}
          {views.map((view) => (
            <Group key={view.name} gap={0} wrap="nowrap">
              <Menu.Item onClick={() => void navigate(`${pathname}${view.search}`)}>{view.name}</Menu.Item>
              <ActionIcon variant="subtle" color="gray" aria-label={t('action.delete-this', { name: view.name })} onClick={() => setViews(views.filter((other) => other.name !== view.name))}>
                <IconTrash size={14} />
              </ActionIcon>
            </Group>
          ))}
          <Menu.Divider />
          <Menu.Item onClick={() => setNaming(true)}>{t('views.save')}</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <FormDialog
        title={t('views.save')}
        opened={naming}
        onClose={() => setNaming(false)}
        submit={t('action.save')}
        disabled={name.trim() === ''}
        save={{ mutate: save, isPending: false, error: null, reset: () => undefined }}
      >
        <TextInput data-autofocus label={t('app.name')} required maxLength={60} value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <Group gap={4} wrap="nowrap">
          <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
            {t('views.shared')} {here}
          </Text>
          <Copy text={here} />
        </Group>
      </FormDialog>
    </>
  );
}
