import type { Shape } from '../../api/client';
import { draftOfApp, type AppDraft, type Versioned } from '../../components/AppForm';

type Recognised = Pick<Shape<'PackageUploadResponse'>, 'proposal'>;

/** Category of an app nobody put anywhere else: "Other". */
const OTHER_CATEGORY = '1';

/** The app that a package proposes. */
export function draftOf({ proposal }: Recognised): AppDraft {
  return {
    name: proposal.name.slice(0, 128),
    version: proposal.version ?? '',
    description: '',
    catalogId: OTHER_CATEGORY,
    installType: proposal.install_type ?? 'QUIET_INSTALL',
    installCommand: proposal.install_command ?? '',
    uninstallCommand: proposal.uninstall_command ?? '',
    system: proposal.support_os ?? 'Other',
    audience: 'ALL_USER',
  };
}

/** What was recognised of a package that a new version of an app changes. */
export function recognisedOf({ proposal }: Recognised): Partial<Versioned> {
  return {
    version: proposal.version,
    installType: proposal.install_type,
    installCommand: proposal.install_command,
    uninstallCommand: proposal.uninstall_command,
  };
}

/** The new version of an app that a package proposes. */
export function nextOf(app: Shape<'Application'>, { proposal }: Recognised): AppDraft {
  const before: AppDraft = { ...draftOfApp(app), version: proposal.version ?? '', versionOf: app.id };
  // Somebody decided that a person opens it: a silent command does not take that person's place unasked.
  if (app.install_type === 'GUI_INSTALL') return before;
  // A command that goes on where the recognised one ends is that one with options of a person's own: they stay.
  const command = (now: string, found = '') => (found === '' || `${now} `.startsWith(`${found} `) ? now : found);
  return {
    ...before,
    installType: proposal.install_type ?? before.installType,
    installCommand: command(before.installCommand, proposal.install_command),
    uninstallCommand: command(before.uninstallCommand, proposal.uninstall_command),
  };
}
