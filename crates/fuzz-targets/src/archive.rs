//! A package file that a stranger made: what it is, what it proposes, and what unpacking it leaves behind.
//!
//! Input: the file.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use outfitter_packages::{Limits, extract, inspect_reader, propose, verify_manifest};

const LIMITS: Limits = Limits {
    max_total_bytes: 256 * 1024,
    max_entries: 64,
    max_compression_ratio: 50,
};

/// Longest input: larger ones find nothing that small ones do not.
const MAX_BYTES: usize = 64 * 1024;

pub(crate) fn run(data: &[u8]) {
    if data.len() > MAX_BYTES {
        return;
    }
    let facts = inspect_reader(Cursor::new(data));
    let scene = tempfile::tempdir().expect("a temporary folder");
    let archive = scene.path().join("package");
    fs::write(&archive, data).expect("write the package");
    if let Ok(facts) = facts {
        drop(propose(&mut Cursor::new(data), "setup.bin", &facts));
    }
    let target = scene.path().join("deep/target");
    fs::create_dir_all(&target).expect("make the target");
    let outcome = extract(&archive, &target, &LIMITS, None);
    // Whatever came of it, nothing lies beside the target.
    let beside = names(scene.path());
    assert_eq!(beside, ["deep", "package"], "beside the target");
    assert_eq!(names(&scene.path().join("deep")), ["target"]);
    match outcome {
        Ok(manifest) => {
            verify_manifest(&target, &manifest).expect("what was placed is what the manifest says");
            let (files, bytes) = below(&target);
            assert!(files <= LIMITS.max_entries && bytes <= LIMITS.max_total_bytes);
        }
        Err(_) => assert_eq!(below(&target).0, 0, "a refused archive leaves no file"),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("list a folder")
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    names
}

/// Files below a folder and their bytes. A link or a device is a broken property.
fn below(folder: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).expect("list a folder") {
        let entry = entry.expect("an entry");
        let metadata = entry.path().symlink_metadata().expect("look at an entry");
        if metadata.is_dir() {
            let (more, larger) = below(&entry.path());
            files += more;
            bytes += larger;
        } else {
            assert!(metadata.is_file(), "{:?} is no file", entry.path());
            files += 1;
            bytes += metadata.len();
        }
    }
    (files, bytes)
}
