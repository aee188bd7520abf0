import { IconPackageOff } from '@tabler/icons-react';
import { PageGone } from '../../components/parts';
import { useTexts } from '../../i18n';
import { usePath } from '../../session';

/** The page of an app that is not there. */
export function Gone() {
  const { t } = useTexts();
  const path = usePath();
  return <PageGone title={t('job.app')} icon={<IconPackageOff />} gone={t('app.gone')} text={t('app.gone-text')} all={{ label: t('app.all'), to: path('apps') }} />;
}
