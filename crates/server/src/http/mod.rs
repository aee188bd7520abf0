//! The HTTP interface: a folder per resource, a file per verb; one mechanism for all of them (`routes.rs`).

#[cfg(test)]
mod access_tests;
mod agent_releases;
pub mod answers;
mod app_rules;
mod apps;
mod audit;
mod authorizations;
mod body;
pub(crate) mod buckets;
pub mod call;
mod catalogs;
mod console;
mod copies;
mod deployments;
mod desktops;
mod directory;
mod download_limits;
mod enrollment_requests;
mod enrollment_tokens;
pub mod error;
mod events;
mod freeze;
mod groups;
mod iam;
mod icons;
mod install;
mod inventory;
mod jobs;
mod keystone;
pub(crate) mod limits;
#[cfg(test)]
mod log_tests;
mod logged_in_users;
mod login;
mod login_provider;
pub mod openapi;
pub mod operation;
mod packages;
mod plain;
pub(crate) mod portal;
mod profiles;
mod reference;
pub mod refusals;
pub mod request_id;
pub(crate) mod resources;
pub mod routes;
mod running_programs;
pub mod schema;
pub mod sentences;
mod session;
mod smuggling;
mod store;
mod tags;
mod trail;
mod users;
mod why;
mod workspace_jobs;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use tower_http::catch_panic::CatchPanicLayer;

pub use call::{Call, Reply};
pub use error::{ApiError, GatewayError};
pub(crate) use login::RETURN as LOGIN_RETURN;
pub use operation::{Family, Operation};
pub use routes::Routes;

use crate::services::Services;

/// The route table of the whole server.
pub fn routes() -> Routes {
    let mut routes = Routes::default();
    apps::register(&mut routes);
    authorizations::register(&mut routes);
    buckets::register(&mut routes);
    catalogs::register(&mut routes);
    icons::register(&mut routes);
    packages::register(&mut routes);
    install::register(&mut routes);
    jobs::register(&mut routes);
    logged_in_users::register(&mut routes);
    copies::register(&mut routes);
    deployments::register(&mut routes);
    events::register(&mut routes);
    download_limits::register(&mut routes);
    agent_releases::register(&mut routes);
    freeze::register(&mut routes);
    running_programs::register(&mut routes);
    audit::register(&mut routes);
    desktops::register(&mut routes);
    directory::register(&mut routes);
    enrollment_requests::register(&mut routes);
    enrollment_tokens::register(&mut routes);
    keystone::register(&mut routes);
    iam::register(&mut routes);
    groups::register(&mut routes);
    users::register(&mut routes);
    tags::register(&mut routes);
    why::register(&mut routes);
    inventory::register(&mut routes);
    workspace_jobs::register(&mut routes);
    app_rules::register(&mut routes);
    portal::register(&mut routes);
    profiles::register(&mut routes);
    session::register(&mut routes);
    login_provider::register(&mut routes);
    store::register(&mut routes);
    routes
}

/// The API listener's service.
pub fn router(services: &Arc<Services>) -> Router {
    let routes = routes();
    let document = openapi::router(&routes);
    routes
        .into_router(Arc::clone(services))
        .merge(plain::router(services))
        .merge(console::router(&buckets::upload_origins(services)))
        .merge(login::router(services))
        .merge(reference::router())
        .merge(document)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(smuggling::one_request))
        .layer(from_fn_with_state(Arc::clone(services), limits::check))
        .layer(from_fn_with_state(Arc::clone(services), request_id::assign))
}

/// A panic is a broken invariant of ours: the caller reads 500, the log the message.
fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let message = cause
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "no message".to_owned());
    ApiError::internal("handle a request: it panicked", message)
        .into_response(Family::AppCenter, "")
}
