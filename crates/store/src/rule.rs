//! App control: rules, which of them are under control, and the restriction settings.

use outfitter_domain::fleet::{AppRuleBody, Restriction};
use outfitter_domain::text::fold;
use outfitter_domain::{AppSource, Millis};
use outfitter_ids::RuleId;
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::query::{Conditions, id_array, in_ids, in_keys, json, key_array, word};
use crate::{Db, Listed, Page, ProjectKey, RuleKey, StoreError, Tx};

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleContent {
    /// Name, unique in the project without regard to case.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// What it matches.
    pub body: AppRuleBody,
}

/// A stored rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRule {
    /// Key.
    pub key: RuleKey,
    /// Public id.
    pub id: RuleId,
    /// What it says.
    pub content: RuleContent,
    /// CUSTOM or SYSTEM.
    pub source: AppSource,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

/// Which rules to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleScopeFilter {
    /// Every one.
    All,
    /// Those under control.
    Restricted,
}

/// Whether rules come under control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// They do.
    On,
    /// They leave it.
    Off,
}

#[derive(FromQueryResult)]
struct RuleRow {
    id: i64,
    public_id: Uuid,
    name: String,
    description: Option<String>,
    rule: String,
    source: String,
    created_at: i64,
    updated_at: i64,
}

#[derive(FromQueryResult)]
struct RestrictionRow {
    enabled: i64,
    control_mode: i64,
    periodic: i64,
    periodic_interval_minutes: i64,
    force_kill: i64,
}

const RULE_COLUMNS: &str =
    "r.id, r.public_id, r.name, r.description, r.rule, r.source, r.created_at, r.updated_at";

impl RuleRow {
    fn read(self) -> Result<AppRule, StoreError> {
        Ok(AppRule {
            key: RuleKey::new(self.id),
            id: RuleId::new(self.public_id),
            content: RuleContent {
                name: self.name,
                description: self.description,
                body: json("app_rule", "rule", self.id, &self.rule)?,
            },
            source: word(
                "app_rule",
                "source",
                self.id,
                &self.source,
                AppSource::parse,
            )?,
            created_at: Millis::new(self.created_at),
            updated_at: Millis::new(self.updated_at),
        })
    }
}

impl Db<'_> {
    /// Those of the ids that are rules of the project.
    ///
    /// # Errors
    /// The database's.
    pub async fn rules_find(
        &self,
        project: ProjectKey,
        ids: &[RuleId],
    ) -> Result<Vec<AppRule>, StoreError> {
        let rows: Vec<RuleRow> = self
            .all(
                "look app rules up",
                &format!(
                    "SELECT {RULE_COLUMNS} FROM app_rule r WHERE r.project_id = $1 AND {}",
                    in_ids(self.dialect(), "r.public_id", "$2")
                ),
                [
                    project.into(),
                    id_array(ids.iter().map(|id| id.uuid())).into(),
                ],
            )
            .await?;
        rows.into_iter().map(RuleRow::read).collect()
    }

    /// Rules of the project whose name contains `name_part`, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn rule_list(
        &self,
        project: ProjectKey,
        scope: RuleScopeFilter,
        name_part: Option<&str>,
        page: Page,
    ) -> Result<Listed<AppRule>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("r.project_id", project);
        if scope == RuleScopeFilter::Restricted {
            conditions.and("r.restricted = 1");
        }
        if let Some(part) = name_part {
            conditions.contains("r.name_folded", part);
        }
        let paged = conditions.page("r.id DESC", page);
        let total = self
            .scalar(
                "count app rules",
                &format!("SELECT count(*) FROM app_rule r WHERE {}", paged.filter),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<RuleRow> = self
            .all(
                "list app rules",
                &format!("SELECT {RULE_COLUMNS} FROM app_rule r WHERE {}", paged.tail),
                paged.page_values,
            )
            .await?;
        Ok(Listed {
            total,
            items: rows
                .into_iter()
                .map(RuleRow::read)
                .collect::<Result<_, _>>()?,
        })
    }

    /// How app control works in the project; the contract's defaults where nobody set any.
    ///
    /// # Errors
    /// The database's.
    pub async fn restriction(&self, project: ProjectKey) -> Result<Restriction, StoreError> {
        let row: Option<RestrictionRow> = self
            .one(
                "read the restriction settings",
                "SELECT enabled, control_mode, periodic, periodic_interval_minutes, force_kill \
                 FROM app_restriction WHERE project_id = $1",
                [project.into()],
            )
            .await?;
        Ok(row.map_or_else(Restriction::default, |row| Restriction {
            enabled: row.enabled != 0,
            control_mode: row.control_mode,
            periodic: row.periodic != 0,
            periodic_interval_minutes: row.periodic_interval_minutes,
            force_kill: row.force_kill != 0,
        }))
    }
}

impl Tx {
    /// Stores a rule that is not under control.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the project has a rule of that name.
    pub async fn rule_insert(
        &self,
        project: ProjectKey,
        id: RuleId,
        content: &RuleContent,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.insert(
            "store an app rule",
            "INSERT INTO app_rule (public_id, project_id, name, name_folded, description, rule, source, \
             created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING id",
            [
                id.uuid().into(),
                project.into(),
                content.name.as_str().into(),
                fold(&content.name).into(),
                content.description.clone().into(),
                body_json(&content.body).into(),
                AppSource::Custom.as_str().into(),
                now.get().into(),
            ],
        )
        .await?;
        self.made("rule", id);
        Ok(())
    }

    /// Writes what a rule says. Read it in the same transaction, after [`Tx::project_lock`].
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the project has another rule of that name.
    pub async fn rule_update(
        &self,
        rule: RuleKey,
        content: &RuleContent,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "change an app rule",
            "UPDATE app_rule SET name = $2, name_folded = $3, description = $4, rule = $5, updated_at = $6 \
             WHERE id = $1",
            [
                rule.into(),
                content.name.as_str().into(),
                fold(&content.name).into(),
                content.description.clone().into(),
                body_json(&content.body).into(),
                now.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Deletes rules, also those under control.
    ///
    /// # Errors
    /// The database's.
    pub async fn rules_delete(&self, rules: &[RuleKey]) -> Result<(), StoreError> {
        self.run(
            "delete app rules",
            &format!(
                "DELETE FROM app_rule WHERE {}",
                in_keys(self.dialect(), "id", "$1")
            ),
            [key_array(rules.iter().map(|rule| rule.get())).into()],
        )
        .await
        .map(drop)
    }

    /// Puts rules under control or takes them off; one that is there (or off) already stays so.
    ///
    /// # Errors
    /// The database's.
    pub async fn rules_control(
        &self,
        rules: &[RuleKey],
        control: Control,
    ) -> Result<(), StoreError> {
        self.run(
            "control app rules",
            &format!(
                "UPDATE app_rule SET restricted = $2 WHERE {}",
                in_keys(self.dialect(), "id", "$1")
            ),
            [
                key_array(rules.iter().map(|rule| rule.get())).into(),
                i64::from(control == Control::On).into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Writes the restriction settings.
    ///
    /// # Errors
    /// The database's.
    pub async fn restriction_set(
        &self,
        project: ProjectKey,
        restriction: &Restriction,
    ) -> Result<(), StoreError> {
        self.run(
            "set the restriction settings",
            "INSERT INTO app_restriction (project_id, enabled, control_mode, periodic, \
             periodic_interval_minutes, force_kill) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (project_id) DO UPDATE SET enabled = excluded.enabled, \
             control_mode = excluded.control_mode, periodic = excluded.periodic, \
             periodic_interval_minutes = excluded.periodic_interval_minutes, force_kill = excluded.force_kill",
            [
                project.into(),
                i64::from(restriction.enabled).into(),
                restriction.control_mode.into(),
                i64::from(restriction.periodic).into(),
                restriction.periodic_interval_minutes.into(),
                i64::from(restriction.force_kill).into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Holds a project's settings for a change until the transaction ends.
    ///
    /// # Errors
    /// The database's.
    pub async fn project_lock(&self, project: ProjectKey) -> Result<(), StoreError> {
        let _: Option<i64> = self
            .db()
            .scalar(
                "hold a project's settings for a change",
                &format!(
                    "SELECT id FROM project WHERE id = $1{}",
                    // Not against inserts that refer to the project.
                    self.dialect().for_no_key_update()
                ),
                [project.into()],
            )
            .await?;
        Ok(())
    }
}

fn body_json(body: &AppRuleBody) -> String {
    serde_json::to_string(body).expect("a rule is JSON")
}
