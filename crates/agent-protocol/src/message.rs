use std::collections::BTreeMap;

use outfitter_ids::{AppId, AttemptId, DesktopId, HistoryId, JobId, ProjectId, RevisionId};
use serde::{Deserialize, Serialize};

use crate::{
    DetectionRule, Envelope, FailureCode, InventoryAsk, InventoryReport, Phase, UpdateOffer,
    UpdateReport, UpdateStage, meanings_of_account,
};

/// What an agent sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentMessage {
    /// First message of every channel. Frozen.
    Hello(Hello),
    /// The task is in the journal; nothing has run. The server answers `Go` or `NoGo`.
    Accepted {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The agent cannot take the task now (another attempt is open, journal not writable).
    Declined {
        /// The attempt.
        attempt: AttemptId,
        /// Why, in words.
        reason: String,
    },
    /// The agent needs the package's bytes, or the last source was refused or lapsed.
    SourceRequest {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The attempt reached a phase. Lost ones do not matter.
    Progress {
        /// The attempt.
        attempt: AttemptId,
        /// Where it is.
        phase: Phase,
        /// Share of the phase done, 0 to 100, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        percent: Option<u8>,
        /// Rate of a download over the last seconds; 0 while it waits for a place or for the network.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes_per_second: Option<u64>,
    },
    /// The attempt's end, signed. Sent until `Recorded` arrives.
    Result(Box<Envelope>),
    /// Sign of life, every `heartbeat_secs`; names the attempts that are still going on.
    Heartbeat {
        /// Attempts that have not ended.
        attempts: Vec<AttemptId>,
    },
    /// Answer to `Detect`.
    Detected {
        /// The question.
        question: u64,
        /// Whether the rule holds; left out: it cannot be told on this desktop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holds: Option<bool>,
        /// What was seen, in words.
        seen: String,
    },
    /// Answer to `ReadLog`.
    Log {
        /// The question.
        question: u64,
        /// Whole lines, the newest last.
        text: String,
    },
    /// Asks for a new certificate for the key of this signing request.
    Renew {
        /// PKCS #10 request, PEM.
        csr_pem: String,
    },
    /// How the desktop fares with an update. Frozen.
    Update(UpdateReport),
    /// A part of what the desktop is and has. Only where [`Welcome::inventory`] asks; sent until `InventoryNoted`.
    Inventory(Box<InventoryReport>),
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerMessage {
    /// Answer to `Hello`. Frozen.
    Welcome(Welcome),
    /// The channel will be closed; a person can read why. Frozen.
    Refused {
        /// Stable code: `protocol_too_old`, `superseded`, `shutting_down`, `too_slow`, `protocol_error`, [`HISTORY_BEHIND`],
        /// [`COPY`].
        code: String,
        /// A sentence.
        reason: String,
        /// Earliest moment to come back, in seconds from now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_secs: Option<u32>,
        /// With [`COPY`]: this machine may ask for a certificate of its own under [`crate::COPY_PATH`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        enroll_anew: bool,
    },
    /// Work. Nothing runs before `Go`.
    Task(Box<Task>),
    /// Run it: the server has recorded that it runs.
    Go {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Forget it; nothing may run.
    NoGo {
        /// The attempt.
        attempt: AttemptId,
        /// Why, in words.
        reason: String,
    },
    /// Where the bytes are.
    Source(Source),
    /// There is no source now; the attempt fails, or asks again after a while.
    NoSource {
        /// The attempt.
        attempt: AttemptId,
        /// Why, in words.
        reason: String,
        /// Whether asking again can help.
        retry: bool,
        /// What the attempt fails with where it cannot. `None`: that it could not be downloaded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<FailureCode>,
    },
    /// The result is committed; the agent may forget the attempt.
    Recorded {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Stop the attempt safely.
    Cancel {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Asks whether a rule holds now; nothing is installed, and nothing kept. One is answered at a time.
    Detect {
        /// Number of the question, for the answer.
        question: u64,
        /// The rule.
        rule: Box<DetectionRule>,
    },
    /// Asks for the newest of what the agent logged.
    ReadLog {
        /// Number of the question, for the answer.
        question: u64,
    },
    /// Answer to a heartbeat.
    Heartbeat {
        /// The server's clock, in milliseconds UTC.
        server_time_millis: i64,
    },
    /// Answer to `Renew`.
    Certificate {
        /// Leaf, issuing certificate and root, PEM, in that order.
        chain_pem: String,
        /// All roots to trust from now on, PEM.
        roots_pem: String,
    },
    /// A newer program for this desktop; also before `Refused` of an agent that is too old. Frozen.
    Update(Box<UpdateOffer>),
    /// Answer to `Update` of the agent: it is committed. Frozen.
    UpdateNoted {
        /// The version.
        version: String,
        /// Of the report.
        round: i64,
        /// Of the report.
        stage: UpdateStage,
    },
    /// What a person who looks at this desktop's log should know.
    Notice {
        /// A sentence.
        text: String,
    },
    /// The part of the inventory is committed.
    InventoryNoted {
        /// Its digest.
        digest: String,
    },
    /// The server is too busy for the part of the inventory; nothing is kept.
    InventoryLater {
        /// Its digest.
        digest: String,
        /// When to send it again, in seconds from now.
        retry_after_secs: u32,
    },
}

/// Who calls and what it is still busy with. Frozen: members are only added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::PROTOCOL`] of the agent.
    pub protocol: u32,
    /// Version of the agent.
    pub agent_version: String,
    /// `linux` or `windows`.
    pub os: String,
    /// `x86_64` and the like.
    pub arch: String,
    /// Changes with every boot of the machine.
    pub boot_id: String,
    /// The folder that plays the desktop, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_root: Option<String>,
    /// Every attempt in the journal that the server has not acknowledged the end of.
    #[serde(default)]
    pub attempts: Vec<AttemptReport>,
    /// What tells this machine from a copy of it, and from its own past. `None`, as an agent from before sends it, or one
    /// whose disk takes nothing: nothing is told by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<MachineIdentity>,
}

/// Code of the refusal of an agent whose history is behind what the server noted: it begins a new one, drops what was going on
/// then, and comes back at once.
pub const HISTORY_BEHIND: &str = "history_behind";

/// Code of the refusal of a copy.
pub const COPY: &str = "copy";

/// Most marks of a machine.
pub const MAX_MARKS: usize = 8;

/// Longest name of a mark, and longest mark, in bytes.
pub const MAX_MARK_BYTES: usize = 64;

/// Which machine it is, and in which state (docs/adr/0029-identity.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineIdentity {
    /// What copying its disk does not copy, as far as it could be read, by name: digests, opaque to the server.
    pub marks: BTreeMap<String, String>,
    /// What copying its disk copies, and nothing sets back but that.
    pub history: History,
    /// The history was begun because the server said [`HISTORY_BEHIND`], and has not been welcomed yet.
    #[serde(default)]
    pub begun_anew: bool,
}

impl MachineIdentity {
    /// Whether it keeps to the limits.
    pub fn is_bounded(&self) -> bool {
        are_marks_bounded(&self.marks)
    }
}

/// Whether marks keep to the limits.
pub fn are_marks_bounded(marks: &BTreeMap<String, String>) -> bool {
    marks.len() <= MAX_MARKS
        && marks
            .iter()
            .all(|(name, mark)| name.len().max(mark.len()) <= MAX_MARK_BYTES)
}

/// How often an agent has connected under one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Drawn by the agent.
    pub id: HistoryId,
    /// Raised, on disk, before each connect.
    pub count: i64,
}

/// One attempt in the agent's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptReport {
    /// The attempt.
    pub attempt: AttemptId,
    /// How far it is.
    pub stage: AttemptStage,
}

/// How far an attempt is on the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStage {
    /// In the journal, waiting for `Go`.
    Accepted,
    /// `Go` arrived; not ended.
    Running,
    /// Ended; the result follows.
    Ended,
}

/// The server takes the channel. Frozen: members are only added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`crate::PROTOCOL`] of the server.
    pub protocol: u32,
    /// The desktop this agent stands for (from its certificate's row).
    pub desktop: DesktopId,
    /// Number of this channel; higher than that of every earlier one of the desktop.
    pub epoch: i64,
    /// The server's clock, in milliseconds UTC.
    pub server_time_millis: i64,
    /// Seconds between heartbeats.
    pub heartbeat_secs: u32,
    /// What the server keeps of the desktop's inventory. `None`, as a server from before sends it: it wants none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventoryAsk>,
}

/// Whether an app is put on or taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Put on.
    Install,
    /// Taken off.
    Uninstall,
}

/// How the package is put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The command is run.
    Quiet,
    /// The command is `unzip ${FILE_PATH} [-d DIR]`, understood by the agent itself; another command is run.
    Unzip,
}

/// What is sent to an agent: one attempt of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its job.
    pub job: JobId,
    /// The desktop's project: stands in the receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// On or off.
    pub kind: TaskKind,
    /// The app.
    pub app: AppId,
    /// The app's name, as the administrator wrote it.
    pub app_name: String,
    /// The revision's version text.
    pub app_version: String,
    /// The revision.
    pub revision: RevisionId,
    /// How.
    pub method: Method,
    /// The command; `${FILE_PATH}` stands for the package. To take off what the agent unpacked itself, the `unzip`
    /// command it was unpacked with: the files that the agent's own manifest lists are removed.
    pub command: String,
    /// The package.
    pub package: PackageRef,
    /// The rule to evaluate before and after. `None`: derive one from the package where possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<DetectionRule>,
    /// Exit codes that count as done.
    pub success_exit_codes: Vec<i32>,
    /// Longest run of the installer, in seconds from its start.
    pub run_limit_secs: u32,
    /// Whether it runs although it is there already.
    #[serde(default, skip_serializing_if = "Approach::is_ordinary")]
    pub approach: Approach,
    /// What exit codes mean for this app; those that are not here mean what they mean for every app.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exit_codes: BTreeMap<i32, ExitMeaning>,
    /// What is done about a program of the app's name that runs. `None`, as a server from before sends it: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_programs: Option<RunningPrograms>,
    /// The installer asks its user: it is opened as them, in their graphical session. `command` is empty then, so that an
    /// agent from before this member fails the attempt and runs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<UserSession>,
}

impl Task {
    /// Whether `told` is this task, as an agent understood it: one from before a member knows nothing of it.
    pub fn is_told_by(&self, told: &Self) -> bool {
        let mut known = self.clone();
        if told.running_programs.is_none() {
            known.running_programs = None;
        }
        if told.session.is_none() {
            known.session = None;
        }
        known == *told
    }
}

/// Whose session an installer is opened in, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSession {
    /// Name of the directory user.
    pub user: String,
    /// Domain of the user.
    pub domain: String,
    /// The command that opens it; `${FILE_PATH}` stands for the package. `None`: a program runs itself, another file is
    /// opened by whatever opens such files there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl UserSession {
    /// Whether the desktop's system may call the user by this account.
    pub fn is_account(&self, account: &str) -> bool {
        let user = self.user.to_lowercase();
        meanings_of_account(account)
            .iter()
            .any(|meaning| meaning.name.to_lowercase() == user && meaning.may_be_of(&self.domain))
    }
}

/// What is done about a program of the app's name that runs, before anything is put on or taken off. Source: contract,
/// semantics §5, On the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunningPrograms {
    /// Its user is asked to close it; when that time is over, the program itself is asked to end.
    Ask {
        /// The time, in seconds.
        wait_secs: u32,
    },
    /// It is asked to end at once, and ended soon after.
    Stop,
}

/// What an exit code means for an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitMeaning {
    /// What it comes to.
    pub outcome: ExitOutcome,
    /// In words, for the administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What an exit code comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitOutcome {
    /// Done.
    Success,
    /// Done, and whole only after the desktop has restarted.
    RebootNeeded,
    /// Not now: worth another try by itself.
    Retry,
    /// Not done.
    Failure,
}

/// What happens where an app that is to be put on is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approach {
    /// Nothing is run.
    #[default]
    Ordinary,
    /// It runs all the same.
    Repair,
}

impl Approach {
    /// Whether it is the one that is left out of a message.
    pub const fn is_ordinary(&self) -> bool {
        matches!(self, Self::Ordinary)
    }
}

/// The bytes of a task, named by digest and never by address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRef {
    /// File name the package gets on the desktop (installers look at extensions). No separators.
    pub file_name: String,
    /// Lower-case hex SHA-256. `None` only for a link on its first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Size in bytes, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// Where the bytes of an attempt can be had now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The attempt.
    pub attempt: AttemptId,
    /// Absolute address, or a path on the agent listener when it begins with `/`.
    pub url: String,
    /// Headers to send.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// When the address lapses, in milliseconds UTC of the server. `None`: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_millis: Option<i64>,
    /// Whose certificate the address must show.
    pub trust: SourceTrust,
    /// How fast the agent may take the bytes; `None`: as fast as they come. Not given for the agent listener,
    /// which keeps to it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// How long that holds, in seconds from now: then the agent asks again and goes on where it was. `None`: to
    /// the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_holds_secs: Option<u32>,
    /// Certificates (PEM) that the address may show beside those the desktop's system trusts; with
    /// [`SourceTrust::System`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// Patterns of [`crate::LinkAllowList`], one of which every address that the first one leads to must fit. `None`:
    /// it may lead anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirects_within: Option<Vec<String>>,
}

/// Whose certificate a source must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceTrust {
    /// Ours: the agent listener, with the device certificate.
    Server,
    /// The system's trust store (plain HTTP is allowed; the digest decides).
    System,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_externally_tagged() {
        let attempt = AttemptId::lookup("01890a5d-ac96-774b-bcce-b302099a8057").expect("an id");
        assert_eq!(
            serde_json::to_string(&ServerMessage::Go { attempt }).expect("JSON"),
            r#"{"go":{"attempt":"01890a5d-ac96-774b-bcce-b302099a8057"}}"#
        );
    }

    #[test]
    fn progress_and_sources_of_an_earlier_version_are_read() {
        let progress = r#"{"progress":{"attempt":"01890a5d-ac96-774b-bcce-b302099a8057","phase":"downloading","percent":4}}"#;
        let AgentMessage::Progress {
            percent,
            bytes_per_second,
            ..
        } = serde_json::from_str(progress).expect("JSON")
        else {
            panic!("no progress");
        };
        assert_eq!((percent, bytes_per_second), (Some(4), None));
        let source = r#"{"attempt":"01890a5d-ac96-774b-bcce-b302099a8057","url":"/packages/x","trust":"server","later":1}"#;
        let source: Source = serde_json::from_str(source).expect("JSON");
        assert_eq!(
            (source.bytes_per_second, source.rate_holds_secs),
            (None, None)
        );
    }

    #[test]
    fn a_welcome_of_an_earlier_version_wants_no_inventory() {
        let text = r#"{"protocol":2,"desktop":"01890a5d-ac96-774b-bcce-b302099a8057","epoch":1,
            "server_time_millis":0,"heartbeat_secs":60}"#;
        let welcome: Welcome = serde_json::from_str(text).expect("JSON");
        assert_eq!(welcome.inventory, None);
    }

    #[test]
    fn a_refusal_of_an_earlier_version_lets_no_copy_enroll_anew() {
        let text = r#"{"refused":{"code":"copy","reason":"r"}}"#;
        let read: ServerMessage = serde_json::from_str(text).expect("JSON");
        let ServerMessage::Refused { enroll_anew, .. } = &read else {
            panic!("no refusal");
        };
        assert!(!enroll_anew);
        assert_eq!(serde_json::to_string(&read).expect("JSON"), text);
    }

    #[test]
    fn a_hello_with_members_of_a_later_version_is_read() {
        let text = r#"{"hello":{"protocol":9,"agent_version":"9.0.0","os":"linux","arch":"riscv64",
            "boot_id":"b","attempts":[],"later":{"x":1}}}"#;
        let AgentMessage::Hello(hello) = serde_json::from_str(text).expect("JSON") else {
            panic!("no hello");
        };
        assert_eq!(hello.protocol, 9);
    }

    #[test]
    fn an_account_is_its_user_in_every_spelling_of_directory_services() {
        let session = UserSession {
            user: "Ana".to_owned(),
            domain: "corp.example".to_owned(),
            command: None,
        };
        for account in ["ana", "CORP\\ana", "corp.example\\Ana", "ana@corp.example"] {
            assert!(session.is_account(account), "{account}");
        }
        for account in ["", "bo", "OTHER\\ana", "ana@other", "\\ana", "ana@"] {
            assert!(!session.is_account(account), "{account}");
        }
    }
}
