//! Newer programs of the agent.

use outfitter_api_types::native::agent_releases::{
    AgentProgram, AgentRelease, CreateAgentReleaseReq, RollOutAgentReleaseReq,
};
use outfitter_client::Method;
use tokio_util::io::ReaderStream;

use super::{Session, note_cut, table};
use crate::args::agent::{AddReleaseArgs, AgentReleaseCommand};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, View};

pub(super) async fn run(
    command: AgentReleaseCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let release = match command {
        AgentReleaseCommand::Add(args) => add(args, session).await?,
        AgentReleaseCommand::List(args) => {
            let listing: Listing<AgentRelease> = listing::AGENT_RELEASES
                .fetch(&session.client, &[], args.limit)
                .await?;
            session.printer.show(&listing, || {
                table(
                    &[
                        "version",
                        "offered to",
                        "run it",
                        "trying",
                        "failed",
                        "refused",
                    ],
                    listing.items.iter().map(row).collect(),
                    "there are no releases of the agent",
                )
            });
            note_cut(session.printer, &listing);
            return Ok(Outcome::Done);
        }
        AgentReleaseCommand::Show(args) => {
            let path = paths::one(paths::AGENT_RELEASES, &args.version);
            session.client.get(&path, &[]).await?
        }
        AgentReleaseCommand::RollOut(args) => {
            let body = RollOutAgentReleaseReq {
                percent: Some(i64::from(args.percent)),
                halt_after_failures: args.halt_after.map(i64::from),
                trial_limit_seconds: args.trial_limit_secs.map(i64::from),
                ..RollOutAgentReleaseReq::default()
            };
            roll_out(&args.version, &body, session).await?
        }
        AgentReleaseCommand::Halt(args) => {
            let body = RollOutAgentReleaseReq {
                halted: Some(true),
                ..RollOutAgentReleaseReq::default()
            };
            roll_out(&args.version, &body, session).await?
        }
        AgentReleaseCommand::Resume(args) => {
            let body = RollOutAgentReleaseReq {
                halted: Some(false),
                retry_failed: Some(args.retry_failed),
                ..RollOutAgentReleaseReq::default()
            };
            roll_out(&args.version, &body, session).await?
        }
    };
    session
        .printer
        .show(&release, || View::Line(sentence(&release)));
    Ok(Outcome::Done)
}

async fn add(args: AddReleaseArgs, session: &Session) -> Result<AgentRelease, CommandError> {
    let mut programs = Vec::new();
    for path in &args.files {
        let failed = |error| CommandError::file("open program", path, error);
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        let size_bytes = file.metadata().await.map_err(failed)?.len();
        let program: AgentProgram = session
            .client
            .upload(
                paths::AGENT_PROGRAMS,
                &[],
                size_bytes,
                ReaderStream::new(file),
            )
            .await?;
        programs.push(program.sha256);
    }
    let body = CreateAgentReleaseReq {
        version: args.version,
        programs,
        expires_in_seconds: Some(i64::from(args.expires_in_secs)),
    };
    Ok(session.client.post(paths::AGENT_RELEASES, &body).await?)
}

async fn roll_out(
    version: &str,
    body: &RollOutAgentReleaseReq,
    session: &Session,
) -> Result<AgentRelease, CommandError> {
    let path = format!("{}/roll-out", paths::one(paths::AGENT_RELEASES, version));
    let body = serde_json::to_value(body)
        .map_err(|error| CommandError::because("cannot write the request", error))?;
    let answer = session
        .client
        .call(Method::PUT, &path, &[], Some(&body))
        .await?;
    Ok(answer)
}

fn row(release: &AgentRelease) -> Vec<Shade> {
    let bad = |count: i64| match count {
        0 => Shade::from("0".to_owned()),
        count => Shade::Bad(count.to_string()),
    };
    vec![
        release.version.clone().into(),
        offered_to(release),
        release.done.to_string().into(),
        release.trying.to_string().into(),
        bad(release.failed),
        bad(release.refused),
    ]
}

fn offered_to(release: &AgentRelease) -> Shade {
    let share = format!("{} %", release.percent);
    if release.halted {
        Shade::Bad(format!("nobody (halted at {share})"))
    } else {
        share.into()
    }
}

fn sentence(release: &AgentRelease) -> String {
    let to = match (release.halted, release.percent) {
        (true, percent) => {
            let why = release
                .halt_reason
                .as_ref()
                .map_or_else(String::new, |reason| format!(": {reason}"));
            format!("is halted at {percent} % of the desktops{why}")
        }
        (false, 0) => "is offered to nobody yet".to_owned(),
        (false, percent) => format!("is offered to {percent} % of the desktops"),
    };
    let mut text = format!(
        "release {} {to}; {} run it, {} try it, {} failed, {} refused",
        release.version, release.done, release.trying, release.failed, release.refused
    );
    for failure in release.failures.iter().flatten() {
        let detail = failure.detail.as_deref().unwrap_or("no reason given");
        text.push_str(&format!("\n  {}: {detail}", failure.desktop_name));
    }
    text
}
