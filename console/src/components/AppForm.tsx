import { Select, SimpleGrid, Stack, Textarea, TextInput } from '@mantine/core';
import type { Shape } from '../api/client';
import { useCatalogs } from '../data';
import { useTexts } from '../i18n';
import { INSTALL_TYPE } from '../pages/Apps';

/** What a person decides about an app, beside its package. */
export interface AppDraft {
  name: string;
  version: string;
  description: string;
  catalogId: string;
  installType: Shape<'InstallType'>;
  installCommand: string;
  uninstallCommand: string;
  system: Shape<'OsTypeEnum'>;
  audience: Shape<'AssignType'>;
  /** What users read before they install. */
  help?: string;
}

export function AppForm({ draft, onChange, only }: { draft: AppDraft; onChange: (draft: AppDraft) => void; only?: 'edit' }) {
  const { t, language } = useTexts();
  const catalogs = useCatalogs();
  const set = <Member extends keyof AppDraft>(member: Member, value: AppDraft[Member]) => onChange({ ...draft, [member]: value });
  return (
    <Stack gap="sm">
      <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
        <TextInput label={t('app.name')} required maxLength={128} value={draft.name} onChange={(event) => set('name', event.currentTarget.value)} />
        <TextInput
          label={t('app.version')}
          required
          maxLength={128}
          value={draft.version}
          onChange={(event) => set('version', event.currentTarget.value)}
        />
      </SimpleGrid>
      <Textarea
        label={t('app.description')}
        required
        maxLength={2048}
        autosize
        minRows={2}
        value={draft.description}
        onChange={(event) => set('description', event.currentTarget.value)}
      />
      {draft.help !== undefined && (
        <Textarea
          label={t('app.help')}
          description={t('app.help-hint')}
          maxLength={8192}
          autosize
          minRows={2}
          maxRows={8}
          value={draft.help}
          onChange={(event) => set('help', event.currentTarget.value)}
        />
      )}
      <SimpleGrid cols={{ base: 1, xs: only === 'edit' ? 2 : 3 }} spacing="sm">
        <Select
          label={t('app.category')}
          allowDeselect={false}
          data={catalogs.data?.items.map((catalog) => ({ value: catalog.id, label: language === 'zh' ? catalog.catalog_zh : catalog.catalog_en })) ?? []}
          value={draft.catalogId}
          onChange={(value) => value !== null && set('catalogId', value)}
        />
        <Select
          label={t('app.system')}
          allowDeselect={false}
          data={['Linux', 'Windows', { value: 'Other', label: t('app.system.Other') }]}
          value={draft.system}
          onChange={(value) => value !== null && set('system', value as Shape<'OsTypeEnum'>)}
        />
        {only !== 'edit' && (
          <Select
            label={t('app.for')}
            allowDeselect={false}
            data={[
              { value: 'ALL_USER', label: t('app.for-all') },
              { value: 'ASSIGN_USER', label: t('app.for-some') },
            ]}
            value={draft.audience}
            onChange={(value) => value !== null && set('audience', value as Shape<'AssignType'>)}
          />
        )}
      </SimpleGrid>
      <Select
        label={t('app.type')}
        allowDeselect={false}
        data={(['QUIET_INSTALL', 'UNZIP_INSTALL', 'GUI_INSTALL'] as const).map((type) => ({ value: type, label: t(INSTALL_TYPE[type]) }))}
        value={draft.installType}
        onChange={(value) => value !== null && set('installType', value as Shape<'InstallType'>)}
      />
      <TextInput
        label={t('app.command')}
        description={
          draft.installType === 'UNZIP_INSTALL'
            ? t('app.command-unzip-hint', { command: 'unzip ${FILE_PATH}' })
            : t('app.command-hint', { path: '${FILE_PATH}' })
        }
        value={draft.installCommand}
        onChange={(event) => set('installCommand', event.currentTarget.value)}
        styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 13 } }}
      />
      <TextInput
        label={t('app.uninstall-command')}
        description={t('app.uninstall-hint')}
        value={draft.uninstallCommand}
        onChange={(event) => set('uninstallCommand', event.currentTarget.value)}
        styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 13 } }}
      />
    </Stack>
  );
}
