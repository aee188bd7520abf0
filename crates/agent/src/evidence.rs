//! Putting together what an attempt saw, in a size that fits a frame.

use std::path::Path;

use outfitter_agent_protocol::{Evidence, FailureCode, MAX_PART_BYTES};
use outfitter_ids::{AttemptId, JobId};

use crate::clock::Clock;

/// Longest detail of a failure and longest view of a detection, in bytes.
const TEXT_LIMIT_BYTES: usize = 2048;

/// Why an attempt cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// What the server is told.
    pub code: FailureCode,
    /// What is to be read beside it.
    pub detail: String,
}

impl Stop {
    /// A stop with its words.
    pub fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// A failure of the agent itself.
    pub fn agent(error: &dyn std::error::Error) -> Self {
        Self::new(
            FailureCode::AgentFailure,
            crate::server_client::chain(error),
        )
    }
}

/// Evidence that says nothing yet.
pub fn blank_evidence(attempt: AttemptId, job: JobId, clock: &dyn Clock) -> Evidence {
    Evidence {
        attempt,
        job,
        failure: None,
        failure_detail: None,
        rule: None,
        manifest_files: None,
        before: None,
        after: None,
        already_installed: false,
        already_absent: false,
        exit_code: None,
        output_tail: String::new(),
        package_sha256: None,
        package_size_bytes: None,
        command: None,
        sandbox_root: None,
        agent_version: crate::version::version().to_owned(),
        phases: Vec::new(),
        ended_at_millis: clock.unix_millis(),
    }
}

/// Shortens texts until the evidence has at most [`MAX_PART_BYTES`]: first the words, then the output from its front.
/// U+0000, which databases take in no text, becomes U+FFFD before anything is signed.
pub fn fit_into_frame(mut evidence: Evidence) -> Evidence {
    if evidence.output_tail.contains('\0') {
        evidence.output_tail = evidence.output_tail.replace('\0', "\u{fffd}");
    }
    for text in [
        evidence.failure_detail.as_mut(),
        evidence
            .before
            .as_mut()
            .map(|detection| &mut detection.seen),
        evidence.after.as_mut().map(|detection| &mut detection.seen),
    ]
    .into_iter()
    .flatten()
    {
        keep_front(text, TEXT_LIMIT_BYTES);
    }
    // Control characters take six bytes in JSON, so the limit of the tail alone is not enough.
    while !evidence.output_tail.is_empty() && encoded_bytes(&evidence) > MAX_PART_BYTES {
        let half = evidence.output_tail.len() / 2;
        keep_back(&mut evidence.output_tail, half);
    }
    evidence
}

fn encoded_bytes(evidence: &Evidence) -> usize {
    serde_json::to_vec(evidence).map_or(usize::MAX, |bytes| bytes.len())
}

fn keep_front(text: &mut String, limit: usize) {
    if text.len() > limit {
        let mut end = limit;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

fn keep_back(text: &mut String, limit: usize) {
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.drain(..from);
}

/// A path as text for evidence.
pub fn path_text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use outfitter_agent_protocol::{
        AgentMessage, Detection, Envelope, MAX_FRAME_BYTES, RECEIPT_SCHEMA, RawSignature, Statement,
    };
    use outfitter_ids::{AgentId, DesktopId};
    use uuid::Uuid;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn evidence_with_the_worst_output_fits_a_frame() {
        let mut evidence = blank_evidence(
            AttemptId::new(Uuid::nil()),
            JobId::new(Uuid::nil()),
            &SystemClock::default(),
        );
        evidence.output_tail = "\u{1b}".repeat(16 * 1024 - 3) + "end";
        evidence.failure_detail = Some("ä".repeat(100_000));
        evidence.command = Some("c".repeat(8191));
        evidence.after = Some(Detection {
            holds: false,
            seen: "x".repeat(50_000),
        });
        let evidence = fit_into_frame(evidence);
        assert!(evidence.output_tail.ends_with("end"));
        let nil = Uuid::nil();
        let statement = Statement {
            schema: RECEIPT_SCHEMA,
            agent: AgentId::new(nil),
            desktop: DesktopId::new(nil),
            project: None,
            task: None,
            evidence,
        };
        let envelope = Envelope::seal(&statement, |_| {
            Some(RawSignature {
                certificate_sha256: [0; 32],
                bytes: vec![0; 72],
            })
        });
        let frame = serde_json::to_vec(&AgentMessage::Result(Box::new(envelope))).expect("JSON");
        // The other half is the task's.
        let frame = [frame, vec![0; MAX_PART_BYTES * 4 / 3]].concat();
        assert!(frame.len() <= MAX_FRAME_BYTES);
    }
}
