//! Why a desktop has an application or has it not, and which desktops have an old one.

use std::sync::Arc;

use outfitter_api_types::native::why::{
    ListOutdatedDesktopsQuery, ListOutdatedDesktopsResponse, OutdatedDesktop, WhyLanguage,
    WhyQuery, WhyResponse, WhyResult, WhyStep, WhyStepKind,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::Language;
use outfitter_domain::why::{Step, StepKind, StepResult};
use outfitter_ids::AppId;
use outfitter_store::{App, Db, Page, ProjectKey};

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;
use crate::app::{desktops, why};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get("/api/v1/{project_id}/why", "ShowWhy")
                .action("outfitter:why:get")
                .codes(&[404])
                .summary(
                    "Say in words why a desktop has an application or has it not, step by step, from its authorization to \
                     the last attempt.",
                ),
            show_why,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/apps/{app_id}/outdated-desktops",
                "ListOutdatedDesktops",
            )
            .action("outfitter:apps:listOutdatedDesktops")
            .codes(&[404])
            .summary("List the desktops that have an older revision of an application than the newest."),
            list_outdated_desktops,
        );
}

async fn show_why(
    services: Arc<Services>,
    call: Call<(), WhyQuery>,
) -> Result<Reply<WhyResponse>, ApiError> {
    let project = call.project().project;
    let db = services.store.db();
    let app = app(&db, project, &call.query.app).await?;
    let desktop = desktops::find(&services, project, &call.query.desktop)
        .await?
        .ok_or(ApiError::NotFound { noun: "desktop" })?;
    let language = match call.query.language {
        WhyLanguage::En => Language::English,
        WhyLanguage::Zh => Language::Chinese,
    };
    let why = why::why(&services, project, &app, &desktop, language).await?;
    Ok(Reply::new(WhyResponse {
        app_id: app.id.to_string(),
        desktop_id: desktop.id.to_string(),
        answer: why.answer,
        steps: why.steps.into_iter().map(step).collect(),
    }))
}

async fn list_outdated_desktops(
    services: Arc<Services>,
    call: Call<(), ListOutdatedDesktopsQuery>,
) -> Result<Reply<ListOutdatedDesktopsResponse>, ApiError> {
    let project = call.project().project;
    let db = services.store.db();
    let app = app(&db, project, call.path("app_id")).await?;
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let listed = db.desktop_app_outdated(project, app.key, page).await?;
    Ok(Reply::new(ListOutdatedDesktopsResponse {
        count: listed.total,
        items: listed
            .items
            .into_iter()
            .map(|found| OutdatedDesktop {
                desktop_id: found.desktop.to_string(),
                desktop_name: found.desktop_name,
                app_revision_id: found.revision.to_string(),
                app_version: found.version,
                installed_at: WireTime::from_unix_millis(found.installed_at.get()),
            })
            .collect(),
    }))
}

async fn app(db: &Db<'_>, project: ProjectKey, text: &str) -> Result<App, ApiError> {
    match AppId::lookup(text) {
        Some(id) => db.app_find(project, id).await?,
        None => None,
    }
    .ok_or(ApiError::APP_NOT_FOUND)
}

fn step(step: Step) -> WhyStep {
    WhyStep {
        step: match step.kind {
            StepKind::App => WhyStepKind::App,
            StepKind::OperatingSystem => WhyStepKind::OperatingSystem,
            StepKind::Authorization => WhyStepKind::Authorization,
            StepKind::Agent => WhyStepKind::Agent,
            StepKind::HandOuts => WhyStepKind::HandOuts,
            StepKind::Deployment => WhyStepKind::Deployment,
            StepKind::Job => WhyStepKind::Job,
            StepKind::Attempt => WhyStepKind::Attempt,
            StepKind::Installed => WhyStepKind::Installed,
        },
        result: match step.result {
            StepResult::Fine => WhyResult::Fine,
            StepResult::Blocks => WhyResult::Blocks,
            StepResult::Note => WhyResult::Note,
        },
        text: step.text,
        hint: Some(step.hint).filter(|hint| !hint.is_empty()),
        at: step.at.map(|at| WireTime::from_unix_millis(at.get())),
    }
}
