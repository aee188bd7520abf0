//! House tasks: `cargo xtask check` compares, `cargo xtask gen` writes what it compares.

mod check;
mod generated;
mod house_rules;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

const USAGE: &str = "usage: cargo xtask check | gen

check  format, lints, docs, dependency rules, generated files, house rules; each step timed
gen    write the generated files that check compares";

#[expect(
    clippy::print_stderr,
    reason = "a command-line tool answers on its streams"
)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["check"] => repository_root().and_then(|root| check::run(&root)),
        ["gen"] => repository_root().and_then(|root| generated::write_all(&root)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder. Errors when this program's own package does not lie one level below it.
fn repository_root() -> anyhow::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .context("xtask must be a folder of the workspace")
}
