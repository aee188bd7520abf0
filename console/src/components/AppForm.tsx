import { Button, Code, Group, Select, SimpleGrid, Stack, Text, Textarea, TextInput } from '@mantine/core';
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
  /** The app whose newest revision it becomes; `null`: an app of its own; left out: what its package was added for. */
  versionOf?: string | null;
}

/** What a new version changes of an app. */
export type Versioned = Pick<AppDraft, 'version' | 'installType' | 'installCommand' | 'uninstallCommand'>;

/** An app as it is, to be changed. */
export function draftOfApp(app: Shape<'Application'>): AppDraft {
  return {
    name: app.name,
    version: app.version,
    description: app.description ?? '',
    catalogId: app.catalog_id,
    installType: app.install_type,
    installCommand: app.install_command ?? '',
    uninstallCommand: app.uninstall_command ?? '',
    system: app.support_os,
    audience: app.authorization_type,
    help: app.install_info ?? '',
  };
}

/** What a person changed of an app; what they left alone is not sent. */
export function changesOf(draft: AppDraft, before: AppDraft): Shape<'UpdateAppReq'> {
  const body: Shape<'UpdateAppReq'> = {};
  if (draft.name !== before.name) body.name = draft.name.trim();
  if (draft.version !== before.version) body.version = draft.version.trim();
  if (draft.description !== before.description) body.description = draft.description.trim();
  if (draft.catalogId !== before.catalogId) body.catalog_id = draft.catalogId;
  if (draft.installType !== before.installType) body.install_type = draft.installType;
  if (draft.installCommand !== before.installCommand) body.install_command = draft.installCommand.trim();
  if (draft.uninstallCommand !== before.uninstallCommand) body.uninstall_command = draft.uninstallCommand.trim();
  if (draft.help !== before.help) body.install_info = (draft.help ?? '').trim();
  if (draft.system !== before.system) body.support_os = draft.system;
  return body;
}

interface Props {
  draft: AppDraft;
  onChange: (draft: AppDraft) => void;
  /** Without what is decided elsewhere; or with nothing but what a new version changes. */
  only?: 'edit' | 'version';
  /** Other values of what a new version changes, shown where they differ. */
  beside?: { label: string; values: Partial<Versioned> }[];
  versionError?: string | undefined;
  /** An app that was made without an install command may stay so. */
  mayLackCommand?: boolean;
}

export function AppForm({ draft, onChange, only, beside = [], versionError, mayLackCommand = false }: Props) {
  const { t, language } = useTexts();
  const catalogs = useCatalogs();
  const set = <Member extends keyof AppDraft>(member: Member, value: AppDraft[Member]) => onChange({ ...draft, [member]: value });
  // Source: contract, InstallType: what is installed automatically needs a command.
  const needsCommand = draft.installType !== 'GUI_INSTALL' && !mayLackCommand;
  const commandHint =
    draft.installType === 'UNZIP_INSTALL' ? t('app.command-unzip-hint', { command: 'unzip ${FILE_PATH}' }) : t('app.command-hint', { path: '${FILE_PATH}' });
  const others = (member: keyof Versioned) =>
    beside.map(({ label, values }) => {
      const value = values[member];
      if (value === undefined || value === '' || value === draft[member]) return null;
      const shown = member === 'installType' ? t(INSTALL_TYPE[value as Shape<'InstallType'>]) : value;
      return (
        <Group key={label} gap="xs" mt={4}>
          <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
            {label}: <Code>{shown}</Code>
          </Text>
          <Button size="xs" variant="default" aria-label={t('app.use-value', { value: shown })} onClick={() => set(member, value)}>
            {t('app.use-this')}
          </Button>
        </Group>
      );
    });
  const version = (
    <div>
      <TextInput
        label={t('app.version')}
        required
        maxLength={128}
        value={draft.version}
        onChange={(event) => set('version', event.currentTarget.value)}
        error={versionError}
      />
      {others('version')}
    </div>
  );
  return (
    <Stack gap="sm">
      {only === 'version' ? (
        version
      ) : (
        <>
          <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
            <TextInput label={t('app.name')} required maxLength={128} value={draft.name} onChange={(event) => set('name', event.currentTarget.value)} />
            {version}
          </SimpleGrid>
          <Textarea
            label={t('app.description')}
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
        </>
      )}
      <div>
        <Select
          label={t('app.type')}
          allowDeselect={false}
          data={(['QUIET_INSTALL', 'UNZIP_INSTALL', 'GUI_INSTALL'] as const).map((type) => ({ value: type, label: t(INSTALL_TYPE[type]) }))}
          value={draft.installType}
          onChange={(value) => value !== null && set('installType', value as Shape<'InstallType'>)}
        />
        {others('installType')}
      </div>
      <div>
        <TextInput
          label={t('app.command')}
          description={needsCommand && draft.installCommand.trim() === '' ? `${t('app.command-needed')} ${commandHint}` : commandHint}
          required={needsCommand}
          // Blanks are no command.
          {...(needsCommand ? { pattern: '.*\\S.*' } : {})}
          value={draft.installCommand}
          onChange={(event) => set('installCommand', event.currentTarget.value)}
          styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 13 } }}
        />
        {others('installCommand')}
      </div>
      <div>
        <TextInput
          label={t('app.uninstall-command')}
          description={t('app.uninstall-hint')}
          value={draft.uninstallCommand}
          onChange={(event) => set('uninstallCommand', event.currentTarget.value)}
          styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 13 } }}
        />
        {others('uninstallCommand')}
      </div>
    </Stack>
  );
}
