use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::{Sha256Digest, digest_reader};
use crate::files::{PathFailure, failed, look, sync_folder};
use crate::names::NameRules;

/// One file that extraction put on the desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Path below the target, parts separated by `/`.
    pub path: String,
    /// Digest of the content.
    pub sha256: Sha256Digest,
    /// Size of the content, in bytes.
    pub size_bytes: u64,
    /// Whether the file may be run; where files have no such mark it is recorded and not applied.
    pub executable: bool,
}

/// What extraction put below a target: the evidence that an app is there, and the list of what its removal removes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The files, sorted by path.
    pub entries: Vec<ManifestEntry>,
    /// Folders below the target that came with the files, sorted, so that parents are before children.
    #[serde(default)]
    pub folders: Vec<String>,
}

/// What [`remove_manifest`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removal {
    /// Files removed.
    pub files_removed: u64,
    /// Files of the manifest that were not there any more.
    pub files_missing: u64,
    /// Folders of the manifest that stay because something else is in them.
    pub folders_kept: u64,
}

/// How a desktop differs from a manifest; the first difference found.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A file is not there.
    #[error("{path} is missing")]
    Missing {
        /// Path below the target.
        path: String,
    },
    /// Something else than a file is in its place, or a link above it.
    #[error("{path} is not a plain file in plain folders")]
    NotAFile {
        /// Path below the target.
        path: String,
    },
    /// The content is another one.
    #[error("{path} has other content than was installed")]
    ContentDiffers {
        /// Path below the target.
        path: String,
    },
    /// The file may not be run and should be.
    #[error("{path} is not executable")]
    NotExecutable {
        /// Path below the target.
        path: String,
    },
    /// The manifest itself names a path outside the target.
    #[error("the manifest names {path}, which is no path below the target")]
    BadPath {
        /// The path as recorded.
        path: String,
    },
    /// The system refused to look or read.
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

/// Why files of a manifest could not be removed; those before it are removed, and calling again goes on.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// The manifest names a path outside the target.
    #[error("the manifest names {path}, which is no path below the target")]
    BadPath {
        /// The path as recorded.
        path: String,
    },
    /// Above the file is a link, which may lead anywhere: nothing is removed through it.
    #[error("{path} lies behind a link")]
    BehindLink {
        /// Path below the target.
        path: String,
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

impl From<PathFailure> for VerifyError {
    fn from(failure: PathFailure) -> Self {
        Self::Io {
            action: failure.action,
            path: failure.path,
            source: failure.source,
        }
    }
}

impl From<PathFailure> for RemoveError {
    fn from(failure: PathFailure) -> Self {
        Self::Io {
            action: failure.action,
            path: failure.path,
            source: failure.source,
        }
    }
}

impl Manifest {
    /// Returns what this manifest lists and the other does not: the leftovers of an earlier revision.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let rules = NameRules::native();
        let files: HashSet<_> = other
            .entries
            .iter()
            .map(|entry| rules.key(&entry.path))
            .collect();
        let folders: HashSet<_> = other
            .folders
            .iter()
            .map(|folder| rules.key(folder))
            .collect();
        Self {
            entries: self
                .entries
                .iter()
                .filter(|entry| !files.contains(&rules.key(&entry.path)))
                .cloned()
                .collect(),
            folders: self
                .folders
                .iter()
                .filter(|folder| !folders.contains(&rules.key(folder)))
                .cloned()
                .collect(),
        }
    }

    /// Returns what either manifest lists; where both list a file, the other's entry counts.
    #[must_use]
    pub fn merged_with(&self, other: &Self) -> Self {
        let rest = self.without(other);
        let mut entries = [rest.entries, other.entries.clone()].concat();
        entries.sort_by(|left, right| left.path.cmp(&right.path));
        let folders: BTreeSet<_> = rest.folders.iter().chain(&other.folders).cloned().collect();
        Self {
            entries,
            folders: folders.into_iter().collect(),
        }
    }
}

/// Checks that every file of the manifest is below `root` with its content, in plain folders, executable where it
/// should be. Files that the manifest does not list do not matter.
///
/// # Errors
/// The first difference, or a failure to look.
pub fn verify_manifest(root: &Path, manifest: &Manifest) -> Result<(), VerifyError> {
    let mut folders = PlainFolders::new(root);
    for entry in &manifest.entries {
        let path = || entry.path.clone();
        let Some(file) = file_path(root, &entry.path) else {
            return Err(VerifyError::BadPath { path: path() });
        };
        let found = look(&file)?.ok_or_else(|| VerifyError::Missing { path: path() })?;
        if !found.is_file() || !folders.lead_to(&entry.path)? {
            return Err(VerifyError::NotAFile { path: path() });
        }
        let has_content = found.len() == entry.size_bytes && {
            let digest = File::open(&file)
                .and_then(digest_reader)
                .map_err(failed("read", &file))?;
            digest.sha256 == entry.sha256
        };
        if !has_content {
            return Err(VerifyError::ContentDiffers { path: path() });
        }
        if entry.executable && !is_executable(&found) {
            return Err(VerifyError::NotExecutable { path: path() });
        }
    }
    Ok(())
}

/// Removes exactly the files that the manifest lists, then those of its folders that are empty; `root` itself stays.
/// A file is removed by its path, whatever its content is by now. Can be repeated.
///
/// # Errors
/// A path that is not below the target or lies behind a link, or the system refuses.
pub fn remove_manifest(root: &Path, manifest: &Manifest) -> Result<Removal, RemoveError> {
    let mut removal = Removal::default();
    let mut plain = PlainFolders::new(root);
    let mut touched = BTreeSet::new();
    for entry in &manifest.entries {
        let Some(file) = file_path(root, &entry.path) else {
            return Err(RemoveError::BadPath {
                path: entry.path.clone(),
            });
        };
        if !plain.lead_to(&entry.path)? {
            return Err(RemoveError::BehindLink {
                path: entry.path.clone(),
            });
        }
        // A folder in the file's place is not ours.
        if look(&file)?.is_none_or(|found| found.is_dir()) {
            removal.files_missing += 1;
            continue;
        }
        fs::remove_file(&file).map_err(failed("remove", &file))?;
        removal.files_removed += 1;
        touched.extend(file.parent().map(Path::to_owned));
    }
    for folder in manifest.folders.iter().rev() {
        let Some(path) = file_path(root, folder) else {
            return Err(RemoveError::BadPath {
                path: folder.clone(),
            });
        };
        if !plain.lead_to(folder)? || !look(&path)?.is_some_and(|found| found.is_dir()) {
            continue;
        }
        match fs::remove_dir(&path) {
            Ok(()) => {
                touched.remove(&path);
                touched.extend(path.parent().map(Path::to_owned));
            }
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                removal.folders_kept += 1;
            }
            Err(source) => return Err(failed("remove folder", &path)(source).into()),
        }
    }
    for folder in &touched {
        sync_folder(folder)?;
    }
    Ok(removal)
}

/// Joins a recorded path to the target; `None` when it is no path that extraction would have made.
fn file_path(root: &Path, path: &str) -> Option<PathBuf> {
    let clean = NameRules::native().clean(path).ok()?;
    (!clean.is_empty() && clean == path).then(|| root.join(clean))
}

/// Remembers which folders below a root are plain folders and no links.
struct PlainFolders<'a> {
    root: &'a Path,
    known: HashSet<String>,
}

impl<'a> PlainFolders<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            known: HashSet::new(),
        }
    }

    /// Tells whether every folder above `path` that exists is a plain folder.
    fn lead_to(&mut self, path: &str) -> Result<bool, PathFailure> {
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            if self.known.contains(folder) {
                continue;
            }
            match look(&self.root.join(folder))? {
                Some(found) if found.is_dir() => self.known.insert(folder.to_owned()),
                Some(_) => return Ok(false),
                None => return Ok(true),
            };
        }
        Ok(true)
    }
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_metadata: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, content: &str) -> ManifestEntry {
        ManifestEntry {
            path: path.into(),
            sha256: Sha256Digest::of(content.as_bytes()),
            size_bytes: content.len() as u64,
            executable: false,
        }
    }

    fn installed() -> (tempfile::TempDir, Manifest) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("lib/deep")).unwrap();
        for (path, content) in [
            ("a", "one"),
            ("lib/b", "two"),
            ("lib/deep/c", "three"),
            ("mine", "kept"),
        ] {
            fs::write(root.path().join(path), content).unwrap();
        }
        let manifest = Manifest {
            entries: vec![
                entry("a", "one"),
                entry("lib/b", "two"),
                entry("lib/deep/c", "three"),
            ],
            folders: vec!["lib".into(), "lib/deep".into()],
        };
        (root, manifest)
    }

    #[test]
    fn what_was_installed_verifies() {
        let (root, manifest) = installed();
        verify_manifest(root.path(), &manifest).unwrap();
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        let (root, manifest) = installed();
        let file = root.path().join("lib/b");
        let error = || verify_manifest(root.path(), &manifest).unwrap_err();

        fs::write(&file, "TWO").unwrap();
        assert!(matches!(error(), VerifyError::ContentDiffers { path } if path == "lib/b"));
        fs::write(&file, "two and more").unwrap();
        assert!(matches!(error(), VerifyError::ContentDiffers { .. }));
        fs::remove_file(&file).unwrap();
        assert!(matches!(error(), VerifyError::Missing { path } if path == "lib/b"));
        fs::create_dir(&file).unwrap();
        assert!(matches!(error(), VerifyError::NotAFile { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_lost_execution_rights_do_not_verify() {
        let (root, mut manifest) = installed();
        manifest.entries[0].executable = true;
        let error = verify_manifest(root.path(), &manifest).unwrap_err();
        assert!(matches!(error, VerifyError::NotExecutable { path } if path == "a"));
        crate::files::set_mode(&root.path().join("a"), 0o755).unwrap();
        verify_manifest(root.path(), &manifest).unwrap();

        fs::rename(root.path().join("lib"), root.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", root.path().join("lib")).unwrap();
        let error = verify_manifest(root.path(), &manifest).unwrap_err();
        assert!(matches!(error, VerifyError::NotAFile { path } if path == "lib/b"));
        let error = remove_manifest(root.path(), &manifest).unwrap_err();
        assert!(matches!(error, RemoveError::BehindLink { path } if path == "lib/b"));
        assert!(root.path().join("elsewhere/b").exists());
    }

    #[test]
    fn exactly_what_is_listed_is_removed() {
        let (root, manifest) = installed();
        fs::write(root.path().join("lib/log"), "made by the app").unwrap();
        fs::remove_file(root.path().join("a")).unwrap();
        let removal = remove_manifest(root.path(), &manifest).unwrap();
        assert_eq!(
            removal,
            Removal {
                files_removed: 2,
                files_missing: 1,
                folders_kept: 1
            }
        );
        assert!(root.path().join("mine").exists());
        assert!(root.path().join("lib/log").exists());
        assert!(!root.path().join("lib/deep").exists());

        fs::remove_file(root.path().join("lib/log")).unwrap();
        let removal = remove_manifest(root.path(), &manifest).unwrap();
        assert_eq!(
            removal,
            Removal {
                files_missing: 3,
                ..Removal::default()
            }
        );
        assert!(!root.path().join("lib").exists());
        assert!(root.path().exists());
    }

    #[test]
    fn manifests_that_point_elsewhere_are_refused() {
        let (root, _) = installed();
        let inner = root.path().join("lib");
        for path in ["../a", "/etc/passwd", "", ".", "deep//c"] {
            let manifest = Manifest {
                entries: vec![entry(path, "one")],
                folders: vec![],
            };
            assert!(
                matches!(
                    verify_manifest(&inner, &manifest),
                    Err(VerifyError::BadPath { .. })
                ),
                "{path}"
            );
            assert!(
                matches!(
                    remove_manifest(&inner, &manifest),
                    Err(RemoveError::BadPath { .. })
                ),
                "{path}"
            );
            let manifest = Manifest {
                entries: vec![],
                folders: vec![path.into()],
            };
            assert!(
                matches!(
                    remove_manifest(&inner, &manifest),
                    Err(RemoveError::BadPath { .. })
                ),
                "{path}"
            );
        }
        assert!(root.path().join("a").exists());
    }

    #[test]
    fn manifests_can_be_subtracted_and_merged() {
        let old = Manifest {
            entries: vec![entry("a", "1"), entry("old/b", "2")],
            folders: vec!["old".into()],
        };
        let new = Manifest {
            entries: vec![entry("a", "changed"), entry("new/c", "3")],
            folders: vec!["new".into()],
        };
        let leftovers = Manifest {
            entries: vec![entry("old/b", "2")],
            folders: vec!["old".into()],
        };
        assert_eq!(old.without(&new), leftovers);
        let both = Manifest {
            entries: vec![
                entry("a", "changed"),
                entry("new/c", "3"),
                entry("old/b", "2"),
            ],
            folders: vec!["new".into(), "old".into()],
        };
        assert_eq!(old.merged_with(&new), both);
    }

    #[test]
    fn manifests_survive_json() {
        let (_root, manifest) = installed();
        let json = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
    }
}
