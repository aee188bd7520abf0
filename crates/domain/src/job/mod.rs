//! What becomes of a job: its states, why it fails, and the judgement over an agent's evidence.

mod exit_code;
mod judge;
mod link;
mod reason;
mod state;
mod task;
mod verification;

pub use exit_code::{exit_outcome, wants_restart};
pub use judge::{Proof, Verdict, judge};
pub use link::{BROKEN_LINK_DESKTOPS, link_is_broken};
pub use reason::{Failure, MAX_MESSAGE_CHARS, Reason, automatic_retry};
pub use state::{State, WireState};
pub use task::{
    kind_from_number, kind_from_word, kind_number, kind_word, package_file_name, unpacks,
};
pub use verification::Verification;

/// The outcome of an attempt that ended well; any other is a reason's code.
pub const SUCCEEDED: &str = "succeeded";
