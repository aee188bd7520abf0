//! Taking over users, groups and desktops from CSV files.
//!
//! Every line ends with a result and a reason, in the order of the file. A line is planned from what the server
//! has and what earlier lines of the same file do, then carried out; a dry run stops before that and so says the
//! same. What is as the file says is left alone, so that an import can be repeated. A line that cannot be done does
//! not stop the others. When the server goes away, the rest is reported as not tried.
//!
//! A dry run checks names and bounds with the very schema the server enforces. It cannot foresee what others change
//! meanwhile.

mod desktop;
mod file;
mod group;
mod user;

use std::collections::HashMap;

use outfitter_client::ClientError;
use outfitter_domain::text::fold;
use outfitter_server::http::ApiError;
use outfitter_server::http::schema::RequestSchema;
use serde::Serialize;
use serde_json::Value;

use self::file::{Line, Table};
use super::{Session, counted, table, word};
use crate::args::ImportArgs;
use crate::outcome::{CommandError, Outcome};
use crate::printer::Shade;

pub(super) use self::desktop::run as desktops;
pub(super) use self::group::run as groups;
pub(super) use self::user::run as users;

/// What became, or in a dry run would become, of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum LineResult {
    Added,
    Changed,
    Unchanged,
    Failed,
    NotTried,
}

/// A line of the report.
#[derive(Debug, Serialize)]
struct Reported {
    /// Line of the file, from 1; the header is line 1.
    line: u64,
    /// What it is about.
    what: String,
    result: LineResult,
    /// What is done, or why nothing is.
    reason: String,
}

/// How a line of one noun is planned and carried out.
trait Import {
    /// What is to be done for a line.
    type Step;
    /// Word for the things.
    const NOUN: &'static str;
    /// Columns that are understood; the first is the name and needed.
    const COLUMNS: &'static [&'static str];

    /// Decides what a line asks for, and remembers it for the lines after it.
    ///
    /// # Errors
    /// Why it cannot be done.
    fn plan(&mut self, line: &Line) -> Result<Planned<Self::Step>, String>;

    /// Does it.
    async fn carry_out(&mut self, step: Self::Step, session: &Session) -> Result<(), ClientError>;
}

/// What a line asks for.
enum Planned<S> {
    /// Nothing: it is so already.
    Unchanged,
    /// A thing that was not there.
    Add(S, String),
    /// A thing that differs.
    Change(S, String),
}

async fn run<I: Import>(
    mut import: I,
    read: Table,
    args: &ImportArgs,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let mut report = Vec::new();
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut lost = false;
    for line in read.lines {
        let name = line.get(I::COLUMNS[0]).unwrap_or_default().to_owned();
        let mut reported = Reported {
            line: line.number,
            what: format!("{} {name}", I::NOUN).trim_end().to_owned(),
            result: LineResult::Failed,
            reason: String::new(),
        };
        let planned = check(&line, &name, &mut seen).and_then(|()| import.plan(&line));
        let step = match planned {
            Err(why) => {
                reported.reason = why;
                None
            }
            Ok(Planned::Unchanged) => {
                reported.result = LineResult::Unchanged;
                None
            }
            Ok(Planned::Add(step, reason)) => {
                reported.result = LineResult::Added;
                reported.reason = reason;
                Some(step)
            }
            Ok(Planned::Change(step, reason)) => {
                reported.result = LineResult::Changed;
                reported.reason = reason;
                Some(step)
            }
        };
        if let Some(step) = step
            && !args.dry_run
        {
            if lost {
                reported.result = LineResult::NotTried;
                reported.reason = "the server could not be reached any more".to_owned();
            } else if let Err(error) = import.carry_out(step, session).await {
                lost = matches!(error, ClientError::Unreachable { .. });
                reported.result = LineResult::Failed;
                reported.reason = error.to_string();
            }
        }
        report.push(reported);
    }
    show(&report, I::NOUN, args, session);
    let failed = report
        .iter()
        .filter(|line| matches!(line.result, LineResult::Failed | LineResult::NotTried))
        .count();
    Ok(Outcome::of_counts(report.len() - failed, report.len()))
}

/// What every line must fulfil: as many fields as the header, a name, and that only once.
fn check(line: &Line, name: &str, seen: &mut HashMap<String, u64>) -> Result<(), String> {
    if let Some(wrong) = &line.wrong {
        return Err(wrong.clone());
    }
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    match seen.insert(fold(name), line.number) {
        Some(first) => Err(format!("line {first} has the same name")),
        None => Ok(()),
    }
}

fn show(report: &[Reported], noun: &str, args: &ImportArgs, session: &Session) {
    let count = |result| report.iter().filter(|line| line.result == result).count();
    let counts = [
        (LineResult::Added, "added"),
        (LineResult::Changed, "changed"),
        (LineResult::Unchanged, "unchanged"),
        (LineResult::Failed, "failed"),
        (LineResult::NotTried, "not tried"),
    ];
    let document = serde_json::json!({
        "dry_run": args.dry_run,
        "counts": counts
            .iter()
            .map(|(result, _)| (word(result), count(*result).into()))
            .collect::<serde_json::Map<String, Value>>(),
        "lines": report,
    });
    session.printer.show(&document, || {
        let would = if args.dry_run { "would be " } else { "" };
        let rows = report.iter().map(|line| {
            vec![
                line.line.to_string().into(),
                line.what.clone().into(),
                match line.result {
                    LineResult::Added => Shade::Good(format!("{would}added")),
                    LineResult::Changed => Shade::Good(format!("{would}changed")),
                    LineResult::Unchanged => "unchanged".into(),
                    LineResult::Failed if args.dry_run => Shade::Bad("would fail".to_owned()),
                    LineResult::Failed => Shade::Bad("failed".to_owned()),
                    LineResult::NotTried => Shade::Bad("not tried".to_owned()),
                },
                line.reason.clone().into(),
            ]
        });
        table(
            &["line", "what", "result", "reason"],
            rows.collect(),
            "the file has no lines below its header",
        )
    });
    let parts: Vec<String> = counts
        .iter()
        .map(|(result, name)| (count(*result), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    if !parts.is_empty() {
        let mut sum = format!("{}: {}", counted(report.len(), noun), parts.join(", "));
        if args.dry_run {
            sum.push_str("; a dry run, nothing was changed");
        }
        session.printer.note(sum);
    }
}

/// Checks a request as the server would.
fn fits(schema: &RequestSchema, body: &impl Serialize) -> Result<(), String> {
    let body = serde_json::to_value(body).map_err(|error| error.to_string())?;
    schema.check(&body).map_err(|error| match error {
        ApiError::Invalid { field, reason } => format!("{field}: {reason}"),
        other => format!("{other:?}"),
    })
}
