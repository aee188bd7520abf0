//! Both kinds of store, from outside: what a folder does, an S3-compatible store that nobody here wrote does too.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]
#![expect(
    clippy::print_stdout,
    reason = "the memory that a large package cost is what it is for"
)]

use std::convert::Infallible;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use outfitter_artifacts::{
    Downloads, KeyPair, ObjectCredentials, PackageCondition, PackageStore, PackageStoreError,
    PutError, Scrutiny, Sha256Digest, Swept,
};
use outfitter_ids::SystemIds;
use outfitter_test_support::s3::TestS3;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

const NO_LIMIT: u64 = u64::MAX;

/// More than two parts of the object store's uploads, and no whole number of them.
const SEVERAL_PARTS: usize = 17 * 1024 * 1024 + 13;

/// A store, and what lies behind it.
struct Place {
    store: PackageStore,
    behind: Behind,
}

enum Behind {
    Folder(TempDir),
    S3(TestS3),
}

impl Place {
    async fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let behind = Behind::Folder(folder);
        Self {
            store: open(&behind).await,
            behind,
        }
    }

    async fn object() -> Self {
        let behind = Behind::S3(TestS3::start().await);
        Self {
            store: open(&behind).await,
            behind,
        }
    }

    /// Every file behind the store, by path; what the S3 server writes for itself left out.
    fn files(&self) -> Vec<PathBuf> {
        let root = match &self.behind {
            Behind::Folder(folder) => folder.path(),
            Behind::S3(server) => server.root(),
        };
        let mut found = files(root);
        found.retain(|path| !is_bookkeeping(root, path));
        found
    }

    /// The files that hold the bytes of packages and parts.
    fn contents(&self) -> Vec<PathBuf> {
        let mut found = self.files();
        if matches!(self.behind, Behind::S3(_)) {
            found.retain(|path| path.to_string_lossy().contains("/objects/"));
        }
        found
    }

    /// Waits until no file is left: cleaning up after a dropped future happens beside.
    async fn wait_until_empty(&self) {
        for _ in 0..2000 {
            if self.files().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("left over: {:?}", self.files());
    }
}

async fn open(behind: &Behind) -> PackageStore {
    match behind {
        Behind::Folder(folder) => PackageStore::open_local(folder.path().join("packages"))
            .await
            .unwrap(),
        Behind::S3(server) => {
            PackageStore::open_object(server.options(), Arc::new(SystemIds)).unwrap()
        }
    }
}

/// Runs each test on both kinds of store.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod folder {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Place::folder().await).await;
            })*
        }
        mod object {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Place::object().await).await;
            })*
        }
    };
}

on_both! {
    bytes_come_back_under_their_digest
    ranges_are_cut_to_the_package
    absent_packages_are_told
    removed_packages_are_gone
    the_limit_is_inclusive_and_leaves_nothing
    an_endless_stream_is_cut_off_at_the_limit
    a_stream_that_breaks_off_leaves_nothing
    a_put_given_up_midway_leaves_nothing
    what_is_not_finished_is_not_visible
    many_puts_of_the_same_bytes_are_one_package
    a_damaged_package_is_told_and_healed_by_storing_it_again
    a_changed_byte_is_found_by_reading_all
    staged_bytes_become_a_package_a_part_or_nothing
    staged_bytes_can_be_looked_into
    large_packages_come_in_parts
    memory_does_not_grow_with_the_size_of_a_package
}

fn chunks(content: &[u8], size: usize) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let chunks: Vec<_> = content
        .chunks(size)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    stream::iter(chunks)
}

/// Bytes that differ everywhere, so that a wrong offset shows.
fn content(size: usize) -> Vec<u8> {
    (0..size)
        .map(|position| (position * 31 + position / 251) as u8)
        .collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Files of the S3 server beside the bucket: tags of objects that are there or were. Its unfinished uploads are none.
fn is_bookkeeping(root: &Path, path: &Path) -> bool {
    path.parent() == Some(root)
        && path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with(".bucket-") && name.ends_with(".json")
        })
}

async fn read(
    store: &PackageStore,
    sha256: &Sha256Digest,
    range: std::ops::Range<u64>,
) -> Result<Vec<u8>, PackageStoreError> {
    let mut reader = store.open_range(sha256, range).await?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes.len() as u64, reader.length_bytes());
    Ok(bytes)
}

async fn bytes_come_back_under_their_digest(place: Place) {
    let store = &place.store;
    for size in [0, 1, 1000, 300_000] {
        let content = content(size);
        let stored = store.put(chunks(&content, 70_001), NO_LIMIT).await.unwrap();
        assert_eq!(stored.sha256, Sha256Digest::of(&content));
        assert_eq!(stored.size_bytes, size as u64);
        assert_eq!(store.size(&stored.sha256).await.unwrap(), Some(size as u64));
        assert_eq!(
            read(store, &stored.sha256, 0..u64::MAX).await.unwrap(),
            content
        );
    }
    assert_eq!(place.contents().len(), 4);
}

async fn ranges_are_cut_to_the_package(place: Place) {
    let store = &place.store;
    let content = content(200_000);
    let sha256 = store
        .put(chunks(&content, 4096), NO_LIMIT)
        .await
        .unwrap()
        .sha256;
    for range in [
        0..1,
        0..200_000,
        65_535..65_537,
        199_999..200_000,
        150_000..u64::MAX,
    ] {
        let end = range.end.min(200_000) as usize;
        let bytes = read(store, &sha256, range.clone()).await.unwrap();
        assert_eq!(bytes, content[range.start as usize..end], "{range:?}");
    }
    let reader = store.open_range(&sha256, 5..10).await.unwrap();
    assert_eq!((reader.length_bytes(), reader.size_bytes()), (5, 200_000));
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    for range in [200_000..200_001, u64::MAX..u64::MAX, 5..5, 9..5] {
        let error = read(store, &sha256, range).await.unwrap_err();
        assert!(
            matches!(
                error,
                PackageStoreError::RangeOutside {
                    size_bytes: 200_000,
                    ..
                }
            ),
            "{error}"
        );
    }
}

async fn absent_packages_are_told(place: Place) {
    let store = &place.store;
    let sha256 = Sha256Digest::of(b"absent");
    assert_eq!(store.size(&sha256).await.unwrap(), None);
    assert!(!store.exists(&sha256).await.unwrap());
    assert!(!store.remove(&sha256).await.unwrap());
    let error = store.open_range(&sha256, 0..1).await.unwrap_err();
    assert!(matches!(error, PackageStoreError::NotFound { .. }));
    assert!(error.to_string().contains(&sha256.to_string()));
}

async fn removed_packages_are_gone(place: Place) {
    let store = &place.store;
    let stored = store.put(chunks(b"bytes", 2), NO_LIMIT).await.unwrap();
    assert!(store.remove(&stored.sha256).await.unwrap());
    assert!(!store.exists(&stored.sha256).await.unwrap());
    assert_eq!(
        store
            .condition(&stored.sha256, 5, Scrutiny::Digest)
            .await
            .unwrap(),
        PackageCondition::Missing
    );
    assert_eq!(place.files(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_reader_of_a_folder_reads_on_when_its_package_is_removed() {
    let store = Place::folder().await;
    let store = &store.store;
    let sha256 = store
        .put(chunks(b"bytes", 2), NO_LIMIT)
        .await
        .unwrap()
        .sha256;
    let mut reader = store.open_range(&sha256, 0..5).await.unwrap();
    assert!(store.remove(&sha256).await.unwrap());
    let mut text = String::new();
    reader.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "bytes");
}

async fn the_limit_is_inclusive_and_leaves_nothing(place: Place) {
    let store = &place.store;
    let error = store
        .put(chunks(&content(1001), 100), 1000)
        .await
        .unwrap_err();
    assert!(matches!(error, PutError::TooLarge { limit_bytes: 1000 }));
    place.wait_until_empty().await;
    store.put(chunks(&content(1000), 100), 1000).await.unwrap();
}

async fn an_endless_stream_is_cut_off_at_the_limit(place: Place) {
    let store = &place.store;
    let endless = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[7; 8192])));
    let error = store.put(endless, 1 << 20).await.unwrap_err();
    assert!(matches!(error, PutError::TooLarge { .. }));
    place.wait_until_empty().await;
}

async fn a_stream_that_breaks_off_leaves_nothing(place: Place) {
    let store = &place.store;
    let broken = stream::iter([
        Ok(Bytes::from_static(b"first half")),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ]);
    let error = store.put(broken, NO_LIMIT).await.unwrap_err();
    assert!(matches!(error, PutError::Source(_)));
    place.wait_until_empty().await;
}

async fn a_put_given_up_midway_leaves_nothing(place: Place) {
    let store = &place.store;
    let stuck = chunks(b"some bytes", 3).chain(stream::pending());
    let given_up =
        tokio::time::timeout(Duration::from_millis(50), store.put(stuck, NO_LIMIT)).await;
    assert!(given_up.is_err());
    place.wait_until_empty().await;
}

async fn what_is_not_finished_is_not_visible(place: Place) {
    let store = &place.store;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, Infallible>>(1);
    let receiving = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|item| (item, receiver))
    });
    let putting = tokio::spawn({
        let store = store.clone();
        async move { store.put(receiving, NO_LIMIT).await }
    });
    for byte in [&b"a"[..], b"b", b"c"] {
        sender.send(Ok(Bytes::from_static(byte))).await.unwrap();
    }
    let sha256 = Sha256Digest::of(b"abc");
    assert!(!store.exists(&sha256).await.unwrap());
    assert_eq!(store.packages().await.unwrap(), []);
    drop(sender);
    assert_eq!(putting.await.unwrap().unwrap().sha256, sha256);
    assert!(store.exists(&sha256).await.unwrap());
}

async fn many_puts_of_the_same_bytes_are_one_package(place: Place) {
    let store = &place.store;
    let content = content(500_000);
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let store = store.clone();
            let bytes = chunks(&content, 10_000 + number);
            tokio::spawn(async move { store.put(bytes, NO_LIMIT).await })
        })
        .collect();
    for task in tasks {
        let stored = task.await.unwrap().unwrap();
        assert_eq!(stored.sha256, Sha256Digest::of(&content));
        assert_eq!(
            read(store, &stored.sha256, 0..u64::MAX).await.unwrap(),
            content
        );
    }
    let packages = store.packages().await.unwrap();
    assert_eq!(packages.len(), 1);
    assert_eq!(packages[0].size_bytes, 500_000);
}

#[tokio::test]
async fn leftovers_of_a_crash_in_a_folder_are_swept_and_packages_stay() {
    let place = Place::folder().await;
    let Behind::Folder(folder) = &place.behind else {
        panic!("it was opened as a folder");
    };
    let store = place.store.clone();
    let sha256 = store
        .put(chunks(b"whole", 2), NO_LIMIT)
        .await
        .unwrap()
        .sha256;
    let packages = folder.path().join("packages");
    std::fs::write(packages.join(".incoming-0"), "half").unwrap();
    std::fs::write(packages.join(".incoming-17"), "").unwrap();
    let store = PackageStore::open_local(&packages).await.unwrap();
    assert_eq!(files(folder.path()).len(), 1);
    assert_eq!(read(&store, &sha256, 0..5).await.unwrap(), b"whole");
    store.put(chunks(b"another", 2), NO_LIMIT).await.unwrap();
}

async fn a_damaged_package_is_told_and_healed_by_storing_it_again(place: Place) {
    let store = &place.store;
    let content = b"good bytes";
    let stored = store.put(chunks(content, 4), NO_LIMIT).await.unwrap();
    let condition = || store.condition(&stored.sha256, 10, Scrutiny::Size);
    assert_eq!(condition().await.unwrap(), PackageCondition::Intact);
    std::fs::write(&place.contents()[0], "rot").unwrap();
    assert_eq!(condition().await.unwrap(), PackageCondition::Altered);
    std::fs::remove_file(&place.contents()[0]).unwrap();
    assert_eq!(condition().await.unwrap(), PackageCondition::Missing);
    assert!(!store.exists(&stored.sha256).await.unwrap());
    let error = store.open_range(&stored.sha256, 0..1).await.unwrap_err();
    assert!(matches!(error, PackageStoreError::NotFound { .. }));
    store.put(chunks(content, 4), NO_LIMIT).await.unwrap();
    assert_eq!(
        read(store, &stored.sha256, 0..u64::MAX).await.unwrap(),
        content
    );
    assert_eq!(condition().await.unwrap(), PackageCondition::Intact);
    assert_eq!(place.contents().len(), 1);
}

async fn a_changed_byte_is_found_by_reading_all(place: Place) {
    let store = &place.store;
    let stored = store.put(chunks(b"good bytes", 4), NO_LIMIT).await.unwrap();
    let intact = store.condition(&stored.sha256, 10, Scrutiny::Digest).await;
    assert_eq!(intact.unwrap(), PackageCondition::Intact);
    std::fs::write(&place.contents()[0], "good bites").unwrap();
    let altered = store.condition(&stored.sha256, 10, Scrutiny::Digest).await;
    assert_eq!(altered.unwrap(), PackageCondition::Altered);
}

#[tokio::test]
async fn errors_name_what_was_attempted_on_what() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "").unwrap();
    let error = PackageStore::open_local(&path).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot create folder {}", path.display())
    );
}

async fn staged_bytes_become_a_package_a_part_or_nothing(place: Place) {
    let store = &place.store;
    let content = content(100_000);
    let staged = store
        .stage(chunks(&content, 70_001), NO_LIMIT)
        .await
        .unwrap();
    assert_eq!(staged.sha256, Sha256Digest::of(&content));
    assert!(!store.exists(&staged.sha256).await.unwrap());
    drop(staged);
    place.wait_until_empty().await;

    let name = uuid::Uuid::from_u128(7);
    let staged = store
        .stage(chunks(&content, 70_001), NO_LIMIT)
        .await
        .unwrap();
    staged.keep_as_part(name).await.unwrap();
    let reopened = open(&place.behind).await;
    let mut bytes = Vec::new();
    let mut part = reopened.open_part(name).await.unwrap();
    part.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, content);
    let parts = reopened.parts().await.unwrap();
    assert_eq!(
        (parts.len(), parts[0].name, parts[0].size_bytes),
        (1, name, 100_000)
    );
    assert_eq!(reopened.packages().await.unwrap(), []);

    let staged = store
        .stage(chunks(&content, 70_001), NO_LIMIT)
        .await
        .unwrap();
    let stored = staged.place().await.unwrap();
    let packages = store.packages().await.unwrap();
    assert_eq!(packages.len(), 1);
    assert_eq!(
        (packages[0].sha256, packages[0].size_bytes),
        (stored.sha256, 100_000)
    );
    assert!(store.remove_part(name).await.unwrap());
    assert!(!store.remove_part(name).await.unwrap());
}

async fn staged_bytes_can_be_looked_into(place: Place) {
    let content = content(1_000_000);
    let staged = place
        .store
        .stage(chunks(&content, 70_001), NO_LIMIT)
        .await
        .unwrap();
    let mut view = staged.view().unwrap();
    tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; 100];
        view.seek(SeekFrom::Start(600_000)).unwrap();
        view.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, content[600_000..600_100]);
        assert_eq!(view.seek(SeekFrom::End(-10)).unwrap(), 999_990);
        let mut rest = Vec::new();
        view.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, content[999_990..]);
        view.rewind().unwrap();
        let mut all = Vec::new();
        view.read_to_end(&mut all).unwrap();
        assert_eq!(all, content);
    })
    .await
    .unwrap();
}

async fn large_packages_come_in_parts(place: Place) {
    let store = &place.store;
    let content = content(SEVERAL_PARTS);
    let stored = store.put(chunks(&content, 70_001), NO_LIMIT).await.unwrap();
    assert_eq!(stored.sha256, Sha256Digest::of(&content));
    assert_eq!(stored.size_bytes, SEVERAL_PARTS as u64);
    let middle = 8 * 1024 * 1024 - 5..8 * 1024 * 1024 + 5;
    let bytes = read(store, &stored.sha256, middle.clone()).await.unwrap();
    assert_eq!(bytes, content[middle.start as usize..middle.end as usize]);
    let condition = store
        .condition(&stored.sha256, stored.size_bytes, Scrutiny::Digest)
        .await;
    assert_eq!(condition.unwrap(), PackageCondition::Intact);

    // One that breaks off after its first parts leaves nothing, neither here nor in the store's unfinished uploads.
    let broken = chunks(&content, 70_001)
        .map(|chunk| chunk.map_err(io::Error::other))
        .chain(stream::iter([Err(io::Error::other("cut"))]));
    let error = store.put(broken, NO_LIMIT).await.unwrap_err();
    assert!(matches!(error, PutError::Source(_)));
    assert!(store.remove(&stored.sha256).await.unwrap());
    place.wait_until_empty().await;
}

/// Most memory this process had at once, in MiB. Source: proc(5), VmHWM.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib / 1024
}

/// Above what S3 takes in one request and in one copy where the proof runs in its stated size.
async fn memory_does_not_grow_with_the_size_of_a_package(place: Place) {
    let full = std::env::var("OUTFITTER_PROOF_SIZE").is_ok_and(|size| size == "full");
    let size: u64 = if full {
        (5 << 30) + (200 << 20) + 13
    } else {
        (40 << 20) + 13
    };
    const BLOCK: u64 = 64 * 1024;
    // Made while it streams; every block is another.
    let bytes = stream::iter(0..size.div_ceil(BLOCK)).map(move |number| {
        let length = BLOCK.min(size - number * BLOCK) as usize;
        let mut block = vec![number as u8; length];
        let head = number.to_le_bytes();
        let head = &head[..head.len().min(length)];
        block[..head.len()].copy_from_slice(head);
        Ok::<_, Infallible>(Bytes::from(block))
    });
    let before = peak_mib();
    let stored = place.store.put(bytes, NO_LIMIT).await.unwrap();
    assert_eq!(stored.size_bytes, size);
    let condition = place
        .store
        .condition(&stored.sha256, size, Scrutiny::Digest)
        .await;
    assert_eq!(condition.unwrap(), PackageCondition::Intact);
    let block = size / BLOCK / 2;
    let head = read(
        &place.store,
        &stored.sha256,
        block * BLOCK..block * BLOCK + 8,
    );
    assert_eq!(head.await.unwrap(), block.to_le_bytes());
    let grown = peak_mib() - before;
    println!("{size} bytes, {grown} MiB more memory, server and client together");
    // Other tests may run in this process.
    assert!(grown < 256, "{grown} MiB");
    assert!(place.store.remove(&stored.sha256).await.unwrap());
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}

/// A process that dies leaves what it was doing: nothing cleans up after it but a sweep, by any process, later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_in_an_object_store_is_swept_when_it_is_old() {
    let place = Place::object().await;
    let Behind::S3(server) = &place.behind else {
        panic!("it was opened as an object store");
    };
    let content = content(SEVERAL_PARTS);
    // The process is a runtime of its own here: it ends, and its clean-up with it.
    let options = server.options();
    let bytes = content.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = PackageStore::open_object(options, Arc::new(SystemIds)).unwrap();
            let staged = store.stage(chunks(b"staged", 3), NO_LIMIT).await.unwrap();
            std::mem::forget(staged);
            let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
            let told = stream::once(async move {
                drop(sender);
                Ok::<_, Infallible>(Bytes::new())
            });
            let stuck = chunks(&bytes, 1 << 20).chain(told).chain(stream::pending());
            let putting = Box::pin(store.put(stuck, NO_LIMIT));
            tokio::select! {
                _ = putting => panic!("it cannot end"),
                _ = receiver => {}
            }
        });
        runtime.shutdown_background();
    })
    .join()
    .unwrap();
    let kept = place.store.put(chunks(b"kept", 2), NO_LIMIT).await.unwrap();
    let part = place.store.stage(chunks(b"part", 2), NO_LIMIT).await;
    let name = uuid::Uuid::from_u128(9);
    part.unwrap().keep_as_part(name).await.unwrap();
    assert!(place.files().len() > 4, "{:?}", place.files());

    let now = SystemTime::now();
    let store = &place.store;
    let young = store.sweep(now, days(3)).await.unwrap();
    assert_eq!(young, Swept::default());
    let swept = store.sweep(now + days(4), days(3)).await.unwrap();
    assert_eq!((swept.uploads, swept.objects), (1, 1));
    // Two pointers, and the bytes of both.
    assert_eq!(place.files().len(), 4, "{:?}", place.files());
    assert_eq!(read(store, &kept.sha256, 0..4).await.unwrap(), b"kept");
    assert_eq!(store.open_part(name).await.unwrap().size_bytes(), 4);
    let again = store.sweep(now + days(4), days(3)).await.unwrap();
    assert_eq!(again, Swept::default());
}

#[tokio::test]
async fn a_second_process_sees_what_the_first_wrote() {
    let place = Place::object().await;
    let stored = place
        .store
        .put(chunks(b"shared", 2), NO_LIMIT)
        .await
        .unwrap();
    let other = open(&place.behind).await;
    assert_eq!(read(&other, &stored.sha256, 0..6).await.unwrap(), b"shared");
    assert!(other.remove(&stored.sha256).await.unwrap());
    assert!(!place.store.exists(&stored.sha256).await.unwrap());
}

#[tokio::test]
async fn desktops_get_an_address_where_the_store_can_sign_one() {
    let place = Place::object().await;
    let Behind::S3(server) = &place.behind else {
        panic!("it was opened as an object store");
    };
    let sha256 = place
        .store
        .put(chunks(b"bytes for a desktop", 5), NO_LIMIT)
        .await
        .unwrap()
        .sha256;
    let address = place.store.download_address(&sha256).await.unwrap();
    let address = address.unwrap();
    assert_eq!(address.life, Duration::from_secs(60));
    assert!(!format!("{address:?}").contains("X-Amz-Signature"));
    let client = reqwest::Client::new();
    let ranged = client
        .get(&address.url)
        .header("range", "bytes=6-8")
        .send()
        .await
        .unwrap();
    assert_eq!(ranged.status(), 206);
    assert_eq!(ranged.text().await.unwrap(), "for");
    let unsigned = address.url.split('?').next().unwrap();
    let refused = client.get(unsigned).send().await.unwrap();
    assert_eq!(refused.status(), 403);

    let absent = Sha256Digest::of(b"absent");
    let error = place.store.download_address(&absent).await.unwrap_err();
    assert!(matches!(error, PackageStoreError::NotFound { .. }));

    let mut options = server.options();
    options.downloads = Downloads::Presigned {
        endpoint: Some("https://s3.example.com".to_owned()),
        life: Duration::from_secs(60),
    };
    let elsewhere = PackageStore::open_object(options.clone(), Arc::new(SystemIds)).unwrap();
    let address = elsewhere.download_address(&sha256).await.unwrap().unwrap();
    assert!(
        address
            .url
            .starts_with("https://s3.example.com/packages/out/fitter/objects/")
    );
    options.downloads = Downloads::Relayed;
    let relayed = PackageStore::open_object(options, Arc::new(SystemIds)).unwrap();
    assert!(relayed.download_address(&sha256).await.unwrap().is_none());
    let folder = Place::folder().await;
    assert!(
        folder
            .store
            .download_address(&sha256)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_store_that_cannot_be_used_says_so_and_nothing_about_packages() {
    let place = Place::object().await;
    let Behind::S3(server) = &place.behind else {
        panic!("it was opened as an object store");
    };
    let sha256 = Sha256Digest::of(b"bytes");
    place.store.ping().await.unwrap();
    let mut no_bucket = server.options();
    no_bucket.bucket = "another".to_owned();
    let mut other_key = server.options();
    other_key.credentials = ObjectCredentials::Given(KeyPair {
        access_key: "TESTACCESSKEY".to_owned(),
        secret_key: "another-secret".into(),
        session_token: None,
    });
    let opened = |options| PackageStore::open_object(options, Arc::new(SystemIds)).unwrap();
    for options in [no_bucket, other_key.clone()] {
        let store = opened(options);
        store.ping().await.unwrap_err();
        let unknown = store.condition(&sha256, 5, Scrutiny::Size).await;
        unknown.unwrap_err();
    }
    let put = opened(other_key).put(chunks(b"bytes", 2), NO_LIMIT).await;
    let error = put.unwrap_err();
    assert!(matches!(error, PutError::Store(_)), "{error}");
}

#[tokio::test]
async fn keys_from_a_file_are_read_again_when_it_changes() {
    let place = Place::object().await;
    let Behind::S3(server) = &place.behind else {
        panic!("it was opened as an object store");
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let write = |secret: &str, second: u64| {
        std::fs::write(
            &path,
            format!("access_key = 'TESTACCESSKEY'\nsecret_key = '{secret}'\n"),
        )
        .unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second))
            .unwrap();
    };
    let mut options = server.options();
    options.credentials = ObjectCredentials::File(path.clone());
    let store = PackageStore::open_object(options, Arc::new(SystemIds)).unwrap();
    write("another-secret", 1);
    store.ping().await.unwrap_err();
    write("test-secret-key", 2);
    store.ping().await.unwrap();
    std::fs::write(&path, "secret_key = 'do not tell'").unwrap();
    let error = KeyPair::read(&path).unwrap_err();
    assert!(!error.to_string().contains("do not tell"), "{error}");
}
