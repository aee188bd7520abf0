import { Tabs } from '@mantine/core';
import { useSearchParams } from 'react-router';
import { PageHead } from '../components/parts';
import { TabsList } from '../components/TabsList';
import { useTexts } from '../i18n';
import { Explain } from './access/Explain';
import { Groups } from './access/Groups';
import { LoginProvider } from './access/LoginProvider';
import { Policies } from './access/Policies';
import { Users } from './access/Users';

const TABS = { users: Users, groups: Groups, policies: Policies, explain: Explain, provider: LoginProvider } as const;

export default function Access() {
  const { t } = useTexts();
  const [search, setSearch] = useSearchParams();
  const tab = (Object.keys(TABS) as (keyof typeof TABS)[]).find((name) => name === search.get('tab')) ?? 'users';
  return (
    <>
      <PageHead title={t('nav.access')} sub={t('access.sub')} />
      <Tabs
        value={tab}
        // What one tab keeps in the address means nothing to another.
        onChange={(value) => setSearch(value === null || value === 'users' ? {} : { tab: value }, { replace: true })}
        keepMounted={false}
      >
        <TabsList value={tab}>
          {(Object.keys(TABS) as (keyof typeof TABS)[]).map((name) => (
            <Tabs.Tab key={name} value={name}>
              {t(`access.tab.${name}`)}
            </Tabs.Tab>
          ))}
        </TabsList>
        {Object.entries(TABS).map(([name, Content]) => (
          <Tabs.Panel key={name} value={name}>
            <Content />
          </Tabs.Panel>
        ))}
      </Tabs>
    </>
  );
}
