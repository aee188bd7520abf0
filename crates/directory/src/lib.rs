//! Reads a company directory over LDAP: Active Directory (or Samba in that role), or another LDAP directory.
//!
//! **Guarantees.** Nothing is sent before TLS stands under the pinned CA (LDAPS, or StartTLS on `ldap://`); there is no
//! way to ask for less. What is read is whole: paged searches to their last page, groups of any size range by range.
//! Referrals are not followed. Whatever goes wrong is a [`Failure`] with a stable code; a partial answer is never
//! handed out. Every wait has a limit, and so has the number of entries. **Wakes it:** whoever calls [`read()`] or
//! [`test()`]. **After a crash** nothing is known here. **Does not** write to the directory, and does not decide what
//! follows: that is `domain::directory`.

mod connection;
mod entry;
mod failure;
mod read;

pub use connection::{CaError, Connection, Limits, Scope, check_ca, check_filter, check_url};
pub use failure::{Failure, FailureCode};
pub use read::{Tested, read, test, verify};
