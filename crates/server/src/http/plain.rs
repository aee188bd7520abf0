//! Routes that are no operations: for load balancers and metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry as Metrics;

use super::error::chain;
use crate::services::Services;

/// Longest wait for the package store, whose client would try again for longer.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The plain routes.
pub(super) fn router(services: &Arc<Services>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
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
    let usable = tokio::time::timeout(STORE_PATIENCE, services.packages.ping()).await;
    if let Err(error) = usable
        .map_err(|_| "it does not answer".to_owned())
        .and_then(|answer| answer.map_err(|error| chain(&error)))
    {
        tracing::warn!(error, "not ready: the package store cannot be used");
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
    services.answers.register(&mut metrics);
    services.edge.register(&mut metrics);
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
