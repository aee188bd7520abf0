//! The store in a local folder, from outside.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use outfitter_artifacts::{PackageStore, PackageStoreError, PutError, Sha256Digest};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

const NO_LIMIT: u64 = u64::MAX;

async fn store() -> (TempDir, PackageStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = PackageStore::open_local(folder.path().join("packages"))
        .await
        .unwrap();
    (folder, store)
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
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

/// Waits until no file is left: cleaning up after a dropped future happens beside.
async fn wait_until_empty(folder: &Path) {
    for _ in 0..1000 {
        if files(folder).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("left over: {:?}", files(folder));
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

#[tokio::test]
async fn bytes_come_back_under_their_digest() {
    let (folder, store) = store().await;
    for size in [0, 1, 1000, 300_000] {
        let content = content(size);
        let stored = store.put(chunks(&content, 70_001), NO_LIMIT).await.unwrap();
        assert_eq!(stored.sha256, Sha256Digest::of(&content));
        assert_eq!(stored.size_bytes, size as u64);
        assert_eq!(std::fs::read(&stored.path).unwrap(), content);
        let name = stored.sha256.to_string();
        let relative = stored.path.strip_prefix(folder.path()).unwrap();
        assert_eq!(
            relative,
            Path::new("packages").join(&name[..2]).join(&name[2..])
        );
        assert_eq!(store.size(&stored.sha256).await.unwrap(), Some(size as u64));
        assert_eq!(
            read(&store, &stored.sha256, 0..u64::MAX).await.unwrap(),
            content
        );
    }
    assert_eq!(files(folder.path()).len(), 4);
}

#[tokio::test]
async fn ranges_are_cut_to_the_package() {
    let (_folder, store) = store().await;
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
        let bytes = read(&store, &sha256, range.clone()).await.unwrap();
        assert_eq!(bytes, content[range.start as usize..end], "{range:?}");
    }
    let reader = store.open_range(&sha256, 5..10).await.unwrap();
    assert_eq!((reader.length_bytes(), reader.size_bytes()), (5, 200_000));
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    for range in [200_000..200_001, u64::MAX..u64::MAX, 5..5, 9..5] {
        let error = read(&store, &sha256, range).await.unwrap_err();
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

#[tokio::test]
async fn absent_packages_are_told() {
    let (_folder, store) = store().await;
    let sha256 = Sha256Digest::of(b"absent");
    assert_eq!(store.size(&sha256).await.unwrap(), None);
    assert!(!store.exists(&sha256).await.unwrap());
    assert!(!store.remove(&sha256).await.unwrap());
    let error = store.open_range(&sha256, 0..1).await.unwrap_err();
    assert!(matches!(error, PackageStoreError::NotFound { .. }));
    assert!(error.to_string().contains(&sha256.to_string()));
}

#[tokio::test]
async fn removed_packages_are_gone_but_open_ones_read_on() {
    let (folder, store) = store().await;
    let sha256 = store
        .put(chunks(b"bytes", 2), NO_LIMIT)
        .await
        .unwrap()
        .sha256;
    let mut reader = store.open_range(&sha256, 0..5).await.unwrap();
    assert!(store.remove(&sha256).await.unwrap());
    assert!(!store.exists(&sha256).await.unwrap());
    let mut text = String::new();
    reader.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "bytes");
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn the_limit_is_inclusive_and_leaves_nothing() {
    let (folder, store) = store().await;
    let error = store
        .put(chunks(&content(1001), 100), 1000)
        .await
        .unwrap_err();
    assert!(matches!(error, PutError::TooLarge { limit_bytes: 1000 }));
    wait_until_empty(folder.path()).await;
    store.put(chunks(&content(1000), 100), 1000).await.unwrap();
}

#[tokio::test]
async fn an_endless_stream_is_cut_off_at_the_limit() {
    let (folder, store) = store().await;
    let endless = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[7; 8192])));
    let error = store.put(endless, 1 << 20).await.unwrap_err();
    assert!(matches!(error, PutError::TooLarge { .. }));
    wait_until_empty(folder.path()).await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_leaves_nothing() {
    let (folder, store) = store().await;
    let broken = stream::iter([
        Ok(Bytes::from_static(b"first half")),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ]);
    let error = store.put(broken, NO_LIMIT).await.unwrap_err();
    assert!(matches!(error, PutError::Source(_)));
    wait_until_empty(folder.path()).await;
}

#[tokio::test]
async fn a_put_given_up_midway_leaves_nothing() {
    let (folder, store) = store().await;
    let stuck = chunks(b"some bytes", 3).chain(stream::pending());
    let given_up =
        tokio::time::timeout(Duration::from_millis(50), store.put(stuck, NO_LIMIT)).await;
    assert!(given_up.is_err());
    wait_until_empty(folder.path()).await;
}

#[tokio::test]
async fn what_is_not_finished_is_not_visible() {
    let (folder, store) = store().await;
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
    assert!(
        files(folder.path())
            .iter()
            .all(|name| name.starts_with(".incoming-"))
    );
    drop(sender);
    assert_eq!(putting.await.unwrap().unwrap().sha256, sha256);
    assert!(store.exists(&sha256).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_puts_of_the_same_bytes_are_one_package() {
    let (folder, store) = store().await;
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
            read(&store, &stored.sha256, 0..u64::MAX).await.unwrap(),
            content
        );
    }
    assert_eq!(files(folder.path()).len(), 1);
}

#[tokio::test]
async fn leftovers_of_a_crash_are_swept_and_packages_stay() {
    let (folder, store) = store().await;
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

#[tokio::test]
async fn a_damaged_package_is_healed_by_storing_it_again() {
    let (_folder, store) = store().await;
    let stored = store.put(chunks(b"good bytes", 4), NO_LIMIT).await.unwrap();
    std::fs::write(&stored.path, "rot").unwrap();
    store.put(chunks(b"good bytes", 4), NO_LIMIT).await.unwrap();
    assert_eq!(
        read(&store, &stored.sha256, 0..u64::MAX).await.unwrap(),
        b"good bytes"
    );
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

#[tokio::test]
async fn staged_bytes_become_a_package_a_part_or_nothing() {
    let (folder, store) = store().await;
    let content = content(100_000);
    let staged = store
        .stage(chunks(&content, 70_001), NO_LIMIT)
        .await
        .unwrap();
    assert_eq!(staged.sha256, Sha256Digest::of(&content));
    assert_eq!(std::fs::read(staged.path()).unwrap(), content);
    assert!(!store.exists(&staged.sha256).await.unwrap());
    drop(staged);
    assert_eq!(files(folder.path()), Vec::<String>::new());

    let name = uuid::Uuid::from_u128(7);
    let staged = store
        .stage(chunks(&content, 70_001), NO_LIMIT)
        .await
        .unwrap();
    staged.keep_as_part(name).await.unwrap();
    let reopened = PackageStore::open_local(folder.path().join("packages"))
        .await
        .unwrap();
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
