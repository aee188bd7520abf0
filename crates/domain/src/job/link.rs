use super::Reason;

/// Desktops that must have found a link gone or changed before installs of it are refused (contract, errors,
/// `WKS.00211106`).
pub const BROKEN_LINK_DESKTOPS: usize = 3;

/// Whether a link counts as broken, from the outcomes of its latest attempts, newest first: the desktop, and
/// the reason (`None`: succeeded). It does when three different desktops found it gone or changed and nobody
/// has had a good download since.
pub fn link_is_broken(outcomes: impl IntoIterator<Item = (i64, Option<Reason>)>) -> bool {
    let mut desktops = Vec::new();
    for (desktop, outcome) in outcomes {
        match outcome {
            Some(Reason::DownloadGone | Reason::DigestMismatch | Reason::LinkChanged) => {
                if !desktops.contains(&desktop) {
                    desktops.push(desktop);
                }
                if desktops.len() >= BROKEN_LINK_DESKTOPS {
                    return true;
                }
            }
            // These come after a good download.
            None
            | Some(
                Reason::ExitCode
                | Reason::ExitCodeRetry
                | Reason::NotDetectedAfterInstall
                | Reason::StillDetectedAfterUninstall
                | Reason::ArchiveRefused
                | Reason::StartFailed
                | Reason::RunLimit
                | Reason::InstallerBusy
                | Reason::ProgramRunning,
            ) => return false,
            // These say nothing about the link.
            Some(
                Reason::NoLongerAuthorized
                | Reason::NoSession
                | Reason::AppDeleted
                | Reason::DesktopDeleted
                | Reason::ProjectDisabled
                | Reason::PackageMissing
                | Reason::CommandMissing
                | Reason::ExpiredOffline
                | Reason::NoSignOfLife
                | Reason::Interrupted
                | Reason::Cancelled
                | Reason::EvidenceRefused
                | Reason::DownloadForbidden
                | Reason::LinkNotAllowed
                | Reason::DownloadFailed
                | Reason::DiskFull
                | Reason::CommandInvalid
                | Reason::NotSupported
                | Reason::AgentFailure,
            ) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_desktops_and_no_good_download_since_break_a_link() {
        const GONE: Option<Reason> = Some(Reason::DownloadGone);
        const CHANGED: Option<Reason> = Some(Reason::LinkChanged);
        assert!(link_is_broken([
            (1, GONE),
            (2, CHANGED),
            (3, GONE),
            (4, None)
        ]));
        assert!(!link_is_broken([(1, GONE), (1, GONE), (1, GONE)]));
        assert!(!link_is_broken([
            (1, GONE),
            (2, GONE),
            (4, None),
            (3, GONE)
        ]));
        assert!(!link_is_broken([
            (1, GONE),
            (2, GONE),
            (4, Some(Reason::ExitCode)),
            (3, GONE)
        ]));
        assert!(link_is_broken([
            (1, GONE),
            (9, Some(Reason::DiskFull)),
            (2, GONE),
            (3, CHANGED)
        ]));
        assert!(!link_is_broken([]));
    }
}
