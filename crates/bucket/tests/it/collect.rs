//! Collections of garbage over a real folder, on both databases; the clock is turned.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use outfitter_artifacts::{PackageStore, Sha256Digest};
use outfitter_bucket::{
    CollectMode, CollectReason, CollectionReport, MAX_OBJECT_BYTES, ObjectError, Objects,
    Retention, Tally,
};
use outfitter_domain::app::RESTORE_PERIOD;
use outfitter_domain::{Clock as _, SystemClock};
use outfitter_store::{NewBucketUpload, PackageKey, PackageState, Store};
use outfitter_test_support::on_both;
use outfitter_test_support::store::{TestStore, id};

use crate::TestClock;

const DAY: Duration = Retention::STANDARD.package_grace;

/// One server's view of a database and a folder.
struct Yard {
    objects: Arc<Objects>,
    packages: PackageStore,
    clock: Arc<TestClock>,
    store: Store,
}

impl Yard {
    /// Files bear the time of the disk, so the clock begins at the machine's.
    async fn new(test: &TestStore, folder: &tempfile::TempDir) -> Self {
        let clock = Arc::new(TestClock::default());
        clock.set(SystemClock.now());
        let packages = PackageStore::open_local(folder.path()).await.unwrap();
        Self::over(test, packages, clock)
    }

    /// Another server over the same database and packages.
    fn beside(&self, test: &TestStore) -> Self {
        Self::over(test, self.packages.clone(), Arc::clone(&self.clock))
    }

    fn over(test: &TestStore, packages: PackageStore, clock: Arc<TestClock>) -> Self {
        Self {
            objects: Arc::new(Objects::new(
                test.store.clone(),
                packages.clone(),
                clock.clone(),
                Retention::STANDARD,
            )),
            packages,
            clock,
            store: test.store.clone(),
        }
    }

    async fn put(&self, test: &TestStore, key: &str, content: &'static str) -> Sha256Digest {
        let staged = self.stage(content).await;
        self.objects
            .record(test.project, key, staged)
            .await
            .unwrap()
            .sha256
    }

    async fn stage(&self, content: &'static str) -> outfitter_artifacts::StagedPackage {
        let bytes = stream::iter([Ok::<_, std::io::Error>(Bytes::from(content))]);
        self.packages.stage(bytes, MAX_OBJECT_BYTES).await.unwrap()
    }

    async fn collect(&self, mode: CollectMode) -> CollectionReport {
        self.objects.collect(mode).await.unwrap()
    }

    /// Two collections with the grace period between them.
    async fn collect_fully(&self) -> CollectionReport {
        self.collect(CollectMode::Remove).await;
        self.clock.turn(DAY + Duration::from_secs(1));
        self.collect(CollectMode::Remove).await
    }

    /// Every package that may be handed out has its bytes, and nothing else lies there.
    async fn assert_agreed(&self) {
        let states = self
            .store
            .db()
            .package_states(PackageKey::new(0), 1000)
            .await
            .unwrap();
        let mut ready: Vec<String> = states
            .into_iter()
            .filter(|(_, _, state)| *state == PackageState::Ready)
            .map(|(_, sha256, _)| sha256)
            .collect();
        let mut there: Vec<String> = self
            .packages
            .packages()
            .await
            .unwrap()
            .into_iter()
            .map(|file| file.sha256.to_string())
            .collect();
        ready.sort();
        there.sort();
        assert_eq!(ready, there);
    }
}

async fn hide(test: &TestStore, key: &str) {
    test.sql(&format!(
        "DELETE FROM bucket_object WHERE object_key = '{key}'"
    ))
    .await;
}

fn reasons(report: &CollectionReport) -> Vec<CollectReason> {
    report.items.iter().map(|item| item.reason).collect()
}

on_both! {
    async fn a_dry_run_tells_what_would_go_and_why_and_changes_nothing(test: TestStore) {
        let folder = tempfile::tempdir().unwrap();
        let yard = Yard::new(&test, &folder).await;
        let kept = yard.put(&test, "kept", "kept").await;
        let unneeded = yard.put(&test, "gone", "unneeded").await;
        hide(&test, "gone").await;
        // Bytes that came by no upload of ours, and a part that its upload never named.
        yard.stage("stray").await.place().await.unwrap();
        yard.stage("part").await.keep_as_part(id()).await.unwrap();
        let tx = yard.store.write().await.unwrap();
        let upload = NewBucketUpload {
            id: id(),
            project: test.project,
            object_key: "never",
            expected_sha256: None,
        };
        tx.bucket_upload_insert(&upload, yard.clock.now()).await.unwrap();
        tx.commit().await.unwrap();

        let fresh = yard.collect(CollectMode::DryRun).await;
        assert_eq!((fresh.due, fresh.waiting.count), (Tally::default(), 3));
        yard.collect(CollectMode::Remove).await;
        yard.clock.turn(DAY + Duration::from_secs(1));
        let told = yard.collect(CollectMode::DryRun).await;
        assert_eq!(reasons(&told), [
            CollectReason::UploadAbandoned,
            CollectReason::PartWithoutUpload,
            CollectReason::PackageUnneeded,
            CollectReason::BytesWithoutPackage,
        ]);
        assert_eq!(told.items[2].name, unneeded.to_string());
        assert_eq!(told.due, Tally { count: 4, size_bytes: 4 + 8 + 5 });
        assert_eq!(yard.packages.packages().await.unwrap().len(), 3);

        let done = yard.collect(CollectMode::Remove).await;
        assert_eq!((done.due, done.items), (told.due, told.items));
        assert!(yard.packages.exists(&kept).await.unwrap());
        assert!(yard.packages.parts().await.unwrap().is_empty());
        yard.assert_agreed().await;
        let empty = yard.collect(CollectMode::Remove).await;
        assert_eq!((empty.due.count, empty.waiting.count), (0, 0));
    }

    async fn the_bytes_of_a_deleted_app_go_after_seven_days_and_the_grace_period(test: TestStore) {
        let folder = tempfile::tempdir().unwrap();
        let yard = Yard::new(&test, &folder).await;
        let digest = yard.put(&test, "k", "installer").await;
        test.authorize(5, "SIMPLE", "li").await;
        let revision = test.uuid_literal(id());
        test.sql(&format!(
            "INSERT INTO app_revision (id, public_id, app_id, number, version, store_type, bucket_file_path, \
             package_id, success_exit_codes, created_at) \
             SELECT 6, {revision}, 5, 1, '1', 'OBS', 'k', id, '[0]', 0 FROM package"
        ))
        .await;
        test.sql("UPDATE app SET revision_id = 6").await;
        let tx = yard.store.write().await.unwrap();
        tx.app_delete(
            test.project,
            &[outfitter_store::AppKey::new(5)],
            outfitter_store::ObjectFate::Remove,
            yard.clock.now(),
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
        yard.collect_fully().await;
        assert!(yard.packages.exists(&digest).await.unwrap());
        yard.clock.turn(RESTORE_PERIOD);
        yard.collect_fully().await;
        assert!(!yard.packages.exists(&digest).await.unwrap());
        yard.assert_agreed().await;
        // The revision still says which bytes they were; the same bytes come back.
        let (_, sha256, state) = yard.store.db().package_states(PackageKey::new(0), 10).await.unwrap().remove(0);
        assert_eq!((sha256, state), (digest.to_string(), PackageState::Gone));
        yard.put(&test, "again", "installer").await;
        yard.assert_agreed().await;
    }

    async fn an_upload_that_took_longer_than_its_claim_records_nothing(test: TestStore) {
        let folder = tempfile::tempdir().unwrap();
        let yard = Yard::new(&test, &folder).await;
        let staged = yard.stage("slow").await;
        let sha256 = staged.sha256.to_string();
        let tx = yard.store.write().await.unwrap();
        let now = yard.clock.now();
        tx.package_claim(&sha256, 4, now, now).await.unwrap();
        tx.commit().await.unwrap();
        staged.place().await.unwrap();
        yard.clock.turn(Duration::from_secs(1));
        let object = outfitter_store::NewObject {
            project: test.project,
            object_key: "k",
            sha256: &sha256,
            size_bytes: 4,
            facts: "{}",
            derived_rule: None,
            etag: None,
        };
        let tx = yard.store.write().await.unwrap();
        assert_eq!(tx.object_put(&object, yard.clock.now()).await.unwrap(), None);
    }

    async fn uploads_and_collections_of_two_servers_never_lose_what_is_recorded(test: TestStore) {
        let folder = tempfile::tempdir().unwrap();
        let one = Yard::new(&test, &folder).await;
        let two = one.beside(&test);
        let put = async |yard: &Yard, round: u32| {
            for _ in 0..round % 3 {
                tokio::task::yield_now().await;
            }
            let staged = yard.stage("the same bytes").await;
            match yard.objects.record(test.project, "k", staged).await {
                // The clock jumped a day in the middle of it: the client tries again.
                Ok(_) | Err(ObjectError::Collected) => {}
                Err(error) => panic!("{error}"),
            }
        };
        let collect = async |yard: &Yard| {
            yard.clock.turn(DAY + Duration::from_secs(1));
            yard.objects.collect(CollectMode::Remove).await.unwrap();
        };
        for round in 0..15 {
            hide(&test, "k").await;
            one.objects.collect(CollectMode::Remove).await.unwrap();
            tokio::join!(collect(&two), put(&one, round), put(&two, round + 1), collect(&one));
            let recorded = test.number("SELECT COUNT(*) FROM bucket_object").await;
            let ready = test.number("SELECT COUNT(*) FROM package WHERE state = 'ready'").await;
            if recorded == 1 {
                assert_eq!(ready, 1, "round {round}");
                assert_eq!(one.packages.packages().await.unwrap().len(), 1, "round {round}");
            }
        }
        hide(&test, "k").await;
        one.collect_fully().await;
        one.assert_agreed().await;
        assert!(one.packages.packages().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_upload_finishes_what_a_killed_collection_left() {
    let test = TestStore::sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    let yard = Yard::new(&test, &folder).await;
    yard.put(&test, "k", "bytes").await;
    hide(&test, "k").await;
    test.sql("UPDATE package SET state = 'collecting'").await;
    yard.put(&test, "k", "bytes").await;
    yard.assert_agreed().await;
    assert_eq!(yard.packages.packages().await.unwrap().len(), 1);
}
