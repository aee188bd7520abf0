//! Routes that are no operations: for load balancers, metrics and browsers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use outfitter_artifacts::Sha256Digest;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry as Metrics;

use super::error::chain;
use crate::services::Services;

/// Shown at `/console/` as long as no console is built in.
const CONSOLE_PLACEHOLDER: &str = include_str!("../../../../console/dist/placeholder.html");

/// The plain routes.
pub(super) fn router(services: &Arc<Services>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route(
            "/console",
            get(|| async { Redirect::permanent("/console/") }),
        )
        .route("/console/", get(|| async { Html(CONSOLE_PLACEHOLDER) }))
        .with_state(Arc::clone(services))
}

/// Whether database and package store can be used.
async fn ready(State(services): State<Arc<Services>>) -> Response {
    if let Err(error) = services.store.ping().await {
        tracing::warn!(
            error = chain(&error),
            "not ready: the database does not answer"
        );
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        )
            .into_response();
    }
    if let Err(error) = services.packages.exists(&Sha256Digest::of(b"")).await {
        tracing::warn!(
            error = chain(&error),
            "not ready: the package store cannot be used"
        );
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the package store cannot be used\n",
        )
            .into_response();
    }
    "ready\n".into_response()
}

async fn metrics(State(services): State<Arc<Services>>) -> Response {
    let mut metrics = Metrics::with_prefix("outfitter");
    let channels = i64::try_from(services.registry.len()).unwrap_or(i64::MAX);
    metrics.register(
        "agent_channels",
        "Agents connected to this process",
        ConstGauge::new(channels),
    );
    let mut text = String::new();
    if let Err(error) = encode(&mut text, &metrics) {
        tracing::error!(%error, "cannot write the metrics");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    (
        [(
            CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
        .into_response()
}
