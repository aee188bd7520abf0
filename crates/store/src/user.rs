//! Users of the directory.

use std::collections::HashMap;

use outfitter_domain::account::LOCAL_DOMAIN;
use outfitter_domain::fleet::{ActiveType, LocalUserName, UserProfile};
use outfitter_domain::text::fold;
use outfitter_domain::{AccountType, Millis, PlatformType};
use outfitter_ids::UserId;
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use crate::closure::table_of;
use crate::query::{Conditions, id_array, in_ids, in_keys, json, key_array, word};
use crate::{Db, GroupKey, Listed, Page, ProjectKey, StoreError, Tx, UserKey};

/// A user to store.
#[derive(Clone)]
pub struct NewUser {
    /// Public id.
    pub id: UserId,
    /// Name, unique in its domain without regard to case.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// Where the user is kept.
    pub platform_type: PlatformType,
    /// Free text.
    pub description: String,
    /// Who activates the account.
    pub active_type: ActiveType,
    /// Enterprise project, as the caller named it.
    pub enterprise_project_id: Option<String>,
    /// PHC string of the first password. A secret.
    pub password_hash: Option<String>,
    /// The rest.
    pub profile: UserProfile,
}

/// A stored user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Key.
    pub key: UserKey,
    /// Public id.
    pub id: UserId,
    /// Name.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// Where the user is kept.
    pub platform_type: PlatformType,
    /// Free text.
    pub description: String,
    /// Who activates the account.
    pub active_type: ActiveType,
    /// Enterprise project.
    pub enterprise_project_id: Option<String>,
    /// The rest.
    pub profile: UserProfile,
    /// Whether the account is disabled, here or by the company directory.
    pub disabled: bool,
    /// Whether it is disabled here.
    pub disabled_here: bool,
    /// `objectSid` or `entryUUID` of a user that the company directory keeps.
    pub external_id: Option<String>,
    /// When the user was made.
    pub created_at: Millis,
    /// Number of desktops attached to the user.
    pub desktops: i64,
    /// Names of the user's groups, in alphabetical order.
    pub groups: Vec<String>,
}

/// What may change of a user. The whole is written, so read it in the same transaction after
/// [`Tx::user_lock`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserChange {
    /// Free text.
    pub description: String,
    /// Who activates the account.
    pub active_type: ActiveType,
    /// Whether the account is disabled here.
    pub disabled: bool,
    /// The rest.
    pub profile: UserProfile,
}

/// Which users to list; the members given must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Name contains.
    pub name_part: Option<String>,
    /// Name is one of these.
    pub names: Option<Vec<String>>,
    /// Description contains.
    pub description_part: Option<String>,
    /// Who activates the account.
    pub active_type: Option<ActiveType>,
    /// Member of the group of this name.
    pub group_name: Option<String>,
    /// Reached by this group, nested groups included.
    pub group: Option<GroupKey>,
    /// Disabled or not.
    pub disabled: Option<bool>,
    /// Domain.
    pub domain: Option<String>,
    /// Where the user is kept.
    pub platform_type: Option<PlatformType>,
    /// Enterprise project.
    pub enterprise_project_id: Option<String>,
}

#[derive(FromQueryResult)]
struct UserRow {
    id: i64,
    public_id: Uuid,
    name: String,
    domain: String,
    platform_type: String,
    description: String,
    active_type: String,
    enterprise_project_id: Option<String>,
    profile: String,
    disabled: i64,
    external_disabled: i64,
    external_id: Option<String>,
    created_at: i64,
    desktops: i64,
}

#[derive(FromQueryResult)]
struct GroupNameRow {
    user_id: i64,
    name: String,
}

#[derive(FromQueryResult)]
struct KeyRow {
    id: i64,
    public_id: Uuid,
}

const USER_COLUMNS: &str = "u.id, u.public_id, u.name, u.domain, u.platform_type, u.description, \
     u.active_type, u.enterprise_project_id, u.profile, u.disabled, \
     u.external_disabled, u.external_id, u.created_at, \
     (SELECT count(*) FROM desktop_user du WHERE du.user_id = u.id) AS desktops";

/// Whether the account of a user `u` is neither disabled here nor by the company directory.
pub(crate) const IS_ENABLED: &str = "u.disabled = 0 AND u.external_disabled = 0";

impl UserRow {
    fn read(self) -> Result<User, StoreError> {
        let table = "directory_user";
        Ok(User {
            key: UserKey::new(self.id),
            id: UserId::new(self.public_id),
            name: self.name,
            domain: self.domain,
            platform_type: word(
                table,
                "platform_type",
                self.id,
                &self.platform_type,
                PlatformType::parse,
            )?,
            description: self.description,
            active_type: word(
                table,
                "active_type",
                self.id,
                &self.active_type,
                ActiveType::parse,
            )?,
            enterprise_project_id: self.enterprise_project_id,
            profile: json(table, "profile", self.id, &self.profile)?,
            disabled: self.disabled != 0 || self.external_disabled != 0,
            disabled_here: self.disabled != 0,
            external_id: self.external_id,
            created_at: Millis::new(self.created_at),
            desktops: self.desktops,
            groups: Vec::new(),
        })
    }
}

impl Db<'_> {
    /// A user of the project.
    ///
    /// # Errors
    /// The database's.
    pub async fn user_find(
        &self,
        project: ProjectKey,
        id: UserId,
    ) -> Result<Option<User>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("u.project_id", project);
        conditions.equals("u.public_id", id.uuid());
        Ok(self
            .users_where(conditions, Page::ALL)
            .await?
            .items
            .into_iter()
            .next())
    }

    /// Users of the project, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn user_list(
        &self,
        project: ProjectKey,
        filter: &UserFilter,
        page: Page,
    ) -> Result<Listed<User>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("u.project_id", project);
        if let Some(part) = &filter.name_part {
            conditions.contains("u.name_folded", part);
        }
        if let Some(names) = &filter.names {
            conditions.one_of("u.name_folded", &folded(names));
        }
        if let Some(part) = &filter.description_part {
            conditions.contains("u.description_folded", part);
        }
        if let Some(active_type) = filter.active_type {
            conditions.equals("u.active_type", active_type.as_str());
        }
        if let Some(name) = &filter.group_name {
            let name = conditions.bind(fold(name));
            conditions.and(&format!(
                "u.id IN (SELECT c.user_id FROM group_closure c JOIN directory_group g ON g.id = c.group_id \
                 WHERE g.project_id = u.project_id AND g.name_folded = {name})"
            ));
        }
        if let Some(group) = filter.group {
            let group = conditions.bind(group);
            conditions.and(&format!(
                "u.id IN (SELECT c.user_id FROM group_closure c WHERE c.group_id = {group})"
            ));
        }
        if let Some(disabled) = filter.disabled {
            let wanted = if disabled { "NOT " } else { "" };
            conditions.and(&format!("{wanted}({IS_ENABLED})"));
        }
        if let Some(domain) = &filter.domain {
            conditions.equals("u.domain_folded", fold(domain));
        }
        if let Some(platform_type) = filter.platform_type {
            conditions.equals("u.platform_type", platform_type.as_str());
        }
        if let Some(id) = &filter.enterprise_project_id {
            conditions.equals("u.enterprise_project_id", id.as_str());
        }
        self.users_where(conditions, page).await
    }

    async fn users_where(
        &self,
        conditions: Conditions,
        page: Page,
    ) -> Result<Listed<User>, StoreError> {
        let paged = conditions.page("u.id DESC", page);
        let total = self
            .scalar(
                "count users",
                &format!(
                    "SELECT count(*) FROM directory_user u WHERE {}",
                    paged.filter
                ),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<UserRow> = self
            .all(
                "list users",
                &format!(
                    "SELECT {USER_COLUMNS} FROM directory_user u WHERE {}",
                    paged.tail
                ),
                paged.page_values,
            )
            .await?;
        let mut users = rows
            .into_iter()
            .map(UserRow::read)
            .collect::<Result<Vec<_>, _>>()?;
        let mut groups = self.group_names(&users).await?;
        for user in &mut users {
            user.groups = groups.remove(&user.key.get()).unwrap_or_default();
        }
        Ok(Listed {
            total,
            items: users,
        })
    }

    async fn group_names(&self, users: &[User]) -> Result<HashMap<i64, Vec<String>>, StoreError> {
        let rows: Vec<GroupNameRow> = self
            .all(
                "list the groups of users",
                &format!(
                    "SELECT c.user_id, g.name FROM group_closure c JOIN directory_group g ON g.id = c.group_id \
                     WHERE {} ORDER BY g.name_folded, g.id",
                    in_keys(self.dialect(), "c.user_id", "$1")
                ),
                [key_array(users.iter().map(|user| user.key.get())).into()],
            )
            .await?;
        let mut names: HashMap<i64, Vec<String>> = HashMap::new();
        for row in rows {
            names.entry(row.user_id).or_default().push(row.name);
        }
        Ok(names)
    }

    /// The keys of those ids that are users of the project.
    ///
    /// # Errors
    /// The database's.
    pub async fn user_keys(
        &self,
        project: ProjectKey,
        ids: &[UserId],
    ) -> Result<Vec<(UserId, UserKey)>, StoreError> {
        let rows: Vec<KeyRow> = self
            .all(
                "look users up",
                &format!(
                    "SELECT id, public_id FROM directory_user WHERE project_id = $1 AND {}",
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
            .map(|row| (UserId::new(row.public_id), UserKey::new(row.id)))
            .collect())
    }

    /// A user by name and domain, both without regard to case.
    ///
    /// # Errors
    /// The database's.
    pub async fn user_by_name(
        &self,
        project: ProjectKey,
        name: &str,
        domain: &str,
    ) -> Result<Option<UserKey>, StoreError> {
        let key: Option<i64> = self
            .scalar(
                "look a user up by name",
                "SELECT id FROM directory_user WHERE project_id = $1 AND domain_folded = $2 AND name_folded = $3",
                [project.into(), fold(domain).into(), fold(name).into()],
            )
            .await?;
        Ok(key.map(UserKey::new))
    }
}

impl Tx {
    /// Stores a user.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the domain has a user of that name.
    pub async fn user_insert(
        &self,
        project: ProjectKey,
        user: &NewUser,
        now: Millis,
    ) -> Result<UserKey, StoreError> {
        let key = self
            .insert(
                "store a user",
                "INSERT INTO directory_user (public_id, project_id, name, name_folded, domain, domain_folded, \
                 platform_type, description, description_folded, active_type, enterprise_project_id, \
                 password_hash, profile, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id",
                [
                    user.id.uuid().into(),
                    project.into(),
                    user.name.as_str().into(),
                    fold(&user.name).into(),
                    user.domain.as_str().into(),
                    fold(&user.domain).into(),
                    user.platform_type.as_str().into(),
                    user.description.as_str().into(),
                    fold(&user.description).into(),
                    user.active_type.as_str().into(),
                    user.enterprise_project_id.clone().into(),
                    user.password_hash.clone().into(),
                    profile_json(&user.profile).into(),
                    now.get().into(),
                ],
            )
            .await?;
        self.made("user", user.id);
        Ok(UserKey::new(key))
    }

    /// The LOCAL user of that name, made where absent with `id`.
    ///
    /// # Errors
    /// The database's.
    pub async fn user_ensure_local(
        &self,
        project: ProjectKey,
        name: &LocalUserName,
        id: UserId,
        now: Millis,
    ) -> Result<UserKey, StoreError> {
        self.run(
            "store a local user where absent",
            "INSERT INTO directory_user (public_id, project_id, name, name_folded, domain, domain_folded, \
             platform_type, active_type, created_at) VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8) \
             ON CONFLICT (project_id, domain_folded, name_folded) DO NOTHING",
            [
                id.uuid().into(),
                project.into(),
                name.as_str().into(),
                name.folded().into(),
                LOCAL_DOMAIN.into(),
                PlatformType::Local.as_str().into(),
                ActiveType::AdminActivate.as_str().into(),
                now.get().into(),
            ],
        )
        .await?;
        let key: Option<i64> = self
            .db()
            .scalar(
                "read a local user",
                "SELECT id FROM directory_user WHERE project_id = $1 AND domain_folded = $2 AND name_folded = $3",
                [project.into(), LOCAL_DOMAIN.into(), name.folded().into()],
            )
            .await?;
        // Deleted by another server between the two statements: the caller repeats the whole.
        key.map(UserKey::new).ok_or(StoreError::Busy {
            doing: "read a local user",
            source: sea_orm::DbErr::RecordNotFound(name.as_str().to_owned()),
        })
    }

    /// Holds a user for a change until the transaction ends; `None` when the project has no such user.
    ///
    /// # Errors
    /// The database's.
    pub async fn user_lock(
        &self,
        project: ProjectKey,
        id: UserId,
    ) -> Result<Option<UserKey>, StoreError> {
        let key: Option<i64> = self
            .db()
            .scalar(
                "hold a user for a change",
                &format!(
                    "SELECT id FROM directory_user WHERE project_id = $1 AND public_id = $2{}",
                    self.dialect().for_update()
                ),
                [project.into(), id.uuid().into()],
            )
            .await?;
        Ok(key.map(UserKey::new))
    }

    /// Writes what may change of a user.
    ///
    /// # Errors
    /// The database's.
    pub async fn user_update(&self, user: UserKey, change: &UserChange) -> Result<(), StoreError> {
        self.run(
            "change a user",
            "UPDATE directory_user SET description = $2, description_folded = $3, active_type = $4, \
             disabled = $5, profile = $6 WHERE id = $1",
            [
                user.into(),
                change.description.as_str().into(),
                fold(&change.description).into(),
                change.active_type.as_str().into(),
                i64::from(change.disabled).into(),
                profile_json(&change.profile).into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Deletes users, and with them their memberships, attachments and app authorizations.
    ///
    /// # Errors
    /// The database's.
    pub async fn users_delete(
        &self,
        project: ProjectKey,
        users: &[UserKey],
    ) -> Result<(), StoreError> {
        self.accounts_delete(
            project,
            AccountType::Simple,
            users.iter().map(|user| user.get()),
        )
        .await
    }

    /// Deletes users or groups, and with them the app authorizations that name them.
    pub(crate) async fn accounts_delete(
        &self,
        project: ProjectKey,
        account_type: AccountType,
        keys: impl IntoIterator<Item = i64>,
    ) -> Result<(), StoreError> {
        let keys: Value = key_array(keys).into();
        let listed = in_keys(self.dialect(), "id", "$2");
        let table = table_of(account_type);
        self.run(
            "take authorizations from deleted accounts",
            &format!(
                "DELETE FROM app_authorization WHERE account_type = '{account_type}' \
                 AND app_id IN (SELECT id FROM app WHERE project_id = $1) \
                 AND (domain_folded, account_folded) IN \
                 (SELECT domain_folded, name_folded FROM {table} WHERE project_id = $1 AND {listed})"
            ),
            [project.into(), keys.clone()],
        )
        .await?;
        self.run(
            "delete accounts",
            &format!("DELETE FROM {table} WHERE project_id = $1 AND {listed}"),
            [project.into(), keys],
        )
        .await
        .map(drop)
    }
}

pub(crate) fn folded(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| fold(text)).collect()
}

pub(crate) fn profile_json(profile: &UserProfile) -> String {
    serde_json::to_string(profile).expect("a profile is JSON")
}
