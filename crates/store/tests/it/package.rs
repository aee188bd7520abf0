//! Packages, the objects that hold them, and the revisions that wait for them, on both databases.

use outfitter_agent_protocol::DetectionRule;
use outfitter_domain::StoreType;
use outfitter_domain::app::{AppRule, RuleOrigin};
use outfitter_ids::{IdSource as _, RevisionId, SystemIds};
use outfitter_store::{
    NewObject, NewRevision, ObjectFate, ObjectPut, PackageAccess, PackageCondition, PackageLook,
    ProjectKey, Store,
};

use crate::app_builders::{app_insert, members};
use crate::database::{NOW, on_both};

fn deb(version: &str) -> DetectionRule {
    DetectionRule::DebianPackage {
        name: "hello".to_owned(),
        version: Some(version.to_owned()),
    }
}

pub(crate) async fn put(
    store: &Store,
    project: ProjectKey,
    object_key: &str,
    content: u8,
    rule: Option<&DetectionRule>,
) -> ObjectPut {
    let tx = store.write().await.unwrap();
    tx.package_claim(&sha256(content), i64::from(content), NOW, NOW)
        .await
        .unwrap();
    let answer = tx
        .object_put(
            &NewObject {
                project,
                object_key,
                sha256: &sha256(content),
                size_bytes: i64::from(content),
                facts: r#"{"kind":"deb"}"#,
                derived_rule: rule,
                etag: None,
            },
            NOW,
        )
        .await
        .unwrap()
        .expect("it is claimed");
    tx.commit().await.unwrap();
    answer
}

pub(crate) fn sha256(content: u8) -> String {
    format!("{content:02x}").repeat(32)
}

on_both! {
    async fn what_is_found_of_a_package_is_kept_until_its_bytes_are_read_or_come_anew(fixture: TestStore) {
        use PackageCondition::{Altered, Intact, Missing};
        use PackageLook::{Digest, Size};
        let store = &fixture.store;
        let later = NOW.plus(std::time::Duration::from_secs(60));
        let package = put(store, fixture.project, "app-file/a.deb", 5, None).await.package;
        let tx = store.write().await.unwrap();
        let (key, id) = app_insert(&tx, fixture.project, &members("a", "app-file/a.deb")).await;
        tx.commit().await.unwrap();
        let found = async |condition, look| {
            let tx = store.write().await.unwrap();
            tx.package_looked(package, condition, look, NOW).await.unwrap();
            let apps = tx.deployment_apps(fixture.project, &[id]).await.unwrap();
            tx.commit().await.unwrap();
            let (count, damaged) = store.db().package_damaged(fixture.project, 0, 10).await.unwrap();
            assert_eq!(count, i64::try_from(damaged.len()).unwrap());
            let shown = store.db().app_find(fixture.project, id).await.unwrap().unwrap();
            let shown = shown.revision.package.unwrap().condition;
            assert_eq!(shown == Intact, damaged.is_empty());
            assert_eq!(shown == Intact, apps[0].package == PackageAccess::Available);
            shown
        };
        let look_due = async |before| store.db().package_look_due(before, 10).await.unwrap().len();
        let digest_due = async || store.db().package_digest_due().await.unwrap().map(|due| due.key());

        assert_eq!(look_due(NOW).await, 1);
        assert_eq!(found(Intact, Size).await, Intact);
        assert_eq!((look_due(NOW).await, look_due(later).await), (0, 1));
        assert_eq!(found(Missing, Size).await, Missing);
        assert_eq!(found(Intact, Size).await, Intact);
        assert_eq!(found(Altered, Digest).await, Altered);
        assert_eq!(digest_due().await, None);
        // A right size says nothing about what was read: it is read again.
        assert_eq!(found(Intact, Size).await, Altered);
        assert_eq!(digest_due().await, Some(package));
        assert_eq!(found(Intact, Digest).await, Intact);
        assert_eq!(digest_due().await, None);

        assert_eq!(found(Altered, Size).await, Altered);
        put(store, fixture.project, "app-file/b.deb", 5, None).await;
        assert!(store.db().package_damaged(fixture.project, 0, 10).await.unwrap().1.is_empty());

        let tx = store.write().await.unwrap();
        assert!(tx.package_want_digest(key, NOW).await.unwrap());
        let (absent, _) = app_insert(&tx, fixture.project, &members("b", "app-file/c.deb")).await;
        assert!(!tx.package_want_digest(absent, NOW).await.unwrap());
        tx.package_was_missing(&sha256(5), NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(digest_due().await, Some(package));
        let (_, damaged) = store.db().package_damaged(fixture.project, 0, 10).await.unwrap();
        assert_eq!((damaged[0].app, damaged[0].condition), (id, Missing));
        let other = fixture.other_project;
        assert_eq!(store.db().package_damaged(other, 0, 10).await.unwrap().0, 0);
    }

    async fn an_object_that_is_there_is_bound_at_once(fixture: TestStore) {
        let store = &fixture.store;
        let object = put(store, fixture.project, "app-file/a.deb", 5, Some(&deb("1"))).await;
        assert_eq!(object.revisions_bound, 0);
        let tx = store.write().await.unwrap();
        let (_, id) = app_insert(&tx, fixture.project, &members("a", "app-file/a.deb")).await;
        tx.commit().await.unwrap();
        let revision = store.db().app_find(fixture.project, id).await.unwrap().unwrap().revision;
        let package = revision.package.unwrap();
        assert_eq!((package.key, package.sha256, package.size_bytes), (object.package, sha256(5), 5));
        assert_eq!(revision.rule, Some(AppRule::derived(deb("1"))));

        let stored = store.db().package_get(object.package).await.unwrap().unwrap();
        assert_eq!(stored.derived_rule, Some(deb("1")));
        assert_eq!(stored.facts, r#"{"kind":"deb"}"#);
    }

    async fn an_object_that_comes_later_binds_who_waits_for_it(fixture: TestStore) {
        let store = &fixture.store;
        let long = format!("app-file/{}", "名".repeat(1000));
        let tx = store.write().await.unwrap();
        let (waiting, id) = app_insert(&tx, fixture.project, &members("a", &long)).await;
        let (_, near_miss) = app_insert(&tx, fixture.project, &members("b", &format!("{long}x"))).await;
        let (_, foreign) = app_insert(&tx, fixture.other_project, &members("c", &long)).await;
        let mut linked = members("d", &long);
        linked.content.file_store.store_type = StoreType::Link;
        let (_, link) = app_insert(&tx, fixture.project, &linked).await;
        // A written rule is kept.
        let written = AppRule::written(deb("any"));
        let (kept, kept_id) = app_insert(&tx, fixture.project, &members("e", &long)).await;
        tx.revision_insert(
            &NewRevision {
                id: RevisionId::new(SystemIds.uuid(1)),
                app: kept,
                content: &members("e", &long).content,
                package: None,
                link_pin: None,
                rule: Some(&written),
                success_exit_codes: &[0],
            },
            NOW,
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();

        assert_eq!(put(store, fixture.project, &long, 5, Some(&deb("1"))).await.revisions_bound, 2);
        let revision = async |project, id| {
            store.db().app_find(project, id).await.unwrap().unwrap().revision
        };
        let bound = revision(fixture.project, id).await;
        assert_eq!(bound.package.map(|package| package.sha256), Some(sha256(5)));
        assert_eq!(bound.rule, Some(AppRule::derived(deb("1"))));
        assert_eq!(revision(fixture.project, kept_id).await.rule, Some(written));
        for (project, id) in [
            (fixture.project, near_miss),
            (fixture.other_project, foreign),
            (fixture.project, link),
        ] {
            let untouched = revision(project, id).await;
            assert_eq!((untouched.package, untouched.rule), (None, None));
        }

        // What is bound stays bound when the object is replaced.
        let replaced = put(store, fixture.project, &long, 6, None).await;
        assert_eq!(replaced.revisions_bound, 0);
        let tx = store.write().await.unwrap();
        assert_eq!(tx.revision_bind(fixture.project, &[waiting]).await.unwrap(), 0);
        tx.commit().await.unwrap();
        let still = revision(fixture.project, id).await;
        assert_eq!(still.package.map(|package| package.sha256), Some(sha256(5)));
        assert_eq!(still.rule.map(|rule| rule.origin), Some(RuleOrigin::Derived));
        let object = store.db().object_find(fixture.project, &long).await.unwrap().unwrap();
        assert_eq!(object.sha256, sha256(6));
    }

    async fn equal_content_is_one_package_and_every_project_has_its_own_object(fixture: TestStore) {
        let store = &fixture.store;
        let first = put(store, fixture.project, "app-file/a", 5, None).await;
        let second = put(store, fixture.other_project, "app-file/b", 5, None).await;
        assert_eq!(first.package, second.package);
        assert_eq!(store.db().object_find(fixture.project, "app-file/b").await.unwrap(), None);
    }

    async fn deleting_an_app_takes_its_objects_unless_somebody_needs_them(fixture: TestStore) {
        let store = &fixture.store;
        for (key, content) in [("shared", 1), ("own", 2), ("older", 3), ("reserved", 4)] {
            put(store, fixture.project, key, content, None).await;
        }
        put(store, fixture.other_project, "own", 2, None).await;
        let tx = store.write().await.unwrap();
        let (first, _) = app_insert(&tx, fixture.project, &members("a", "shared")).await;
        let (second, _) = app_insert(&tx, fixture.project, &members("b", "shared")).await;
        let (changed, _) = app_insert(&tx, fixture.project, &members("c", "older")).await;
        let new = NewRevision {
            id: RevisionId::new(SystemIds.uuid(1)),
            app: changed,
            content: &members("c", "own").content,
            package: None,
            link_pin: None,
            rule: None,
            success_exit_codes: &[0],
        };
        tx.revision_insert(&new, NOW).await.unwrap();
        let (reserved, _) = app_insert(&tx, fixture.project, &members("d", "reserved")).await;
        tx.app_delete(fixture.project, &[first, changed], ObjectFate::Remove, NOW).await.unwrap();
        tx.app_delete(fixture.project, &[reserved], ObjectFate::Keep, NOW).await.unwrap();
        tx.commit().await.unwrap();

        let there = async |project, key: &str| {
            store.db().object_find(project, key).await.unwrap().is_some()
        };
        assert!(there(fixture.project, "shared").await);
        assert!(there(fixture.project, "reserved").await);
        assert!(!there(fixture.project, "own").await);
        assert!(!there(fixture.project, "older").await);
        assert!(there(fixture.other_project, "own").await);

        let tx = store.write().await.unwrap();
        tx.app_delete(fixture.project, &[second], ObjectFate::Remove, NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!there(fixture.project, "shared").await);
    }
}
