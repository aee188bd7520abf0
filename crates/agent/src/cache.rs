//! Packages kept for the next time the same revision is put on, repaired or taken off.
//!
//! Guarantees: a file is named by the digest its bytes had when they were verified, and no more bytes are kept than
//! the limit; who takes one verifies it again, since an installer may have written to it. Files are linked, not copied.
//! On crash: a link is there or not. Does not: fetch anything; a cache that fails is a cache without that package.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::Clock;
use crate::durable;

/// The cache; see the module.
#[derive(Debug, Clone)]
pub struct PackageCache {
    folder: PathBuf,
    limit_bytes: u64,
}

struct Kept {
    path: PathBuf,
    size_bytes: u64,
    used: SystemTime,
}

impl PackageCache {
    /// A cache in `folder` of at most so many bytes; 0 keeps nothing. What is over the limit goes at once.
    pub fn open(folder: PathBuf, limit_bytes: u64) -> Self {
        let cache = Self {
            folder,
            limit_bytes,
        };
        cache.trim(limit_bytes);
        cache
    }

    /// Puts the package of this digest at `to`, where nothing may be; tells whether it was there.
    pub fn take(&self, sha256: &str, to: &Path, clock: &dyn Clock) -> bool {
        let Some(path) = self.path(sha256) else {
            return false;
        };
        let linked = match fs::remove_file(to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::hard_link(&path, to),
        };
        match linked {
            Ok(()) => {
                note(touch(&path, clock), "mark as used", &path);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                note(Err(error), "take", &path);
                false
            }
        }
    }

    /// Keeps a package that was just verified, unless it is larger than the whole cache may be; the least
    /// recently used ones make room.
    pub fn keep(&self, sha256: &str, package: &Path, clock: &dyn Clock) {
        let (Some(path), Ok(found)) = (self.path(sha256), package.metadata()) else {
            return;
        };
        if found.len() > self.limit_bytes {
            return;
        }
        let keep = || -> io::Result<()> {
            durable::create_private_folder(&self.folder).map_err(io::Error::other)?;
            match fs::hard_link(package, &path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => touch(&path, clock),
            }
        };
        note(keep(), "keep", &path);
        self.trim(self.limit_bytes);
    }

    /// Removes the package of this digest.
    pub fn forget(&self, sha256: &str) {
        if let Some(path) = self.path(sha256) {
            remove(&path);
        }
    }

    /// Removes the least recently used packages until so many bytes are free that were not.
    pub fn make_room(&self, bytes: u64) {
        let kept: u64 = self.list().iter().map(|kept| kept.size_bytes).sum();
        self.trim(kept.saturating_sub(bytes));
    }

    /// A digest comes from the server: what is none names no file.
    fn path(&self, sha256: &str) -> Option<PathBuf> {
        let good = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
        (good && self.limit_bytes > 0).then(|| self.folder.join(sha256))
    }

    fn list(&self) -> Vec<Kept> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut all: Vec<Kept> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let found = entry.metadata().ok()?;
                Some(Kept {
                    path: entry.path(),
                    size_bytes: found.len(),
                    used: found.modified().ok()?,
                })
            })
            .collect();
        all.sort_by_key(|kept| kept.used);
        all
    }

    fn trim(&self, limit_bytes: u64) {
        let all = self.list();
        let mut total: u64 = all.iter().map(|kept| kept.size_bytes).sum();
        for kept in all {
            if total <= limit_bytes {
                return;
            }
            remove(&kept.path);
            total -= kept.size_bytes;
        }
    }
}

fn touch(path: &Path, clock: &dyn Clock) -> io::Result<()> {
    let millis = u64::try_from(clock.unix_millis()).unwrap_or(0);
    File::options()
        .append(true)
        .open(path)?
        .set_modified(UNIX_EPOCH + Duration::from_millis(millis))
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => note(Err(error), "remove", path),
        _ => {}
    }
}

fn note(done: io::Result<()>, action: &str, path: &Path) {
    if let Err(error) = done {
        tracing::warn!("the cache cannot {action} {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// Each look is a second later.
    struct Ticking(AtomicI64);

    impl Clock for Ticking {
        fn unix_millis(&self) -> i64 {
            self.0.fetch_add(1000, Ordering::Relaxed)
        }

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    fn digest(number: u8) -> String {
        hex::encode([number; 32])
    }

    #[test]
    fn the_least_recently_used_package_goes_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Ticking(AtomicI64::new(1_700_000_000_000));
        let cache = PackageCache::open(folder.path().join("cache"), 10);
        let package = folder.path().join("package");
        let there = |number: u8| {
            let to = folder.path().join("taken");
            cache.take(&digest(number), &to, &clock)
        };
        for number in [1, 2] {
            let _ = fs::remove_file(&package);
            fs::write(&package, [number; 5]).expect("a file");
            cache.keep(&digest(number), &package, &clock);
        }
        assert!(there(1));
        fs::remove_file(&package).expect("removed");
        fs::write(&package, [3; 5]).expect("a file");
        cache.keep(&digest(3), &package, &clock);
        assert!(!there(2) && there(1) && there(3));
        assert_eq!(
            fs::read(folder.path().join("taken")).expect("bytes"),
            [3; 5]
        );

        // One that is larger than all of them together changes nothing.
        fs::remove_file(&package).expect("removed");
        fs::write(&package, [4; 11]).expect("a file");
        cache.keep(&digest(4), &package, &clock);
        assert!(!there(4) && there(1));

        // Room for the disk, then the cache turned off.
        cache.make_room(1);
        assert!(!there(3) && there(1));
        let off = PackageCache::open(folder.path().join("cache"), 0);
        assert!(off.list().is_empty());
        off.keep(&digest(1), &package, &clock);
        assert!(off.list().is_empty());
    }

    #[test]
    fn what_is_no_digest_names_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = PackageCache::open(folder.path().to_owned(), 10);
        assert_eq!(cache.path("../../etc/passwd"), None);
        assert_eq!(cache.path(&"/".repeat(64)), None);
        assert!(cache.path(&digest(7)).is_some());
    }
}
