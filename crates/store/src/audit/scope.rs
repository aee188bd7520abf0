//! The context in which write transactions leave an entry.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outfitter_domain::Millis;
use outfitter_ids::IdSource;
use sea_orm::FromQueryResult;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::entry::{AuditActor, AuditActorKind, AuditKey, AuditKind, AuditOutcome, NewAuditEntry};
use super::snapshot::{Snapshot, strip_link_secrets};
use crate::query::{in_keys, key_array};
use crate::{AppKey, Db, DomainKey, ProjectKey, StoreError, Tx};

/// Resources of one entry whose state is kept; more are named only.
const MOST_STATES: usize = 50;

/// Resources that one entry names.
const MOST_RESOURCES: usize = 200;

/// Accounts that one entry about a widening names.
const MOST_WIDENED_ACCOUNTS: usize = 100;

/// Bytes of the states before and after, together, that one entry keeps.
const MOST_STATE_BYTES: usize = 16 * 1024;

/// Bytes of each kind of remark ([`Tx::remark`]) that one entry keeps.
const MOST_REMARK_BYTES: usize = 8 * 1024;

/// Bytes of the request that one entry keeps.
const MOST_REQUEST_BYTES: usize = 4 * 1024;

tokio::task_local! {
    /// `None`: what is written here is the server's own work on what was audited when it was accepted.
    static SCOPE: Option<Arc<AuditScope>>;
}

/// Who does what, from where: what every entry of one call says.
#[derive(Debug, Clone)]
pub struct AuditFacts {
    /// The account it belongs to.
    pub domain: Option<DomainKey>,
    /// The project it belongs to.
    pub project: Option<ProjectKey>,
    /// When the call came.
    pub at: Millis,
    /// `x-iam-action`, or a name of ours in its style.
    pub action: String,
    /// `operationId`.
    pub operation: String,
    /// Who.
    pub actor: AuditActor,
    /// For whom, where that is somebody else.
    pub on_behalf_of: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// `X-Request-Id` of the answer.
    pub request_id: Option<String>,
}

/// Something a call is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditTarget {
    /// Kind of resource: `app`, `desktop`, ...
    pub kind: String,
    /// Its public id, or whatever it goes by.
    pub id: String,
}

impl AuditTarget {
    /// Reads `kind:id`.
    pub fn parse(resource: &str) -> Self {
        let (kind, id) = resource.split_once(':').unwrap_or((resource, ""));
        Self {
            kind: kind.to_owned(),
            id: id.to_owned(),
        }
    }
}

impl std::fmt::Display for AuditTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

/// What a scope begins with.
pub struct NewAuditScope {
    /// Makes MACs.
    pub key: Arc<AuditKey>,
    /// Makes public ids.
    pub ids: Arc<dyn IdSource>,
    /// What every entry says.
    pub facts: AuditFacts,
    /// Kind of the entry that a transaction leaves.
    pub kind: AuditKind,
    /// What the call names, in its order. Empty for the server's own work: its transactions leave an entry only where
    /// they change something that is audited.
    pub targets: Vec<AuditTarget>,
    /// The request, without its secrets; `null` for none.
    pub request: Value,
}

/// One call, as long as it goes on.
pub struct AuditScope {
    key: Arc<AuditKey>,
    ids: Arc<dyn IdSource>,
    kind: AuditKind,
    targets: Vec<AuditTarget>,
    request: Value,
    state: Mutex<State>,
}

struct State {
    facts: AuditFacts,
    entries: u32,
}

impl AuditScope {
    /// Begins.
    pub fn new(new: NewAuditScope) -> Arc<Self> {
        let NewAuditScope {
            key,
            ids,
            facts,
            kind,
            targets,
            request,
        } = new;
        Arc::new(Self {
            key,
            ids,
            kind,
            targets,
            request: bounded(request),
            state: Mutex::new(State { facts, entries: 0 }),
        })
    }

    /// Runs a call: each write transaction that it commits leaves an entry.
    pub async fn run<F: Future>(self: &Arc<Self>, call: F) -> F::Output {
        SCOPE.scope(Some(Arc::clone(self)), call).await
    }

    /// Runs the server's own work on what was audited when it was accepted, so that one call leaves one entry and not
    /// one for each page of work that follows from it.
    pub async fn apart<F: Future>(work: F) -> F::Output {
        SCOPE.scope(None, work).await
    }

    /// The call that this task works on, where it is audited.
    pub fn current() -> Option<Arc<Self>> {
        SCOPE.try_with(Clone::clone).ok().flatten()
    }

    /// Says who it turned out to be, where that is known within the call only (a login, an enrollment).
    pub fn identify(&self, change: impl FnOnce(&mut AuditFacts)) {
        change(&mut self.lock().facts);
    }

    /// What every entry of this call says.
    pub fn facts(&self) -> AuditFacts {
        self.lock().facts.clone()
    }

    /// Entries that it left so far.
    pub fn entries(&self) -> u32 {
        self.lock().entries
    }

    /// What the call names.
    pub fn targets(&self) -> &[AuditTarget] {
        &self.targets
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry of this call.
    fn entry(&self, kind: AuditKind, resources: Vec<String>, detail: Value) -> NewAuditEntry {
        let facts = self.facts();
        NewAuditEntry {
            id: self.ids.uuid(facts.at.get()),
            domain: facts.domain,
            project: facts.project,
            at: facts.at,
            kind,
            outcome: AuditOutcome::Done,
            status: None,
            action: facts.action,
            operation: facts.operation,
            actor: facts.actor,
            on_behalf_of: facts.on_behalf_of,
            address: facts.address,
            request_id: facts.request_id,
            resources,
            resource_name: None,
            times: 1,
            detail,
        }
    }
}

/// A request within the bounds of an entry: of one that is too long, the members that are short.
fn bounded(request: Value) -> Value {
    let length = |value: &Value| value.to_string().len();
    if length(&request) <= MOST_REQUEST_BYTES {
        return request;
    }
    let Value::Object(members) = request else {
        return json!({"omitted_bytes": length(&request)});
    };
    let mut kept = Map::new();
    let mut room = MOST_REQUEST_BYTES;
    for (name, value) in members {
        let bytes = length(&value);
        let value = match value {
            value if bytes + name.len() <= room / 2 => value,
            Value::Array(items) => json!({"omitted_items": items.len()}),
            _ => json!({"omitted_bytes": bytes}),
        };
        // With quotes, colon and comma.
        let used = name.len() + length(&value) + 4;
        if used > room {
            kept.insert("omitted_members".to_owned(), true.into());
            break;
        }
        room -= used;
        kept.insert(name, value);
    }
    Value::Object(kept)
}

/// What one write transaction adds to its call.
pub(crate) struct AuditPart {
    scope: Arc<AuditScope>,
    touched: Mutex<Touched>,
}

#[derive(Default)]
struct Touched {
    /// What was there before of what the call names and of what announced itself.
    before: Vec<Snapshot>,
    /// What announced itself.
    targets: Vec<AuditTarget>,
    /// What is told beside states, by kind.
    remarks: BTreeMap<&'static str, Remarks>,
    /// Entries beside that of the call.
    beside: Vec<NewAuditEntry>,
}

#[derive(Default)]
struct Remarks {
    kept: Vec<Value>,
    bytes: usize,
    omitted: usize,
}

impl Touched {
    /// Whether there is nothing to tell of the server's own work.
    fn is_nothing(&self) -> bool {
        self.targets.is_empty() && self.remarks.is_empty()
    }
}

impl AuditPart {
    /// Begins: looks at what the call names.
    pub(crate) async fn begin(db: Db<'_>) -> Result<Option<Self>, StoreError> {
        let Some(scope) = AuditScope::current() else {
            return Ok(None);
        };
        let facts = scope.facts();
        let named = &scope.targets[..scope.targets.len().min(MOST_STATES)];
        let before = db
            .audit_snapshots(facts.domain, facts.project, named)
            .await?;
        let touched = Touched {
            before,
            ..Touched::default()
        };
        Ok(Some(Self {
            scope,
            touched: Mutex::new(touched),
        }))
    }

    fn touched(&self) -> MutexGuard<'_, Touched> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What makes MACs of what the transaction leaves.
    pub(super) fn key(&self) -> &AuditKey {
        &self.scope.key
    }

    /// An entry beside that of the call, with what every entry of the call says.
    pub(super) fn beside(
        &self,
        kind: AuditKind,
        resources: Vec<String>,
        resource_name: Option<String>,
        detail: Value,
        change: impl FnOnce(&mut NewAuditEntry),
    ) {
        let mut entry = self.scope.entry(kind, resources, detail);
        entry.resource_name = resource_name;
        change(&mut entry);
        self.touched().beside.push(entry);
    }

    /// Ends, just before the commit: looks again and stores the entries.
    pub(crate) async fn finish(&self, tx: &Tx) -> Result<(), StoreError> {
        let touched = std::mem::take(&mut *self.touched());
        if !(self.scope.targets.is_empty() && touched.is_nothing()) {
            self.finish_call(tx, &touched).await?;
        }
        for entry in touched.beside {
            tx.audit_insert(&self.scope.key, entry).await?;
        }
        Ok(())
    }

    async fn finish_call(&self, tx: &Tx, touched: &Touched) -> Result<(), StoreError> {
        let facts = self.scope.facts();
        let mut targets: Vec<&AuditTarget> =
            touched.targets.iter().chain(&self.scope.targets).collect();
        let mut seen = std::collections::BTreeSet::new();
        targets.retain(|target| seen.insert(*target));
        let omitted = targets.len().saturating_sub(MOST_RESOURCES);
        targets.truncate(MOST_RESOURCES);
        let with_state = &targets[..targets.len().min(MOST_STATES)];
        let after = tx
            .db()
            .audit_snapshots(facts.domain, facts.project, with_state.iter().copied())
            .await?;
        let (changes, left_out) = changes(with_state, &touched.before, &after);
        let resources: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let mut detail = Map::new();
        if !self.scope.request.is_null() {
            detail.insert("request".to_owned(), self.scope.request.clone());
        }
        if !changes.is_empty() {
            detail.insert("changes".to_owned(), changes.into());
        }
        for (name, remarks) in &touched.remarks {
            detail.insert((*name).to_owned(), remarks.kept.clone().into());
            if remarks.omitted > 0 {
                detail.insert(format!("{name}_omitted"), remarks.omitted.into());
            }
        }
        for (name, number) in [
            ("changes_omitted", left_out),
            ("states_omitted", targets.len() - with_state.len()),
            ("resources_omitted", omitted),
        ] {
            if number > 0 {
                detail.insert(name.to_owned(), number.into());
            }
        }
        let name = targets.first().and_then(|first| {
            after
                .iter()
                .chain(&touched.before)
                .find(|it| it.target == **first)
                .and_then(|it| it.name.clone())
        });
        let mut entry = self.scope.entry(self.scope.kind, resources, detail.into());
        entry.resource_name = name;
        tx.audit_insert(&self.scope.key, entry).await
    }

    /// After the commit.
    pub(crate) fn committed(&self) {
        self.scope.lock().entries += 1;
    }
}

/// Before and after of each resource whose state is another now, and how many were left out for their size. What does
/// not fit whole is kept as the members that differ.
fn changes(
    targets: &[&AuditTarget],
    before: &[Snapshot],
    after: &[Snapshot],
) -> (Vec<Value>, usize) {
    let find = |all: &[Snapshot], target: &AuditTarget| {
        all.iter()
            .find(|it| it.target == *target)
            .map(|it| (it.name.clone(), it.state.clone()))
    };
    let (mut changes, mut left_out, mut room) = (Vec::new(), 0, MOST_STATE_BYTES);
    for target in targets {
        let (old, new) = (find(before, target), find(after, target));
        if old == new {
            continue;
        }
        let name = new.as_ref().or(old.as_ref()).and_then(|it| it.0.clone());
        let state = |it: Option<(Option<String>, Value)>| it.map_or(Value::Null, |it| it.1);
        let mut change = json!({
            "resource": target.to_string(),
            "name": name,
            "before": state(old),
            "after": state(new),
        });
        // A page of alike changes (accounts that a directory disables) is to be kept whole.
        if change.to_string().len() > room.min(MOST_STATE_BYTES / MOST_STATES) {
            keep_what_differs(&mut change);
        }
        let bytes = change.to_string().len();
        if bytes > room {
            left_out += 1;
        } else {
            room -= bytes;
            changes.push(change);
        }
    }
    (changes, left_out)
}

/// Drops the members that are the same before and after; of what appears or vanishes all stay.
fn keep_what_differs(change: &mut Value) {
    let (Value::Object(before), Value::Object(after)) = (&change["before"], &change["after"])
    else {
        return;
    };
    let differs = |one: &Map<String, Value>, other: &Map<String, Value>| -> Value {
        one.iter()
            .filter(|(name, value)| other.get(*name) != Some(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>()
            .into()
    };
    let (before, after) = (differs(before, after), differs(after, before));
    change["before"] = before;
    change["after"] = after;
}

impl Tx {
    /// Says that the transaction made something: its state afterwards is kept, and the entry is about it first.
    pub(crate) fn made(&self, kind: &str, id: impl std::fmt::Display) {
        if let Some(part) = &self.audit {
            part.touched().targets.push(AuditTarget {
                kind: kind.to_owned(),
                id: id.to_string(),
            });
        }
    }

    /// Says that the transaction is about to change rows that its call did not name: the state before is read now, the
    /// one after at the commit, and the entry is about them.
    pub(crate) async fn changes(&self, kind: &str, rows: &[i64]) -> Result<(), StoreError> {
        let Some(part) = &self.audit else {
            return Ok(());
        };
        let now = self.db().audit_snapshots_of(kind, rows).await?;
        let mut touched = part.touched();
        for snapshot in now {
            if !touched.before.iter().any(|it| it.target == snapshot.target) {
                touched.targets.push(snapshot.target.clone());
                touched.before.push(snapshot);
            }
        }
        Ok(())
    }

    /// Tells something in the entry beside states, under the name of its kind.
    pub(crate) fn remark(&self, kind: &'static str, remark: Value) {
        let Some(part) = &self.audit else {
            return;
        };
        let mut touched = part.touched();
        let remarks = touched.remarks.entry(kind).or_default();
        let bytes = remark.to_string().len();
        if remarks.bytes + bytes > MOST_REMARK_BYTES {
            remarks.omitted += 1;
        } else {
            remarks.bytes += bytes;
            remarks.kept.push(remark);
        }
    }

    /// Says that the transaction let these accounts (none: everybody) have apps that they might not have had before:
    /// an entry of its own.
    pub(crate) async fn widened(
        &self,
        apps: &[AppKey],
        accounts: Vec<String>,
    ) -> Result<(), StoreError> {
        #[derive(FromQueryResult)]
        struct AppRow {
            public_id: Uuid,
            name: String,
        }
        let Some(part) = &self.audit else {
            return Ok(());
        };
        let rows: Vec<AppRow> = self
            .db()
            .all(
                "name widened applications",
                &format!(
                    "SELECT public_id, name FROM app WHERE {} ORDER BY id LIMIT $2",
                    in_keys(self.dialect(), "id", "$1")
                ),
                [
                    key_array(apps.iter().map(|app| app.get())).into(),
                    i64::try_from(MOST_RESOURCES).unwrap_or(i64::MAX).into(),
                ],
            )
            .await?;
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let to = if accounts.is_empty() {
            json!("everybody")
        } else {
            json!(&accounts[..accounts.len().min(MOST_WIDENED_ACCOUNTS)])
        };
        let detail = json!({
            "widened": {"apps": names, "app_count": apps.len(), "to": to, "account_count": accounts.len()}
        });
        part.beside(
            AuditKind::Widening,
            rows.iter()
                .map(|row| format!("app:{}", row.public_id))
                .collect(),
            rows.first().map(|row| row.name.clone()),
            detail,
            |_entry| {},
        );
        Ok(())
    }

    /// Says that a desktop's result pinned the digest of a link: an entry of its own, by the desktop's agent.
    pub(crate) async fn pinned(
        &self,
        revision: i64,
        sha256: &str,
        size_bytes: i64,
        desktop: i64,
    ) -> Result<(), StoreError> {
        #[derive(FromQueryResult)]
        struct PinRow {
            app_id: Uuid,
            app_name: String,
            number: i64,
            file_link: Option<String>,
            desktop_id: Uuid,
            desktop_name: String,
            agent_id: Option<Uuid>,
            project_id: i64,
            domain_id: i64,
        }
        let Some(part) = &self.audit else {
            return Ok(());
        };
        let row: Option<PinRow> = self
            .db()
            .one(
                "name who pinned a link's digest",
                "SELECT a.public_id AS app_id, a.name AS app_name, r.number, r.file_link, \
                 d.public_id AS desktop_id, d.name AS desktop_name, p.id AS project_id, p.domain_id, \
                 (SELECT g.public_id FROM agent g WHERE g.desktop_id = d.id AND g.revoked_at IS NULL) AS agent_id \
                 FROM app_revision r JOIN app a ON a.id = r.app_id JOIN project p ON p.id = a.project_id \
                 JOIN desktop d ON d.id = $2 WHERE r.id = $1",
                [revision.into(), desktop.into()],
            )
            .await?;
        let Some(row) = row else {
            return Ok(());
        };
        let mut link = json!(row.file_link);
        strip_link_secrets(&mut link);
        let resource = format!("app:{}", row.app_id);
        let detail = json!({
            "pinned": format!("pinned by desktop {}", row.desktop_name),
            "desktop_id": row.desktop_id,
            "revision": row.number,
            "link": link,
            "changes": [{
                "resource": resource,
                "name": row.app_name,
                "before": {"link_sha256": null, "link_size_bytes": null},
                "after": {"link_sha256": sha256, "link_size_bytes": size_bytes},
            }],
        });
        let resources = vec![resource, format!("desktop:{}", row.desktop_id)];
        part.beside(
            AuditKind::Change,
            resources,
            Some(row.app_name),
            detail,
            |entry| {
                entry.domain = Some(DomainKey::new(row.domain_id));
                entry.project = Some(ProjectKey::new(row.project_id));
                entry.actor = AuditActor {
                    kind: AuditActorKind::Agent,
                    id: row.agent_id.map(|id| id.to_string()),
                    name: Some(row.desktop_name),
                    credential: "certificate".to_owned(),
                };
            },
        );
        Ok(())
    }

    /// Whether the transaction belongs to a call that is audited.
    pub(crate) fn is_audited(&self) -> bool {
        self.audit.is_some()
    }
}

impl crate::Store {
    /// Stores the entry of a call that succeeded and committed no transaction of its own: a login, a credential.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn audit_call(&self, scope: &Arc<AuditScope>) -> Result<(), StoreError> {
        scope
            .run(async { self.write().await?.commit().await })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_request_keeps_what_is_short() {
        let accounts: Vec<String> = (0..500).map(|number| format!("account-{number}")).collect();
        let request = json!({"scope": "ASSIGN_USER", "users": accounts, "note": "x".repeat(9000)});
        let kept = bounded(request);
        assert_eq!(kept["scope"], "ASSIGN_USER");
        assert_eq!(kept["users"], json!({"omitted_items": 500}));
        assert_eq!(kept["note"], json!({"omitted_bytes": 9002}));
        let many: Map<String, Value> = (0..2000)
            .map(|number| (format!("member-{number}"), number.into()))
            .collect();
        assert!(bounded(many.into()).to_string().len() <= MOST_REQUEST_BYTES + 100);
        assert_eq!(
            bounded(json!("x".repeat(9000))),
            json!({"omitted_bytes": 9002})
        );
    }

    #[test]
    fn states_beyond_the_bound_are_counted_and_not_kept() {
        let target = |number: u32| AuditTarget::parse(&format!("app:{number}"));
        let targets: Vec<_> = (0..20).map(target).collect();
        let after: Vec<_> = targets
            .iter()
            .map(|target| Snapshot {
                target: target.clone(),
                name: None,
                state: json!({"description": "x".repeat(3000)}),
            })
            .collect();
        let targets: Vec<_> = targets.iter().collect();
        let (kept, left_out) = changes(&targets, &[], &after);
        assert_eq!(kept.len() + left_out, 20);
        assert_eq!(kept.len(), 5);
        assert_eq!(changes(&targets, &after, &after), (Vec::new(), 0));
    }
}
