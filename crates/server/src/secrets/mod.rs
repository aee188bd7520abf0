//! Secrets at rest: the server key, what it seals, and the secrets that all servers of one database share.
//!
//! **Guarantees.** What is sealed opens only under the same server key, for the same purpose and row. A shared
//! secret is made once, whichever server comes first. A server whose key does not fit the database does not
//! start. **On a crash** nothing is half made: the key file is renamed into place, shared secrets are rows.
//! Each sealed text names its key, so that keys can be rotated (`rotation.rs`).

mod key_file;
mod random;
mod rotation;
mod seal;
mod shared;

pub use key_file::{KeyFileError, ServerKeys};
pub(crate) use key_file::{rename_durably, sync_folder_of, write_secret_file};
pub(crate) use random::random_text;
pub use random::{Randomness, SystemRandomness};
pub use rotation::{
    KeyKeeper, KeyState, Rotated, Rotation, RotationError, SettleError, settle_server_key,
};
pub use seal::{SealError, Sealer};
pub use shared::{SecretError, shared_secret, shared_secret_renew};

/// Bytes that do not show in `Debug` and are wiped when dropped.
pub type SecretBytes = secrecy::SecretSlice<u8>;
