//! The body or query of any operation: the schema that is served, then the type that is read.
//!
//! Input: the operation's id, an end of line, then JSON or a query.

use std::sync::LazyLock;

use outfitter_server::http::{ApiError, Routes, routes, routes::query_pairs};
use serde_json::Value;

static TABLE: LazyLock<Routes> = LazyLock::new(routes);

pub(crate) fn run(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (id, rest) = (&data[..end], &data[end + 1..]);
    let mut entries = TABLE.entries().iter();
    let Some(entry) = entries.find(|entry| entry.operation.id.as_bytes() == id) else {
        return;
    };
    if let Some(schema) = &entry.body
        && let Ok(value) = serde_json::from_slice::<Value>(rest)
        && outfitter_server::http::schema::refuse_nul(&value).is_ok()
    {
        let outcome = schema
            .check(&value)
            .and_then(|()| (entry.reads_body)(value));
        judge(entry.operation.id, outcome);
    }
    if let Some(schema) = &entry.query
        && let Ok(text) = std::str::from_utf8(rest)
        && let Ok(pairs) = query_pairs(text)
    {
        let outcome = schema
            .query(&pairs)
            .and_then(|value| (entry.reads_query)(value));
        judge(entry.operation.id, outcome);
    }
}

/// Whatever was sent is accepted or the sender's fault: never ours.
fn judge(operation: &str, outcome: Result<(), ApiError>) {
    match outcome {
        Ok(()) | Err(ApiError::Invalid { .. } | ApiError::EmptyBody | ApiError::Coded(_)) => {}
        Err(other) => panic!("{operation}: {other:?}"),
    }
}
