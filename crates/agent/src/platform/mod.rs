//! Everything that differs between Linux and Windows, behind one set of names.

#[cfg(unix)]
mod linux;
#[cfg(unix)]
pub use linux::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

/// What the platform side could not do.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// Not on this system, or not yet.
    #[error("{0} is not supported on this system yet")]
    NotSupported(&'static str),
    /// The system refused.
    #[error("cannot {action}")]
    System {
        /// What was attempted.
        action: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A helper program said no.
    #[error("cannot {action}: {reason}")]
    Refused {
        /// What was attempted.
        action: String,
        /// Its words.
        reason: String,
    },
}

impl PlatformError {
    /// Names what was attempted.
    pub fn system(action: impl Into<String>, source: std::io::Error) -> Self {
        Self::System {
            action: action.into(),
            source,
        }
    }
}

/// Where rpm keeps its database, by the age of the system.
pub const RPM_DATABASES: [&str; 2] = ["/usr/lib/sysimage/rpm", "/var/lib/rpm"];

/// What stands in the Windows registry under a key and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryEntry {
    /// There is no such key, or no value of that name.
    Absent,
    /// The key, and no value was asked for.
    Key,
    /// The value as text: numbers in decimal, bytes in hex, several texts with line feeds between; not expanded.
    Value(String),
}

/// State and version of a Debian package in a package database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianState {
    /// dpkg's word: `installed`, `config-files`, `half-configured`, ...
    pub status: String,
    /// The version.
    pub version: String,
}
