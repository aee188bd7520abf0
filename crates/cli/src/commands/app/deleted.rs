use outfitter_api_types::apps::Application;
use outfitter_api_types::native::housekeeping::DeletedApp;
use outfitter_client::Method;
use serde_json::json;

use crate::args::ListArgs;
use crate::args::app::AppsArg;
use crate::commands::{Session, counted, note_cut, table};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::View;

pub(super) async fn list(args: ListArgs, session: &Session) -> Result<Outcome, CommandError> {
    let listing: Listing<DeletedApp> = listing::DELETED_APPS
        .fetch(&session.client, &[], args.limit)
        .await?;
    session.printer.show(&listing, || {
        let rows = listing.items.iter().map(|app| {
            vec![
                app.id.clone().into(),
                app.name.clone().into(),
                app.version.clone().into(),
                app.deleted_at.to_string().into(),
                app.restorable_until.to_string().into(),
            ]
        });
        table(
            &["id", "name", "version", "deleted", "restorable until"],
            rows.collect(),
            "no deleted application can be restored",
        )
    });
    note_cut(session.printer, &listing);
    Ok(Outcome::Done)
}

pub(super) async fn restore(args: AppsArg, session: &Session) -> Result<Outcome, CommandError> {
    let deleted: Listing<DeletedApp> = listing::DELETED_APPS
        .fetch(&session.client, &[], usize::MAX)
        .await?;
    let ids = args
        .apps
        .iter()
        .map(|wanted| find(&deleted.items, wanted))
        .collect::<Result<Vec<_>, _>>()?;
    for id in &ids {
        let path = paths::app_part(id, "actions/restore");
        let _: Application = session.client.call(Method::POST, &path, &[], None).await?;
    }
    session.printer.show(&json!({"restored": ids}), || {
        View::Line(format!("{} restored", counted(ids.len(), "application")))
    });
    Ok(Outcome::Done)
}

/// The id of the deleted application of that id or name.
fn find(deleted: &[DeletedApp], wanted: &str) -> Result<String, CommandError> {
    if let Some(app) = deleted.iter().find(|app| app.id == wanted) {
        return Ok(app.id.clone());
    }
    let named: Vec<&DeletedApp> = deleted.iter().filter(|app| app.name == wanted).collect();
    match named.as_slice() {
        [one] => Ok(one.id.clone()),
        [] => Err(CommandError::failed(format!(
            "no deleted application that can be restored is called {wanted}"
        ))),
        several => Err(CommandError::usage(format!(
            "{} deleted applications are called {wanted}: give the id",
            several.len()
        ))),
    }
}
