import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import '../style.css';

import { MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { BrowserRouter } from 'react-router';
import { ApiProblem } from '../api/client';
import { Boundary } from '../components/Boundary';
import { TextProvider } from '../i18n';
import { cssVariables, theme } from '../theme';
import { Portal } from './Portal';
import { takeTicket } from './session';

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      retry: (failures, error) => failures < 4 && !(error instanceof ApiProblem && error.status >= 400 && error.status < 500),
      retryDelay: (failures) => Math.min(4_000, 400 * 2 ** failures),
    },
  },
});

const root = document.getElementById('root');
if (root === null) throw new Error('portal.html has no #root');
// Before anything else reads the address: it counts once, and must not stay in the history.
const ticket = takeTicket();
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={cssVariables} defaultColorScheme="auto">
      <TextProvider>
        <QueryClientProvider client={queries}>
          <Notifications position="bottom-right" />
          <BrowserRouter basename="/portal">
            <Boundary place="">
              <Portal ticket={ticket} />
            </Boundary>
          </BrowserRouter>
        </QueryClientProvider>
      </TextProvider>
    </MantineProvider>
  </StrictMode>,
);
