//! Why a desktop has an app or has it not, in words, from what is known.
//!
//! Every sentence stands here in each language that people read (ADR 32): who changes one sees the other beside it, and
//! the compiler holds their places together.

use outfitter_agent_protocol::Phase;

use crate::install::SkipReason;
use crate::job::{Proof, Reason, State};
use crate::{AssignType, Language, Millis, OsType};

/// A text in the reader's language: English, Chinese.
macro_rules! say {
    ($language:expr, $english:literal, $chinese:literal $(,)?) => {
        match $language {
            Language::English => format!($english),
            Language::Chinese => format!($chinese),
        }
    };
}

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

/// What a freeze holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrozenPart {
    /// Every project.
    Server,
    /// The desktop's.
    Project,
}

/// A standing freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeFact {
    /// What is frozen.
    pub what: FrozenPart,
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
    /// Where it was last seen.
    pub phase: Option<Phase>,
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
pub fn explain(facts: &WhyFacts, language: Language) -> Why {
    let mut steps = vec![
        app_step(facts, language),
        system_step(facts, language),
        authorization_step(facts, language),
        agent_step(facts, language),
    ];
    steps.extend(hand_out_steps(facts, language));
    steps.push(deployment_step(facts, language));
    if let Some(job) = &facts.job {
        steps.push(job_step(job, language));
        steps.extend(
            job.attempt
                .as_ref()
                .map(|attempt| attempt_step(attempt, language)),
        );
    }
    steps.push(installed_step(facts, language));
    Why {
        answer: answer(facts, &steps, language),
        steps,
    }
}

fn step(kind: StepKind, result: StepResult, text: String) -> Step {
    Step {
        kind,
        result,
        text,
        hint: String::new(),
        at: None,
    }
}

fn app_step(facts: &WhyFacts, language: Language) -> Step {
    let name = &facts.app_name;
    let version = &facts.newest_version;
    let kind = StepKind::App;
    match facts.package {
        PackageFact::Missing => Step {
            hint: say!(language, "Upload the package again.", "请重新上传安装包。"),
            ..step(
                kind,
                StepResult::Blocks,
                say!(
                    language,
                    "The package of {name} {version} is not in the store, or was refused.",
                    "{name} {version} 的安装包不在存储中，或已被拒绝。"
                ),
            )
        },
        PackageFact::Pending => step(
            kind,
            StepResult::Blocks,
            say!(
                language,
                "The package of {name} {version} is still being looked at.",
                "{name} {version} 的安装包仍在检查中。"
            ),
        ),
        PackageFact::Ready if facts.is_hidden => Step {
            hint: say!(language, "Enable the application.", "请启用该应用。"),
            ..step(
                kind,
                StepResult::Note,
                say!(
                    language,
                    "{name} {version} is hidden: new installs are refused, jobs that exist go on.",
                    "{name} {version} 已隐藏：新的安装会被拒绝，已有任务继续进行。"
                ),
            )
        },
        PackageFact::Ready => step(
            kind,
            StepResult::Fine,
            say!(
                language,
                "{name} {version} can be handed out.",
                "{name} {version} 可以分发。"
            ),
        ),
    }
}

fn system_step(facts: &WhyFacts, language: Language) -> Step {
    let kind = StepKind::OperatingSystem;
    let (desktop, app) = (facts.desktop_os.as_str(), facts.support_os.as_str());
    if facts.support_os != OsType::Other && facts.support_os != facts.desktop_os {
        return Step {
            hint: say!(
                language,
                "Choose an application for that system.",
                "请选择适用于该系统的应用。"
            ),
            ..step(
                kind,
                StepResult::Blocks,
                say!(
                    language,
                    "The application is for {app}, the desktop has {desktop}.",
                    "该应用适用于 {app}，而桌面的系统是 {desktop}。"
                ),
            )
        };
    }
    if !facts.is_persistent {
        return step(
            kind,
            StepResult::Blocks,
            say!(
                language,
                "The desktop is reset when its user logs out, so installs skip it.",
                "桌面在用户注销后会还原，因此安装会跳过它。"
            ),
        );
    }
    let text = match facts.support_os {
        OsType::Other => say!(
            language,
            "The application fits every system.",
            "该应用适用于所有系统。"
        ),
        OsType::Linux | OsType::Windows => say!(
            language,
            "The application is for {app}, like the desktop.",
            "该应用适用于 {app}，与桌面一致。"
        ),
    };
    step(kind, StepResult::Fine, text)
}

fn authorization_step(facts: &WhyFacts, language: Language) -> Step {
    let kind = StepKind::Authorization;
    match (facts.authorization, facts.authorized.first()) {
        (AssignType::AllUser, _) => step(
            kind,
            StepResult::Fine,
            say!(
                language,
                "Everyone may have the application.",
                "所有人均可使用该应用。"
            ),
        ),
        (AssignType::AssignUser, Some(first)) => {
            let name = &first.name;
            let how = match &first.by_group {
                Some(group) => say!(
                    language,
                    "{name} may have it as a member of the group {group}",
                    "{name} 作为用户组 {group} 的成员获得授权"
                ),
                None => say!(
                    language,
                    "{name} may have it by name",
                    "{name} 已直接获得授权"
                ),
            };
            let text = match facts.authorized.len() - 1 {
                0 => say!(language, "{how}.", "{how}。"),
                others => say!(
                    language,
                    "{how}, and {others} more of its users.",
                    "{how}，桌面的另外 {others} 名用户也获得授权。"
                ),
            };
            step(kind, StepResult::Fine, text)
        }
        (AssignType::AssignUser, None) => Step {
            hint: say!(
                language,
                "Authorize a user of the desktop, or a group they are in.",
                "请为桌面的用户或其所在的用户组授权。"
            ),
            ..step(
                kind,
                StepResult::Blocks,
                if facts.users == 0 {
                    say!(
                        language,
                        "The desktop has no users, and the application is for those authorized by name.",
                        "桌面没有用户，而该应用仅限获得授权的用户使用。"
                    )
                } else {
                    say!(
                        language,
                        "None of its users may have the application.",
                        "桌面的用户均未获得该应用的授权。"
                    )
                },
            )
        },
    }
}

fn agent_step(facts: &WhyFacts, language: Language) -> Step {
    let kind = StepKind::Agent;
    let found = match facts.agent {
        AgentFact::None => Step {
            hint: say!(
                language,
                "Push the agent, under Agents or with `outfitter agent install`.",
                "请在“代理”页面推送代理，或运行 `outfitter agent install`。"
            ),
            ..step(
                kind,
                StepResult::Blocks,
                say!(language, "The desktop has no agent.", "桌面没有代理。"),
            )
        },
        AgentFact::Connected => match &facts.busy_with {
            Some(app) => step(
                kind,
                StepResult::Note,
                say!(
                    language,
                    "Its agent is connected and busy with {app}; one thing is done at a time.",
                    "桌面的代理已连接，正在处理 {app}；一次只处理一项。"
                ),
            ),
            None => step(
                kind,
                StepResult::Fine,
                say!(language, "Its agent is connected.", "桌面的代理已连接。"),
            ),
        },
        AgentFact::Away { last_seen_at } => Step {
            hint: say!(language, "Start the desktop.", "请启动桌面。"),
            at: last_seen_at,
            ..step(
                kind,
                StepResult::Blocks,
                match last_seen_at {
                    Some(_) => say!(
                        language,
                        "Its agent is not connected.",
                        "桌面的代理未连接。"
                    ),
                    None => say!(
                        language,
                        "Its agent has never been connected.",
                        "桌面的代理从未连接过。"
                    ),
                },
            )
        },
    };
    let text = &found.text;
    match facts.restart_needed_at {
        Some(_) => Step {
            text: say!(
                language,
                "{text} It needs a restart for what was done before.",
                "{text}此前的操作需要重启桌面。"
            ),
            ..found
        },
        None => found,
    }
}

fn hand_out_steps(facts: &WhyFacts, language: Language) -> Vec<Step> {
    let kind = StepKind::HandOuts;
    let mut steps: Vec<Step> = facts
        .freezes
        .iter()
        .map(|freeze| {
            let FreezeFact { what, operator, .. } = freeze;
            let what = match what {
                FrozenPart::Server => say!(language, "server", "服务器"),
                FrozenPart::Project => say!(language, "project", "项目"),
            };
            let reason = match &freeze.reason {
                Some(reason) => say!(language, " ({reason})", "（{reason}）"),
                None => String::new(),
            };
            Step {
                hint: say!(
                    language,
                    "Unfreeze under Settings, or run `outfitter freeze off`.",
                    "请在“设置”页面解除冻结，或运行 `outfitter freeze off`。"
                ),
                at: Some(freeze.since),
                ..step(
                    kind,
                    StepResult::Blocks,
                    say!(
                        language,
                        "The {what} is frozen by {operator}{reason}.",
                        "{what}已被 {operator} 冻结{reason}。"
                    ),
                )
            }
        })
        .collect();
    if let Some(since) = facts.job.as_ref().and_then(|job| job.halted_at) {
        steps.push(Step {
            hint: say!(
                language,
                "Hand out the rest on the deployment’s page, or run `outfitter deployment resume`.",
                "请在部署页面继续分发，或运行 `outfitter deployment resume`。"
            ),
            at: Some(since),
            ..step(
                kind,
                StepResult::Blocks,
                say!(
                    language,
                    "Its deployment is halted: too many of its jobs failed.",
                    "所属部署已暂停：失败的任务过多。"
                ),
            )
        });
    }
    if steps.is_empty() {
        steps.push(step(
            kind,
            StepResult::Fine,
            say!(language, "Nothing is frozen or halted.", "没有冻结或暂停。"),
        ));
    }
    steps
}

fn deployment_step(facts: &WhyFacts, language: Language) -> Step {
    let kind = StepKind::Deployment;
    match (&facts.skipped, &facts.job) {
        (Some(skipped), job) if skipped.is_after_job || job.is_none() => {
            let why = skip_text(skipped.reason, language);
            Step {
                at: Some(skipped.at),
                ..step(
                    kind,
                    StepResult::Blocks,
                    say!(
                        language,
                        "The last deployment skipped it: {why}.",
                        "最近一次部署跳过了此桌面：{why}。"
                    ),
                )
            }
        }
        (_, Some(job)) => {
            let operator = &job.operator;
            let text = if job.is_uninstall {
                say!(
                    language,
                    "{operator} asked to uninstall it.",
                    "{operator} 发起了卸载。"
                )
            } else {
                say!(
                    language,
                    "{operator} asked to install it.",
                    "{operator} 发起了安装。"
                )
            };
            Step {
                at: Some(job.created_at),
                ..step(kind, StepResult::Fine, text)
            }
        }
        (_, None) => Step {
            hint: say!(
                language,
                "Install it, in the console or with `outfitter app install`.",
                "请在“安装”页面发起安装，或运行 `outfitter app install`。"
            ),
            ..step(
                kind,
                StepResult::Blocks,
                say!(
                    language,
                    "No deployment of the application has reached the desktop; an authorization alone installs nothing.",
                    "尚无该应用的部署涉及此桌面；仅授权不会触发安装。"
                ),
            )
        },
    }
}

fn skip_text(reason: SkipReason, language: Language) -> String {
    match reason {
        SkipReason::OsMismatch => say!(
            language,
            "the application is for another system",
            "该应用不适用于此系统"
        ),
        SkipReason::NotPersistent => say!(
            language,
            "the desktop is reset when its user logs out",
            "桌面在用户注销后会还原"
        ),
        SkipReason::JobInProgress => say!(
            language,
            "a job for the same was open there",
            "已有相同的任务在进行"
        ),
        SkipReason::OppositeInProgress => say!(
            language,
            "the application was being put on or taken off there",
            "该应用当时正在安装或卸载中"
        ),
        SkipReason::NotAuthorized => say!(
            language,
            "nobody there may have the application",
            "该桌面无人获得授权"
        ),
        SkipReason::AppDeleted => say!(language, "the application was deleted", "应用已被删除"),
    }
}

/// What a job does, as its sentences call it.
fn task(job: &JobFact, language: Language) -> String {
    if job.is_uninstall {
        say!(language, "uninstall", "卸载")
    } else {
        say!(language, "install", "安装")
    }
}

fn job_step(job: &JobFact, language: Language) -> Step {
    let what = task(job, language);
    let (result, text) = match job.state {
        State::Queued if job.put_off_until.is_some() => (
            StepResult::Note,
            say!(
                language,
                "The {what} was put off by a user of the desktop.",
                "桌面用户推迟了{what}。"
            ),
        ),
        State::Queued => (
            StepResult::Note,
            say!(
                language,
                "The {what} waits to be handed out.",
                "{what}任务正在等待分发。"
            ),
        ),
        State::Leased => (
            StepResult::Note,
            say!(
                language,
                "The {what} was handed out just now.",
                "{what}任务刚刚分发。"
            ),
        ),
        State::Running => (
            StepResult::Note,
            say!(language, "The {what} is under way.", "{what}正在进行。"),
        ),
        State::RetryWait => (
            StepResult::Note,
            say!(
                language,
                "The {what} failed for a passing reason and is tried again by itself.",
                "{what}因暂时性原因失败，将自动重试。"
            ),
        ),
        State::Succeeded => (
            StepResult::Fine,
            say!(language, "The {what} ended well.", "{what}已成功完成。"),
        ),
        State::Failed | State::Cancelled => (StepResult::Blocks, failure_text(job, language)),
    };
    let hint = job
        .reason
        .filter(|_| {
            matches!(
                job.state,
                State::Failed | State::Cancelled | State::RetryWait
            )
        })
        .map_or("", |reason| reason.words(language).1);
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
fn failure_text(job: &JobFact, language: Language) -> String {
    let what = task(job, language);
    let Some(reason) = job.reason else {
        return say!(language, "The {what} failed.", "{what}失败。");
    };
    let (sentence, _) = reason.words(language);
    let seen = match seen_by(job) {
        Some(seen) => say!(language, " ({seen})", "（{seen}）"),
        None => String::new(),
    };
    say!(
        language,
        "The {what} failed: {sentence}{seen}",
        "{what}失败：{sentence}{seen}"
    )
}

/// What was seen when a job failed: the last part of its message.
fn seen_by(job: &JobFact) -> Option<&str> {
    let (_, seen) = job.message.as_deref()?.split_once(" (")?;
    Some(seen.strip_suffix(')').unwrap_or(seen))
}

fn attempt_step(attempt: &AttemptFact, language: Language) -> Step {
    let number = attempt.number;
    let version = &attempt.version;
    let phase = attempt.phase.map(|phase| phase_text(phase, language));
    let text = match (&attempt.outcome, phase, attempt.percent) {
        (Some(outcome), ..) => {
            let outcome = outcome_text(outcome, language);
            say!(
                language,
                "Attempt {number}, of version {version}, ended: {outcome}.",
                "第 {number} 次尝试（版本 {version}）已结束：{outcome}。"
            )
        }
        (None, Some(phase), Some(percent)) => say!(
            language,
            "Attempt {number}, of version {version}, is {phase}: {percent} % done.",
            "第 {number} 次尝试（版本 {version}）{phase}：已完成 {percent}%。"
        ),
        (None, Some(phase), None) => say!(
            language,
            "Attempt {number}, of version {version}, is {phase}.",
            "第 {number} 次尝试（版本 {version}）{phase}。"
        ),
        (None, None, _) => say!(
            language,
            "Attempt {number}, of version {version}, has begun.",
            "第 {number} 次尝试（版本 {version}）已开始。"
        ),
    };
    Step {
        at: Some(attempt.at),
        ..step(StepKind::Attempt, StepResult::Note, text)
    }
}

fn phase_text(phase: Phase, language: Language) -> String {
    match phase {
        Phase::Detecting => say!(language, "detecting", "正在检测当前状态"),
        Phase::Downloading => say!(language, "downloading", "正在下载"),
        Phase::Verifying => say!(language, "verifying", "正在校验安装包"),
        Phase::ClosingPrograms => say!(
            language,
            "waiting for a running program to be closed",
            "正在等待程序关闭"
        ),
        Phase::Running => say!(language, "running", "正在运行"),
        Phase::Confirming => say!(language, "confirming", "正在确认结果"),
    }
}

/// Why an attempt ended, without a full stop.
fn outcome_text(outcome: &str, language: Language) -> String {
    let english = outcome.replace('_', " ");
    match (language, outcome, Reason::from_code(outcome)) {
        (Language::English, ..) => english,
        (Language::Chinese, "succeeded", _) => "成功".to_owned(),
        (Language::Chinese, "lapsed", _) => "已超时收回".to_owned(),
        (Language::Chinese, _, Some(reason)) => {
            reason.words(language).0.trim_end_matches('。').to_owned()
        }
        (Language::Chinese, _, None) => english,
    }
}

fn installed_step(facts: &WhyFacts, language: Language) -> Step {
    let kind = StepKind::Installed;
    let Some(installed) = &facts.installed else {
        return step(
            kind,
            StepResult::Note,
            say!(
                language,
                "As far as we know the desktop does not have it.",
                "根据现有记录，桌面未安装该应用。"
            ),
        );
    };
    let proof = match installed.proof {
        Proof::ExitCodeOnly => say!(
            language,
            "unverified: the exit code alone says so",
            "未验证：仅依据退出码"
        ),
        Proof::ReceiptInvalid => say!(
            language,
            "not proven: the desktop's receipt does not verify",
            "未证实：桌面的回执未通过验证"
        ),
        Proof::Rule | Proof::Manifest | Proof::AlreadyInstalled | Proof::AlreadyAbsent => {
            say!(language, "verified", "已验证")
        }
    };
    let version = &installed.version;
    let newest = &facts.newest_version;
    if installed.is_newest {
        return Step {
            at: Some(installed.at),
            ..step(
                kind,
                StepResult::Fine,
                say!(
                    language,
                    "The desktop has version {version} ({proof}), the newest.",
                    "桌面已有最新版本 {version}（{proof}）。"
                ),
            )
        };
    }
    Step {
        hint: say!(
            language,
            "Install it again to update it.",
            "重新安装即可更新。"
        ),
        at: Some(installed.at),
        ..step(
            kind,
            StepResult::Note,
            say!(
                language,
                "The desktop has an older revision, version {version} ({proof}); the newest is {newest}.",
                "桌面上是较旧的修订版本 {version}（{proof}）；最新版本是 {newest}。"
            ),
        )
    }
}

/// What decided last. A job that has not ended is decided by what holds it up.
fn answer(facts: &WhyFacts, steps: &[Step], language: Language) -> String {
    let (app, desktop) = (&facts.app_name, &facts.desktop_name);
    let blocking = |kinds: &[StepKind]| {
        steps
            .iter()
            .find(|step| step.result == StepResult::Blocks && kinds.contains(&step.kind))
            .map(|step| step.text.as_str())
    };
    if let Some(job) = &facts.job
        && let Some(text) = answer_of_open_job(facts, job, &blocking, language)
    {
        return text;
    }
    match (
        &facts.installed,
        &facts.job,
        blocking(&[StepKind::Deployment]),
    ) {
        (Some(installed), _, _) if installed.is_newest => {
            let version = &installed.version;
            say!(
                language,
                "{desktop} has {app} {version}, the newest.",
                "{desktop} 已有最新的 {app} {version}。"
            )
        }
        (Some(installed), _, skip) => {
            let (version, newest) = (&installed.version, &facts.newest_version);
            let why = skip.map_or_else(
                || {
                    say!(
                        language,
                        "Nothing puts a newer version on by itself.",
                        "新版本不会自动安装。"
                    )
                },
                str::to_owned,
            );
            say!(
                language,
                "{desktop} has {app} {version}, which is not the newest ({newest}). {why}",
                "{desktop} 上的 {app} {version} 不是最新版本（{newest}）。{why}"
            )
        }
        (None, Some(job), None) => match job.state {
            State::Succeeded if job.is_uninstall => {
                let operator = &job.operator;
                say!(
                    language,
                    "{app} was uninstalled from {desktop}, as {operator} asked.",
                    "{app} 已从 {desktop} 卸载（由 {operator} 发起）。"
                )
            }
            State::Succeeded => say!(
                language,
                "{app} was installed on {desktop} and is gone since.",
                "{app} 曾安装在 {desktop} 上，之后已不存在。"
            ),
            _ => {
                let why = failure_text(job, language);
                say!(
                    language,
                    "{desktop} does not have {app}. {why}",
                    "{desktop} 未安装 {app}。{why}"
                )
            }
        },
        (None, _, Some(why)) => {
            let more = blocking(&[StepKind::OperatingSystem, StepKind::Authorization])
                .filter(|_| facts.skipped.is_none());
            match more {
                Some(more) => say!(
                    language,
                    "{desktop} does not have {app}. {why} {more}",
                    "{desktop} 未安装 {app}。{why}{more}"
                ),
                None => say!(
                    language,
                    "{desktop} does not have {app}. {why}",
                    "{desktop} 未安装 {app}。{why}"
                ),
            }
        }
        (None, None, None) => say!(
            language,
            "{desktop} does not have {app}.",
            "{desktop} 未安装 {app}。"
        ),
    }
}

/// What holds up a job that has not ended; `None` for one that has.
fn answer_of_open_job<'a>(
    facts: &WhyFacts,
    job: &JobFact,
    blocking: &dyn Fn(&[StepKind]) -> Option<&'a str>,
    language: Language,
) -> Option<String> {
    let (app, desktop) = (&facts.app_name, &facts.desktop_name);
    let text = match job.state {
        State::Queued | State::Leased => {
            let held = blocking(&[StepKind::HandOuts])
                .or_else(|| blocking(&[StepKind::Agent]))
                .or_else(|| blocking(&[StepKind::App]));
            let why = match held {
                Some(text) => text.to_owned(),
                None if job.put_off_until.is_some() => say!(
                    language,
                    "A user of the desktop put it off; it begins by itself.",
                    "桌面用户已推迟此任务，届时将自动开始。"
                ),
                None => match &facts.busy_with {
                    Some(other) => say!(
                        language,
                        "Its agent is busy with {other}.",
                        "桌面的代理正在处理 {other}。"
                    ),
                    None => say!(language, "It is handed out at any moment.", "即将分发。"),
                },
            };
            if job.is_uninstall {
                say!(
                    language,
                    "{app} waits to be uninstalled from {desktop}. {why}",
                    "{app} 等待从 {desktop} 卸载。{why}"
                )
            } else {
                say!(
                    language,
                    "{app} waits to be installed on {desktop}. {why}",
                    "{app} 等待安装到 {desktop}。{why}"
                )
            }
        }
        State::Running if job.is_uninstall => say!(
            language,
            "{app} is being uninstalled from {desktop} now.",
            "正在从 {desktop} 卸载 {app}。"
        ),
        State::Running => say!(
            language,
            "{app} is being installed on {desktop} now.",
            "正在将 {app} 安装到 {desktop}。"
        ),
        State::RetryWait => {
            let why = job.reason.map_or("", |reason| reason.words(language).0);
            say!(
                language,
                "{app} is tried again on {desktop} by itself. {why}",
                "{app} 将在 {desktop} 上自动重试。{why}"
            )
            .trim_end()
            .to_owned()
        }
        State::Succeeded | State::Failed | State::Cancelled => return None,
    };
    Some(text)
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
                        what: FrozenPart::Project,
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
            assert_eq!(
                explain(&facts, Language::English).answer,
                expected,
                "{facts:?}"
            );
        }
    }

    #[test]
    fn the_way_to_an_authorization_is_named() {
        let text = |facts: &WhyFacts| {
            let why = explain(facts, Language::English);
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
            let why = explain(&facts, Language::English);
            prop_assert!(why.answer.ends_with(['.', ')']), "{}", why.answer);
            for step in &why.steps {
                prop_assert!(step.text.ends_with(['.', ')']), "{}", step.text);
            }
            for kind in StepKind::ALL {
                let said = why.steps.iter().filter(|step| step.kind == *kind).count();
                prop_assert!(said <= 1 || *kind == StepKind::HandOuts);
            }
            // The same in Chinese, and nothing but names left in English.
            let chinese = explain(&facts, Language::Chinese);
            let known = ["uninstall_command", "install_command", "Editor", "desk-1", "ana", "office", "admin", "Linux", "Windows", "Other"];
            let is_chinese = |text: &str| {
                let mut rest: String = text.split('`').step_by(2).collect();
                for name in known {
                    rest = rest.replace(name, "");
                }
                !rest.contains(|character: char| character.is_ascii_alphabetic())
            };
            prop_assert!(is_chinese(&chinese.answer) && chinese.answer.ends_with('。'), "{}", chinese.answer);
            prop_assert_eq!(chinese.steps.len(), why.steps.len());
            for (step, english) in chinese.steps.iter().zip(&why.steps) {
                prop_assert!(is_chinese(&step.text) && step.text.ends_with('。'), "{}", step.text);
                prop_assert!(is_chinese(&step.hint), "{}", step.hint);
                prop_assert_eq!((step.kind, step.result, step.at), (english.kind, english.result, english.at));
                prop_assert_eq!(step.hint.is_empty(), english.hint.is_empty());
            }
        }
    }
}
