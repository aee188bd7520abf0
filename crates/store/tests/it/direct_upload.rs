//! Objects that are put into the object store past the server, on both databases.

use std::time::Duration;

use outfitter_domain::AssignType::AllUser;
use outfitter_domain::job::Reason;
use outfitter_ids::SystemIds;
use outfitter_store::{DirectUpload, PackageAccess};

use crate::database::{NOW, on_both};
use crate::job_scene::{AppKind, Bytes, LEASE, ORDINARY, Scene};
use crate::package::{put, sha256};

const KEY: &str = "app-file/a.deb";
const MINUTE: Duration = Duration::from_secs(60);

async fn allow(scene: &Scene, expires_in: Duration) -> DirectUpload {
    let tx = scene.test.store.write().await.unwrap();
    let expires_at = NOW.plus(expires_in);
    tx.direct_upload_allow(scene.test.project, KEY, expires_at)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    only(scene).await.expect("it was allowed")
}

async fn only(scene: &Scene) -> Option<DirectUpload> {
    let found = scene.test.store.db().direct_uploads(0, 10).await.unwrap();
    assert!(found.len() <= 1);
    found.into_iter().next()
}

async fn seen(scene: &Scene, tag: Option<&str>) -> DirectUpload {
    let upload = only(scene).await.unwrap();
    let tx = scene.test.store.write().await.unwrap();
    tx.direct_upload_seen(upload.id, tag).await.unwrap();
    tx.commit().await.unwrap();
    only(scene).await.unwrap()
}

on_both! {
    async fn a_job_waits_while_its_object_is_seen_and_not_taken_in(test: TestStore) {
        let scene = Scene::new(test);
        let desktop = scene.desktop("d1", &[]).await;
        let connected = scene.connect(desktop).await;
        let app = scene.app("a", AppKind { store: Bytes::Absent, ..ORDINARY }).await;
        let store = scene.test.store.clone();
        let project = scene.test.project;
        let access = async || {
            let tx = store.write().await.unwrap();
            let apps = tx.deployment_apps(project, &[app.id]).await.unwrap();
            apps[0].package
        };

        let upload = allow(&scene, MINUTE).await;
        assert_eq!((upload.object_key.as_str(), upload.project), (KEY, project));
        assert_eq!(access().await, PackageAccess::ObjectMissing);
        assert!(seen(&scene, Some("e 1")).await.is_pending());
        assert_eq!(access().await, PackageAccess::Available);
        let waited_for = store.db().direct_uploads_of_apps(project, &[app.id]).await.unwrap();
        assert_eq!(waited_for.len(), 1);
        let other = scene.test.other_project;
        assert!(store.db().direct_uploads_of_apps(other, &[app.id]).await.unwrap().is_empty());

        scene.deploy(&[app], AllUser, &[]).await;
        let stored = scene.app("b", ORDINARY).await;
        scene.deploy(&[stored], AllUser, &[]).await;
        // The one that waits does not hold up the next.
        assert_eq!(scene.lease_one(connected, NOW).await.app, stored.id);
        scene.test.sql("DELETE FROM attempt").await;

        put(&store, project, KEY, 7, None).await;
        let tx = store.write().await.unwrap();
        tx.direct_upload_taken(upload.id, "e 1").await.unwrap();
        tx.commit().await.unwrap();
        assert!(!only(&scene).await.unwrap().is_pending());
        assert!(store.db().direct_uploads_of_apps(project, &[app.id]).await.unwrap().is_empty());
        assert_eq!(scene.lease_one(connected, NOW).await.package.sha256, Some(sha256(7)));
        // Equal bytes that are put once more are new.
        assert!(seen(&scene, Some("e 2")).await.is_pending());
    }

    async fn a_job_fails_when_what_was_put_is_refused(test: TestStore) {
        let scene = Scene::new(test);
        let desktop = scene.desktop("d1", &[]).await;
        let connected = scene.connect(desktop).await;
        let app = scene.app("a", AppKind { store: Bytes::Absent, ..ORDINARY }).await;
        let upload = allow(&scene, MINUTE).await;
        seen(&scene, Some("e 1")).await;
        scene.deploy(&[app], AllUser, &[]).await;
        let lease = async || {
            let tx = scene.test.store.write().await.unwrap();
            let page = tx.job_lease(&[connected], LEASE, &SystemIds, NOW).await.unwrap();
            tx.commit().await.unwrap();
            (page.tasks.len(), page.failed)
        };
        assert_eq!(lease().await, (0, vec![]));
        let tx = scene.test.store.write().await.unwrap();
        tx.direct_upload_taken(upload.id, "e 1").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(lease().await, (0, vec![desktop]));
        assert_eq!(scene.jobs().await[0].reason, Some(Reason::PackageMissing));
    }

    async fn one_server_at_a_time_takes_an_upload_in(test: TestStore) {
        let scene = Scene::new(test);
        let id = allow(&scene, MINUTE).await.id;
        let later = |minutes: u32| NOW.plus(MINUTE * minutes);
        let lease = async |held, until, now| {
            let tx = scene.test.store.write().await.unwrap();
            let leased = tx.direct_upload_lease(id, held, until, now).await.unwrap();
            tx.commit().await.unwrap();
            leased
        };
        assert!(lease(None, later(2), NOW).await);
        assert!(!lease(None, later(3), later(1)).await);
        assert!(lease(Some(later(2)), later(4), later(1)).await);
        assert!(!lease(None, later(5), later(3)).await);
        // Who died loses it when its time has come.
        assert!(lease(None, later(6), later(4)).await);
        assert!(!lease(Some(later(4)), later(7), later(5)).await);
    }

    async fn an_upload_is_forgotten_only_when_its_last_credential_has_lapsed(test: TestStore) {
        let scene = Scene::new(test);
        let id = allow(&scene, MINUTE).await.id;
        let forget = async |before| {
            let tx = scene.test.store.write().await.unwrap();
            tx.direct_upload_forget(id, before).await.unwrap();
            tx.commit().await.unwrap();
        };
        assert_eq!(allow(&scene, MINUTE * 20).await.id, id);
        forget(NOW.plus(MINUTE * 10)).await;
        assert!(only(&scene).await.is_some());
        forget(NOW.plus(MINUTE * 21)).await;
        assert!(only(&scene).await.is_none());
    }
}
