//! `outfitter demo`: a server, desktops and real packages on this machine, and an honest table at the end.
//!
//! Everything lies in one temporary folder and goes with it, unless it is kept. It needs no rights and no network.
//! The outcome is checked: one that is not the expected one is an error of the command.

mod machine;
mod packages;
mod report;
mod story;

use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};

use self::machine::Machine;
use crate::args::demo::DemoArgs;
use crate::outcome::{CommandError, Outcome};
use crate::printer::{Printer, View};

/// Runs the demo.
///
/// # Errors
/// Something could not be started or did not answer, or a signal came; what runs is ended first.
pub(crate) async fn run(args: &DemoArgs, printer: Printer) -> Result<Outcome, CommandError> {
    let begun = Instant::now();
    let mut machine = Machine::new()?;
    let told = tokio::select! {
        told = Box::pin(story::tell(&mut machine, args.desktops, printer)) => told,
        error = interrupted() => Err(error),
    };
    let told = match told {
        Ok(told) => told,
        Err(error) => {
            printer.note(machine.logs());
            return Err(error);
        }
    };
    printer.show(&report::document(&told), || report::view(&told));
    let deviations = report::deviations(&told);
    if !deviations.is_empty() {
        printer.note(machine.logs());
        return Err(CommandError::failed(format!(
            "the demo did not end as it has to:\n{}",
            deviations.join("\n")
        )));
    }
    if printer.is_text() {
        printer.show(&(), || {
            View::Block(format!(
                "As it has to be: what is installed is proven, what is not proven is called unverified, and the\n\
                 installer that lied is caught. {} desktops, {} jobs, {:.0} s.\n",
                told.desktops.len(),
                told.jobs.len(),
                begun.elapsed().as_secs_f32(),
            ))
        });
    }
    if args.keep {
        let folder = machine.path().to_owned();
        let script = machine.keep()?;
        if printer.is_text() {
            printer.show(&(), || {
                View::Block(report::to_go_on(&told, &program(), &folder))
            });
        }
        printer.note(format!(
            "\nAll of it runs on in {}. Its desktops are played by folders there.\n\
             stop it:  sh {}",
            folder.display(),
            script.display()
        ));
    } else {
        drop(machine);
        printer.note(format!(
            "\nThe demo is over and nothing of it is left. With --keep it runs on, with a console to log in to:\n\
             {} demo --keep",
            program()
        ));
    }
    Ok(Outcome::Done)
}

/// This program as it was called, so that lines work as pasted.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "outfitter".to_owned())
}

/// Ends when somebody wants the demo to end.
async fn interrupted() -> CommandError {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return CommandError::failed("cannot watch for signals");
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    CommandError::failed("the demo was interrupted; what ran is ended")
}
