//! What agents say about jobs, and what they are answered.
//!
//! **Guarantees.** An answer that lets an agent run (`Go`) or forget (`Recorded`) something is given after the commit
//! that makes it true. Everything may arrive twice (agents repeat what is not answered) and is answered the same.
//! Desktop and project come from the channel, never from a message.

use std::collections::BTreeMap;
use std::sync::Arc;

use outfitter_agent_protocol::{
    AttemptReport, Envelope, EnvelopeError, Evidence, PACKAGES_PATH, Phase, ServerMessage, Source,
    SourceTrust, Statement,
};
use outfitter_artifacts::{DownloadAddress, PackageStoreError};
use outfitter_domain::StoreType;
use outfitter_domain::downloads::Rates;
use outfitter_domain::job::Failure;
use outfitter_ids::AttemptId;
use outfitter_store::{
    AttemptSign, Connected, FinishOutcome, GoOutcome, GoRequest, ReconcileAction, ResultReport,
    SignedText, StoreError, TextSignature,
};

use crate::background::grouped::GroupError;
use crate::http::error::chain;
use crate::services::Services;

/// How long a desktop that declined a task is left alone.
const DECLINE_PAUSE: std::time::Duration = std::time::Duration::from_secs(15);

/// Why an event was not dealt with; the agent says it again.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The group that the event was part of.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The receipt of a result is none.
    #[error("the receipt of a result is none: {0}")]
    Receipt(#[from] EnvelopeError),
}

/// An agent came (back): its journal and the database are made to agree.
///
/// # Errors
/// When the database cannot.
pub async fn on_hello(
    services: &Services,
    from: Connected,
    attempts: &[AttemptReport],
) -> Result<Vec<ServerMessage>, EventError> {
    let tx = services.store.write().await?;
    let actions = tx
        .attempt_reconcile(from, attempts, services.clock.now())
        .await?;
    tx.commit().await?;
    services.background.look_at([from.desktop]);
    Ok(actions
        .into_iter()
        .map(|(attempt, action)| match action {
            ReconcileAction::Go => ServerMessage::Go { attempt },
            ReconcileAction::NoGo => ServerMessage::NoGo {
                attempt,
                reason: "the server gave this attempt up".to_owned(),
            },
            ReconcileAction::Cancel => ServerMessage::Cancel { attempt },
        })
        .collect())
}

/// The agent holds the task: it may run, if everything still stands.
///
/// # Errors
/// When the database cannot.
pub async fn on_accepted(
    services: &Services,
    from: Connected,
    attempt: AttemptId,
) -> Result<ServerMessage, EventError> {
    let outcome = services
        .background
        .goes
        .write(GoRequest { from, attempt })
        .await?;
    Ok(match outcome {
        GoOutcome::Released => ServerMessage::Go { attempt },
        GoOutcome::Refused(reason) => {
            services.background.look_at([from.desktop]);
            ServerMessage::NoGo {
                attempt,
                reason: Failure::bare(reason).message(),
            }
        }
        GoOutcome::Stale => {
            services.background.look_at([from.desktop]);
            ServerMessage::NoGo {
                attempt,
                reason: "the server gave this attempt up".to_owned(),
            }
        }
    })
}

/// The agent cannot take the task now.
///
/// # Errors
/// When the database cannot.
pub async fn on_declined(
    services: &Services,
    from: Connected,
    attempt: AttemptId,
    reason: &str,
) -> Result<(), EventError> {
    tracing::info!(attempt.id = %attempt, reason, "the agent declined a task");
    let tx = services.store.write().await?;
    tx.attempt_decline(from, attempt, DECLINE_PAUSE, services.clock.now())
        .await?;
    tx.commit().await?;
    Ok(())
}

/// The agent says where an attempt is. Kept in memory until the next group is written.
pub fn on_progress(
    services: &Services,
    from: Connected,
    attempt: AttemptId,
    (phase, percent, bytes_per_second): (Phase, Option<u8>, Option<u64>),
) {
    services.presence.note_attempt(AttemptSign {
        attempt,
        desktop: from.desktop,
        at: services.clock.now(),
        phase: Some(phase),
        percent: percent.map(|percent| percent.min(100)),
        bytes_per_second,
    });
}

/// Attempts the agent is still busy with.
pub fn on_heartbeat(services: &Services, from: Connected, attempts: &[AttemptId]) {
    let at = services.clock.now();
    for attempt in attempts {
        services.presence.note_attempt(AttemptSign {
            attempt: *attempt,
            desktop: from.desktop,
            at,
            phase: None,
            percent: None,
            bytes_per_second: None,
        });
    }
}

/// What the agent saw of an attempt is recorded as it signed it; only then it may forget it. The signature is verified
/// afterwards, by a task.
///
/// # Errors
/// When the database cannot, or the envelope holds no statement.
pub async fn on_result(
    services: &Services,
    from: Connected,
    receipt: &Envelope,
) -> Result<ServerMessage, EventError> {
    let statement = receipt.text()?;
    let signature = receipt.signature()?.map(|signature| TextSignature {
        certificate_sha256: signature.certificate_sha256,
        base64: receipt.signatures[0].sig.clone(),
    });
    let evidence = evidence_of(&statement)?;
    let attempt = evidence.attempt;
    let outcome = services
        .background
        .results
        .write(ResultReport {
            desktop: from.desktop,
            evidence,
            signed: Some(SignedText {
                statement,
                signature,
            }),
        })
        .await?;
    match outcome {
        FinishOutcome::Recorded(_) | FinishOutcome::Kept => {
            services.background.look_at([from.desktop]);
            services.background.nudge_receipts();
        }
        FinishOutcome::Duplicate => {}
        FinishOutcome::Unknown => {
            tracing::warn!(
                attempt.id = %attempt,
                "a result of an attempt that this desktop never had"
            );
        }
    }
    // Also where it changes nothing: the agent has done its part.
    Ok(ServerMessage::Recorded { attempt })
}

/// The evidence in a statement's text. U+0000, which PostgreSQL stores in no text, becomes U+FFFD in what is judged; the
/// statement itself is kept as it came (JSON escapes the character).
fn evidence_of(statement: &str) -> Result<Evidence, EnvelopeError> {
    let read = Statement::parse(statement)?;
    if !statement.contains("\\u0000") {
        return Ok(read.evidence);
    }
    let mut value = serde_json::to_value(&read.evidence).map_err(EnvelopeError::Statement)?;
    replace_nul(&mut value);
    serde_json::from_value(value).map_err(EnvelopeError::Statement)
}

/// Replaces U+0000 in every text of a value.
pub(crate) fn replace_nul(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(members) => members.values_mut().for_each(replace_nul),
        _ => {}
    }
}

/// Where the bytes of an attempt are.
///
/// # Errors
/// When the database cannot.
pub async fn source_for(
    services: &Arc<Services>,
    from: Connected,
    attempt: AttemptId,
) -> Result<ServerMessage, EventError> {
    let facts = services
        .store
        .db()
        .attempt_source(from.desktop, attempt)
        .await?;
    let none = |reason: &str, retry| ServerMessage::NoSource {
        attempt,
        reason: reason.to_owned(),
        retry,
    };
    let Some(facts) = facts else {
        return Ok(none("the server gave this attempt up", false));
    };
    let plain = |url, trust| (url, trust, None, None);
    let (url, trust, expires_at_millis, ca_pem) =
        match (facts.store_type, facts.sha256, facts.file_link) {
            (StoreType::Obs, Some(sha256), _) => {
                match address_in_the_store(services, &sha256).await {
                    Ok(Some(address)) => {
                        let expires_at = services.clock.now().plus(address.life);
                        let trust = SourceTrust::System;
                        (address.url, trust, Some(expires_at.get()), address.ca_pem)
                    }
                    Ok(None) => plain(format!("{PACKAGES_PATH}{sha256}"), SourceTrust::Server),
                    Err(PackageStoreError::NotFound { .. }) => {
                        let tx = services.store.write().await?;
                        tx.package_was_missing(&sha256, services.clock.now())
                            .await?;
                        tx.commit().await?;
                        return Ok(none(
                            "the package's bytes are not in the store any more",
                            false,
                        ));
                    }
                    Err(error) => {
                        tracing::warn!(error = chain(&error), "cannot say where a package is");
                        return Ok(none("the package store cannot be used now", true));
                    }
                }
            }
            (StoreType::Obs, None, _) => {
                return Ok(none("the package is not in the bucket", false));
            }
            (StoreType::Link, _, Some(link)) if !services.link_allow.allows(&link) => {
                // The list was made narrower after the link was taken.
                return Ok(none(
                    "the server's operator does not let desktops fetch from the application's link",
                    false,
                ));
            }
            (StoreType::Link, _, Some(link)) => plain(link, SourceTrust::System),
            (StoreType::Link, _, None) => return Ok(none("the app has no link", false)),
        };
    // What comes from this server is paced by it; what comes from elsewhere the agent paces.
    let rates = match trust {
        SourceTrust::Server => Rates::default(),
        SourceTrust::System => services.downloads.rates(services.clock.now()),
    };
    Ok(ServerMessage::Source(Source {
        attempt,
        url,
        headers: BTreeMap::new(),
        expires_at_millis,
        trust,
        bytes_per_second: rates.per_desktop,
        rate_holds_secs: rates.holds_secs,
        ca_pem,
    }))
}

/// Where the store itself hands a package out; `None` where this server does.
async fn address_in_the_store(
    services: &Services,
    sha256: &str,
) -> Result<Option<DownloadAddress>, PackageStoreError> {
    match sha256.parse() {
        Ok(sha256) => services.packages.download_address(&sha256).await,
        // The agent listener refuses what is no digest.
        Err(_) => Ok(None),
    }
}
