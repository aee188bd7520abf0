//! Signed receipts of jobs, for auditors.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::native::attempts::{Proof, SignatureState};
use crate::time::WireTime;

/// A signature in an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptSignature {
    /// Lower-case hex SHA-256 of the signer's certificate (DER).
    pub keyid: String,
    /// ECDSA P-256 with SHA-256, ASN.1 DER, in base64.
    pub sig: String,
}

/// What the agent signed: a DSSE envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptEnvelope {
    /// Type of the payload: names the schema and is signed with it.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The statement, JSON in base64.
    pub payload: String,
    /// One; none where the agent could not sign.
    pub signatures: Vec<ReceiptSignature>,
}

/// A job's receipt with what is needed to verify it, but for the root certificate, which the verifier must have from
/// elsewhere.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobReceipt {
    /// Project ID.
    pub project_id: String,
    /// Desktop ID.
    pub desktop_id: String,
    /// Name of the desktop.
    pub desktop_name: String,
    /// Job ID.
    pub job_id: String,
    /// Attempt ID.
    pub attempt_id: String,
    /// 1 for the first attempt of the job.
    #[schema(minimum = 1)]
    pub attempt_number: i64,
    /// Why the attempt ended: `succeeded` or a stable reason code.
    #[schema(nullable = false)]
    pub outcome: Option<String>,
    /// What proves the success, as the server shows it; left out: it did not succeed.
    #[schema(nullable = false)]
    pub proof: Option<Proof>,
    /// What the server's own verification said.
    pub signature: SignatureState,
    /// Why the signature does not hold, as the server sees it.
    #[schema(nullable = false)]
    pub signature_problem: Option<String>,
    /// When the attempt was handed out.
    #[schema(value_type = String, format = DateTime)]
    pub leased_at: WireTime,
    /// When its result arrived.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: WireTime,
    /// When the signer's certificate was revoked.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub revoked_at: Option<WireTime>,
    /// What was signed; left out: it came before receipts were signed.
    #[schema(nullable = false)]
    pub envelope: Option<ReceiptEnvelope>,
    /// The signer's certificate and the one that issued it, PEM.
    #[schema(nullable = false)]
    pub certificates_pem: Option<String>,
}

/// Query parameters of exporting a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowJobReceiptQuery {
    /// Number of the attempt; left out: the newest that left a receipt.
    #[serde(default)]
    #[schema(minimum = 1, nullable = false)]
    pub attempt: Option<i64>,
}

/// Root certificates of the authority over agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentRoots {
    /// PEM, one after the other.
    pub roots_pem: String,
    /// Lower-case hex SHA-256 of each (DER), to be compared by eye.
    pub fingerprints: Vec<String>,
}
