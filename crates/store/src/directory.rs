//! The company directory: how it is reached, who works on it, and what a synchronisation writes.
//!
//! A synchronisation holds the connection's lease under an epoch. Each of its transactions begins with
//! [`Tx::directory_hold`]: once the connection was changed or another server took over, nothing more is written.
//! Every write can be repeated.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use outfitter_domain::directory::{
    Adoption, MembershipPlan, NewAccount, Rename, StoredAccount, StoredMembers, UserFacts,
};
use outfitter_domain::fleet::{ActiveType, UserProfile};
use outfitter_domain::text::fold;
use outfitter_domain::{AccountType, Millis, PlatformType};
use sea_orm::FromQueryResult;
use serde_json::json as json_of;
use uuid::Uuid;

use crate::closure::table_of;
use crate::query::{in_keys, json, key_array, text_array, word};
use crate::user::profile_json;
use crate::{Db, DomainKey, GroupKey, ProjectKey, StoreError, Tx, UserKey};

/// How a company directory is reached, as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredDirectory {
    /// What may be shown, JSON.
    pub settings: String,
    /// The bind account's password, sealed.
    pub secret_sealed: Vec<u8>,
    /// Seconds between synchronisations.
    pub interval_secs: i64,
    /// When it was set.
    pub updated_at: Millis,
}

/// How the synchronisation of a directory fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryState {
    /// When the next one is due.
    pub due_at: Millis,
    /// Whether one is asked for that no attempt has answered.
    pub is_asked: bool,
    /// Until when a server works on one.
    pub lease_until: Millis,
    /// When the last attempt ended.
    pub last_attempt_at: Option<Millis>,
    /// When the last successful one ended.
    pub last_success_at: Option<Millis>,
    /// When the last successful one that read everything ended.
    pub last_full_at: Option<Millis>,
    /// Code and sentence of what the last attempt failed of; `None`: it did not.
    pub error: Option<(String, String)>,
    /// What the last successful one found and did, JSON.
    pub report: Option<String>,
}

/// A synchronisation that this server works on from now on.
#[derive(Clone)]
pub struct ClaimedDirectory {
    /// The project.
    pub project: ProjectKey,
    /// Its public id.
    pub project_id: Uuid,
    /// The account it belongs to.
    pub domain: DomainKey,
    /// Ours alone.
    pub epoch: i64,
    /// How it is reached.
    pub stored: StoredDirectory,
    /// What was asked for so far.
    pub asked: i64,
    /// Whether everything is to be read.
    pub wants_full: bool,
    /// Whether most of what is known may go.
    pub allows_removals: bool,
    /// From where to read, JSON.
    pub mark: Option<String>,
    /// When everything was read last.
    pub last_full_at: Option<Millis>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryOutcome {
    /// Everything that the directory said is written.
    Done {
        /// From where to read next, JSON.
        mark: Option<String>,
        /// Whether everything was read.
        was_full: bool,
        /// What was found and done, JSON.
        report: String,
    },
    /// Something was in the way; what is known stays.
    Failed {
        /// Stable code.
        code: String,
        /// One sentence.
        text: String,
    },
}

/// A synchronisation that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirectoryWish {
    /// Read everything.
    pub full: bool,
    /// Remove even most of what is known.
    pub allow_removals: bool,
}

#[derive(FromQueryResult)]
struct StoredRow {
    settings: String,
    secret_sealed: Vec<u8>,
    interval_secs: i64,
    updated_at: i64,
}

#[derive(FromQueryResult)]
struct StateRow {
    due_at: i64,
    is_asked: i64,
    lease_until: i64,
    last_attempt_at: Option<i64>,
    last_success_at: Option<i64>,
    last_full_at: Option<i64>,
    error_code: Option<String>,
    error_text: Option<String>,
    report: Option<String>,
}

#[derive(FromQueryResult)]
struct ClaimRow {
    project_id: i64,
    project_public_id: Uuid,
    domain_id: i64,
    epoch: i64,
    settings: String,
    secret_sealed: Vec<u8>,
    interval_secs: i64,
    updated_at: i64,
    asked: i64,
    wants_full: i64,
    allows_removals: i64,
    mark: Option<String>,
    last_full_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct UserRow {
    id: i64,
    external_id: Option<String>,
    name: String,
    domain: String,
    platform_type: String,
    description: String,
    profile: String,
    external_disabled: i64,
    external_expires_at: Option<i64>,
}

#[derive(FromQueryResult)]
struct GroupRow {
    id: i64,
    external_id: Option<String>,
    name: String,
    domain: String,
    platform_type: String,
    description: String,
}

#[derive(FromQueryResult)]
struct PairRow {
    group_id: String,
    member_id: String,
}

#[derive(FromQueryResult)]
struct NameRow {
    name: String,
    domain: String,
}

#[derive(FromQueryResult)]
struct ProfileRow {
    id: i64,
    profile: String,
}

#[derive(FromQueryResult)]
struct KeyRow {
    id: i64,
}

/// What the audit log calls accounts.
const USER: &str = "user";
const GROUP: &str = "userGroup";

/// Accounts that have expired at `$1` and are not disabled yet: the index `directory_user_expires`.
const EXPIRED: &str = "external_disabled = 0 AND external_expires_at <= $1";

/// Members that the audit log names of one change of a group.
const MOST_NAMED: usize = 100;

fn kind_of(account_type: AccountType) -> &'static str {
    match account_type {
        AccountType::Simple => USER,
        AccountType::UserGroup => GROUP,
    }
}

impl Db<'_> {
    /// How the project's directory is reached; `None`: it has none.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory(
        &self,
        project: ProjectKey,
    ) -> Result<Option<StoredDirectory>, StoreError> {
        let row: Option<StoredRow> = self
            .one(
                "read how a directory is reached",
                "SELECT settings, secret_sealed, interval_secs, updated_at FROM directory_connection \
                 WHERE project_id = $1",
                [project.into()],
            )
            .await?;
        Ok(row.map(|row| StoredDirectory {
            settings: row.settings,
            secret_sealed: row.secret_sealed,
            interval_secs: row.interval_secs,
            updated_at: Millis::new(row.updated_at),
        }))
    }

    /// How its synchronisation fares.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_state(
        &self,
        project: ProjectKey,
    ) -> Result<Option<DirectoryState>, StoreError> {
        let row: Option<StateRow> = self
            .one(
                "read how a directory's synchronisation fares",
                "SELECT due_at, CAST(CASE WHEN asked > answered THEN 1 ELSE 0 END AS BIGINT) AS is_asked, lease_until, \
                 last_attempt_at, last_success_at, last_full_at, error_code, error_text, report \
                 FROM directory_connection WHERE project_id = $1",
                [project.into()],
            )
            .await?;
        let at = |at: Option<i64>| at.map(Millis::new);
        Ok(row.map(|row| DirectoryState {
            due_at: Millis::new(row.due_at),
            is_asked: row.is_asked != 0,
            lease_until: Millis::new(row.lease_until),
            last_attempt_at: at(row.last_attempt_at),
            last_success_at: at(row.last_success_at),
            last_full_at: at(row.last_full_at),
            error: row.error_code.zip(row.error_text),
            report: row.report,
        }))
    }

    /// Whether a synchronisation waits, or users whose groups are to be counted.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_is_due(&self, now: Millis) -> Result<bool, StoreError> {
        let due: Option<i64> = self
            .scalar(
                "look for synchronisations",
                "SELECT CAST(1 AS BIGINT) FROM directory_connection WHERE lease_until <= $1 AND (due_at <= $1 OR asked > answered) \
                 UNION ALL SELECT CAST(1 AS BIGINT) FROM closure_due WHERE NOT EXISTS ( \
                   SELECT 1 FROM directory_connection WHERE lease_until > $1) LIMIT 1",
                [now.get().into()],
            )
            .await?;
        Ok(due.is_some())
    }

    /// How many users and groups the company directory keeps.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_counts(&self, project: ProjectKey) -> Result<(i64, i64), StoreError> {
        let count = async |table: &str| {
            self.scalar::<i64>(
                "count the accounts of a directory",
                &format!(
                    "SELECT count(*) FROM {table} WHERE project_id = $1 AND external_id IS NOT NULL"
                ),
                [project.into()],
            )
            .await
            .map(Option::unwrap_or_default)
        };
        Ok((
            count("directory_user").await?,
            count("directory_group").await?,
        ))
    }

    /// Projects with accounts that have expired and are not disabled yet, with the accounts they belong to.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_expired(
        &self,
        now: Millis,
    ) -> Result<Vec<(ProjectKey, DomainKey)>, StoreError> {
        #[derive(FromQueryResult)]
        struct OwnerRow {
            id: i64,
            domain_id: i64,
        }
        let rows: Vec<OwnerRow> = self
            .all(
                "look for accounts that have expired",
                &format!(
                    "SELECT p.id, p.domain_id FROM project p WHERE p.id IN \
                     (SELECT project_id FROM directory_user WHERE {EXPIRED}) ORDER BY p.id"
                ),
                [now.get().into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (ProjectKey::new(row.id), DomainKey::new(row.domain_id)))
            .collect())
    }

    /// Every user of the project, for the planner.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_users(
        &self,
        project: ProjectKey,
    ) -> Result<Vec<StoredAccount<UserFacts>>, StoreError> {
        const TABLE: &str = "directory_user";
        let rows: Vec<UserRow> = self
            .all(
                "read the users of a directory",
                "SELECT id, external_id, name, domain, platform_type, description, profile, external_disabled, \
                 external_expires_at FROM directory_user WHERE project_id = $1",
                [project.into()],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                let profile: UserProfile = json(TABLE, "profile", row.id, &row.profile)?;
                Ok(StoredAccount {
                    platform_type: word(
                        TABLE,
                        "platform_type",
                        row.id,
                        &row.platform_type,
                        PlatformType::parse,
                    )?,
                    row: row.id,
                    id: row.external_id,
                    name: row.name,
                    domain: row.domain,
                    facts: UserFacts {
                        description: row.description,
                        email: profile.email,
                        phone: profile.phone,
                        alias: profile.alias,
                        is_disabled: row.external_disabled != 0,
                        expires_at: row.external_expires_at.map(Millis::new),
                    },
                })
            })
            .collect()
    }

    /// Every group of the project, for the planner.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_groups(
        &self,
        project: ProjectKey,
    ) -> Result<Vec<StoredAccount<String>>, StoreError> {
        let rows: Vec<GroupRow> = self
            .all(
                "read the groups of a directory",
                "SELECT id, external_id, name, domain, platform_type, description FROM directory_group \
                 WHERE project_id = $1",
                [project.into()],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(StoredAccount {
                    platform_type: word(
                        "directory_group",
                        "platform_type",
                        row.id,
                        &row.platform_type,
                        PlatformType::parse,
                    )?,
                    row: row.id,
                    id: row.external_id,
                    name: row.name,
                    domain: row.domain,
                    facts: row.description,
                })
            })
            .collect()
    }

    /// Whether the company directory keeps one of these users.
    ///
    /// # Errors
    /// The database's.
    pub async fn any_user_of_directory(
        &self,
        project: ProjectKey,
        users: &[UserKey],
    ) -> Result<bool, StoreError> {
        self.any_of_directory(
            project,
            AccountType::Simple,
            users.iter().map(|user| user.get()),
        )
        .await
    }

    /// Whether the company directory keeps one of these groups.
    ///
    /// # Errors
    /// The database's.
    pub async fn any_group_of_directory(
        &self,
        project: ProjectKey,
        groups: &[GroupKey],
    ) -> Result<bool, StoreError> {
        self.any_of_directory(
            project,
            AccountType::UserGroup,
            groups.iter().map(|group| group.get()),
        )
        .await
    }

    async fn any_of_directory(
        &self,
        project: ProjectKey,
        account_type: AccountType,
        keys: impl IntoIterator<Item = i64>,
    ) -> Result<bool, StoreError> {
        let found: Option<i64> = self
            .scalar(
                "look for accounts that a directory keeps",
                &format!(
                    "SELECT id FROM {} WHERE project_id = $1 AND external_id IS NOT NULL AND {} LIMIT 1",
                    table_of(account_type),
                    in_keys(self.dialect(), "id", "$2")
                ),
                [project.into(), key_array(keys).into()],
            )
            .await?;
        Ok(found.is_some())
    }

    /// Direct members of groups, all by their ids in the company directory; members by primary group apart.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_members(
        &self,
        project: ProjectKey,
        groups: &[String],
    ) -> Result<HashMap<String, StoredMembers>, StoreError> {
        const DOING: &str = "read the members of a directory's groups";
        let of_groups = format!(
            "g.project_id = $1 AND g.external_id IN (SELECT {} FROM {})",
            self.dialect().element_text(),
            self.dialect().each("$2")
        );
        let mut members: HashMap<String, StoredMembers> = HashMap::new();
        let users: Vec<PairRow> = self
            .all(
                DOING,
                &format!(
                    "SELECT g.external_id AS group_id, u.external_id AS member_id FROM directory_group g \
                     JOIN group_member m ON m.group_id = g.id AND m.by_primary = 0 \
                     JOIN directory_user u ON u.id = m.user_id \
                     WHERE {of_groups} AND u.external_id IS NOT NULL"
                ),
                [project.into(), text_array(groups).into()],
            )
            .await?;
        for row in users {
            members
                .entry(row.group_id)
                .or_default()
                .users
                .insert(row.member_id);
        }
        let nested: Vec<PairRow> = self
            .all(
                DOING,
                &format!(
                    "SELECT g.external_id AS group_id, k.external_id AS member_id FROM directory_group g \
                     JOIN group_nesting n ON n.group_id = g.id \
                     JOIN directory_group k ON k.id = n.member_id \
                     WHERE {of_groups} AND k.external_id IS NOT NULL"
                ),
                [project.into(), text_array(groups).into()],
            )
            .await?;
        for row in nested {
            members
                .entry(row.group_id)
                .or_default()
                .groups
                .insert(row.member_id);
        }
        Ok(members)
    }

    /// Members by primary group, group by group, all by their ids in the company directory.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_primary_members(
        &self,
        project: ProjectKey,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, StoreError> {
        let rows: Vec<PairRow> = self
            .all(
                "read the members of primary groups",
                "SELECT g.external_id AS group_id, u.external_id AS member_id FROM directory_group g \
                 JOIN group_member m ON m.group_id = g.id AND m.by_primary = 1 \
                 JOIN directory_user u ON u.id = m.user_id \
                 WHERE g.project_id = $1 AND g.external_id IS NOT NULL AND u.external_id IS NOT NULL",
                [project.into()],
            )
            .await?;
        let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            members
                .entry(row.group_id)
                .or_default()
                .insert(row.member_id);
        }
        Ok(members)
    }
}

impl Tx {
    /// Sets how the project's directory is reached. A synchronisation that runs writes nothing more; the next one
    /// is due at once and reads everything.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_set(
        &self,
        project: ProjectKey,
        stored: &StoredDirectory,
    ) -> Result<(), StoreError> {
        self.run(
            "store how a directory is reached",
            "INSERT INTO directory_connection (project_id, settings, secret_sealed, interval_secs, updated_at, due_at) \
             VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (project_id) DO UPDATE SET settings = excluded.settings, \
             secret_sealed = excluded.secret_sealed, interval_secs = excluded.interval_secs, \
             updated_at = excluded.updated_at, due_at = excluded.due_at, mark = NULL, wants_full = 1, \
             allows_removals = 0, lease_until = 0, epoch = directory_connection.epoch + 1",
            [
                project.into(),
                stored.settings.as_str().into(),
                stored.secret_sealed.clone().into(),
                stored.interval_secs.into(),
                stored.updated_at.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Forgets the project's directory. Its accounts stay as they are known last and are nobody's from then on, but
    /// that what the directory disabled stays disabled. `false`: there was none.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_remove(&self, project: ProjectKey) -> Result<bool, StoreError> {
        let removed = self
            .run(
                "forget a directory",
                "DELETE FROM directory_connection WHERE project_id = $1",
                [project.into()],
            )
            .await?;
        self.run(
            "let the users of a directory go",
            "UPDATE directory_user SET external_id = NULL, external_disabled = 0, external_expires_at = NULL, \
             disabled = CASE WHEN external_disabled = 1 THEN 1 ELSE disabled END \
             WHERE project_id = $1 AND external_id IS NOT NULL",
            [project.into()],
        )
        .await?;
        self.run(
            "let the groups of a directory go",
            "UPDATE directory_group SET external_id = NULL WHERE project_id = $1 AND external_id IS NOT NULL",
            [project.into()],
        )
        .await?;
        Ok(removed > 0)
    }

    /// Asks for a synchronisation. `false`: the project has no directory.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_ask(
        &self,
        project: ProjectKey,
        wish: DirectoryWish,
    ) -> Result<bool, StoreError> {
        self.run(
            "ask for a synchronisation",
            "UPDATE directory_connection SET asked = asked + 1, \
             wants_full = CASE WHEN $2 = 1 THEN 1 ELSE wants_full END, \
             allows_removals = CASE WHEN $3 = 1 THEN 1 ELSE allows_removals END WHERE project_id = $1",
            [
                project.into(),
                i64::from(wish.full).into(),
                i64::from(wish.allow_removals).into(),
            ],
        )
        .await
        .map(|changed| changed > 0)
    }

    /// Takes up to `limit` synchronisations that are due.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_claim(
        &self,
        limit: usize,
        now: Millis,
        lease_until: Millis,
    ) -> Result<Vec<ClaimedDirectory>, StoreError> {
        let rows: Vec<ClaimRow> = self
            .db()
            .all(
                "take synchronisations",
                "UPDATE directory_connection SET lease_until = $2, epoch = epoch + 1 WHERE project_id IN ( \
                   SELECT project_id FROM directory_connection WHERE lease_until <= $1 \
                   AND (due_at <= $1 OR asked > answered) ORDER BY due_at LIMIT $3) AND lease_until <= $1 \
                 RETURNING project_id, epoch, settings, secret_sealed, interval_secs, updated_at, asked, \
                 wants_full, allows_removals, mark, last_full_at, \
                 (SELECT p.public_id FROM project p WHERE p.id = directory_connection.project_id) AS project_public_id, \
                 (SELECT p.domain_id FROM project p WHERE p.id = directory_connection.project_id) AS domain_id",
                [
                    now.get().into(),
                    lease_until.get().into(),
                    i64::try_from(limit).unwrap_or(i64::MAX).into(),
                ],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| ClaimedDirectory {
                project: ProjectKey::new(row.project_id),
                project_id: row.project_public_id,
                domain: DomainKey::new(row.domain_id),
                epoch: row.epoch,
                stored: StoredDirectory {
                    settings: row.settings,
                    secret_sealed: row.secret_sealed,
                    interval_secs: row.interval_secs,
                    updated_at: Millis::new(row.updated_at),
                },
                asked: row.asked,
                wants_full: row.wants_full != 0,
                allows_removals: row.allows_removals != 0,
                mark: row.mark,
                last_full_at: row.last_full_at.map(Millis::new),
            })
            .collect())
    }

    /// Renews a lease, and keeps others from changing the connection until the transaction ends. `false`: it is ours
    /// no longer, and nothing may be written.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_hold(
        &self,
        project: ProjectKey,
        epoch: i64,
        lease_until: Millis,
    ) -> Result<bool, StoreError> {
        self.run(
            "renew a synchronisation's lease",
            "UPDATE directory_connection SET lease_until = $3 WHERE project_id = $1 AND epoch = $2",
            [project.into(), epoch.into(), lease_until.get().into()],
        )
        .await
        .map(|changed| changed > 0)
    }

    /// Gives a synchronisation back unfinished: it is due as before.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_release(
        &self,
        project: ProjectKey,
        epoch: i64,
    ) -> Result<(), StoreError> {
        self.run(
            "give a synchronisation back",
            "UPDATE directory_connection SET lease_until = 0 WHERE project_id = $1 AND epoch = $2",
            [project.into(), epoch.into()],
        )
        .await
        .map(drop)
    }

    /// Writes down how a synchronisation ended. Passed over when it is ours no longer.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_finish(
        &self,
        claimed: &ClaimedDirectory,
        outcome: &DirectoryOutcome,
        now: Millis,
    ) -> Result<(), StoreError> {
        const DOING: &str = "write down how a synchronisation ended";
        let due_at = now
            .get()
            .saturating_add(claimed.stored.interval_secs.saturating_mul(1000));
        let common = [
            claimed.project.into(),
            claimed.epoch.into(),
            now.get().into(),
            due_at.into(),
            claimed.asked.into(),
        ];
        let ours = "lease_until = 0, due_at = $4, answered = $5, last_attempt_at = $3";
        let where_ours = "WHERE project_id = $1 AND epoch = $2";
        match outcome {
            DirectoryOutcome::Done {
                mark,
                was_full,
                report,
            } => {
                self.run(
                    DOING,
                    &format!(
                        "UPDATE directory_connection SET {ours}, last_success_at = $3, error_code = NULL, \
                         error_text = NULL, mark = $6, report = $7, \
                         last_full_at = CASE WHEN $8 = 1 THEN $3 ELSE last_full_at END, \
                         wants_full = CASE WHEN $8 = 1 AND asked = $5 THEN 0 ELSE wants_full END, \
                         allows_removals = CASE WHEN asked = $5 THEN 0 ELSE allows_removals END {where_ours}"
                    ),
                    common.into_iter().chain([
                        mark.clone().into(),
                        report.as_str().into(),
                        i64::from(*was_full).into(),
                    ]),
                )
                .await
            }
            DirectoryOutcome::Failed { code, text } => {
                self.run(
                    DOING,
                    &format!(
                        "UPDATE directory_connection SET {ours}, error_code = $6, error_text = $7, \
                         allows_removals = CASE WHEN asked = $5 THEN 0 ELSE allows_removals END {where_ours}"
                    ),
                    common
                        .into_iter()
                        .chain([code.as_str().into(), text.as_str().into()]),
                )
                .await
            }
        }
        .map(drop)
    }

    /// Deletes users that the directory no longer lists.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_users_remove(
        &self,
        project: ProjectKey,
        rows: &[i64],
    ) -> Result<(), StoreError> {
        self.changes(USER, rows).await?;
        let keys: Vec<UserKey> = rows.iter().copied().map(UserKey::new).collect();
        self.users_delete(project, &keys).await
    }

    /// Deletes groups that the directory no longer lists.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_groups_remove(
        &self,
        project: ProjectKey,
        rows: &[i64],
    ) -> Result<(), StoreError> {
        self.changes(GROUP, rows).await?;
        let keys: Vec<GroupKey> = rows.iter().copied().map(GroupKey::new).collect();
        self.groups_delete(project, &keys).await
    }

    /// Disables up to `limit` users of a project whose accounts have expired; answers how many there were.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_users_expire(
        &self,
        project: ProjectKey,
        limit: i64,
        now: Millis,
    ) -> Result<usize, StoreError> {
        let rows: Vec<KeyRow> = self
            .db()
            .all(
                "look for accounts that have expired",
                &format!(
                    "SELECT id FROM directory_user WHERE {EXPIRED} AND project_id = $2 ORDER BY id LIMIT $3"
                ),
                [now.get().into(), project.into(), limit.into()],
            )
            .await?;
        let rows: Vec<i64> = rows.into_iter().map(|row| row.id).collect();
        if rows.is_empty() {
            return Ok(0);
        }
        self.changes(USER, &rows).await?;
        self.run(
            "disable accounts that have expired",
            &format!(
                "UPDATE directory_user SET external_disabled = 1 WHERE {}",
                in_keys(self.dialect(), "id", "$1")
            ),
            [key_array(rows.iter().copied()).into()],
        )
        .await?;
        Ok(rows.len())
    }

    /// Gives accounts names that nobody has, for the moment; what names them follows.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_vacate(
        &self,
        project: ProjectKey,
        account_type: AccountType,
        rows: &[i64],
    ) -> Result<(), StoreError> {
        self.changes(kind_of(account_type), rows).await?;
        for row in rows {
            // No directory has such a name, so it is in nobody's way and opens nothing.
            let name = format!("\u{1}{row}");
            self.directory_rename_row(project, account_type, *row, None, &name)
                .await?;
        }
        Ok(())
    }

    /// Makes rows the directory's.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_adopt(
        &self,
        account_type: AccountType,
        adoptions: &[Adoption],
    ) -> Result<(), StoreError> {
        let table = table_of(account_type);
        let rows: Vec<i64> = adoptions.iter().map(|adoption| adoption.row).collect();
        self.changes(kind_of(account_type), &rows).await?;
        for adoption in adoptions {
            self.run(
                "make an account the directory's",
                &format!(
                    "UPDATE {table} SET external_id = $2, platform_type = $3 WHERE id = $1 AND external_id IS NULL"
                ),
                [
                    adoption.row.into(),
                    adoption.id.as_str().into(),
                    PlatformType::Ad.as_str().into(),
                ],
            )
            .await?;
        }
        Ok(())
    }

    /// Renames accounts within `domain`; what names them follows.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a name is in use.
    pub async fn directory_rename(
        &self,
        project: ProjectKey,
        account_type: AccountType,
        domain: &str,
        renames: &[Rename],
    ) -> Result<(), StoreError> {
        let rows: Vec<i64> = renames.iter().map(|rename| rename.row).collect();
        self.changes(kind_of(account_type), &rows).await?;
        for rename in renames {
            self.directory_rename_row(
                project,
                account_type,
                rename.row,
                Some(domain),
                &rename.name,
            )
            .await?;
        }
        Ok(())
    }

    async fn directory_rename_row(
        &self,
        project: ProjectKey,
        account_type: AccountType,
        row: i64,
        domain: Option<&str>,
        name: &str,
    ) -> Result<(), StoreError> {
        let table = table_of(account_type);
        let old: Option<NameRow> = self
            .db()
            .one(
                "read an account's name",
                &format!("SELECT name, domain FROM {table} WHERE id = $1"),
                [row.into()],
            )
            .await?;
        let Some(old) = old else {
            return Ok(());
        };
        let domain = domain.unwrap_or(&old.domain);
        self.run(
            "rename an account",
            &format!(
                "UPDATE {table} SET name = $2, name_folded = $3, domain = $4, domain_folded = $5 WHERE id = $1"
            ),
            [
                row.into(),
                name.into(),
                fold(name).into(),
                domain.into(),
                fold(domain).into(),
            ],
        )
        .await?;
        let new = (domain.to_owned(), name.to_owned());
        self.authorizations_follow(project, account_type, &(old.domain, old.name), &new)
            .await
    }

    /// Writes what else the directory says of users.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_users_update(
        &self,
        updates: &[(i64, UserFacts)],
    ) -> Result<(), StoreError> {
        let keys: Vec<i64> = updates.iter().map(|(row, _)| *row).collect();
        self.changes(USER, &keys).await?;
        let rows: Vec<ProfileRow> = self
            .db()
            .all(
                "read the profiles of users",
                &format!(
                    "SELECT id, profile FROM directory_user WHERE {}",
                    in_keys(self.dialect(), "id", "$1")
                ),
                [key_array(updates.iter().map(|(row, _)| *row)).into()],
            )
            .await?;
        let mut profiles: HashMap<i64, String> =
            rows.into_iter().map(|row| (row.id, row.profile)).collect();
        for (row, facts) in updates {
            let Some(text) = profiles.remove(row) else {
                continue;
            };
            let profile = UserProfile {
                email: facts.email.clone(),
                phone: facts.phone.clone(),
                alias: facts.alias.clone(),
                ..json("directory_user", "profile", *row, &text)?
            };
            self.run(
                "write what a directory says of a user",
                "UPDATE directory_user SET description = $2, description_folded = $3, external_disabled = $4, \
                 profile = $5, external_expires_at = $6 WHERE id = $1",
                [
                    (*row).into(),
                    facts.description.as_str().into(),
                    fold(&facts.description).into(),
                    i64::from(facts.is_disabled).into(),
                    profile_json(&profile).into(),
                    facts.expires_at.map(Millis::get).into(),
                ],
            )
            .await?;
        }
        Ok(())
    }

    /// Writes what else the directory says of groups.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_groups_update(
        &self,
        updates: &[(i64, String)],
    ) -> Result<(), StoreError> {
        let keys: Vec<i64> = updates.iter().map(|(row, _)| *row).collect();
        self.changes(GROUP, &keys).await?;
        for (row, description) in updates {
            self.group_describe(GroupKey::new(*row), description)
                .await?;
        }
        Ok(())
    }

    /// Stores users of the directory.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a name or an id is in use.
    pub async fn directory_users_insert(
        &self,
        project: ProjectKey,
        domain: &str,
        users: &[(Uuid, NewAccount<UserFacts>)],
        now: Millis,
    ) -> Result<(), StoreError> {
        let rows: Vec<_> = users
            .iter()
            .map(|(id, user)| {
                let profile = UserProfile {
                    email: user.facts.email.clone(),
                    phone: user.facts.phone.clone(),
                    alias: user.facts.alias.clone(),
                    // The password is the directory's.
                    next_login_change_password: false,
                    ..UserProfile::default()
                };
                self.made(USER, id);
                json_of!({
                    "i": id.simple().to_string(),
                    "t": user.facts.expires_at.map(Millis::get),
                    "x": user.id,
                    "n": user.name,
                    "f": fold(&user.name),
                    "d": user.facts.description,
                    "e": fold(&user.facts.description),
                    "o": i64::from(user.facts.is_disabled),
                    "p": profile_json(&profile),
                })
            })
            .collect();
        let dialect = self.dialect();
        self.run(
            "store users of a directory",
            &format!(
                "INSERT INTO directory_user (public_id, project_id, name, name_folded, domain, domain_folded, \
                 platform_type, external_id, description, description_folded, active_type, profile, \
                 external_disabled, external_expires_at, created_at) SELECT {}, CAST($1 AS BIGINT), value ->> 'n', value ->> 'f', \
                 CAST($2 AS TEXT), CAST($3 AS TEXT), 'AD', value ->> 'x', value ->> 'd', value ->> 'e', \
                 CAST($4 AS TEXT), value ->> 'p', CAST(value ->> 'o' AS BIGINT), \
                 CAST(value ->> 't' AS BIGINT), CAST($5 AS BIGINT) FROM {}",
                dialect.uuid_from_hex("value ->> 'i'"),
                dialect.each("$6")
            ),
            [
                project.into(),
                domain.into(),
                fold(domain).into(),
                ActiveType::AdminActivate.as_str().into(),
                now.get().into(),
                serde_json::Value::Array(rows).to_string().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Stores groups of the directory, without members.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a name or an id is in use.
    pub async fn directory_groups_insert(
        &self,
        project: ProjectKey,
        domain: &str,
        groups: &[(Uuid, NewAccount<String>)],
        now: Millis,
    ) -> Result<(), StoreError> {
        let rows: Vec<_> = groups
            .iter()
            .map(|(id, group)| {
                self.made(GROUP, id);
                json_of!({
                    "i": id.simple().to_string(),
                    "x": group.id,
                    "n": group.name,
                    "f": fold(&group.name),
                    "d": group.facts,
                })
            })
            .collect();
        let dialect = self.dialect();
        self.run(
            "store groups of a directory",
            &format!(
                "INSERT INTO directory_group (public_id, project_id, name, name_folded, domain, domain_folded, \
                 platform_type, external_id, description, created_at) SELECT {}, CAST($1 AS BIGINT), \
                 value ->> 'n', value ->> 'f', CAST($2 AS TEXT), CAST($3 AS TEXT), 'AD', value ->> 'x', \
                 value ->> 'd', CAST($4 AS BIGINT) FROM {}",
                dialect.uuid_from_hex("value ->> 'i'"),
                dialect.each("$5")
            ),
            [
                project.into(),
                domain.into(),
                fold(domain).into(),
                now.get().into(),
                serde_json::Value::Array(rows).to_string().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Writes a group's direct members and marks whose groups change by it. Ids that are not stored are passed over.
    ///
    /// # Errors
    /// The database's.
    pub async fn directory_members_change(
        &self,
        project: ProjectKey,
        group: &str,
        plan: &MembershipPlan,
        by_primary: bool,
    ) -> Result<(), StoreError> {
        let key: Option<i64> = self
            .db()
            .scalar(
                "read a group's key",
                "SELECT id FROM directory_group WHERE project_id = $1 AND external_id = $2",
                [project.into(), group.into()],
            )
            .await?;
        let Some(group) = key else {
            return Ok(());
        };
        let users = |ids| self.directory_keys(project, AccountType::Simple, ids);
        let (join, leave) = (users(&plan.join).await?, users(&plan.leave).await?);
        let groups = |ids| self.directory_keys(project, AccountType::UserGroup, ids);
        let (nest, unnest) = (groups(&plan.nest).await?, groups(&plan.unnest).await?);
        if [&join, &leave, &nest, &unnest]
            .iter()
            .all(|it| it.is_empty())
        {
            return Ok(());
        }
        self.changes(GROUP, &[group]).await?;
        self.membership_remark(group, [&join, &leave, &nest, &unnest])
            .await?;
        let element = format!("CAST({} AS BIGINT)", self.dialect().element_text());
        let each = self.dialect().each("$2");
        if !join.is_empty() {
            // A member by both ways is written once; it counts as listed.
            let conflict = if by_primary {
                "DO NOTHING"
            } else {
                "(group_id, user_id) DO UPDATE SET by_primary = 0"
            };
            self.run(
                "write members of a directory's group",
                &format!(
                    "INSERT INTO group_member (group_id, user_id, by_primary) \
                     SELECT CAST($1 AS BIGINT), {element}, CAST($3 AS BIGINT) FROM {each} \
                     WHERE true ON CONFLICT {conflict}"
                ),
                [
                    group.into(),
                    key_array(join.iter().copied()).into(),
                    i64::from(by_primary).into(),
                ],
            )
            .await?;
        }
        if !leave.is_empty() {
            self.run(
                "take members from a directory's group",
                &format!(
                    "DELETE FROM group_member WHERE group_id = $1 AND by_primary = $3 AND {}",
                    in_keys(self.dialect(), "user_id", "$2")
                ),
                [
                    group.into(),
                    key_array(leave.iter().copied()).into(),
                    i64::from(by_primary).into(),
                ],
            )
            .await?;
        }
        if !nest.is_empty() {
            self.run(
                "nest groups of a directory",
                &format!(
                    "INSERT INTO group_nesting (group_id, member_id) SELECT CAST($1 AS BIGINT), {element} \
                     FROM {each} WHERE true ON CONFLICT DO NOTHING"
                ),
                [group.into(), key_array(nest.iter().copied()).into()],
            )
            .await?;
        }
        if !unnest.is_empty() {
            self.run(
                "take groups from a directory's group",
                &format!(
                    "DELETE FROM group_nesting WHERE group_id = $1 AND {}",
                    in_keys(self.dialect(), "member_id", "$2")
                ),
                [group.into(), key_array(unnest.iter().copied()).into()],
            )
            .await?;
        }
        let users: Vec<UserKey> = join.into_iter().chain(leave).map(UserKey::new).collect();
        if !users.is_empty() {
            self.closure_mark(&users).await?;
        }
        let groups: Vec<GroupKey> = nest.into_iter().chain(unnest).map(GroupKey::new).collect();
        if !groups.is_empty() {
            self.closure_mark_below(&groups).await?;
        }
        Ok(())
    }

    /// Tells the audit log who joins and leaves a group: its state names its first members only.
    async fn membership_remark(
        &self,
        group: i64,
        [join, leave, nest, unnest]: [&[i64]; 4],
    ) -> Result<(), StoreError> {
        if !self.is_audited() {
            return Ok(());
        }
        let names = async |table: &str, keys: &[i64]| -> Result<Vec<String>, StoreError> {
            let shown = &keys[..keys.len().min(MOST_NAMED)];
            if shown.is_empty() {
                return Ok(Vec::new());
            }
            let rows: Vec<NameRow> = self
                .db()
                .all(
                    "name who joins and leaves a group",
                    &format!(
                        "SELECT name, domain FROM {table} WHERE {} ORDER BY id",
                        in_keys(self.dialect(), "id", "$1")
                    ),
                    [key_array(shown.iter().copied()).into()],
                )
                .await?;
            Ok(rows.into_iter().map(|row| row.name).collect())
        };
        const USERS: &str = "directory_user";
        const GROUPS: &str = "directory_group";
        let mut remark = serde_json::Map::new();
        let name = names(GROUPS, &[group]).await?.pop();
        remark.insert("group".to_owned(), name.into());
        for (word, table, keys) in [
            ("joined", USERS, join),
            ("left", USERS, leave),
            ("groups_joined", GROUPS, nest),
            ("groups_left", GROUPS, unnest),
        ] {
            if !keys.is_empty() {
                remark.insert(word.to_owned(), names(table, keys).await?.into());
                remark.insert(format!("{word}_count"), keys.len().into());
            }
        }
        self.remark("memberships", remark.into());
        Ok(())
    }

    async fn directory_keys(
        &self,
        project: ProjectKey,
        account_type: AccountType,
        ids: &[String],
    ) -> Result<Vec<i64>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<KeyRow> = self
            .db()
            .all(
                "find accounts of a directory",
                &format!(
                    "SELECT id FROM {} WHERE project_id = $1 AND external_id IN (SELECT {} FROM {})",
                    table_of(account_type),
                    self.dialect().element_text(),
                    self.dialect().each("$2")
                ),
                [project.into(), text_array(ids).into()],
            )
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
}
