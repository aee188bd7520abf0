//! What agents and servers tell each other: frames of the channel, enrollment, tokens.
//!
//! Input: one frame.

use outfitter_agent_protocol::{
    AgentMessage, DetectionRule, EnrollRequest, EnrollmentToken, Evidence, ServerMessage,
};
use serde_json::Value;

/// What can be read is written so that it reads the same.
macro_rules! same_again {
    ($data:expr, $($kind:ty),+) => {$(
        if let Ok(read) = serde_json::from_slice::<$kind>($data) {
            let written = serde_json::to_value(&read).expect("a message is JSON");
            let again: $kind =
                serde_json::from_value(written.clone()).expect("what is written can be read");
            let rewritten: Value = serde_json::to_value(&again).expect("a message is JSON");
            assert_eq!(written, rewritten);
        }
    )+};
}

pub(crate) fn run(data: &[u8]) {
    same_again!(
        data,
        AgentMessage,
        ServerMessage,
        EnrollRequest,
        Evidence,
        DetectionRule
    );
    if let Ok(rule) = serde_json::from_slice::<DetectionRule>(data) {
        // Says what is wrong or nothing, and ends.
        drop((rule.problem(), rule.pins_version()));
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = EnrollmentToken::parse(text)
    {
        let again = EnrollmentToken::parse(&token.reveal()).expect("what is written can be read");
        assert!(token == again);
        let shown = format!("{token:?}");
        assert!(token.secret.len() < 8 || !shown.contains(&token.secret));
    }
}
