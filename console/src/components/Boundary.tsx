import { Button, Code, Text } from '@mantine/core';
import { IconRefresh } from '@tabler/icons-react';
import { Component, type ReactNode } from 'react';
import { useTexts } from '../i18n';
import { Trouble } from './states';

function Fault({ error }: { error: Error }) {
  const { t } = useTexts();
  return (
    <Trouble title={t('fault.title')}>
      <Text size="sm">{t('fault.text')}</Text>
      <Code style={{ overflowWrap: 'anywhere' }}>{error.message}</Code>
      <Button size="xs" variant="default" leftSection={<IconRefresh size={16} />} onClick={() => window.location.reload()}>
        {t('fault.reload')}
      </Button>
    </Trouble>
  );
}

interface State {
  error: Error | undefined;
  place: string;
}

/**
 * What cannot be drawn is told in its place, and what lies around it stays: a fault of ours, or a part of the console that
 * the server has no more because it was updated meanwhile. Another place begins anew.
 */
export class Boundary extends Component<{ place: string; children: ReactNode }, State> {
  override state: State = { error: undefined, place: this.props.place };

  static getDerivedStateFromError(error: unknown): Partial<State> {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  static getDerivedStateFromProps({ place }: { place: string }, state: State): State | null {
    return place === state.place ? null : { error: undefined, place };
  }

  override render(): ReactNode {
    return this.state.error === undefined ? this.props.children : <Fault error={this.state.error} />;
  }
}
