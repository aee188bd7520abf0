//! What desktops are and have, as their agents tell: facts as one row, packages as pairs of desktop and package. Our own
//! applications are not told but known ([`crate::DesktopApp`]), and found together with them.

use std::collections::BTreeSet;

use outfitter_agent_protocol::InventoryFacts;
use outfitter_domain::Millis;
use outfitter_domain::text::{begins_pattern, fold};
use outfitter_ids::DesktopId;
use sea_orm::{DbErr, FromQueryResult, Value};
use serde_json::json;
use uuid::Uuid;

use crate::query::{Conditions, in_keys, json, key_array};
use crate::{Connected, Db, DesktopKey, Listed, Page, ProjectKey, StoreError, Tx};

/// Where our own applications are said to come from.
const OWN: &str = "outfitter";

/// Longest folded text that is kept of a name: folding makes some characters many.
const MAX_FOLDED_CHARS: usize = 256;

/// Packages of one desktop that an answer names for a search.
const NAMED: i64 = 10;

/// A package, or an application of ours, that is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Installed {
    /// Who says so: `dpkg`, `rpm`, `outfitter`.
    pub source: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A package that a desktop is known to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPackage {
    /// Key of the package.
    pub key: i64,
    /// The package.
    pub package: Installed,
}

/// What is known of a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// What it is.
    pub facts: InventoryFacts,
    /// When that was told last.
    pub facts_at: Option<Millis>,
    /// When its packages were told last.
    pub software_at: Option<Millis>,
    /// Packages it has that are not kept.
    pub software_left_off: i64,
}

/// How a name is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameSearch {
    /// It is this one, without regard to case.
    Is(String),
    /// It begins so, without regard to case.
    BeginsWith(String),
}

/// Which desktops to find; the members given must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InventoryFilter {
    /// Has software of such a name, of this version where one is given.
    pub software: Option<(NameSearch, Option<String>)>,
    /// Name and version of its system contain this.
    pub os_part: Option<String>,
    /// This account is logged in.
    pub user: Option<String>,
    /// Waits for a restart, or does not.
    pub reboot_pending: Option<bool>,
    /// Has a disk with less room, in bytes.
    pub disk_free_below: Option<i64>,
}

/// A desktop that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDesktop {
    /// Its id.
    pub id: DesktopId,
    /// Its name.
    pub name: String,
    /// What is known of it, where its agent told.
    pub inventory: Option<Inventory>,
    /// Software for which it was found, ten at most, by name.
    pub software: Vec<Installed>,
}

/// Packages to add to and take from what a desktop is known to have. Together a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftwareChange<'a> {
    /// It has these, and is not known to.
    pub add: &'a [Installed],
    /// It has these no more.
    pub remove: &'a [i64],
    /// With the last page: the digest of the whole, and how many are left off. Until then the desktop has none.
    pub done: Option<(&'a str, i64)>,
}

#[derive(FromQueryResult)]
struct InventoryRow {
    desktop_id: i64,
    facts: String,
    facts_at: Option<i64>,
    software_at: Option<i64>,
    software_left_off: i64,
}

impl InventoryRow {
    fn read(self) -> Result<Inventory, StoreError> {
        Ok(Inventory {
            facts: json("inventory", "facts", self.desktop_id, &self.facts)?,
            facts_at: self.facts_at.map(Millis::new),
            software_at: self.software_at.map(Millis::new),
            software_left_off: self.software_left_off,
        })
    }
}

#[derive(FromQueryResult)]
struct InstalledRow {
    source: String,
    name: String,
    version: String,
}

impl From<InstalledRow> for Installed {
    fn from(row: InstalledRow) -> Self {
        Self {
            source: row.source,
            name: row.name,
            version: row.version,
        }
    }
}

fn folded(name: &str) -> String {
    fold(name).chars().take(MAX_FOLDED_CHARS).collect()
}

/// Columns of one half of [`software`].
struct Half {
    desktop: &'static str,
    project: &'static str,
    name_folded: &'static str,
    version: &'static str,
}

/// What agents told.
const TOLD: Half = Half {
    desktop: "l.desktop_id",
    project: "s.project_id",
    name_folded: "s.name_folded",
    version: "s.version",
};

/// What we installed.
const OURS: Half = Half {
    desktop: "x.desktop_id",
    project: "a.project_id",
    name_folded: "a.name_folded",
    version: "r.version",
};

/// Pairs of desktop and software: what agents told, and our own. `of`: the condition on a half.
fn software(of: impl Fn(&Half) -> String) -> String {
    format!(
        "SELECT l.desktop_id, s.source, s.name, s.name_folded, s.version FROM inventory_installed l \
         JOIN inventory_package s ON s.id = l.package_id WHERE {} \
         UNION ALL SELECT x.desktop_id, CAST('{OWN}' AS TEXT), a.name, a.name_folded, r.version FROM desktop_app x \
         JOIN app a ON a.id = x.app_id JOIN app_revision r ON r.id = x.revision_id WHERE {}",
        of(&TOLD),
        of(&OURS),
    )
}

impl Db<'_> {
    /// What is known of a desktop; `None`: its agent has told nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn inventory_find(
        &self,
        desktop: DesktopKey,
    ) -> Result<Option<Inventory>, StoreError> {
        self.one::<InventoryRow>(
            "read an inventory",
            "SELECT desktop_id, facts, facts_at, software_at, software_left_off FROM inventory WHERE desktop_id = $1",
            [desktop.into()],
        )
        .await?
        .map(InventoryRow::read)
        .transpose()
    }

    /// The packages that a desktop is known to have, as its agent told.
    ///
    /// # Errors
    /// The database's.
    pub async fn inventory_packages(
        &self,
        desktop: DesktopKey,
    ) -> Result<Vec<KnownPackage>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: i64,
            source: String,
            name: String,
            version: String,
        }
        let rows: Vec<Row> = self
            .all(
                "read the packages of a desktop",
                "SELECT s.id, s.source, s.name, s.version FROM inventory_installed l \
                 JOIN inventory_package s ON s.id = l.package_id WHERE l.desktop_id = $1",
                [desktop.into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| KnownPackage {
                key: row.id,
                package: Installed {
                    source: row.source,
                    name: row.name,
                    version: row.version,
                },
            })
            .collect())
    }

    /// A page of what is installed on a desktop, by name: packages, and applications of ours.
    ///
    /// # Errors
    /// The database's.
    pub async fn inventory_software(
        &self,
        desktop: DesktopKey,
        name_part: Option<&str>,
        page: Page,
    ) -> Result<Listed<Installed>, StoreError> {
        const DOING: &str = "list the software of a desktop";
        let mut conditions = Conditions::new(self.dialect());
        let key = conditions.bind(desktop);
        if let Some(part) = name_part {
            conditions.contains("w.name_folded", part);
        }
        let of_desktop = software(|half| format!("{} = {key}", half.desktop));
        let paged = conditions.page("w.name_folded, w.name, w.version, w.source", page);
        let total: i64 = self
            .scalar(
                DOING,
                &format!(
                    "SELECT COUNT(*) FROM ({of_desktop}) w WHERE {}",
                    paged.filter
                ),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<InstalledRow> = self
            .all(
                DOING,
                &format!(
                    "SELECT w.source, w.name, w.version FROM ({of_desktop}) w WHERE {}",
                    paged.tail
                ),
                paged.page_values,
            )
            .await?;
        Ok(Listed {
            total,
            items: rows.into_iter().map(Installed::from).collect(),
        })
    }

    /// A page of the desktops that fit, newest first. Those whose agents told nothing are found by applications of ours.
    ///
    /// # Errors
    /// The database's.
    pub async fn inventory_search(
        &self,
        project: ProjectKey,
        filter: &InventoryFilter,
        page: Page,
    ) -> Result<Listed<FoundDesktop>, StoreError> {
        const DOING: &str = "search the inventories";
        #[derive(FromQueryResult)]
        struct Row {
            id: i64,
            public_id: Uuid,
            name: String,
            facts: Option<String>,
            facts_at: Option<i64>,
            software_at: Option<i64>,
            software_left_off: Option<i64>,
        }
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("d.project_id", project);
        conditions.and("d.deleted_at IS NULL");
        if let Some(search) = &filter.software {
            let condition = software_condition(&mut conditions, project, search);
            conditions.and(&condition);
        }
        if let Some(part) = &filter.os_part {
            conditions.contains("i.os_folded", part);
        }
        if let Some(user) = &filter.user {
            conditions.contains("i.users_folded", &format!("\n{user}\n"));
        }
        if let Some(pending) = filter.reboot_pending {
            conditions.equals("i.reboot_pending", i64::from(pending));
        }
        if let Some(bytes) = filter.disk_free_below {
            let placeholder = conditions.bind(bytes);
            conditions.and(&format!("i.disk_free_bytes < {placeholder}"));
        }
        let from = "FROM desktop d LEFT JOIN inventory i ON i.desktop_id = d.id";
        let paged = conditions.page("d.id DESC", page);
        let total: i64 = self
            .scalar(
                DOING,
                &format!("SELECT COUNT(*) {from} WHERE {}", paged.filter),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<Row> = self
            .all(
                DOING,
                &format!(
                    "SELECT d.id, d.public_id, d.name, i.facts, i.facts_at, i.software_at, i.software_left_off {from} \
                     WHERE {}",
                    paged.tail
                ),
                paged.page_values,
            )
            .await?;
        let keys: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let mut named = match &filter.software {
            Some(search) => self.found_software(project, &keys, search).await?,
            None => Vec::new(),
        };
        let items = rows.into_iter().map(|row| {
            let inventory = match (row.facts, row.software_left_off) {
                (Some(facts), Some(software_left_off)) => Some(
                    InventoryRow {
                        desktop_id: row.id,
                        facts,
                        facts_at: row.facts_at,
                        software_at: row.software_at,
                        software_left_off,
                    }
                    .read()?,
                ),
                _ => None,
            };
            let software = named
                .extract_if(.., |(desktop, _)| *desktop == row.id)
                .map(|(_, software)| software)
                .collect();
            Ok(FoundDesktop {
                id: DesktopId::new(row.public_id),
                name: row.name,
                inventory,
                software,
            })
        });
        Ok(Listed {
            total,
            items: items.collect::<Result<_, StoreError>>()?,
        })
    }

    /// For which software these desktops were found: the first few of each.
    async fn found_software(
        &self,
        project: ProjectKey,
        desktops: &[i64],
        search: &(NameSearch, Option<String>),
    ) -> Result<Vec<(i64, Installed)>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            desktop_id: i64,
            source: String,
            name: String,
            version: String,
        }
        if desktops.is_empty() {
            return Ok(Vec::new());
        }
        let dialect = self.dialect();
        let mut conditions = Conditions::new(dialect);
        let keys = conditions.bind(key_array(desktops.iter().copied()));
        let is_named = named_condition(&mut conditions, project, search);
        let halves = software(|half| {
            format!(
                "{} AND {}",
                in_keys(dialect, half.desktop, &keys),
                is_named(half)
            )
        });
        let most = conditions.bind(NAMED);
        let rows: Vec<Row> = self
            .all(
                "read what desktops were found for",
                &format!(
                    "SELECT desktop_id, source, name, version FROM (SELECT desktop_id, source, name, name_folded, version, \
                     ROW_NUMBER() OVER (PARTITION BY desktop_id ORDER BY name_folded, name, version, source) AS place \
                     FROM ({halves}) w) ranked WHERE place <= {most} ORDER BY desktop_id, place"
                ),
                conditions.into_values(),
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let software = Installed {
                    source: row.source,
                    name: row.name,
                    version: row.version,
                };
                (row.desktop_id, software)
            })
            .collect())
    }

    /// A deleted desktop of which pairs are left.
    ///
    /// # Errors
    /// The database's.
    pub async fn inventory_of_deleted(&self) -> Result<Option<DesktopKey>, StoreError> {
        let key: Option<i64> = self
            .scalar(
                "find what is left of deleted desktops",
                "SELECT d.id FROM desktop d WHERE d.deleted_at IS NOT NULL \
                 AND EXISTS (SELECT 1 FROM inventory_installed l WHERE l.desktop_id = d.id) ORDER BY d.id LIMIT 1",
                [],
            )
            .await?;
        Ok(key.map(DesktopKey::new))
    }

    /// Packages that no desktop has, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub async fn inventory_unused(&self, limit: i64) -> Result<Vec<i64>, StoreError> {
        #[derive(FromQueryResult)]
        struct Row {
            id: i64,
        }
        let rows: Vec<Row> = self
            .all(
                "find packages that no desktop has",
                "SELECT s.id FROM inventory_package s \
                 WHERE NOT EXISTS (SELECT 1 FROM inventory_installed l WHERE l.package_id = s.id) LIMIT $1",
                [limit.into()],
            )
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
}

/// What a half's folded name and version must be. The index by name begins with the project.
fn named_condition(
    conditions: &mut Conditions,
    project: ProjectKey,
    (name, version): &(NameSearch, Option<String>),
) -> impl Fn(&Half) -> String + use<> {
    let of = conditions.bind(project);
    let (operator, wanted) = match name {
        NameSearch::Is(name) => ("= {}", folded(name)),
        NameSearch::BeginsWith(begin) => ("LIKE {} ESCAPE '\\'", begins_pattern(begin)),
    };
    let name = operator.replace("{}", &conditions.bind(wanted));
    let version = version.clone().map(|version| conditions.bind(version));
    move |half| {
        let named = format!("{} = {of} AND {} {name}", half.project, half.name_folded);
        match &version {
            Some(version) => format!("{named} AND {} = {version}", half.version),
            None => named,
        }
    }
}

/// That desktop `d` has software of that name.
fn software_condition(
    conditions: &mut Conditions,
    project: ProjectKey,
    search: &(NameSearch, Option<String>),
) -> String {
    let is_named = named_condition(conditions, project, search);
    format!(
        "(d.id IN (SELECT l.desktop_id FROM inventory_package s JOIN inventory_installed l ON l.package_id = s.id \
         WHERE {}) \
         OR d.id IN (SELECT x.desktop_id FROM app a JOIN desktop_app x ON x.app_id = a.id \
         JOIN app_revision r ON r.id = x.revision_id WHERE {}))",
        is_named(&TOLD),
        is_named(&OURS),
    )
}

impl Tx {
    /// Whether the channel is still the desktop's own, held for as long as the transaction lasts.
    async fn inventory_is_open(&self, from: Connected) -> Result<bool, StoreError> {
        let open: Option<i64> = self
            .db()
            .scalar(
                "hold the desktop of an inventory",
                &format!(
                    "SELECT id FROM desktop WHERE id = $1 AND channel_epoch = $2 AND deleted_at IS NULL{}",
                    self.dialect().for_no_key_update()
                ),
                [from.desktop.into(), from.epoch.into()],
            )
            .await?;
        Ok(open.is_some())
    }

    /// Keeps what a desktop is. `false`: the channel is not the desktop's own any more, and nothing is kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn inventory_facts_set(
        &self,
        from: Connected,
        digest: &str,
        facts: &InventoryFacts,
        now: Millis,
    ) -> Result<bool, StoreError> {
        if !self.inventory_is_open(from).await? {
            return Ok(false);
        }
        let words = |text: &Option<String>| text.clone().unwrap_or_default();
        let os = fold(&format!(
            "{} {}",
            words(&facts.os_name),
            words(&facts.os_version)
        ));
        let users: String = facts
            .users
            .iter()
            .map(|user| format!("{}\n", fold(user)))
            .collect();
        let free = facts.disks.iter().map(|disk| disk.free_bytes).min();
        let text = json!(facts).to_string();
        self.run(
            "keep what a desktop is",
            "INSERT INTO inventory (desktop_id, facts_digest, facts, os_folded, users_folded, reboot_pending, \
             disk_free_bytes, facts_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (desktop_id) DO UPDATE SET facts_digest = excluded.facts_digest, facts = excluded.facts, \
             os_folded = excluded.os_folded, users_folded = excluded.users_folded, \
             reboot_pending = excluded.reboot_pending, disk_free_bytes = excluded.disk_free_bytes, \
             facts_at = excluded.facts_at",
            [
                from.desktop.into(),
                digest.into(),
                text.into(),
                os.into(),
                format!("\n{users}").into(),
                facts.reboot_pending.map(i64::from).into(),
                free.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
                    .into(),
                now.get().into(),
            ],
        )
        .await?;
        Ok(true)
    }

    /// Keeps a page of how a desktop's packages changed. `false`: the channel is not the desktop's own any more, and
    /// nothing is kept.
    ///
    /// # Errors
    /// The database's; also where the sweep took a package at the very moment that it was told of again.
    pub async fn inventory_software_change(
        &self,
        from: Connected,
        project: ProjectKey,
        change: &SoftwareChange<'_>,
        now: Millis,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "keep what is installed on a desktop";
        if !self.inventory_is_open(from).await? {
            return Ok(false);
        }
        let (digest, left_off, at) = match change.done {
            Some((digest, left_off)) => (digest, Some(left_off), Some(now.get())),
            None => ("", None, None),
        };
        self.run(
            DOING,
            "INSERT INTO inventory (desktop_id, software_digest, software_left_off, software_at) \
             VALUES ($1, $2, COALESCE($3, 0), $4) ON CONFLICT (desktop_id) DO UPDATE \
             SET software_digest = excluded.software_digest, \
             software_left_off = COALESCE($3, inventory.software_left_off), \
             software_at = COALESCE($4, inventory.software_at)",
            [
                from.desktop.into(),
                digest.into(),
                left_off.into(),
                at.into(),
            ],
        )
        .await?;
        if !change.remove.is_empty() {
            self.run(
                DOING,
                &format!(
                    "DELETE FROM inventory_installed WHERE desktop_id = $1 AND {}",
                    in_keys(self.dialect(), "package_id", "$2")
                ),
                [
                    from.desktop.into(),
                    key_array(change.remove.iter().copied()).into(),
                ],
            )
            .await?;
        }
        if change.add.is_empty() {
            return Ok(true);
        }
        // In one order everywhere: two desktops that bring the same new packages do not wait for each other in a ring.
        let mut add: Vec<&Installed> = change.add.iter().collect();
        add.sort();
        add.dedup();
        let wanted = add.len() as u64;
        let rows: Vec<serde_json::Value> = add
            .into_iter()
            .map(|it| json!({"s": it.source, "m": it.name, "f": folded(&it.name), "v": it.version}))
            .collect();
        let rows: Value = serde_json::Value::Array(rows).to_string().into();
        let each = self.dialect().each("$1");
        self.run(
            DOING,
            &format!(
                "INSERT INTO inventory_package (project_id, source, name, name_folded, version) \
                 SELECT $2, value ->> 's', value ->> 'm', value ->> 'f', value ->> 'v' FROM {each} WHERE NOT EXISTS \
                 (SELECT 1 FROM inventory_package s WHERE {SAME_PACKAGE}) ON CONFLICT DO NOTHING"
            ),
            [rows.clone(), project.into()],
        )
        .await?;
        // SQLite keeps the order of a cross join: the told ones outside, each found by the index.
        let kept = self
            .run(
                DOING,
                &format!(
                    "INSERT INTO inventory_installed (desktop_id, package_id) SELECT $3, s.id FROM {each} \
                     CROSS JOIN inventory_package s WHERE {SAME_PACKAGE} ON CONFLICT DO NOTHING"
                ),
                [rows, project.into(), from.desktop.into()],
            )
            .await?;
        // What the desktop had is not among them, so each is a new pair; one that the sweep deleted in between is none.
        if kept < wanted {
            return Err(StoreError::Busy {
                doing: DOING,
                source: DbErr::RecordNotInserted,
            });
        }
        Ok(true)
    }

    /// Takes at most `limit` pairs of a deleted desktop.
    ///
    /// # Errors
    /// The database's.
    pub async fn inventory_take(&self, desktop: DesktopKey, limit: i64) -> Result<u64, StoreError> {
        self.run(
            "empty the inventory of a deleted desktop",
            "DELETE FROM inventory_installed WHERE desktop_id = $1 AND package_id IN \
             (SELECT package_id FROM inventory_installed WHERE desktop_id = $1 ORDER BY package_id LIMIT $2)",
            [desktop.into(), limit.into()],
        )
        .await
    }

    /// Deletes those of these packages that no desktop has.
    ///
    /// # Errors
    /// The database's; also where a desktop tells of one at this very moment.
    pub async fn inventory_packages_delete(&self, packages: &[i64]) -> Result<u64, StoreError> {
        self.run(
            "delete packages that no desktop has",
            &format!(
                "DELETE FROM inventory_package WHERE {} \
                 AND NOT EXISTS (SELECT 1 FROM inventory_installed l WHERE l.package_id = inventory_package.id)",
                in_keys(self.dialect(), "id", "$1")
            ),
            [key_array(packages.iter().copied()).into()],
        )
        .await
    }
}

/// That package `s` of project `$2` is the one in `value`.
const SAME_PACKAGE: &str = "s.project_id = $2 AND s.name_folded = value ->> 'f' AND s.name = value ->> 'm' \
     AND s.version = value ->> 'v' AND s.source = value ->> 's'";

/// What to add to and to take from `known` so that it becomes `wanted`.
pub fn software_difference(
    known: Vec<KnownPackage>,
    wanted: &[Installed],
) -> (Vec<Installed>, Vec<i64>) {
    let told: BTreeSet<&Installed> = wanted.iter().collect();
    let has: BTreeSet<&Installed> = known.iter().map(|it| &it.package).collect();
    let add = told.difference(&has).map(|it| (*it).clone()).collect();
    let remove = known
        .iter()
        .filter(|it| !told.contains(&it.package))
        .map(|it| it.key)
        .collect();
    (add, remove)
}
