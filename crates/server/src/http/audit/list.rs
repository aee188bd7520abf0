use std::sync::Arc;

use outfitter_api_types::native::audit::{ListAuditEntriesQuery, ListAuditEntriesResponse};
use uuid::Uuid;

use super::{filter, reach, wire};
use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListAuditEntriesQuery>,
) -> Result<Reply<ListAuditEntriesResponse>, ApiError> {
    let unknown = || ApiError::invalid("marker", "names no entry: begin anew without it");
    let reach = reach(&call);
    let filter = filter(call.query.filter());
    let marker = call
        .query
        .marker
        .as_deref()
        .map(|marker| Uuid::try_parse(marker).map_err(|_| unknown()))
        .transpose()?;
    let limit = call.query.limit;
    let mut entries = services
        .store
        .db()
        .audit_list(reach, &filter, marker, limit + 1)
        .await?
        .ok_or_else(unknown)?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_more = entries.len() > shown;
    entries.truncate(shown);
    let items: Vec<_> = entries.into_iter().map(wire).collect();
    Ok(Reply::new(ListAuditEntriesResponse {
        next_marker: items
            .last()
            .filter(|_| is_more)
            .map(|entry| entry.id.clone()),
        items,
    }))
}
