//! Secrets at rest: the server key, what it seals, and the secrets that all servers of one database share.
//!
//! **Guarantees.** What is sealed opens only under the same server key, for the same purpose and row. A shared
//! secret is made once, whichever server comes first. A server whose key does not fit the database does not
//! start. **On a crash** nothing is half made: the key file is renamed into place, shared secrets are rows.
//! **Does not** rotate keys yet; each sealed text names its key, so that it can.

mod key_file;
mod random;
mod seal;
mod shared;

pub use key_file::{KeyFileError, ServerKey};
pub(crate) use key_file::{rename_durably, sync_folder_of, write_secret_file};
pub(crate) use random::random_text;
pub use random::{Randomness, SystemRandomness};
pub use seal::{SealError, Sealer};
pub use shared::{SecretError, shared_secret};

/// Bytes that do not show in `Debug` and are wiped when dropped.
pub type SecretBytes = secrecy::SecretSlice<u8>;
