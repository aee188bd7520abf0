//! Signing what an attempt saw, with the key of the device certificate.

use std::sync::Arc;

use outfitter_agent_protocol::{Envelope, Evidence, RECEIPT_SCHEMA, RawSignature, Statement, Task};
use outfitter_ids::{AgentId, DesktopId};

/// Who holds a key that receipts are signed with. A seam: a simulated desktop has none.
pub trait Signer: Send + Sync {
    /// Signs bytes; answers with SHA-256 of the certificate that the key belongs to, and the signature.
    ///
    /// # Errors
    /// In words, when key or certificate cannot be read.
    fn sign(&self, bytes: &[u8]) -> Result<([u8; 32], Vec<u8>), String>;
}

/// Makes receipts.
#[derive(Clone)]
pub struct Receipts {
    agent: AgentId,
    desktop: DesktopId,
    signer: Arc<dyn Signer>,
}

impl Receipts {
    /// Receipts of an enrolled agent.
    pub fn new(agent: AgentId, desktop: DesktopId, signer: Arc<dyn Signer>) -> Self {
        Self {
            agent,
            desktop,
            signer,
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
        Envelope::seal(&statement, |bytes| match self.signer.sign(bytes) {
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
