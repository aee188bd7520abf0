use std::sync::Arc;

use http::HeaderValue;
use http::header::{ETAG, IF_MATCH};
use outfitter_api_types::native::revisions::{AppRevision, SetDetectionRuleReq};
use outfitter_ids::AppId;
use outfitter_store::App;

use super::revisions::{agent_rule, app_revision};
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
    let expected = match call.context.headers.get(IF_MATCH) {
        None => None,
        Some(value) if value == "*" => None,
        Some(value) => Some(
            value
                .to_str()
                .ok()
                .and_then(|text| text.strip_prefix('"')?.strip_suffix('"'))
                .ok_or_else(|| ApiError::invalid("If-Match", "must be the ETag of an answer"))?,
        ),
    };
    let rule = call.body.rule.as_ref().map(agent_rule).transpose()?;
    let project = call.project().into();
    let id = AppId::lookup(call.path("app_id"));
    newest(detection_rules::set(&services, project, id, rule, expected).await?)
}

/// The newest revision, with its id as ETag.
fn newest(app: App) -> Result<Reply<AppRevision>, ApiError> {
    let id = app.revision.id;
    let tag = HeaderValue::try_from(format!("\"{id}\"")).expect("an id is plain text");
    let revision = app_revision(app.id, id, app.revision)?;
    Ok(Reply::new(revision).header(ETAG, tag))
}
