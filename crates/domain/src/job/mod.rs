//! What becomes of a job: its states, why it fails, and the judgement over an agent's evidence.

mod judge;
mod reason;
mod state;
mod task;

pub use judge::{Proof, Verdict, judge};
pub use reason::{Failure, MAX_AUTOMATIC_RETRIES, MAX_MESSAGE_CHARS, Reason, automatic_retry};
pub use state::{State, WireState};
pub use task::{KIND_INSTALL, KIND_UNINSTALL, package_file_name, unpacks};
