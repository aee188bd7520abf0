//! Which packages are needed, what a claim keeps, and apps that come back, on both databases.

use std::time::Duration;

use outfitter_domain::Millis;
use outfitter_domain::app::RESTORE_PERIOD;
use outfitter_ids::{IdSource as _, RevisionId, SystemIds};
use outfitter_store::{
    AppKey, CollectionClock, NewRevision, ObjectFate, PackageClaim, PackageKey, PackageState, Page,
    Store,
};
use outfitter_test_support::store::TestStore;

use crate::app_builders::{app_insert, members};
use crate::database::{NOW, on_both};
use crate::package::{put, sha256};

const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

fn at(now: Millis) -> CollectionClock {
    CollectionClock {
        now,
        restorable_since: now.minus(RESTORE_PERIOD),
        unreferenced_before: now.minus(GRACE),
    }
}

/// Contents that nothing needs.
async fn unneeded(store: &Store, now: Millis) -> Vec<String> {
    let found = store
        .db()
        .package_unneeded(PackageKey::new(0), at(now), 100)
        .await
        .unwrap();
    found.into_iter().map(|package| package.sha256).collect()
}

/// Notes what nothing needs, and takes into collection what may go.
async fn begin(store: &Store, now: Millis) -> Vec<String> {
    let found = store
        .db()
        .package_unneeded(PackageKey::new(0), at(now), 100)
        .await
        .unwrap();
    let keys: Vec<_> = found.iter().map(|package| package.key).collect();
    let tx = store.write().await.unwrap();
    tx.package_mark_unneeded(&keys, at(now)).await.unwrap();
    let begun = tx.package_begin_collecting(&keys, at(now)).await.unwrap();
    tx.commit().await.unwrap();
    begun.into_iter().map(|(_, sha256)| sha256).collect()
}

/// Gives an app a new revision for an object.
async fn revise(test: &TestStore, app: AppKey, object_key: &str) {
    let tx = test.store.write().await.unwrap();
    tx.revision_insert(
        &NewRevision {
            id: RevisionId::new(SystemIds.uuid(1)),
            app,
            content: &members("a", object_key).content,
            package: None,
            link_pin: None,
            rule: None,
            success_exit_codes: &[0],
        },
        NOW,
    )
    .await
    .unwrap();
    tx.revision_bind(test.project, &[app]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn delete(test: &TestStore, app: AppKey, now: Millis) {
    let tx = test.store.write().await.unwrap();
    tx.app_delete(test.project, &[app], ObjectFate::Remove, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Removes an object from the bucket's view alone.
async fn hide(test: &TestStore, object_key: &str) {
    test.sql(&format!(
        "DELETE FROM bucket_object WHERE object_key = '{object_key}'"
    ))
    .await;
}

on_both! {
    async fn packages_of_an_app_stay_for_a_roll_back_and_for_desktops_that_have_them(test: TestStore) {
        for content in 1..=5 {
            put(&test.store, test.project, &format!("k{content}"), content, None).await;
        }
        let tx = test.store.write().await.unwrap();
        let (app, _) = app_insert(&tx, test.project, &members("a", "k1")).await;
        tx.commit().await.unwrap();
        for content in 2..=5 {
            revise(&test, app, &format!("k{content}")).await;
        }
        assert!(unneeded(&test.store, NOW).await.is_empty(), "the objects hold them");
        for content in 1..=5 {
            hide(&test, &format!("k{content}")).await;
        }
        // The newest and the two before it stay.
        assert_eq!(unneeded(&test.store, NOW).await, [sha256(1), sha256(2)]);
        // Revisions that change no package push none out.
        revise(&test, app, "k5").await;
        test.sql(
            "UPDATE app_revision SET package_id = (SELECT package_id FROM app_revision WHERE number = 5) \
             WHERE number = 6",
        )
        .await;
        assert_eq!(unneeded(&test.store, NOW).await, [sha256(1), sha256(2)]);
        let desktop = test.uuid_literal(SystemIds.uuid(1));
        test.sql(&format!(
            "INSERT INTO desktop (id, public_id, project_id, name, name_folded, os_type, desktop_type, created_at) \
             VALUES (7, {desktop}, 1, 'd', 'd', 'Linux', 'DEDICATED', 0)"
        ))
        .await;
        test.sql(&format!(
            "INSERT INTO desktop_app (desktop_id, app_id, revision_id, proof, installed_at) \
             SELECT 7, app_id, id, 0, 0 FROM app_revision WHERE number = 1 AND app_id = {}",
            app.get()
        ))
        .await;
        assert_eq!(unneeded(&test.store, NOW).await, [sha256(2)]);
        test.sql("UPDATE desktop SET deleted_at = 1").await;
        assert_eq!(unneeded(&test.store, NOW).await, [sha256(1), sha256(2)]);
    }

    async fn a_package_stays_until_the_last_job_of_a_deleted_app_has_ended(test: TestStore) {
        put(&test.store, test.project, "k", 1, None).await;
        let tx = test.store.write().await.unwrap();
        let (app, _) = app_insert(&tx, test.project, &members("a", "k")).await;
        tx.commit().await.unwrap();
        delete(&test, app, NOW).await;
        let later = NOW.plus(RESTORE_PERIOD).plus(GRACE);
        assert_eq!(unneeded(&test.store, later).await, [sha256(1)]);
        let job = test.uuid_literal(SystemIds.uuid(1));
        test.sql(&format!(
            "INSERT INTO job (public_id, project_id, deployment_id, app_id, desktop_id, revision_id, kind, wire, \
             state, due_at, created_at, updated_at) \
             SELECT {job}, 1, 1, app_id, 1, id, 0, 1, 2, 0, 0, 0 FROM app_revision WHERE app_id = {}",
            app.get()
        ))
        .await;
        assert!(unneeded(&test.store, later).await.is_empty(), "a WAITING job needs it");
        test.sql("UPDATE job SET wire = 3").await;
        assert_eq!(unneeded(&test.store, later).await, [sha256(1)]);
    }

    async fn what_nothing_needs_goes_when_the_grace_period_is_over(test: TestStore) {
        let store = &test.store;
        put(store, test.project, "named", 1, None).await;
        put(store, test.project, "nameless", 2, None).await;
        let tx = store.write().await.unwrap();
        let (app, _) = app_insert(&tx, test.project, &members("a", "named")).await;
        tx.commit().await.unwrap();
        delete(&test, app, NOW).await;
        hide(&test, "nameless").await;
        let first = NOW.plus(RESTORE_PERIOD);
        assert!(begin(store, first).await.is_empty(), "noted now");
        // In use again for a while: its time begins anew.
        put(store, test.project, "nameless", 2, None).await;
        hide(&test, "nameless").await;
        let over = first.plus(GRACE);
        assert_eq!(begin(store, over).await, [sha256(1)]);
        assert!(begin(store, over).await.is_empty(), "once");
        assert_eq!(begin(store, over.plus(GRACE)).await, [sha256(2)]);
        for (key, _) in store.db().package_collecting().await.unwrap() {
            let tx = store.write().await.unwrap();
            tx.package_finish_collecting(key).await.unwrap();
            tx.commit().await.unwrap();
        }
        // What a revision of the past names is still known, and comes back with its bytes.
        let states = store.db().package_states(PackageKey::new(0), 10).await.unwrap();
        let states: Vec<_> = states.into_iter().map(|(_, sha256, state)| (sha256, state)).collect();
        assert_eq!(states, [(sha256(1), PackageState::Gone)]);
        put(store, test.project, "again", 1, None).await;
        let states = store.db().package_states(PackageKey::new(0), 10).await.unwrap();
        assert_eq!(states.first().map(|(_, _, state)| *state), Some(PackageState::Ready));
    }

    async fn a_claim_keeps_bytes_and_waits_for_those_that_are_going(test: TestStore) {
        let store = &test.store;
        let claim = async |now: Millis| {
            let tx = store.write().await.unwrap();
            let claim = tx.package_claim(&sha256(1), 1, now.plus(GRACE), now).await.unwrap();
            tx.commit().await.unwrap();
            claim
        };
        assert_eq!(claim(NOW).await, PackageClaim::Held);
        assert!(begin(store, NOW).await.is_empty());
        assert!(begin(store, NOW.plus(GRACE)).await.is_empty(), "claimed until then");
        let over = NOW.plus(GRACE).plus(Duration::from_millis(1));
        assert_eq!(begin(store, over).await, [sha256(1)]);
        assert_eq!(claim(over).await, PackageClaim::BeingCollected);
        let (key, _) = store.db().package_collecting().await.unwrap().remove(0);
        let tx = store.write().await.unwrap();
        tx.package_finish_collecting(key).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(claim(over).await, PackageClaim::Held);
        // Bytes that lie there without a package are collected too, but not from under a claim.
        assert!(store.db().package_strays(&[sha256(1)], over).await.unwrap().is_empty());
        assert_eq!(store.db().package_strays(&[sha256(9)], over).await.unwrap(), [sha256(9)]);
        let tx = store.write().await.unwrap();
        assert!(tx.package_collect_stray(&sha256(1), 1, over).await.unwrap().is_none());
        assert!(tx.package_collect_stray(&sha256(9), 1, over).await.unwrap().is_some());
    }

    async fn one_collects_at_a_time(test: TestStore) {
        let first = test.store.collection_lock().await.unwrap();
        assert!(first.is_some());
        if test.store.dialect() == outfitter_store::Dialect::Postgres {
            assert!(test.store.collection_lock().await.unwrap().is_none());
            first.as_ref().unwrap().check().await.unwrap();
            drop(first);
            let again = async || test.store.collection_lock().await.unwrap().is_some();
            // The connection takes its rollback with it to the pool.
            let limit = tokio::time::timeout(Duration::from_secs(10), async {
                while !again().await {
                    tokio::task::yield_now().await;
                }
            });
            limit.await.unwrap();
        }
    }

    async fn a_deleted_app_comes_back_with_what_it_had_for_seven_days(test: TestStore) {
        let store = &test.store;
        put(store, test.project, "k", 1, None).await;
        let tx = store.write().await.unwrap();
        let (app, id) = app_insert(&tx, test.project, &members("a", "k")).await;
        tx.commit().await.unwrap();
        test.authorize(app.get(), "SIMPLE", "li").await;
        let before = store.db().app_find(test.project, id).await.unwrap().unwrap();
        delete(&test, app, NOW).await;
        assert!(store.db().object_find(test.project, "k").await.unwrap().is_none());
        assert!(unneeded(store, NOW).await.is_empty(), "it may come back");

        let listed = async |project, now: Millis| {
            store.db().app_list_deleted(project, now.minus(RESTORE_PERIOD), Page::ALL).await.unwrap()
        };
        let found = listed(test.project, NOW).await;
        assert_eq!((found.total, found.items[0].id, found.items[0].deleted_at), (1, id, NOW));
        assert_eq!(listed(test.other_project, NOW).await.total, 0);
        let restore = async |project, now: Millis| {
            let tx = store.write().await.unwrap();
            let done = tx.app_restore(project, id, now.minus(RESTORE_PERIOD), now).await.unwrap();
            tx.commit().await.unwrap();
            done
        };
        assert!(!restore(test.other_project, NOW).await);
        assert!(!restore(test.project, NOW.plus(RESTORE_PERIOD)).await, "too late");
        let last = NOW.plus(RESTORE_PERIOD).minus(Duration::from_millis(1));
        assert!(restore(test.project, last).await);
        assert!(!restore(test.project, last).await, "it is there");
        let after = store.db().app_find(test.project, id).await.unwrap().unwrap();
        assert_eq!((&after.revision, &after.members), (&before.revision, &before.members));
        assert!(store.db().object_find(test.project, "k").await.unwrap().is_some());
        assert_eq!(test.number("SELECT COUNT(*) FROM app_authorization").await, 1);

        delete(&test, app, last).await;
        let purge = async |until| {
            let tx = store.write().await.unwrap();
            let purged = tx.app_purge(until, 10, last).await.unwrap();
            tx.commit().await.unwrap();
            purged
        };
        assert_eq!(purge(last.minus(Duration::from_millis(1))).await, 0);
        assert_eq!((purge(last).await, purge(last).await), (1, 0));
        assert_eq!(test.number("SELECT COUNT(*) FROM app_authorization").await, 0);
        assert!(!restore(test.project, last).await, "purged");
    }
}
