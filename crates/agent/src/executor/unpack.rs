//! Unpacking an archive by the agent itself, with a manifest as its proof.
//!
//! Guarantees: only files that an earlier manifest of the same app lists are replaced. After a crash the
//! same unpacking is simply done again: what it is about to place is on disk before the first file is.

use std::fs;
use std::path::{Path, PathBuf};

use outfitter_agent_protocol::{Detection, FailureCode};
use outfitter_ids::{AppId, RevisionId};
use outfitter_packages::{
    ExtractError, Limits, Manifest, Removal, remove_manifest, stage, verify_manifest,
};
use serde::{Deserialize, Serialize};

use crate::command::on_desktop;
use crate::durable::{self, FileError};
use crate::evidence::Stop;

/// The folder of an app below the agent's state: what was unpacked for it, and where.
#[derive(Debug, Clone)]
pub(super) struct AppRecord {
    folder: PathBuf,
}

/// Where an archive goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// As the desktop sees it.
    pub(super) on_desktop: PathBuf,
    /// The folder that plays the desktop, where one does.
    pub(super) sandbox_root: Option<PathBuf>,
}

impl Target {
    fn real(&self) -> Result<PathBuf, String> {
        on_desktop(self.sandbox_root.as_deref(), &self.on_desktop)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Installed {
    revision: RevisionId,
    target: PathBuf,
    manifest: Manifest,
    /// Files of earlier revisions that this one does not have: still the app's own.
    #[serde(default)]
    leftovers: Manifest,
    /// Whether the target itself was made by unpacking: then it goes with the last file in it.
    #[serde(default)]
    made_target: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    target: PathBuf,
    manifest: Manifest,
    #[serde(default)]
    made_target: bool,
}

/// Everything of an app in one folder of the desktop.
struct Share {
    target: Target,
    manifest: Manifest,
    made_target: bool,
}

impl AppRecord {
    /// The record of an app below the folder of all of them.
    pub(super) fn new(apps: &Path, app: AppId) -> Self {
        Self {
            folder: apps.join(app.to_string()),
        }
    }

    fn installed_path(&self) -> PathBuf {
        self.folder.join("manifest.json")
    }

    fn pending_path(&self) -> PathBuf {
        self.folder.join("pending.json")
    }

    fn installed(&self) -> Result<Option<Installed>, FileError> {
        durable::read_json(&self.installed_path())
    }

    /// Number of files in the manifest of what is unpacked.
    pub(super) fn files(&self) -> Option<u32> {
        let installed = self.installed().ok().flatten()?;
        Some(count(&installed.manifest))
    }

    /// Whether the revision's files are where and as they were unpacked. Blocks while files are read.
    pub(super) fn detect(&self, revision: RevisionId, target: &Target) -> Detection {
        let not = |seen: String| Detection { holds: false, seen };
        let installed = match self.installed() {
            Ok(Some(installed)) => installed,
            Ok(None) => return not("nothing was unpacked for this app".to_owned()),
            Err(error) => return not(crate::server_client::chain(&error)),
        };
        if installed.revision != revision || installed.target != target.on_desktop {
            return not(format!(
                "another revision is unpacked in {}",
                installed.target.display()
            ));
        }
        let verified = target.real().and_then(|real| {
            verify_manifest(&real, &installed.manifest)
                .map_err(|error| crate::server_client::chain(&error))
        });
        let files = installed.manifest.entries.len();
        match verified {
            Ok(()) => Detection {
                holds: true,
                seen: format!(
                    "{files} of {files} files are in {}",
                    target.on_desktop.display()
                ),
            },
            Err(reason) => not(format!("in {}: {reason}", target.on_desktop.display())),
        }
    }

    /// Unpacks an archive and keeps its manifest; tells the number of files. Blocks.
    ///
    /// # Errors
    /// When the archive is refused, the disk is full, or files cannot be written.
    pub(super) fn unpack(
        &self,
        archive: &Path,
        revision: RevisionId,
        target: &Target,
    ) -> Result<u32, Stop> {
        let agent = |error: FileError| Stop::agent(&error);
        durable::create_private_folder(&self.folder).map_err(agent)?;
        let real = target
            .real()
            .map_err(|reason| Stop::new(FailureCode::ArchiveRefused, reason))?;
        let mut ours = Manifest::default();
        let mut made_target = false;
        if let Some(installed) = self.installed().map_err(agent)?
            && installed.target == target.on_desktop
        {
            ours = installed.leftovers.merged_with(&installed.manifest);
            made_target = installed.made_target;
        }
        // Left by an unpacking that was cut off: what it placed is ours as well.
        let pending: Option<Pending> = durable::read_json(&self.pending_path()).map_err(agent)?;
        if let Some(pending) = pending
            && pending.target == target.on_desktop
        {
            ours = ours.merged_with(&pending.manifest);
            made_target |= pending.made_target;
        }
        let made_target = made_target || real.symlink_metadata().is_err();
        let staged = stage(archive, &real, &Limits::default()).map_err(refusal)?;
        refuse_foreign_files(&real, staged.manifest(), &ours)?;
        durable::write_json(
            &self.pending_path(),
            &Pending {
                target: target.on_desktop.clone(),
                manifest: ours.merged_with(staged.manifest()),
                made_target,
            },
        )
        .map_err(agent)?;
        let manifest = staged.place(Some(&ours)).map_err(refusal)?;
        let files = count(&manifest);
        durable::write_json(
            &self.installed_path(),
            &Installed {
                revision,
                target: target.on_desktop.clone(),
                leftovers: ours.without(&manifest),
                manifest,
                made_target,
            },
        )
        .map_err(agent)?;
        let _ = fs::remove_file(self.pending_path());
        Ok(files)
    }
}

/// Taking off what was unpacked.
impl AppRecord {
    /// Whether anything was ever unpacked for the app and not taken off since.
    pub(super) fn exists(&self) -> bool {
        self.installed_path().exists() || self.pending_path().exists()
    }

    /// What the records list, by target: the last revision with its leftovers, and an unpacking that was cut off.
    fn shares(&self, sandbox_root: Option<&Path>) -> Result<Vec<Share>, FileError> {
        let target = |on_desktop| Target {
            on_desktop,
            sandbox_root: sandbox_root.map(Path::to_owned),
        };
        let mut shares = Vec::new();
        if let Some(installed) = self.installed()? {
            shares.push(Share {
                target: target(installed.target),
                manifest: installed.leftovers.merged_with(&installed.manifest),
                made_target: installed.made_target,
            });
        }
        if let Some(pending) = durable::read_json::<Pending>(&self.pending_path())? {
            shares.push(Share {
                target: target(pending.target),
                manifest: pending.manifest,
                made_target: pending.made_target,
            });
        }
        Ok(shares)
    }

    /// Whether any file that was unpacked for the app is still there, in whatever content. What cannot be looked at
    /// counts as there. Blocks.
    pub(super) fn remains(&self, sandbox_root: Option<&Path>) -> Detection {
        let there = |seen: String| Detection { holds: true, seen };
        let shares = match self.shares(sandbox_root) {
            Ok(shares) => shares,
            Err(error) => return there(crate::server_client::chain(&error)),
        };
        let mut listed = 0;
        for share in &shares {
            let real = match share.target.real() {
                Ok(real) => real,
                Err(reason) => return there(reason),
            };
            for entry in &share.manifest.entries {
                listed += 1;
                match real.join(&entry.path).symlink_metadata() {
                    // A folder in a file's place is not ours.
                    Ok(found) if found.is_dir() => {}
                    Ok(_) => {
                        return there(format!(
                            "{} is in {}",
                            entry.path,
                            share.target.on_desktop.display()
                        ));
                    }
                    Err(error)
                        if matches!(
                            error.kind(),
                            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                        ) => {}
                    Err(error) => {
                        return there(format!("{} cannot be looked at: {error}", entry.path));
                    }
                }
            }
        }
        Detection {
            holds: false,
            seen: if shares.is_empty() {
                "nothing was unpacked for this app".to_owned()
            } else {
                format!("none of the {listed} unpacked files is there")
            },
        }
    }

    /// Removes exactly the files that were unpacked for the app, and the folders that this emptied and unpacking made;
    /// tells what it did, in words, and the number of files listed. Can be repeated. Blocks.
    ///
    /// # Errors
    /// When the records cannot be read, or the system refuses.
    pub(super) fn remove(&self, sandbox_root: Option<&Path>) -> Result<(String, u32), Stop> {
        let shares = self
            .shares(sandbox_root)
            .map_err(|error| Stop::agent(&error))?;
        let mut said = String::new();
        let mut files = 0;
        for share in &shares {
            let real = share
                .target
                .real()
                .map_err(|reason| Stop::new(FailureCode::AgentFailure, reason))?;
            let Removal {
                files_removed,
                files_missing,
                folders_kept,
            } = remove_manifest(&real, &share.manifest).map_err(|error| Stop::agent(&error))?;
            if share.made_target {
                // Stays when something else is in it.
                let _ = fs::remove_dir(&real);
            }
            files += count(&share.manifest);
            said.push_str(&format!(
                "removed {files_removed} files from {}; {files_missing} were not there any more; \
                 {folders_kept} folders stay, since something else is in them\n",
                share.target.on_desktop.display()
            ));
        }
        Ok((said, files))
    }

    /// Forgets what was unpacked, when nothing of it is left: nothing there is the app's own any more.
    pub(super) fn forget(&self) {
        // What cannot be removed now is found empty-handed by the next uninstall.
        let _ = fs::remove_file(self.pending_path());
        let _ = fs::remove_file(self.installed_path());
        let _ = fs::remove_dir(&self.folder);
    }
}

fn count(manifest: &Manifest) -> u32 {
    u32::try_from(manifest.entries.len()).unwrap_or(u32::MAX)
}

/// Before `pending.json` claims the files of the archive, none of them may be somebody else's.
fn refuse_foreign_files(real: &Path, new: &Manifest, ours: &Manifest) -> Result<(), Stop> {
    let foreign = new
        .without(ours)
        .entries
        .into_iter()
        .find(|entry| real.join(&entry.path).symlink_metadata().is_ok());
    foreign.map_or(Ok(()), |entry| {
        Err(Stop::new(
            FailureCode::ArchiveRefused,
            format!("{} exists and was not installed by this app", entry.path),
        ))
    })
}

fn refusal(error: ExtractError) -> Stop {
    let code = match &error {
        ExtractError::Refused(_) | ExtractError::Unreadable(_) => FailureCode::ArchiveRefused,
        ExtractError::DiskFull { .. } => FailureCode::DiskFull,
        ExtractError::Io { .. } => FailureCode::AgentFailure,
    };
    Stop::new(code, crate::server_client::chain(&error))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use uuid::Uuid;

    use super::*;

    fn archive(folder: &Path, files: &[(&str, &str)]) -> PathBuf {
        let path = folder.join("app.tar");
        let mut tar = tar::Builder::new(fs::File::create(&path).expect("a file"));
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, content.as_bytes())
                .expect("an entry");
        }
        tar.into_inner().expect("a file").flush().expect("written");
        path
    }

    #[test]
    fn only_files_of_the_app_are_replaced_also_after_a_cut() {
        let state = tempfile::tempdir().expect("a folder");
        let desktop = tempfile::tempdir().expect("a folder");
        let record = AppRecord::new(state.path(), AppId::new(Uuid::from_u128(1)));
        let target = Target {
            on_desktop: PathBuf::from("/opt/app"),
            sandbox_root: Some(desktop.path().to_owned()),
        };
        let (first, second) = (
            RevisionId::new(Uuid::from_u128(1)),
            RevisionId::new(Uuid::from_u128(2)),
        );

        let one = archive(state.path(), &[("a", "1"), ("b", "1")]);
        assert_eq!(record.unpack(&one, first, &target), Ok(2));
        assert!(record.detect(first, &target).holds);
        assert!(!record.detect(second, &target).holds);

        // A file of somebody else stops the second revision, again and again, and nothing changes.
        let foreign = desktop.path().join("opt/app/c");
        fs::write(&foreign, "mine").expect("a file");
        let two = archive(state.path(), &[("a", "2"), ("c", "2")]);
        for _ in 0..2 {
            let stop = record.unpack(&two, second, &target).expect_err("refused");
            assert_eq!(stop.code, FailureCode::ArchiveRefused);
        }
        assert!(record.detect(first, &target).holds);

        // Cut off after a file was placed: done again, it goes through.
        fs::remove_file(&foreign).expect("removed");
        let staged =
            stage(&two, &desktop.path().join("opt/app"), &Limits::default()).expect("staged");
        let pending = Pending {
            target: target.on_desktop.clone(),
            manifest: staged.manifest().clone(),
            made_target: false,
        };
        drop(staged);
        durable::write_json(&record.pending_path(), &pending).expect("written");
        fs::write(&foreign, "2").expect("placed");
        assert_eq!(record.unpack(&two, second, &target), Ok(2));
        assert!(record.detect(second, &target).holds);

        // What an earlier revision left is still the app's own.
        let three = archive(state.path(), &[("b", "3")]);
        assert_eq!(record.unpack(&three, first, &target), Ok(1));
        fs::write(desktop.path().join("opt/app/b"), "changed").expect("a file");
        assert!(!record.detect(first, &target).holds);
    }

    #[test]
    fn exactly_what_was_unpacked_is_removed_with_the_folders_it_made() {
        let state = tempfile::tempdir().expect("a folder");
        let desktop = tempfile::tempdir().expect("a folder");
        let root = Some(desktop.path());
        let record = AppRecord::new(state.path(), AppId::new(Uuid::from_u128(1)));
        let target = Target {
            on_desktop: PathBuf::from("/opt/app"),
            sandbox_root: root.map(Path::to_owned),
        };
        assert!(!record.exists() && !record.remains(root).holds);
        let revision = RevisionId::new(Uuid::from_u128(1));
        let one = archive(state.path(), &[("bin/a", "1"), ("old/b", "1"), ("c", "1")]);
        record.unpack(&one, revision, &target).expect("unpacked");
        // What the next revision left behind goes too, whatever its content is by now.
        let two = archive(state.path(), &[("bin/a", "2"), ("c", "2")]);
        record.unpack(&two, revision, &target).expect("unpacked");
        let path = |name: &str| desktop.path().join("opt/app").join(name);
        fs::write(path("old/b"), "changed").expect("a file");
        fs::write(path("bin/mine"), "mine").expect("a file");
        assert!(record.exists() && record.remains(root).holds);

        let (said, files) = record.remove(root).expect("removed");
        assert!(said.starts_with("removed 3 files from /opt/app"), "{said}");
        assert_eq!(files, 3);
        assert!(!record.remains(root).holds);
        assert!(path("bin/mine").exists() && !path("old").exists() && !path("c").exists());
        record.remove(root).expect("once more");
        record.forget();
        assert!(!record.exists());

        // Alone, it leaves nothing, and takes nothing that was there before it.
        fs::remove_file(path("bin/mine")).expect("removed");
        fs::remove_dir_all(desktop.path().join("opt/app")).expect("removed");
        record.unpack(&two, revision, &target).expect("unpacked");
        record.remove(root).expect("removed");
        assert!(desktop.path().join("opt").exists() && !desktop.path().join("opt/app").exists());
        record.forget();
        fs::create_dir(desktop.path().join("opt/app")).expect("a folder");
        record.unpack(&two, revision, &target).expect("unpacked");
        record.remove(root).expect("removed");
        assert!(desktop.path().join("opt/app").exists());
    }

    #[test]
    fn a_record_that_cannot_be_read_never_counts_as_gone() {
        let state = tempfile::tempdir().expect("a folder");
        let record = AppRecord::new(state.path(), AppId::new(Uuid::from_u128(1)));
        fs::create_dir(&record.folder).expect("a folder");
        fs::write(record.installed_path(), "{").expect("a file");
        assert!(record.remains(None).holds);
        assert!(record.remove(None).is_err());
    }
}
