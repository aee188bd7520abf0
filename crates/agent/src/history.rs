//! What tells this machine from a copy of it and from its own past (docs/adr/0029-identity.md): marks that copying a disk does
//! not copy, and a history that it does.
//!
//! Guarantees: a count is on disk before the server hears it, so that a lower one comes from a state of before alone.
//! On crash: a count may be skipped, never told twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outfitter_agent_protocol::{History, MachineIdentity};
use outfitter_ids::HistoryId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::channel::OwnIdentity;
use crate::durable::{FileError, Files};
use crate::platform;
use crate::server_client::chain;

/// Our own key for digests of a machine's ids, which nobody else should be able to compare with theirs. Source: machine-id(5).
const APPLICATION: &[u8] = b"outfitter-agent machine mark\0";

/// `history.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    history: History,
    /// Not welcomed yet.
    begun_anew: bool,
}

/// The history of a state folder, and the marks of its machine.
pub struct Histories {
    files: Arc<dyn Files>,
    path: PathBuf,
    marks: BTreeMap<String, String>,
    draw: Box<dyn FnMut() -> HistoryId + Send>,
    kept: Option<Kept>,
}

impl Histories {
    /// The history in the file at `path`, which need not be there; one that cannot be read gives way to a new one. `draw` makes
    /// ids by chance.
    pub fn open_on(
        files: Arc<dyn Files>,
        path: PathBuf,
        marks: BTreeMap<String, String>,
        draw: impl FnMut() -> HistoryId + Send + 'static,
    ) -> Self {
        let kept = files.read_json(&path).unwrap_or_else(|error| {
            tracing::error!("{}; a new history begins", chain(&error));
            None
        });
        Self {
            files,
            path,
            marks,
            draw: Box::new(draw),
            kept,
        }
    }

    fn begin(&mut self, begun_anew: bool) -> Kept {
        Kept {
            history: History {
                id: (self.draw)(),
                count: 0,
            },
            begun_anew,
        }
    }

    fn keep(&mut self, kept: Kept) -> Result<(), FileError> {
        self.files.write_json(&self.path, &kept)?;
        self.kept = Some(kept);
        Ok(())
    }
}

impl OwnIdentity for Histories {
    fn next(&mut self) -> Option<MachineIdentity> {
        let mut kept = match self.kept {
            Some(kept) => kept,
            None => self.begin(false),
        };
        kept.history.count += 1;
        if let Err(error) = self.keep(kept) {
            tracing::warn!(
                "the server is not told who this machine is: {}",
                chain(&error)
            );
            return None;
        }
        Some(MachineIdentity {
            marks: self.marks.clone(),
            history: kept.history,
            begun_anew: kept.begun_anew,
        })
    }

    fn begin_anew(&mut self) {
        let kept = self.begin(true);
        if let Err(error) = self.keep(kept) {
            // The next refusal says it again.
            tracing::warn!("no new history can be begun: {}", chain(&error));
        }
    }

    fn welcomed(&mut self) {
        if let Some(kept) = self.kept.filter(|kept| kept.begun_anew) {
            let kept = Kept {
                begun_anew: false,
                ..kept
            };
            if let Err(error) = self.keep(kept) {
                tracing::warn!("{}", chain(&error));
            }
        }
    }
}

/// The marks of this machine, or of the folder that plays one.
pub fn marks(sandbox_root: Option<&Path>) -> BTreeMap<String, String> {
    let read = match sandbox_root {
        Some(root) => vec![("folder", Some(root.display().to_string()))],
        None => vec![
            ("machine_id", platform::machine_identity()),
            // For root alone: an agent of another user has one mark less, and no other one.
            ("product", platform::product_uuid()),
        ],
    };
    read.into_iter()
        .filter_map(|(name, id)| Some((name.to_owned(), mark(&id?))))
        .collect()
}

fn mark(id: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(APPLICATION);
    digest.update(id);
    hex::encode(&digest.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::durable::SystemFiles;

    fn open(folder: &Path, first: u128) -> Histories {
        let mut drawn = first;
        Histories::open_on(
            Arc::new(SystemFiles),
            folder.join("history.json"),
            BTreeMap::new(),
            move || {
                drawn += 1;
                HistoryId::new(Uuid::from_u128(drawn))
            },
        )
    }

    fn told(histories: &mut Histories) -> (u128, i64, bool) {
        let told = histories.next().expect("it can be written");
        let id = told.history.id.uuid().as_u128();
        (id, told.history.count, told.begun_anew)
    }

    #[test]
    fn a_count_is_never_told_twice_and_a_new_history_counts_from_its_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut histories = open(folder.path(), 0);
        assert_eq!(told(&mut histories), (1, 1, false));
        assert_eq!(told(&mut histories), (1, 2, false));
        let mut histories = open(folder.path(), 100);
        assert_eq!(told(&mut histories), (1, 3, false));
        histories.begin_anew();
        assert_eq!(told(&mut histories), (101, 1, true));
        // Until it was welcomed.
        let mut histories = open(folder.path(), 200);
        assert_eq!(told(&mut histories), (101, 2, true));
        histories.welcomed();
        assert_eq!(told(&mut histories), (101, 3, false));
        std::fs::write(folder.path().join("history.json"), "{").expect("cut");
        assert_eq!(told(&mut open(folder.path(), 300)), (301, 1, false));
    }

    #[test]
    fn nothing_is_told_that_is_not_on_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut histories = open(&folder.path().join("nowhere"), 0);
        assert_eq!(histories.next(), None);
    }

    #[test]
    fn marks_do_not_show_what_they_are_made_of() {
        let root = Path::new("/srv/played");
        let own = marks(Some(root));
        assert_eq!(own.keys().collect::<Vec<_>>(), ["folder"]);
        assert_ne!(own, marks(Some(Path::new("/srv/other"))));
        assert!(!own["folder"].contains("played") && own["folder"].len() == 32);
    }
}
