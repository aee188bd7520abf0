//! Puts the agent onto a desktop over SSH, and tells what would happen.
//!
//! **Guarantees.** A push is a list of [`Step`]s, each with a limit of its own; whatever goes wrong ends it with a
//! [`Failure`] that names the step, the far side's own words and what to do about it. No byte runs there before its
//! digest was checked there. Nothing is installed twice because a push is repeated: what is there already is kept
//! (an upload goes on where it was cut, an enrolled agent of the same desktop stays enrolled). No secret stands in a
//! command line, on either side. Memory per push is bounded: a few buffers, and the binary is shared.
//!
//! **Wakes it:** whoever calls [`push`] or [`probe`]; there is no task of its own. **After a crash** nothing is known
//! here; repeating the push is safe and goes on. **Does not** decide which desktops, how many at once, or what is
//! stored: that is the caller's, who answers through [`Desk`].
//!
//! Where the server cannot reach a desktop, [`installer()`] is a script that takes the same steps there by itself.
//!
//! One conversation. The far side starts one login shell, which runs `far_side.sh`; facts, upload, installation and
//! enrollment are lines and bytes on its standard input. A shell start costs more than everything else there
//! (measured: 2 s for twenty hosts with a slow start-up file, 0.7 s for the ten megabytes of upload), so there is
//! exactly one, and no SFTP is needed.

mod binaries;
mod conversation;
mod failure;
mod install;
mod installer;
mod session;
mod target;

pub use binaries::{AgentBinaries, AgentBinary, BinariesError, arch_of};
pub use failure::{Failure, Step, hints};
pub use install::{Desk, Identity, Order, Probed, Pushed, Secret, probe, push};
pub use installer::{InstallerProgram, install_command, installer};
pub use target::{
    Credential, Hop, HostKeyRule, KeyError, KeyOwner, Limits, SeenHostKey, Sudo, Target, check_key,
};
