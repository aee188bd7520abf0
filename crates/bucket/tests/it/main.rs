//! The bucket as a client meets it, where real clients cannot go: over time. What real clients do is in tests/python.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod collect;
mod kills;
mod quota;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use outfitter_artifacts::PackageStore;
use outfitter_bucket::{
    Bucket, BucketParts, Grant, IssuedCredential, Keys, Objects, Retention, Uploader,
};
use outfitter_domain::app::bucket_name;
use outfitter_domain::{Clock, Millis};
use outfitter_ids::{IdSource as _, ProjectId, SystemIds};
use outfitter_store::{AuditFilter, AuditKey, AuditReach};
use outfitter_test_support::store::TestStore;
use secrecy::ExposeSecret as _;
use sha1::Sha1;

const KEY: &str = "app-file/a.zip";
const LIFE: i64 = 15 * 60 * 1000;

#[derive(Default)]
struct TestClock(AtomicI64);

impl TestClock {
    fn set(&self, now: Millis) {
        self.0.store(now.get(), Ordering::SeqCst);
    }

    fn turn(&self, by: Duration) {
        self.set(self.now().plus(by));
    }
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        Millis::new(self.0.load(Ordering::SeqCst))
    }
}

/// An uploader with a credential for whatever key it needs.
struct Client {
    bucket: Bucket,
    keys: Keys,
    clock: Arc<TestClock>,
    project: ProjectId,
}

impl Client {
    fn new(objects: Arc<Objects>, clock: Arc<TestClock>, project: ProjectId) -> Self {
        let keys = Arc::new(Keys::new(vec![3; 32].into()));
        Self {
            bucket: Bucket::new(BucketParts {
                objects,
                keys,
                ids: Arc::new(SystemIds),
                audit: Arc::new(AuditKey::new(vec![7; 32].into())),
                domain: None,
            }),
            keys: Keys::new(vec![3; 32].into()),
            clock,
            project,
        }
    }

    /// Sends a request with an OBS signature; `query` begins with `?` or is empty.
    async fn send(
        &self,
        method: &str,
        key: &str,
        query: &str,
        body: Vec<u8>,
    ) -> http::Response<Vec<u8>> {
        let grant = Grant {
            project: self.project,
            object_key: key.to_owned(),
            expires_at: Millis::new(self.clock.now().get() + LIFE),
            uploader: Some(Uploader {
                id: "u1".to_owned(),
                name: "Ana".to_owned(),
            }),
        };
        let given = self.keys.issue(&grant, [5; 16]);
        let token = given.security_token.expose_secret();
        let date = "Thu, 01 Jan 1970 00:00:00 GMT";
        let path = format!("/{}/{key}{query}", bucket_name(self.project));
        let signed = format!("{method}\n\n\n{date}\nx-obs-security-token:{token}\n{path}");
        let mut mac =
            Hmac::<Sha1>::new_from_slice(given.secret.expose_secret().as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:1")
            .header("date", date)
            .header("x-obs-security-token", token)
            .header("content-length", body.len())
            .header("authorization", format!("OBS {}:{signature}", given.access))
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let (head, body) = self.bucket.handle(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        http::Response::from_parts(head, body.to_vec())
    }

    /// The body of an answer that must be a good one.
    async fn ok(&self, method: &str, key: &str, query: &str, body: Vec<u8>) -> String {
        let answer = self.send(method, key, query, body).await;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert_eq!(
            answer.status(),
            StatusCode::OK,
            "{method} {key}{query}: {text}"
        );
        text
    }

    /// The entity tag of a part that is put.
    async fn put_part(&self, key: &str, query: &str, body: Vec<u8>) -> String {
        let answer = self.send("PUT", key, query, body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.headers()["etag"].to_str().unwrap().to_owned()
    }
}

/// A bucket of a project whose clock stands at 0.
struct Scene {
    bucket: Bucket,
    keys: Arc<Keys>,
    clock: Arc<TestClock>,
    objects: Arc<Objects>,
    store: TestStore,
    project: ProjectId,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let store = TestStore::sqlite().await;
        let folder = tempfile::tempdir().unwrap();
        let packages = PackageStore::open_local(folder.path().join("packages"))
            .await
            .unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(0)));
        let keys = Arc::new(Keys::new(vec![3; 32].into()));
        let project = ProjectId::new(SystemIds.uuid(1));
        store
            .sql(&format!(
                "UPDATE project SET public_id = x'{}' WHERE id = 1",
                project.uuid().simple()
            ))
            .await;
        let tx = store.store.write().await.unwrap();
        tx.bucket_authorize(store.project).await.unwrap();
        tx.commit().await.unwrap();
        let objects = Objects::new(
            store.store.clone(),
            packages,
            clock.clone(),
            Retention::STANDARD,
        );
        let objects = Arc::new(objects);
        let bucket = Bucket::new(BucketParts {
            objects: Arc::clone(&objects),
            keys: Arc::clone(&keys),
            ids: Arc::new(SystemIds),
            audit: Arc::new(AuditKey::new(vec![7; 32].into())),
            domain: Some("s3.example.com".to_owned()),
        });
        Self {
            bucket,
            keys,
            clock,
            objects,
            store,
            project,
            _folder: folder,
        }
    }

    fn credential(&self) -> IssuedCredential {
        let grant = Grant {
            project: self.project,
            object_key: KEY.to_owned(),
            expires_at: Millis::new(self.clock.now().get() + LIFE),
            uploader: Some(Uploader {
                id: "u1".to_owned(),
                name: "Ana".to_owned(),
            }),
        };
        self.keys.issue(&grant, [5; 16])
    }

    /// Puts the object with an OBS signature; `path` is what is sent, `host` to whom.
    async fn put(&self, given: &IssuedCredential, host: &str, path: &str) -> (StatusCode, String) {
        let object = format!("{}/{KEY}", bucket_name(self.project));
        self.put_signed_for(given, host, path, &object).await
    }

    /// The same with a signature that is right for another object.
    async fn put_signed_for(
        &self,
        given: &IssuedCredential,
        host: &str,
        path: &str,
        object: &str,
    ) -> (StatusCode, String) {
        let token = given.security_token.expose_secret();
        let date = "Thu, 01 Jan 1970 00:00:00 GMT";
        let signed = format!("PUT\n\n\n{date}\nx-obs-security-token:{token}\n/{object}");
        let mut mac =
            Hmac::<Sha1>::new_from_slice(given.secret.expose_secret().as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let request = Request::put(path)
            .header("host", host)
            .header("date", date)
            .header("x-obs-security-token", token)
            .header("content-length", 3)
            .header("authorization", format!("OBS {}:{signature}", given.access))
            .body(Full::new(Bytes::from_static(b"abc")))
            .unwrap();
        let answer = self.bucket.handle(request).await;
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn path(&self) -> String {
        format!("/{}/{KEY}", bucket_name(self.project))
    }
}

#[tokio::test]
async fn an_upload_leaves_one_entry_of_who_put_what_and_one_that_is_given_up_another() {
    let scene = Scene::new().await;
    let client = Client::new(
        Arc::clone(&scene.objects),
        Arc::clone(&scene.clock),
        scene.project,
    );
    client.ok("PUT", "a.bin", "", b"one".to_vec()).await;
    client.ok("PUT", "a.bin", "", b"two".to_vec()).await;
    for end in ["complete", "abort"] {
        let begun = client.ok("POST", "b.bin", "?uploads", Vec::new()).await;
        let id = begun.split("<UploadId>").nth(1).unwrap();
        let id = id.split('<').next().unwrap();
        let part = format!("?partNumber=1&uploadId={id}");
        let etag = client.put_part("b.bin", &part, b"three".to_vec()).await;
        let query = format!("?uploadId={id}");
        if end == "complete" {
            let body = format!(
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
            );
            client.ok("POST", "b.bin", &query, body.into_bytes()).await;
        } else {
            let answer = client.send("DELETE", "b.bin", &query, Vec::new()).await;
            assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        }
    }
    let reach = AuditReach::Project(scene.store.project);
    let db = scene.store.store.db();
    let filter = AuditFilter::default();
    let listed = db.audit_list(reach, &filter, None, 100).await;
    let entries = listed.unwrap().unwrap();
    let told: Vec<_> = entries
        .iter()
        .rev()
        .map(|entry| {
            assert_eq!(entry.actor.name.as_deref(), Some("Ana"));
            assert!(entry.actor.credential.starts_with("bucket_key "));
            assert!(entry.request_id.is_some());
            let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap();
            let size = |it: &str| detail["changes"][0][it]["size_bytes"].as_i64();
            let about = entry.resources[0].clone();
            (
                entry.operation.clone(),
                about,
                size("before"),
                size("after"),
                detail["changes"][0]["after"]["sha256"].is_string(),
            )
        })
        .collect();
    let entry = |operation: &str, about: &str, before, after, is_there| {
        (
            operation.to_owned(),
            format!("object:{about}"),
            before,
            after,
            is_there,
        )
    };
    assert_eq!(
        told,
        [
            entry("PutObject", "a.bin", None, Some(3), true),
            entry("PutObject", "a.bin", Some(3), Some(3), true),
            entry("CompleteMultipartUpload", "b.bin", None, Some(5), true),
            entry("AbortMultipartUpload", "b.bin", None, None, false),
        ]
    );
}

#[tokio::test]
async fn a_credential_puts_its_object_for_fifteen_minutes_and_then_no_more() {
    let scene = Scene::new().await;
    let given = scene.credential();
    let path = scene.path();
    scene.clock.0.store(LIFE - 1, Ordering::SeqCst);
    let (status, body) = scene.put(&given, "127.0.0.1:1", &path).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let object = scene
        .store
        .store
        .db()
        .bucket_object_find(scene.store.project, KEY)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(object.size_bytes, 3);
    assert_eq!(
        object.etag.as_deref(),
        Some("900150983cd24fb0d6963f7d28e17f72")
    );
    scene.clock.0.store(LIFE, Ordering::SeqCst);
    let (status, body) = scene.put(&given, "127.0.0.1:1", &path).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("<Code>ExpiredToken</Code>"), "{body}");
}

#[tokio::test]
async fn a_bucket_may_be_named_by_the_host() {
    let scene = Scene::new().await;
    let given = scene.credential();
    let host = format!("{}.s3.example.com:8081", bucket_name(scene.project));
    let (status, body) = scene.put(&given, &host, &format!("/{KEY}")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (status, body) = scene
        .put(&given, "other.s3.example.com", &format!("/{KEY}"))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("SignatureDoesNotMatch"), "{body}");
}

#[tokio::test]
async fn a_suspended_project_takes_nothing() {
    let scene = Scene::new().await;
    let given = scene.credential();
    scene
        .store
        .sql("UPDATE project SET enabled = 0 WHERE id = 1")
        .await;
    let (status, body) = scene.put(&given, "127.0.0.1:1", &scene.path()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("NoSuchBucket"), "{body}");
}

#[tokio::test]
async fn a_key_that_climbs_is_another_key_and_no_credential_is_for_it() {
    let scene = Scene::new().await;
    let given = scene.credential();
    let bucket = bucket_name(scene.project);
    let host = "127.0.0.1:1";
    for key in [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        &format!("x/../{KEY}"),
        &format!("x/%2e%2e/{KEY}"),
        &format!("/{KEY}"),
        &format!("./{KEY}"),
        &format!("{KEY}/.."),
        &format!("{KEY}%00"),
        "a%5c..%5cb",
    ] {
        let path = format!("/{bucket}/{key}");
        // Signed by the credential's owner for exactly what is sent, and for the object that was granted.
        for object in [format!("{bucket}/{key}"), format!("{bucket}/{KEY}")] {
            let (status, body) = scene.put_signed_for(&given, host, &path, &object).await;
            assert!(status.is_client_error(), "{key}: {status} {body}");
        }
    }
    let kept = scene.store.store.db();
    let kept = kept.bucket_object_find(scene.store.project, KEY).await;
    assert!(
        kept.unwrap().is_none(),
        "nothing was put under the granted key"
    );
    let (status, body) = scene.put(&given, host, &scene.path()).await;
    assert_eq!(status, StatusCode::OK, "the credential was good: {body}");
}
