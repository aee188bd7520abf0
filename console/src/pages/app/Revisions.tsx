import { Code, Group, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api, ok, type Shape } from '../../api/client';
import { bytes, Pill, When } from '../../components/parts';
import { Problem } from '../../components/states';
import { useTexts, type TextKey, type Write } from '../../i18n';
import { useProject } from '../../session';
import { ruleText } from './Detection';

type Revision = Shape<'AppRevision'>;

interface Difference {
  member: TextKey;
  before: string;
  after: string;
}

/** What a revision changed against the one before it, member by member. */
export function differences(newer: Revision, older: Revision, t: Write): Difference[] {
  const exits = (revision: Revision) => revision.exit_codes.map((code) => `${code.code} = ${code.outcome}`).join(', ');
  const file = ({ package: { app_file_store: store, sha256, size_bytes } }: Revision) =>
    [store.file_link ?? store.bucket_store?.bucket_file_path, size_bytes === undefined ? undefined : bytes(size_bytes), sha256?.slice(0, 12)].filter(Boolean).join(' · ');
  const all: [TextKey, string | undefined, string | undefined][] = [
    ['app.version', older.version, newer.version],
    ['app.command', older.install_command, newer.install_command],
    ['app.uninstall-command', older.uninstall_command, newer.uninstall_command],
    ['app.package', file(older), file(newer)],
    ['app.detection', older.detection_rule === undefined ? '' : ruleText(older.detection_rule, t), newer.detection_rule === undefined ? '' : ruleText(newer.detection_rule, t)],
    ['revision.exit-codes', exits(older), exits(newer)],
    ['revision.success-codes', older.success_exit_codes.join(', '), newer.success_exit_codes.join(', ')],
  ];
  return all.map(([member, before, after]) => ({ member, before: before ?? '', after: after ?? '' })).filter(({ before, after }) => before !== after);
}

export function Revisions({ appId }: { appId: string }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const list = useQuery({
    queryKey: ['revisions', project_id, appId],
    queryFn: () =>
      ok(api.GET('/api/v1/{project_id}/apps/{app_id}/revisions', { params: { path: { project_id, app_id: appId }, query: { limit: 50, offset: 0 } } })),
  });
  if (list.error !== null && list.data === undefined) return <Problem error={list.error} />;
  const items = list.data?.items ?? [];
  return (
    <Stack gap="md">
      {items.map((revision, index) => {
        const older = items[index + 1];
        const changed = older === undefined ? [] : differences(revision, older, t);
        return (
          <section key={revision.id} className="panel panel-pad" aria-label={`${t('revision.number')} ${revision.number}`}>
            <Group justify="space-between" mb={older === undefined ? 0 : 'sm'}>
              <Group gap="xs">
                <Text component="h2" fw={650} m={0}>
                  {t('revision.number')} {revision.number}
                </Text>
                <Text size="sm" c="dimmed">
                  {revision.version}
                </Text>
                {revision.newest && <Pill tone="ok">{t('revision.newest')}</Pill>}
              </Group>
              <Text size="xs" c="dimmed">
                {revision.package.size_bytes !== undefined && `${bytes(revision.package.size_bytes)} · `}
                {revision.package.sha256 !== undefined && (
                  <>
                    <Code title={revision.package.sha256}>{revision.package.sha256.slice(0, 12)}</Code> ·{' '}
                  </>
                )}
                <When at={revision.created_at} />
              </Text>
            </Group>
            {older === undefined && (
              <Text size="sm" c="dimmed">
                {t('revision.first')}
              </Text>
            )}
            {older !== undefined && changed.length === 0 && (
              <Text size="sm" c="dimmed">
                {t('revision.same')}
              </Text>
            )}
            <Stack gap="xs">
              {changed.map(({ member, before, after }) => (
                <div key={member}>
                  <Text size="sm" fw={600}>
                    {t(member)}
                  </Text>
                  {before !== '' && (
                    <pre className="change" data-side="before" aria-label={t('audit.before')}>
                      {before}
                    </pre>
                  )}
                  {after !== '' && (
                    <pre className="change" data-side="after" aria-label={t('audit.after')}>
                      {after}
                    </pre>
                  )}
                </div>
              ))}
            </Stack>
          </section>
        );
      })}
    </Stack>
  );
}
