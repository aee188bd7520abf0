//! Which desktops have work that can be handed out.

use outfitter_domain::Millis;
use sea_orm::FromQueryResult;

use crate::query::{in_keys, key_array};
use crate::{Db, DesktopKey, StoreError};

#[derive(FromQueryResult)]
struct DesktopRow {
    desktop_id: i64,
}

impl Db<'_> {
    /// Those of the desktops that have a due INIT job and no open attempt. Reads `job_desktop_wire`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn desktops_with_due_jobs(
        &self,
        desktops: &[DesktopKey],
        now: Millis,
    ) -> Result<Vec<DesktopKey>, StoreError> {
        let keys = key_array(desktops.iter().map(|key| key.get()));
        let rows: Vec<DesktopRow> = self
            .all(
                "look for due jobs",
                &format!(
                    "SELECT DISTINCT j.desktop_id FROM job j WHERE {} AND j.wire = 0 AND j.due_at <= $2 \
                     AND NOT EXISTS (SELECT 1 FROM attempt t WHERE t.desktop_id = j.desktop_id \
                     AND t.ended_at IS NULL)",
                    in_keys(self.dialect(), "j.desktop_id", "$1")
                ),
                [keys.into(), now.get().into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| DesktopKey::new(row.desktop_id))
            .collect())
    }
}
