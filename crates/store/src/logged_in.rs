//! What a project does about whoever is logged in at a desktop without a user.

use outfitter_domain::fleet::{DesktopType, LoggedInUsers};
use sea_orm::FromQueryResult;

use crate::query::word;
use crate::{Db, DesktopKey, DomainKey, ProjectKey, StoreError, Tx, UserKey};

impl Db<'_> {
    /// What a project does about logged-in users, and the account that it belongs to; `None` where there is no such
    /// project.
    ///
    /// # Errors
    /// When the database cannot answer, or what is stored does not parse.
    pub async fn logged_in_users(
        &self,
        project: ProjectKey,
    ) -> Result<Option<(LoggedInUsers, DomainKey)>, StoreError> {
        #[derive(FromQueryResult)]
        struct ModeRow {
            logged_in_users: String,
            domain_id: i64,
        }
        let row: Option<ModeRow> = self
            .one(
                "read what a project does about logged-in users",
                "SELECT logged_in_users, domain_id FROM project WHERE id = $1",
                [project.into()],
            )
            .await?;
        row.map(|row| {
            let mode = word(
                "project",
                "logged_in_users",
                project.get(),
                &row.logged_in_users,
                LoggedInUsers::parse,
            )?;
            Ok((mode, DomainKey::new(row.domain_id)))
        })
        .transpose()
    }
}

impl Tx {
    /// Sets what a project does about logged-in users, from the next login on.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn logged_in_users_set(
        &self,
        project: ProjectKey,
        mode: LoggedInUsers,
    ) -> Result<(), StoreError> {
        self.run(
            "set what a project does about logged-in users",
            "UPDATE project SET logged_in_users = $2 WHERE id = $1",
            [project.into(), mode.as_str().into()],
        )
        .await
        .map(drop)
    }

    /// Whether a desktop is a single-user one that has no user; holds it until the transaction ends, so that nobody
    /// else gives it one meanwhile.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn desktop_is_unclaimed(&self, desktop: DesktopKey) -> Result<bool, StoreError> {
        let held: Option<i64> = self
            .db()
            .scalar(
                "hold a desktop for a change",
                &format!(
                    "SELECT id FROM desktop WHERE id = $1 AND desktop_type = $2 AND deleted_at IS NULL{}",
                    self.dialect().for_update()
                ),
                [desktop.into(), DesktopType::Dedicated.as_str().into()],
            )
            .await?;
        if held.is_none() {
            return Ok(false);
        }
        let users: i64 = self
            .db()
            .scalar(
                "count the users of a desktop",
                "SELECT count(*) FROM desktop_user WHERE desktop_id = $1",
                [desktop.into()],
            )
            .await?
            .unwrap_or(0);
        Ok(users == 0)
    }

    /// Makes whoever logged in the user of a desktop that [`Tx::desktop_is_unclaimed`].
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_claim(
        &self,
        desktop: DesktopKey,
        user: UserKey,
    ) -> Result<(), StoreError> {
        self.changes("desktop", &[desktop.get()]).await?;
        self.desktop_user_attach(desktop, user, None).await
    }
}
