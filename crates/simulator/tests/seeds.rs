//! The proof: seeds, that a seed is one schedule, and what single seeds taught.
//!
//! `OUTFITTER_SIMULATOR_FIRST_SEED` and `OUTFITTER_SIMULATOR_SEEDS` choose the seeds (`make soak SEEDS=10000` puts the
//! result into `docs/proofs.md`); `OUTFITTER_SIMULATOR_TRACE=1` shows a failing run's whole trace, `OUTFITTER_SIMULATOR_WATCH=1` every step as it
//! happens, `RUST_LOG` what the product says.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use outfitter_simulator::{Failure, Report, Shape, Workshop, run};

/// Seeds in `make test`.
const SMALL: u64 = 200;

fn workshop() -> Arc<Workshop> {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .without_time()
        .with_writer(std::io::stderr)
        .try_init();
    Arc::new(Workshop::open().unwrap())
}

fn must(outcome: Result<Report, Box<Failure>>) -> Report {
    outcome.unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn a_seed_is_one_schedule() {
    let (workshop, other) = (workshop(), workshop());
    for seed in 1..=4 {
        let first = must(run(&workshop, seed, Shape::Drawn).unwrap());
        let again = must(run(&other, seed, Shape::Drawn).unwrap());
        assert_eq!(
            (first.digest, first.steps, first.messages),
            (again.digest, again.steps, again.messages),
            "seed {seed}"
        );
    }
}

/// Fifty apps on fifty desktops by one call, installers that end at once: nobody waits for a sweep.
#[test]
fn a_batch_of_instant_installers_does_not_stand_still() {
    let workshop = workshop();
    for pinned in [true, false] {
        let report = must(
            run(
                &workshop,
                1,
                Shape::Batch {
                    desktops: 12,
                    apps: 12,
                    pinned,
                },
            )
            .unwrap(),
        );
        assert_eq!(
            report.outcomes,
            BTreeMap::from([("success".to_owned(), 144)])
        );
        // Virtual time: an answer takes some milliseconds each way, a job a dozen of them. Waiting for a sweep in
        // between would take five seconds for each app.
        assert!(
            report.settled_after < Duration::from_secs(40),
            "pinned: {pinned}, {:?}",
            report.settled_after
        );
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The processors that this process may use, at most eight.
fn processors() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    (0..CpuSet::count())
        .filter(|processor| allowed.is_set(*processor).unwrap())
        .take(8)
        .collect()
}

/// Keeps this thread and those that it will start on one processor. A world and its database's thread wait for each other at
/// each statement, and to wake another processor costs more than the statement (measured on two: 1.2 s of processor time a
/// seed, kept together 0.8 s).
fn stay_on(processor: usize) {
    let mut only = CpuSet::new();
    only.set(processor).unwrap();
    sched_setaffinity(Pid::from_raw(0), &only).unwrap();
}

#[test]
fn seeds() {
    let first = number("OUTFITTER_SIMULATOR_FIRST_SEED").unwrap_or(1);
    let count = number("OUTFITTER_SIMULATOR_SEEDS").unwrap_or(SMALL);
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let broken = AtomicBool::new(false);
    let results: Vec<_> = std::thread::scope(|scope| {
        // Each with its own world; nothing is shared between seeds. A seed waits half of its time for its database's
        // thread, so a processor has two.
        let threads: Vec<_> = processors()
            .into_iter()
            .flat_map(|processor| [processor; 2])
            .map(|processor| {
                let (next, broken) = (&next, &broken);
                scope.spawn(move || {
                    stay_on(processor);
                    let workshop = workshop();
                    let mut reports = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= first + count || broken.load(Ordering::Relaxed) {
                            return Ok(reports);
                        }
                        match run(&workshop, seed, Shape::Drawn).unwrap() {
                            Ok(report) => reports.push(report),
                            Err(failure) => {
                                broken.store(true, Ordering::Relaxed);
                                return Err(failure);
                            }
                        }
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut reports = Vec::new();
    for result in results {
        match result {
            Ok(some) => reports.extend(some),
            Err(failure) => panic!("{failure}"),
        }
    }
    eprintln!("{}", table(&reports, first, count, began.elapsed()));
}

fn table(reports: &[Report], first: u64, count: u64, took: Duration) -> String {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    for report in reports {
        for (outcome, jobs) in &report.outcomes {
            *outcomes.entry(outcome).or_default() += jobs;
        }
    }
    let outcomes: Vec<String> = outcomes
        .iter()
        .map(|(outcome, jobs)| format!("{jobs} {outcome}"))
        .collect();
    let virtual_hours = reports
        .iter()
        .map(|report| report.virtual_time)
        .sum::<Duration>()
        .as_secs()
        / 3600;
    let busy: Duration = reports.iter().map(|report| report.wall_time).sum();
    let mut text = String::from("| | |\n| --- | --- |\n");
    for (name, value) in [
        (
            "seeds",
            format!(
                "{count} ({first} to {}), none breaks an invariant",
                first + count - 1
            ),
        ),
        ("steps checked", sum(|report| report.steps).to_string()),
        (
            "desktops",
            format!(
                "{} in all, at most {} in one run",
                sum(|report| report.desktops as u64),
                reports
                    .iter()
                    .map(|report| report.desktops)
                    .max()
                    .unwrap_or(0)
            ),
        ),
        (
            "deaths",
            format!(
                "{} of the server, {} of agents, {} of them by a loss of power",
                sum(|report| report.server_crashes),
                sum(|report| report.agent_crashes),
                sum(|report| report.power_cuts)
            ),
        ),
        (
            "other faults",
            format!(
                "{} connections cut, {} operations of disks failed",
                sum(|report| report.cuts),
                sum(|report| report.disk_faults)
            ),
        ),
        ("messages", sum(|report| report.messages).to_string()),
        (
            "installers run",
            sum(|report| report.installers).to_string(),
        ),
        ("jobs", outcomes.join(", ")),
        (
            "time",
            format!(
                "{virtual_hours} h virtual in {} s, {} ms a seed and thread",
                took.as_secs(),
                busy.as_millis() / reports.len().max(1) as u128
            ),
        ),
    ] {
        writeln!(text, "| {name} | {value} |").unwrap();
    }
    text
}
