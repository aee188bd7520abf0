use std::sync::Arc;

use outfitter_api_types::native::enrollment_tokens::{
    ListEnrollmentTokensQuery, ListEnrollmentTokensResponse,
};
use outfitter_store::Page;

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListEnrollmentTokensQuery>,
) -> Result<Reply<ListEnrollmentTokensResponse>, ApiError> {
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let listed = services
        .store
        .db()
        .enrollment_token_list(call.project().project, page)
        .await?;
    Ok(Reply::new(ListEnrollmentTokensResponse {
        count: listed.total,
        items: listed.items.into_iter().map(super::wire).collect(),
    }))
}
