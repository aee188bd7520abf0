//! Asking connected desktops whether a rule holds there: a dry run, which changes nothing that we keep.
//!
//! Does not: reach desktops that are connected to another server of this installation; they are told apart by the caller.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use outfitter_agent_protocol::{DetectionRule, ServerMessage};
use outfitter_store::Desktop;
use tokio::time::timeout;

use crate::agents::questions::Answer;
use crate::agents::registry::Delivery;
use crate::services::Services;

/// Longest wait for all answers. A script that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(45);

/// What came of asking a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It answered.
    Answered(Answer),
    /// It has no channel to this server, or takes no message.
    NotConnected,
    /// It did not answer in time.
    Silent,
}

/// Asks all of them at once; answers in their order.
pub async fn evaluate(
    services: &Services,
    desktops: &[Desktop],
    rule: &DetectionRule,
) -> Vec<Asked> {
    join_all(desktops.iter().map(|desktop| ask(services, desktop, rule))).await
}

async fn ask(services: &Services, desktop: &Desktop, rule: &DetectionRule) -> Asked {
    let Some(epoch) = services.registry.epoch(desktop.key) else {
        return Asked::NotConnected;
    };
    let mut question = services.registry.questions.open(desktop.key);
    let message = Arc::new(ServerMessage::Detect {
        question: question.number,
        rule: Box::new(rule.clone()),
    });
    match services.registry.try_send(desktop.key, epoch, message) {
        Delivery::Queued => {}
        Delivery::Full | Delivery::Gone => return Asked::NotConnected,
    }
    match timeout(PATIENCE, &mut question.answer).await {
        Ok(Ok(answer)) => Asked::Answered(answer),
        Ok(Err(_)) | Err(_) => Asked::Silent,
    }
}
