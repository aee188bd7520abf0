//! What a desktop may download.

use crate::{Db, DesktopKey, StoreError};

impl Db<'_> {
    /// Whether the desktop's open attempt is about a revision whose package has this digest (lower-case hex SHA-256).
    ///
    /// # Errors
    /// The database's.
    pub async fn attempt_needs_package(
        &self,
        desktop: DesktopKey,
        sha256: &str,
    ) -> Result<bool, StoreError> {
        let found: Option<i64> = self
            .scalar(
                "look an open attempt's package up",
                "SELECT t.id FROM attempt t JOIN app_revision r ON r.id = t.revision_id \
                 JOIN package p ON p.id = r.package_id \
                 WHERE t.desktop_id = $1 AND t.ended_at IS NULL AND p.sha256 = $2",
                [desktop.into(), sha256.into()],
            )
            .await?;
        Ok(found.is_some())
    }
}
