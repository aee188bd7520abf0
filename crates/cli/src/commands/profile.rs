use std::collections::BTreeMap;

use outfitter_api_types::profiles::TenantProfiles;
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::rule::NOT_ENFORCED;
use super::{Session, table};
use crate::args::profile::{FeatureSwitch, ProfileCommand};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, View};

/// The feature that stands for application control. Source: contract, section 8.
const APP_RESTRICTION: &str = "app_restriction";

pub(super) async fn run(
    command: ProfileCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    if let ProfileCommand::Set(args) = command {
        set(args.switches, session).await?;
    }
    let profiles: TenantProfiles = session.client.get(paths::PROFILES, &[]).await?;
    session.printer.show(&profiles, || view(&profiles));
    Ok(Outcome::Done)
}

async fn set(switches: Vec<FeatureSwitch>, session: &Session) -> Result<(), CommandError> {
    let switches: BTreeMap<String, bool> = switches
        .into_iter()
        .map(|switch| (switch.name, switch.on))
        .collect();
    if switches.get(APP_RESTRICTION) == Some(&true) {
        session.printer.note(NOT_ENFORCED);
    }
    let body = json!(TenantProfiles(switches));
    let _: IgnoredAny = session
        .client
        .call(Method::PATCH, paths::PROFILES, &[], Some(&body))
        .await?;
    Ok(())
}

fn view(profiles: &TenantProfiles) -> View {
    let rows = profiles.0.iter().map(|(name, on)| {
        vec![
            name.clone().into(),
            match (*on, name.as_str()) {
                (true, APP_RESTRICTION) => Shade::Doubtful("on (stored, not enforced yet)".into()),
                (true, _) => Shade::Good("on".to_owned()),
                (false, _) => Shade::Bad("off".to_owned()),
            },
        ]
    });
    table(
        &["feature", "state"],
        rows.collect(),
        "there are no features",
    )
}
