use std::fs::File;
use std::io::{self, Write};

use outfitter_api_types::native::audit::{
    AuditEntry, AuditPlace, ListAuditEntriesResponse, PruneAuditReq, PruneAuditResponse,
    ShowAuditEntryResponse, VerifyAuditReq, VerifyAuditResponse,
};
use serde_json::json;

use super::{Session, table, text, word};
use crate::args::audit::{AuditCommand, AuditFilterArgs};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, View};

/// Largest page that the list allows.
const PAGE: usize = 100;

pub(super) async fn run(command: AuditCommand, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    match command {
        AuditCommand::List(args) => {
            let entries = list(session, &args.filter, args.limit).await?;
            session
                .printer
                .show(&json!({"items": entries}), || list_view(&entries));
        }
        AuditCommand::Show(args) => {
            let path = paths::one(path_of(args.domain), &args.entry);
            let shown: ShowAuditEntryResponse = client.get(&path, &[]).await?;
            session.printer.show(&shown, || entry_view(&shown));
        }
        AuditCommand::Export(args) => {
            let path = format!("{}/export", path_of(args.filter.domain));
            let query = query(&args.filter);
            let mut output: Box<dyn Write> = match &args.output {
                None => Box::new(io::stdout()),
                Some(path) => Box::new(File::create(path).map_err(|error| {
                    CommandError::because(format!("cannot write {}", path.display()), error)
                })?),
            };
            let mut answer = client.open(&path, &query).await?;
            while let Some(piece) = client.piece(&mut answer).await? {
                output
                    .write_all(&piece)
                    .map_err(|error| CommandError::because("cannot write the entries", error))?;
            }
            output
                .flush()
                .map_err(|error| CommandError::because("cannot write the entries", error))?;
        }
        AuditCommand::Verify(args) => {
            let known = args.known.as_deref().map(place).transpose()?;
            let found: VerifyAuditResponse = client
                .post(paths::AUDIT_VERIFY, &VerifyAuditReq { known })
                .await?;
            session.printer.show(&found, || verified_view(&found));
            if !found.whole {
                return Ok(Outcome::Failed);
            }
        }
        AuditCommand::Prune(args) => {
            let before = serde_json::from_value(json!(args.before)).map_err(|_| {
                CommandError::usage("--before wants a time such as 2026-01-31T08:00:00Z")
            })?;
            let body = PruneAuditReq { before };
            let pruned: PruneAuditResponse = client.post(paths::AUDIT_PRUNE, &body).await?;
            session.printer.show(&pruned, || {
                View::Line(format!(
                    "{} entries are gone; the chain begins behind entry {}",
                    pruned.deleted, pruned.deleted_to_sequence
                ))
            });
        }
    }
    Ok(Outcome::Done)
}

fn path_of(domain: bool) -> &'static str {
    if domain {
        paths::DOMAIN_AUDIT
    } else {
        paths::AUDIT
    }
}

fn place(given: &str) -> Result<AuditPlace, CommandError> {
    given
        .split_once(':')
        .and_then(|(sequence, hash)| {
            Some(AuditPlace {
                sequence: sequence.parse().ok()?,
                hash: hash.to_owned(),
            })
        })
        .ok_or_else(|| CommandError::usage("--known wants SEQUENCE:HASH, as verify shows it"))
}

fn query(filter: &AuditFilterArgs) -> Vec<(&'static str, String)> {
    [
        ("from", &filter.from),
        ("to", &filter.to),
        ("actor", &filter.actor),
        ("action", &filter.action),
        ("resource", &filter.resource),
        ("kind", &filter.kind),
        ("outcome", &filter.outcome),
        ("request_id", &filter.request_id),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.clone()?)))
    .collect()
}

async fn list(
    session: &Session,
    filter: &AuditFilterArgs,
    limit: usize,
) -> Result<Vec<AuditEntry>, CommandError> {
    let mut entries = Vec::new();
    let mut marker = None;
    loop {
        let mut query = query(filter);
        let wanted = PAGE.min(limit - entries.len()).max(1);
        query.push(("limit", wanted.to_string()));
        if let Some(marker) = marker.take() {
            query.push(("marker", marker));
        }
        let page: ListAuditEntriesResponse =
            session.client.get(path_of(filter.domain), &query).await?;
        entries.extend(page.items);
        marker = page.next_marker;
        if marker.is_none() || entries.len() >= limit {
            entries.truncate(limit);
            return Ok(entries);
        }
    }
}

fn who(entry: &AuditEntry) -> String {
    entry
        .actor
        .name
        .clone()
        .or_else(|| entry.actor.id.clone())
        .unwrap_or_else(|| entry.actor.kind.clone())
}

fn about(entry: &AuditEntry) -> String {
    let first = entry.resources.first().cloned().unwrap_or_default();
    let more = match entry.resources.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    match &entry.resource_name {
        Some(name) => format!("{name} ({first}){more}"),
        None => format!("{first}{more}"),
    }
}

fn outcome(entry: &AuditEntry) -> Shade {
    let times = match entry.times {
        1 => String::new(),
        times => format!(" {times} times"),
    };
    match entry.status {
        Some(status) => Shade::Bad(format!("{} {status}{times}", word(&entry.outcome))),
        None => Shade::Plain(format!("{}{times}", word(&entry.outcome))),
    }
}

fn list_view(entries: &[AuditEntry]) -> View {
    table(
        &[
            "id", "time", "who", "from", "kind", "action", "about", "outcome",
        ],
        entries
            .iter()
            .map(|entry| {
                vec![
                    entry.id.clone().into(),
                    entry.time.to_string().into(),
                    who(entry).into(),
                    text(&entry.address).into(),
                    word(&entry.kind).into(),
                    entry.action.clone().into(),
                    about(entry).into(),
                    outcome(entry),
                ]
            })
            .collect(),
        "there are no such entries",
    )
}

fn entry_view(shown: &ShowAuditEntryResponse) -> View {
    let entry = &shown.entry;
    let mut members = vec![
        ("entry", entry.id.clone()),
        ("time", entry.time.to_string()),
        ("kind", word(&entry.kind)),
        ("outcome", outcome(entry).text().to_owned()),
        ("action", entry.action.clone()),
        ("operation", entry.operation.clone()),
        ("who", who(entry)),
        ("credential", entry.actor.credential.clone()),
        ("from", text(&entry.address)),
        ("request", text(&entry.request_id)),
        ("about", about(entry)),
    ];
    if let Some(whom) = &entry.on_behalf_of {
        members.push(("for", whom.clone()));
    }
    for (name, value) in &entry.detail {
        if name != "changes" {
            members.push(("detail", format!("{name}: {value}")));
        }
    }
    members.push((
        "sealed",
        entry
            .sequence
            .map_or_else(|| "not yet".to_owned(), |sequence| format!("as {sequence}")),
    ));
    let differences = shown
        .differences
        .iter()
        .map(|it| {
            vec![
                it.resource.clone().into(),
                it.member.clone().into(),
                Shade::Bad(it.before.to_string()),
                Shade::Good(it.after.to_string()),
            ]
        })
        .collect();
    View::Several(vec![
        View::Card(members),
        table(
            &["resource", "member", "before", "after"],
            differences,
            "no state was changed",
        ),
    ])
}

fn verified_view(found: &VerifyAuditResponse) -> View {
    let members = vec![
        (
            "audit log",
            if found.whole {
                "whole".to_owned()
            } else {
                "NOT WHOLE".to_owned()
            },
        ),
        ("checked", format!("{} entries", found.checked)),
        ("up to", format!("{}:{}", found.sequence, found.hash)),
        (
            "deleted",
            format!("up to entry {}", found.deleted_to_sequence),
        ),
        ("not sealed", format!("{} entries", found.unsealed)),
        (
            "results",
            format!(
                "{} checked, {} deleted with their jobs, {} not sealed",
                found.results.checked, found.results.gone, found.results.unsealed
            ),
        ),
        (
            "results up to",
            format!("{}:{}", found.results.sequence, found.results.hash),
        ),
    ];
    if found.whole {
        return View::Card(members);
    }
    let rows = found
        .findings
        .iter()
        .map(|finding| {
            let place = match (finding.sequence, finding.to_sequence) {
                (Some(from), Some(to)) if from != to => format!("{from} to {to}"),
                (Some(sequence), _) => sequence.to_string(),
                (None, _) => "not sealed".to_owned(),
            };
            vec![
                Shade::Bad(word(&finding.problem)),
                place.into(),
                text(&finding.entry_id).into(),
            ]
        })
        .collect();
    View::Several(vec![
        View::Card(members),
        table(&["problem", "place", "id"], rows, "nothing is wrong"),
    ])
}
