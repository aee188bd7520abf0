//! Groups of the directory and who is in them.
//!
//! `group_member` holds direct members, `group_nesting` groups in groups, `group_closure` every user a group
//! reaches; authorization reads only the closure. Writes here count the closure of the users they touch again
//! (`closure.rs`), in the same transaction.

use outfitter_domain::text::fold;
use outfitter_domain::{AccountType, Millis, PlatformType};
use outfitter_ids::GroupId;
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use crate::query::{Conditions, id_array, in_ids, in_keys, key_array, word};
use crate::{Db, GroupKey, Listed, Page, ProjectKey, StoreError, Tx, UserKey};

/// A group to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// Public id.
    pub id: GroupId,
    /// Name, unique in its domain without regard to case.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// Where the group is kept.
    pub platform_type: PlatformType,
    /// Free text.
    pub description: String,
}

/// A stored group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Key.
    pub key: GroupKey,
    /// Public id.
    pub id: GroupId,
    /// Name.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// Where the group is kept.
    pub platform_type: PlatformType,
    /// Free text.
    pub description: String,
    /// `objectSid` or `entryUUID` of a group that the company directory keeps.
    pub external_id: Option<String>,
    /// When the group was made.
    pub created_at: Millis,
    /// Number of users it reaches.
    pub users: i64,
    /// Number of desktops attached to a user it reaches.
    pub desktops: i64,
}

/// Which groups to list; the members given must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Name contains.
    pub name_part: Option<String>,
    /// Domain.
    pub domain: Option<String>,
    /// Kept in one of these.
    pub platform_types: Option<Vec<String>>,
}

#[derive(FromQueryResult)]
struct GroupRow {
    id: i64,
    public_id: Uuid,
    name: String,
    domain: String,
    platform_type: String,
    description: String,
    external_id: Option<String>,
    created_at: i64,
    users: i64,
    desktops: i64,
}

#[derive(FromQueryResult)]
struct KeyRow {
    id: i64,
    public_id: Uuid,
}

const GROUP_COLUMNS: &str = "g.id, g.public_id, g.name, g.domain, g.platform_type, g.description, \
     g.external_id, g.created_at, \
     (SELECT count(*) FROM group_closure c WHERE c.group_id = g.id) AS users, \
     (SELECT count(DISTINCT du.desktop_id) FROM group_closure c \
      JOIN desktop_user du ON du.user_id = c.user_id WHERE c.group_id = g.id) AS desktops";

impl GroupRow {
    fn read(self) -> Result<Group, StoreError> {
        Ok(Group {
            key: GroupKey::new(self.id),
            id: GroupId::new(self.public_id),
            name: self.name,
            domain: self.domain,
            platform_type: word(
                "directory_group",
                "platform_type",
                self.id,
                &self.platform_type,
                PlatformType::parse,
            )?,
            description: self.description,
            external_id: self.external_id,
            created_at: Millis::new(self.created_at),
            users: self.users,
            desktops: self.desktops,
        })
    }
}

impl Db<'_> {
    /// A group of the project.
    ///
    /// # Errors
    /// The database's.
    pub async fn group_find(
        &self,
        project: ProjectKey,
        id: GroupId,
    ) -> Result<Option<Group>, StoreError> {
        self.one::<GroupRow>(
            "read a group",
            &format!(
                "SELECT {GROUP_COLUMNS} FROM directory_group g WHERE g.project_id = $1 AND g.public_id = $2"
            ),
            [project.into(), id.uuid().into()],
        )
        .await?
        .map(GroupRow::read)
        .transpose()
    }

    /// Groups of the project, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn group_list(
        &self,
        project: ProjectKey,
        filter: &GroupFilter,
        page: Page,
    ) -> Result<Listed<Group>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("g.project_id", project);
        if let Some(part) = &filter.name_part {
            conditions.contains("g.name_folded", part);
        }
        if let Some(domain) = &filter.domain {
            conditions.equals("g.domain_folded", fold(domain));
        }
        if let Some(platform_types) = &filter.platform_types {
            conditions.one_of("g.platform_type", platform_types);
        }
        let paged = conditions.page("g.id DESC", page);
        let total = self
            .scalar(
                "count groups",
                &format!(
                    "SELECT count(*) FROM directory_group g WHERE {}",
                    paged.filter
                ),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<GroupRow> = self
            .all(
                "list groups",
                &format!(
                    "SELECT {GROUP_COLUMNS} FROM directory_group g WHERE {}",
                    paged.tail
                ),
                paged.page_values,
            )
            .await?;
        let items = rows
            .into_iter()
            .map(GroupRow::read)
            .collect::<Result<_, _>>()?;
        Ok(Listed { total, items })
    }

    /// The keys of those ids that are groups of the project.
    ///
    /// # Errors
    /// The database's.
    pub async fn group_keys(
        &self,
        project: ProjectKey,
        ids: &[GroupId],
    ) -> Result<Vec<(GroupId, GroupKey)>, StoreError> {
        let rows: Vec<KeyRow> = self
            .all(
                "look groups up",
                &format!(
                    "SELECT id, public_id FROM directory_group WHERE project_id = $1 AND {}",
                    in_ids(self.dialect(), "public_id", "$2")
                ),
                [
                    project.into(),
                    id_array(ids.iter().map(|id| id.uuid())).into(),
                ],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (GroupId::new(row.public_id), GroupKey::new(row.id)))
            .collect())
    }
}

impl Tx {
    /// Stores a group without members.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the domain has a group of that name.
    pub async fn group_insert(
        &self,
        project: ProjectKey,
        group: &NewGroup,
        now: Millis,
    ) -> Result<GroupKey, StoreError> {
        let key = self
            .insert(
                "store a group",
                "INSERT INTO directory_group (public_id, project_id, name, name_folded, domain, domain_folded, \
                 platform_type, description, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
                [
                    group.id.uuid().into(),
                    project.into(),
                    group.name.as_str().into(),
                    fold(&group.name).into(),
                    group.domain.as_str().into(),
                    fold(&group.domain).into(),
                    group.platform_type.as_str().into(),
                    group.description.as_str().into(),
                    now.get().into(),
                ],
            )
            .await?;
        self.made("userGroup", group.id);
        Ok(GroupKey::new(key))
    }

    /// Describes a group anew.
    ///
    /// # Errors
    /// The database's.
    pub async fn group_describe(
        &self,
        group: GroupKey,
        description: &str,
    ) -> Result<(), StoreError> {
        self.run(
            "describe a group",
            "UPDATE directory_group SET description = $2 WHERE id = $1",
            [group.into(), description.into()],
        )
        .await
        .map(drop)
    }

    /// Renames a group; its app authorizations follow, since they name the group by its name.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the domain has a group of that name.
    pub async fn group_rename(
        &self,
        project: ProjectKey,
        group: &Group,
        name: &str,
    ) -> Result<(), StoreError> {
        self.run(
            "rename a group",
            "UPDATE directory_group SET name = $2, name_folded = $3 WHERE id = $1",
            [group.key.into(), name.into(), fold(name).into()],
        )
        .await?;
        let place = |name: &str| (group.domain.clone(), name.to_owned());
        self.authorizations_follow(
            project,
            AccountType::UserGroup,
            &place(&group.name),
            &place(name),
        )
        .await
    }

    /// Deletes groups, and with them their memberships and app authorizations. The closure of groups that held
    /// them waits for [`Tx::closure_refresh_due`].
    ///
    /// # Errors
    /// The database's.
    pub async fn groups_delete(
        &self,
        project: ProjectKey,
        groups: &[GroupKey],
    ) -> Result<(), StoreError> {
        self.closure_mark_below_nested(groups).await?;
        self.accounts_delete(
            project,
            AccountType::UserGroup,
            groups.iter().map(|group| group.get()),
        )
        .await
    }

    /// Puts users into a group; who is in it stays.
    ///
    /// # Errors
    /// The database's.
    pub async fn group_members_add(
        &self,
        group: GroupKey,
        users: &[UserKey],
    ) -> Result<(), StoreError> {
        let keys: Value = key_array(users.iter().map(|user| user.get())).into();
        let listed = in_keys(self.dialect(), "id", "$2");
        self.run(
            "put users into a group",
            &format!(
                "INSERT INTO group_member (group_id, user_id) SELECT CAST($1 AS BIGINT), id FROM directory_user \
                 WHERE {listed} ON CONFLICT DO NOTHING"
            ),
            [group.into(), keys],
        )
        .await?;
        self.closure_refresh(users).await
    }

    /// Takes users out of a group; who is not in it is passed over.
    ///
    /// # Errors
    /// The database's.
    pub async fn group_members_remove(
        &self,
        group: GroupKey,
        users: &[UserKey],
    ) -> Result<(), StoreError> {
        let keys: Value = key_array(users.iter().map(|user| user.get())).into();
        let listed = in_keys(self.dialect(), "user_id", "$2");
        self.run(
            "take users out of a group",
            &format!("DELETE FROM group_member WHERE group_id = $1 AND {listed}"),
            [group.into(), keys],
        )
        .await?;
        self.closure_refresh(users).await
    }
}
