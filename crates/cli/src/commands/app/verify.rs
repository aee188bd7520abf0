use std::time::{Duration, Instant};

use outfitter_api_types::native::revisions::{AppRevision, PackageCondition};
use outfitter_client::Method;
use serde::de::IgnoredAny;

use super::revisions_view;
use crate::args::app::VerifyArgs;
use crate::commands::Session;
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn run(args: VerifyArgs, session: &Session) -> Result<Outcome, CommandError> {
    let ids = listing::app_ids(&session.client, &args.apps.apps).await?;
    for id in &ids {
        let path = paths::app_part(id, "package/actions/verify");
        let _: IgnoredAny = session.client.call(Method::POST, &path, &[], None).await?;
    }
    let give_up_at = Instant::now() + args.limit.limit();
    let mut revisions = Vec::with_capacity(ids.len());
    for id in &ids {
        let path = paths::app_part(id, "detection-rule");
        loop {
            let newest: AppRevision = session.client.get(&path, &[]).await?;
            let waits = newest.package.is_digest_wanted == Some(true);
            if !args.wait || !waits {
                revisions.push(newest);
                break;
            }
            if Instant::now() > give_up_at {
                return Err(CommandError::failed(format!(
                    "the package of {} is still being digested",
                    newest.app_id
                ))
                .hint("it goes on; `outfitter app show` tells what was found"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    session
        .printer
        .show(&revisions, || revisions_view(&revisions));
    if !args.wait {
        return Ok(Outcome::Done);
    }
    let intact = revisions
        .iter()
        .filter(|revision| revision.package.condition == Some(PackageCondition::Intact))
        .count();
    Ok(Outcome::of_counts(intact, revisions.len()))
}
