//! How often each operation gave which answer: the counter `outfitter_http_answers_total` of `/metrics`.
//!
//! Labels are the operations of the route table and statuses, so their number is bounded whatever callers send.

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Answers of this process since its start, by operation and status. Lost with the process, as counters are.
#[derive(Debug, Default)]
pub struct AnswerCounters(Family<Labels, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    operation: &'static str,
    status: u32,
}

impl AnswerCounters {
    /// Counts one answer of an operation, refusals included.
    pub(super) fn count(&self, operation: &'static str, status: StatusCode) {
        let status = u32::from(status.as_u16());
        self.0.get_or_create(&Labels { operation, status }).inc();
    }

    /// Puts the counters among those that `/metrics` shows.
    pub(super) fn register(&self, metrics: &mut Registry) {
        metrics.register(
            "http_answers",
            "Answers of this process by operation and status",
            self.0.clone(),
        );
    }
}
