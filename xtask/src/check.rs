//! `cargo xtask check`: all that a change must satisfy before its tests are run.
//!
//! Every step runs, also after one failed, so that one run tells everything. The steps are ordered from cheap to
//! dear. When `OUTFITTER_LEDGER` names a file, each step appends `name<TAB>seconds<TAB>ok|FAILED` to it.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::{generated, house_rules};

type Step = (&'static str, fn(&Path) -> anyhow::Result<()>);

const STEPS: &[Step] = &[
    ("house rules", house_rules::check),
    ("format", format),
    ("dependency rules", dependency_rules),
    ("lints", lints),
    ("docs", docs),
    ("generated files", generated::compare_all),
];

/// Runs every step below `root`. Errors when at least one failed, naming those that did.
#[expect(clippy::print_stdout, reason = "the answer of a command-line tool")]
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut ledger = Vec::new();
    for (name, step) in STEPS {
        println!("== check: {name}");
        let began = Instant::now();
        let outcome = step(root);
        let seconds = began.elapsed().as_secs_f64();
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        if let Err(error) = outcome {
            println!("{error:#}");
        }
        ledger.push((*name, seconds, word));
    }
    println!();
    let mut lines = String::new();
    for (name, seconds, word) in &ledger {
        println!("{name:<20} {seconds:>7.1} s  {word}");
        lines.push_str(&format!("check: {name}\t{seconds:.1}\t{word}\n"));
    }
    if let Some(path) = std::env::var_os("OUTFITTER_LEDGER") {
        let path = Path::new(&path);
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .with_context(|| format!("append to the ledger {}", path.display()))?;
    }
    let failed: Vec<&str> = ledger
        .iter()
        .filter(|(_, _, word)| *word != "ok")
        .map(|(name, _, _)| *name)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn format(root: &Path) -> anyhow::Result<()> {
    succeed(cargo(root).args(["fmt", "--all", "--check"]))
}

fn lints(root: &Path) -> anyhow::Result<()> {
    succeed(
        cargo(root)
            .args([
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--quiet",
            ])
            .args(["--", "--deny", "warnings"]),
    )
}

fn docs(root: &Path) -> anyhow::Result<()> {
    // Private items too: the module that coordinates is often private, and its links must hold as well. Links from
    // public items to private ones are then whole.
    succeed(
        cargo(root)
            .args([
                "doc",
                "--locked",
                "--workspace",
                "--no-deps",
                "--document-private-items",
                "--quiet",
            ])
            .env(
                "RUSTDOCFLAGS",
                "--deny warnings --allow rustdoc::private_intra_doc_links",
            ),
    )
}

/// Licences, bans and sources of deny.toml. Duplicate versions are only counted: a full report is a command away.
#[expect(clippy::print_stdout, reason = "the answer of a command-line tool")]
fn dependency_rules(root: &Path) -> anyhow::Result<()> {
    let output = cargo_deny(root)
        .args([
            "--locked", "--color", "never", "check", "bans", "licenses", "sources",
        ])
        .output()
        .context("start cargo-deny; `scripts/need cargo-deny` installs it")?;
    let report = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{report}{}", String::from_utf8_lossy(&output.stdout));
    }
    let duplicates = report.matches("warning[duplicate]").count();
    println!("{duplicates} crates in more than one version; `cargo deny check bans` lists them");
    advisories(root)
}

fn cargo_deny(root: &Path) -> Command {
    let installed = root.join(".tools/bin/cargo-deny");
    let mut command = if installed.exists() {
        Command::new(installed)
    } else {
        Command::new("cargo-deny")
    };
    command.current_dir(root);
    command
}

/// Known vulnerabilities, where their database is at hand: it is fetched by `cargo deny fetch db`, not by a check,
/// which reaches no network. Says the database's date.
#[expect(clippy::print_stdout, reason = "the answer of a command-line tool")]
fn advisories(root: &Path) -> anyhow::Result<()> {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || {
            let home = std::env::var_os("HOME").unwrap_or_default();
            Path::new(&home).join(".cargo")
        },
        std::path::PathBuf::from,
    );
    let databases = home.join("advisory-dbs");
    let database = std::fs::read_dir(&databases)
        .ok()
        .and_then(|mut entries| entries.find_map(Result::ok));
    let Some(database) = database else {
        println!("advisories not looked at: no database; `cargo deny fetch db` gets it");
        return Ok(());
    };
    let date = Command::new("git")
        .arg("-C")
        .arg(database.path())
        .args(["log", "-1", "--format=%cs"])
        .output()
        .context("ask git for the date of the advisories")?;
    let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
    let output = cargo_deny(root)
        .args([
            "--locked",
            "--color",
            "never",
            "check",
            "--disable-fetch",
            "advisories",
        ])
        .output()
        .context("start cargo-deny")?;
    if !output.status.success() {
        bail!(
            "advisories of {date}:\n{}{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
    }
    println!("no advisory of the database of {date} concerns us");
    Ok(())
}

pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // What cargo told us about ourselves is not for others: ring's build script would see another
    // environment than in a plain build, and half of the tree would be compiled anew, to and fro.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs the command on our own streams. Errors when it cannot be started or does not end with success.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
