//! A desktop's disk: it fills up, fails, and forgets on a power cut what nobody synced.
//!
//! Names and bytes are remembered twice: as a running system sees them and as they are on the medium. What was not synced
//! when the power went is there by chance: of the changes of a folder the first so many, of a file's bytes a beginning.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outfitter_agent::durable::{Files, OpenFile};

use crate::world::{Counted, World};

type Number = u64;
type Names = BTreeMap<String, Number>;

#[derive(Debug, Clone)]
enum Node {
    File {
        now: Vec<u8>,
        synced: Vec<u8>,
    },
    Folder {
        now: Names,
        synced: Names,
        changes: Vec<Change>,
    },
}

#[derive(Debug, Clone)]
enum Change {
    Named(String, Number),
    Gone(String),
    Moved(String, String, Number),
}

#[derive(Debug)]
struct State {
    nodes: BTreeMap<Number, Node>,
    next: Number,
    full: bool,
    /// Operations until the process that works on it is cut down.
    fuse: Option<u64>,
}

/// A disk.
pub(crate) struct Disk {
    world: Arc<World>,
    name: String,
    state: Mutex<State>,
}

/// What a process that may be dead sees of a disk: nothing it does after its death has an effect.
#[derive(Clone)]
pub(crate) struct ProcessDisk {
    pub(crate) disk: Arc<Disk>,
    pub(crate) life: Arc<Life>,
}

/// Whether a process lives.
#[derive(Debug, Default)]
pub(crate) struct Life {
    dead: AtomicBool,
    pub(crate) died: tokio::sync::Notify,
}

impl Life {
    pub(crate) fn is_over(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
    }
}

const ROOT: Number = 0;

fn gone() -> Error {
    ErrorKind::NotFound.into()
}

fn split(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}

impl State {
    fn folder(&mut self, number: Number) -> Result<(&mut Names, &mut Names, &mut Vec<Change>)> {
        match self.nodes.get_mut(&number) {
            Some(Node::Folder {
                now,
                synced,
                changes,
            }) => Ok((now, synced, changes)),
            Some(Node::File { .. }) => Err(ErrorKind::NotADirectory.into()),
            None => Err(gone()),
        }
    }

    fn find(&mut self, path: &Path) -> Result<Number> {
        let mut at = ROOT;
        for name in split(path) {
            at = *self.folder(at)?.0.get(&name).ok_or_else(gone)?;
        }
        Ok(at)
    }

    fn place(&mut self, path: &Path) -> Result<(Number, String)> {
        let mut names = split(path);
        let name = names.pop().ok_or_else(gone)?;
        let folder = self.find(&names.iter().collect::<PathBuf>())?;
        Ok((folder, name))
    }

    fn add(&mut self, folder: Number, name: &str, node: Node) -> Result<Number> {
        let number = self.next;
        self.next += 1;
        let (now, _, changes) = self.folder(folder)?;
        now.insert(name.to_owned(), number);
        changes.push(Change::Named(name.to_owned(), number));
        self.nodes.insert(number, node);
        Ok(number)
    }

    fn unlink(&mut self, folder: Number, name: &str) -> Result<()> {
        let (now, _, changes) = self.folder(folder)?;
        now.remove(name).ok_or_else(gone)?;
        changes.push(Change::Gone(name.to_owned()));
        Ok(())
    }
}

impl Disk {
    pub(crate) fn new(world: Arc<World>, name: String) -> Arc<Self> {
        let root = Node::Folder {
            now: Names::new(),
            synced: Names::new(),
            changes: Vec::new(),
        };
        Arc::new(Self {
            world,
            name,
            state: Mutex::new(State {
                nodes: BTreeMap::from([(ROOT, root)]),
                next: 1,
                full: false,
                fuse: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Lets the process that works on it die after so many operations.
    pub(crate) fn light_fuse(&self, operations: Option<u64>) {
        self.state().fuse = operations;
    }

    /// The power goes: what was not synced is there by chance.
    pub(crate) fn lose_power(&self) {
        let mut state = self.state();
        state.fuse = None;
        let numbers: Vec<Number> = state.nodes.keys().copied().collect();
        for number in numbers {
            match state.nodes.get_mut(&number) {
                Some(Node::File { now, synced }) if now != synced => {
                    let kept = match self.world.up_to(2) {
                        0 => synced.clone(),
                        1 => now
                            [..usize::try_from(self.world.up_to(now.len() as u64)).unwrap_or(0)]
                            .to_vec(),
                        _ => now.clone(),
                    };
                    now.clone_from(&kept);
                    *synced = kept;
                }
                Some(Node::File { .. }) => {}
                Some(Node::Folder {
                    now,
                    synced,
                    changes,
                }) => {
                    if !changes.is_empty() {
                        let kept = self.world.up_to(changes.len() as u64);
                        for change in changes.drain(..).take(usize::try_from(kept).unwrap_or(0)) {
                            match change {
                                Change::Named(name, number) => {
                                    synced.insert(name, number);
                                }
                                Change::Gone(name) => {
                                    synced.remove(&name);
                                }
                                Change::Moved(from, to, number) => {
                                    synced.remove(&from);
                                    synced.insert(to, number);
                                }
                            }
                        }
                    }
                    now.clone_from(synced);
                }
                None => {}
            }
        }
    }

    /// A folder is not there any more, synced or not: what a repair of a file system may do.
    pub(crate) fn lose_folder(&self, path: &Path) {
        let mut state = self.state();
        if let Ok((folder, name)) = state.place(path)
            && let Ok((now, synced, changes)) = state.folder(folder)
        {
            now.remove(&name);
            synced.remove(&name);
            changes.clear();
        }
    }

    /// What is in a folder now.
    pub(crate) fn names(&self, folder: &Path) -> Vec<String> {
        let mut state = self.state();
        state
            .find(folder)
            .and_then(|number| Ok(state.folder(number)?.0.keys().cloned().collect()))
            .unwrap_or_default()
    }

    /// The bytes of a file as they would be found after a power cut now, whatever chance decides; `None` when that is
    /// not certain.
    pub(crate) fn certain(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let mut at = ROOT;
        for name in split(path) {
            let Some(Node::Folder {
                now,
                synced,
                changes,
            }) = state.nodes.get(&at)
            else {
                return None;
            };
            let number = synced
                .get(&name)
                .filter(|_| now.get(&name) == synced.get(&name))?;
            let touched = changes.iter().any(|change| match change {
                Change::Named(other, _) | Change::Gone(other) => *other == name,
                Change::Moved(from, to, _) => *from == name || *to == name,
            });
            if touched {
                return None;
            }
            at = *number;
        }
        match state.nodes.get(&at) {
            Some(Node::File { now, synced }) if now == synced => Some(now.clone()),
            _ => None,
        }
    }
}

impl ProcessDisk {
    /// Counts an operation; a dead process and a disk that fails do nothing.
    fn begin(&self, writes: bool) -> Result<MutexGuard<'_, State>> {
        if self.life.is_over() {
            return Err(Error::other("the process is dead"));
        }
        let mut state = self.disk.state();
        if let Some(fuse) = &mut state.fuse {
            if *fuse == 0 {
                state.fuse = None;
                drop(state);
                self.disk.world.note(format_args!(
                    "{} dies between two operations of its disk",
                    self.disk.name
                ));
                self.life.end();
                return Err(Error::other("the process is dead"));
            }
            *fuse -= 1;
        }
        if writes && self.disk.world.mishap(2) {
            drop(state);
            Counted::one(&self.disk.world.counted.disk_faults);
            self.disk
                .world
                .note(format_args!("{}: the disk fails once", self.disk.name));
            return Err(Error::other("input/output error"));
        }
        Ok(state)
    }
}

struct Opened<'a> {
    disk: &'a ProcessDisk,
    number: Number,
}

impl OpenFile for Opened<'_> {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        let mut state = self.disk.begin(true)?;
        let full = state.full;
        let Some(Node::File { now, .. }) = state.nodes.get_mut(&self.number) else {
            return Err(gone());
        };
        if full {
            now.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(ErrorKind::StorageFull.into());
        }
        now.extend_from_slice(bytes);
        Ok(())
    }

    fn sync_all(&mut self) -> Result<()> {
        let mut state = self.disk.begin(true)?;
        if let Some(Node::File { now, synced }) = state.nodes.get_mut(&self.number) {
            synced.clone_from(now);
        }
        Ok(())
    }
}

impl Files for ProcessDisk {
    fn create(&self, path: &Path) -> Result<Box<dyn OpenFile + '_>> {
        let mut state = self.begin(true)?;
        let (folder, name) = state.place(path)?;
        let there = state.folder(folder)?.0.get(&name).copied();
        let number = match there {
            Some(number) => match state.nodes.get_mut(&number) {
                Some(Node::File { now, .. }) => {
                    now.clear();
                    number
                }
                _ => return Err(ErrorKind::IsADirectory.into()),
            },
            None if state.full && self.disk.world.chance(300) => {
                return Err(ErrorKind::StorageFull.into());
            }
            None => state.add(
                folder,
                &name,
                Node::File {
                    now: Vec::new(),
                    synced: Vec::new(),
                },
            )?,
        };
        Ok(Box::new(Opened { disk: self, number }))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut state = self.begin(false)?;
        let number = state.find(path)?;
        match state.nodes.get(&number) {
            Some(Node::File { now, .. }) => Ok(now.clone()),
            Some(Node::Folder { .. }) => Err(ErrorKind::IsADirectory.into()),
            None => Err(gone()),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.begin(false)
            .is_ok_and(|mut state| state.find(path).is_ok())
    }

    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut state = self.begin(false)?;
        let number = state.find(folder)?;
        Ok(state
            .folder(number)?
            .0
            .keys()
            .map(|name| folder.join(name))
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.begin(true)?;
        let (folder, old) = state.place(from)?;
        let (into, new) = state.place(to)?;
        if folder != into {
            return Err(ErrorKind::CrossesDevices.into());
        }
        let (now, _, changes) = state.folder(folder)?;
        let number = now.remove(&old).ok_or_else(gone)?;
        now.insert(new.clone(), number);
        changes.push(Change::Moved(old, new, number));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let mut state = self.begin(true)?;
        let (folder, name) = state.place(path)?;
        state.unlink(folder, &name)
    }

    fn remove_folder(&self, path: &Path) -> Result<()> {
        let names: Vec<String> = {
            let mut state = self.begin(true)?;
            let number = state.find(path)?;
            state.folder(number)?.0.keys().cloned().collect()
        };
        for name in names {
            let below = path.join(name);
            match self.remove_folder(&below) {
                Err(error) if error.kind() == ErrorKind::NotADirectory => {
                    self.remove_file(&below)?
                }
                other => other?,
            }
        }
        let mut state = self.begin(true)?;
        let (folder, name) = state.place(path)?;
        state.unlink(folder, &name)
    }

    fn create_folder(&self, path: &Path) -> Result<()> {
        let mut state = self.begin(true)?;
        let mut at = ROOT;
        for name in split(path) {
            let there = state.folder(at)?.0.get(&name).copied();
            at = match there {
                Some(number) => number,
                None => state.add(
                    at,
                    &name,
                    Node::Folder {
                        now: Names::new(),
                        synced: Names::new(),
                        changes: Vec::new(),
                    },
                )?,
            };
        }
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> Result<()> {
        let mut state = self.begin(true)?;
        let number = state.find(path)?;
        let (now, synced, changes) = state.folder(number)?;
        synced.clone_from(now);
        changes.clear();
        Ok(())
    }
}
