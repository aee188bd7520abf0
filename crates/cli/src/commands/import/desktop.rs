use std::collections::{HashMap, HashSet};

use outfitter_api_types::apps::OsTypeEnum;
use outfitter_api_types::desktops::{
    AttachInstancesReq, AttachInstancesResponse, DesktopDetailInfo,
};
use outfitter_api_types::native::desktops::{RegisterDesktopReq, RegisteredDesktop};
use outfitter_api_types::native::reach::{DesktopReach, Reach, SetReachReq};
use outfitter_client::{ClientError, Method};
use outfitter_domain::fleet::{DesktopName, LocalUserName};
use outfitter_domain::text::fold;
use outfitter_server::http::schema::RequestSchema;
use serde::de::IgnoredAny;
use serde_json::json;

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

/// Columns that say how a desktop is reached over SSH. Keys and passwords have no place in such a file: they are set
/// for the desktop's network, or by `outfitter desktop reach set`.
const REACH_COLUMNS: &[&str] = &["address", "port", "ssh_user", "host_key", "jump"];

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
    let desktops: HashMap<String, RegisteredDesktop> = registered
        .items
        .into_iter()
        .map(|desktop| (fold(&desktop.name), desktop))
        .collect();
    let mut reaches = HashMap::new();
    for line in read.lines.iter().filter(|line| says_reach(line)) {
        if let Some(desktop) = desktops.get(&fold(line.get("name").unwrap_or_default())) {
            let path = paths::below(paths::DESKTOPS, &desktop.id, "reach");
            let known: DesktopReach = client.call(Method::GET, &path, &[], None).await?;
            reaches.insert(known.desktop_id, known.reach);
        }
    }
    let import = Desktops {
        desktops,
        dedicated,
        reaches,
        register: RequestSchema::of::<RegisterDesktopReq>(),
        attach: RequestSchema::of::<AttachInstancesReq>(),
        reach: RequestSchema::of::<SetReachReq>(),
    };
    super::run(import, read, args, session).await
}

struct Desktops {
    /// By folded name.
    desktops: HashMap<String, RegisteredDesktop>,
    /// Ids of those that take one user.
    dedicated: HashSet<String>,
    /// How those are reached of which the file says so, by id.
    reaches: HashMap<String, Reach>,
    register: RequestSchema,
    attach: RequestSchema,
    reach: RequestSchema,
}

enum Step {
    Add {
        body: RegisterDesktopReq,
        reach: Option<SetReachReq>,
    },
    Change {
        desktop_id: String,
        attach: Option<AttachInstancesReq>,
        reach: Option<SetReachReq>,
    },
}

impl Desktops {
    /// How a desktop is to be reached by its line, added to how it is; `None` when the line changes nothing of it.
    fn reach_wanted(
        &self,
        line: &Line,
        desktop_id: Option<&str>,
    ) -> Result<Option<SetReachReq>, String> {
        if !says_reach(line) {
            return Ok(None);
        }
        let port = line
            .get("port")
            .map(|port| {
                port.parse()
                    .map_err(|_| format!("port is a number from 1 to 65535, not {port}"))
            })
            .transpose()?;
        let current = desktop_id
            .and_then(|id| self.reaches.get(id).cloned())
            .unwrap_or_default();
        let said = |column, current: &Option<String>| {
            line.get(column).map(str::to_owned).or(current.clone())
        };
        let wanted = Reach {
            address: said("address", &current.address),
            port: port.or(current.port),
            user: said("ssh_user", &current.user),
            host_key: said("host_key", &current.host_key),
            jump_address: said("jump", &current.jump_address),
            ..current.clone()
        };
        if wanted == current {
            return Ok(None);
        }
        if current.has_login {
            return Err(
                "it has a key or password of its own, which setting how it is reached replaces: \
                 use `outfitter desktop reach set`"
                    .to_owned(),
            );
        }
        let body = SetReachReq {
            address: wanted.address,
            port: wanted.port.map(i64::from),
            user: wanted.user,
            sudo: wanted.sudo,
            host_key: wanted.host_key,
            jump_address: wanted.jump_address,
            jump_port: wanted.jump_port.map(i64::from),
            jump_user: wanted.jump_user,
            jump_host_key: wanted.jump_host_key,
            ..SetReachReq::default()
        };
        fits(&self.reach, &body)?;
        Ok(Some(body))
    }
}

/// Whether a line says how its desktop is reached.
fn says_reach(line: &Line) -> bool {
    REACH_COLUMNS
        .iter()
        .any(|column| line.get(column).is_some())
}

/// What a line does, in words.
fn words(attached: &[String], reach: Option<&SetReachReq>) -> String {
    let attached = (!attached.is_empty()).then(|| format!("attached to {}", attached.join(", ")));
    let reached = reach.map(|reach| match &reach.address {
        Some(address) => format!("reached at {address}"),
        None => "new way to reach it".to_owned(),
    });
    attached
        .into_iter()
        .chain(reached)
        .collect::<Vec<_>>()
        .join("; ")
}

impl Import for Desktops {
    type Step = Step;
    const NOUN: &'static str = "desktop";
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "os",
        "users",
        "persistent",
        "address",
        "port",
        "ssh_user",
        "host_key",
        "jump",
    ];

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
            let reach = self.reach_wanted(line, None)?;
            let reason = words(&users, reach.as_ref());
            let body = RegisterDesktopReq {
                name: name.to_owned(),
                os_type: os_type.unwrap_or(OsTypeEnum::Linux),
                users: Some(users),
                persistent,
            };
            fits(&self.register, &body)?;
            return Ok(Planned::Add(Step::Add { body, reach }, reason));
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
        let reach = self.reach_wanted(line, Some(&desktop.id))?;
        if users.is_empty() && reach.is_none() {
            return Ok(Planned::Unchanged);
        }
        if !users.is_empty()
            && self.dedicated.contains(&desktop.id)
            && current.len() + users.len() > 1
        {
            return Err(format!(
                "the desktop takes one user and is attached to {}",
                desktop
                    .users
                    .first()
                    .map_or("nobody", |user| user.account.as_str())
            ));
        }
        let reason = words(&users, reach.as_ref());
        let attach =
            (!users.is_empty()).then(|| attachment(desktop.id.clone(), &users, None, PRIVILEGE));
        if let Some(body) = &attach {
            fits(&self.attach, body)?;
        }
        let step = Step::Change {
            desktop_id: desktop.id.clone(),
            attach,
            reach,
        };
        Ok(Planned::Change(step, reason))
    }

    async fn carry_out(&mut self, step: Step, session: &Session) -> Result<(), ClientError> {
        let client = &session.client;
        let (desktop_id, reach) = match step {
            Step::Add { body, reach } => {
                let added: RegisteredDesktop = client.post(paths::DESKTOPS, &body).await?;
                (added.id, reach)
            }
            Step::Change {
                desktop_id,
                attach,
                reach,
            } => {
                if let Some(body) = attach {
                    let _: AttachInstancesResponse =
                        client.post(paths::DESKTOPS_ATTACH, &body).await?;
                }
                (desktop_id, reach)
            }
        };
        if let Some(body) = reach {
            let path = paths::below(paths::DESKTOPS, &desktop_id, "reach");
            let _: IgnoredAny = client
                .call(Method::PUT, &path, &[], Some(&json!(body)))
                .await?;
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
