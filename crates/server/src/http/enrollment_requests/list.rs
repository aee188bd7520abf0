use std::sync::Arc;

use outfitter_api_types::native::enrollment_requests::{
    EnrollmentRequest, EnrollmentRequestCopy, EnrollmentRequestState, ListEnrollmentRequestsQuery,
    ListEnrollmentRequestsResponse,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_domain::fleet::RequestState;
use outfitter_store::Page;

use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListEnrollmentRequestsQuery>,
) -> Result<Reply<ListEnrollmentRequestsResponse>, ApiError> {
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let state = call.query.state.map(|state| match state {
        EnrollmentRequestState::Waiting => RequestState::Waiting,
        EnrollmentRequestState::Approved => RequestState::Approved,
        EnrollmentRequestState::Refused => RequestState::Refused,
        EnrollmentRequestState::Enrolled => RequestState::Enrolled,
    });
    let listed = services
        .store
        .db()
        .enrollment_request_list(call.project().project, state, page, services.clock.now())
        .await?;
    Ok(Reply::new(ListEnrollmentRequestsResponse {
        count: listed.total,
        items: listed.items.into_iter().map(wire).collect(),
    }))
}

fn wire(request: outfitter_store::EnrollmentRequest) -> EnrollmentRequest {
    let time = |at: Millis| WireTime::from_unix_millis(at.get());
    EnrollmentRequest {
        id: request.id.to_string(),
        state: match request.state {
            RequestState::Waiting => EnrollmentRequestState::Waiting,
            RequestState::Approved => EnrollmentRequestState::Approved,
            RequestState::Refused => EnrollmentRequestState::Refused,
            RequestState::Enrolled => EnrollmentRequestState::Enrolled,
        },
        name: request.name,
        user: request.user,
        copy_of: request.copy.map(|copy| EnrollmentRequestCopy {
            desktop_id: copy.desktop.to_string(),
            desktop_name: copy.desktop_name,
        }),
        takes_back_desktop_id: request.takes_back.map(|id| id.to_string()),
        address: request.address,
        os: request.os,
        arch: request.arch,
        agent_version: request.agent_version,
        machine_id: request.machine_id,
        token_id: request.token_id.to_string(),
        token_name: request.token_name,
        asked_at: time(request.asked_at),
        seen_at: time(request.seen_at),
        decided_at: request.decided_at.map(time),
        desktop_id: request.agent.map(|agent| agent.desktop.to_string()),
        expires_at: time(request.expires_at),
    }
}
