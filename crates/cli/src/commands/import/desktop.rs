use std::collections::{HashMap, HashSet};

use outfitter_api_types::apps::OsTypeEnum;
use outfitter_api_types::desktops::{
    AttachInstancesReq, AttachInstancesResponse, DesktopDetailInfo,
};
use outfitter_api_types::native::desktops::{RegisterDesktopReq, RegisteredDesktop};
use outfitter_client::ClientError;
use outfitter_domain::fleet::{DesktopName, LocalUserName};
use outfitter_domain::text::fold;
use outfitter_server::http::schema::RequestSchema;
use serde::de::IgnoredAny;

use super::file::{self, Line};
use super::{Import, Planned, fits};
use crate::args::ImportArgs;
use crate::commands::desktop::attachment;
use crate::commands::{Session, text, word};
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;

/// Privilege group of users whom an import attaches. Source: contract, AttachInstances.
const PRIVILEGE: &str = "default";

/// Wire's word for a desktop that takes one user.
const DEDICATED: &str = "DEDICATED";

pub(in crate::commands) async fn run(
    args: &ImportArgs,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let read = file::read(&args.file, Desktops::COLUMNS)?;
    let client = &session.client;
    let registered = listing::DESKTOPS
        .fetch::<RegisteredDesktop>(client, &[], usize::MAX)
        .await?;
    // Only the contract's list tells a shared desktop from one that takes a single user.
    let details = listing::DESKTOPS_DETAIL
        .fetch::<DesktopDetailInfo>(client, &[], usize::MAX)
        .await?;
    let dedicated = details
        .items
        .into_iter()
        .filter(|desktop| desktop.desktop_type.as_deref() == Some(DEDICATED))
        .map(|desktop| text(&desktop.desktop_id))
        .collect();
    let import = Desktops {
        desktops: registered
            .items
            .into_iter()
            .map(|desktop| (fold(&desktop.name), desktop))
            .collect(),
        dedicated,
        register: RequestSchema::of::<RegisterDesktopReq>(),
        attach: RequestSchema::of::<AttachInstancesReq>(),
    };
    super::run(import, read, args, session).await
}

struct Desktops {
    /// By folded name.
    desktops: HashMap<String, RegisteredDesktop>,
    /// Ids of those that take one user.
    dedicated: HashSet<String>,
    register: RequestSchema,
    attach: RequestSchema,
}

enum Step {
    Add(RegisterDesktopReq),
    Attach(AttachInstancesReq),
}

impl Import for Desktops {
    type Step = Step;
    const NOUN: &'static str = "desktop";
    const COLUMNS: &'static [&'static str] = &["name", "os", "users", "persistent"];

    fn plan(&mut self, line: &Line) -> Result<Planned<Step>, String> {
        let name = line.get("name").unwrap_or_default();
        let os_type = line.get("os").map(operating_system).transpose()?;
        let persistent = line.get("persistent").map(yes_or_no).transpose()?;
        let mut users: Vec<String> = Vec::new();
        for user in line.names("users") {
            LocalUserName::parse(&user).map_err(|error| format!("{user}: {error}"))?;
            if users.iter().any(|other| fold(other) == fold(&user)) {
                return Err(format!("{user} is named twice"));
            }
            users.push(user);
        }
        let Some(desktop) = self.desktops.get(&fold(name)) else {
            DesktopName::parse(name).map_err(|error| error.to_string())?;
            let reason = match users.as_slice() {
                [] => String::new(),
                users => format!("attached to {}", users.join(", ")),
            };
            let body = RegisterDesktopReq {
                name: name.to_owned(),
                os_type: os_type.unwrap_or(OsTypeEnum::Linux),
                users: Some(users),
                persistent,
            };
            fits(&self.register, &body)?;
            return Ok(Planned::Add(Step::Add(body), reason));
        };
        if let Some(wanted) = os_type.filter(|wanted| *wanted != desktop.os_type) {
            return Err(format!(
                "it is registered as {}, not {}; an import does not change that",
                word(&desktop.os_type),
                word(&wanted)
            ));
        }
        if persistent.is_some_and(|wanted| wanted != desktop.persistent) {
            return Err("an import does not change whether a desktop is persistent".to_owned());
        }
        let current: Vec<String> = desktop
            .users
            .iter()
            .map(|user| fold(&user.account))
            .collect();
        users.retain(|user| !current.contains(&fold(user)));
        if users.is_empty() {
            return Ok(Planned::Unchanged);
        }
        if self.dedicated.contains(&desktop.id) && current.len() + users.len() > 1 {
            return Err(format!(
                "the desktop takes one user and is attached to {}",
                desktop
                    .users
                    .first()
                    .map_or("nobody", |user| user.account.as_str())
            ));
        }
        let body = attachment(desktop.id.clone(), &users, None, PRIVILEGE);
        fits(&self.attach, &body)?;
        Ok(Planned::Change(
            Step::Attach(body),
            format!("attached to {}", users.join(", ")),
        ))
    }

    async fn carry_out(&mut self, step: Step, session: &Session) -> Result<(), ClientError> {
        match step {
            Step::Add(body) => {
                let _: IgnoredAny = session.client.post(paths::DESKTOPS, &body).await?;
            }
            Step::Attach(body) => {
                let _: AttachInstancesResponse =
                    session.client.post(paths::DESKTOPS_ATTACH, &body).await?;
            }
        }
        Ok(())
    }
}

fn operating_system(text: &str) -> Result<OsTypeEnum, String> {
    [OsTypeEnum::Linux, OsTypeEnum::Windows, OsTypeEnum::Other]
        .into_iter()
        .find(|os| word(os).eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("os is Linux, Windows or Other, not {text}"))
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("persistent is yes or no, not {text}")),
    }
}
