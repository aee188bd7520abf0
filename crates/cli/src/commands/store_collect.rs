use outfitter_api_types::native::housekeeping::{
    CollectReason, CollectStoreReq, CollectStoreResponse, Collectable,
};

use super::{Session, counted, table};
use crate::args::store::CollectArgs;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, View};

pub(super) async fn run(args: CollectArgs, session: &Session) -> Result<Outcome, CommandError> {
    let body = CollectStoreReq {
        dry_run: Some(args.dry_run),
    };
    let report: CollectStoreResponse = session.client.post(paths::STORE_COLLECT, &body).await?;
    session.printer.show(&report, || {
        View::Several(vec![
            table(
                &["what", "bytes", "why", "when"],
                report.items.iter().map(|item| row(item, &report)).collect(),
                "everything in the store is needed",
            ),
            View::Line(summary(&report)),
        ])
    });
    if !report.missing.is_empty() {
        session.printer.note(format!(
            "not in the store, though recorded: {}",
            report.missing.join(", ")
        ));
    }
    Ok(if report.failed > 0 {
        Outcome::PartlyFailed
    } else {
        Outcome::Done
    })
}

fn row(item: &Collectable, report: &CollectStoreResponse) -> Vec<Shade> {
    let due = report.as_of >= item.due_at;
    vec![
        item.name.clone().into(),
        item.size_bytes.to_string().into(),
        why(item.reason).into(),
        match (due, report.dry_run) {
            (true, true) => Shade::Doubtful("now".to_owned()),
            (true, false) => Shade::Good("removed".to_owned()),
            (false, _) => item.due_at.to_string().into(),
        },
    ]
}

fn why(reason: CollectReason) -> &'static str {
    match reason {
        CollectReason::PackageUnneeded => "no object, app, desktop or job needs it",
        CollectReason::CollectionCutOff => "an earlier collection was cut off",
        CollectReason::BytesWithoutPackage => "belongs to no package",
        CollectReason::UploadAbandoned => "nobody went on with the upload",
        CollectReason::PartWithoutUpload => "belongs to no upload",
    }
}

fn summary(report: &CollectStoreResponse) -> String {
    let size = |count: i64| usize::try_from(count).unwrap_or(usize::MAX);
    let verb = if report.dry_run {
        "would go"
    } else {
        "removed"
    };
    format!(
        "{} {verb} ({} bytes), {} waiting ({} bytes)",
        counted(size(report.due.count), "thing"),
        report.due.size_bytes,
        report.waiting.count,
        report.waiting.size_bytes
    )
}
