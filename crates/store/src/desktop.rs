//! Desktops and who is attached to them.

use std::collections::HashMap;

use outfitter_domain::fleet::{DesktopName, DesktopType, SeenCopy};
use outfitter_domain::{Millis, OsType};
use outfitter_ids::{DesktopId, UserId};
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use crate::query::{Conditions, id_array, in_ids, in_keys, json, key_array, word};
use crate::tag::{DesktopTag, TagSearch};
use crate::user::folded;
use crate::{Db, DesktopKey, Listed, Page, ProjectKey, StoreError, Tx, UserKey};

/// A desktop to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDesktop {
    /// Public id.
    pub id: DesktopId,
    /// Name, unique in the project without regard to case.
    pub name: DesktopName,
    /// Operating system.
    pub os_type: OsType,
    /// How many users it takes.
    pub desktop_type: DesktopType,
    /// Whether what is installed survives a log-off.
    pub persistence: Persistence,
}

/// Whether what is installed on a desktop survives a log-off. Installs skip one where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It does.
    Persistent,
    /// It is made anew from an image.
    Recomposed,
}

/// A stored desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desktop {
    /// Key.
    pub key: DesktopKey,
    /// Public id.
    pub id: DesktopId,
    /// Name.
    pub name: String,
    /// Operating system.
    pub os_type: OsType,
    /// How many users it takes.
    pub desktop_type: DesktopType,
    /// Whether what is installed survives.
    pub persistence: Persistence,
    /// Address its agent last connected from.
    pub ip_address: Option<String>,
    /// Last sign of life of its agent.
    pub last_seen_at: Option<Millis>,
    /// Since when an installer's wish for a restart waits.
    pub reboot_needed_at: Option<Millis>,
    /// When it was registered.
    pub created_at: Millis,
    /// Its live agent.
    pub agent: Option<DesktopAgent>,
    /// Who is attached to it, by name.
    pub users: Vec<DesktopUser>,
    /// Its tags, by key.
    pub tags: Vec<DesktopTag>,
}

/// The live agent of a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesktopAgent {
    /// Version it last reported.
    pub version: String,
    /// When it enrolled.
    pub enrolled_at: Millis,
    /// The folder that plays the desktop, where one does.
    pub sandbox_root: Option<String>,
    /// The copy of it that was seen last.
    pub copy: Option<SeenCopy>,
}

/// A user attached to a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesktopUser {
    /// Key.
    pub key: UserKey,
    /// Public id.
    pub id: UserId,
    /// Name.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// Privilege group on the desktop, where one was named.
    pub user_group: Option<String>,
}

/// Which desktops to list; the members given must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DesktopFilter {
    /// Is one of these.
    pub ids: Option<Vec<DesktopId>>,
    /// Name contains.
    pub name_part: Option<String>,
    /// Name is one of these.
    pub names: Option<Vec<String>>,
    /// Address contains.
    pub ip_part: Option<String>,
    /// The name of a user contains one of these.
    pub user_name_parts: Option<Vec<String>>,
    /// A user has one of these names.
    pub user_names: Option<Vec<String>>,
    /// A user has this id.
    pub user: Option<UserId>,
    /// Has or lacks users.
    pub user_attached: Option<bool>,
    /// Is of one of these types.
    pub desktop_types: Option<Vec<String>>,
    /// Has or lacks a live agent.
    pub agent_installed: Option<bool>,
    /// Its live agent has this version.
    pub agent_version: Option<String>,
    /// Its live agent was seen since then (`true`), or not since then (`false`).
    pub seen: Option<(Millis, bool)>,
    /// Operating system.
    pub os_type: Option<OsType>,
    /// Waits for a restart, or does not.
    pub restart_needed: Option<bool>,
    /// A copy of its live agent was seen that nobody has settled, or none was.
    pub has_copy: Option<bool>,
    /// Was registered before this one, in the order of keys.
    pub before: Option<DesktopKey>,
    /// Lacks tags altogether (`true`).
    pub without_any_tag: Option<bool>,
    /// Has tags so.
    pub tags: TagSearch,
}

/// Order of a list of desktops. Equal names cannot be; equal instants are ordered by insertion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DesktopOrder {
    /// Last registered first.
    #[default]
    NewestFirst,
    /// First registered first.
    OldestFirst,
    /// By name.
    NameAscending,
    /// By name, from the end.
    NameDescending,
}

/// What happens to users who are left without a desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftUsers {
    /// They stay.
    Keep,
    /// They are deleted, except whom the company directory keeps.
    Delete,
}

#[derive(FromQueryResult)]
struct DesktopRow {
    id: i64,
    public_id: Uuid,
    name: String,
    os_type: String,
    desktop_type: String,
    persistent: i64,
    ip_address: Option<String>,
    last_seen_at: Option<i64>,
    reboot_needed_at: Option<i64>,
    created_at: i64,
    agent_version: Option<String>,
    agent_enrolled_at: Option<i64>,
    agent_id: Option<i64>,
    sandbox_root: Option<String>,
    seen_copy: Option<String>,
}

#[derive(FromQueryResult)]
struct DesktopUserRow {
    desktop_id: i64,
    user_id: i64,
    public_id: Uuid,
    name: String,
    domain: String,
    user_group: Option<String>,
}

#[derive(FromQueryResult)]
struct KeyRow {
    id: i64,
    public_id: Uuid,
}

#[derive(FromQueryResult)]
struct UserKeyRow {
    user_id: i64,
}

const DESKTOP_COLUMNS: &str = "d.id, d.public_id, d.name, d.os_type, d.desktop_type, d.persistent, d.ip_address, \
     d.last_seen_at, d.reboot_needed_at, d.created_at, live.version AS agent_version, live.enrolled_at AS agent_enrolled_at, \
     live.id AS agent_id, live.sandbox_root, live.seen_copy";

impl DesktopRow {
    fn read(self) -> Result<Desktop, StoreError> {
        let copy = self
            .seen_copy
            .map(|text| {
                json(
                    "agent",
                    "seen_copy",
                    self.agent_id.unwrap_or_default(),
                    &text,
                )
            })
            .transpose()?;
        Ok(Desktop {
            key: DesktopKey::new(self.id),
            id: DesktopId::new(self.public_id),
            name: self.name,
            os_type: word("desktop", "os_type", self.id, &self.os_type, OsType::parse)?,
            desktop_type: word(
                "desktop",
                "desktop_type",
                self.id,
                &self.desktop_type,
                DesktopType::parse,
            )?,
            persistence: if self.persistent == 0 {
                Persistence::Recomposed
            } else {
                Persistence::Persistent
            },
            ip_address: self.ip_address,
            last_seen_at: self.last_seen_at.map(Millis::new),
            reboot_needed_at: self.reboot_needed_at.map(Millis::new),
            created_at: Millis::new(self.created_at),
            agent: self
                .agent_version
                .zip(self.agent_enrolled_at)
                .map(|(version, enrolled_at)| DesktopAgent {
                    version,
                    enrolled_at: Millis::new(enrolled_at),
                    sandbox_root: self.sandbox_root,
                    copy,
                }),
            users: Vec::new(),
            tags: Vec::new(),
        })
    }
}

impl DesktopOrder {
    fn sql(self) -> &'static str {
        match self {
            Self::NewestFirst => "d.id DESC",
            Self::OldestFirst => "d.id",
            Self::NameAscending => "d.name_folded, d.id",
            Self::NameDescending => "d.name_folded DESC, d.id DESC",
        }
    }
}

impl DesktopFilter {
    fn conditions(&self, conditions: &mut Conditions) {
        if let Some(ids) = &self.ids {
            conditions.one_of_ids("d.public_id", ids.iter().map(|id| id.uuid()));
        }
        if let Some(part) = &self.name_part {
            conditions.contains("d.name_folded", part);
        }
        if let Some(names) = &self.names {
            conditions.one_of("d.name_folded", &folded(names));
        }
        if let Some(part) = &self.ip_part {
            conditions.contains("d.ip_address", part);
        }
        let of_user = |condition: &str| {
            format!(
                "EXISTS (SELECT 1 FROM desktop_user du JOIN directory_user u ON u.id = du.user_id \
                 WHERE du.desktop_id = d.id AND ({condition}))"
            )
        };
        if let Some(parts) = &self.user_name_parts {
            let any: Vec<String> = parts
                .iter()
                .map(|part| conditions.contains_condition("u.name_folded", part))
                .collect();
            if !any.is_empty() {
                conditions.and(&of_user(&any.join(" OR ")));
            }
        }
        if let Some(names) = &self.user_names {
            let one_of = conditions.one_of_condition("u.name_folded", &folded(names));
            conditions.and(&of_user(&one_of));
        }
        if let Some(user) = self.user {
            let user = conditions.bind(user.uuid());
            conditions.and(&of_user(&format!("u.public_id = {user}")));
        }
        if let Some(desktop_types) = &self.desktop_types {
            conditions.one_of("d.desktop_type", desktop_types);
        }
        let negation = |holds: bool| if holds { "" } else { "NOT " };
        if let Some(attached) = self.user_attached {
            conditions.and(&format!("{}{}", negation(attached), of_user("1 = 1")));
        }
        let live_agent =
            "EXISTS (SELECT 1 FROM agent a WHERE a.desktop_id = d.id AND a.revoked_at IS NULL";
        if let Some(installed) = self.agent_installed {
            conditions.and(&format!("{}{live_agent})", negation(installed)));
        }
        if let Some(version) = &self.agent_version {
            let version = conditions.bind(version.as_str());
            conditions.and(&format!("{live_agent} AND a.version = {version})"));
        }
        if let Some((since, seen)) = self.seen {
            let since = conditions.bind(since.get());
            let compared = if seen { ">=" } else { "<" };
            conditions.and(&format!(
                "COALESCE(d.last_seen_at, 0) {compared} {since} AND {live_agent})"
            ));
        }
        if let Some(os_type) = self.os_type {
            conditions.equals("d.os_type", os_type.as_str());
        }
        if let Some(needed) = self.restart_needed {
            let not = if needed { "NOT " } else { "" };
            conditions.and(&format!("d.reboot_needed_at IS {not}NULL"));
        }
        if let Some(has) = self.has_copy {
            let settled = conditions.dialect().is_true("a.seen_copy", "settled");
            conditions.and(&format!(
                "{}{live_agent} AND a.seen_copy IS NOT NULL AND NOT {settled})",
                negation(has)
            ));
        }
        if let Some(before) = self.before {
            let before = conditions.bind(before.get());
            conditions.and(&format!("d.id < {before}"));
        }
        if self.without_any_tag == Some(true) {
            conditions.and("NOT EXISTS (SELECT 1 FROM desktop_tag t WHERE t.desktop_id = d.id)");
        }
        self.tags.conditions(conditions);
    }
}

impl Db<'_> {
    /// A desktop of the project.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_find(
        &self,
        project: ProjectKey,
        id: DesktopId,
    ) -> Result<Option<Desktop>, StoreError> {
        let filter = DesktopFilter {
            ids: Some(vec![id]),
            ..DesktopFilter::default()
        };
        Ok(self
            .desktop_list(project, &filter, DesktopOrder::default(), Page::ALL)
            .await?
            .items
            .into_iter()
            .next())
    }

    /// Desktops of the project that are not deleted.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_list(
        &self,
        project: ProjectKey,
        filter: &DesktopFilter,
        order: DesktopOrder,
        page: Page,
    ) -> Result<Listed<Desktop>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("d.project_id", project);
        conditions.and("d.deleted_at IS NULL");
        filter.conditions(&mut conditions);
        let paged = conditions.page(order.sql(), page);
        let total = self
            .scalar(
                "count desktops",
                &format!("SELECT count(*) FROM desktop d WHERE {}", paged.filter),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        Ok(Listed {
            total,
            items: self.desktops_of(&paged.tail, paged.page_values).await?,
        })
    }

    /// The next desktops of the project, newest first, without counting them all: `filter.before` goes on.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_next(
        &self,
        project: ProjectKey,
        filter: &DesktopFilter,
        limit: i64,
    ) -> Result<Vec<Desktop>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("d.project_id", project);
        conditions.and("d.deleted_at IS NULL");
        filter.conditions(&mut conditions);
        let page = Page { offset: 0, limit };
        let paged = conditions.page(DesktopOrder::NewestFirst.sql(), page);
        self.desktops_of(&paged.tail, paged.page_values).await
    }

    async fn desktops_of(
        &self,
        tail: &str,
        values: Vec<Value>,
    ) -> Result<Vec<Desktop>, StoreError> {
        let rows: Vec<DesktopRow> = self
            .all(
                "list desktops",
                &format!(
                    "SELECT {DESKTOP_COLUMNS} FROM desktop d \
                     LEFT JOIN agent live ON live.desktop_id = d.id AND live.revoked_at IS NULL WHERE {tail}"
                ),
                values,
            )
            .await?;
        let mut desktops = rows
            .into_iter()
            .map(DesktopRow::read)
            .collect::<Result<Vec<_>, _>>()?;
        let keys: Vec<DesktopKey> = desktops.iter().map(|desktop| desktop.key).collect();
        let mut users = self.desktop_users(&keys).await?;
        let mut tags = self.tags_of(&keys).await?;
        for desktop in &mut desktops {
            desktop.users = users.remove(&desktop.key).unwrap_or_default();
            desktop.tags = tags.remove(&desktop.key).unwrap_or_default();
        }
        Ok(desktops)
    }

    /// Who is attached to desktops, by desktop, in alphabetical order.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_users(
        &self,
        desktops: &[DesktopKey],
    ) -> Result<HashMap<DesktopKey, Vec<DesktopUser>>, StoreError> {
        let rows: Vec<DesktopUserRow> = self
            .all(
                "read the users of desktops",
                &format!(
                    "SELECT du.desktop_id, du.user_id, u.public_id, u.name, u.domain, du.user_group \
                     FROM desktop_user du JOIN directory_user u ON u.id = du.user_id \
                     WHERE {} ORDER BY du.desktop_id, u.name_folded, u.id",
                    in_keys(self.dialect(), "du.desktop_id", "$1")
                ),
                [key_array(desktops.iter().map(|key| key.get())).into()],
            )
            .await?;
        let mut users: HashMap<DesktopKey, Vec<DesktopUser>> = HashMap::new();
        for row in rows {
            users
                .entry(DesktopKey::new(row.desktop_id))
                .or_default()
                .push(DesktopUser {
                    key: UserKey::new(row.user_id),
                    id: UserId::new(row.public_id),
                    name: row.name,
                    domain: row.domain,
                    user_group: row.user_group,
                });
        }
        Ok(users)
    }
}

impl Tx {
    /// Stores a desktop without users.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the project has a desktop of that name.
    pub async fn desktop_insert(
        &self,
        project: ProjectKey,
        desktop: &NewDesktop,
        now: Millis,
    ) -> Result<DesktopKey, StoreError> {
        let key = self
            .insert(
                "store a desktop",
                "INSERT INTO desktop (public_id, project_id, name, name_folded, os_type, desktop_type, persistent, \
                 created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
                [
                    desktop.id.uuid().into(),
                    project.into(),
                    desktop.name.as_str().into(),
                    desktop.name.folded().into(),
                    desktop.os_type.as_str().into(),
                    desktop.desktop_type.as_str().into(),
                    i64::from(desktop.persistence == Persistence::Persistent).into(),
                    now.get().into(),
                ],
            )
            .await?;
        self.made("desktop", desktop.id);
        Ok(DesktopKey::new(key))
    }

    /// The keys of those ids that are desktops of the project and not deleted, held for a change until the
    /// transaction ends.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktops_lock(
        &self,
        project: ProjectKey,
        ids: &[DesktopId],
    ) -> Result<Vec<(DesktopId, DesktopKey)>, StoreError> {
        let rows: Vec<KeyRow> = self
            .db()
            .all(
                "hold desktops for a change",
                &format!(
                    "SELECT id, public_id FROM desktop WHERE project_id = $1 AND deleted_at IS NULL AND {} \
                     ORDER BY id{}",
                    in_ids(self.dialect(), "public_id", "$2"),
                    self.dialect().for_update()
                ),
                [
                    project.into(),
                    id_array(ids.iter().map(|id| id.uuid())).into(),
                ],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (DesktopId::new(row.public_id), DesktopKey::new(row.id)))
            .collect())
    }

    /// Renames a desktop.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the project has another desktop of that name.
    pub async fn desktop_rename(
        &self,
        desktop: DesktopKey,
        name: &DesktopName,
    ) -> Result<(), StoreError> {
        self.run(
            "rename a desktop",
            "UPDATE desktop SET name = $2, name_folded = $3 WHERE id = $1",
            [desktop.into(), name.as_str().into(), name.folded().into()],
        )
        .await
        .map(drop)
    }

    /// Attaches a user to a desktop; of one who is attached, the privilege group is set anew where one is given.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_user_attach(
        &self,
        desktop: DesktopKey,
        user: UserKey,
        user_group: Option<&str>,
    ) -> Result<(), StoreError> {
        self.run(
            "attach a user to a desktop",
            "INSERT INTO desktop_user (desktop_id, user_id, user_group) VALUES ($1, $2, $3) \
             ON CONFLICT (desktop_id, user_id) \
             DO UPDATE SET user_group = COALESCE(excluded.user_group, desktop_user.user_group)",
            [
                desktop.into(),
                user.into(),
                user_group.map(str::to_owned).into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Detaches users from a desktop; one who is not attached is passed over.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktop_users_detach(
        &self,
        desktop: DesktopKey,
        users: &[UserKey],
    ) -> Result<(), StoreError> {
        self.run(
            "detach users from a desktop",
            &format!(
                "DELETE FROM desktop_user WHERE desktop_id = $1 AND {}",
                in_keys(self.dialect(), "user_id", "$2")
            ),
            [
                desktop.into(),
                key_array(users.iter().map(|user| user.get())).into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Makes a desktop that got a second user a shared one.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn desktop_share_if_crowded(
        &self,
        desktop: DesktopKey,
    ) -> Result<(), StoreError> {
        self.run(
            "make a desktop a shared one",
            "UPDATE desktop SET desktop_type = $2 WHERE id = $1 \
             AND (SELECT count(*) FROM desktop_user WHERE desktop_id = $1) > 1",
            [desktop.into(), DesktopType::Shared.as_str().into()],
        )
        .await
        .map(drop)
    }

    /// Deletes desktops: their agents are revoked, their users detached, their tags gone. The rows stay for
    /// the jobs that refer to them; those jobs are the caller's to end.
    ///
    /// # Errors
    /// The database's.
    pub async fn desktops_delete(
        &self,
        project: ProjectKey,
        desktops: &[DesktopKey],
        left_users: LeftUsers,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.agents_revoke(desktops, now).await?;
        let keys: Value = key_array(desktops.iter().map(|key| key.get())).into();
        let of_desktops = in_keys(self.dialect(), "desktop_id", "$1");
        let attached: Vec<UserKeyRow> = self
            .db()
            .all(
                "read the users of desktops",
                &format!("SELECT DISTINCT user_id FROM desktop_user WHERE {of_desktops}"),
                [keys.clone()],
            )
            .await?;
        for table in [
            "desktop_user",
            "desktop_tag",
            "desktop_reach",
            "desktop_host_key",
            "agent_update",
            "portal_ticket",
            // Pairs with packages are many: the sweep takes them in pages.
            "inventory",
        ] {
            self.run(
                "empty deleted desktops",
                &format!("DELETE FROM {table} WHERE {of_desktops}"),
                [keys.clone()],
            )
            .await?;
        }
        self.run(
            "delete desktops",
            &format!(
                "UPDATE desktop SET deleted_at = $2 WHERE deleted_at IS NULL AND {}",
                in_keys(self.dialect(), "id", "$1")
            ),
            [keys, now.get().into()],
        )
        .await?;
        if left_users == LeftUsers::Delete {
            let left: Vec<UserKeyRow> = self
                .db()
                .all(
                    "find users without a desktop",
                    &format!(
                        "SELECT u.id AS user_id FROM directory_user u WHERE {} AND u.external_id IS NULL \
                         AND NOT EXISTS (SELECT 1 FROM desktop_user du WHERE du.user_id = u.id)",
                        in_keys(self.dialect(), "u.id", "$1")
                    ),
                    [key_array(attached.into_iter().map(|row| row.user_id)).into()],
                )
                .await?;
            let left: Vec<UserKey> = left
                .into_iter()
                .map(|row| UserKey::new(row.user_id))
                .collect();
            self.users_delete(project, &left).await?;
        }
        Ok(())
    }

    /// Sets the operating system that an agent reports.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn desktop_os_set(
        &self,
        desktop: DesktopKey,
        os_type: OsType,
    ) -> Result<(), StoreError> {
        self.run(
            "set the operating system of a desktop",
            "UPDATE desktop SET os_type = $2 WHERE id = $1",
            [desktop.into(), os_type.as_str().into()],
        )
        .await
        .map(drop)
    }
}
