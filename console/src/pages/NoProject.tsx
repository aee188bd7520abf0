import { Button } from '@mantine/core';
import { IconFolderOff } from '@tabler/icons-react';
import { Empty } from '../components/states';
import { useTexts } from '../i18n';
import { useLogOut } from '../session';

export function NoProject() {
  const { t } = useTexts();
  const logOut = useLogOut();
  return (
    <main>
      <Empty
        icon={<IconFolderOff />}
        title={t('no-project.title')}
        action={<Button onClick={() => void logOut()}>{t('shell.log-out')}</Button>}
      >
        {t('no-project.text')}
      </Empty>
    </main>
  );
}
