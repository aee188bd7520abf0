//! Signing what an attempt saw, with the key of the device certificate.

use outfitter_agent_protocol::{Envelope, Evidence, RECEIPT_SCHEMA, RawSignature, Statement, Task};
use outfitter_ids::{AgentId, DesktopId};

use crate::credentials::SharedCredentials;
use crate::state_dir::AgentIdentity;

/// Makes receipts.
#[derive(Clone)]
pub struct Receipts {
    agent: AgentId,
    desktop: DesktopId,
    credentials: SharedCredentials,
}

impl Receipts {
    /// Receipts of an enrolled agent.
    pub fn new(identity: &AgentIdentity, credentials: SharedCredentials) -> Self {
        Self {
            agent: identity.agent,
            desktop: identity.desktop,
            credentials,
        }
    }

    /// Signs under the certificate of this moment. Where that fails, the receipt goes without a signature, and the
    /// server shows it so: what was seen is worth more than nothing.
    pub fn seal(&self, task: Option<&Task>, evidence: Evidence) -> Envelope {
        let statement = Statement {
            schema: RECEIPT_SCHEMA,
            agent: self.agent,
            desktop: self.desktop,
            project: task.and_then(|task| task.project),
            task: task.cloned(),
            evidence,
        };
        Envelope::seal(&statement, |bytes| match self.credentials.sign(bytes) {
            Ok((certificate_sha256, bytes)) => Some(RawSignature {
                certificate_sha256,
                bytes,
            }),
            Err(reason) => {
                tracing::error!("the receipt cannot be signed: {reason}");
                None
            }
        })
    }
}
