import { Center, Loader } from '@mantine/core';
import { IconMapOff } from '@tabler/icons-react';
import { lazy, Suspense } from 'react';
import { Navigate, Route, Routes, useLocation, useParams } from 'react-router';
import { Boundary } from './components/Boundary';
import { PageGone } from './components/parts';
import { Problem } from './components/states';
import { useTexts } from './i18n';
import { Shell } from './layout/Shell';
import { Login } from './pages/Login';
import { NoProject } from './pages/NoProject';
import { SessionProvider, useSession, useSessionState } from './session';

const Overview = lazy(() => import('./pages/Overview'));
const Apps = lazy(() => import('./pages/Apps'));
const AddApps = lazy(() => import('./pages/AddApps'));
const AppDetail = lazy(() => import('./pages/AppDetail'));
const Import = lazy(() => import('./pages/Import'));
const Install = lazy(() => import('./pages/Install'));
const Deployments = lazy(() => import('./pages/Deployments'));
const Deployment = lazy(() => import('./pages/Deployment'));
const Jobs = lazy(() => import('./pages/Jobs'));
const Desktops = lazy(() => import('./pages/Desktops'));
const Desktop = lazy(() => import('./pages/Desktop'));
const Agents = lazy(() => import('./pages/Agents'));
const Push = lazy(() => import('./pages/Push'));
const People = lazy(() => import('./pages/People'));
const Rules = lazy(() => import('./pages/Rules'));
const Access = lazy(() => import('./pages/Access'));
const Audit = lazy(() => import('./pages/Audit'));
const Packages = lazy(() => import('./pages/Packages'));
const Settings = lazy(() => import('./pages/Settings'));

export function Waiting() {
  return (
    <Center mih={240} role="status" aria-label="…">
      <Loader type="dots" />
    </Center>
  );
}

/** An address that leads nowhere: a slip of the pen, or a project that is not (any more) this person's. */
function NoSuchPage({ home }: { home: string }) {
  const { t } = useTexts();
  return <PageGone title={t('no-page.title')} icon={<IconMapOff />} gone={t('no-page.gone')} text={t('no-page.text')} all={{ label: t('nav.overview'), to: home }} />;
}

function InProject() {
  const session = useSession();
  const { project } = useParams();
  const { pathname } = useLocation();
  const first = session.projects[0];
  if (first === undefined) return <NoProject />;
  if (project === undefined) return <Navigate to={`/${encodeURIComponent(first.name)}/overview`} replace />;
  if (!session.projects.some((candidate) => candidate.name === project)) {
    return (
      <main>
        <NoSuchPage home={`/${encodeURIComponent(first.name)}/overview`} />
      </main>
    );
  }
  return (
    <Shell>
      <Boundary place={pathname}>
        <Suspense fallback={<Waiting />}>
          <Routes>
            <Route path="overview" element={<Overview />} />
            <Route path="apps" element={<Apps />} />
            <Route path="apps/add" element={<AddApps />} />
            <Route path="apps/:app" element={<AppDetail />} />
            <Route path="import/:noun" element={<Import />} />
            <Route path="install" element={<Install />} />
            <Route path="deployments" element={<Deployments />} />
            <Route path="deployments/:deployment" element={<Deployment />} />
            <Route path="jobs" element={<Jobs />} />
            <Route path="desktops" element={<Desktops />} />
            <Route path="desktops/:desktop" element={<Desktop />} />
            <Route path="agents" element={<Agents />} />
            <Route path="agents/:job" element={<Push />} />
            <Route path="people" element={<People />} />
            <Route path="rules" element={<Rules />} />
            <Route path="access" element={<Access />} />
            <Route path="audit" element={<Audit />} />
            <Route path="packages" element={<Packages />} />
            <Route path="settings" element={<Settings />} />
            <Route index element={<Navigate to="overview" replace />} />
            <Route path="*" element={<NoSuchPage home={`/${encodeURIComponent(project)}/overview`} />} />
          </Routes>
        </Suspense>
      </Boundary>
    </Shell>
  );
}

function Gate() {
  const { session, isLoading, problem } = useSessionState();
  if (problem !== null && session === undefined) return <Problem error={problem} />;
  if (isLoading) return <Waiting />;
  if (session === undefined) return <Login />;
  return (
    <Routes>
      <Route path="/:project/*" element={<InProject />} />
      <Route path="*" element={<InProject />} />
    </Routes>
  );
}

export function App() {
  return (
    <Boundary place="">
      <SessionProvider>
        <Gate />
      </SessionProvider>
    </Boundary>
  );
}
