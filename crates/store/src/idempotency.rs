//! Answers to native calls that carried an `Idempotency-Key`, kept with what the call did.

use std::time::Duration;

use outfitter_domain::Millis;
use sea_orm::FromQueryResult;

use crate::{ProjectKey, StoreError, Tx};

/// How long an answer is given again. Ours: longer than any client keeps trying.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyClaim {
    /// A call that was not made before: it holds the key until the end of its transaction.
    New,
    /// A call that was carried out before, with its answer.
    Repeated {
        /// The answer, JSON.
        body: String,
    },
    /// Another call carried the same key.
    Taken,
}

impl Tx {
    /// Claims a key for the call with this digest. A call of the same key that is still under way is waited for.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn idempotency_claim(
        &self,
        project: ProjectKey,
        key: &str,
        request_digest: &[u8],
        now: Millis,
    ) -> Result<IdempotencyClaim, StoreError> {
        #[derive(FromQueryResult)]
        struct KeptRow {
            request_digest: Vec<u8>,
            body: String,
        }
        const DOING: &str = "claim an idempotency key";
        self.run(
            DOING,
            "DELETE FROM idempotency_key WHERE project_id = $1 AND created_at <= $2",
            [project.into(), now.minus(KEPT).get().into()],
        )
        .await?;
        let claimed = self
            .run(
                DOING,
                "INSERT INTO idempotency_key (project_id, idempotency_key, request_digest, status, body, created_at) \
                 VALUES ($1, $2, $3, 0, '', $4) ON CONFLICT DO NOTHING",
                [
                    project.into(),
                    key.into(),
                    request_digest.to_vec().into(),
                    now.get().into(),
                ],
            )
            .await?;
        if claimed > 0 {
            return Ok(IdempotencyClaim::New);
        }
        let kept = self
            .db()
            .one::<KeptRow>(
                DOING,
                "SELECT request_digest, body FROM idempotency_key WHERE project_id = $1 AND idempotency_key = $2",
                [project.into(), key.into()],
            )
            .await?;
        Ok(match kept {
            Some(kept) if kept.request_digest == request_digest => {
                IdempotencyClaim::Repeated { body: kept.body }
            }
            _ => IdempotencyClaim::Taken,
        })
    }

    /// Keeps the answer of a call that claimed its key in this transaction.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn idempotency_answer(
        &self,
        project: ProjectKey,
        key: &str,
        status: u16,
        body: &str,
    ) -> Result<(), StoreError> {
        self.run(
            "keep the answer of a call",
            "UPDATE idempotency_key SET status = $3, body = $4 WHERE project_id = $1 AND idempotency_key = $2",
            [
                project.into(),
                key.into(),
                i64::from(status).into(),
                body.into(),
            ],
        )
        .await
        .map(drop)
    }
}
