//! States of workspace jobs. Source: contract, section 10.

words! {
    /// Where a sub-job stands, and by the same words a job.
    SubJobStatus {
        /// Not begun.
        Waiting = "WAITING",
        /// Begun.
        Running = "RUNNING",
        /// Ended well.
        Success = "SUCCESS",
        /// Ended badly.
        Failed = "FAILED",
    }
}

impl SubJobStatus {
    /// Whether it has ended.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}

/// Where a job stands, from its sub-jobs: SUCCESS when all are, FAILED when all ended and one failed,
/// WAITING while none has begun, else RUNNING. A job without sub-jobs had nothing to do: SUCCESS.
pub fn fold_sub_jobs(sub_jobs: impl IntoIterator<Item = SubJobStatus>) -> SubJobStatus {
    let (mut waiting, mut begun, mut failed, mut open) = (false, false, false, false);
    for status in sub_jobs {
        match status {
            SubJobStatus::Waiting => (waiting, open) = (true, true),
            SubJobStatus::Running => (begun, open) = (true, true),
            SubJobStatus::Success => begun = true,
            SubJobStatus::Failed => (begun, failed) = (true, true),
        }
    }
    match (open, waiting && !begun, failed) {
        (true, true, _) => SubJobStatus::Waiting,
        (true, false, _) => SubJobStatus::Running,
        (false, _, true) => SubJobStatus::Failed,
        (false, _, false) => SubJobStatus::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::SubJobStatus::{Failed, Running, Success, Waiting};
    use super::*;

    #[test]
    fn a_job_ends_with_its_last_sub_job() {
        let cases: &[(&[SubJobStatus], SubJobStatus)] = &[
            (&[], Success),
            (&[Success, Success], Success),
            (&[Success, Failed], Failed),
            (&[Failed, Running], Running),
            (&[Failed, Waiting], Running),
            (&[Waiting, Waiting], Waiting),
        ];
        for (sub_jobs, expected) in cases {
            assert_eq!(
                fold_sub_jobs(sub_jobs.iter().copied()),
                *expected,
                "{sub_jobs:?}"
            );
        }
    }
}
