//! Why a desktop has an app or has it not, in words, from what is known.

use crate::install::SkipReason;
use crate::job::{Proof, Reason, State};
use crate::{AssignType, Millis, OsType};

/// Everything that is known of an app on a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyFacts {
    /// The app's name.
    pub app_name: String,
    /// Version of its newest revision.
    pub newest_version: String,
    /// Whether users see it.
    pub is_hidden: bool,
    /// Whether its newest revision can be handed out.
    pub package: PackageFact,
    /// Systems the app is for.
    pub support_os: OsType,
    /// The desktop's name.
    pub desktop_name: String,
    /// The desktop's system.
    pub desktop_os: OsType,
    /// Whether what is installed there stays.
    pub is_persistent: bool,
    /// Who may have the app.
    pub authorization: AssignType,
    /// How many users the desktop has.
    pub users: i64,
    /// Those of its users who are authorized by name or group; at most a few.
    pub authorized: Vec<AuthorizedUser>,
    /// Its agent.
    pub agent: AgentFact,
    /// Since when it needs a restart.
    pub restart_needed_at: Option<Millis>,
    /// What it has, as far as the last SUCCESS tells.
    pub installed: Option<InstalledFact>,
    /// Standing freezes, in words of who set them.
    pub freezes: Vec<FreezeFact>,
    /// What its agent is busy with instead.
    pub busy_with: Option<String>,
    /// The newest deployment that gave it no job for the app.
    pub skipped: Option<SkippedFact>,
    /// Its newest job for the app.
    pub job: Option<JobFact>,
}

/// Whether a revision's package can be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageFact {
    /// It can.
    Ready,
    /// It is being looked at.
    Pending,
    /// It is not in the store, or was refused.
    Missing,
}

/// A user of the desktop who may have the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedUser {
    /// Name.
    pub name: String,
    /// The group that is authorized; `None`: the user is, by name.
    pub by_group: Option<String>,
}

/// What is known of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentFact {
    /// There is none.
    None,
    /// It is connected.
    Connected,
    /// It is away.
    Away {
        /// When it was last heard of.
        last_seen_at: Option<Millis>,
    },
}

/// What a desktop has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledFact {
    /// Version of the revision.
    pub version: String,
    /// Whether that revision is the newest.
    pub is_newest: bool,
    /// How well it was proven.
    pub proof: Proof,
    /// When it was installed.
    pub at: Millis,
}

/// A standing freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeFact {
    /// `project` or `server`.
    pub what: &'static str,
    /// Who froze.
    pub operator: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// Since when.
    pub since: Millis,
}

/// A deployment that gave no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedFact {
    /// Why.
    pub reason: SkipReason,
    /// When the deployment was accepted.
    pub at: Millis,
    /// Whether it is newer than that of the newest job.
    pub is_after_job: bool,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFact {
    /// Whether it takes the app off.
    pub is_uninstall: bool,
    /// Where it is.
    pub state: State,
    /// Who asked.
    pub operator: String,
    /// When it was opened.
    pub created_at: Millis,
    /// When its folded state changed last.
    pub updated_at: Millis,
    /// Why it failed, or its last attempt did.
    pub reason: Option<Reason>,
    /// The same with what was seen.
    pub message: Option<String>,
    /// When it is tried next.
    pub due_at: Millis,
    /// Until when a user of the desktop put it off.
    pub put_off_until: Option<Millis>,
    /// Since when its deployment is halted by its limit of failures.
    pub halted_at: Option<Millis>,
    /// Its newest attempt.
    pub attempt: Option<AttemptFact>,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFact {
    /// 1 for the first.
    pub number: i64,
    /// Version it was about.
    pub version: String,
    /// Where it was last seen, in a word.
    pub phase: Option<&'static str>,
    /// Share of that phase done, in percent.
    pub percent: Option<i64>,
    /// Why it ended: `succeeded`, `lapsed` or a reason's code.
    pub outcome: Option<String>,
    /// When it was handed out.
    pub at: Millis,
}

words! {
    /// What a step of an explanation is about.
    StepKind {
        /// The app itself.
        App = "app",
        /// Whether the app is for the desktop's system.
        OperatingSystem = "operating_system",
        /// Who may have it there.
        Authorization = "authorization",
        /// The desktop's agent.
        Agent = "agent",
        /// Freezes and halts.
        HandOuts = "hand_outs",
        /// The deployment that reached or skipped it.
        Deployment = "deployment",
        /// Its job.
        Job = "job",
        /// The job's last attempt.
        Attempt = "attempt",
        /// What is installed.
        Installed = "installed",
    }
    /// What a step says about getting the app.
    StepResult {
        /// Nothing stands in the way here.
        Fine = "fine",
        /// This stands in the way.
        Blocks = "blocks",
        /// Good to know.
        Note = "note",
    }
}

/// One step of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is about.
    pub kind: StepKind,
    /// What it says.
    pub result: StepResult,
    /// In words.
    pub text: String,
    /// What to do; empty where there is nothing to do.
    pub hint: String,
    /// When it was so.
    pub at: Option<Millis>,
}

/// Why a desktop has an app or has it not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The answer in one or two sentences.
    pub answer: String,
    /// Step by step, from the app to what is installed.
    pub steps: Vec<Step>,
}

/// Explains, step by step, and answers by the last thing that decided.
pub fn explain(facts: &WhyFacts) -> Why {
    let mut steps = vec![
        app_step(facts),
        system_step(facts),
        authorization_step(facts),
        agent_step(facts),
    ];
    steps.extend(hand_out_steps(facts));
    steps.extend(deployment_step(facts));
    if let Some(job) = &facts.job {
        steps.push(job_step(job));
        steps.extend(job.attempt.as_ref().map(attempt_step));
    }
    steps.push(installed_step(facts));
    Why {
        answer: answer(facts, &steps),
        steps,
    }
}

fn step(kind: StepKind, result: StepResult, text: impl Into<String>) -> Step {
    Step {
        kind,
        result,
        text: text.into(),
        hint: String::new(),
        at: None,
    }
}

fn app_step(facts: &WhyFacts) -> Step {
    let name = &facts.app_name;
    let version = &facts.newest_version;
    let (result, text, hint) = match facts.package {
        PackageFact::Missing => (
            StepResult::Blocks,
            format!("The package of {name} {version} is not in the store, or was refused."),
            "Upload the package again.",
        ),
        PackageFact::Pending => (
            StepResult::Blocks,
            format!("The package of {name} {version} is still being looked at."),
            "",
        ),
        PackageFact::Ready if facts.is_hidden => (
            StepResult::Note,
            format!("{name} {version} is hidden: new installs are refused, jobs that exist go on."),
            "Enable the application.",
        ),
        PackageFact::Ready => (
            StepResult::Fine,
            format!("{name} {version} can be handed out."),
            "",
        ),
    };
    Step {
        hint: hint.to_owned(),
        ..step(StepKind::App, result, text)
    }
}

fn system_step(facts: &WhyFacts) -> Step {
    let (desktop, app) = (facts.desktop_os.as_str(), facts.support_os.as_str());
    if facts.support_os != OsType::Other && facts.support_os != facts.desktop_os {
        return Step {
            hint: "Choose an application for that system.".to_owned(),
            ..step(
                StepKind::OperatingSystem,
                StepResult::Blocks,
                format!("The application is for {app}, the desktop has {desktop}."),
            )
        };
    }
    if !facts.is_persistent {
        return step(
            StepKind::OperatingSystem,
            StepResult::Blocks,
            "The desktop is reset when its user logs out, so installs skip it.",
        );
    }
    let text = match facts.support_os {
        OsType::Other => "The application fits every system.".to_owned(),
        OsType::Linux | OsType::Windows => {
            format!("The application is for {app}, like the desktop.")
        }
    };
    step(StepKind::OperatingSystem, StepResult::Fine, text)
}

fn authorization_step(facts: &WhyFacts) -> Step {
    let kind = StepKind::Authorization;
    match (facts.authorization, facts.authorized.first()) {
        (AssignType::AllUser, _) => {
            step(kind, StepResult::Fine, "Everyone may have the application.")
        }
        (AssignType::AssignUser, Some(first)) => {
            let how = match &first.by_group {
                Some(group) => format!(
                    "{} may have it as a member of the group {group}",
                    first.name
                ),
                None => format!("{} may have it by name", first.name),
            };
            let others = match facts.authorized.len() - 1 {
                0 => String::new(),
                others => format!(", and {others} more of its users"),
            };
            step(kind, StepResult::Fine, format!("{how}{others}."))
        }
        (AssignType::AssignUser, None) => Step {
            hint: "Authorize a user of the desktop, or a group they are in.".to_owned(),
            ..step(
                kind,
                StepResult::Blocks,
                if facts.users == 0 {
                    "The desktop has no users, and the application is for those authorized by name."
                        .to_owned()
                } else {
                    "None of its users may have the application.".to_owned()
                },
            )
        },
    }
}

fn agent_step(facts: &WhyFacts) -> Step {
    let kind = StepKind::Agent;
    let restart = |step: Step| match facts.restart_needed_at {
        Some(_) => Step {
            text: format!("{} It needs a restart for what was done before.", step.text),
            ..step
        },
        None => step,
    };
    restart(match facts.agent {
        AgentFact::None => Step {
            hint: "Install the agent: `outfitter agent install`.".to_owned(),
            ..step(kind, StepResult::Blocks, "The desktop has no agent.")
        },
        AgentFact::Connected => match &facts.busy_with {
            Some(app) => step(
                kind,
                StepResult::Note,
                format!("Its agent is connected and busy with {app}; one thing is done at a time."),
            ),
            None => step(kind, StepResult::Fine, "Its agent is connected."),
        },
        AgentFact::Away { last_seen_at } => Step {
            hint: "Start the desktop.".to_owned(),
            at: last_seen_at,
            ..step(
                kind,
                StepResult::Blocks,
                match last_seen_at {
                    Some(_) => "Its agent is not connected.",
                    None => "Its agent has never been connected.",
                },
            )
        },
    })
}

fn hand_out_steps(facts: &WhyFacts) -> Vec<Step> {
    let mut steps: Vec<Step> = facts
        .freezes
        .iter()
        .map(|freeze| Step {
            hint: "`outfitter freeze off` lets hand-outs go on.".to_owned(),
            at: Some(freeze.since),
            ..step(
                StepKind::HandOuts,
                StepResult::Blocks,
                format!(
                    "The {} is frozen by {}{}.",
                    freeze.what,
                    freeze.operator,
                    freeze
                        .reason
                        .as_ref()
                        .map_or_else(String::new, |reason| format!(" ({reason})"))
                ),
            )
        })
        .collect();
    if let Some(since) = facts.job.as_ref().and_then(|job| job.halted_at) {
        steps.push(Step {
            hint: "`outfitter deployment resume` lets it go on.".to_owned(),
            at: Some(since),
            ..step(
                StepKind::HandOuts,
                StepResult::Blocks,
                "Its deployment is halted: too many of its jobs failed.",
            )
        });
    }
    if steps.is_empty() {
        steps.push(step(
            StepKind::HandOuts,
            StepResult::Fine,
            "Nothing is frozen or halted.",
        ));
    }
    steps
}

fn deployment_step(facts: &WhyFacts) -> Option<Step> {
    let skipped = match (&facts.skipped, &facts.job) {
        (Some(skipped), job) if skipped.is_after_job || job.is_none() => skipped,
        (_, Some(job)) => {
            return Some(Step {
                at: Some(job.created_at),
                ..step(
                    StepKind::Deployment,
                    StepResult::Fine,
                    format!(
                        "{} asked to {} it.",
                        job.operator,
                        if job.is_uninstall {
                            "uninstall"
                        } else {
                            "install"
                        }
                    ),
                )
            });
        }
        (_, None) => {
            return Some(Step {
                hint: "`outfitter app install` asks for it.".to_owned(),
                ..step(
                    StepKind::Deployment,
                    StepResult::Blocks,
                    "No deployment of the application has reached the desktop; an authorization alone installs nothing.",
                )
            });
        }
    };
    Some(Step {
        at: Some(skipped.at),
        ..step(
            StepKind::Deployment,
            StepResult::Blocks,
            format!(
                "The last deployment skipped it: {}.",
                skip_text(skipped.reason)
            ),
        )
    })
}

fn skip_text(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::OsMismatch => "the application is for another system",
        SkipReason::NotPersistent => "the desktop is reset when its user logs out",
        SkipReason::JobInProgress => "a job for the same was open there",
        SkipReason::OppositeInProgress => "the application was being put on or taken off there",
        SkipReason::NotAuthorized => "nobody there may have the application",
        SkipReason::AppDeleted => "the application was deleted",
    }
}

fn job_step(job: &JobFact) -> Step {
    let what = if job.is_uninstall {
        "uninstall"
    } else {
        "install"
    };
    let (result, text) = match job.state {
        State::Queued if job.put_off_until.is_some() => (
            StepResult::Note,
            format!("The {what} was put off by a user of the desktop."),
        ),
        State::Queued => (
            StepResult::Note,
            format!("The {what} waits to be handed out."),
        ),
        State::Leased => (
            StepResult::Note,
            format!("The {what} was handed out just now."),
        ),
        State::Running => (StepResult::Note, format!("The {what} is under way.")),
        State::RetryWait => (
            StepResult::Note,
            format!("The {what} failed for a passing reason and is tried again by itself."),
        ),
        State::Succeeded => (StepResult::Fine, format!("The {what} ended well.")),
        State::Failed | State::Cancelled => (StepResult::Blocks, failure_text(job)),
    };
    let hint = job
        .reason
        .filter(|_| {
            matches!(
                job.state,
                State::Failed | State::Cancelled | State::RetryWait
            )
        })
        .map_or("", Reason::hint);
    Step {
        hint: hint.to_owned(),
        at: Some(match job.state {
            State::RetryWait => job.due_at,
            _ => job.put_off_until.unwrap_or(job.updated_at),
        }),
        ..step(StepKind::Job, result, text)
    }
}

/// Why a job failed; the hint is kept apart.
fn failure_text(job: &JobFact) -> String {
    let what = if job.is_uninstall {
        "uninstall"
    } else {
        "install"
    };
    let Some(reason) = job.reason else {
        return format!("The {what} failed.");
    };
    let seen = job
        .message
        .as_deref()
        .and_then(|message| message.split_once(" ("))
        .map_or_else(String::new, |(_, seen)| format!(" ({seen}"));
    format!("The {what} failed: {}{seen}", reason.sentence())
}

fn attempt_step(attempt: &AttemptFact) -> Step {
    let number = attempt.number;
    let version = &attempt.version;
    let text = match &attempt.outcome {
        Some(outcome) => format!(
            "Attempt {number}, of version {version}, ended: {}.",
            outcome.replace('_', " ")
        ),
        None => match (attempt.phase, attempt.percent) {
            (Some(phase), Some(percent)) => {
                format!("Attempt {number}, of version {version}, is {phase}: {percent} % done.")
            }
            (Some(phase), None) => format!("Attempt {number}, of version {version}, is {phase}."),
            (None, _) => format!("Attempt {number}, of version {version}, has begun."),
        },
    };
    Step {
        at: Some(attempt.at),
        ..step(StepKind::Attempt, StepResult::Note, text)
    }
}

fn installed_step(facts: &WhyFacts) -> Step {
    let kind = StepKind::Installed;
    let Some(installed) = &facts.installed else {
        return step(
            kind,
            StepResult::Note,
            "As far as we know the desktop does not have it.",
        );
    };
    let proof = match installed.proof {
        Proof::ExitCodeOnly => "unverified: the exit code alone says so",
        Proof::ReceiptInvalid => "not proven: the desktop's receipt does not verify",
        Proof::Rule | Proof::Manifest | Proof::AlreadyInstalled | Proof::AlreadyAbsent => {
            "verified"
        }
    };
    let version = &installed.version;
    if installed.is_newest {
        return Step {
            at: Some(installed.at),
            ..step(
                kind,
                StepResult::Fine,
                format!("The desktop has version {version} ({proof}), the newest."),
            )
        };
    }
    Step {
        hint: "Install it again to update it.".to_owned(),
        at: Some(installed.at),
        ..step(
            kind,
            StepResult::Note,
            format!(
                "The desktop has an older revision, version {version} ({proof}); the newest is {}.",
                facts.newest_version
            ),
        )
    }
}

/// What decided last. A job that has not ended is decided by what holds it up.
fn answer(facts: &WhyFacts, steps: &[Step]) -> String {
    let (app, desktop) = (&facts.app_name, &facts.desktop_name);
    let blocking = |kinds: &[StepKind]| {
        steps
            .iter()
            .find(|step| step.result == StepResult::Blocks && kinds.contains(&step.kind))
    };
    if let Some(job) = &facts.job {
        let doing = if job.is_uninstall {
            "uninstalled from"
        } else {
            "installed on"
        };
        match job.state {
            State::Queued | State::Leased => {
                let held = blocking(&[StepKind::HandOuts])
                    .or_else(|| blocking(&[StepKind::Agent]))
                    .or_else(|| blocking(&[StepKind::App]));
                let why = match held {
                    Some(step) => step.text.clone(),
                    None if job.put_off_until.is_some() => {
                        "A user of the desktop put it off; it begins by itself.".to_owned()
                    }
                    None => match &facts.busy_with {
                        Some(other) => format!("Its agent is busy with {other}."),
                        None => "It is handed out at any moment.".to_owned(),
                    },
                };
                return format!("{app} waits to be {doing} {desktop}. {why}");
            }
            State::Running => return format!("{app} is being {doing} {desktop} now."),
            State::RetryWait => {
                let why = job.reason.map_or("", Reason::sentence);
                return format!("{app} is tried again on {desktop} by itself. {why}")
                    .trim_end()
                    .to_owned();
            }
            State::Succeeded | State::Failed | State::Cancelled => {}
        }
    }
    match (
        &facts.installed,
        &facts.job,
        blocking(&[StepKind::Deployment]),
    ) {
        (Some(installed), _, _) if installed.is_newest => {
            format!("{desktop} has {app} {}, the newest.", installed.version)
        }
        (Some(installed), _, skip) => {
            let why = skip.map_or_else(
                || "Nothing puts a newer version on by itself.".to_owned(),
                |step| step.text.clone(),
            );
            format!(
                "{desktop} has {app} {}, which is not the newest ({}). {why}",
                installed.version, facts.newest_version
            )
        }
        (None, Some(job), None) => match job.state {
            State::Succeeded if job.is_uninstall => {
                format!(
                    "{app} was uninstalled from {desktop}, as {} asked.",
                    job.operator
                )
            }
            State::Succeeded => format!("{app} was installed on {desktop} and is gone since."),
            _ => format!("{desktop} does not have {app}. {}", failure_text(job)),
        },
        (None, _, Some(step)) => {
            let more = blocking(&[StepKind::OperatingSystem, StepKind::Authorization])
                .filter(|_| facts.skipped.is_none())
                .map_or_else(String::new, |step| format!(" {}", step.text));
            format!("{desktop} does not have {app}. {}{more}", step.text)
        }
        (None, None, None) => format!("{desktop} does not have {app}."),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts() -> WhyFacts {
        WhyFacts {
            app_name: "Editor".to_owned(),
            newest_version: "2.0".to_owned(),
            is_hidden: false,
            package: PackageFact::Ready,
            support_os: OsType::Linux,
            desktop_name: "desk-1".to_owned(),
            desktop_os: OsType::Linux,
            is_persistent: true,
            authorization: AssignType::AssignUser,
            users: 1,
            authorized: vec![AuthorizedUser {
                name: "ana".to_owned(),
                by_group: Some("office".to_owned()),
            }],
            agent: AgentFact::Connected,
            restart_needed_at: None,
            installed: None,
            freezes: vec![],
            busy_with: None,
            skipped: None,
            job: None,
        }
    }

    fn job(state: State) -> JobFact {
        JobFact {
            is_uninstall: false,
            state,
            operator: "admin".to_owned(),
            created_at: Millis::new(1),
            updated_at: Millis::new(2),
            reason: None,
            message: None,
            due_at: Millis::new(3),
            put_off_until: None,
            halted_at: None,
            attempt: None,
        }
    }

    fn installed(is_newest: bool) -> InstalledFact {
        InstalledFact {
            version: if is_newest { "2.0" } else { "1.0" }.to_owned(),
            is_newest,
            proof: Proof::Rule,
            at: Millis::new(1),
        }
    }

    #[test]
    fn the_answer_is_what_decided_last() {
        let waiting = |change: fn(&mut WhyFacts)| {
            let mut facts = WhyFacts {
                job: Some(job(State::Queued)),
                ..facts()
            };
            change(&mut facts);
            facts
        };
        let failed = JobFact {
            reason: Some(Reason::DiskFull),
            message: Some(
                "The desktop has too little free space. Free some space, then retry. (12 KiB free)"
                    .to_owned(),
            ),
            ..job(State::Failed)
        };
        let skipped = |is_after_job| SkippedFact {
            reason: SkipReason::OsMismatch,
            at: Millis::new(1),
            is_after_job,
        };
        let cases: Vec<(WhyFacts, &str)> = vec![
            (
                facts(),
                "desk-1 does not have Editor. No deployment of the application has reached the desktop; an authorization alone installs nothing.",
            ),
            (
                WhyFacts {
                    authorized: vec![],
                    ..facts()
                },
                "desk-1 does not have Editor. No deployment of the application has reached the desktop; an authorization alone installs nothing. None of its users may have the application.",
            ),
            (
                WhyFacts {
                    skipped: Some(skipped(false)),
                    ..facts()
                },
                "desk-1 does not have Editor. The last deployment skipped it: the application is for another system.",
            ),
            (
                waiting(|_| {}),
                "Editor waits to be installed on desk-1. It is handed out at any moment.",
            ),
            (
                waiting(|facts| facts.agent = AgentFact::Away { last_seen_at: None }),
                "Editor waits to be installed on desk-1. Its agent has never been connected.",
            ),
            (
                waiting(|facts| facts.busy_with = Some("Viewer".to_owned())),
                "Editor waits to be installed on desk-1. Its agent is busy with Viewer.",
            ),
            (
                waiting(|facts| {
                    facts.agent = AgentFact::None;
                    facts.freezes = vec![FreezeFact {
                        what: "project",
                        operator: "root".to_owned(),
                        reason: Some("audit".to_owned()),
                        since: Millis::new(1),
                    }];
                }),
                "Editor waits to be installed on desk-1. The project is frozen by root (audit).",
            ),
            (
                waiting(|facts| {
                    if let Some(job) = &mut facts.job {
                        job.halted_at = Some(Millis::new(9));
                    }
                }),
                "Editor waits to be installed on desk-1. Its deployment is halted: too many of its jobs failed.",
            ),
            (
                WhyFacts {
                    job: Some(job(State::Running)),
                    installed: Some(installed(false)),
                    ..facts()
                },
                "Editor is being installed on desk-1 now.",
            ),
            (
                WhyFacts {
                    job: Some(failed.clone()),
                    ..facts()
                },
                "desk-1 does not have Editor. The install failed: The desktop has too little free space. (12 KiB free)",
            ),
            (
                WhyFacts {
                    job: Some(failed.clone()),
                    skipped: Some(skipped(true)),
                    ..facts()
                },
                "desk-1 does not have Editor. The last deployment skipped it: the application is for another system.",
            ),
            (
                WhyFacts {
                    job: Some(job(State::Succeeded)),
                    installed: Some(installed(true)),
                    ..facts()
                },
                "desk-1 has Editor 2.0, the newest.",
            ),
            (
                WhyFacts {
                    job: Some(job(State::Succeeded)),
                    installed: Some(installed(false)),
                    ..facts()
                },
                "desk-1 has Editor 1.0, which is not the newest (2.0). Nothing puts a newer version on by itself.",
            ),
            (
                WhyFacts {
                    job: Some(JobFact {
                        is_uninstall: true,
                        ..job(State::Succeeded)
                    }),
                    ..facts()
                },
                "Editor was uninstalled from desk-1, as admin asked.",
            ),
        ];
        for (facts, expected) in cases {
            assert_eq!(explain(&facts).answer, expected, "{facts:?}");
        }
    }

    #[test]
    fn the_way_to_an_authorization_is_named() {
        let text = |facts: &WhyFacts| {
            let why = explain(facts);
            let found = why
                .steps
                .into_iter()
                .find(|step| step.kind == StepKind::Authorization);
            found.unwrap().text
        };
        let mut facts = facts();
        assert_eq!(
            text(&facts),
            "ana may have it as a member of the group office."
        );
        facts.authorized[0].by_group = None;
        assert_eq!(text(&facts), "ana may have it by name.");
        facts.authorization = AssignType::AllUser;
        assert_eq!(text(&facts), "Everyone may have the application.");
    }

    proptest! {
        /// Whatever is known, every question is answered in sentences, and each thing is said once (freezes and a halt
        /// apart).
        #[test]
        fn every_question_is_answered(
            state in proptest::option::of(proptest::sample::select(State::ALL)),
            is_uninstall in any::<bool>(),
            reason in proptest::option::of(proptest::sample::select(Reason::ALL)),
            has in proptest::option::of(any::<bool>()),
            skip in proptest::option::of((proptest::sample::select(SkipReason::ALL), any::<bool>())),
            os in proptest::sample::select(OsType::ALL),
            users in 0_i64..3,
            authorized in any::<bool>(),
        ) {
            let mut facts = facts();
            facts.job = state.map(|state| JobFact { is_uninstall, reason, ..job(state) });
            facts.installed = has.map(installed);
            facts.skipped = skip.map(|(reason, is_after_job)| SkippedFact {
                reason,
                at: Millis::new(1),
                is_after_job,
            });
            facts.desktop_os = os;
            facts.users = users;
            if !authorized {
                facts.authorized.clear();
            }
            let why = explain(&facts);
            prop_assert!(why.answer.ends_with(['.', ')']), "{}", why.answer);
            for step in &why.steps {
                prop_assert!(step.text.ends_with(['.', ')']), "{}", step.text);
            }
            for kind in StepKind::ALL {
                let said = why.steps.iter().filter(|step| step.kind == *kind).count();
                prop_assert!(said <= 1 || *kind == StepKind::HandOuts);
            }
        }
    }
}
