//! The company directory: how it is reached, and how its synchronisation fares.

use std::time::Duration;

use outfitter_api_types::native::directory::{
    Directory, DirectoryKind, DirectoryStatus, SetDirectoryReq, SyncDirectoryReq,
    TestDirectoryResponse,
};
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, reach, text};
use crate::args::directory::{DirectoryCommand, KindArg, SetDirectoryArgs, SyncDirectoryArgs};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::View;

/// Pause between looks at a synchronisation that runs.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

pub(super) async fn run(
    command: DirectoryCommand,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let client = &session.client;
    match command {
        DirectoryCommand::Set(args) => set(*args, session).await,
        DirectoryCommand::Show => {
            let directory: Directory = client
                .call(Method::GET, paths::DIRECTORY, &[], None)
                .await?;
            session.printer.show(&directory, || card(&directory));
            Ok(Outcome::Done)
        }
        DirectoryCommand::Test => {
            let found: TestDirectoryResponse = client
                .call(Method::POST, paths::DIRECTORY_TEST, &[], None)
                .await?;
            session.printer.show(&found, || tested(&found));
            Ok(if found.ok {
                Outcome::Done
            } else {
                Outcome::Failed
            })
        }
        DirectoryCommand::Sync(args) => sync(args, session).await,
        DirectoryCommand::Status => {
            let status = status(session).await?;
            session.printer.show(&status, || fares(&status));
            Ok(outcome(&status))
        }
        DirectoryCommand::Remove => {
            let _: IgnoredAny = client
                .call(Method::DELETE, paths::DIRECTORY, &[], None)
                .await?;
            session.printer.show(&json!({"removed": true}), || {
                View::Line(
                    "the directory is forgotten; its users and groups stay as they are known"
                        .to_owned(),
                )
            });
            Ok(Outcome::Done)
        }
    }
}

async fn set(args: SetDirectoryArgs, session: &Session) -> Result<Outcome, CommandError> {
    let ca_pem = std::fs::read_to_string(&args.ca_file)
        .map_err(|error| CommandError::file("read", &args.ca_file, error))?;
    let body = SetDirectoryReq {
        kind: match args.kind {
            KindArg::Ad => DirectoryKind::Ad,
            KindArg::Ldap => DirectoryKind::Ldap,
        },
        url: args.url,
        ca_pem,
        bind_user: args.bind_user,
        bind_password: reach::secret(args.password_file.as_deref())?,
        base_dn: args.base,
        user_base_dn: args.user_base,
        group_base_dn: args.group_base,
        user_filter: args.user_filter,
        group_filter: args.group_filter,
        domain: args.domain,
        user_name_attribute: args.user_name_attribute,
        group_name_attribute: args.group_name_attribute,
        sync_interval_seconds: Some(args.interval),
    };
    let body = serde_json::to_value(&body)
        .map_err(|error| CommandError::because("cannot write the request", error))?;
    let directory: Directory = session
        .client
        .call(Method::PUT, paths::DIRECTORY, &[], Some(&body))
        .await?;
    session.printer.show(&directory, || card(&directory));
    session.printer.note(
        "`outfitter directory test` tells what is there, `outfitter directory status` how far it is",
    );
    Ok(Outcome::Done)
}

async fn sync(args: SyncDirectoryArgs, session: &Session) -> Result<Outcome, CommandError> {
    let body = SyncDirectoryReq {
        full: args.full.then_some(true),
        allow_removals: args.allow_removals.then_some(true),
    };
    let mut last: DirectoryStatus = session.client.post(paths::DIRECTORY_SYNC, &body).await?;
    let wait = async {
        while last.pending || last.running {
            tokio::time::sleep(LOOK_AGAIN).await;
            last = status(session).await?;
        }
        Ok::<_, CommandError>(())
    };
    match tokio::time::timeout(Duration::from_secs(args.timeout_secs), wait).await {
        Ok(ended) => ended?,
        Err(_) => {
            return Err(CommandError::failed(
                "the synchronisation has not ended yet; it goes on",
            ));
        }
    }
    session.printer.show(&last, || fares(&last));
    Ok(outcome(&last))
}

async fn status(session: &Session) -> Result<DirectoryStatus, CommandError> {
    Ok(session
        .client
        .call(Method::GET, paths::DIRECTORY_STATUS, &[], None)
        .await?)
}

fn outcome(status: &DirectoryStatus) -> Outcome {
    if status.stale {
        Outcome::Failed
    } else {
        Outcome::Done
    }
}

fn card(directory: &Directory) -> View {
    let kind = super::word(&directory.kind);
    View::Line(
        [
            format!(
                "{kind} at {}, read as {}",
                directory.url, directory.bind_user
            ),
            format!(
                "users by {} below {}",
                directory.user_name_attribute, directory.user_base_dn
            ),
            format!(
                "groups by {} below {}",
                directory.group_name_attribute, directory.group_base_dn
            ),
            format!(
                "as accounts of {}, every {} seconds",
                directory.domain, directory.sync_interval_seconds
            ),
        ]
        .join("\n"),
    )
}

fn tested(found: &TestDirectoryResponse) -> View {
    if !found.ok {
        return View::Line(format!("{}\n{}", text(&found.words), text(&found.hint)));
    }
    let some = |names: &[String]| {
        if names.is_empty() {
            String::new()
        } else {
            format!(" ({}, ...)", names.join(", "))
        }
    };
    let mut lines = vec![
        format!(
            "{} users{}",
            found.users.unwrap_or_default(),
            some(&found.sample_users)
        ),
        format!(
            "{} groups{}",
            found.groups.unwrap_or_default(),
            some(&found.sample_groups)
        ),
    ];
    if found.tells_changes == Some(false) {
        lines.push("it does not tell what changed: everything is read every time".to_owned());
    }
    View::Line(lines.join("\n"))
}

fn fares(status: &DirectoryStatus) -> View {
    let at = |at: &Option<outfitter_api_types::time::WireTime>| {
        at.map_or_else(|| "never".to_owned(), |at| at.to_string())
    };
    let mut lines = vec![format!(
        "{} users and {} groups, as of {}",
        status.users,
        status.groups,
        at(&status.last_success_at)
    )];
    if status.stale {
        lines.push(format!(
            "the last attempt failed ({}): {}",
            at(&status.last_attempt_at),
            text(&status.words)
        ));
        lines.push(text(&status.hint));
    }
    if status.running || status.pending {
        lines.push("a synchronisation runs or is about to".to_owned());
    }
    if let Some(report) = &status.report {
        lines.push(format!(
            "last time: {} added, {} changed, {} removed, {} memberships changed",
            report.added, report.changed, report.removed, report.memberships_changed
        ));
        lines.extend(
            report
                .skipped
                .iter()
                .map(|skip| format!("left out: {} ({})", skip.name, skip.reason)),
        );
    }
    View::Line(lines.join("\n"))
}
