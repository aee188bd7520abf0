import { Button } from '@mantine/core';
import { IconPackageOff } from '@tabler/icons-react';
import { Link } from 'react-router';
import { PageHead } from '../../components/parts';
import { Empty } from '../../components/states';
import { useTexts } from '../../i18n';
import { usePath } from '../../session';

/** The page of an app that is not there. */
export function Gone() {
  const { t } = useTexts();
  const path = usePath();
  return (
    <>
      <PageHead title={t('job.app')} trail={[{ label: t('nav.apps'), to: path('apps') }]} />
      <section className="panel">
        <Empty
          icon={<IconPackageOff />}
          title={t('app.gone')}
          action={
            <Button component={Link} to={path('apps')} variant="default">
              {t('app.all')}
            </Button>
          }
        >
          {t('app.gone-text')}
        </Empty>
      </section>
    </>
  );
}
