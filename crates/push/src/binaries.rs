//! The agent's programs that the server can hand out: a folder, one file for each architecture.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// A program for one architecture, in memory while somebody uses it.
#[derive(Debug)]
pub struct AgentBinary {
    /// Its bytes.
    pub bytes: Bytes,
    /// Lower-case hex SHA-256 of them.
    pub sha256: String,
}

/// Why there is no program for an architecture.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// There is none.
    #[error("there is no agent for {arch} in {} (looked for {named} and {PLAIN})", folder.display(), named = named(arch))]
    Missing {
        /// The architecture, as `uname -m` says it.
        arch: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}

/// Name of a program whose architecture its header tells.
const PLAIN: &str = "outfitter-agent";

fn named(arch: &str) -> String {
    format!("{PLAIN}-linux-{arch}")
}

/// `e_machine` of the ELF header. Source: ELF specification; `uname -m` of Linux.
const MACHINES: &[(&str, u16)] = &[
    ("x86_64", 62),
    ("aarch64", 183),
    ("armv7l", 40),
    ("i686", 3),
    ("riscv64", 243),
    ("ppc64le", 21),
    ("s390x", 22),
];

struct Loaded {
    path: PathBuf,
    length: u64,
    changed: Option<SystemTime>,
    binary: Weak<AgentBinary>,
}

/// The folder. Files may be replaced while the server runs; the next push takes the new one.
pub struct AgentBinaries {
    folder: PathBuf,
    loaded: Mutex<Vec<Loaded>>,
}

impl AgentBinaries {
    /// Names the folder; looks at nothing yet.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            loaded: Mutex::default(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program for an architecture: `outfitter-agent-linux-ARCH`, else `outfitter-agent` where its header says
    /// that it is for it. Blocks: reads the file unless another push holds it.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn load(&self, arch: &str) -> Result<Arc<AgentBinary>, BinariesError> {
        let machine = MACHINES
            .iter()
            .find(|(name, _)| *name == arch)
            .map(|(_, machine)| *machine);
        for name in [named(arch), PLAIN.to_owned()] {
            // What the far side says is no path of ours.
            if machine.is_none() {
                break;
            }
            let path = self.folder.join(name);
            match self.load_file(&path, machine) {
                Ok(Some(binary)) => return Ok(binary),
                Ok(None) => {}
                Err(source) => return Err(BinariesError::File { path, source }),
            }
        }
        Err(BinariesError::Missing {
            arch: arch.to_owned(),
            folder: self.folder.clone(),
        })
    }

    fn load_file(&self, path: &Path, machine: Option<u16>) -> io::Result<Option<Arc<AgentBinary>>> {
        let facts = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            facts => facts?,
        };
        let changed = facts.modified().ok();
        // Held while reading: a hundred pushes that begin together read the file once.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|entry| entry.binary.strong_count() > 0);
        let held = loaded
            .iter()
            .find(|entry| {
                entry.path == path && entry.length == facts.len() && entry.changed == changed
            })
            .and_then(|entry| entry.binary.upgrade());
        if let Some(binary) = held {
            return Ok((machine_of(&binary.bytes) == machine).then_some(binary));
        }
        let bytes = std::fs::read(path)?;
        if machine_of(&bytes) != machine {
            return Ok(None);
        }
        let binary = Arc::new(AgentBinary {
            sha256: Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            bytes: bytes.into(),
        });
        loaded.push(Loaded {
            path: path.to_owned(),
            length: facts.len(),
            changed,
            binary: Arc::downgrade(&binary),
        });
        Ok(Some(binary))
    }
}

/// The architecture of a Linux program, as `uname -m` says it. `None`: it is none, or for another one.
pub fn arch_of(program: &[u8]) -> Option<&'static str> {
    let machine = machine_of(program)?;
    MACHINES
        .iter()
        .find(|(_, known)| *known == machine)
        .map(|(name, _)| *name)
}

/// `e_machine` of a little- or big-endian ELF file.
fn machine_of(bytes: &[u8]) -> Option<u16> {
    let header = bytes.get(..20)?;
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    let machine = [header[18], header[19]];
    Some(match header[5] {
        2 => u16::from_be_bytes(machine),
        _ => u16::from_le_bytes(machine),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(18, 0);
        bytes.extend(machine.to_le_bytes());
        bytes
    }

    #[test]
    fn a_program_is_found_by_its_header_and_read_again_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let binaries = AgentBinaries::new(folder.path().to_owned());
        assert!(matches!(
            binaries.load("x86_64"),
            Err(BinariesError::Missing { .. })
        ));
        std::fs::write(folder.path().join("outfitter-agent"), elf(62)).unwrap();
        let first = binaries.load("x86_64").unwrap();
        assert!(Arc::ptr_eq(&first, &binaries.load("x86_64").unwrap()));
        assert!(binaries.load("aarch64").is_err());
        assert!(binaries.load("../../etc/passwd").is_err());
        std::fs::write(
            folder.path().join("outfitter-agent-linux-x86_64"),
            [elf(62), vec![1]].concat(),
        )
        .unwrap();
        assert_ne!(binaries.load("x86_64").unwrap().sha256, first.sha256);
    }
}
