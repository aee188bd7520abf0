use outfitter_api_types::native::enrollment_tokens::{
    CreateEnrollmentTokenReq, CreateEnrollmentTokenResponse, EnrollmentToken,
};
use outfitter_api_types::tags::Tag;
use outfitter_api_types::time::WireTime;
use outfitter_client::Method;
use outfitter_domain::{Clock as _, SystemClock};
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, note_cut};
use crate::args::token::{LIFETIME_SECS, TokenCommand, TokenScopeArgs};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, TableView, View};

pub(super) async fn run(command: TokenCommand, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    match command {
        TokenCommand::Create(args) => {
            let created = create(args.name, args.scope, session).await?;
            session
                .printer
                .show(&created, || View::Line(created.token.expose().to_owned()));
            session
                .printer
                .note("keep the token: it is not shown again");
        }
        TokenCommand::List(args) => {
            let listing: Listing<EnrollmentToken> =
                listing::TOKENS.fetch(client, &[], args.limit).await?;
            session.printer.show(&listing, || view(&listing.items));
            note_cut(session.printer, &listing);
        }
        TokenCommand::Revoke(args) => {
            let path = paths::one(paths::TOKENS, &args.token);
            let _: IgnoredAny = client.call(Method::DELETE, &path, &[], None).await?;
            session.printer.show(&json!({"revoked": [args.token]}), || {
                View::Line(format!("token {} is revoked", args.token))
            });
        }
    }
    Ok(Outcome::Done)
}

/// Makes a token.
pub(super) async fn create(
    name: String,
    scope: TokenScopeArgs,
    session: &Session,
) -> Result<CreateEnrollmentTokenResponse, CommandError> {
    let body = CreateEnrollmentTokenReq {
        name,
        max_uses: scope.max_uses.map(i64::from),
        expires_in_seconds: Some(i64::from(scope.expires_in_secs.unwrap_or(LIFETIME_SECS))),
        may_attach: Some(scope.may_attach),
        may_reenroll: Some(scope.may_reenroll),
        networks: Some(scope.networks),
        tags: Some(scope.tags.into_iter().map(Tag::from).collect()),
        needs_approval: Some(scope.approval),
    };
    Ok(session.client.post(paths::TOKENS, &body).await?)
}

fn view(tokens: &[EnrollmentToken]) -> View {
    let now = WireTime::from_unix_millis(SystemClock.now().get());
    View::Table(TableView {
        head: ["id", "name", "uses", "expires", "state"]
            .map(str::to_owned)
            .into(),
        rows: tokens
            .iter()
            .map(|token| {
                let of = token
                    .max_uses
                    .map_or_else(String::new, |most| format!(" of {most}"));
                vec![
                    token.id.clone().into(),
                    token.name.clone().into(),
                    format!("{}{of}", token.uses).into(),
                    token
                        .expires_at
                        .map_or_else(|| "never".to_owned(), |time| time.to_string())
                        .into(),
                    match token.revoked_at {
                        Some(time) => Shade::Bad(format!("revoked {time}")),
                        None if token.expires_at.is_some_and(|time| time < now) => {
                            Shade::Bad("expired".to_owned())
                        }
                        None if token.needs_approval => {
                            Shade::Good("valid, with approval".to_owned())
                        }
                        None => Shade::Good("valid".to_owned()),
                    },
                ]
            })
            .collect(),
        empty: "there are no enrollment tokens",
    })
}
