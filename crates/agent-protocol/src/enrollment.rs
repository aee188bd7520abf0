use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outfitter_ids::{AgentId, DesktopId, EnrollmentRequestId, EnrollmentTokenId};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::{MachineIdentity, UpdateKey};

/// Path of enrollment on the agent listener (TLS 1.3, no client certificate).
pub const ENROLL_PATH: &str = "/enroll";

/// Path under which an agent that waits for approval asks what became of it (TLS 1.3, no client certificate).
pub const APPROVAL_PATH: &str = "/enroll/approval";

/// Path under which a copy of an enrolled machine becomes a desktop of its own (TLS 1.3, with the certificate that was copied).
pub const COPY_PATH: &str = "/enroll/copy";

/// Path of the script that installs the agent, on the agent listener.
pub const INSTALLER_PATH: &str = "/install.sh";

/// Code of the refusal of an agent whose desktop is gone, or that was revoked, for good: it stops whatever it does and removes
/// its credentials.
pub const DECOMMISSIONED: &str = "decommissioned";

/// Code of the refusal of a key that stands for no request and for no live agent.
pub const REQUEST_UNKNOWN: &str = "request_unknown";

/// Asks for a certificate. The key stays on the desktop.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// [`crate::PROTOCOL`] of the agent.
    pub protocol: u32,
    /// The token's id.
    pub token_id: EnrollmentTokenId,
    /// The token's secret.
    pub token_secret: String,
    /// PKCS #10 request for a P-256 key made on the desktop, PEM. Its subject is ignored.
    pub csr_pem: String,
    /// Name of the desktop: 1 to 15 letters, digits and `-`, begins with a letter, does not end with `-`.
    pub name: String,
    /// Desktop user to attach (needs a token that may attach).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Identity of the machine, opaque (hashed by the agent). Tells clones apart.
    pub machine_id: String,
    /// `linux` or `windows`.
    pub os: String,
    /// `x86_64` and the like.
    pub arch: String,
    /// Version of the agent.
    pub agent_version: String,
    /// The folder that plays the desktop, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_root: Option<String>,
    /// Whether the agent can wait for an administrator's approval: understands [`EnrollPending`].
    #[serde(default)]
    pub can_wait: bool,
    /// The machine's marks, as in [`MachineIdentity`]: by them it takes its desktop back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub marks: BTreeMap<String, String>,
}

impl fmt::Debug for EnrollRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollRequest")
            .field("token_id", &self.token_id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Asks for a certificate of its own, as the copy that the server saw in the caller's certificate; see
/// [`crate::ServerMessage::Refused`]. The answers are those of [`ENROLL_PATH`]; 409: the server sees no other machine in it now.
/// Asking again with the same key gives the same agent, or tells of the same request, so a lost answer costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRequest {
    /// [`crate::PROTOCOL`] of the agent.
    pub protocol: u32,
    /// PKCS #10 request for a new P-256 key made on this machine, PEM. Its subject is ignored.
    pub csr_pem: String,
    /// Name that the desktop would have; where it is taken, the server chooses one that begins like it.
    pub name: String,
    /// What was told in the `Hello` that was refused.
    pub identity: MachineIdentity,
    /// Identity of the machine, opaque, as in [`EnrollRequest`].
    pub machine_id: String,
    /// `linux` or `windows`.
    pub os: String,
    /// `x86_64` and the like.
    pub arch: String,
    /// Version of the agent.
    pub agent_version: String,
    /// The folder that plays the desktop, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_root: Option<String>,
    /// Whether the agent can wait for an administrator's approval: understands [`EnrollPending`].
    #[serde(default)]
    pub can_wait: bool,
}

/// The agent is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollResponse {
    /// The agent.
    pub agent: AgentId,
    /// The desktop it stands for.
    pub desktop: DesktopId,
    /// Its name, where it is another than was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Leaf, issuing certificate and root, PEM, in that order.
    pub chain_pem: String,
    /// All roots to trust, PEM.
    pub roots_pem: String,
    /// The server's clock, in milliseconds UTC.
    pub server_time_millis: i64,
    /// Keys that newer programs of the agent are signed with; pinned from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub update_keys: Vec<UpdateKey>,
}

/// Answer 202 of `/enroll`, of [`COPY_PATH`] and of [`APPROVAL_PATH`]: an administrator has yet to approve. `Retry-After` says in how many
/// seconds to ask again: of an `/enroll` at [`APPROVAL_PATH`], else at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollPending {
    /// What to ask about.
    pub request: EnrollmentRequestId,
    /// When it is over unless somebody decides, in milliseconds UTC.
    pub expires_at_millis: i64,
}

/// Asks what became of a request; the answer is an [`EnrollResponse`], an [`EnrollPending`] or an [`EnrollRefusal`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// [`crate::PROTOCOL`] of the agent.
    pub protocol: u32,
    /// The request.
    pub request: EnrollmentRequestId,
    /// PKCS #10 request by the key that it was made with, PEM.
    pub csr_pem: String,
}

/// Answer of `/enroll` and of `/channel` (before the upgrade) when they refuse: a person can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollRefusal {
    /// Stable code: `token_unknown`, `token_expired`, `token_revoked`, `token_used_up`, `name_taken`, `still_seen`,
    /// `name_invalid`, `other_desktop`, `may_not_attach`, `other_network`, `too_many_tags`, `approval_needed`, `too_many_waiting`,
    /// [`REQUEST_UNKNOWN`], `approval_refused`, `csr_invalid`, `protocol_too_old`, [`DECOMMISSIONED`], `project_disabled`,
    /// `certificate_unknown`, `certificate_expired`, `certificate_required`, [`crate::COPY`], `state`, `busy`.
    pub code: String,
    /// A sentence that says what to do.
    pub reason: String,
}

/// What an administrator hands to a desktop: a token with the pins of our roots, as one text without spaces.
#[derive(Clone, Eq)]
pub struct EnrollmentToken {
    /// Names the token's row.
    pub id: EnrollmentTokenId,
    /// Random; the server keeps a digest only.
    pub secret: String,
    /// Lower-case hex SHA-256 of the SubjectPublicKeyInfo of each root the agent may trust.
    pub root_pins: Vec<String>,
}

/// In constant time, as far as the secret goes.
impl PartialEq for EnrollmentToken {
    fn eq(&self, other: &Self) -> bool {
        let same_secret: bool = self.secret.as_bytes().ct_eq(other.secret.as_bytes()).into();
        same_secret && self.id == other.id && self.root_pins == other.root_pins
    }
}

#[derive(Serialize, Deserialize)]
struct TokenBody {
    id: EnrollmentTokenId,
    secret: String,
    roots: Vec<String>,
}

/// Text that is no enrollment token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("this is no enrollment token: it begins with `{PREFIX}` and is copied whole, on one line")]
pub struct TokenTextError;

const PREFIX: &str = "oft1.";

impl EnrollmentToken {
    /// Reads the text form; surrounding white space is ignored.
    ///
    /// # Errors
    /// When the text is no token.
    pub fn parse(text: &str) -> Result<Self, TokenTextError> {
        let body = text.trim().strip_prefix(PREFIX).ok_or(TokenTextError)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenTextError)?;
        let body: TokenBody = serde_json::from_slice(&bytes).map_err(|_| TokenTextError)?;
        Ok(Self {
            id: body.id,
            secret: body.secret,
            root_pins: body.roots,
        })
    }

    /// The text form. A secret: not for logs.
    pub fn reveal(&self) -> String {
        let body = TokenBody {
            id: self.id,
            secret: self.secret.clone(),
            roots: self.root_pins.clone(),
        };
        let json = serde_json::to_vec(&body).expect("a struct of texts is JSON");
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl fmt::Debug for EnrollmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollmentToken")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_form_and_hides_its_secret() {
        let token = EnrollmentToken {
            id: EnrollmentTokenId::lookup("01890a5d-ac96-774b-bcce-b302099a8057").expect("an id"),
            secret: "s3cret".to_owned(),
            root_pins: vec!["ab".repeat(32)],
        };
        assert_eq!(
            EnrollmentToken::parse(&format!(" {}\n", token.reveal())),
            Ok(token.clone())
        );
        assert!(!format!("{token:?}").contains("s3cret"));
        assert_eq!(EnrollmentToken::parse("oft1.???"), Err(TokenTextError));
        assert_eq!(EnrollmentToken::parse("token"), Err(TokenTextError));
    }
}
