//! Asking connected desktops: whether a rule holds there, and what their agents logged. Nothing is changed that we keep.
//!
//! Does not: reach desktops that are connected to another server of this installation; they are told apart by the caller.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use outfitter_agent_protocol::{DetectionRule, ServerMessage};
use outfitter_store::Desktop;
use tokio::time::timeout;

use crate::agents::questions::{Answer, Seen};
use crate::agents::registry::Delivery;
use crate::services::Services;

/// Longest wait for all answers about a rule. A script that takes longer is not waited for.
const RULE_PATIENCE: Duration = Duration::from_secs(45);

/// Longest wait for a log, which an agent has at hand.
const LOG_PATIENCE: Duration = Duration::from_secs(15);

/// What came of asking a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<T> {
    /// It answered.
    Answered(T),
    /// It has no channel to this server, or takes no message.
    NotConnected,
    /// It did not answer in time.
    Silent,
}

/// Asks all of them at once whether a rule holds; answers in their order.
pub async fn evaluate(
    services: &Services,
    desktops: &[Desktop],
    rule: &DetectionRule,
) -> Vec<Asked<Seen>> {
    join_all(desktops.iter().map(|desktop| {
        let message = |question| ServerMessage::Detect {
            question,
            rule: Box::new(rule.clone()),
        };
        ask(
            services,
            desktop,
            RULE_PATIENCE,
            message,
            |answer| match answer {
                Answer::Rule(seen) => Some(seen),
                Answer::Log(_) => None,
            },
        )
    }))
    .await
}

/// The newest of what a desktop's agent logged since it started: whole lines, the newest last.
pub async fn read_log(services: &Services, desktop: &Desktop) -> Asked<String> {
    let message = |question| ServerMessage::ReadLog { question };
    ask(
        services,
        desktop,
        LOG_PATIENCE,
        message,
        |answer| match answer {
            Answer::Log(text) => Some(text),
            Answer::Rule(_) => None,
        },
    )
    .await
}

/// What answers another question than was asked is no answer.
async fn ask<T>(
    services: &Services,
    desktop: &Desktop,
    patience: Duration,
    message: impl FnOnce(u64) -> ServerMessage,
    read: impl FnOnce(Answer) -> Option<T>,
) -> Asked<T> {
    let Some(epoch) = services.registry.epoch(desktop.key) else {
        return Asked::NotConnected;
    };
    let mut question = services.registry.questions.open(desktop.key);
    let message = Arc::new(message(question.number));
    match services.registry.try_send(desktop.key, epoch, message) {
        Delivery::Queued => {}
        Delivery::Full | Delivery::Gone => return Asked::NotConnected,
    }
    match timeout(patience, &mut question.answer).await {
        Ok(Ok(answer)) => read(answer).map_or(Asked::Silent, Asked::Answered),
        Ok(Err(_)) | Err(_) => Asked::Silent,
    }
}
