use std::io::Cursor;

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::manifest::{VerifyError, remove_manifest, verify_manifest};

const KIB: u64 = 1024;
const LIMITS: Limits = Limits {
    max_total_bytes: 64 * KIB * KIB,
    max_entries: 100,
    max_compression_ratio: 100,
};

/// A folder with an archive and, beside it, the target.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("apps/demo")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.target().join(path)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn archive(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("package");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn extract(&self, bytes: &[u8], previous: Option<&Manifest>) -> Result<Manifest, ExtractError> {
        extract(&self.archive(bytes), &self.target(), &LIMITS, previous)
    }

    fn refusal(&self, bytes: &[u8], previous: Option<&Manifest>) -> Refusal {
        match self.extract(bytes, previous) {
            Err(ExtractError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// Extraction was refused and left no trace.
    fn refuses(bytes: &[u8]) -> Refusal {
        let place = Self::new();
        let refusal = place.refusal(bytes, None);
        let left: Vec<_> = fs::read_dir(place.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["package"], "{refusal}");
        refusal
    }
}

fn zip_with(write: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    write(&mut writer);
    writer.finish().unwrap().into_inner()
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    zip_with(|writer| {
        for (name, content) in files {
            writer
                .start_file(*name, SimpleFileOptions::default().unix_permissions(0o644))
                .unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
    })
}

/// A zip with a name that the writer would not write.
fn zip_named(name: &[u8]) -> Vec<u8> {
    let placeholder = "#".repeat(name.len());
    replace(zip(&[(&placeholder, "x")]), placeholder.as_bytes(), name)
}

fn replace(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut count = 0;
    for start in 0..=bytes.len() - from.len() {
        if bytes[start..].starts_with(from) {
            bytes[start..start + to.len()].copy_from_slice(to);
            count += 1;
        }
    }
    assert_ne!(count, 0);
    bytes
}

fn tar_entry(kind: tar::EntryType, name: &[u8], link: &[u8], mode: u32, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let raw = header.as_old_mut();
    raw.name[..name.len()].copy_from_slice(name);
    raw.linkname[..link.len()].copy_from_slice(link);
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn tar_file(name: &str, content: &str) -> Vec<u8> {
    tar_entry(
        tar::EntryType::Regular,
        name.as_bytes(),
        b"",
        0o644,
        content.as_bytes(),
    )
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer =
        lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn paths(manifest: &Manifest) -> Vec<&str> {
    manifest
        .entries
        .iter()
        .map(|entry| entry.path.as_str())
        .collect()
}

#[test]
fn every_supported_archive_unpacks_alike() {
    let tar = tar(&[
        tar_entry(tar::EntryType::Directory, b"./", b"", 0o755, b""),
        tar_entry(tar::EntryType::Directory, b"./empty/", b"", 0o700, b""),
        tar_entry(
            tar::EntryType::Regular,
            b"./bin/run",
            b"",
            0o4751,
            b"#!/bin/sh\n",
        ),
        tar_file("./read me", "text"),
    ]);
    let zip = zip_with(|writer| {
        let mode = |mode| SimpleFileOptions::default().unix_permissions(mode);
        writer.add_directory("empty", mode(0o700)).unwrap();
        writer.start_file("read me", mode(0o600)).unwrap();
        writer.write_all(b"text").unwrap();
        writer.start_file("bin/run", mode(0o751)).unwrap();
        writer.write_all(b"#!/bin/sh\n").unwrap();
    });
    let mut manifests = Vec::new();
    for archive in [
        zip,
        gzip(&tar),
        xz(&tar),
        zstd::encode_all(&tar[..], 1).unwrap(),
        bzip2(&tar),
        tar,
    ] {
        let place = Place::new();
        let manifest = place.extract(&archive, None).unwrap();
        assert_eq!(place.text("read me"), "text");
        assert!(place.path("empty").is_dir());
        assert!(!place.path(STAGING_FOLDER).exists());
        verify_manifest(&place.target(), &manifest).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            for (path, mode) in [
                ("bin/run", 0o755),
                ("read me", 0o644),
                ("bin", 0o755),
                ("empty", 0o755),
                ("", 0o755),
            ] {
                let found = fs::metadata(place.path(path)).unwrap().permissions().mode();
                assert_eq!(found & 0o7777, mode, "{path}");
            }
        }
        manifests.push(manifest);
    }
    let first = &manifests[0];
    assert_eq!(paths(first), ["bin/run", "read me"]);
    assert_eq!(first.folders, ["bin", "empty"]);
    assert!(first.entries[0].executable && !first.entries[1].executable);
    assert_eq!(first.entries[1].size_bytes, 4);
    assert!(manifests.iter().all(|manifest| manifest == first));
}

#[test]
fn installing_and_removing_leaves_nothing() {
    let place = Place::new();
    let manifest = place
        .extract(&zip(&[("a/b/c", "1"), ("d", "2")]), None)
        .unwrap();
    remove_manifest(&place.target(), &manifest).unwrap();
    assert_eq!(fs::read_dir(place.target()).unwrap().count(), 0);
    assert!(matches!(
        verify_manifest(&place.target(), &manifest),
        Err(VerifyError::Missing { .. })
    ));
}

#[test]
fn long_tar_names_are_kept() {
    let name = format!("{}/file", "folder-name".repeat(20));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    builder.append_data(&mut header, &name, &b"x"[..]).unwrap();
    let place = Place::new();
    let manifest = place.extract(&builder.into_inner().unwrap(), None).unwrap();
    assert_eq!(paths(&manifest), [name]);
}

#[test]
fn names_that_leave_the_target_are_refused() {
    for name in ["../evil", "a/../../evil", "..", "a/.."] {
        for archive in [
            zip_named(name.as_bytes()),
            tar(&[tar_file("ok", ""), tar_file(name, "x")]),
        ] {
            assert!(
                matches!(Place::refuses(&archive), Refusal::ParentPath { .. }),
                "{name}"
            );
        }
    }
    for name in ["/etc/evil", "C:/evil"] {
        for archive in [zip_named(name.as_bytes()), tar(&[tar_file(name, "x")])] {
            assert!(
                matches!(Place::refuses(&archive), Refusal::AbsolutePath { .. }),
                "{name}"
            );
        }
    }
    assert!(matches!(
        Place::refuses(&zip_named(b"..\\evil")),
        Refusal::ParentPath { .. }
    ));
    assert!(matches!(
        Place::refuses(&zip_named(b"C:\\evil")),
        Refusal::AbsolutePath { .. }
    ));
    assert!(matches!(
        Place::refuses(&zip_named(b"\\\\host\\evil")),
        Refusal::AbsolutePath { .. }
    ));
    assert!(matches!(
        Place::refuses(&zip_named(b".outfitter-staging/0")),
        Refusal::ForbiddenName { .. }
    ));
}

#[test]
fn backslashes_in_zip_names_separate_folders() {
    let place = Place::new();
    let manifest = place.extract(&zip_named(b"dir\\file"), None).unwrap();
    assert_eq!(paths(&manifest), ["dir/file"]);
}

#[test]
fn names_that_are_not_text_are_refused_or_decoded() {
    let entry = tar_entry(tar::EntryType::Regular, b"a\xff", b"", 0o644, b"x");
    assert!(matches!(
        Place::refuses(&tar(&[entry])),
        Refusal::NameNotText { .. }
    ));
    // Zip names that are not UTF-8 are in code page 437, where 0x81 is u with diaeresis.
    let place = Place::new();
    let manifest = place.extract(&zip_named(b"gr\x81n"), None).unwrap();
    assert_eq!(paths(&manifest), ["grün"]);
}

#[test]
fn links_and_special_files_are_refused() {
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
        let archive = tar(&[
            tar_file("ok", "x"),
            tar_entry(kind, b"link", b"/etc", 0o777, b""),
            tar_file("link/passwd", "x"),
        ]);
        assert_eq!(
            Place::refuses(&archive),
            Refusal::Link {
                name: "link".into()
            }
        );
    }
    for kind in [
        tar::EntryType::Fifo,
        tar::EntryType::Char,
        tar::EntryType::Block,
        tar::EntryType::new(b'Z'),
    ] {
        let archive = tar(&[
            tar_file("ok", "x"),
            tar_entry(kind, b"odd", b"", 0o666, b""),
        ]);
        assert_eq!(
            Place::refuses(&archive),
            Refusal::SpecialFile { name: "odd".into() }
        );
    }
    let archive = zip_with(|writer| {
        writer
            .add_symlink("link", "/etc", SimpleFileOptions::default())
            .unwrap();
    });
    assert_eq!(
        Place::refuses(&archive),
        Refusal::Link {
            name: "link".into()
        }
    );
}

#[test]
fn duplicate_names_are_refused() {
    let archive = replace(zip(&[("dup-1", "x"), ("dup-2", "y")]), b"dup-2", b"dup-1");
    assert_eq!(
        Place::refuses(&archive),
        Refusal::DuplicateName {
            name: "dup-1".into()
        }
    );
    let archive = tar(&[tar_file("a", "x"), tar_file("./a", "y")]);
    assert_eq!(
        Place::refuses(&archive),
        Refusal::DuplicateName { name: "a".into() }
    );
    let archive = tar(&[tar_file("a", "x"), tar_file("a/b", "y")]);
    assert_eq!(
        Place::refuses(&archive),
        Refusal::FileAndFolder { name: "a".into() }
    );
}

#[test]
fn names_that_differ_by_case_are_noted_and_refused_by_windows_rules() {
    let place = Place::new();
    let archive = place.archive(&zip(&[("Readme", "1"), ("README", "2")]));
    let staged = stage_with_rules(&archive, &place.target(), &LIMITS, NameRules::Unix).unwrap();
    assert_eq!(
        staged.case_collisions(),
        [("Readme".to_owned(), "README".to_owned())]
    );
    drop(staged);
    let refused = stage_with_rules(&archive, &place.target(), &LIMITS, NameRules::Windows);
    assert!(matches!(
        refused,
        Err(ExtractError::Refused(Refusal::DuplicateName { .. }))
    ));
}

#[test]
fn encrypted_archives_are_refused() {
    let mut archive = zip(&[("secret", "x")]);
    archive[6] |= 1;
    let central = archive
        .windows(4)
        .position(|window| window == b"PK\x01\x02")
        .unwrap();
    archive[central + 8] |= 1;
    assert_eq!(
        Place::refuses(&archive),
        Refusal::Encrypted {
            name: "secret".into()
        }
    );
}

#[test]
fn archives_without_a_file_are_refused() {
    let folder_only = zip_with(|writer| {
        writer
            .add_directory("a", SimpleFileOptions::default())
            .unwrap();
    });
    assert_eq!(Place::refuses(&folder_only), Refusal::Empty);
    assert_eq!(Place::refuses(&zip(&[])), Refusal::Empty);
}

#[test]
fn other_packages_are_refused_by_kind() {
    assert_eq!(
        Place::refuses(b"7z\xbc\xaf\x27\x1crest"),
        Refusal::NotAnArchive {
            kind: PackageKind::SevenZip
        }
    );
    assert_eq!(
        Place::refuses(&gzip(b"not a tar")),
        Refusal::NotAnArchive {
            kind: PackageKind::Unknown
        }
    );
}

#[test]
fn bombs_are_refused_while_they_unpack() {
    let blank = "\0".repeat(8 << 20);
    let ratio = Refusal::RatioTooHigh {
        max_compression_ratio: 100,
    };
    assert_eq!(Place::refuses(&zip(&[("bomb", &blank)])), ratio);
    let blank_tar = tar(&[tar_file("bomb", &blank)]);
    assert_eq!(Place::refuses(&gzip(&blank_tar)), ratio);
    assert_eq!(Place::refuses(&xz(&blank_tar)), ratio);

    let place = Place::new();
    let small = Limits {
        max_total_bytes: 9,
        ..LIMITS
    };
    let archive = place.archive(&zip(&[("a", "12345"), ("b", "12345")]));
    assert!(matches!(
        extract(&archive, &place.target(), &small, None),
        Err(ExtractError::Refused(Refusal::TooLarge {
            max_total_bytes: 9
        }))
    ));
    let exact = Limits {
        max_total_bytes: 10,
        ..LIMITS
    };
    extract(&archive, &place.target(), &exact, None).unwrap();
}

#[test]
fn too_many_entries_are_refused() {
    let names: Vec<String> = (0..101).map(|number| format!("f{number}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let too_many = Refusal::TooManyEntries { max_entries: 100 };
    assert_eq!(Place::refuses(&zip(&files)), too_many);
    let tar_files: Vec<_> = names.iter().map(|name| tar_file(name, "")).collect();
    assert_eq!(Place::refuses(&tar(&tar_files)), too_many);
    Place::new().extract(&zip(&files[..100]), None).unwrap();
    // One entry that implies a hundred folders.
    assert_eq!(
        Place::refuses(&zip(&[(&"d/".repeat(100), ""), ("f", "")])),
        too_many
    );
    assert_eq!(
        Place::refuses(&zip(&[(&format!("{}f", "d/".repeat(100)), "")])),
        too_many
    );
}

#[test]
fn names_of_megabytes_are_not_held_in_memory() {
    let name = vec![b'n'; 2 << 20];
    let archive = tar(&[
        tar_entry(tar::EntryType::Regular, b"first", b"", 0o644, b"x"),
        tar_entry(
            tar::EntryType::GNULongName,
            b"././@LongLink",
            b"",
            0o644,
            &name,
        ),
        tar_file("second", "x"),
    ]);
    assert_eq!(Place::refuses(&archive), Refusal::HeaderTooLarge);
}

#[test]
fn damaged_archives_are_unreadable_and_leave_no_trace() {
    let content: String = (0..1000_u32)
        .map(|number| crate::digest::Sha256Digest::of(&number.to_be_bytes()).to_string())
        .collect();
    let whole = gzip(&tar(&[tar_file("a", &content)]));
    let zip = zip(&[("a", "text text text")]);
    let wrong_checksum = {
        let mut bytes = zip.clone();
        let central = bytes
            .windows(4)
            .position(|window| window == b"PK\x01\x02")
            .unwrap();
        bytes[central + 16] ^= 1;
        bytes[14] ^= 1;
        bytes
    };
    for archive in [
        &whole[..whole.len() / 2],
        &zip[..zip.len() - 30],
        &wrong_checksum,
    ] {
        let place = Place::new();
        let error = place.extract(archive, None).unwrap_err();
        assert!(matches!(error, ExtractError::Unreadable(_)), "{error:?}");
        assert!(!place.target().exists());
    }
}

#[test]
fn foreign_files_are_never_overwritten() {
    let place = Place::new();
    fs::create_dir_all(place.path("etc")).unwrap();
    fs::write(place.path("etc/config"), "by the user").unwrap();
    let archive = zip(&[("app", "1"), ("etc/config", "ours")]);
    let foreign = Refusal::ForeignFile {
        path: "etc/config".into(),
    };
    assert_eq!(place.refusal(&archive, None), foreign);
    assert_eq!(place.refusal(&archive, Some(&Manifest::default())), foreign);
    assert_eq!(place.text("etc/config"), "by the user");
    assert!(!place.path("app").exists() && !place.path(STAGING_FOLDER).exists());
}

#[test]
fn an_update_replaces_what_the_earlier_manifest_lists() {
    let place = Place::new();
    fs::create_dir_all(place.path("shared")).unwrap();
    let old = place
        .extract(
            &zip(&[("app", "1"), ("shared/a", "1"), ("old/b", "1")]),
            None,
        )
        .unwrap();
    // A folder that was there before is not ours to remove.
    assert_eq!(old.folders, ["old"]);
    fs::write(place.path("shared/users"), "kept").unwrap();

    let update = zip(&[
        ("app", "2"),
        ("shared/a", "2"),
        ("new/c", "2"),
        ("old/d", "2"),
    ]);
    let new = place.extract(&update, Some(&old)).unwrap();
    assert_eq!(new.folders, ["new", "old"]);
    verify_manifest(&place.target(), &new).unwrap();
    assert_eq!(place.text("old/b"), "1");

    remove_manifest(&place.target(), &old.without(&new)).unwrap();
    assert!(!place.path("old/b").exists());
    remove_manifest(&place.target(), &new).unwrap();
    assert_eq!(place.text("shared/users"), "kept");
    assert!(!place.path("old").exists() && !place.path("new").exists());
}

#[test]
fn a_crash_while_placing_is_repaired_by_repeating() {
    let place = Place::new();
    let old = place.extract(&zip(&[("app", "1")]), None).unwrap();
    let archive = place.archive(&zip(&[("app", "2"), ("lib/new", "2")]));
    let staged = stage(&archive, &place.target(), &LIMITS).unwrap();
    let intent = staged.manifest().clone();
    assert_eq!(place.text("app"), "1");
    // Half of the files are in place when the process dies.
    fs::create_dir(place.path("lib")).unwrap();
    fs::rename(staged.staging.folder.join("1"), place.path("lib/new")).unwrap();
    std::mem::forget(staged);

    let foreign = extract(&archive, &place.target(), &LIMITS, Some(&old)).unwrap_err();
    assert!(matches!(
        foreign,
        ExtractError::Refused(Refusal::ForeignFile { .. })
    ));
    let earlier = old.merged_with(&intent);
    let new = extract(&archive, &place.target(), &LIMITS, Some(&earlier)).unwrap();
    assert_eq!(new, intent);
    verify_manifest(&place.target(), &new).unwrap();
}

#[test]
fn staging_that_is_given_up_changes_nothing() {
    let place = Place::new();
    let archive = place.archive(&zip(&[("a", "1")]));
    drop(stage(&archive, &place.target(), &LIMITS).unwrap());
    assert!(!place.folder.path().join("apps").exists());

    // Left over from a process that was killed while staging.
    std::mem::forget(stage(&archive, &place.target(), &LIMITS).unwrap());
    assert!(place.path(STAGING_FOLDER).join("0").exists());
    extract(&archive, &place.target(), &LIMITS, None).unwrap();
    assert!(!place.path(STAGING_FOLDER).exists());
}

#[cfg(unix)]
#[test]
fn links_in_the_target_are_not_followed() {
    let place = Place::new();
    let outside = place.folder.path().join("outside");
    fs::create_dir_all(place.target()).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "not ours").unwrap();
    std::os::unix::fs::symlink(&outside, place.path("dir")).unwrap();
    let refusal = place.refusal(&zip(&[("dir/file", "x")]), None);
    assert_eq!(refusal, Refusal::InTheWay { path: "dir".into() });

    // A link where an earlier file of ours was is replaced, not followed.
    fs::remove_file(place.path("dir")).unwrap();
    let old = place.extract(&zip(&[("f", "1")]), None).unwrap();
    fs::remove_file(place.path("f")).unwrap();
    std::os::unix::fs::symlink(outside.join("file"), place.path("f")).unwrap();
    place.extract(&zip(&[("f", "2")]), Some(&old)).unwrap();
    assert_eq!(place.text("f"), "2");
    assert_eq!(
        fs::read_to_string(outside.join("file")).unwrap(),
        "not ours"
    );

    // Neither is a link planted as the staging folder.
    std::os::unix::fs::symlink(&outside, place.path(STAGING_FOLDER)).unwrap();
    place.extract(&zip(&[("f", "3")]), Some(&old)).unwrap();
    assert_eq!(
        fs::read_to_string(outside.join("file")).unwrap(),
        "not ours"
    );
}

#[test]
fn a_file_where_a_folder_belongs_is_in_the_way() {
    let place = Place::new();
    let old = place
        .extract(&zip(&[("a", "1"), ("b/c", "1")]), None)
        .unwrap();
    assert_eq!(
        place.refusal(&zip(&[("a/x", "2")]), Some(&old)),
        Refusal::InTheWay { path: "a".into() }
    );
    assert_eq!(
        place.refusal(&zip(&[("b", "2")]), Some(&old)),
        Refusal::InTheWay { path: "b".into() }
    );
    verify_manifest(&place.target(), &old).unwrap();
}

#[test]
fn a_full_disk_has_its_own_error() {
    let failure = |kind: io::ErrorKind| failed("write", Path::new("f"))(kind.into()).into();
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        assert!(matches!(failure(kind), ExtractError::DiskFull { .. }));
    }
    assert!(matches!(
        failure(io::ErrorKind::PermissionDenied),
        ExtractError::Io { .. }
    ));
}
