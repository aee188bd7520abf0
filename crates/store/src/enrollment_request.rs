//! Enrollments that wait for an administrator: asked for by an agent, decided by a person, collected by the agent.
//!
//! A decision is one conditional update, so of two only the first counts. What comes in is what the row says, by
//! [`Tx::enrollment_claim`] with [`ClaimProof::Approval`](crate::ClaimProof::Approval).

use std::collections::BTreeMap;

use outfitter_agent_protocol::MachineIdentity;
use outfitter_domain::Millis;
use outfitter_domain::fleet::{
    EnrollmentRefusal, Presence, REQUEST_LIFE, REQUESTS_UNDECIDED_MAX, RequestState, request_state,
};
use outfitter_ids::{AgentId, DesktopId, EnrollmentRequestId, EnrollmentTokenId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::query::{Conditions, Page, id_array, in_ids, json};
use crate::{
    AgentKey, Db, DomainKey, EnrollmentClaim, EnrollmentRequestKey, Listed, ProjectKey, StoreError,
    Tx,
};

/// A request, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentRequest {
    /// Row.
    pub key: EnrollmentRequestKey,
    /// Public id.
    pub id: EnrollmentRequestId,
    /// SHA-256 of the SubjectPublicKeyInfo of the agent's key.
    pub key_digest: [u8; 32],
    /// The token that it asked with.
    pub token_id: EnrollmentTokenId,
    /// What that is for.
    pub token_name: String,
    /// Name of the desktop that it would become.
    pub name: String,
    /// User that it would attach.
    pub user: Option<String>,
    /// Identity of the machine, opaque.
    pub machine_id: String,
    /// Version of the agent.
    pub agent_version: String,
    /// Operating system, as reported.
    pub os: String,
    /// Architecture, as reported.
    pub arch: String,
    /// The folder that plays the desktop, where one does.
    pub sandbox_root: Option<String>,
    /// Whose copy it is, where it is one.
    pub copy: Option<RequestCopy>,
    /// What it told of its machine.
    pub marks: BTreeMap<String, String>,
    /// Public id of the desktop that it takes back, where it does without the token's word.
    pub takes_back: Option<DesktopId>,
    /// Address that it first called from.
    pub address: String,
    /// When it first asked.
    pub asked_at: Millis,
    /// When it asked last.
    pub seen_at: Millis,
    /// What became of it.
    pub state: RequestState,
    /// When that was decided.
    pub decided_at: Option<Millis>,
    /// The agent that it became.
    pub agent: Option<RequestAgent>,
    /// Whether its project is enabled: while it is not, nobody comes in.
    pub project_enabled: bool,
    /// First instant at which it is over.
    pub expires_at: Millis,
}

/// Whose copy it is that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestCopy {
    /// The agent whose certificate was copied.
    pub agent: AgentKey,
    /// Public id of the desktop that it stood for.
    pub desktop: DesktopId,
    /// Name of that desktop.
    pub desktop_name: String,
    /// What the copy told of itself.
    pub told: MachineIdentity,
}

/// The agent that a request became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestAgent {
    /// Row.
    pub key: AgentKey,
    /// Public id.
    pub id: AgentId,
    /// Public id of its desktop.
    pub desktop: DesktopId,
    /// Name of its desktop.
    pub desktop_name: String,
    /// Whether it still stands: neither it nor its desktop went.
    pub live: bool,
}

/// A request that was approved.
pub(crate) struct OpenRequest {
    /// The live agent whose place it was shown to take.
    pub(crate) takes_back: Option<AgentKey>,
}

/// What a decision met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestDecision {
    /// All of them were undecided, and are not any more.
    Made,
    /// The project has not all of them, or they are over.
    Unknown,
    /// Not all of them were undecided.
    Decided,
}

#[derive(FromQueryResult)]
struct RequestRow {
    id: i64,
    public_id: Uuid,
    key_digest: Vec<u8>,
    token_public_id: Uuid,
    token_name: String,
    name: String,
    user_name: Option<String>,
    machine_id: String,
    agent_version: String,
    os: String,
    arch: String,
    sandbox_root: Option<String>,
    copy_of: Option<i64>,
    copy_desktop_id: Option<Uuid>,
    copy_desktop_name: Option<String>,
    copy_identity: Option<String>,
    marks: Option<String>,
    takes_back: Option<Uuid>,
    address: String,
    asked_at: i64,
    seen_at: i64,
    approved: Option<i64>,
    decided_at: Option<i64>,
    agent_id: Option<i64>,
    agent_public_id: Option<Uuid>,
    desktop_public_id: Option<Uuid>,
    desktop_name: Option<String>,
    agent_live: i64,
    project_enabled: i64,
    expires_at: i64,
}

#[derive(FromQueryResult)]
struct OpenRow {
    takes_back: Option<i64>,
}

#[derive(FromQueryResult)]
struct TokenOwnerRow {
    project_id: i64,
    domain_id: i64,
}

const REQUEST: &str = "SELECT q.id, q.public_id, q.key_digest, t.public_id AS token_public_id, \
     t.name AS token_name, q.name, q.user_name, q.machine_id, q.agent_version, q.os, q.arch, q.sandbox_root, \
     q.address, q.asked_at, q.seen_at, q.approved, q.decided_at, q.agent_id, a.public_id AS agent_public_id, \
     d.public_id AS desktop_public_id, d.name AS desktop_name, q.expires_at, q.copy_of, q.copy_identity, \
     q.marks, (SELECT x.public_id FROM agent b JOIN desktop x ON x.id = b.desktop_id WHERE b.id = q.takes_back) AS takes_back, \
     o.public_id AS copy_desktop_id, o.name AS copy_desktop_name, \
     CAST(CASE WHEN a.revoked_at IS NULL AND d.deleted_at IS NULL THEN 1 ELSE 0 END AS BIGINT) AS agent_live, \
     p.enabled AS project_enabled \
     FROM enrollment_request q JOIN enrollment_token t ON t.id = q.token_id \
     JOIN project p ON p.id = q.project_id \
     LEFT JOIN agent a ON a.id = q.agent_id LEFT JOIN desktop d ON d.id = a.desktop_id \
     LEFT JOIN agent c ON c.id = q.copy_of LEFT JOIN desktop o ON o.id = c.desktop_id";

impl RequestRow {
    fn read(self) -> Result<EnrollmentRequest, StoreError> {
        let agent = match (
            self.agent_id,
            self.agent_public_id,
            self.desktop_public_id,
            self.desktop_name,
        ) {
            (Some(key), Some(id), Some(desktop), Some(desktop_name)) => Some(RequestAgent {
                key: AgentKey::new(key),
                id: AgentId::new(id),
                desktop: DesktopId::new(desktop),
                desktop_name,
                live: self.agent_live != 0,
            }),
            _ => None,
        };
        let copy = match (
            self.copy_of,
            self.copy_desktop_id,
            self.copy_desktop_name,
            self.copy_identity,
        ) {
            (Some(agent), Some(desktop), Some(desktop_name), Some(told)) => Some(RequestCopy {
                agent: AgentKey::new(agent),
                desktop: DesktopId::new(desktop),
                desktop_name,
                told: json("enrollment_request", "copy_identity", self.id, &told)?,
            }),
            _ => None,
        };
        let marks = match &self.marks {
            Some(text) => json("enrollment_request", "marks", self.id, text)?,
            None => BTreeMap::new(),
        };
        Ok(EnrollmentRequest {
            key: EnrollmentRequestKey::new(self.id),
            id: EnrollmentRequestId::new(self.public_id),
            key_digest: self.key_digest.try_into().map_err(|bytes: Vec<u8>| {
                StoreError::Inconsistent {
                    table: "enrollment_request",
                    column: "key_digest",
                    row: self.id,
                    value: hex::encode(bytes),
                }
            })?,
            token_id: EnrollmentTokenId::new(self.token_public_id),
            token_name: self.token_name,
            name: self.name,
            user: self.user_name,
            machine_id: self.machine_id,
            agent_version: self.agent_version,
            os: self.os,
            arch: self.arch,
            sandbox_root: self.sandbox_root,
            copy,
            marks,
            takes_back: self.takes_back.map(DesktopId::new),
            address: self.address,
            asked_at: Millis::new(self.asked_at),
            seen_at: Millis::new(self.seen_at),
            state: request_state(self.approved.map(|yes| yes != 0), agent.is_some()),
            decided_at: self.decided_at.map(Millis::new),
            agent,
            project_enabled: self.project_enabled != 0,
            expires_at: Millis::new(self.expires_at),
        })
    }
}

/// The condition that picks a state.
const fn in_state(state: RequestState) -> &'static str {
    match state {
        RequestState::Waiting => "q.approved IS NULL",
        RequestState::Approved => "q.approved = 1 AND q.agent_id IS NULL",
        RequestState::Refused => "q.approved = 0",
        RequestState::Enrolled => "q.approved = 1 AND q.agent_id IS NOT NULL",
    }
}

impl Db<'_> {
    /// Requests of the project that are not over, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn enrollment_request_list(
        &self,
        project: ProjectKey,
        state: Option<RequestState>,
        page: Page,
        now: Millis,
    ) -> Result<Listed<EnrollmentRequest>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("q.project_id", project);
        let at = conditions.bind(now.get());
        conditions.and(&format!("q.expires_at > {at}"));
        if let Some(state) = state {
            conditions.and(in_state(state));
        }
        let paged = conditions.page("q.id DESC", page);
        let total = self
            .scalar(
                "count enrollment requests",
                &format!(
                    "SELECT count(*) FROM enrollment_request q WHERE {}",
                    paged.filter
                ),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<RequestRow> = self
            .all(
                "list enrollment requests",
                &format!("{REQUEST} WHERE {}", paged.tail),
                paged.page_values,
            )
            .await?;
        Ok(Listed {
            total,
            items: rows
                .into_iter()
                .map(RequestRow::read)
                .collect::<Result<_, _>>()?,
        })
    }

    /// A request that is not over, of whatever project: the agent that asks has no other name.
    ///
    /// # Errors
    /// The database's.
    pub async fn enrollment_request_find(
        &self,
        id: EnrollmentRequestId,
        now: Millis,
    ) -> Result<Option<EnrollmentRequest>, StoreError> {
        let row: Option<RequestRow> = self
            .one(
                "look an enrollment request up",
                &format!("{REQUEST} WHERE q.public_id = $1 AND q.expires_at > $2"),
                [id.uuid().into(), now.get().into()],
            )
            .await?;
        row.map(RequestRow::read).transpose()
    }

    /// A request that is approved and has yet to be collected; holds its row.
    pub(crate) async fn enrollment_request_open(
        &self,
        request: EnrollmentRequestKey,
        now: Millis,
    ) -> Result<Option<OpenRequest>, StoreError> {
        let open: Option<OpenRow> = self
            .one(
                "hold an enrollment request",
                &format!(
                    "SELECT takes_back FROM enrollment_request WHERE id = $1 AND approved = 1 AND agent_id IS NULL \
                     AND expires_at > $2{}",
                    self.dialect().for_update()
                ),
                [request.into(), now.get().into()],
            )
            .await?;
        Ok(open.map(|row| OpenRequest {
            takes_back: row.takes_back.map(AgentKey::new),
        }))
    }
}

impl Tx {
    /// Stores what an agent asks for that [`Tx::enrollment_claim`] refused with
    /// [`EnrollmentRefusal::ApprovalNeeded`], with the name that it would get now. Answers whose project it is in.
    ///
    /// # Errors
    /// The database's; a refusal is the inner error, and nothing is written then.
    pub async fn enrollment_request_insert(
        &self,
        id: EnrollmentRequestId,
        claim: &EnrollmentClaim,
        key_digest: &[u8; 32],
        now: Millis,
    ) -> Result<Result<(DomainKey, ProjectKey), EnrollmentRefusal>, StoreError> {
        let db = self.db();
        let owner: Option<TokenOwnerRow> = db
            .one(
                "look the project of an enrollment token up",
                "SELECT t.project_id, p.domain_id FROM enrollment_token t JOIN project p ON p.id = t.project_id \
                 WHERE t.public_id = $1",
                [claim.token_id.uuid().into()],
            )
            .await?;
        let Some(owner) = owner else {
            return Ok(Err(EnrollmentRefusal::TokenUnknown));
        };
        let undecided: i64 = db
            .scalar(
                "count undecided enrollment requests",
                "SELECT count(*) FROM enrollment_request WHERE project_id = $1 AND approved IS NULL AND expires_at > $2",
                [owner.project_id.into(), now.get().into()],
            )
            .await?
            .unwrap_or(0);
        if undecided >= REQUESTS_UNDECIDED_MAX {
            return Ok(Err(EnrollmentRefusal::TooManyWaiting));
        }
        let agent = &claim.agent;
        let name = db
            .enrollment_name(ProjectKey::new(owner.project_id), claim)
            .await?;
        let copy = claim.copy.as_ref();
        // That it may was decided by the refusal.
        let takes_back = claim
            .rival
            .filter(|rival| rival.presence == Presence::Gone)
            .map(|rival| rival.agent.get());
        self.run(
            "store an enrollment request",
            "INSERT INTO enrollment_request (public_id, project_id, token_id, key_digest, name, user_name, machine_id, \
             agent_version, os, arch, sandbox_root, address, asked_at, seen_at, expires_at, copy_of, copy_identity, \
             marks, takes_back) \
             SELECT $1, t.project_id, t.id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $15, $16, $17 \
             FROM enrollment_token t WHERE t.public_id = $2",
            [
                id.uuid().into(),
                claim.token_id.uuid().into(),
                key_digest.to_vec().into(),
                name.as_str().into(),
                claim.user.as_ref().map(|user| user.as_str()).into(),
                agent.machine_id.as_str().into(),
                agent.version.as_str().into(),
                agent.os.as_str().into(),
                agent.arch.as_str().into(),
                agent.sandbox_root.as_deref().into(),
                claim.peer.to_string().into(),
                now.get().into(),
                now.plus(REQUEST_LIFE).get().into(),
                copy.map(|copy| copy.agent.get()).into(),
                copy.map(|copy| {
                    serde_json::to_string(&copy.told).expect("texts and numbers are JSON")
                })
                .into(),
                (!claim.marks.is_empty())
                    .then(|| serde_json::to_string(&claim.marks).expect("texts are JSON"))
                    .into(),
                takes_back.into(),
            ],
        )
        .await?;
        self.made("enrollmentRequest", id);
        Ok(Ok((
            DomainKey::new(owner.domain_id),
            ProjectKey::new(owner.project_id),
        )))
    }

    /// Notes that a waiting agent asked again.
    ///
    /// # Errors
    /// The database's.
    pub async fn enrollment_request_seen(
        &self,
        request: EnrollmentRequestKey,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "note that an agent waits",
            "UPDATE enrollment_request SET seen_at = $2 WHERE id = $1",
            [request.into(), now.get().into()],
        )
        .await
        .map(drop)
    }

    /// Decides about requests of the project, all or none. Give the transaction up where the answer is not
    /// [`RequestDecision::Made`].
    ///
    /// # Errors
    /// The database's.
    pub async fn enrollment_request_decide(
        &self,
        project: ProjectKey,
        ids: &[EnrollmentRequestId],
        approve: bool,
        now: Millis,
    ) -> Result<RequestDecision, StoreError> {
        let wanted = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        let array = id_array(ids.iter().map(|id| id.uuid()));
        let decided = self
            .run(
                "decide about enrollment requests",
                &format!(
                    "UPDATE enrollment_request SET approved = $3, decided_at = $4, expires_at = $5 \
                     WHERE project_id = $1 AND {} AND approved IS NULL AND expires_at > $4",
                    in_ids(self.dialect(), "public_id", "$2")
                ),
                [
                    project.into(),
                    array.clone().into(),
                    i64::from(approve).into(),
                    now.get().into(),
                    now.plus(REQUEST_LIFE).get().into(),
                ],
            )
            .await?;
        if decided == wanted {
            return Ok(RequestDecision::Made);
        }
        let known: i64 = self
            .db()
            .scalar(
                "count enrollment requests",
                &format!(
                    "SELECT count(*) FROM enrollment_request WHERE project_id = $1 AND {} AND expires_at > $3",
                    in_ids(self.dialect(), "public_id", "$2")
                ),
                [project.into(), array.into(), now.get().into()],
            )
            .await?
            .unwrap_or(0);
        Ok(if u64::try_from(known).is_ok_and(|known| known == wanted) {
            RequestDecision::Decided
        } else {
            RequestDecision::Unknown
        })
    }

    /// Writes down which agent came of a request.
    pub(crate) async fn enrollment_request_collected(
        &self,
        request: EnrollmentRequestKey,
        agent: AgentKey,
    ) -> Result<(), StoreError> {
        self.run(
            "write down the agent of an enrollment request",
            "UPDATE enrollment_request SET agent_id = $2 WHERE id = $1",
            [request.into(), agent.into()],
        )
        .await
        .map(drop)
    }

    /// Deletes requests that are over, at most `limit`. How many there were.
    ///
    /// # Errors
    /// The database's.
    pub async fn enrollment_request_sweep(
        &self,
        now: Millis,
        limit: i64,
    ) -> Result<u64, StoreError> {
        self.run(
            "delete enrollment requests that are over",
            "DELETE FROM enrollment_request WHERE id IN \
             (SELECT id FROM enrollment_request WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
            [now.get().into(), limit.into()],
        )
        .await
    }
}
