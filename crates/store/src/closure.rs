//! The closure of groups: every user a group reaches, nested groups included.
//!
//! **Guarantees.** The closure of a user who is not in `closure_due` is exact. It is counted upwards from the user:
//! a page of users costs what their groups are, however large those groups are. Circles of groups end it.
//! **Wakes it:** writes of members count the users they touch in their own transaction; a synchronisation marks whom
//! it touches and counts them in pages. **On a crash** the marks stand, and the next run goes on with them.

use outfitter_domain::AccountType;
use sea_orm::{FromQueryResult, Value};

use crate::query::{in_keys, key_array};
use crate::{GroupKey, StoreError, Tx, UserKey};

#[derive(FromQueryResult)]
struct UserRow {
    user_id: i64,
}

impl Tx {
    /// Counts again which groups reach these users, and takes their marks away.
    ///
    /// # Errors
    /// The database's.
    pub async fn closure_refresh(&self, users: &[UserKey]) -> Result<(), StoreError> {
        const DOING: &str = "count who is in which group";
        if users.is_empty() {
            return Ok(());
        }
        let keys: Value = key_array(users.iter().map(|user| user.get())).into();
        let of_users = |column: &str| in_keys(self.dialect(), column, "$1");
        let up = format!(
            "WITH RECURSIVE up (group_id, user_id) AS ( \
               SELECT m.group_id, m.user_id FROM group_member m WHERE {} \
               UNION SELECT n.group_id, up.user_id FROM up JOIN group_nesting n ON n.member_id = up.group_id)",
            of_users("m.user_id")
        );
        self.run(
            DOING,
            &format!(
                "{up} DELETE FROM group_closure WHERE (group_id, user_id) IN ( \
                   SELECT c.group_id, c.user_id FROM group_closure c WHERE {} \
                   EXCEPT SELECT group_id, user_id FROM up)",
                of_users("c.user_id")
            ),
            [keys.clone()],
        )
        .await?;
        self.run(
            DOING,
            &format!(
                "{up} INSERT INTO group_closure (group_id, user_id) SELECT group_id, user_id FROM up \
                 WHERE true ON CONFLICT DO NOTHING"
            ),
            [keys.clone()],
        )
        .await?;
        self.run(
            DOING,
            &format!("DELETE FROM closure_due WHERE {}", of_users("user_id")),
            [keys],
        )
        .await
        .map(drop)
    }

    /// Counts up to `limit` marked users of any project again; answers how many there were, 0 when none is
    /// left.
    ///
    /// # Errors
    /// The database's.
    pub async fn closure_refresh_due(&self, limit: usize) -> Result<usize, StoreError> {
        let rows: Vec<UserRow> = self
            .db()
            .all(
                "read whose groups wait to be counted",
                // Held in this order, so that two runs wait for each other instead of blocking each other.
                &format!(
                    "SELECT user_id FROM closure_due ORDER BY user_id LIMIT $1{}",
                    self.dialect().for_update()
                ),
                [i64::try_from(limit).unwrap_or(i64::MAX).into()],
            )
            .await?;
        let users: Vec<UserKey> = rows.iter().map(|row| UserKey::new(row.user_id)).collect();
        self.closure_refresh(&users).await?;
        Ok(users.len())
    }

    /// Marks users.
    pub(crate) async fn closure_mark(&self, users: &[UserKey]) -> Result<(), StoreError> {
        self.run(
            "mark whose groups change",
            &format!(
                "INSERT INTO closure_due (user_id) SELECT id FROM directory_user WHERE {} ON CONFLICT DO NOTHING",
                in_keys(self.dialect(), "id", "$1")
            ),
            [key_array(users.iter().map(|user| user.get())).into()],
        )
        .await
        .map(drop)
    }

    /// Marks the users that groups reach: what holds those groups changes. Who is marked already may be missing
    /// from the closure, and stays marked.
    pub(crate) async fn closure_mark_below(&self, groups: &[GroupKey]) -> Result<(), StoreError> {
        self.run(
            "mark whose groups change",
            &format!(
                "INSERT INTO closure_due (user_id) SELECT DISTINCT user_id FROM group_closure WHERE {} \
                 ON CONFLICT DO NOTHING",
                in_keys(self.dialect(), "group_id", "$1")
            ),
            [key_array(groups.iter().map(|group| group.get())).into()],
        )
        .await
        .map(drop)
    }

    /// Like [`Tx::closure_mark_below`], for those of the groups that are members of groups.
    pub(crate) async fn closure_mark_below_nested(
        &self,
        groups: &[GroupKey],
    ) -> Result<(), StoreError> {
        self.run(
            "mark whose groups change",
            &format!(
                "INSERT INTO closure_due (user_id) SELECT DISTINCT c.user_id FROM group_closure c \
                 WHERE {} AND EXISTS (SELECT 1 FROM group_nesting n WHERE n.member_id = c.group_id) \
                 ON CONFLICT DO NOTHING",
                in_keys(self.dialect(), "c.group_id", "$1")
            ),
            [key_array(groups.iter().map(|group| group.get())).into()],
        )
        .await
        .map(drop)
    }
}

/// The table that holds accounts of a type.
pub(crate) const fn table_of(account_type: AccountType) -> &'static str {
    match account_type {
        AccountType::Simple => "directory_user",
        AccountType::UserGroup => "directory_group",
    }
}
