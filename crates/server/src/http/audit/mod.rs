//! `/api/v1/audit` and `/api/v1/{project_id}/audit`: reading, exporting, verifying and shortening the audit log.

mod export;
mod list;
mod prune;
mod show;
mod verify;

use outfitter_api_types::native::audit::{
    AuditActor, AuditEntry, AuditFilterQuery, AuditKind, AuditOutcome,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_store::{self as store, AuditFilter, AuditReach};

use super::{Call, Family, Operation, Routes};

const LIST: &str = "outfitter:audit:list";
const SHOW: &str = "outfitter:audit:show";
const EXPORT: &str = "outfitter:audit:export";

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/api/v1/{project_id}/audit", "ListProjectAuditEntries")
                .action(LIST)
                .family(Family::Native)
                .summary("List the audit entries of the project, newest first."),
            list::list,
        )
        .add_raw(
            Operation::get("/api/v1/{project_id}/audit/export", "ExportProjectAuditEntries")
                .action(EXPORT)
                .media(export::MEDIA)
                .summary("Export the audit entries of the project, oldest first, one JSON document a line."),
            export::export,
        )
        .add::<(), (), _, _, _>(
            Operation::get("/api/v1/{project_id}/audit/{entry_id}", "ShowProjectAuditEntry")
                .action(SHOW)
                .codes(&[404])
                .summary("Show an audit entry of the project, and what the call changed."),
            show::show,
        )
        .add(
            Operation::get("/api/v1/audit", "ListAuditEntries")
                .action(LIST)
                .summary("List the audit entries of the domain and of all its projects, newest first."),
            list::list,
        )
        .add_raw(
            Operation::get("/api/v1/audit/export", "ExportAuditEntries")
                .action(EXPORT)
                .media(export::MEDIA)
                .summary("Export the audit entries of the domain, oldest first, one JSON document a line."),
            export::export,
        )
        .add::<(), (), _, _, _>(
            Operation::get("/api/v1/audit/{entry_id}", "ShowAuditEntry")
                .action(SHOW)
                .codes(&[404])
                .summary("Show an audit entry of the domain, and what the call changed."),
            show::show,
        )
        .add::<_, (), _, _, _>(
            Operation::post("/api/v1/audit/actions/verify", "VerifyAudit")
                .action("outfitter:audit:verify")
                .optional_body()
                .reads()
                .codes(&[409])
                .summary("Compute the chains of the audit log and of results again, and say up to where they are whole."),
            verify::verify,
        )
        .add::<_, (), _, _, _>(
            Operation::post("/api/v1/audit/actions/prune", "PruneAudit")
                .action(crate::app::audit::PRUNE)
                // It leaves entries of its own.
                .reads()
                .summary("Delete the oldest audit entries; the rest of the chain stays provable."),
            prune::prune,
        );
}

/// Whose entries a call reads.
fn reach<B, Q>(call: &Call<B, Q>) -> AuditReach {
    match &call.context.project {
        Some(project) => AuditReach::Project(project.project),
        None => AuditReach::Domain(call.caller().domain),
    }
}

fn filter(query: AuditFilterQuery) -> AuditFilter {
    let instant = |time: WireTime| Millis::new(time.unix_millis());
    AuditFilter {
        from: query.from.map(instant),
        to: query.to.map(instant),
        actor: query.actor,
        action: query.action,
        resource: query.resource,
        kind: query.kind.map(|kind| match kind {
            AuditKind::Change => store::AuditKind::Change,
            AuditKind::Refusal => store::AuditKind::Refusal,
            AuditKind::Widening => store::AuditKind::Widening,
            AuditKind::Enrollment => store::AuditKind::Enrollment,
            AuditKind::Retention => store::AuditKind::Retention,
            AuditKind::Results => store::AuditKind::Results,
        }),
        outcome: query.outcome.map(|outcome| match outcome {
            AuditOutcome::Done => store::AuditOutcome::Done,
            AuditOutcome::Refused => store::AuditOutcome::Refused,
        }),
        request_id: query.request_id,
    }
}

fn wire(entry: store::AuditEntry) -> AuditEntry {
    AuditEntry {
        id: entry.id.hyphenated().to_string(),
        project_id: entry.project_id.map(|id| id.hyphenated().to_string()),
        time: WireTime::from_unix_millis(entry.at.get()),
        kind: match entry.kind {
            store::AuditKind::Change => AuditKind::Change,
            store::AuditKind::Refusal => AuditKind::Refusal,
            store::AuditKind::Widening => AuditKind::Widening,
            store::AuditKind::Enrollment => AuditKind::Enrollment,
            store::AuditKind::Retention => AuditKind::Retention,
            store::AuditKind::Results => AuditKind::Results,
        },
        outcome: match entry.outcome {
            store::AuditOutcome::Done => AuditOutcome::Done,
            store::AuditOutcome::Refused => AuditOutcome::Refused,
        },
        status: entry.status,
        action: entry.action,
        operation: entry.operation,
        actor: AuditActor {
            kind: entry.actor.kind.as_str().to_owned(),
            id: entry.actor.id,
            name: entry.actor.name,
            credential: entry.actor.credential,
        },
        on_behalf_of: entry.on_behalf_of,
        address: entry.address,
        request_id: entry.request_id,
        resources: entry.resources,
        resource_name: entry.resource_name,
        times: entry.times,
        // One that was damaged is shown without it: verifying says so.
        detail: serde_json::from_str(&entry.detail).unwrap_or_default(),
        sequence: entry.sequence,
        hash: entry.hash,
    }
}
