import { Anchor, Text, type TextProps } from '@mantine/core';
import { useTexts } from '../../i18n';
import { useProject } from '../../session';
import { WithCode } from '../../components/WithCode';

/** How users come to the portal: from a desktop of theirs, or with the company directory's password. */
export function PortalWay(props: TextProps) {
  const { t } = useTexts();
  const { id } = useProject();
  return (
    <Text size="sm" c="dimmed" {...props}>
      <WithCode text={t('people.portal')} />{' '}
      <Anchor href={`/portal/?project=${id}`} inherit>
        /portal/
      </Anchor>
    </Text>
  );
}
