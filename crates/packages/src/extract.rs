//! Unpacking archives that nobody vouches for.
//!
//! Guarantees: nothing outside the target is read or written, and nothing at all is placed before the whole archive
//! was unpacked into a staging folder inside the target and found good. Then each file is renamed into its place;
//! a file already there is replaced only when an earlier manifest lists it. Files and folders are flushed to disk.
//!
//! After a crash while staging, the target is as before and the next [`stage`] clears the leftovers. After a crash
//! while placing, some files are new and some old; the caller that kept [`StagedArchive::manifest`] repeats the
//! whole with `previous` being the earlier manifest merged with the kept one.
//!
//! It does not guard against somebody else who may write to the target meanwhile, nor against two extractions into
//! one target at once: the caller runs one at a time, into folders that are its own.

use std::cell::RefCell;
use std::collections::HashSet;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zip::read::{Config, ZipFileEntry, ZipReadOptions};
// `ZipArchive` holds the whole directory in memory and hides entries with equal names.
use zip::unstable::read::ZipIterable;

use crate::archive::Compression;
use crate::digest::DigestWriter;
use crate::files::{
    PathFailure, create_folder, create_private_folder, failed, look, set_mode, sync_folder,
};
use crate::inspect::{PackageKind, detect};
use crate::manifest::{Manifest, ManifestEntry};
use crate::names::{NameRules, Names, STAGING_FOLDER};

/// Unpacked bytes to which the compression ratio is not applied: small archives of blank files are no bombs.
const RATIO_FREE_BYTES: u64 = 1024 * 1024;

/// Most bytes between two tar entries. Long names and extended attributes lie there and are held in memory.
const TAR_HEADERS_MAX_BYTES: u64 = 1024 * 1024;

/// How much an archive may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most unpacked bytes in total; for tar archives headers and padding count too.
    pub max_total_bytes: u64,
    /// Most entries, and most files and folders, implied folders included.
    pub max_entries: u64,
    /// Most unpacked bytes per byte of the archive file, beyond the first MiB.
    pub max_compression_ratio: u64,
}

impl Default for Limits {
    /// 20 GiB, 200,000 entries, ratio 200: four times the largest upload of the vendor's console (5 GB), several
    /// times the files of a large development kit, and twice what compresses best among real programs.
    fn default() -> Self {
        Self {
            max_total_bytes: 20 * 1024 * 1024 * 1024,
            max_entries: 200_000,
            max_compression_ratio: 200,
        }
    }
}

/// Why an archive is not unpacked; nothing was placed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The file is no zip and no tar archive.
    #[error("a package of type {kind:?} cannot be unpacked, only zip and tar archives can")]
    NotAnArchive {
        /// What it is.
        kind: PackageKind,
    },
    /// The archive holds no file, so that nothing would prove that it was unpacked.
    #[error("the archive holds no file")]
    Empty,
    /// An entry has an absolute path.
    #[error("entry {name} has an absolute path")]
    AbsolutePath {
        /// The name, escaped.
        name: String,
    },
    /// An entry's path has a `..` in it.
    #[error("entry {name} points to a parent folder")]
    ParentPath {
        /// The name, escaped.
        name: String,
    },
    /// An entry has a name that is not allowed on this system, too long, or ours.
    #[error("entry {name} has a name that is not allowed here")]
    ForbiddenName {
        /// The name, escaped.
        name: String,
    },
    /// An entry's name is not UTF-8.
    #[error("entry {name} has a name that is not UTF-8")]
    NameNotText {
        /// The name, with what is not text replaced.
        name: String,
    },
    /// An entry is a symbolic or hard link.
    #[error("entry {name} is a link; archives with links are not unpacked")]
    Link {
        /// The name, escaped.
        name: String,
    },
    /// An entry is a device, a pipe, a sparse file or something unknown.
    #[error("entry {name} is neither a file nor a folder")]
    SpecialFile {
        /// The name, escaped.
        name: String,
    },
    /// An entry needs a password.
    #[error("entry {name} is encrypted")]
    Encrypted {
        /// The name, escaped.
        name: String,
    },
    /// Two files have the same name, on Windows in any case.
    #[error("{name} is in the archive more than once")]
    DuplicateName {
        /// The name, escaped.
        name: String,
    },
    /// A name is that of a file and of a folder.
    #[error("{name} is both a file and a folder in the archive")]
    FileAndFolder {
        /// The name, escaped.
        name: String,
    },
    /// More entries than allowed.
    #[error("the archive has more than {max_entries} entries")]
    TooManyEntries {
        /// The limit.
        max_entries: u64,
    },
    /// More unpacked bytes than allowed.
    #[error("the archive unpacks to more than {max_total_bytes} bytes")]
    TooLarge {
        /// The limit, in bytes.
        max_total_bytes: u64,
    },
    /// More unpacked bytes per packed byte than allowed.
    #[error("the archive unpacks to more than {max_compression_ratio} times its size")]
    RatioTooHigh {
        /// The limit.
        max_compression_ratio: u64,
    },
    /// A tar entry has a name or attributes of a size that no real one has.
    #[error("the archive has an entry header that is too large")]
    HeaderTooLarge,
    /// A file is in the target that no earlier manifest lists.
    #[error("{path} exists and was not installed by this app")]
    ForeignFile {
        /// Path below the target.
        path: String,
    },
    /// A folder of the archive is a link or a file in the target, or a file of it is a folder there.
    #[error("{path} in the target is of another type than in the archive, or a link")]
    InTheWay {
        /// Path below the target.
        path: String,
    },
}

/// Why extraction failed.
#[derive(Debug, Error)]
pub enum ExtractError {
    /// The archive breaks a rule.
    #[error("the archive is refused: {0}")]
    Refused(Refusal),
    /// The archive is damaged or uses what is not supported.
    #[error("cannot read the archive")]
    Unreadable(#[source] io::Error),
    /// No room is left below the target.
    #[error("no space left to {action} {}", path.display())]
    DiskFull {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl From<Refusal> for ExtractError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<PathFailure> for ExtractError {
    fn from(failure: PathFailure) -> Self {
        let PathFailure {
            action,
            path,
            source,
        } = failure;
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { action, path }
            }
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}

/// An archive unpacked into the target's staging folder and found good; dropped, it leaves the target as it was.
#[derive(Debug)]
pub struct StagedArchive {
    staging: Staging,
    /// Name of the staged file of each entry of the manifest.
    numbers: Vec<usize>,
    manifest: Manifest,
    case_collisions: Vec<(String, String)>,
    rules: NameRules,
}

/// Unpacks an archive below `target` in one go: [`stage`], then [`StagedArchive::place`].
///
/// # Errors
/// As those two.
pub fn extract(
    archive: &Path,
    target: &Path,
    limits: &Limits,
    previous: Option<&Manifest>,
) -> Result<Manifest, ExtractError> {
    stage(archive, target, limits)?.place(previous)
}

/// Unpacks an archive into a staging folder inside `target`, which is made where absent, and checks everything that
/// can be checked before the first file is placed.
///
/// # Errors
/// The archive is refused or unreadable, the disk is full, or the system refuses.
pub fn stage(
    archive: &Path,
    target: &Path,
    limits: &Limits,
) -> Result<StagedArchive, ExtractError> {
    stage_with_rules(archive, target, limits, NameRules::native())
}

fn stage_with_rules(
    archive: &Path,
    target: &Path,
    limits: &Limits,
    rules: NameRules,
) -> Result<StagedArchive, ExtractError> {
    let open = || File::open(archive).map_err(failed("open", archive));
    let mut file = open()?;
    let archive_bytes = file.metadata().map_err(failed("look at", archive))?.len();
    let kind = detect(&mut file).map_err(ExtractError::Unreadable)?;
    let compression = match kind {
        PackageKind::Zip | PackageKind::Tar => Compression::None,
        PackageKind::TarGz => Compression::Gzip,
        PackageKind::TarXz => Compression::Xz,
        PackageKind::TarZst => Compression::Zstd,
        PackageKind::TarBz2 => Compression::Bzip2,
        PackageKind::SevenZip
        | PackageKind::Rar
        | PackageKind::Deb
        | PackageKind::Rpm
        | PackageKind::Msi
        | PackageKind::Ole
        | PackageKind::Exe
        | PackageKind::AppImage
        | PackageKind::Elf
        | PackageKind::Script
        | PackageKind::Unknown => return Err(Refusal::NotAnArchive { kind }.into()),
    };
    let mut unpacking = Unpacking {
        staging: Staging::create(target)?,
        files: Vec::new(),
        names: Names::new(rules),
        rules,
        limits: *limits,
        entries_seen: 0,
        buffer: vec![0; 64 * 1024],
    };
    let meter = RefCell::new(Meter {
        limits: *limits,
        archive_bytes,
        spent_bytes: 0,
        header_bytes_left: None,
    });
    if kind == PackageKind::Zip {
        unpacking.read_zip(BufReader::new(file), BufReader::new(open()?), &meter)?;
    } else {
        file.rewind().map_err(ExtractError::Unreadable)?;
        let unpacked = compression.reader(file).map_err(ExtractError::Unreadable)?;
        unpacking.read_tar(unpacked, &meter)?;
    }
    unpacking.finish()
}

impl StagedArchive {
    /// Returns what will be in the target, each folder of the archive included.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns pairs of paths that differ by case only: both are kept here, but would be one file on other systems.
    pub fn case_collisions(&self) -> &[(String, String)] {
        &self.case_collisions
    }

    /// Renames the files into their places and returns the manifest, in which only folders remain that were made
    /// now or that `previous` lists. Files that `previous` lists and this archive does not are left alone: the
    /// caller removes `previous.without(&new)`.
    ///
    /// # Errors
    /// Refused, with nothing placed, when a file is in the way that `previous` does not list, or a folder or link
    /// is where a file belongs or the other way round. Else the disk is full or the system refuses.
    pub fn place(mut self, previous: Option<&Manifest>) -> Result<Manifest, ExtractError> {
        let target = self.staging.target.clone();
        let new_folders = self.check_target(&target, previous)?;

        for folder in &new_folders {
            create_folder(&target.join(folder))?;
        }
        for (number, entry) in self.numbers.iter().zip(&self.manifest.entries) {
            let place = target.join(&entry.path);
            fs::rename(self.staging.folder.join(number.to_string()), &place)
                .map_err(failed("put in place", &place))?;
        }
        self.staging.remove()?;
        self.staging.created.clear();
        for folder in self.manifest.folders.iter().rev() {
            sync_folder(&target.join(folder))?;
        }
        sync_folder(&target)?;

        let earlier: HashSet<_> = previous
            .iter()
            .flat_map(|previous| &previous.folders)
            .collect();
        let mut manifest = std::mem::take(&mut self.manifest);
        manifest
            .folders
            .retain(|folder| new_folders.contains(folder) || earlier.contains(folder));
        Ok(manifest)
    }

    /// Checks that everything may be placed and returns the folders to be made, parents first.
    fn check_target(
        &self,
        target: &Path,
        previous: Option<&Manifest>,
    ) -> Result<Vec<String>, ExtractError> {
        let mut new_folders = Vec::new();
        for folder in &self.manifest.folders {
            match look(&target.join(folder))? {
                None => new_folders.push(folder.clone()),
                Some(found) if found.is_dir() => {}
                Some(_) => {
                    return Err(Refusal::InTheWay {
                        path: folder.clone(),
                    }
                    .into());
                }
            }
        }
        let ours: HashSet<_> = previous
            .iter()
            .flat_map(|previous| &previous.entries)
            .map(|entry| self.rules.key(&entry.path))
            .collect();
        for entry in &self.manifest.entries {
            let path = || entry.path.clone();
            match look(&target.join(&entry.path))? {
                None => {}
                Some(found) if found.is_dir() => {
                    return Err(Refusal::InTheWay { path: path() }.into());
                }
                Some(_) if ours.contains(&self.rules.key(&entry.path)) => {}
                Some(_) => return Err(Refusal::ForeignFile { path: path() }.into()),
            }
        }
        Ok(new_folders)
    }
}

/// The staging folder and what had to be made for it; removed again when dropped.
#[derive(Debug)]
struct Staging {
    target: PathBuf,
    folder: PathBuf,
    created: Vec<PathBuf>,
}

impl Staging {
    fn create(target: &Path) -> Result<Self, ExtractError> {
        let mut staging = Self {
            target: target.to_owned(),
            folder: target.join(STAGING_FOLDER),
            created: Vec::new(),
        };
        let missing: Vec<_> = target
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        for folder in missing.into_iter().rev() {
            create_folder(folder)?;
            staging.created.push(folder.to_owned());
            if let Some(parent) = folder
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                sync_folder(parent)?;
            }
        }
        // Left over from a crash.
        staging.remove()?;
        create_private_folder(&staging.folder)?;
        Ok(staging)
    }

    fn remove(&self) -> Result<(), PathFailure> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &self.folder)(error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next extraction into this target.
        let _ = self.remove();
        for folder in self.created.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// An archive being unpacked into numbered files.
struct Unpacking {
    staging: Staging,
    /// Number of the staged file and what it is.
    files: Vec<(usize, ManifestEntry)>,
    names: Names,
    rules: NameRules,
    limits: Limits,
    entries_seen: u64,
    buffer: Vec<u8>,
}

impl Unpacking {
    fn read_zip(
        &mut self,
        directory: impl Read + Seek,
        mut content: impl Read + Seek,
        meter: &RefCell<Meter>,
    ) -> Result<(), ExtractError> {
        let unreadable = |error: zip::result::ZipError| unreadable(error.into());
        let mut archive = ZipIterable::try_new(directory, Config::default()).map_err(unreadable)?;
        for entry in archive.files().map_err(unreadable)? {
            self.count_entry()?;
            let entry = entry.map_err(unreadable)?;
            let raw_name = zip_name(&entry)?;
            let escaped = || raw_name.escape_debug().to_string();
            let name = self.rules.clean(&raw_name)?;
            // Unix file type, in the upper half of the attributes whatever system wrote them.
            let is_folder = match entry.external_attributes() >> 16 & 0o170_000 {
                0 | 0o100_000 => entry.is_dir() || raw_name.ends_with('/'),
                0o040_000 => true,
                0o120_000 => return Err(Refusal::Link { name: escaped() }.into()),
                _ => return Err(Refusal::SpecialFile { name: escaped() }.into()),
            };
            if is_folder {
                self.add_folder(&name)?;
                continue;
            }
            if entry.encrypted() {
                return Err(Refusal::Encrypted { name: escaped() }.into());
            }
            let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
            let unpacked = entry
                .with_reader(&mut content, ZipReadOptions::new())
                .map_err(unreadable)?;
            self.add_file(
                name,
                executable,
                Metered {
                    inner: unpacked,
                    meter,
                },
            )?;
        }
        Ok(())
    }

    fn read_tar(
        &mut self,
        unpacked: impl Read,
        meter: &RefCell<Meter>,
    ) -> Result<(), ExtractError> {
        let mut archive = tar::Archive::new(Metered {
            inner: unpacked,
            meter,
        });
        let mut entries = archive.entries().map_err(unreadable)?;
        loop {
            meter.borrow_mut().header_bytes_left = Some(TAR_HEADERS_MAX_BYTES);
            let Some(entry) = entries.next() else {
                return Ok(());
            };
            meter.borrow_mut().header_bytes_left = None;
            self.count_entry()?;
            let entry = entry.map_err(unreadable)?;
            let raw_name = entry.path_bytes();
            let raw_name = str::from_utf8(&raw_name).map_err(|_| Refusal::NameNotText {
                name: String::from_utf8_lossy(&raw_name)
                    .escape_debug()
                    .to_string(),
            })?;
            let escaped = || raw_name.escape_debug().to_string();
            match entry.header().entry_type() {
                tar::EntryType::XGlobalHeader => {}
                tar::EntryType::Directory => {
                    let name = self.rules.clean(raw_name)?;
                    self.add_folder(&name)?;
                }
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    let name = self.rules.clean(raw_name)?;
                    // Archives older than the type of folders mark these by their name.
                    if raw_name.ends_with('/') {
                        self.add_folder(&name)?;
                    } else {
                        let mode = entry.header().mode().map_err(unreadable)?;
                        self.add_file(name, mode & 0o111 != 0, entry)?;
                    }
                }
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    return Err(Refusal::Link { name: escaped() }.into());
                }
                _ => return Err(Refusal::SpecialFile { name: escaped() }.into()),
            }
        }
    }

    fn count_entry(&mut self) -> Result<(), Refusal> {
        self.entries_seen += 1;
        let paths = self.names.len() as u64;
        let max_entries = self.limits.max_entries;
        if self.entries_seen.max(paths) > max_entries {
            return Err(Refusal::TooManyEntries { max_entries });
        }
        Ok(())
    }

    fn add_folder(&mut self, name: &str) -> Result<(), Refusal> {
        if name.is_empty() {
            return Ok(());
        }
        self.names.add_folder(name)
    }

    fn add_file(
        &mut self,
        name: String,
        executable: bool,
        mut content: impl Read,
    ) -> Result<(), ExtractError> {
        if name.is_empty() {
            return Err(Refusal::ForbiddenName { name }.into());
        }
        self.names.add_file(&name)?;
        let number = self.files.len();
        let path = self.staging.folder.join(number.to_string());
        let file = File::create_new(&path).map_err(failed("create", &path))?;
        let mut writer = DigestWriter::new(file);
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            writer
                .write_all(&self.buffer[..count])
                .map_err(failed("write", &path))?;
        }
        let (file, digest) = writer.finish();
        set_mode(&path, if executable { 0o755 } else { 0o644 })?;
        file.sync_all().map_err(failed("flush", &path))?;
        let entry = ManifestEntry {
            path: name,
            sha256: digest.sha256,
            size_bytes: digest.size_bytes,
            executable,
        };
        self.files.push((number, entry));
        Ok(())
    }

    fn finish(mut self) -> Result<StagedArchive, ExtractError> {
        if self.files.is_empty() {
            return Err(Refusal::Empty.into());
        }
        // The last entry may have implied more folders than are allowed.
        self.entries_seen -= 1;
        self.count_entry()?;
        let (folders, case_collisions) = self.names.into_parts();
        self.files
            .sort_by(|(_, left), (_, right)| left.path.cmp(&right.path));
        let (numbers, entries) = self.files.into_iter().unzip();
        Ok(StagedArchive {
            staging: self.staging,
            numbers,
            manifest: Manifest { entries, folders },
            case_collisions,
            rules: self.rules,
        })
    }
}

/// Returns an entry's name with `/` between the parts: archives made by old Windows tools have `\` there.
fn zip_name(entry: &ZipFileEntry<'_>) -> Result<String, ExtractError> {
    let raw = entry.name_raw();
    let name = match str::from_utf8(raw) {
        Ok(name) => name.to_owned(),
        Err(_) => entry
            .name()
            .map_err(|_| Refusal::NameNotText {
                name: String::from_utf8_lossy(raw).escape_debug().to_string(),
            })?
            .into_owned(),
    };
    Ok(name.replace('\\', "/"))
}

/// Counts unpacked bytes against the limits.
#[derive(Debug)]
struct Meter {
    limits: Limits,
    archive_bytes: u64,
    spent_bytes: u64,
    /// Between two tar entries: how many bytes may still come before the next one.
    header_bytes_left: Option<u64>,
}

impl Meter {
    fn spend(&mut self, bytes: u64) -> Result<(), Refusal> {
        let Limits {
            max_total_bytes,
            max_compression_ratio,
            ..
        } = self.limits;
        self.spent_bytes += bytes;
        if self.spent_bytes > max_total_bytes {
            return Err(Refusal::TooLarge { max_total_bytes });
        }
        let by_ratio = self.archive_bytes.saturating_mul(max_compression_ratio);
        if self.spent_bytes > by_ratio.saturating_add(RATIO_FREE_BYTES) {
            return Err(Refusal::RatioTooHigh {
                max_compression_ratio,
            });
        }
        if let Some(left) = &mut self.header_bytes_left {
            *left = left.checked_sub(bytes).ok_or(Refusal::HeaderTooLarge)?;
        }
        Ok(())
    }
}

/// A reader whose bytes are counted; breaking a limit is a read error that carries the [`Refusal`].
struct Metered<'a, R> {
    inner: R,
    meter: &'a RefCell<Meter>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.meter
            .borrow_mut()
            .spend(count as u64)
            .map_err(io::Error::other)?;
        Ok(count)
    }
}

/// Tells a broken limit from a broken archive, however deeply the libraries have wrapped it.
fn unreadable(error: io::Error) -> ExtractError {
    let mut inner: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(each) = inner {
        if let Some(refusal) = each.downcast_ref::<Refusal>() {
            return ExtractError::Refused(refusal.clone());
        }
        inner = match each.downcast_ref::<io::Error>() {
            Some(wrapped) => wrapped
                .get_ref()
                .map(|error| error as &(dyn Error + 'static)),
            None => each.source(),
        };
    }
    ExtractError::Unreadable(error)
}

#[cfg(test)]
mod tests;
