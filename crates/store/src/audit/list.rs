//! Reading the log.

use outfitter_domain::Millis;
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use super::entry::{AuditEntry, AuditKind, AuditOutcome, COLUMNS, EntryRow};
use crate::query::Conditions;
use crate::{Db, Dialect, DomainKey, ProjectKey, StoreError};

/// Whose entries are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditReach {
    /// Those of one project.
    Project(ProjectKey),
    /// Those of an account and of all its projects; of the first account also those of nobody known.
    Domain(DomainKey),
}

/// Which entries are read. What is `None` counts not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Not before.
    pub from: Option<Millis>,
    /// Before.
    pub to: Option<Millis>,
    /// Id, name or credential of who acted.
    pub actor: Option<String>,
    /// The action; one that ends in `*`: all that begin so.
    pub action: Option<String>,
    /// `kind:id` of something it is about; one that ends in `:`: of anything of the kind.
    pub resource: Option<String>,
    /// What it tells of.
    pub kind: Option<AuditKind>,
    /// How it ended.
    pub outcome: Option<AuditOutcome>,
    /// `X-Request-Id` of the answer.
    pub request_id: Option<String>,
}

#[derive(FromQueryResult)]
struct Named {
    id: i64,
    public_id: Uuid,
}

impl Db<'_> {
    /// Up to `limit` entries, newest first, older than the entry `after`. `None` when that one is not (or no longer)
    /// among those that may be read.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audit_list(
        &self,
        reach: AuditReach,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Option<Vec<AuditEntry>>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        within(&mut conditions, reach);
        if let Some(after) = after {
            let Some(key) = self.audit_key(reach, after).await? else {
                return Ok(None);
            };
            let key = conditions.bind(key);
            conditions.and(&format!("e.id < {key}"));
        }
        matching(&mut conditions, self.dialect(), filter);
        let paged = conditions.page("e.id DESC", crate::Page { offset: 0, limit });
        let rows: Vec<EntryRow> = self
            .all(
                "list audit entries",
                &format!("SELECT {COLUMNS} FROM audit_entry e WHERE {}", paged.tail),
                paged.page_values,
            )
            .await?;
        self.audit_entries(rows).await.map(Some)
    }

    /// Up to `limit` entries, oldest first, behind the one with the key `after`, and the key behind which the next page
    /// begins; `None`: this is the last.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audit_page_after(
        &self,
        reach: AuditReach,
        filter: &AuditFilter,
        after: i64,
        limit: i64,
    ) -> Result<(Vec<AuditEntry>, Option<i64>), StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        within(&mut conditions, reach);
        let after = conditions.bind(after);
        conditions.and(&format!("e.id > {after}"));
        matching(&mut conditions, self.dialect(), filter);
        let paged = conditions.page("e.id", crate::Page { offset: 0, limit });
        let rows: Vec<EntryRow> = self
            .all(
                "read audit entries",
                &format!("SELECT {COLUMNS} FROM audit_entry e WHERE {}", paged.tail),
                paged.page_values,
            )
            .await?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
        let next = rows.last().filter(|_| is_full).map(|row| row.id);
        Ok((self.audit_entries(rows).await?, next))
    }

    /// One entry.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audit_find(
        &self,
        reach: AuditReach,
        id: Uuid,
    ) -> Result<Option<AuditEntry>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        within(&mut conditions, reach);
        conditions.equals("e.public_id", id);
        let paged = conditions.page(
            "e.id",
            crate::Page {
                offset: 0,
                limit: 1,
            },
        );
        let rows: Vec<EntryRow> = self
            .all(
                "find an audit entry",
                &format!("SELECT {COLUMNS} FROM audit_entry e WHERE {}", paged.tail),
                paged.page_values,
            )
            .await?;
        Ok(self.audit_entries(rows).await?.into_iter().next())
    }

    async fn audit_key(&self, reach: AuditReach, id: Uuid) -> Result<Option<i64>, StoreError> {
        let mut conditions = Conditions::new(self.dialect());
        within(&mut conditions, reach);
        conditions.equals("e.public_id", id);
        let paged = conditions.page(
            "e.id",
            crate::Page {
                offset: 0,
                limit: 1,
            },
        );
        self.scalar(
            "find an audit entry",
            &format!("SELECT e.id FROM audit_entry e WHERE {}", paged.tail),
            paged.page_values,
        )
        .await
    }

    async fn audit_entries(&self, rows: Vec<EntryRow>) -> Result<Vec<AuditEntry>, StoreError> {
        let keys = crate::query::key_array(rows.iter().filter_map(|row| row.project_id));
        let projects: Vec<Named> = self
            .all(
                "find the projects of audit entries",
                &format!(
                    "SELECT id, public_id FROM project WHERE {}",
                    crate::query::in_keys(self.dialect(), "id", "$1")
                ),
                [Value::from(keys)],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                let project = row.project_id.and_then(|key| {
                    let found = projects.iter().find(|project| project.id == key)?;
                    Some(found.public_id)
                });
                row.entry(project)
            })
            .collect()
    }
}

fn within(conditions: &mut Conditions, reach: AuditReach) {
    match reach {
        AuditReach::Project(project) => conditions.equals("e.project_id", project),
        AuditReach::Domain(domain) => {
            let domain = conditions.bind(domain);
            conditions.and(&format!(
                "(e.domain_id = {domain} OR (e.domain_id IS NULL AND {domain} = (SELECT MIN(id) FROM domain)))"
            ));
        }
    }
}

fn matching(conditions: &mut Conditions, dialect: Dialect, filter: &AuditFilter) {
    if let Some(from) = filter.from {
        let from = conditions.bind(from.get());
        conditions.and(&format!("e.occurred_at >= {from}"));
    }
    if let Some(to) = filter.to {
        let to = conditions.bind(to.get());
        conditions.and(&format!("e.occurred_at < {to}"));
    }
    if let Some(actor) = &filter.actor {
        let actor = conditions.bind(actor.clone());
        conditions.and(&format!(
            "(e.actor_id = {actor} OR e.actor_name = {actor} OR e.credential = {actor} \
             OR e.credential = 'access_key ' || {actor})"
        ));
    }
    if let Some(action) = &filter.action {
        match action.strip_suffix('*') {
            None => conditions.equals("e.action", action.clone()),
            Some(start) => begins_with(conditions, "e.action", start),
        }
    }
    if let Some(resource) = &filter.resource {
        let pattern = if resource.ends_with(':') {
            format!("\n{resource}")
        } else {
            format!("\n{resource}\n")
        };
        let pattern = conditions.bind(pattern);
        let place = dialect.place_of("e.resources", &pattern);
        conditions.and(&format!("{place} > 0"));
    }
    if let Some(kind) = filter.kind {
        conditions.equals("e.kind", kind.as_str());
    }
    if let Some(outcome) = filter.outcome {
        conditions.equals("e.outcome", outcome.as_str());
    }
    if let Some(request_id) = &filter.request_id {
        conditions.equals("e.request_id", request_id.clone());
    }
}

/// Case counts, and no character of the text has a meaning of its own.
fn begins_with(conditions: &mut Conditions, column: &str, start: &str) {
    let start = conditions.bind(start.to_owned());
    conditions.and(&format!(
        "substr({column}, 1, length(CAST({start} AS TEXT))) = {start}"
    ));
}
