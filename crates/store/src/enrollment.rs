//! Enrollment tokens, and letting an agent in with one.
//!
//! [`Tx::enrollment_claim`] decides and writes in one transaction: a refused claim changes nothing, an accepted
//! one has counted its use. The name of an accepted claim is taken: an agent that missed the answer comes in again as the same
//! machine, by the marks that were noted, or with a token that may re-enroll.

use std::collections::BTreeMap;
use std::net::IpAddr;

use outfitter_domain::fleet::{
    DesktopName, DesktopType, EnrollmentRefusal, LocalUserName, Network, NotedIdentity, Presence,
    TAGS_PER_DESKTOP_MAX, Takeover, TokenFacts, decide_takeover, decide_token,
};
use outfitter_domain::{Millis, OsType};
use outfitter_ids::{AgentId, DesktopId, EnrollmentTokenId, ProjectId, UserId};
use sea_orm::FromQueryResult;
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::agent::{NewAgent, NewCertificate};
use crate::desktop::{NewDesktop, Persistence};
use crate::enrollment_request::OpenRequest;
use crate::query::{Conditions, Page, json};
use crate::{
    AgentKey, CopyOf, Db, DesktopKey, DesktopTag, DomainKey, EnrollmentRequestKey,
    EnrollmentTokenKey, Listed, ProjectKey, StoreError, Tx,
};

/// SHA-256 of a secret. Compared in constant time.
#[derive(Debug, Clone, Copy, Eq)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// Wraps a digest.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether a stored digest is this one.
    fn is(&self, stored: &[u8]) -> bool {
        self.0.ct_eq(stored).into()
    }
}

impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

/// A token to store.
#[derive(Clone)]
pub struct NewEnrollmentToken {
    /// Public id.
    pub id: EnrollmentTokenId,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_digest: SecretDigest,
    /// Agents it lets in; `None`: any number.
    pub max_uses: Option<i64>,
    /// First instant at which it is no longer valid; `None`: never.
    pub expires_at: Option<Millis>,
    /// Whether it may attach a user to the desktop.
    pub may_attach: bool,
    /// Whether it may replace a live agent.
    pub may_reenroll: bool,
    /// The one desktop it is for; `None`: any.
    pub desktop: Option<DesktopKey>,
    /// Networks that it may be used from; empty: any.
    pub networks: Vec<Network>,
    /// Tags of the desktops that it enrolls.
    pub tags: Vec<DesktopTag>,
    /// Whether an administrator has to approve each agent.
    pub needs_approval: bool,
}

/// A stored token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentTokenRecord {
    /// Public id.
    pub id: EnrollmentTokenId,
    /// What it is for.
    pub name: String,
    /// Limits and uses.
    pub facts: TokenFacts,
    /// Whether it may attach a user to the desktop.
    pub may_attach: bool,
    /// Whether it may replace a live agent.
    pub may_reenroll: bool,
    /// Tags of the desktops that it enrolls.
    pub tags: Vec<DesktopTag>,
    /// Whether an administrator has to approve each agent.
    pub needs_approval: bool,
    /// When it was made.
    pub created_at: Millis,
}

/// Why a claim is to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimProof {
    /// It knows the token's secret: its SHA-256.
    Secret(SecretDigest),
    /// An administrator approved this request, made with the token while it was valid.
    Approval(EnrollmentRequestKey),
    /// The project's setting names the token for copies, and this is one: see [`EnrollmentClaim::copy`].
    Copy,
}

/// An agent that wants in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentClaim {
    /// The token's id.
    pub token_id: EnrollmentTokenId,
    /// Why it is believed.
    pub proof: ClaimProof,
    /// Address that the agent calls from.
    pub peer: IpAddr,
    /// Name of the desktop.
    pub name: DesktopName,
    /// Operating system the agent reports.
    pub os_type: OsType,
    /// LOCAL user to attach, made where absent.
    pub user: Option<LocalUserName>,
    /// Id of a user that is made.
    pub new_user_id: UserId,
    /// Id of a desktop that is registered.
    pub new_desktop_id: DesktopId,
    /// Whose copy it is. A copy never takes the place of a registered desktop, whatever the token may do.
    pub copy: Option<CopyOf>,
    /// What it tells of its machine.
    pub marks: BTreeMap<String, String>,
    /// What was seen of the live agent of the desktop that it claims; `None`: nobody looked.
    pub rival: Option<Rival>,
    /// The agent.
    pub agent: NewAgent,
}

/// A live agent that was looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rival {
    /// The agent.
    pub agent: AgentKey,
    /// The channel epoch of its desktop then: what was seen holds as long as it is that.
    pub epoch: i64,
    /// Whether it is there.
    pub presence: Presence,
}

/// The live agent of a desktop that somebody claims, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRival {
    /// The agent.
    pub agent: AgentKey,
    /// Its desktop.
    pub desktop: DesktopKey,
    /// The channel epoch of the desktop.
    pub epoch: i64,
    /// What it is known by.
    pub noted: Option<NotedIdentity>,
    /// When it was heard of last, as far as that is written down.
    pub last_seen_at: Option<Millis>,
}

/// What an accepted claim made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The agent.
    pub agent: AgentKey,
    /// Its public id.
    pub agent_id: AgentId,
    /// The desktop it stands for.
    pub desktop: DesktopKey,
    /// Its public id.
    pub desktop_id: DesktopId,
    /// Its name as it was asked for, or the spare one.
    pub name: DesktopName,
    /// The account of its project.
    pub domain: DomainKey,
    /// The desktop's project.
    pub project: ProjectKey,
    /// Its public id.
    pub project_id: ProjectId,
    /// Whether a live agent was replaced, and why: its channel must be closed.
    pub replaced: Option<Takeover>,
}

#[derive(FromQueryResult)]
struct TokenRow {
    id: i64,
    public_id: Uuid,
    name: String,
    secret_digest: Vec<u8>,
    max_uses: Option<i64>,
    uses: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    may_attach: i64,
    may_reenroll: i64,
    desktop_id: Option<i64>,
    networks: Option<String>,
    tags: Option<String>,
    needs_approval: i64,
    created_at: i64,
    project_id: i64,
    project_public_id: Uuid,
    domain_id: i64,
    for_copies: i64,
}

#[derive(FromQueryResult)]
struct NamedDesktopRow {
    id: i64,
    public_id: Uuid,
    channel_epoch: i64,
    last_seen_at: Option<i64>,
    live_agent: Option<i64>,
    noted_identity: Option<String>,
}

impl NamedDesktopRow {
    /// The live agent of the desktop.
    fn rival(&self) -> Result<Option<StoredRival>, StoreError> {
        let Some(agent) = self.live_agent else {
            return Ok(None);
        };
        let noted = self.noted_identity.as_deref();
        Ok(Some(StoredRival {
            agent: AgentKey::new(agent),
            desktop: DesktopKey::new(self.id),
            epoch: self.channel_epoch,
            noted: noted
                .map(|text| json("agent", "noted_identity", agent, text))
                .transpose()?,
            last_seen_at: self.last_seen_at.map(Millis::new),
        }))
    }
}

/// A claim that nothing speaks against.
struct Admitted {
    token: EnrollmentTokenKey,
    domain: DomainKey,
    project: ProjectKey,
    project_id: ProjectId,
    name: DesktopName,
    desktop: Option<NamedDesktopRow>,
    takeover: Option<Takeover>,
    tags: Vec<DesktopTag>,
}

const TOKEN_COLUMNS: &str = "t.id, t.public_id, t.name, t.secret_digest, t.max_uses, t.uses, t.expires_at, \
     t.revoked_at, t.may_attach, t.may_reenroll, t.desktop_id, t.networks, t.tags, t.needs_approval, t.created_at, t.project_id, \
     p.public_id AS project_public_id, p.domain_id, \
     CAST(CASE WHEN p.copies_token_id = t.id THEN 1 ELSE 0 END AS BIGINT) AS for_copies";

const NAMED_DESKTOP: &str = "SELECT d.id, d.public_id, d.channel_epoch, d.last_seen_at, a.id AS live_agent, a.noted_identity \
     FROM desktop d LEFT JOIN agent a ON a.desktop_id = d.id AND a.revoked_at IS NULL \
     WHERE d.name_folded = $2 AND d.deleted_at IS NULL AND d.project_id =";

impl TokenRow {
    fn list<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
        text: Option<&String>,
    ) -> Result<Vec<T>, StoreError> {
        text.map_or_else(
            || Ok(Vec::new()),
            |text| json("enrollment_token", column, self.id, text),
        )
    }

    fn tags(&self) -> Result<Vec<DesktopTag>, StoreError> {
        self.list("tags", self.tags.as_ref())
    }

    fn facts(&self) -> Result<TokenFacts, StoreError> {
        Ok(TokenFacts {
            max_uses: self.max_uses,
            uses: self.uses,
            expires_at: self.expires_at.map(Millis::new),
            revoked_at: self.revoked_at.map(Millis::new),
            networks: self.list("networks", self.networks.as_ref())?,
        })
    }

    fn read(self) -> Result<EnrollmentTokenRecord, StoreError> {
        Ok(EnrollmentTokenRecord {
            id: EnrollmentTokenId::new(self.public_id),
            facts: self.facts()?,
            tags: self.tags()?,
            name: self.name,
            may_attach: self.may_attach != 0,
            may_reenroll: self.may_reenroll != 0,
            needs_approval: self.needs_approval != 0,
            created_at: Millis::new(self.created_at),
        })
    }
}

/// The text of a list in a column; an empty one is NULL.
fn list_text<T: Serialize>(list: &[T]) -> Option<String> {
    (!list.is_empty()).then(|| serde_json::to_string(list).expect("texts and numbers are JSON"))
}

/// Whether a claim takes the place of a live agent. What was seen of another one, or before another channel, is nothing; nor is
/// another one than the approval of the claim was about.
fn takeover(
    token: &TokenRow,
    claim: &EnrollmentClaim,
    rival: &StoredRival,
    approved: Option<&OpenRequest>,
) -> Result<Takeover, EnrollmentRefusal> {
    let seen = claim
        .rival
        .filter(|seen| (seen.agent, seen.epoch) == (rival.agent, rival.epoch))
        .filter(|seen| approved.is_none_or(|request| request.takes_back == Some(seen.agent)));
    decide_takeover(
        token.may_reenroll != 0,
        rival.noted.as_ref(),
        &claim.marks,
        seen.map_or(Presence::Alive, |seen| seen.presence),
    )
}

impl Db<'_> {
    /// The live agent of the desktop that a claim names.
    ///
    /// # Errors
    /// The database's.
    pub async fn enrollment_rival(
        &self,
        claim: &EnrollmentClaim,
    ) -> Result<Option<StoredRival>, StoreError> {
        let row: Option<NamedDesktopRow> = self
            .one(
                "look for the live agent of a desktop",
                &format!(
                    "{NAMED_DESKTOP} (SELECT project_id FROM enrollment_token WHERE public_id = $1)"
                ),
                [claim.token_id.uuid().into(), claim.name.folded().into()],
            )
            .await?;
        row.map_or(Ok(None), |row| row.rival())
    }

    /// Tokens of the project, newest first; without those made for one desktop alone, which come and go by themselves.
    ///
    /// # Errors
    /// The database's.
    pub async fn enrollment_token_list(
        &self,
        project: ProjectKey,
        page: Page,
    ) -> Result<Listed<EnrollmentTokenRecord>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("t.project_id", project);
        conditions.and("t.desktop_id IS NULL");
        let paged = conditions.page("t.id DESC", page);
        let total = self
            .scalar(
                "count enrollment tokens",
                &format!(
                    "SELECT count(*) FROM enrollment_token t WHERE {}",
                    paged.filter
                ),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<TokenRow> = self
            .all(
                "list enrollment tokens",
                &format!(
                    "SELECT {TOKEN_COLUMNS} FROM enrollment_token t JOIN project p ON p.id = t.project_id WHERE {}",
                    paged.tail
                ),
                paged.page_values,
            )
            .await?;
        Ok(Listed {
            total,
            items: rows
                .into_iter()
                .map(TokenRow::read)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The clause that holds the rows of a joined table.
    fn held(&self, table: &str) -> String {
        match self.dialect().for_update() {
            "" => String::new(),
            clause => format!("{clause} OF {table}"),
        }
    }

    /// Holds the desktop of a name, where it is registered.
    async fn desktop_named(
        &self,
        project: ProjectKey,
        name: &DesktopName,
    ) -> Result<Option<NamedDesktopRow>, StoreError> {
        self.one(
            "look a desktop up by name",
            &format!("{NAMED_DESKTOP} $1{}", self.held("d")),
            [project.into(), name.folded().into()],
        )
        .await
    }

    /// The name that a claim gets, and the desktop that is registered under it. A copy gets a name that no desktop has, the one
    /// that it asks for or its first spare one; `None`: each is taken.
    async fn place_of(
        &self,
        project: ProjectKey,
        claim: &EnrollmentClaim,
    ) -> Result<Option<(DesktopName, Option<NamedDesktopRow>)>, StoreError> {
        let Some(copy) = &claim.copy else {
            let desktop = self.desktop_named(project, &claim.name).await?;
            return Ok(Some((claim.name.clone(), desktop)));
        };
        for name in std::iter::once(&claim.name).chain(&copy.spare_names) {
            if self.desktop_named(project, name).await?.is_none() {
                return Ok(Some((name.clone(), None)));
            }
        }
        Ok(None)
    }

    /// The name that a claim of the project would get now.
    pub(crate) async fn enrollment_name(
        &self,
        project: ProjectKey,
        claim: &EnrollmentClaim,
    ) -> Result<DesktopName, StoreError> {
        let place = self.place_of(project, claim).await?;
        Ok(place.map_or_else(|| claim.name.clone(), |(name, _)| name))
    }

    /// Judges a claim and holds the rows that the answer rests on.
    async fn admit(
        &self,
        claim: &EnrollmentClaim,
        now: Millis,
    ) -> Result<Result<Admitted, EnrollmentRefusal>, StoreError> {
        let token: Option<TokenRow> = self
            .one(
                "look an enrollment token up",
                &format!(
                    "SELECT {TOKEN_COLUMNS} FROM enrollment_token t JOIN project p ON p.id = t.project_id \
                     WHERE t.public_id = $1 AND p.enabled = 1{}",
                    self.held("t")
                ),
                [claim.token_id.uuid().into()],
            )
            .await?;
        let believed = |token: &TokenRow| match &claim.proof {
            ClaimProof::Secret(digest) => digest.is(&token.secret_digest),
            ClaimProof::Approval(_) => true,
            ClaimProof::Copy => token.for_copies != 0 && claim.copy.is_some(),
        };
        let Some(token) = token.filter(believed) else {
            return Ok(Err(EnrollmentRefusal::TokenUnknown));
        };
        let project = ProjectKey::new(token.project_id);
        if let (ClaimProof::Copy, Some(copy)) = (&claim.proof, &claim.copy)
            && !self.copied_agent_stands(project, copy.agent).await?
        {
            return Ok(Err(EnrollmentRefusal::TokenUnknown));
        }
        let mut facts = token.facts()?;
        let approved = match claim.proof {
            ClaimProof::Secret(_) | ClaimProof::Copy => None,
            ClaimProof::Approval(request) => {
                let Some(open) = self.enrollment_request_open(request, now).await? else {
                    return Ok(Err(EnrollmentRefusal::RequestUnknown));
                };
                // Both were judged when it asked.
                facts.expires_at = None;
                facts.networks.clear();
                Some(open)
            }
        };
        if let Err(refusal) = decide_token(&facts, claim.peer, now) {
            return Ok(Err(refusal));
        }
        if claim.user.is_some() && token.may_attach == 0 {
            return Ok(Err(EnrollmentRefusal::MayNotAttach));
        }
        let Some((name, desktop)) = self.place_of(project, claim).await? else {
            return Ok(Err(EnrollmentRefusal::NameTaken));
        };
        let found = desktop.as_ref().map(|desktop| desktop.id);
        if token.desktop_id.is_some() && token.desktop_id != found {
            return Ok(Err(EnrollmentRefusal::OtherDesktop));
        }
        let rival = desktop
            .as_ref()
            .map(NamedDesktopRow::rival)
            .transpose()?
            .flatten();
        let takeover = match rival
            .map(|rival| takeover(&token, claim, &rival, approved.as_ref()))
            .transpose()
        {
            Ok(takeover) => takeover,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let tags = token.tags()?;
        if let Some(found) = found.filter(|_| !tags.is_empty()) {
            let desktop = DesktopKey::new(found);
            let there = self.tags_of(&[desktop]).await?;
            let others = there
                .get(&desktop)
                .into_iter()
                .flatten()
                .filter(|own| tags.iter().all(|tag| tag.key != own.key));
            if others.count() + tags.len() > TAGS_PER_DESKTOP_MAX {
                return Ok(Err(EnrollmentRefusal::TooManyTags));
            }
        }
        if token.needs_approval != 0 && approved.is_none() {
            return Ok(Err(EnrollmentRefusal::ApprovalNeeded));
        }
        Ok(Ok(Admitted {
            token: EnrollmentTokenKey::new(token.id),
            domain: DomainKey::new(token.domain_id),
            project,
            project_id: ProjectId::new(token.project_public_id),
            name,
            desktop,
            takeover,
            tags,
        }))
    }
}

impl Tx {
    /// Stores a token.
    ///
    /// # Errors
    /// The database's.
    pub async fn enrollment_token_insert(
        &self,
        project: ProjectKey,
        token: &NewEnrollmentToken,
        now: Millis,
    ) -> Result<EnrollmentTokenKey, StoreError> {
        let key = self
            .insert(
                "store an enrollment token",
                "INSERT INTO enrollment_token (public_id, project_id, name, secret_digest, max_uses, expires_at, \
                 may_attach, may_reenroll, desktop_id, networks, tags, created_at, needs_approval) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id",
                [
                    token.id.uuid().into(),
                    project.into(),
                    token.name.as_str().into(),
                    token.secret_digest.0.to_vec().into(),
                    token.max_uses.into(),
                    token.expires_at.map(Millis::get).into(),
                    i64::from(token.may_attach).into(),
                    i64::from(token.may_reenroll).into(),
                    token.desktop.map(DesktopKey::get).into(),
                    list_text(&token.networks).into(),
                    list_text(&token.tags).into(),
                    now.get().into(),
                    i64::from(token.needs_approval).into(),
                ],
            )
            .await?;
        self.made("token", token.id);
        Ok(EnrollmentTokenKey::new(key))
    }

    /// Revokes a token; agents it let in stay, who waits with it for approval does not. `false` when the project has no
    /// such token. Revoking again keeps the first instant.
    ///
    /// # Errors
    /// The database's.
    pub async fn enrollment_token_revoke(
        &self,
        project: ProjectKey,
        id: EnrollmentTokenId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let changed = self
            .run(
                "revoke an enrollment token",
                "UPDATE enrollment_token SET revoked_at = COALESCE(revoked_at, $3) \
                 WHERE project_id = $1 AND public_id = $2",
                [project.into(), id.uuid().into(), now.get().into()],
            )
            .await?;
        self.run(
            "delete the undecided enrollment requests of a token",
            "DELETE FROM enrollment_request WHERE approved IS NULL AND project_id = $1 \
             AND token_id = (SELECT id FROM enrollment_token WHERE project_id = $1 AND public_id = $2)",
            [project.into(), id.uuid().into()],
        )
        .await?;
        Ok(changed > 0)
    }

    /// Lets an agent in: binds it to the registered desktop of that name that has no live agent, else registers
    /// one; attaches the user; sets the token's tags; notes the marks; counts the use. A token that may re-enroll revokes a live
    /// agent. A copy is not noted any more at the agent that it is a copy of. A machine that is the one that the live agent stood for revokes
    /// it too, where [`EnrollmentClaim::rival`] says that it is gone.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another claim took the name first (repeat it, in a fresh transaction); a
    /// refusal is the inner error, and nothing is written then.
    pub async fn enrollment_claim(
        &self,
        claim: &EnrollmentClaim,
        now: Millis,
    ) -> Result<Result<Enrolled, EnrollmentRefusal>, StoreError> {
        let admitted = match self.db().admit(claim, now).await? {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let project = admitted.project;
        let (desktop, desktop_id, replaced) = match admitted.desktop {
            Some(row) => {
                let desktop = DesktopKey::new(row.id);
                if row.live_agent.is_some() {
                    self.agents_revoke(&[desktop], now).await?;
                }
                self.desktop_os_set(desktop, claim.os_type).await?;
                (desktop, DesktopId::new(row.public_id), admitted.takeover)
            }
            None => {
                let new = NewDesktop {
                    id: claim.new_desktop_id,
                    name: admitted.name.clone(),
                    os_type: claim.os_type,
                    desktop_type: DesktopType::Dedicated,
                    persistence: Persistence::Persistent,
                };
                let desktop = self.desktop_insert(project, &new, now).await?;
                (desktop, claim.new_desktop_id, None)
            }
        };
        if let Some(name) = &claim.user {
            let user = self
                .user_ensure_local(project, name, claim.new_user_id, now)
                .await?;
            self.desktop_user_attach(desktop, user, None).await?;
            self.desktop_share_if_crowded(desktop).await?;
        }
        self.tags_set(desktop, &admitted.tags).await?;
        let agent = self.agent_insert(desktop, &claim.agent, now).await?;
        if !claim.marks.is_empty() {
            // Its history is told when it connects.
            let known = NotedIdentity {
                marks: claim.marks.clone(),
                history: None,
                before: None,
                barred: None,
            };
            self.agent_identity_note(agent, &known).await?;
        }
        if let ClaimProof::Approval(request) = claim.proof {
            self.enrollment_request_collected(request, agent).await?;
        }
        if let Some(copy) = &claim.copy {
            self.agent_copy_settle(copy.agent, &copy.told).await?;
        }
        self.run(
            "count the use of an enrollment token",
            "UPDATE enrollment_token SET uses = uses + 1 WHERE id = $1",
            [admitted.token.into()],
        )
        .await?;
        Ok(Ok(Enrolled {
            agent,
            agent_id: claim.agent.id,
            desktop,
            desktop_id,
            name: admitted.name,
            project,
            domain: admitted.domain,
            project_id: admitted.project_id,
            replaced,
        }))
    }

    /// Stores a further certificate of an agent: renewal. The earlier ones stay valid until they expire.
    ///
    /// # Errors
    /// The database's.
    pub async fn certificate_insert(
        &self,
        agent: AgentKey,
        certificate: &NewCertificate,
    ) -> Result<(), StoreError> {
        self.run(
            "store an agent's certificate",
            "INSERT INTO agent_certificate (agent_id, fingerprint, not_before, not_after) VALUES ($1, $2, $3, $4)",
            [
                agent.into(),
                certificate.fingerprint.to_vec().into(),
                certificate.not_before.get().into(),
                certificate.not_after.get().into(),
            ],
        )
        .await
        .map(drop)
    }
}
