//! Receipts: what waits to be verified, by which certificates, and what that said.
//!
//! - A receipt is stored as it came; verifying changes nothing in it, only what is said beside it.
//! - One that does not verify takes the proof from its job and from what its desktop has, in the same transaction
//!   (docs/adr/0024-receipts.md). The job's state stays: the contract knows no way out of SUCCESS.

use outfitter_agent_protocol::{EnvelopeSignature, Task, TaskKind};
use outfitter_domain::Millis;
use outfitter_domain::job::{Proof, State, Verification, kind_number};
use outfitter_ids::{AgentId, AttemptId, DesktopId, JobId, ProjectId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::job::{CounterChanges, key_list};
use crate::query::{in_keys, json};
use crate::{AttemptKey, Db, DomainKey, JobKey, ProjectKey, StoreError, Tx};

/// What an agent signed, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedText {
    /// The statement's text.
    pub statement: String,
    /// The signature over it; `None`: there is none.
    pub signature: Option<TextSignature>,
}

/// A signature as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSignature {
    /// SHA-256 of the signer's certificate (DER).
    pub certificate_sha256: [u8; 32],
    /// In base64.
    pub base64: String,
}

/// A certificate that an agent may have signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerCertificate {
    /// The agent it was given to.
    pub agent: AgentId,
    /// The desktop that agent stands for.
    pub desktop: DesktopId,
    /// DER; `None`: it was given out before certificates were kept.
    pub certificate: Option<Vec<u8>>,
    /// The one that issued it, DER.
    pub issuer: Option<Vec<u8>>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
}

/// A receipt with all that it is judged by.
#[derive(Debug, Clone)]
pub struct ReceiptRecord {
    /// Its attempt.
    pub attempt_key: AttemptKey,
    /// The job of that attempt.
    pub job_key: JobKey,
    /// The account of the project.
    pub domain_key: DomainKey,
    /// The project.
    pub project_key: ProjectKey,
    /// Public id of the project.
    pub project: ProjectId,
    /// Public id of the desktop.
    pub desktop: DesktopId,
    /// Name of the desktop.
    pub desktop_name: String,
    /// Public id of the job.
    pub job: JobId,
    /// Public id of the attempt.
    pub attempt: AttemptId,
    /// 1 for the first attempt of the job.
    pub number: i64,
    /// What was asked.
    pub task: Task,
    /// Why the attempt ended: `succeeded` or a reason's code.
    pub outcome: Option<String>,
    /// When it was handed out.
    pub leased_at: Millis,
    /// When its result arrived.
    pub received_at: Millis,
    /// What the agent signed; `None`: it came before receipts were signed.
    pub statement: Option<String>,
    /// The signature.
    pub signature: Option<EnvelopeSignature>,
    /// Whose certificate signed it, where it was ever given out.
    pub signer: Option<SignerCertificate>,
    /// What verifying it said.
    pub verification: Verification,
    /// When.
    pub verified_at: Option<Millis>,
    /// Why it is invalid.
    pub problem: Option<String>,
}

#[derive(FromQueryResult)]
struct Row {
    attempt_id: i64,
    job_id: i64,
    domain_id: i64,
    project_id: i64,
    project_public_id: Uuid,
    desktop_public_id: Uuid,
    desktop_name: String,
    job_public_id: Uuid,
    attempt_public_id: Uuid,
    number: i64,
    task: String,
    outcome: Option<String>,
    leased_at: i64,
    received_at: i64,
    statement: Option<String>,
    signature: Option<String>,
    signer: Option<Vec<u8>>,
    agent_public_id: Option<Uuid>,
    signer_desktop_id: Option<Uuid>,
    certificate: Option<Vec<u8>>,
    issuer: Option<Vec<u8>>,
    revoked_at: Option<i64>,
    verification: i64,
    verified_at: Option<i64>,
    problem: Option<String>,
}

impl Row {
    fn read(self) -> Result<ReceiptRecord, StoreError> {
        let signer = match (self.agent_public_id, self.signer_desktop_id) {
            (Some(agent), Some(desktop)) => Some(SignerCertificate {
                agent: AgentId::new(agent),
                desktop: DesktopId::new(desktop),
                certificate: self.certificate,
                issuer: self.issuer,
                revoked_at: self.revoked_at.map(Millis::new),
            }),
            _ => None,
        };
        Ok(ReceiptRecord {
            attempt_key: AttemptKey::new(self.attempt_id),
            job_key: JobKey::new(self.job_id),
            domain_key: DomainKey::new(self.domain_id),
            project_key: ProjectKey::new(self.project_id),
            project: ProjectId::new(self.project_public_id),
            desktop: DesktopId::new(self.desktop_public_id),
            desktop_name: self.desktop_name,
            job: JobId::new(self.job_public_id),
            attempt: AttemptId::new(self.attempt_public_id),
            number: self.number,
            task: json("attempt", "task", self.attempt_id, &self.task)?,
            outcome: self.outcome,
            leased_at: Millis::new(self.leased_at),
            received_at: Millis::new(self.received_at),
            statement: self.statement,
            signature: self
                .signer
                .zip(self.signature)
                .map(|(signer, sig)| EnvelopeSignature {
                    keyid: hex::encode(signer),
                    sig,
                }),
            signer,
            verification: read_verification(self.attempt_id, self.verification)?,
            verified_at: self.verified_at.map(Millis::new),
            problem: self.problem,
        })
    }
}

/// Reads `receipt.verification`.
pub(crate) fn read_verification(row: i64, number: i64) -> Result<Verification, StoreError> {
    Verification::from_number(number).ok_or_else(|| StoreError::Inconsistent {
        table: "receipt",
        column: "verification",
        row,
        value: number.to_string(),
    })
}

const SELECT: &str = "SELECT t.id AS attempt_id, j.id AS job_id, p.domain_id, p.id AS project_id, \
     p.public_id AS project_public_id, k.public_id AS desktop_public_id, k.name AS desktop_name, \
     j.public_id AS job_public_id, t.public_id AS attempt_public_id, t.number, t.task, t.outcome, t.leased_at, \
     c.received_at, c.statement, c.signature, c.signer, g.public_id AS agent_public_id, \
     x.public_id AS signer_desktop_id, s.certificate, i.certificate AS issuer, \
     COALESCE(s.revoked_at, g.revoked_at) AS revoked_at, c.verification, c.verified_at, c.problem \
     FROM receipt c JOIN attempt t ON t.id = c.attempt_id JOIN job j ON j.id = t.job_id \
     JOIN desktop k ON k.id = t.desktop_id JOIN project p ON p.id = j.project_id \
     LEFT JOIN agent_certificate s ON s.fingerprint = c.signer LEFT JOIN agent g ON g.id = s.agent_id \
     LEFT JOIN desktop x ON x.id = g.desktop_id LEFT JOIN issuing_certificate i ON i.fingerprint = s.issuer";

impl Db<'_> {
    /// Receipts that were not verified yet (index `receipt_pending`), oldest attempt first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn receipt_pending(&self, limit: i64) -> Result<Vec<ReceiptRecord>, StoreError> {
        self.all::<Row>(
            "find receipts to verify",
            &format!("{SELECT} WHERE c.verification = 1 ORDER BY c.attempt_id LIMIT $1"),
            [limit.into()],
        )
        .await?
        .into_iter()
        .map(Row::read)
        .collect()
    }

    /// The receipt of a job's newest attempt that left one, or of the one with that number.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn receipt_of_job(
        &self,
        job: JobKey,
        number: Option<i64>,
    ) -> Result<Option<ReceiptRecord>, StoreError> {
        self.one::<Row>(
            "read a receipt",
            &format!(
                "{SELECT} WHERE t.job_id = $1 AND t.number = COALESCE(CAST($2 AS BIGINT), t.number) ORDER BY t.number DESC LIMIT 1"
            ),
            [job.into(), number.into()],
        )
        .await?
        .map(Row::read)
        .transpose()
    }
}

impl Tx {
    /// Keeps a certificate that was given out, with the one that issued it, both DER. Its row is there already.
    ///
    /// # Errors
    /// The database's.
    pub async fn certificate_keep(
        &self,
        fingerprint: &[u8; 32],
        certificate: &[u8],
        issuer: (&[u8; 32], &[u8]),
    ) -> Result<(), StoreError> {
        self.run(
            "keep an issuing certificate",
            "INSERT INTO issuing_certificate (fingerprint, certificate) VALUES ($1, $2) \
             ON CONFLICT (fingerprint) DO NOTHING",
            [issuer.0.to_vec().into(), issuer.1.to_vec().into()],
        )
        .await?;
        self.run(
            "keep a certificate",
            "UPDATE agent_certificate SET certificate = $2, issuer = $3 WHERE fingerprint = $1",
            [
                fingerprint.to_vec().into(),
                certificate.to_vec().into(),
                issuer.0.to_vec().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Says that receipts were verified and hold.
    ///
    /// # Errors
    /// The database's.
    pub async fn receipts_hold(
        &self,
        attempts: &[AttemptKey],
        now: Millis,
    ) -> Result<(), StoreError> {
        if attempts.is_empty() {
            return Ok(());
        }
        self.run(
            "note verified receipts",
            &format!(
                "UPDATE receipt SET verification = {}, verified_at = $2 WHERE verification = 1 AND {}",
                Verification::Valid.number(),
                in_keys(self.dialect(), "attempt_id", "$1")
            ),
            [
                key_list(attempts.iter().map(|key| key.get())),
                now.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Says that a receipt does not hold. Where its attempt is the one that ended its job with SUCCESS, the job, and
    /// what its desktop has by it, lose their proof. `false`: another server said so first.
    ///
    /// # Errors
    /// The database's.
    pub async fn receipt_refute(
        &self,
        receipt: &ReceiptRecord,
        problem: &str,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let refuted = self
            .run(
                "note a receipt that does not hold",
                &format!(
                    "UPDATE receipt SET verification = {}, verified_at = $2, problem = $3 \
                     WHERE attempt_id = $1 AND verification = 1",
                    Verification::Invalid.number()
                ),
                [receipt.attempt_key.into(), now.get().into(), problem.into()],
            )
            .await?;
        if refuted == 0 {
            return Ok(false);
        }
        let proof = Proof::ReceiptInvalid.number();
        let ended_by_it = format!(
            "id = $1 AND state = {} AND attempts = $2 AND proof IS NOT NULL",
            State::Succeeded.number()
        );
        let values = [receipt.job_key.into(), receipt.number.into()];
        let before = self.job_rows(&ended_by_it, values.to_vec()).await?;
        let taken = self
            .run(
                "take the proof from a job",
                &format!("UPDATE job SET proof = {proof} WHERE {ended_by_it}"),
                values,
            )
            .await?;
        let was_verified = before.iter().find(|row| !row.is_unverified());
        if taken == 1
            && let Some(row) = was_verified
        {
            let mut counters = CounterChanges::default();
            counters.add_unverified(&row.counted, 1);
            counters.write(self, receipt.job_key.get()).await?;
        }
        self.note(|changes| {
            changes.jobs.insert(receipt.job_key);
        });
        self.run(
            "take the proof from what a desktop has",
            &format!(
                "UPDATE desktop_app SET proof = {proof} WHERE EXISTS (SELECT 1 FROM job j \
                 WHERE j.id = $1 AND j.state = {} AND j.attempts = $2 AND j.kind = {} \
                 AND j.desktop_id = desktop_app.desktop_id AND j.app_id = desktop_app.app_id) \
                 AND revision_id = (SELECT t.revision_id FROM attempt t WHERE t.id = $3)",
                State::Succeeded.number(),
                kind_number(TaskKind::Install)
            ),
            [
                receipt.job_key.into(),
                receipt.number.into(),
                receipt.attempt_key.into(),
            ],
        )
        .await?;
        Ok(true)
    }
}
