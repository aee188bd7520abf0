use std::sync::Arc;

use outfitter_api_types::native::detection::{
    DetectionAnswer, DetectionAnswerState, EvaluateDetectionReq, EvaluateDetectionResponse,
};
use outfitter_ids::{AppId, DesktopId};

use super::revisions::agent_rule;
use crate::Services;
use crate::app::questions::{self, Asked};
use crate::http::{ApiError, Call, Reply};

pub(super) async fn evaluate_app_detection(
    services: Arc<Services>,
    call: Call<EvaluateDetectionReq>,
) -> Result<Reply<EvaluateDetectionResponse>, ApiError> {
    let project = call.project().project;
    let id = AppId::lookup(call.path("app_id")).ok_or(ApiError::APP_NOT_FOUND)?;
    let app = services
        .store
        .db()
        .app_find(project, id)
        .await?
        .ok_or(ApiError::APP_NOT_FOUND)?;
    let rule = match &call.body.rule {
        Some(rule) => agent_rule(rule)?,
        None => match app.revision.rule {
            Some(rule) => rule.rule,
            None => {
                return Err(ApiError::invalid(
                    "rule",
                    "must be given: the application has none of its own",
                ));
            }
        },
    };
    if let Some(problem) = rule.problem() {
        return Err(ApiError::invalid("rule", problem));
    }
    let mut desktops = Vec::with_capacity(call.body.desktop_ids.len());
    for id in &call.body.desktop_ids {
        let desktop = match DesktopId::lookup(id) {
            Some(id) => services.store.db().desktop_find(project, id).await?,
            None => None,
        };
        desktops.push(desktop.ok_or(ApiError::NotFound { noun: "desktop" })?);
    }
    // A script runs there: the audit log has it before it does.
    services.store.write().await?.commit().await?;
    let asked = questions::evaluate(&services, &desktops, &rule).await;
    Ok(Reply::new(EvaluateDetectionResponse {
        items: desktops
            .into_iter()
            .zip(asked)
            .map(|(desktop, asked)| {
                let (state, holds, seen) = match asked {
                    Asked::Answered(answer) => (
                        match answer.holds {
                            Some(_) => DetectionAnswerState::Evaluated,
                            None => DetectionAnswerState::NotEvaluable,
                        },
                        answer.holds,
                        Some(answer.seen),
                    ),
                    Asked::NotConnected => (DetectionAnswerState::NotConnected, None, None),
                    Asked::Silent => (DetectionAnswerState::NoAnswer, None, None),
                };
                DetectionAnswer {
                    desktop_id: desktop.id.to_string(),
                    desktop_name: desktop.name,
                    state,
                    holds,
                    seen,
                }
            })
            .collect(),
    }))
}
