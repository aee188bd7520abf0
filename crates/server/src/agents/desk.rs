//! `POST /desk`: what people at a desktop ask for, through its agent (docs/adr/0025-end-users.md).
//!
//! **Guarantees.** Which desktop asks is read from the certificate's row, who asks is looked for among the users of that
//! desktop alone: an agent can ask for nobody else and about nothing else. What is changed is audited as the agent's,
//! on behalf of the user. **Does not** decide anything of its own: that is `app::portal`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::HeaderMap;
use http::header::ORIGIN;
use outfitter_agent_protocol::{
    DESK_PAGE, DeskAnswer, DeskApp, DeskApps, DeskAsk, DeskJob, DeskRequest, desk_text,
};
use outfitter_domain::app::Catalog;
use outfitter_store::{
    AuditActor, AuditActorKind, AuditFacts, AuditKind, AuditScope, AuditTarget, CertificateHolder,
    EndUser, NewAuditScope, Page, PortalAppFilter, StoreError,
};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::peer::{Standing, identify};
use super::refusal::Refusal;
use crate::app::install::InstallError;
use crate::app::portal::{
    AccountError, EndUserDesktop, PortalError, SeenApp, TICKET_LIFETIME, cancel, issue_ticket,
    user_of_account,
};
use crate::edge::RetryAfter;
use crate::http::portal::{job_state_word, sentence};
use crate::listen::PeerCertificate;
use crate::services::Services;

/// Longest name of an account that is looked for, in characters.
const MAX_ACCOUNT_CHARS: usize = 256;

pub(super) async fn ask(
    State(services): State<Arc<Services>>,
    Extension(certificate): Extension<PeerCertificate>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    if headers.contains_key(ORIGIN) {
        return Err(Refusal::forbidden(
            "browser",
            "this is for agents: no page of any origin may ask here",
        ));
    }
    let (holder, standing) = identify(&services, &certificate).await?;
    if standing != Standing::Good {
        return Err(Refusal::forbidden(
            "certificate_expired",
            "the agent's certificate has expired; it renews it by itself when it connects",
        ));
    }
    services
        .edge
        .request_with(&holder.agent_id.to_string())
        .map_err(|RetryAfter(seconds)| Refusal::throttled_desk(seconds))?;
    let request: DeskRequest = serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad_request("request_invalid", error.to_string()))?;
    if request.account.is_empty()
        || request.account.chars().count() > MAX_ACCOUNT_CHARS
        || request.account.contains('\0')
    {
        return Err(Refusal::bad_request(
            "request_invalid",
            "the account is empty, too long, or holds the character U+0000",
        ));
    }
    let user = user_of_account(&services, holder.desktop, &request.account).await?;
    let at = EndUserDesktop {
        user: &user,
        desktop: holder.desktop,
        desktop_id: holder.desktop_id,
    };
    let answer = match audited(&request.ask) {
        None => answer(&services, &at, request.ask).await?,
        Some((operation, target)) => {
            let scope = scope(
                &services,
                &holder,
                &user,
                address,
                &request.ask,
                operation,
                target,
            );
            Box::pin(scope.run(answer(&services, &at, request.ask))).await?
        }
    };
    Ok(Json(answer).into_response())
}

/// What a question that changes something is called in the audit log, and what it is about.
fn audited(ask: &DeskAsk) -> Option<(&'static str, Option<String>)> {
    match ask {
        DeskAsk::Apps { .. } => None,
        DeskAsk::Install { app } => Some(("InstallPortalApp", Some(format!("app:{app}")))),
        DeskAsk::Remove { app } => Some(("RemovePortalApp", Some(format!("app:{app}")))),
        DeskAsk::Cancel { job } => Some(("CancelPortalJob", Some(format!("job:{job}")))),
        DeskAsk::Portal => Some(("IssuePortalTicket", None)),
    }
}

fn scope(
    services: &Services,
    holder: &CertificateHolder,
    user: &EndUser,
    address: SocketAddr,
    ask: &DeskAsk,
    operation: &'static str,
    target: Option<String>,
) -> Arc<AuditScope> {
    let desktop = format!("desktop:{}", holder.desktop_id);
    AuditScope::new(NewAuditScope {
        key: Arc::clone(services.audit.key()),
        ids: Arc::clone(&services.ids),
        facts: AuditFacts {
            domain: Some(user.domain),
            project: Some(user.project),
            at: services.clock.now(),
            action: format!("outfitter:operations:{operation}"),
            operation: operation.to_owned(),
            actor: AuditActor {
                kind: AuditActorKind::Agent,
                id: Some(holder.agent_id.to_string()),
                name: Some(holder.desktop_name.clone()),
                credential: "certificate".to_owned(),
            },
            on_behalf_of: Some(user.name.clone()),
            address: Some(address.ip().to_string()),
            request_id: None,
        },
        kind: AuditKind::Change,
        targets: target
            .into_iter()
            .chain([desktop])
            .map(|it| AuditTarget::parse(&it))
            .collect(),
        request: json!(ask),
    })
}

async fn answer(
    services: &Services,
    at: &EndUserDesktop<'_>,
    ask: DeskAsk,
) -> Result<DeskAnswer, Refusal> {
    Ok(match ask {
        DeskAsk::Apps { app, name, offset } => {
            let filter = PortalAppFilter {
                app,
                name: name.filter(|name| !name.is_empty() && !name.contains('\0')),
            };
            let page = Page {
                offset: offset.into(),
                limit: DESK_PAGE.into(),
            };
            let listed = at.apps(services, &filter, page).await?;
            DeskAnswer::Apps(DeskApps {
                user: at.user.name.clone(),
                total: u32::try_from(listed.total).unwrap_or(u32::MAX),
                items: listed.items.into_iter().map(shown).collect(),
            })
        }
        DeskAsk::Install { app } => DeskAnswer::Accepted(Box::new(shown(
            at.install(services, &app.to_string()).await?,
        ))),
        DeskAsk::Remove { app } => DeskAnswer::Accepted(Box::new(shown(
            at.remove(services, &app.to_string()).await?,
        ))),
        DeskAsk::Cancel { job } => {
            let job = cancel(services, at.user, &[at.desktop], &job.to_string()).await?;
            let app = job.live.view.app.to_string();
            DeskAnswer::Accepted(Box::new(shown(at.app(services, &app).await?)))
        }
        DeskAsk::Portal => {
            let address = issue_ticket(services, at.user, at.desktop).await?;
            DeskAnswer::Portal {
                address: address.expose_secret().to_owned(),
                good_for_secs: u32::try_from(TICKET_LIFETIME.as_secs()).unwrap_or(u32::MAX),
            }
        }
    })
}

fn shown(seen: SeenApp) -> DeskApp {
    let SeenApp { app, view } = seen;
    DeskApp {
        app: app.id,
        name: desk_text(&app.name),
        version: desk_text(&app.version),
        description: desk_text(&app.description),
        category: Catalog::find(&app.catalog_id)
            .map_or("Other", |catalog| catalog.name_en)
            .to_owned(),
        install_info: app.install_info.as_deref().map(desk_text),
        standing: view.standing.as_str().to_owned(),
        acts: view
            .acts
            .iter()
            .map(|act| act.as_str().to_owned())
            .collect(),
        verified: app
            .installed
            .as_ref()
            .is_some_and(|installed| installed.proof.is_verified()),
        installed_version: app.installed.map(|installed| desk_text(&installed.version)),
        job: app.job.map(|job| {
            let job = job.live;
            DeskJob {
                job: job.view.id,
                kind: job.view.kind,
                state: job_state_word(job.view.state).to_owned(),
                phase: job.phase,
                percent: job.percent.and_then(|percent| u8::try_from(percent).ok()),
                sentence: sentence(&job.view).map(str::to_owned),
            }
        }),
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::busy("answer somebody at a desktop", &error)
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        let reason = error.to_string();
        match error {
            AccountError::Unknown(_) => Self::forbidden("not_a_user_of_this_desktop", reason),
            AccountError::Ambiguous(_) => Self::forbidden("account_ambiguous", reason),
            AccountError::Disabled(_) => Self::forbidden("account_disabled", reason),
            AccountError::Store(error) => error.into(),
        }
    }
}

impl From<PortalError> for Refusal {
    fn from(error: PortalError) -> Self {
        match error {
            PortalError::DesktopNotFound | PortalError::AppNotFound | PortalError::JobNotFound => {
                Self::not_found("not_found", error.to_string())
            }
            PortalError::State(reason) => Self::conflict(reason),
            PortalError::Install(InstallError::Store(error)) | PortalError::Store(error) => {
                error.into()
            }
            PortalError::Install(error) => Self::conflict(error.to_string()),
        }
    }
}
