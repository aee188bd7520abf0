//! The log as JSON lines, read and sent a page at a time: memory does not grow with the log.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::header::CONTENT_TYPE;
use outfitter_api_types::native::audit::AuditFilterQuery;
use outfitter_store::{AuditFilter, AuditReach, StoreError};

use super::{filter, reach, wire};
use crate::Services;
use crate::http::{ApiError, Call};

/// Source: <https://github.com/ndjson/ndjson-spec>, section 3.2.
pub(super) const MEDIA: &str = "application/x-ndjson";

/// Entries read at once.
const PAGE: i64 = 200;

struct Export {
    services: Arc<Services>,
    reach: AuditReach,
    filter: AuditFilter,
    /// Key of the last entry that was sent.
    after: Option<i64>,
}

pub(super) async fn export(
    services: Arc<Services>,
    call: Call<(), AuditFilterQuery>,
) -> Result<Response, ApiError> {
    let reach = reach(&call);
    let export = Export {
        services,
        reach,
        filter: filter(call.query),
        after: Some(0),
    };
    // A failure ends the answer in the middle: whoever reads it sees that it was cut.
    let lines = stream::try_unfold(export, |mut export| async move {
        let page = export.page().await?;
        Ok::<_, StoreError>(page.map(|page| (page, export)))
    });
    Ok(([(CONTENT_TYPE, MEDIA)], Body::from_stream(lines)).into_response())
}

impl Export {
    async fn page(&mut self) -> Result<Option<Bytes>, StoreError> {
        let Some(after) = self.after else {
            return Ok(None);
        };
        let db = self.services.store.db();
        let (entries, last) = db
            .audit_page_after(self.reach, &self.filter, after, PAGE)
            .await?;
        self.after = last;
        let mut lines = Vec::new();
        for entry in entries {
            // An entry is numbers and texts.
            if serde_json::to_writer(&mut lines, &wire(entry)).is_ok() {
                lines.push(b'\n');
            }
        }
        Ok((!lines.is_empty()).then(|| lines.into()))
    }
}
