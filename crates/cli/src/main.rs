//! The `outfitter` command: the server, and the commands that talk to it.

mod args;
mod commands;
#[cfg(unix)]
mod demo;
mod env;
mod follow;
mod listing;
mod outcome;
mod paths;
mod printer;
mod profile;

use std::process::ExitCode;

use crate::args::Cli;
use crate::printer::{Format, Printer};

fn main() -> ExitCode {
    let cli = Cli::read();
    let printer = Printer::new(if cli.global.json {
        Format::Json
    } else {
        Format::Text
    });
    match commands::run(cli, printer) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            printer.error(&error);
            error.exit_code()
        }
    }
}
