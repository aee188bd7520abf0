//! The session of an end user: come in, see and renew, leave.

use std::sync::Arc;

use http::header::SET_COOKIE;
use outfitter_api_types::native::portal::{
    CreatePortalSessionReq, ListPortalLoginMethodsQuery, ListPortalLoginMethodsResponse,
    PortalDesktop, PortalSession,
};
use outfitter_api_types::time::WireTime;
use outfitter_ids::DesktopId;
use outfitter_store::EndUser;
use secrecy::SecretString;

use crate::app::desktops::is_connected;
use crate::app::portal::{EntryError, desktops_of, log_in, login_project, take_ticket};
use crate::auth::{CookieTransport, PortalClaims, check_origin};
use crate::http::{ApiError, Call, Operation, Reply, Routes};
use crate::services::Services;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    const PATH: &str = "/api/v1/portal/session";
    routes
        .add::<_, (), _, _, _>(
            Operation::post(PATH, "CreatePortalSession")
                .open()
                .status(201)
                .headers(&["Set-Cookie"])
                .summary(
                    "Let an end user in, by a ticket of their desktop's agent or by the password of the company \
                     directory: the session is a cookie. Wants the header X-Outfitter-Console.",
                ),
            create,
        )
        .add::<(), _, _, _, _>(
            Operation::get("/api/v1/portal/login-methods", "ListPortalLoginMethods")
                .open()
                .summary("Say how end users can log in."),
            methods,
        )
        .add::<(), (), _, _, _>(
            Operation::get(PATH, "ShowPortalSession")
                .end_user()
                .headers(&["Set-Cookie"])
                .summary("Show whose session it is and where it is good, and let it live on."),
            show,
        )
        .add::<(), (), _, _, _>(
            Operation::delete(PATH, "DeletePortalSession")
                .end_user()
                .status(204)
                .headers(&["Set-Cookie"])
                .summary("Let an end user leave."),
            delete,
        );
}

async fn create(
    services: Arc<Services>,
    call: Call<CreatePortalSessionReq>,
) -> Result<Reply<PortalSession>, ApiError> {
    check_origin(&http::Method::POST, &call.context.headers)?;
    let source = call.context.source;
    let body = call.body;
    let (user, desktop) = match (body.ticket, body.user_name, body.password) {
        (Some(ticket), None, None) => {
            let taken = take_ticket(&services, ticket.expose()).await;
            if matches!(taken, Err(EntryError::Ticket)) {
                services.edge.wrong_credential_from(source);
            }
            let (user, desktop) = taken?;
            (user, Some(desktop))
        }
        (None, Some(name), Some(password)) => {
            let password = SecretString::from(password.expose());
            let project = body.project_id.as_deref();
            let user = log_in(&services, project, &name, password, source).await?;
            (user, None)
        }
        (Some(_), _, _) => {
            return Err(ApiError::invalid(
                "ticket",
                "cannot be combined with a name or password",
            ));
        }
        (None, None, _) => {
            return Err(ApiError::invalid(
                "user_name",
                "is required where there is no ticket",
            ));
        }
        (None, Some(_), None) => {
            return Err(ApiError::invalid("password", "is required with user_name"));
        }
    };
    let claims = services
        .auth
        .begin_portal_session(&user, desktop, services.clock.now());
    answer(&services, &user, desktop, &claims).await
}

async fn methods(
    services: Arc<Services>,
    call: Call<(), ListPortalLoginMethodsQuery>,
) -> Result<Reply<ListPortalLoginMethodsResponse>, ApiError> {
    let project = login_project(&services, call.query.project_id.as_deref()).await?;
    Ok(Reply::new(ListPortalLoginMethodsResponse {
        password: project.is_some(),
    }))
}

async fn show(services: Arc<Services>, call: Call) -> Result<Reply<PortalSession>, ApiError> {
    let visitor = call.visitor();
    let claims = services
        .auth
        .renew_portal_session(visitor.claims, services.clock.now());
    answer(&services, &visitor.user, visitor.desktop, &claims).await
}

async fn delete(services: Arc<Services>, _call: Call) -> Result<Reply, ApiError> {
    let cookie = services.auth.no_portal_cookie(transport(&services));
    Ok(Reply::empty().header(SET_COOKIE, cookie))
}

async fn answer(
    services: &Services,
    user: &EndUser,
    desktop: Option<DesktopId>,
    claims: &PortalClaims,
) -> Result<Reply<PortalSession>, ApiError> {
    let desktops = desktops_of(services, user, desktop)
        .await?
        .into_iter()
        .map(|desktop| PortalDesktop {
            connected: is_connected(services, &desktop),
            restart_pending: desktop.reboot_needed_at.is_some(),
            id: desktop.id.to_string(),
            name: desktop.name,
        })
        .collect();
    let session = PortalSession {
        user_id: user.user_id.to_string(),
        user_name: user.name.clone(),
        project_id: user.project_id.to_string(),
        is_of_desktop: desktop.is_some(),
        desktops,
        expires_at: WireTime::from_unix_millis(claims.expires_at.get()),
    };
    let cookie = services
        .auth
        .portal_cookie(claims, services.clock.now(), transport(services));
    Ok(Reply::new(session).header(SET_COOKIE, cookie))
}

fn transport(services: &Services) -> CookieTransport {
    CookieTransport::of(&services.endpoints.endpoint)
}
