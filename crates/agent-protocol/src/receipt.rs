//! Receipts: what an agent saw, signed with the key of its device certificate.
//!
//! The form is a DSSE envelope (<https://github.com/secure-systems-lab/dsse>, version 1.0.2): the bytes that are signed
//! are the bytes that travel and are stored, so that nothing has to be written anew, the same way, to verify them, and
//! the type of what is signed is signed with it. That type is ours alone and carries the version of the schema: a
//! signature of the same key over anything else (a TLS handshake, a signing request) is none over a receipt.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outfitter_ids::{AgentId, DesktopId, ProjectId};
use serde::{Deserialize, Serialize};

use crate::{Evidence, Task};

/// Type of what is signed: names the schema, and stands in front of the bytes that are signed.
pub const RECEIPT_TYPE: &str = "application/vnd.outfitter.receipt.v1+json";

/// Version of [`Statement`]'s schema.
pub const RECEIPT_SCHEMA: u32 = 1;

/// What an agent states about the end of an attempt: what it was asked, and what it saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`RECEIPT_SCHEMA`].
    pub schema: u32,
    /// The agent that states it.
    pub agent: AgentId,
    /// The desktop it stands for.
    pub desktop: DesktopId,
    /// The desktop's project, where the task named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// What it was asked, as it understood it; `None`: its journal was damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// What it saw.
    pub evidence: Evidence,
}

/// A statement with the signature over it: a DSSE envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// [`RECEIPT_TYPE`].
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The statement as JSON text, in base64.
    pub payload: String,
    /// At most one; none where the agent could not sign.
    pub signatures: Vec<EnvelopeSignature>,
}

/// A signature in an [`Envelope`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// Lower-case hex SHA-256 of the signer's certificate (DER).
    pub keyid: String,
    /// ECDSA P-256 with SHA-256 over [`signed_bytes`], ASN.1 DER, in base64.
    pub sig: String,
}

/// Why an envelope holds no statement.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// It is about something else, or of another version.
    #[error("it is of type {0:?}, not {RECEIPT_TYPE}")]
    Type(String),
    /// The payload is no base64 of UTF-8.
    #[error("its payload is no text in base64")]
    Payload,
    /// The payload is no statement.
    #[error("its payload is no statement")]
    Statement(#[source] serde_json::Error),
    /// The statement is of a schema that this build does not know.
    #[error("its statement is of schema {0}, not {RECEIPT_SCHEMA}")]
    Schema(u32),
    /// It holds more than one signature, or one that is no base64.
    #[error("its signature cannot be read")]
    Signature,
}

/// What is signed for a payload: DSSE's pre-authentication encoding, type and payload each with its length in bytes.
pub fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

/// A signature as made: who signed, and the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSignature {
    /// SHA-256 of the signer's certificate (DER).
    pub certificate_sha256: [u8; 32],
    /// ASN.1 DER.
    pub bytes: Vec<u8>,
}

impl Envelope {
    /// Puts a statement into an envelope. `sign` gets the bytes to sign; `None`: it could not.
    pub fn seal(statement: &Statement, sign: impl FnOnce(&[u8]) -> Option<RawSignature>) -> Self {
        let payload = serde_json::to_vec(statement).expect("a statement is JSON");
        let signature = sign(&signed_bytes(RECEIPT_TYPE, &payload));
        Self {
            payload_type: RECEIPT_TYPE.to_owned(),
            payload: STANDARD.encode(&payload),
            signatures: signature
                .map(|signature| EnvelopeSignature {
                    keyid: hex::encode(signature.certificate_sha256),
                    sig: STANDARD.encode(&signature.bytes),
                })
                .into_iter()
                .collect(),
        }
    }

    /// An envelope of a statement's text as it was stored.
    pub fn of_text(statement: &str, signature: Option<EnvelopeSignature>) -> Self {
        Self {
            payload_type: RECEIPT_TYPE.to_owned(),
            payload: STANDARD.encode(statement),
            signatures: signature.into_iter().collect(),
        }
    }

    /// The statement's text, exactly as it was signed.
    ///
    /// # Errors
    /// [`EnvelopeError::Type`] and [`EnvelopeError::Payload`].
    pub fn text(&self) -> Result<String, EnvelopeError> {
        if self.payload_type != RECEIPT_TYPE {
            return Err(EnvelopeError::Type(self.payload_type.clone()));
        }
        let bytes = STANDARD
            .decode(&self.payload)
            .map_err(|_| EnvelopeError::Payload)?;
        String::from_utf8(bytes).map_err(|_| EnvelopeError::Payload)
    }

    /// The statement.
    ///
    /// # Errors
    /// As [`Self::text`], and when the text is no statement of our schema.
    pub fn statement(&self) -> Result<Statement, EnvelopeError> {
        Statement::parse(&self.text()?)
    }

    /// The signature; `None`: there is none.
    ///
    /// # Errors
    /// [`EnvelopeError::Signature`].
    pub fn signature(&self) -> Result<Option<RawSignature>, EnvelopeError> {
        match self.signatures.as_slice() {
            [] => Ok(None),
            [one] => one.raw().map(Some),
            [_, ..] => Err(EnvelopeError::Signature),
        }
    }
}

impl EnvelopeSignature {
    /// Reads it.
    ///
    /// # Errors
    /// [`EnvelopeError::Signature`].
    pub fn raw(&self) -> Result<RawSignature, EnvelopeError> {
        Ok(RawSignature {
            certificate_sha256: unhex(&self.keyid).ok_or(EnvelopeError::Signature)?,
            bytes: STANDARD
                .decode(&self.sig)
                .map_err(|_| EnvelopeError::Signature)?,
        })
    }
}

impl Statement {
    /// Reads a statement's text.
    ///
    /// # Errors
    /// [`EnvelopeError::Statement`] and [`EnvelopeError::Schema`].
    pub fn parse(text: &str) -> Result<Self, EnvelopeError> {
        /// What every version has.
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let head: Head = serde_json::from_str(text).map_err(EnvelopeError::Statement)?;
        if head.schema != RECEIPT_SCHEMA {
            return Err(EnvelopeError::Schema(head.schema));
        }
        serde_json::from_str(text).map_err(EnvelopeError::Statement)
    }
}

/// Lower case alone: one digest has one text.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_the_encoding_of_dsse() {
        // The example of DSSE's protocol.md.
        assert_eq!(
            signed_bytes("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn a_fingerprint_is_read_in_one_spelling_only() {
        let bytes = [0xab; 32];
        assert_eq!(unhex(&hex::encode(bytes)), Some(bytes));
        assert_eq!(unhex(&hex::encode(bytes).to_uppercase()), None);
        assert_eq!(unhex("ab"), None);
        assert_eq!(unhex(&"é".repeat(32)), None);
    }

    #[test]
    fn an_envelope_of_another_type_or_schema_is_not_read() {
        let other = Envelope {
            payload_type: "application/vnd.in-toto+json".to_owned(),
            ..Envelope::of_text("{}", None)
        };
        assert!(matches!(other.statement(), Err(EnvelopeError::Type(_))));
        let later = Envelope::of_text(r#"{"schema":2,"more":true}"#, None);
        assert!(matches!(later.statement(), Err(EnvelopeError::Schema(2))));
        let nonsense = Envelope {
            payload: "?".to_owned(),
            ..later
        };
        assert!(matches!(nonsense.statement(), Err(EnvelopeError::Payload)));
    }
}
