//! The agent's programs that the server can hand out: a folder, one file for each architecture.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::installer::InstallerProgram;

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

/// Bytes of an ELF file that tell its architecture.
const HEADER_BYTES: u64 = 20;

/// What tells whether a file is still the one that was read.
#[derive(PartialEq, Eq)]
struct FileFacts {
    length: u64,
    changed: Option<SystemTime>,
}

impl FileFacts {
    /// `None`: there is no such file.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            facts => facts.map(|facts| {
                Some(Self {
                    length: facts.len(),
                    changed: facts.modified().ok(),
                })
            }),
        }
    }
}

/// The last that was read of a file.
struct Loaded {
    path: PathBuf,
    file: FileFacts,
    machine: u16,
    sha256: String,
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
        self.find(arch, |path, machine| self.load_file(path, machine))?
            .ok_or_else(|| BinariesError::Missing {
                arch: arch.to_owned(),
                folder: self.folder.clone(),
            })
    }

    /// Facts about every program, one for each architecture that there is one for. Blocks: reads a file that is new or
    /// has changed.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn list(&self) -> Result<Vec<InstallerProgram>, BinariesError> {
        let mut all = Vec::new();
        for (arch, _) in MACHINES {
            all.extend(self.find(arch, |path, machine| self.facts(arch, path, machine))?);
        }
        Ok(all)
    }

    fn find<T>(
        &self,
        arch: &str,
        look: impl Fn(&Path, u16) -> io::Result<Option<T>>,
    ) -> Result<Option<T>, BinariesError> {
        // What the far side says is no path of ours.
        let Some((_, machine)) = MACHINES.iter().find(|(name, _)| *name == arch) else {
            return Ok(None);
        };
        for name in [named(arch), PLAIN.to_owned()] {
            let path = self.folder.join(name);
            match look(&path, *machine) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(source) => return Err(BinariesError::File { path, source }),
            }
        }
        Ok(None)
    }

    fn facts(&self, arch: &str, path: &Path, machine: u16) -> io::Result<Option<InstallerProgram>> {
        let program = |sha256: &str, size_bytes| InstallerProgram {
            arch: arch.to_owned(),
            sha256: sha256.to_owned(),
            size_bytes,
        };
        let Some(file) = FileFacts::of(path)? else {
            return Ok(None);
        };
        let known = self
            .loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find(|entry| entry.path == path && entry.file == file)
            .map(|entry| (entry.machine == machine).then(|| program(&entry.sha256, file.length)));
        if let Some(known) = known {
            return Ok(known);
        }
        let read = self.load_file(path, machine)?;
        Ok(read.map(|binary| program(&binary.sha256, binary.bytes.len() as u64)))
    }

    fn load_file(&self, path: &Path, machine: u16) -> io::Result<Option<Arc<AgentBinary>>> {
        let Some(facts) = FileFacts::of(path)? else {
            return Ok(None);
        };
        // Held while reading: a hundred pushes that begin together read the file once.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = loaded
            .iter()
            .find(|entry| entry.path == path && entry.file == facts);
        if let Some(entry) = known {
            if entry.machine != machine {
                return Ok(None);
            }
            if let Some(binary) = entry.binary.upgrade() {
                return Ok(Some(binary));
            }
        }
        let mut file = File::open(path)?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut file)
            .take(HEADER_BYTES)
            .read_to_end(&mut bytes)?;
        if machine_of(&bytes) != Some(machine) {
            return Ok(None);
        }
        file.read_to_end(&mut bytes)?;
        let binary = Arc::new(AgentBinary {
            sha256: hex::encode(Sha256::digest(&bytes)),
            bytes: bytes.into(),
        });
        loaded.retain(|entry| entry.path != path);
        loaded.push(Loaded {
            path: path.to_owned(),
            file: facts,
            machine,
            sha256: binary.sha256.clone(),
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
        let listed = || binaries.list().unwrap();
        assert_eq!((listed().len(), &listed()[0].sha256), (1, &first.sha256));
        assert!(binaries.load("../../etc/passwd").is_err());
        std::fs::write(
            folder.path().join("outfitter-agent-linux-x86_64"),
            [elf(62), vec![1]].concat(),
        )
        .unwrap();
        assert_ne!(binaries.load("x86_64").unwrap().sha256, first.sha256);
        assert_ne!(listed()[0].sha256, first.sha256);
        assert_eq!(listed()[0].size_bytes, 21);
    }
}
