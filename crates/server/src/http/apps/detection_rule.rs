use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue};
use outfitter_agent_protocol::ExitMeaning;
use outfitter_api_types::native::revisions::{AppRevision, SetDetectionRuleReq, SetExitCodesReq};
use outfitter_domain::app::text_problem;
use outfitter_ids::AppId;
use outfitter_store::App;

use super::revisions::{agent_outcome, agent_rule, app_revision};
use crate::Services;
use crate::app::detection_rules;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn show_app_detection_rule(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<AppRevision>, ApiError> {
    let id = AppId::lookup(call.path("app_id")).ok_or(ApiError::APP_NOT_FOUND)?;
    let app = services
        .store
        .db()
        .app_find(call.project().project, id)
        .await?
        .ok_or(ApiError::APP_NOT_FOUND)?;
    newest(app)
}

pub(super) async fn set_app_detection_rule(
    services: Arc<Services>,
    call: Call<SetDetectionRuleReq>,
) -> Result<Reply<AppRevision>, ApiError> {
    let expected = expected(&call.context.headers)?;
    let rule = call.body.rule.as_ref().map(agent_rule).transpose()?;
    let project = call.project().into();
    let id = AppId::lookup(call.path("app_id"));
    newest(detection_rules::set(&services, project, id, rule, expected).await?)
}

pub(super) async fn set_app_exit_codes(
    services: Arc<Services>,
    call: Call<SetExitCodesReq>,
) -> Result<Reply<AppRevision>, ApiError> {
    let expected = expected(&call.context.headers)?;
    let mut meanings = BTreeMap::new();
    for (index, given) in call.body.exit_codes.iter().enumerate() {
        let field = format!("exit_codes[{index}]");
        let code = i32::try_from(given.code)
            .map_err(|_| ApiError::invalid(format!("{field}.code"), "is no exit code"))?;
        if let Some(problem) = given
            .text
            .as_deref()
            .and_then(|text| text_problem("text", text))
        {
            return Err(ApiError::invalid(format!("{field}.text"), problem.reason));
        }
        let meaning = ExitMeaning {
            outcome: agent_outcome(given.outcome),
            text: given.text.clone(),
        };
        if meanings.insert(code, meaning).is_some() {
            return Err(ApiError::invalid(format!("{field}.code"), "is given twice"));
        }
    }
    let project = call.project().into();
    let id = AppId::lookup(call.path("app_id"));
    newest(detection_rules::set_exit_codes(&services, project, id, &meanings, expected).await?)
}

/// The revision that `If-Match` names; `None`: any.
fn expected(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    match headers.get(IF_MATCH) {
        None => Ok(None),
        Some(value) if value == "*" => Ok(None),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix('"')?.strip_suffix('"'))
            .map(Some)
            .ok_or_else(|| ApiError::invalid("If-Match", "must be the ETag of an answer")),
    }
}

/// The newest revision, with its id as ETag.
fn newest(app: App) -> Result<Reply<AppRevision>, ApiError> {
    let id = app.revision.id;
    let tag = HeaderValue::try_from(format!("\"{id}\"")).expect("an id is plain text");
    let revision = app_revision(app.id, id, app.revision)?;
    Ok(Reply::new(revision).header(ETAG, tag))
}
