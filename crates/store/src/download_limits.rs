//! How fast packages may be handed out: one setting for every server over the database.

use outfitter_domain::Millis;
use outfitter_domain::downloads::DownloadLimits;
use sea_orm::FromQueryResult;

use crate::query::json;
use crate::{Db, StoreError, Tx};

/// Limits as somebody set them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLimits {
    /// What holds.
    pub limits: DownloadLimits,
    /// Who set it.
    pub operator: String,
    /// When.
    pub updated_at: Millis,
}

impl Db<'_> {
    /// The limits, where somebody set any.
    ///
    /// # Errors
    /// When the database cannot answer, or what is stored does not parse.
    pub async fn download_limits_find(&self) -> Result<Option<StoredLimits>, StoreError> {
        #[derive(FromQueryResult)]
        struct LimitsRow {
            id: i64,
            settings: String,
            operator: String,
            updated_at: i64,
        }
        let row: Option<LimitsRow> = self
            .one(
                "read the limits of downloads",
                "SELECT id, settings, operator, updated_at FROM download_limits WHERE id = 1",
                [],
            )
            .await?;
        row.map(|row| {
            Ok(StoredLimits {
                limits: json("download_limits", "settings", row.id, &row.settings)?,
                operator: row.operator,
                updated_at: Millis::new(row.updated_at),
            })
        })
        .transpose()
    }
}

impl Tx {
    /// Sets the limits.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn download_limits_set(
        &self,
        limits: &DownloadLimits,
        operator: &str,
        now: Millis,
    ) -> Result<(), StoreError> {
        let settings = serde_json::to_string(limits).expect("limits have text keys alone");
        self.run(
            "set the limits of downloads",
            "INSERT INTO download_limits (id, settings, operator, updated_at) VALUES (1, $1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET settings = excluded.settings, operator = excluded.operator, \
             updated_at = excluded.updated_at",
            [settings.into(), operator.into(), now.get().into()],
        )
        .await
        .map(drop)
    }
}
