use std::path::Path;

use outfitter_api_types::native::detection::{
    DebianPackageRule, DetectionAnswer, DetectionAnswerState, DetectionRule, EvaluateDetectionReq,
    EvaluateDetectionResponse, FileRule,
};
use outfitter_api_types::native::revisions::{AppRevision, SetDetectionRuleReq};
use outfitter_client::Method;
use serde_json::json;

use super::revisions_view;
use crate::args::app::{DetectArgs, DetectionArgs};
use crate::commands::{Session, table};
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::Shade;

pub(super) async fn run(args: DetectionArgs, session: &Session) -> Result<Outcome, CommandError> {
    let app_id = listing::app_id(&session.client, &args.app).await?;
    let rule = match (args.file, args.debian, args.rule_file) {
        (Some(path), _, _) => Some(DetectionRule::File(FileRule {
            path,
            sha256: args.sha256.map(|digest| digest.to_ascii_lowercase()),
            size_bytes: None,
        })),
        (_, Some(package), _) => {
            let (name, version) = match package.split_once('=') {
                Some((name, version)) => (name.to_owned(), Some(version.to_owned())),
                None => (package, None),
            };
            Some(DetectionRule::DebianPackage(DebianPackageRule {
                name,
                version,
            }))
        }
        (_, _, Some(path)) => Some(read_rule(&path)?),
        (None, None, None) => None,
    };
    let revision = set(session, &app_id, rule).await?;
    session.printer.show(&revision, || {
        revisions_view(std::slice::from_ref(&revision))
    });
    Ok(Outcome::Done)
}

fn read_rule(path: &Path) -> Result<DetectionRule, CommandError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CommandError::file("read rule", path, error))?;
    serde_json::from_str(&text).map_err(|error| CommandError::file("understand rule", path, error))
}

/// Asks desktops; done when the rule holds on all of them.
pub(super) async fn detect(args: DetectArgs, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    let app_id = listing::app_id(client, &args.app).await?;
    let mut desktop_ids = Vec::with_capacity(args.desktops.len());
    for desktop in &args.desktops {
        desktop_ids.push(listing::desktop_id(client, desktop).await?);
    }
    let rule = args.rule_file.as_deref().map(read_rule).transpose()?;
    let body = EvaluateDetectionReq { desktop_ids, rule };
    let path = paths::app_part(&app_id, "actions/evaluate-detection");
    let answer: EvaluateDetectionResponse = client.post(&path, &body).await?;
    session.printer.show(&answer, || {
        table(
            &["desktop", "rule", "seen"],
            answer.items.iter().map(row).collect(),
            "no desktop was asked",
        )
    });
    let holds = answer.items.iter().filter(|it| it.holds == Some(true));
    Ok(Outcome::of_counts(holds.count(), answer.items.len()))
}

fn row(answer: &DetectionAnswer) -> Vec<Shade> {
    let word = match (answer.state, answer.holds) {
        (DetectionAnswerState::Evaluated, Some(true)) => Shade::Good("holds".to_owned()),
        (DetectionAnswerState::Evaluated, _) => Shade::Bad("does not hold".to_owned()),
        (DetectionAnswerState::NotEvaluable, _) => Shade::Doubtful("cannot be told".to_owned()),
        (DetectionAnswerState::NotConnected, _) => Shade::Doubtful("not connected".to_owned()),
        (DetectionAnswerState::NoAnswer, _) => Shade::Doubtful("no answer".to_owned()),
    };
    vec![
        answer.desktop_name.clone().into(),
        word,
        answer.seen.clone().unwrap_or_default().into(),
    ]
}

/// Sets the rule; `None` derives it from the package. The answer is the new revision.
///
/// # Errors
/// The server.
pub(crate) async fn set(
    session: &Session,
    app_id: &str,
    rule: Option<DetectionRule>,
) -> Result<AppRevision, CommandError> {
    let body = json!(SetDetectionRuleReq { rule });
    Ok(session
        .client
        .call(
            Method::PUT,
            &paths::app_part(app_id, "detection-rule"),
            &[],
            Some(&body),
        )
        .await?)
}
