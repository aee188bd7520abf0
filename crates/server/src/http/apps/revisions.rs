use std::sync::Arc;

use outfitter_agent_protocol::{DetectionRule, ExitOutcome};
use outfitter_api_types::native::revisions::{
    AppRevision, DetectionOrigin, ExitCode, ExitOutcome as WireOutcome, ListAppRevisionsQuery,
    ListAppRevisionsResponse, PackageCondition as WirePackageCondition,
    PackageState as WirePackageState, RevisionPackage,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_domain::app::RuleOrigin;
use outfitter_ids::{AppId, RevisionId};
use outfitter_packages::PackageFacts;
use outfitter_store::{PackageCondition, PackageState, Page, Revision};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::file_store_link;
use crate::Services;
use crate::http::packages::package_kind;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list_app_revisions(
    services: Arc<Services>,
    call: Call<(), ListAppRevisionsQuery>,
) -> Result<Reply<ListAppRevisionsResponse>, ApiError> {
    let id = AppId::lookup(call.path("app_id")).ok_or(ApiError::APP_NOT_FOUND)?;
    let db = services.store.db();
    let app = db
        .app_find(call.project().project, id)
        .await?
        .ok_or(ApiError::APP_NOT_FOUND)?;
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let listed = db.revision_list(app.key, page).await?;
    let newest = app.revision.id;
    Ok(Reply::new(ListAppRevisionsResponse {
        count: listed.total,
        items: listed
            .items
            .into_iter()
            .map(|revision| app_revision(id, newest, revision))
            .collect::<Result<_, _>>()?,
    }))
}

/// A revision as our own routes show it.
pub(super) fn app_revision(
    app: AppId,
    newest: RevisionId,
    revision: Revision,
) -> Result<AppRevision, ApiError> {
    let known = match (&revision.package, &revision.link_pin) {
        (Some(package), _) => Some((
            package.state,
            package.sha256.clone(),
            Some(package.size_bytes),
        )),
        (None, Some(pin)) => Some((PackageState::Ready, pin.sha256.clone(), pin.size_bytes)),
        (None, None) => None,
    };
    let kind = match &revision.package {
        Some(package) => {
            let facts: PackageFacts = serde_json::from_str(&package.facts)
                .map_err(|error| ApiError::internal("read the facts of a package", error))?;
            Some(package_kind(facts.kind))
        }
        None => None,
    };
    let bytes = revision.package;
    let (state, sha256, size_bytes) = match known {
        Some((state, sha256, size_bytes)) => (state, Some(sha256), size_bytes),
        None => (PackageState::Pending, None, None),
    };
    let content = revision.content;
    let (rule, origin) = match revision.rule {
        Some(rule) => (Some(same_json(&rule.rule)?), Some(rule.origin)),
        None => (None, None),
    };
    Ok(AppRevision {
        id: revision.id.to_string(),
        app_id: app.to_string(),
        number: revision.number,
        newest: revision.id == newest,
        version: content.version,
        package: RevisionPackage {
            app_file_store: file_store_link(content.file_store),
            state: match state {
                PackageState::Pending => WirePackageState::Pending,
                PackageState::Ready => WirePackageState::Ready,
                PackageState::Refused => WirePackageState::Refused,
                PackageState::Collecting | PackageState::Gone => WirePackageState::Gone,
            },
            sha256,
            size_bytes,
            kind,
            condition: bytes.as_ref().map(|bytes| wire_condition(bytes.condition)),
            looked_at: bytes
                .as_ref()
                .and_then(|bytes| bytes.looked_at)
                .map(wire_time),
            digested_at: bytes
                .as_ref()
                .and_then(|bytes| bytes.digested_at)
                .map(wire_time),
            is_digest_wanted: bytes.map(|bytes| bytes.is_digest_wanted),
            pinned_by_desktop_id: revision
                .link_pin
                .and_then(|pin| pin.pinned_by)
                .map(|desktop| desktop.id.to_string()),
        },
        install_command: content.install_command,
        uninstall_command: content.uninstall_command,
        detection_rule: rule,
        detection_origin: origin.map(|origin| match origin {
            RuleOrigin::Derived => DetectionOrigin::Derived,
            RuleOrigin::Written => DetectionOrigin::Written,
        }),
        success_exit_codes: revision.success_exit_codes,
        exit_codes: revision
            .exit_codes
            .into_iter()
            .map(|(code, meaning)| ExitCode {
                code: i64::from(code),
                outcome: wire_outcome(meaning.outcome),
                text: meaning.text,
            })
            .collect(),
        created_at: WireTime::from_unix_millis(revision.created_at.get()),
    })
}

/// What was found of a package as the wire has it.
pub(in crate::http) fn wire_condition(condition: PackageCondition) -> WirePackageCondition {
    match condition {
        PackageCondition::Intact => WirePackageCondition::Intact,
        PackageCondition::Missing => WirePackageCondition::Missing,
        PackageCondition::Altered => WirePackageCondition::Altered,
    }
}

fn wire_time(at: Millis) -> WireTime {
    WireTime::from_unix_millis(at.get())
}

/// A detection rule of an agent as the wire has it.
pub(in crate::http) fn wire_rule(
    rule: &DetectionRule,
) -> Result<outfitter_api_types::native::detection::DetectionRule, ApiError> {
    same_json(rule)
}

/// A detection rule of the wire as agents are sent it.
pub(super) fn agent_rule(
    rule: &outfitter_api_types::native::detection::DetectionRule,
) -> Result<DetectionRule, ApiError> {
    same_json(rule)
}

/// Both forms of a rule are the same JSON.
fn same_json<T: DeserializeOwned>(rule: &impl Serialize) -> Result<T, ApiError> {
    serde_json::to_value(rule)
        .and_then(serde_json::from_value)
        .map_err(|error| ApiError::internal("carry a detection rule over", error))
}

fn wire_outcome(outcome: ExitOutcome) -> WireOutcome {
    match outcome {
        ExitOutcome::Success => WireOutcome::Success,
        ExitOutcome::RebootNeeded => WireOutcome::RebootNeeded,
        ExitOutcome::Retry => WireOutcome::Retry,
        ExitOutcome::Failure => WireOutcome::Failure,
    }
}

/// What an exit code comes to, as agents are sent it.
pub(super) fn agent_outcome(outcome: WireOutcome) -> ExitOutcome {
    match outcome {
        WireOutcome::Success => ExitOutcome::Success,
        WireOutcome::RebootNeeded => ExitOutcome::RebootNeeded,
        WireOutcome::Retry => ExitOutcome::Retry,
        WireOutcome::Failure => ExitOutcome::Failure,
    }
}
