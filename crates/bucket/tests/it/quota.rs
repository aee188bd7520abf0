//! Quotas as a client of the bucket meets them, on both databases.

use std::sync::Arc;

use http::StatusCode;
use outfitter_artifacts::PackageStore;
use outfitter_bucket::{Objects, Retention};
use outfitter_domain::Millis;
use outfitter_ids::ProjectId;
use outfitter_test_support::on_both;
use outfitter_test_support::store::{TestStore, id};

use crate::{Client, TestClock};

async fn client(test: &TestStore, folder: &tempfile::TempDir, quota_bytes: i64) -> Client {
    let project = ProjectId::new(id());
    test.sql(&format!(
        "UPDATE project SET public_id = {}, bucket_authorized = 1, quota_bytes = {quota_bytes} WHERE id = 1",
        test.uuid_literal(project.uuid())
    ))
    .await;
    let clock = Arc::new(TestClock::default());
    clock.set(Millis::new(1_000_000_000_000));
    let packages = PackageStore::open_local(folder.path()).await.unwrap();
    let objects = Objects::new(
        test.store.clone(),
        packages,
        clock.clone(),
        Retention::STANDARD,
    );
    Client::new(Arc::new(objects), clock, project)
}

async fn put(
    client: &Client,
    key: &str,
    query: &str,
    size: usize,
    fill: u8,
) -> (StatusCode, String) {
    let answer = client.send("PUT", key, query, vec![fill; size]).await;
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    (answer.status(), text)
}

fn assert_full((status, text): (StatusCode, String)) {
    assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
    assert!(
        text.contains("<Code>InsufficientStorageSpace</Code>"),
        "{text}"
    );
    assert!(text.contains("1000 bytes"), "{text}");
}

on_both! {
    async fn objects_and_parts_share_the_quota_of_their_project(test: TestStore) {
        let folder = tempfile::tempdir().unwrap();
        let client = client(&test, &folder, 1000).await;
        client.ok("PUT", "app-file/a", "", vec![1; 600]).await;
        assert_full(put(&client, "app-file/b", "", 401, 2).await);
        client.ok("PUT", "app-file/b", "", vec![2; 100]).await;
        let begun = client.ok("POST", "app-file/c", "?uploads", Vec::new()).await;
        let (_, rest) = begun.split_once("<UploadId>").unwrap();
        let (upload, _) = rest.split_once("</UploadId>").unwrap();
        let part = format!("?partNumber=1&uploadId={upload}");
        assert_full(put(&client, "app-file/c", &part, 301, 3).await);
        client.ok("PUT", "app-file/c", &part, vec![3; 300]).await;
        assert_full(put(&client, "app-file/d", "", 1, 4).await);
        // What is given up makes room.
        let answer = client.send("DELETE", "app-file/c", &format!("?uploadId={upload}"), Vec::new()).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        client.ok("PUT", "app-file/d", "", vec![4; 300]).await;
        // Other projects have their own.
        let others = test.store.db().package_settings(test.other_project).await.unwrap().unwrap();
        assert_eq!(others.quota_bytes, None);
    }

    async fn two_uploads_at_once_do_not_take_the_same_room(test: TestStore) {
        let folder = tempfile::tempdir().unwrap();
        let client = client(&test, &folder, 1000).await;
        let (one, two) = tokio::join!(
            put(&client, "app-file/a", "", 600, 1),
            put(&client, "app-file/b", "", 600, 2)
        );
        let taken = [&one, &two].iter().filter(|(status, _)| *status == StatusCode::OK).count();
        assert_eq!(taken, 1, "{one:?} {two:?}");
        assert_full(if one.0 == StatusCode::OK { two } else { one });
        assert_eq!(test.number("SELECT COUNT(*) FROM bucket_object").await, 1);
    }
}
