//! Messages between server and agent, their version and size limits.
//!
//! The channel is a WebSocket over TLS 1.3 with device certificates on the agent listener
//! (`GET /channel`); every frame is one JSON message, externally tagged (measured twice as fast to
//! decode as an inner tag). Around it stand five plain requests on the same listener: `POST /enroll`
//! ([`EnrollRequest`]), `GET /packages/{sha256}` (bytes, with `Range`), `GET /agent-programs/{sha256}` (a newer
//! program of the agent), `POST /desk` ([`DeskRequest`]: what people at the desktop ask for), and `GET /install.sh` (the
//! script that installs the agent: for anybody, as are the programs that it names).
//!
//! An exchange for one attempt:
//!
//! ```text
//! server  Task            ─►  agent   journals it, fsyncs
//! server  ◄─  Accepted        agent   (nothing runs yet)
//! server  Go | NoGo       ─►  agent   starts | forgets it
//! server  ◄─  SourceRequest   agent   when it needs the bytes
//! server  Source          ─►  agent
//! server  ◄─  Progress        agent   as often as the phase changes, at most once a second
//! server  ◄─  Result          agent   spooled on disk first, sent until recorded
//! server  Recorded        ─►  agent   may forget the attempt
//! ```
//!
//! [`Hello`] and [`Welcome`]/[`ServerMessage::Refused`] are frozen, and so are the messages of updates
//! ([`UpdateOffer`], [`UpdateReport`], `UpdateNoted`): their members are only ever added to. An agent below
//! [`PROTOCOL_FLOOR`] is offered an update before it is refused.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod account;
mod desk;
mod detection;
mod enrollment;
mod evidence;
mod inventory;
mod link;
mod message;
mod receipt;
mod update;

pub use account::{AccountMeaning, meanings_of_account};
pub use desk::{
    DESK_PAGE, DESK_PATH, DeskAnswer, DeskApp, DeskApps, DeskAsk, DeskJob, DeskRefusal,
    DeskRequest, MAX_DESK_ANSWER_BYTES, MAX_DESK_ASK_BYTES, MAX_DESK_TEXT_CHARS, desk_text,
};
pub use detection::{DetectionRule, MAX_RULE_BYTES, MAX_RULE_DEPTH, MAX_SCRIPT_SECS, SCRIPT_SECS};
pub use enrollment::{
    APPROVAL_PATH, ApprovalRequest, COPY_PATH, CopyRequest, DECOMMISSIONED, ENROLL_PATH,
    EnrollPending, EnrollRefusal, EnrollRequest, EnrollResponse, EnrollmentToken, INSTALLER_PATH,
    REQUEST_UNKNOWN, TokenTextError,
};
pub use evidence::{Detection, Evidence, FailureCode, Phase, PhaseMark};
pub use inventory::{
    InventoryAddress, InventoryAsk, InventoryDisk, InventoryFacts, InventoryKind, InventoryPart,
    InventoryReport, InventorySoftware, MAX_INVENTORY_LIST, MAX_INVENTORY_SOFTWARE,
    MAX_INVENTORY_SOFTWARE_BYTES, MAX_INVENTORY_TEXT_CHARS, inventory_text,
};
pub use link::{LinkAllowList, LinkPattern};
pub use message::{
    AgentMessage, Approach, AttemptReport, AttemptStage, COPY, ExitMeaning, ExitOutcome,
    HISTORY_BEHIND, Hello, History, MAX_MARK_BYTES, MAX_MARKS, MachineIdentity, Method, PackageRef,
    RunningPrograms, ServerMessage, Source, SourceTrust, Task, TaskKind, UserSession, Welcome,
    are_marks_bounded,
};

pub use receipt::{
    Envelope, EnvelopeError, EnvelopeSignature, RECEIPT_SCHEMA, RECEIPT_TYPE, RawSignature,
    Statement, signed_bytes,
};
pub use update::{
    MANIFEST_CONTEXT, MANIFEST_FORMAT, PROGRAMS_PATH, UpdateKey, UpdateManifest, UpdateOffer,
    UpdateProgram, UpdateReport, UpdateStage, VERSION_MARKER, VERSION_SLOT_BYTES,
    version_in_program, version_in_slot,
};

/// The protocol this build speaks.
pub const PROTOCOL: u32 = 2;

/// The oldest protocol the server still hands tasks to; below it only the frozen messages are spoken.
pub const PROTOCOL_FLOOR: u32 = 2;

/// Path of the channel on the agent listener.
pub const CHANNEL_PATH: &str = "/channel";

/// Prefix of package downloads on the agent listener; the lower-case hex SHA-256 follows.
pub const PACKAGES_PATH: &str = "/packages/";

/// Code of the 503 with which a package request is told to come back: every place is taken, and the desktop's own
/// in the queue is kept until the moment that `Retry-After` names. It is no failure.
pub const DOWNLOAD_QUEUED: &str = "download_queued";

/// Largest frame either side accepts, in bytes. Larger ones close the channel: memory per connection
/// is bounded. The largest message we make is a result: a task and its evidence, each at most [`MAX_PART_BYTES`] as
/// JSON, in base64.
pub const MAX_FRAME_BYTES: usize = 192 * 1024;

/// Largest evidence, and largest task, in bytes of JSON.
pub const MAX_PART_BYTES: usize = 64 * 1024;

/// Largest output tail in [`Evidence`], in bytes of UTF-8.
pub const MAX_OUTPUT_TAIL_BYTES: usize = 16 * 1024;
