//! `GET /agent-programs/{sha256}`: a newer program of the agent, while a release that names it is rolled out.
//!
//! Any agent that is not revoked may have it, with an expired certificate too: the manifest's signature is what the
//! agent believes, and one that slept for long is to get here. Without a certificate, there are the programs that the
//! script for installing names ([`installer`]).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{ConnectInfo, Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, StatusCode};

use super::downloads::wanted;
use super::installer::{self, Found};
use super::peer::identify;
use super::refusal::Refusal;
use crate::edge::RetryAfter;
use crate::listen::PeerCertificate;
use crate::services::Services;

/// Sends a program, or the part asked for.
///
/// # Errors
/// A refusal with words for the desktop's owner.
pub async fn download(
    State(services): State<Arc<Services>>,
    Extension(certificate): Extension<PeerCertificate>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let content = if certificate.0.is_none() {
        for_stranger(&services, address.ip(), &sha256).await?
    } else {
        identify(&services, &certificate).await?;
        content(&services, &sha256).await?
    };
    let size = content.len() as u64;
    let range = headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok())
        .map(|text| wanted(text, size));
    let types = [
        (CONTENT_TYPE, "application/octet-stream"),
        (ACCEPT_RANGES, "bytes"),
    ];
    Ok(match range {
        None => (types, content).into_response(),
        Some(None) => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            [(CONTENT_RANGE, format!("bytes */{size}"))],
        )
            .into_response(),
        Some(Some(range)) => {
            let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            let at = |place: u64| usize::try_from(place).unwrap_or(content.len());
            let part = content.slice(at(range.start)..at(range.end));
            (
                StatusCode::PARTIAL_CONTENT,
                types,
                [(CONTENT_RANGE, told)],
                part,
            )
                .into_response()
        }
    })
}

/// A program for a machine that has no agent yet.
async fn for_stranger(services: &Services, source: IpAddr, sha256: &str) -> Result<Bytes, Refusal> {
    services
        .edge
        .program_for(source)
        .map_err(|RetryAfter(seconds)| Refusal::throttled_stranger(seconds))?;
    let found = installer::program(services, sha256)
        .await
        .map_err(|error| Refusal::busy("look a program of the agent up", &error))?;
    match found {
        Some(Found::Here(bytes)) => Ok(bytes),
        Some(Found::InRelease) => content(services, sha256).await,
        None => Err(Refusal::certificate_required()),
    }
}

async fn content(services: &Services, sha256: &str) -> Result<Bytes, Refusal> {
    let unknown = || {
        Refusal::not_found(
            "program_unknown",
            "no release that is rolled out has such a program",
        )
    };
    let failed = |error| Refusal::busy("look a program of the agent up", &error);
    let db = services.store.db();
    // Asked each time: a release that is halted stops at once.
    if !db
        .agent_program_is_handed_out(sha256)
        .await
        .map_err(failed)?
    {
        return Err(unknown());
    }
    if let Some(held) = services.updates.held(sha256) {
        return Ok(held);
    }
    // One reads it from the database; whoever waited finds it in memory.
    let _reading = services.updates.reading().await;
    if let Some(held) = services.updates.held(sha256) {
        return Ok(held);
    }
    let content = db.agent_program_content(sha256).await.map_err(failed)?;
    let content = Bytes::from(content.ok_or_else(unknown)?);
    services.updates.hold(sha256, content.clone());
    Ok(content)
}
