//! What an entry is, its bytes, and how it is stored.

use hmac::{Hmac, KeyInit as _, Mac as _};
use outfitter_domain::Millis;
use sea_orm::FromQueryResult;
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;
use uuid::Uuid;

use crate::query::word;
use crate::{DomainKey, ProjectKey, StoreError, Tx};

/// Longest text of any column but the detail, in characters: what is longer is cut.
const LONGEST_TEXT: usize = 512;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in the database and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }

            /// Reads the word; `None` for any other text.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == text)
            }
        }
    };
}

words! {
    /// What an entry tells of.
    AuditKind {
        /// A call that succeeded.
        Change = "change",
        /// A call that was refused for its credential or its rights.
        Refusal = "refusal",
        /// An authorization that was widened.
        Widening = "widening",
        /// An agent that was let in.
        Enrollment = "enrollment",
        /// Entries that were deleted for their age.
        Retention = "retention",
        /// The head of the results of jobs.
        Results = "results",
    }
}

words! {
    /// How it ended.
    AuditOutcome {
        /// It was done.
        Done = "done",
        /// It was refused, and nothing was changed.
        Refused = "refused",
    }
}

words! {
    /// What kind of somebody acts.
    AuditActorKind {
        /// An administrator or automation.
        IamUser = "iamUser",
        /// A user of a project's directory, through the portal.
        EndUser = "endUser",
        /// Our program on a desktop.
        Agent = "agent",
        /// The server itself.
        Server = "server",
        /// Nobody known.
        Nobody = "nobody",
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditActor {
    /// What kind of somebody.
    pub kind: AuditActorKind,
    /// Public id.
    pub id: Option<String>,
    /// Name; of nobody known the name that was tried.
    pub name: Option<String>,
    /// What was shown: `token`, `session`, `access_key ID`, `certificate SHA-256`, `none`. Never a secret.
    pub credential: String,
}

impl AuditActor {
    /// Nobody known.
    pub fn nobody() -> Self {
        Self {
            kind: AuditActorKind::Nobody,
            id: None,
            name: None,
            credential: "none".to_owned(),
        }
    }

    /// The server itself.
    pub fn server() -> Self {
        Self {
            kind: AuditActorKind::Server,
            ..Self::nobody()
        }
    }
}

/// What makes MACs of entries and of the chain's head. Does not show in `Debug`.
pub struct AuditKey(SecretSlice<u8>);

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditKey")
    }
}

impl AuditKey {
    /// A key of 32 random bytes that all servers of a database share.
    pub fn new(key: SecretSlice<u8>) -> Self {
        Self(key)
    }

    /// Lower-case hex of the MAC over a purpose and parts.
    pub(super) fn mac(&self, purpose: &str, parts: &[&[u8]]) -> String {
        hex::encode(self.hmac(purpose, parts).finalize().into_bytes())
    }

    /// Whether a MAC is that of the parts; takes the same time wherever it is wrong.
    pub(super) fn verifies(&self, purpose: &str, parts: &[&[u8]], mac: &str) -> bool {
        hex::decode(mac).is_ok_and(|mac| self.hmac(purpose, parts).verify_slice(&mac).is_ok())
    }

    fn hmac(&self, purpose: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut hmac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret())
            .expect("HMAC takes keys of any length");
        let mut bytes = Vec::new();
        for part in [purpose.as_bytes()].iter().chain(parts) {
            push_bytes(&mut bytes, part);
        }
        hmac.update(&bytes);
        hmac
    }
}

/// An entry to store.
#[derive(Debug, Clone)]
pub struct NewAuditEntry {
    /// Public id.
    pub id: Uuid,
    /// The account it belongs to.
    pub domain: Option<DomainKey>,
    /// The project it belongs to.
    pub project: Option<ProjectKey>,
    /// When.
    pub at: Millis,
    /// What it tells of.
    pub kind: AuditKind,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// HTTP status of a refusal.
    pub status: Option<u16>,
    /// `x-iam-action`, or a name of ours in its style.
    pub action: String,
    /// `operationId`.
    pub operation: String,
    /// Who.
    pub actor: AuditActor,
    /// For whom, where that is somebody else.
    pub on_behalf_of: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// `X-Request-Id` of the answer.
    pub request_id: Option<String>,
    /// `kind:id` of everything it is about, the first first.
    pub resources: Vec<String>,
    /// Name of the first.
    pub resource_name: Option<String>,
    /// How many alike are told of.
    pub times: i64,
    /// The request without its secrets, what was before and after.
    pub detail: serde_json::Value,
}

/// A stored entry.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Public id.
    pub id: Uuid,
    /// The project it belongs to, by its public id, while there is one.
    pub project_id: Option<Uuid>,
    /// When.
    pub at: Millis,
    /// What it tells of.
    pub kind: AuditKind,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// HTTP status of a refusal.
    pub status: Option<i64>,
    /// `x-iam-action`, or a name of ours in its style.
    pub action: String,
    /// `operationId`.
    pub operation: String,
    /// Who.
    pub actor: AuditActor,
    /// For whom, where that is somebody else.
    pub on_behalf_of: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// `X-Request-Id` of the answer.
    pub request_id: Option<String>,
    /// `kind:id` of everything it is about, the first first.
    pub resources: Vec<String>,
    /// Name of the first.
    pub resource_name: Option<String>,
    /// How many alike are told of.
    pub times: i64,
    /// The request without its secrets, what was before and after; JSON text.
    pub detail: String,
    /// Place in the chain; `None`: not sealed yet.
    pub sequence: Option<i64>,
    /// The chain's hash there.
    pub hash: Option<String>,
}

/// Columns of [`EntryRow`], of `audit_entry e`.
pub(super) const COLUMNS: &str = "e.id, e.public_id, e.domain_id, e.project_id, e.occurred_at, e.kind, e.outcome, e.status, e.action, \
     e.operation, e.actor_kind, e.actor_id, e.actor_name, e.credential, e.on_behalf_of, e.address, e.request_id, \
     e.resource, e.resource_name, e.resources, e.times, e.detail, e.mac, e.sequence, e.hash";

#[derive(FromQueryResult)]
pub(super) struct EntryRow {
    pub(super) id: i64,
    public_id: Uuid,
    domain_id: Option<i64>,
    pub(super) project_id: Option<i64>,
    occurred_at: i64,
    kind: String,
    outcome: String,
    status: Option<i64>,
    action: String,
    operation: String,
    actor_kind: String,
    actor_id: Option<String>,
    actor_name: Option<String>,
    credential: String,
    on_behalf_of: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    resource: String,
    resource_name: Option<String>,
    resources: String,
    times: i64,
    detail: String,
    pub(super) mac: String,
    pub(super) sequence: Option<i64>,
    pub(super) hash: Option<String>,
}

impl EntryRow {
    pub(super) fn public_id(&self) -> Uuid {
        self.public_id
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The bytes that MAC and chain cover: every column but the key, the MAC and what the sealer adds, each with
    /// its length before it, so that no two rows give the same.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512 + self.detail.len());
        push_bytes(&mut bytes, self.public_id.as_bytes());
        for number in [
            self.domain_id,
            self.project_id,
            Some(self.occurred_at),
            self.status,
            Some(self.times),
        ] {
            push_option(
                &mut bytes,
                number
                    .map(i64::to_be_bytes)
                    .as_ref()
                    .map(<[u8; 8]>::as_slice),
            );
        }
        for text in [
            Some(&self.kind),
            Some(&self.outcome),
            Some(&self.action),
            Some(&self.operation),
            Some(&self.actor_kind),
            self.actor_id.as_ref(),
            self.actor_name.as_ref(),
            Some(&self.credential),
            self.on_behalf_of.as_ref(),
            self.address.as_ref(),
            self.request_id.as_ref(),
            Some(&self.resource),
            self.resource_name.as_ref(),
            Some(&self.resources),
            Some(&self.detail),
        ] {
            push_option(&mut bytes, text.map(String::as_bytes));
        }
        bytes
    }

    /// The entry. `project` is the public id of its project.
    pub(super) fn entry(self, project: Option<Uuid>) -> Result<AuditEntry, StoreError> {
        let read = |column, text: &str| StoreError::Inconsistent {
            table: "audit_entry",
            column,
            row: self.id,
            value: text.to_owned(),
        };
        Ok(AuditEntry {
            id: self.public_id,
            project_id: project,
            at: Millis::new(self.occurred_at),
            kind: word("audit_entry", "kind", self.id, &self.kind, AuditKind::parse)?,
            outcome: AuditOutcome::parse(&self.outcome)
                .ok_or_else(|| read("outcome", &self.outcome))?,
            status: self.status,
            action: self.action,
            operation: self.operation,
            actor: AuditActor {
                kind: AuditActorKind::parse(&self.actor_kind)
                    .ok_or_else(|| read("actor_kind", &self.actor_kind))?,
                id: self.actor_id,
                name: self.actor_name,
                credential: self.credential,
            },
            on_behalf_of: self.on_behalf_of,
            address: self.address,
            request_id: self.request_id,
            resources: self
                .resources
                .split('\n')
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
                .collect(),
            resource_name: self.resource_name,
            times: self.times,
            detail: self.detail,
            sequence: self.sequence,
            hash: self.hash,
        })
    }
}

pub(super) fn push_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
    bytes.extend_from_slice(part);
}

/// An absent value is another than an empty one.
pub(super) fn push_option(bytes: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        None => bytes.push(0),
        Some(part) => {
            bytes.push(1);
            push_bytes(bytes, part);
        }
    }
}

/// A text as far as it is kept; without the character that neither database keeps, and that no entry needs.
fn kept(text: String) -> String {
    let text = if text.contains(['\0', '\n']) {
        text.replace(['\0', '\n'], " ")
    } else {
        text
    };
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text,
        Some((end, _)) => text[..end].to_owned(),
    }
}

impl Tx {
    /// Stores an entry, unsealed.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn audit_insert(
        &self,
        key: &AuditKey,
        entry: NewAuditEntry,
    ) -> Result<(), StoreError> {
        let resources: Vec<String> = entry.resources.into_iter().map(kept).collect();
        let row = EntryRow {
            id: 0,
            public_id: entry.id,
            domain_id: entry.domain.map(DomainKey::get),
            project_id: entry.project.map(ProjectKey::get),
            occurred_at: entry.at.get(),
            kind: entry.kind.as_str().to_owned(),
            outcome: entry.outcome.as_str().to_owned(),
            status: entry.status.map(i64::from),
            action: kept(entry.action),
            operation: kept(entry.operation),
            actor_kind: entry.actor.kind.as_str().to_owned(),
            actor_id: entry.actor.id.map(kept),
            actor_name: entry.actor.name.map(kept),
            credential: kept(entry.actor.credential),
            on_behalf_of: entry.on_behalf_of.map(kept),
            address: entry.address.map(kept),
            request_id: entry.request_id.map(kept),
            resource: resources.first().cloned().unwrap_or_default(),
            resource_name: entry.resource_name.map(kept),
            resources: format!("\n{}\n", resources.join("\n")),
            times: entry.times,
            // What neither database keeps in a text.
            detail: entry.detail.to_string().replace("\\u0000", "\\ufffd"),
            mac: String::new(),
            sequence: None,
            hash: None,
        };
        let mac = key.mac("entry", &[&row.bytes()]);
        self.run(
            "write an audit entry",
            "INSERT INTO audit_entry (public_id, domain_id, project_id, occurred_at, kind, outcome, status, action, \
             operation, actor_kind, actor_id, actor_name, credential, on_behalf_of, address, request_id, resource, \
             resource_name, resources, times, detail, mac) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)",
            [
                row.public_id.into(),
                row.domain_id.into(),
                row.project_id.into(),
                row.occurred_at.into(),
                row.kind.into(),
                row.outcome.into(),
                row.status.into(),
                row.action.into(),
                row.operation.into(),
                row.actor_kind.into(),
                row.actor_id.into(),
                row.actor_name.into(),
                row.credential.into(),
                row.on_behalf_of.into(),
                row.address.into(),
                row.request_id.into(),
                row.resource.into(),
                row.resource_name.into(),
                row.resources.into(),
                row.times.into(),
                row.detail.into(),
                mac.into(),
            ],
        )
        .await
        .map(drop)
    }
}
