import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import './style.css';

import { MantineProvider } from '@mantine/core';
import { ModalsProvider } from '@mantine/modals';
import { Notifications } from '@mantine/notifications';
import { notifyManager, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { BrowserRouter } from 'react-router';
import { ApiProblem } from './api/client';
import { App } from './App';
import { Queries } from './data';
import { TextProvider } from './i18n';
import { cssVariables, theme } from './theme';

// What was answered is drawn in the frame of the task that it came with, not in one after it.
notifyManager.setScheduler(queueMicrotask);

const queries = new Queries({
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      // What the server refused it refuses again, and what did not reach it has a time of its own: `Queries`.
      retry: (failures, error) => failures < 4 && !(error instanceof ApiProblem && error.status < 500),
      retryDelay: (failures) => Math.min(4_000, 400 * 2 ** failures),
    },
  },
});

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={cssVariables} defaultColorScheme="auto">
      <TextProvider>
        <QueryClientProvider client={queries}>
          <Notifications position="bottom-right" />
          <BrowserRouter basename="/console">
            <ModalsProvider>
              <App />
            </ModalsProvider>
          </BrowserRouter>
        </QueryClientProvider>
      </TextProvider>
    </MantineProvider>
  </StrictMode>,
);
