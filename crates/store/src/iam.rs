//! Domains, projects, IAM users with their grants and access keys, and the secrets that servers share.
//!
//! Secrets come in and go out sealed or hashed; nothing here can open them.

use std::collections::HashMap;
use std::fmt;

use outfitter_domain::Millis;
use outfitter_domain::iam::ReadyMadePolicy;
use outfitter_domain::text::fold;
use outfitter_ids::{DomainId, IamUserId, ProjectId};
use sea_orm::FromQueryResult;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::query::{Conditions, in_keys, key_array};
use crate::{AccessKeyKey, Db, DomainKey, IamUserKey, Listed, Page, ProjectKey, StoreError, Tx};

/// An account: the owner of projects and IAM users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Row.
    pub key: DomainKey,
    /// Public id.
    pub id: DomainId,
    /// Name, unique without regard to case.
    pub name: String,
}

/// A project: the scope of every query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Row.
    pub key: ProjectKey,
    /// Public id.
    pub id: ProjectId,
    /// Its domain.
    pub domain: DomainKey,
    /// Name, unique in the domain; case counts.
    pub name: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Millis,
}

/// A PHC string. Not shown in `Debug`, compared in constant time.
#[derive(Clone, Eq)]
pub struct PasswordHash(String);

impl PartialEq for PasswordHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl PasswordHash {
    /// Wraps a PHC string.
    pub fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// An IAM user with the domain it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamUser {
    /// Row.
    pub key: IamUserKey,
    /// Public id.
    pub id: IamUserId,
    /// Name, unique in the domain without regard to case.
    pub name: String,
    /// Hash of the password; a user of the login provider has none.
    pub password_hash: Option<PasswordHash>,
    /// Whether the user may do anything.
    pub enabled: bool,
    /// Tokens issued before are refused.
    pub tokens_valid_from: Millis,
    /// When it was made.
    pub created_at: Millis,
    /// Its domain.
    pub domain: Domain,
}

/// A ready-made policy that a user holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IamGrant {
    /// In this project; `None` in all of the domain.
    pub project: Option<ProjectKey>,
    /// What may be done.
    pub policy: ReadyMadePolicy,
}

/// An access key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Row.
    pub key: AccessKeyKey,
    /// The key's public half (AK).
    pub access: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When a request was last signed with it, to within a flush.
    pub last_used_at: Option<Millis>,
}

/// What verifying a signature needs, in one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The key.
    pub access_key: AccessKey,
    /// Its secret half (SK), sealed under the server key.
    pub secret_sealed: Vec<u8>,
    /// Whose it is.
    pub user: IamUser,
}

/// A new IAM user.
#[derive(Debug, Clone, Copy)]
pub struct NewIamUser<'a> {
    /// Public id.
    pub id: IamUserId,
    /// Its domain.
    pub domain: DomainKey,
    /// Name as written.
    pub name: &'a str,
    /// Hash of the password.
    pub password_hash: &'a PasswordHash,
    /// Now.
    pub created_at: Millis,
}

#[derive(FromQueryResult)]
struct DomainRow {
    domain_id: i64,
    domain_public_id: Uuid,
    domain_name: String,
}

#[derive(FromQueryResult)]
struct ProjectRow {
    id: i64,
    public_id: Uuid,
    domain_id: i64,
    name: String,
    enabled: i64,
    created_at: i64,
}

#[derive(FromQueryResult)]
struct UserRow {
    user_id: i64,
    user_public_id: Uuid,
    user_name: String,
    password_hash: String,
    user_enabled: i64,
    tokens_valid_from: i64,
    user_created_at: i64,
    #[sea_orm(nested)]
    domain: DomainRow,
}

#[derive(FromQueryResult)]
struct GrantRow {
    id: i64,
    iam_user_id: i64,
    project_id: Option<i64>,
    policy: String,
}

#[derive(FromQueryResult)]
struct AccessKeyRow {
    access_key_id: i64,
    access: String,
    key_enabled: i64,
    key_created_at: i64,
    last_used_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct SigningKeyRow {
    secret_sealed: Vec<u8>,
    #[sea_orm(nested)]
    access_key: AccessKeyRow,
    #[sea_orm(nested)]
    user: UserRow,
}

const DOMAIN_COLUMNS: &str =
    "d.id AS domain_id, d.public_id AS domain_public_id, d.name AS domain_name";

const USER_COLUMNS: &str = "u.id AS user_id, u.public_id AS user_public_id, u.name AS user_name, \
     u.password_hash, u.enabled AS user_enabled, u.tokens_valid_from, u.created_at AS user_created_at";

const KEY_COLUMNS: &str = "k.id AS access_key_id, k.access, k.enabled AS key_enabled, \
     k.created_at AS key_created_at, k.last_used_at";

/// Ends every token issued so far. It only moves forward: a token may carry the instant itself when it was
/// issued in the same millisecond as an earlier change, or when the clock was turned back since.
const END_TOKENS: &str = "tokens_valid_from = \
     CASE WHEN tokens_valid_from > $2 THEN tokens_valid_from ELSE $2 END + 1";

const GRANT_COLUMNS: &str = "id, iam_user_id, project_id, policy";

const PROJECT_COLUMNS: &str = "p.id, p.public_id, p.domain_id, p.name, p.enabled, p.created_at";

impl From<DomainRow> for Domain {
    fn from(row: DomainRow) -> Self {
        Self {
            key: row.domain_id.into(),
            id: row.domain_public_id.into(),
            name: row.domain_name,
        }
    }
}

impl From<ProjectRow> for Project {
    fn from(row: ProjectRow) -> Self {
        Self {
            key: row.id.into(),
            id: row.public_id.into(),
            domain: row.domain_id.into(),
            name: row.name,
            enabled: row.enabled != 0,
            created_at: Millis::new(row.created_at),
        }
    }
}

impl From<UserRow> for IamUser {
    fn from(row: UserRow) -> Self {
        Self {
            key: row.user_id.into(),
            id: row.user_public_id.into(),
            name: row.user_name,
            // The column came before users without one: empty text is none.
            password_hash: Some(row.password_hash)
                .filter(|phc| !phc.is_empty())
                .map(PasswordHash::new),
            enabled: row.user_enabled != 0,
            tokens_valid_from: Millis::new(row.tokens_valid_from),
            created_at: Millis::new(row.user_created_at),
            domain: row.domain.into(),
        }
    }
}

impl TryFrom<GrantRow> for IamGrant {
    type Error = StoreError;

    fn try_from(row: GrantRow) -> Result<Self, StoreError> {
        let policy =
            ReadyMadePolicy::parse(&row.policy).ok_or_else(|| StoreError::Inconsistent {
                table: "iam_grant",
                column: "policy",
                row: row.id,
                value: row.policy.clone(),
            })?;
        Ok(Self {
            project: row.project_id.map(ProjectKey::new),
            policy,
        })
    }
}

impl From<AccessKeyRow> for AccessKey {
    fn from(row: AccessKeyRow) -> Self {
        Self {
            key: row.access_key_id.into(),
            access: row.access,
            enabled: row.key_enabled != 0,
            created_at: Millis::new(row.key_created_at),
            last_used_at: row.last_used_at.map(Millis::new),
        }
    }
}

impl Db<'_> {
    /// Whether nobody has initialised this database yet.
    pub async fn is_uninitialised(&self) -> Result<bool, StoreError> {
        let some: Option<i64> = self
            .scalar(
                "look for a domain or a shared secret",
                "SELECT CAST(1 AS BIGINT) WHERE EXISTS (SELECT 1 FROM domain) \
                 OR EXISTS (SELECT 1 FROM server_secret)",
                [],
            )
            .await?;
        Ok(some.is_none())
    }

    /// Whether there is a domain: the first commit of a bootstrap.
    pub async fn domain_exists(&self) -> Result<bool, StoreError> {
        let some: Option<i64> = self
            .scalar("look for a domain", "SELECT id FROM domain LIMIT 1", [])
            .await?;
        Ok(some.is_some())
    }

    /// The domain of a name, without regard to case.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn domain_by_name(&self, name: &str) -> Result<Option<DomainKey>, StoreError> {
        let key: Option<i64> = self
            .scalar(
                "look for a domain by name",
                "SELECT id FROM domain WHERE name_folded = $1",
                [fold(name).into()],
            )
            .await?;
        Ok(key.map(DomainKey::new))
    }

    /// A domain's project by public id; a project of another domain does not exist here.
    pub async fn project_by_id(
        &self,
        domain: DomainKey,
        id: ProjectId,
    ) -> Result<Option<Project>, StoreError> {
        let row: Option<ProjectRow> = self
            .one(
                "read a project",
                &format!(
                    "SELECT {PROJECT_COLUMNS} FROM project p \
                     WHERE p.public_id = $1 AND p.domain_id = $2"
                ),
                [id.uuid().into(), domain.into()],
            )
            .await?;
        Ok(row.map(Project::from))
    }

    /// A domain's project by its exact name.
    pub async fn project_by_name(
        &self,
        domain: DomainKey,
        name: &str,
    ) -> Result<Option<Project>, StoreError> {
        let row: Option<ProjectRow> = self
            .one(
                "read a project",
                &format!(
                    "SELECT {PROJECT_COLUMNS} FROM project p \
                     WHERE p.domain_id = $1 AND p.name = $2"
                ),
                [domain.into(), name.into()],
            )
            .await?;
        Ok(row.map(Project::from))
    }

    /// The projects a user holds a policy in, oldest first.
    pub async fn project_list_of_user(
        &self,
        domain: DomainKey,
        user: IamUserKey,
    ) -> Result<Vec<Project>, StoreError> {
        let rows: Vec<ProjectRow> = self
            .all(
                "list the projects of a user",
                &format!(
                    "SELECT {PROJECT_COLUMNS} FROM project p WHERE p.domain_id = $1 AND EXISTS \
                     (SELECT 1 FROM iam_held g WHERE g.iam_user_id = $2 \
                      AND (g.project_id IS NULL OR g.project_id = p.id)) ORDER BY p.id"
                ),
                [domain.into(), user.into()],
            )
            .await?;
        Ok(rows.into_iter().map(Project::from).collect())
    }

    /// The user of a public id, in any domain.
    pub async fn iam_user_by_id(&self, id: IamUserId) -> Result<Option<IamUser>, StoreError> {
        let row: Option<UserRow> = self
            .one(
                "read an IAM user",
                &format!(
                    "SELECT {USER_COLUMNS}, {DOMAIN_COLUMNS} FROM iam_user u \
                     JOIN domain d ON d.id = u.domain_id WHERE u.public_id = $1"
                ),
                [id.uuid().into()],
            )
            .await?;
        Ok(row.map(IamUser::from))
    }

    /// The user of a name in the domain of a name, both without regard to case.
    pub async fn iam_user_by_name(
        &self,
        domain: &str,
        name: &str,
    ) -> Result<Option<IamUser>, StoreError> {
        let row: Option<UserRow> = self
            .one(
                "read an IAM user",
                &format!(
                    "SELECT {USER_COLUMNS}, {DOMAIN_COLUMNS} FROM iam_user u \
                     JOIN domain d ON d.id = u.domain_id \
                     WHERE d.name_folded = $1 AND u.name_folded = $2"
                ),
                [fold(domain).into(), fold(name).into()],
            )
            .await?;
        Ok(row.map(IamUser::from))
    }

    /// The users of a domain who have rights in one of its projects, newest first, each with all its grants.
    pub async fn iam_user_list(
        &self,
        domain: DomainKey,
        project: ProjectKey,
        page: Page,
    ) -> Result<Listed<(IamUser, Vec<IamGrant>)>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("u.domain_id", domain);
        let placeholder = conditions.bind(project);
        conditions.and(&format!(
            "EXISTS (SELECT 1 FROM iam_held g WHERE g.iam_user_id = u.id \
             AND (g.project_id IS NULL OR g.project_id = {placeholder}))"
        ));
        let paged = conditions.page("u.id DESC", page);
        let total = self
            .scalar(
                "count the IAM users of a project",
                &format!("SELECT count(*) FROM iam_user u WHERE {}", paged.filter),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<UserRow> = self
            .all(
                "list the IAM users of a project",
                &format!(
                    "SELECT {USER_COLUMNS}, {DOMAIN_COLUMNS} FROM iam_user u \
                     JOIN domain d ON d.id = u.domain_id WHERE {}",
                    paged.tail
                ),
                paged.page_values,
            )
            .await?;
        let keys = key_array(rows.iter().map(|row| row.user_id));
        let grants: Vec<GrantRow> = self
            .all(
                "read the grants of IAM users",
                &format!(
                    "SELECT {GRANT_COLUMNS} FROM iam_grant WHERE {} ORDER BY id",
                    in_keys(self.dialect(), "iam_user_id", "$1")
                ),
                [keys.into()],
            )
            .await?;
        let mut grants_of: HashMap<i64, Vec<IamGrant>> = HashMap::new();
        for row in grants {
            grants_of
                .entry(row.iam_user_id)
                .or_default()
                .push(row.try_into()?);
        }
        let items = rows
            .into_iter()
            .map(|row| {
                let grants = grants_of.remove(&row.user_id).unwrap_or_default();
                (row.into(), grants)
            })
            .collect();
        Ok(Listed { total, items })
    }

    /// The roles a user was given, anywhere. What else counts is in [`Db::iam_held`].
    pub async fn iam_grants_of_user(&self, user: IamUserKey) -> Result<Vec<IamGrant>, StoreError> {
        let rows: Vec<GrantRow> = self
            .all(
                "read the grants of an IAM user",
                &format!(
                    "SELECT {GRANT_COLUMNS} FROM iam_grant WHERE iam_user_id = $1 ORDER BY id"
                ),
                [user.into()],
            )
            .await?;
        rows.into_iter().map(IamGrant::try_from).collect()
    }

    /// What verifying a signature with this key needs. Answers disabled keys and users too.
    pub async fn signing_key(&self, access: &str) -> Result<Option<SigningKey>, StoreError> {
        let row: Option<SigningKeyRow> = self
            .one(
                "read an access key",
                &format!(
                    "SELECT k.secret_sealed, {KEY_COLUMNS}, {USER_COLUMNS}, {DOMAIN_COLUMNS} \
                     FROM access_key k JOIN iam_user u ON u.id = k.iam_user_id \
                     JOIN domain d ON d.id = u.domain_id WHERE k.access = $1"
                ),
                [access.into()],
            )
            .await?;
        Ok(row.map(|row| SigningKey {
            access_key: row.access_key.into(),
            secret_sealed: row.secret_sealed,
            user: row.user.into(),
        }))
    }

    /// The access keys of a user, oldest first.
    pub async fn access_key_list(&self, user: IamUserKey) -> Result<Vec<AccessKey>, StoreError> {
        let rows: Vec<AccessKeyRow> = self
            .all(
                "list the access keys of an IAM user",
                &format!(
                    "SELECT {KEY_COLUMNS} FROM access_key k WHERE k.iam_user_id = $1 ORDER BY k.id"
                ),
                [user.into()],
            )
            .await?;
        Ok(rows.into_iter().map(AccessKey::from).collect())
    }

    /// A secret that servers share, sealed.
    pub async fn server_secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.scalar(
            "read a shared secret",
            "SELECT sealed FROM server_secret WHERE name = $1",
            [name.into()],
        )
        .await
    }
}

impl Tx {
    /// Makes a domain.
    ///
    /// # Errors
    /// A conflict when the name is taken, in any case.
    pub async fn domain_insert(
        &self,
        id: DomainId,
        name: &str,
        created_at: Millis,
    ) -> Result<DomainKey, StoreError> {
        self.insert(
            "make a domain",
            "INSERT INTO domain (public_id, name, name_folded, created_at) \
             VALUES ($1, $2, $3, $4) RETURNING id",
            [
                id.uuid().into(),
                name.into(),
                fold(name).into(),
                created_at.get().into(),
            ],
        )
        .await
        .map(DomainKey::new)
    }

    /// Makes a project.
    ///
    /// # Errors
    /// A conflict when the domain has a project of that name.
    pub async fn project_insert(
        &self,
        id: ProjectId,
        domain: DomainKey,
        name: &str,
        created_at: Millis,
    ) -> Result<ProjectKey, StoreError> {
        let key = self
            .insert(
                "make a project",
                "INSERT INTO project (public_id, domain_id, name, created_at) \
             VALUES ($1, $2, $3, $4) RETURNING id",
                [
                    id.uuid().into(),
                    domain.into(),
                    name.into(),
                    created_at.get().into(),
                ],
            )
            .await?;
        self.made("project", id);
        Ok(ProjectKey::new(key))
    }

    /// Opens or suspends a project.
    pub async fn project_set_enabled(
        &self,
        project: ProjectKey,
        enabled: bool,
    ) -> Result<(), StoreError> {
        self.run(
            "open or suspend a project",
            "UPDATE project SET enabled = $1 WHERE id = $2",
            [i64::from(enabled).into(), project.into()],
        )
        .await
        .map(drop)
    }

    /// Makes an IAM user without any grant.
    ///
    /// # Errors
    /// A conflict when the domain has a user of that name, in any case.
    pub async fn iam_user_insert(&self, user: NewIamUser<'_>) -> Result<IamUserKey, StoreError> {
        let key = self
            .insert(
                "make an IAM user",
                "INSERT INTO iam_user (public_id, domain_id, name, name_folded, password_hash, \
             tokens_valid_from, created_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id",
                [
                    user.id.uuid().into(),
                    user.domain.into(),
                    user.name.into(),
                    fold(user.name).into(),
                    user.password_hash.expose().into(),
                    user.created_at.get().into(),
                ],
            )
            .await?;
        self.made("iamUser", user.id);
        Ok(IamUserKey::new(key))
    }

    /// Changes a password; tokens issued up to `now` stop working.
    pub async fn iam_user_set_password(
        &self,
        user: IamUserKey,
        password_hash: &PasswordHash,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "change the password of an IAM user",
            &format!("UPDATE iam_user SET password_hash = $1, {END_TOKENS} WHERE id = $3"),
            [password_hash.expose().into(), now.get().into(), user.into()],
        )
        .await
        .map(drop)
    }

    /// Enables or disables a user; tokens issued up to `now` stop working either way.
    pub async fn iam_user_set_enabled(
        &self,
        user: IamUserKey,
        enabled: bool,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "enable or disable an IAM user",
            &format!("UPDATE iam_user SET enabled = $1, {END_TOKENS} WHERE id = $3"),
            [i64::from(enabled).into(), now.get().into(), user.into()],
        )
        .await
        .map(drop)
    }

    /// Grants a user a policy in one project or, with `None`, in all of the domain.
    pub async fn iam_grant_insert(
        &self,
        user: IamUserKey,
        project: Option<ProjectKey>,
        policy: ReadyMadePolicy,
    ) -> Result<(), StoreError> {
        self.run(
            "grant a policy",
            "INSERT INTO iam_grant (iam_user_id, project_id, policy) VALUES ($1, $2, $3)",
            [
                user.into(),
                project.map(ProjectKey::get).into(),
                policy.as_str().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Takes back what a user was granted in one project; answers whether there was something.
    pub async fn iam_grant_delete(
        &self,
        user: IamUserKey,
        project: ProjectKey,
    ) -> Result<bool, StoreError> {
        self.run(
            "take back a policy",
            "DELETE FROM iam_grant WHERE iam_user_id = $1 AND project_id = $2",
            [user.into(), project.into()],
        )
        .await
        .map(|changed| changed > 0)
    }

    /// Makes an access key; `secret_sealed` is its secret half, sealed.
    ///
    /// # Errors
    /// A conflict when the access half is taken.
    pub async fn access_key_insert(
        &self,
        user: IamUserKey,
        access: &str,
        secret_sealed: Vec<u8>,
        created_at: Millis,
    ) -> Result<AccessKeyKey, StoreError> {
        let key = self
            .insert(
                "make an access key",
                "INSERT INTO access_key (access, secret_sealed, iam_user_id, created_at) \
             VALUES ($1, $2, $3, $4) RETURNING id",
                [
                    access.into(),
                    secret_sealed.into(),
                    user.into(),
                    created_at.get().into(),
                ],
            )
            .await?;
        self.made("accessKey", access);
        Ok(AccessKeyKey::new(key))
    }

    /// Enables or disables a user's access key; answers whether the user has it.
    pub async fn access_key_set_enabled(
        &self,
        user: IamUserKey,
        access: &str,
        enabled: bool,
    ) -> Result<bool, StoreError> {
        self.run(
            "enable or disable an access key",
            "UPDATE access_key SET enabled = $1 WHERE iam_user_id = $2 AND access = $3",
            [i64::from(enabled).into(), user.into(), access.into()],
        )
        .await
        .map(|changed| changed > 0)
    }

    /// Deletes a user's access key; answers whether the user had it.
    pub async fn access_key_delete(
        &self,
        user: IamUserKey,
        access: &str,
    ) -> Result<bool, StoreError> {
        self.run(
            "delete an access key",
            "DELETE FROM access_key WHERE iam_user_id = $1 AND access = $2",
            [user.into(), access.into()],
        )
        .await
        .map(|changed| changed > 0)
    }

    /// Notes when keys were last used; an older time never replaces a later one.
    pub async fn access_key_touch_batch(
        &self,
        uses: &[(AccessKeyKey, Millis)],
    ) -> Result<(), StoreError> {
        let uses: Vec<_> = uses
            .iter()
            .map(|(key, at)| serde_json::json!({"key": key.get(), "at": at.get()}))
            .collect();
        let each = self.dialect().each("$1");
        self.run(
            "note when access keys were last used",
            &format!(
                "UPDATE access_key SET last_used_at = used.at FROM \
                 (SELECT CAST(value ->> 'key' AS BIGINT) AS id, CAST(value ->> 'at' AS BIGINT) AS at \
                  FROM {each}) AS used \
                 WHERE access_key.id = used.id \
                 AND (access_key.last_used_at IS NULL OR access_key.last_used_at < used.at)"
            ),
            [serde_json::Value::from(uses).to_string().into()],
        )
        .await
        .map(drop)
    }

    /// A shared secret, sealed, held until the transaction ends.
    ///
    /// # Errors
    /// The database's; [`StoreError::Inconsistent`] when there is none of that name.
    pub async fn server_secret_hold(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let sealed: Option<Vec<u8>> = self
            .db()
            .scalar(
                "hold a shared secret",
                &format!(
                    "SELECT sealed FROM server_secret WHERE name = $1{}",
                    self.dialect().for_update()
                ),
                [name.into()],
            )
            .await?;
        sealed.ok_or_else(|| no_secret(name))
    }

    /// Replaces a shared secret that the transaction holds.
    ///
    /// # Errors
    /// The database's.
    pub async fn server_secret_replace(
        &self,
        name: &str,
        sealed: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.run(
            "replace a shared secret",
            "UPDATE server_secret SET sealed = $2 WHERE name = $1",
            [name.into(), sealed.into()],
        )
        .await
        .map(drop)
    }

    /// Keeps a shared secret unless there is one of that name; answers what is kept. Two servers that do
    /// this at once wait for each other and get the same answer.
    pub async fn server_secret_insert_if_absent(
        &self,
        name: &str,
        sealed: Vec<u8>,
        created_at: Millis,
    ) -> Result<Vec<u8>, StoreError> {
        let inserted = self
            .run(
                "keep a shared secret",
                "INSERT INTO server_secret (name, sealed, created_at) VALUES ($1, $2, $3) \
                 ON CONFLICT (name) DO NOTHING",
                [name.into(), sealed.clone().into(), created_at.get().into()],
            )
            .await?;
        if inserted > 0 {
            return Ok(sealed);
        }
        self.db()
            .server_secret(name)
            .await?
            .ok_or_else(|| no_secret(name))
    }
}

fn no_secret(name: &str) -> StoreError {
    StoreError::Inconsistent {
        table: "server_secret",
        column: "name",
        row: 0,
        value: name.to_owned(),
    }
}
