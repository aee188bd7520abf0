//! Machines that wait for approval.

use outfitter_api_types::native::enrollment_requests::{
    DecideEnrollmentRequestsReq, EnrollmentRequest, EnrollmentRequestState as State,
};
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, note_cut};
use crate::args::agent::{DecideArgs, WaitingArgs};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, TableView, View};

/// What is decided about a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Approve,
    Refuse,
}

pub(super) async fn waiting(args: WaitingArgs, session: &Session) -> Result<Outcome, CommandError> {
    let filters: Vec<_> = (!args.all)
        .then(|| ("state", "WAITING".to_owned()))
        .into_iter()
        .collect();
    let listing: Listing<EnrollmentRequest> = listing::ENROLLMENT_REQUESTS
        .fetch(&session.client, &filters, args.list.limit)
        .await?;
    session.printer.show(&listing, || view(&listing.items));
    note_cut(session.printer, &listing);
    Ok(Outcome::Done)
}

pub(super) async fn decide(
    args: DecideArgs,
    decision: Decision,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let mut items: Vec<String> = Vec::new();
    for machine in &args.machines {
        let id = listing::enrollment_request_id(&session.client, machine).await?;
        if !items.contains(&id) {
            items.push(id);
        }
    }
    let (path, done) = match decision {
        Decision::Approve => (paths::ENROLLMENTS_APPROVE, "approved"),
        Decision::Refuse => (paths::ENROLLMENTS_REFUSE, "refused"),
    };
    let body = json!(DecideEnrollmentRequestsReq {
        items: items.clone(),
    });
    let _: IgnoredAny = session
        .client
        .call(Method::POST, path, &[], Some(&body))
        .await?;
    session
        .printer
        .show(&json!({ done: items }), || match decision {
            Decision::Approve => View::Line(format!(
                "{} approved: each becomes a desktop when its agent asks next, within five minutes",
                items.len()
            )),
            Decision::Refuse => View::Line(format!("{} refused", items.len())),
        });
    Ok(Outcome::Done)
}

fn view(requests: &[EnrollmentRequest]) -> View {
    View::Table(TableView {
        head: [
            "id",
            "name",
            "address",
            "system",
            "token",
            "copy of",
            "asked",
            "last seen",
            "state",
        ]
        .map(str::to_owned)
        .into(),
        rows: requests
            .iter()
            .map(|request| {
                vec![
                    request.id.clone().into(),
                    request.name.clone().into(),
                    request.address.clone().into(),
                    format!("{} {}", request.os, request.arch).into(),
                    request.token_name.clone().into(),
                    request
                        .copy_of
                        .as_ref()
                        .map_or_else(|| "-".to_owned(), |copy| copy.desktop_name.clone())
                        .into(),
                    request.asked_at.to_string().into(),
                    request.seen_at.to_string().into(),
                    match request.state {
                        State::Waiting => Shade::Doubtful("waiting".to_owned()),
                        State::Approved => Shade::Good("approved".to_owned()),
                        State::Refused => Shade::Bad("refused".to_owned()),
                        State::Enrolled => Shade::Good("enrolled".to_owned()),
                    },
                ]
            })
            .collect(),
        empty: "no machine waits for approval",
    })
}
