use outfitter_agent_protocol::{Evidence, ExitOutcome, Task, TaskKind};

use super::{Verdict, judge};

/// Windows Installer: another installation is in progress (ERROR_INSTALL_ALREADY_RUNNING). No Linux program can end
/// with a code above 255. Source: the vendor's list of error codes for Windows Installer, as for those below.
const WINDOWS_INSTALLER_BUSY: i32 = 1618;

/// Windows Installer: done, a restart was begun (ERROR_SUCCESS_REBOOT_INITIATED) or is needed
/// (ERROR_SUCCESS_REBOOT_REQUIRED).
const WINDOWS_RESTART: [i32; 2] = [1641, 3010];

/// Windows Installer: nothing to take off (ERROR_UNKNOWN_PRODUCT), or it was taken off before (ERROR_PRODUCT_UNINSTALLED).
const WINDOWS_NOT_INSTALLED: [i32; 2] = [1605, 1614];

/// What the exit code of an installer comes to: what the app's own map says, else what its success set and its family
/// of installers say. A success still needs its detection rule.
pub fn exit_outcome(task: &Task, code: i32) -> ExitOutcome {
    if let Some(meaning) = task.exit_codes.get(&code) {
        return meaning.outcome;
    }
    match (task.success_exit_codes.contains(&code), task.kind) {
        (true, _) if WINDOWS_RESTART.contains(&code) => ExitOutcome::RebootNeeded,
        (true, _) => ExitOutcome::Success,
        (false, TaskKind::Uninstall) if WINDOWS_NOT_INSTALLED.contains(&code) => {
            ExitOutcome::Success
        }
        (false, _) if code == WINDOWS_INSTALLER_BUSY => ExitOutcome::Retry,
        (false, _) => ExitOutcome::Failure,
    }
}

/// Whether an attempt ended well and what it did is whole only after a restart of the desktop.
pub fn wants_restart(task: &Task, evidence: &Evidence) -> bool {
    evidence
        .exit_code
        .is_some_and(|code| exit_outcome(task, code) == ExitOutcome::RebootNeeded)
        && matches!(judge(task, evidence), Verdict::Succeeded(_))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use outfitter_agent_protocol::{Approach, ExitMeaning, Method, PackageRef};
    use outfitter_ids::{AppId, AttemptId, JobId, RevisionId};
    use uuid::Uuid;

    use super::*;

    fn task(kind: TaskKind) -> Task {
        Task {
            attempt: AttemptId::new(Uuid::from_u128(1)),
            job: JobId::new(Uuid::from_u128(2)),
            project: None,
            kind,
            app: AppId::new(Uuid::from_u128(3)),
            app_name: "Hello".to_owned(),
            app_version: "1".to_owned(),
            revision: RevisionId::new(Uuid::from_u128(4)),
            method: Method::Quiet,
            command: "x".to_owned(),
            package: PackageRef {
                file_name: "x".to_owned(),
                sha256: None,
                size_bytes: None,
            },
            detection: None,
            success_exit_codes: vec![0, 1641, 3010],
            run_limit_secs: 1,
            approach: Approach::Ordinary,
            exit_codes: BTreeMap::new(),
            running_programs: None,
            session: None,
        }
    }

    #[test]
    fn codes_mean_what_their_family_says_unless_the_app_says_otherwise() {
        let (install, uninstall) = (task(TaskKind::Install), task(TaskKind::Uninstall));
        for (code, on, off) in [
            (0, ExitOutcome::Success, ExitOutcome::Success),
            (3010, ExitOutcome::RebootNeeded, ExitOutcome::RebootNeeded),
            (1641, ExitOutcome::RebootNeeded, ExitOutcome::RebootNeeded),
            (1618, ExitOutcome::Retry, ExitOutcome::Retry),
            (1605, ExitOutcome::Failure, ExitOutcome::Success),
            (1614, ExitOutcome::Failure, ExitOutcome::Success),
            (1603, ExitOutcome::Failure, ExitOutcome::Failure),
            (1, ExitOutcome::Failure, ExitOutcome::Failure),
        ] {
            assert_eq!(exit_outcome(&install, code), on, "{code}");
            assert_eq!(exit_outcome(&uninstall, code), off, "{code}");
        }
        let mut own = task(TaskKind::Install);
        // A success set of its own: a restart code outside it is a failure like any other.
        own.success_exit_codes = vec![0];
        assert_eq!(exit_outcome(&own, 3010), ExitOutcome::Failure);
        for (code, outcome) in [
            (0, ExitOutcome::Failure),
            (1618, ExitOutcome::Success),
            (3010, ExitOutcome::Retry),
            (5, ExitOutcome::RebootNeeded),
        ] {
            own.exit_codes.insert(
                code,
                ExitMeaning {
                    outcome,
                    text: None,
                },
            );
            assert_eq!(exit_outcome(&own, code), outcome, "{code}");
        }
    }
}
