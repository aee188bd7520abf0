use outfitter_api_types::native::detection::{DebianPackageRule, DetectionRule, FileRule};
use outfitter_api_types::native::revisions::{AppRevision, SetDetectionRuleReq};
use outfitter_client::Method;
use serde_json::json;

use super::revisions_view;
use crate::args::app::DetectionArgs;
use crate::commands::Session;
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;

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
        (_, _, Some(path)) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| CommandError::file("read rule", &path, error))?;
            let rule = serde_json::from_str(&text)
                .map_err(|error| CommandError::file("understand rule", &path, error))?;
            Some(rule)
        }
        (None, None, None) => None,
    };
    let revision = set(session, &app_id, rule).await?;
    session.printer.show(&revision, || {
        revisions_view(std::slice::from_ref(&revision))
    });
    Ok(Outcome::Done)
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
