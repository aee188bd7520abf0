use std::sync::Arc;

use outfitter_domain::directory::UserFacts;
use outfitter_domain::{AssignType, Millis};
use outfitter_ids::SystemIds;
use outfitter_store::{
    AuditActor, AuditActorKind, AuditCheck, AuditEntry, AuditFacts, AuditFilter, AuditFinding,
    AuditKey, AuditKind, AuditReach, AuditScope, AuditTarget, DomainKey, NewAuditScope, Store,
};
use serde_json::{Value, json};

use crate::database::{NOW, TestStore, on_both};
use crate::job_scene::{AppKind, Bytes, DIGEST, ORDINARY, Scene, good};
use crate::user::group;

fn key() -> Arc<AuditKey> {
    Arc::new(AuditKey::new(vec![7; 32].into()))
}

fn scope(test: &TestStore, at: Millis, targets: &[String]) -> Arc<AuditScope> {
    AuditScope::new(NewAuditScope {
        key: key(),
        ids: Arc::new(SystemIds),
        facts: AuditFacts {
            domain: Some(DomainKey::new(1)),
            project: Some(test.project),
            at,
            action: "workspace:userGroups:create".to_owned(),
            operation: "CreateUserGroup".to_owned(),
            actor: AuditActor {
                name: Some("ana".to_owned()),
                ..AuditActor::nobody()
            },
            on_behalf_of: None,
            address: Some("192.0.2.1".to_owned()),
            request_id: Some("r1".to_owned()),
        },
        kind: AuditKind::Change,
        targets: targets.iter().map(|it| AuditTarget::parse(it)).collect(),
        request: json!({"group_name": "Staff"}),
    })
}

/// Makes a group as a call would; answers its id.
async fn make_group(test: &TestStore, name: &str, at: Millis) -> String {
    let new = group(name);
    scope(test, at, &[])
        .run(async {
            let tx = test.store.write().await.unwrap();
            tx.group_insert(test.project, &new, NOW).await.unwrap();
            tx.commit().await.unwrap();
        })
        .await;
    new.id.to_string()
}

async fn make_groups(test: &TestStore, count: usize) {
    for number in 0..count {
        make_group(test, &format!("g{number}"), NOW).await;
    }
}

/// Jobs of one app, each on a desktop of its own, that have ended well.
async fn finish_jobs(scene: &Scene, count: usize) {
    let mut connected = Vec::new();
    for number in 0..count {
        let desktop = scene.desktop(&format!("d{number}"), &[]).await;
        connected.push(scene.connect(desktop).await);
    }
    let app = scene.app("a", ORDINARY).await;
    scene.deploy(&[app], AssignType::AllUser, &[]).await;
    for from in connected {
        let task = scene.start(from, NOW).await;
        scene.finish(from, good(&task), NOW).await;
    }
}

/// Seals everything, a few at a time.
async fn seal(store: &Store) {
    loop {
        let tx = store.write().await.unwrap();
        let sealed = tx.audit_seal(&key(), 3, NOW).await.unwrap();
        tx.commit().await.unwrap();
        if !sealed.more {
            return;
        }
    }
}

async fn check(test: &TestStore) -> AuditCheck {
    test.store.db().audit_check(&key(), None).await.unwrap()
}

async fn list(test: &TestStore, filter: AuditFilter) -> Vec<AuditEntry> {
    let reach = AuditReach::Project(test.project);
    let listed = test.store.db().audit_list(reach, &filter, None, 100).await;
    listed.unwrap().unwrap()
}

fn detail(entry: &AuditEntry) -> Value {
    serde_json::from_str(&entry.detail).unwrap()
}

on_both! {
    async fn a_committed_change_leaves_one_entry_and_one_that_is_taken_back_none(test: TestStore) {
        let new = group("Lost");
        scope(&test, NOW, &[]).run(async {
            let tx = test.store.write().await.unwrap();
            tx.group_insert(test.project, &new, NOW).await.unwrap();
            drop(tx);
            AuditScope::apart(async {
                test.store.write().await.unwrap().commit().await.unwrap();
            }).await;
            // The server's own work, which changes nothing that is audited.
            test.store.write().await.unwrap().commit().await.unwrap();
        }).await;
        assert_eq!(list(&test, AuditFilter::default()).await, []);

        let id = make_group(&test, "Staff", NOW).await;
        let entries = list(&test, AuditFilter::default()).await;
        let [entry] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!(entry.resources, [format!("userGroup:{id}")]);
        assert_eq!(entry.resource_name.as_deref(), Some("Staff"));
        let detail = detail(entry);
        assert_eq!(detail["request"], json!({"group_name": "Staff"}));
        assert_eq!(detail["changes"][0]["before"], Value::Null);
        assert_eq!(detail["changes"][0]["after"]["name"], "Staff");
        assert_eq!(detail["changes"][0]["after"]["members"], json!([]));
    }

    async fn before_and_after_of_what_a_call_names_are_kept(test: TestStore) {
        let id = make_group(&test, "Staff", NOW).await;
        let target = format!("userGroup:{id}");
        scope(&test, NOW, &[target, "userGroup:ana".to_owned(), "unheard-of:1".to_owned()]).run(async {
            let tx = test.store.write().await.unwrap();
            let stored = tx.db().group_find(test.project, outfitter_ids::GroupId::lookup(&id).unwrap()).await.unwrap().unwrap();
            tx.group_describe(stored.key, "all of us").await.unwrap();
            tx.commit().await.unwrap();
        }).await;
        let entry = &list(&test, AuditFilter::default()).await[0];
        let changes = detail(entry)["changes"].clone();
        assert_eq!(changes.as_array().unwrap().len(), 1);
        assert_eq!(changes[0]["name"], "Staff");
        assert_eq!(changes[0]["before"]["description"], "");
        assert_eq!(changes[0]["after"]["description"], "all of us");
        assert_eq!(entry.resources.len(), 3);
    }

    async fn the_state_of_another_project_is_not_looked_at(test: TestStore) {
        let foreign = group("Foreign");
        let tx = test.store.write().await.unwrap();
        tx.group_insert(test.other_project, &foreign, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let target = format!("userGroup:{}", foreign.id);
        scope(&test, NOW, &[target]).run(async {
            let tx = test.store.write().await.unwrap();
            tx.commit().await.unwrap();
        }).await;
        let entry = &list(&test, AuditFilter::default()).await[0];
        assert_eq!(entry.resource_name, None);
        assert!(!entry.detail.contains("Foreign"));
    }

    async fn every_kind_of_resource_can_be_read(test: TestStore) {
        let id = "5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10";
        let targets: Vec<String> = [
            "app", "desktop", "user", "userGroup", "rule", "token", "deployment", "job", "workspaceJob", "subJob",
            "network_reach", "object", "project", "iamUser", "iamGroup", "policy", "accessKey", "agentRelease",
        ].iter().map(|kind| format!("{kind}:{id}")).chain(["server:".to_owned()]).collect();
        scope(&test, NOW, &targets).run(async {
            test.store.write().await.unwrap().commit().await.unwrap();
        }).await;
        assert_eq!(list(&test, AuditFilter::default()).await[0].resources, targets);
    }

    async fn the_chain_is_whole_and_says_up_to_where(test: TestStore) {
        assert_eq!(check(&test).await.checked, 0);
        make_groups(&test, 7).await;
        assert_eq!(check(&test).await.unsealed, 7);
        seal(&test.store).await;
        make_groups_named(&test, "late", 2).await;
        let found = check(&test).await;
        assert!(found.is_whole(), "{found:?}");
        assert_eq!((found.checked, found.chain.sequence, found.unsealed), (7, 7, 2));
        let known = (4, list(&test, AuditFilter::default()).await.iter().find(|it| it.sequence == Some(4)).unwrap().hash.clone().unwrap());
        let db = test.store.db();
        assert!(db.audit_check(&key(), Some((known.0, &known.1))).await.unwrap().is_whole());
        assert_eq!(db.audit_check(&key(), Some((9, &known.1))).await.unwrap().findings, [AuditFinding::RolledBack { sequence: 9 }]);
        assert!(db.audit_holds(4, &known.1).await.unwrap());
        assert!(!db.audit_holds(5, &known.1).await.unwrap());
    }

    async fn an_altered_entry_is_found_whichever_column_it_is(test: TestStore) {
        make_groups(&test, 3).await;
        seal(&test.store).await;
        for (change, back) in [
            ("actor_name = 'eve'", "actor_name = 'ana'"),
            ("actor_name = NULL", "actor_name = 'ana'"),
            ("detail = '{}' || detail", "detail = substr(detail, 3)"),
            ("occurred_at = occurred_at + 1", "occurred_at = occurred_at - 1"),
            ("project_id = 2", "project_id = 1"),
            ("outcome = 'refused'", "outcome = 'done'"),
            ("times = 2", "times = 1"),
            ("resources = resources || 'x'", "resources = substr(resources, 1, length(resources) - 1)"),
        ] {
            test.sql(&format!("UPDATE audit_entry SET {change} WHERE sequence = 2")).await;
            let findings = check(&test).await.findings;
            assert!(matches!(findings[..], [AuditFinding::Altered { sequence: Some(2), .. }]), "{change}: {findings:?}");
            test.sql(&format!("UPDATE audit_entry SET {back} WHERE sequence = 2")).await;
            assert!(check(&test).await.is_whole(), "{back}");
        }
    }

    async fn a_removed_or_moved_entry_is_found(test: TestStore) {
        make_groups(&test, 6).await;
        seal(&test.store).await;
        test.sql("UPDATE audit_entry SET sequence = 100 WHERE sequence = 2").await;
        test.sql("UPDATE audit_entry SET sequence = 2 WHERE sequence = 3").await;
        test.sql("UPDATE audit_entry SET sequence = 3 WHERE sequence = 100").await;
        let findings = check(&test).await.findings;
        assert!(matches!(findings[0], AuditFinding::Moved { sequence: 2, .. }), "{findings:?}");
        test.sql("DELETE FROM audit_entry WHERE sequence IN (2, 3)").await;
        let findings = check(&test).await.findings;
        assert_eq!(findings, [AuditFinding::Missing { from: 2, to: 3 }]);
        test.sql("DELETE FROM audit_entry WHERE sequence = 6").await;
        assert_eq!(check(&test).await.findings[1], AuditFinding::Missing { from: 6, to: 6 });
    }

    async fn who_has_the_database_alone_cannot_build_the_chain_again_nor_add_to_it(test: TestStore) {
        make_groups(&test, 4).await;
        seal(&test.store).await;
        // The end is cut off and the chain's row is made to fit.
        test.sql("DELETE FROM audit_entry WHERE sequence = 4").await;
        test.sql("UPDATE audit_chain SET sequence = 3, hash = (SELECT hash FROM audit_entry WHERE sequence = 3)").await;
        assert_eq!(check(&test).await.findings, [AuditFinding::Head { sequence: 3 }]);
        // The beginning is cut off, as retention would.
        test.sql("DELETE FROM audit_entry WHERE sequence = 1").await;
        test.sql("UPDATE audit_chain SET cut_sequence = 1, cut_hash = 'x'").await;
        assert!(check(&test).await.findings.contains(&AuditFinding::Checkpoint { sequence: 1 }));

        // An entry that no server wrote is sealed, and is found before and after.
        let other = AuditKey::new(vec![8; 32].into());
        let forged = NewAuditScope { key: Arc::new(other), ..new_scope(&test) };
        AuditScope::new(forged).run(async { test.store.write().await.unwrap().commit().await.unwrap(); }).await;
        let is_forged = |found: &AuditCheck, sequence: Option<i64>| found.findings.iter().any(|it| matches!(it, AuditFinding::Altered { sequence: at, .. } if *at == sequence));
        assert!(is_forged(&check(&test).await, None));
        seal(&test.store).await;
        assert!(is_forged(&check(&test).await, Some(4)));
    }

    async fn retention_deletes_a_beginning_and_keeps_the_rest_provable(test: TestStore) {
        for (number, age) in [30, 20, 5, 15, 1].into_iter().enumerate() {
            make_group(&test, &format!("g{number}"), Millis::new(NOW.get() - age)).await;
        }
        make_group(&test, "unsealed", Millis::new(NOW.get() - 100)).await;
        let tx = test.store.write().await.unwrap();
        tx.audit_seal(&key(), 5, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let prune = async |limit| {
            let tx = test.store.write().await.unwrap();
            let pruned = tx.audit_prune(&key(), Millis::new(NOW.get() - 10), limit, NOW).await.unwrap();
            tx.commit().await.unwrap();
            pruned.entries
        };
        assert_eq!(prune(1).await, 1, "a page at a time");
        assert!(check(&test).await.is_whole());
        assert_eq!(prune(100).await, 1, "behind a young entry all stay");
        assert_eq!(prune(100).await, 0);
        let found = check(&test).await;
        assert!(found.is_whole(), "{found:?}");
        assert_eq!((found.checked, found.chain.cut_sequence, found.unsealed), (3, 2, 1));
        test.sql("DELETE FROM audit_entry WHERE sequence = 3").await;
        assert_eq!(check(&test).await.findings, [AuditFinding::Missing { from: 3, to: 3 }]);
    }

    async fn a_result_that_was_altered_or_taken_away_is_found(test: TestStore) {
        let scene = Scene::new(test);
        finish_jobs(&scene, 5).await;
        let test = &scene.test;
        let found = check(test).await;
        assert_eq!((found.results.checked, found.results.sequence, found.results.unsealed), (0, 0, 5));
        let waiting = test.store.db().audit_results_waiting(3).await.unwrap().unwrap();
        assert_eq!((waiting.count, waiting.oldest), (3, NOW));
        // Three heads: up to 2, 4 and 5.
        let mut heads = 0;
        loop {
            let tx = test.store.write().await.unwrap();
            let more = tx.audit_seal_results(&key(), outfitter_ids::IdSource::uuid(&SystemIds, 1), 2, NOW).await.unwrap();
            tx.commit().await.unwrap();
            heads += 1;
            if !more { break; }
        }
        assert_eq!(heads, 3);
        assert_eq!(test.store.db().audit_results_waiting(3).await.unwrap(), None);
        seal(&test.store).await;
        let found = check(test).await;
        assert!(found.is_whole(), "{found:?}");
        assert_eq!((found.results.checked, found.results.sequence, found.results.unsealed, found.results.gone), (5, 5, 0, 0));

        // A job that is deleted by a call takes its result along, and the chain stays provable.
        let job = test.number("SELECT t.job_id FROM receipt c JOIN attempt t ON t.id = c.attempt_id WHERE c.sequence = 5").await;
        let ids: Vec<_> = scene.jobs().await.into_iter().filter(|it| it.key.get() == job).map(|it| it.id).collect();
        assert_eq!(ids.len(), 1);
        scope(test, NOW, &[]).run(async {
            let tx = test.store.write().await.unwrap();
            assert_eq!(tx.job_delete(test.project, &ids).await.unwrap(), Ok(1));
            tx.commit().await.unwrap();
        }).await;
        let found = check(test).await;
        assert!(found.is_whole(), "{found:?}");
        assert_eq!((found.results.checked, found.results.gone), (4, 1));

        let attempt = "id = (SELECT attempt_id FROM receipt WHERE sequence = 3)";
        for (change, back) in [
            ("UPDATE receipt SET evidence = evidence || ' ' WHERE sequence = 3".to_owned(),
             "UPDATE receipt SET evidence = substr(evidence, 1, length(evidence) - 1) WHERE sequence = 3".to_owned()),
            ("UPDATE receipt SET statement = 'made up' WHERE sequence = 3".to_owned(),
             "UPDATE receipt SET statement = NULL WHERE sequence = 3".to_owned()),
            (format!("UPDATE attempt SET outcome = 'failed' WHERE {attempt}"), format!("UPDATE attempt SET outcome = 'succeeded' WHERE {attempt}")),
            (format!("UPDATE attempt SET desktop_id = desktop_id + 1 WHERE {attempt}"), format!("UPDATE attempt SET desktop_id = desktop_id - 1 WHERE {attempt}")),
        ] {
            test.sql(&change).await;
            assert_eq!(check(test).await.findings, [AuditFinding::ResultAltered { sequence: 3 }], "{change}");
            test.sql(&back).await;
            assert!(check(test).await.is_whole(), "{back}");
        }
        // Two results that change places fit themselves, but not what the log says.
        test.sql("UPDATE receipt SET sequence = 100 WHERE sequence = 1").await;
        test.sql("UPDATE receipt SET sequence = 1 WHERE sequence = 2").await;
        test.sql("UPDATE receipt SET sequence = 2 WHERE sequence = 100").await;
        assert_eq!(check(test).await.findings, [AuditFinding::ResultsHead { from: 1, to: 2 }]);

        test.sql("DELETE FROM receipt WHERE sequence <= 2").await;
        assert_eq!(check(test).await.findings, [AuditFinding::ResultsMissing { from: 1, to: 2 }]);
        // Nor does it help to say that a server deleted it, or that nothing was sealed.
        test.sql("INSERT INTO receipt_gone (sequence, digest, mac) VALUES (1, 'd', ''), (2, 'd', '')").await;
        assert!(check(test).await.findings.contains(&AuditFinding::ResultAltered { sequence: 2 }));
        test.sql("DELETE FROM receipt_gone").await;
        test.sql("DELETE FROM receipt").await;
        test.sql("UPDATE audit_chain SET result_sequence = 4").await;
        assert_eq!(check(test).await.findings, [AuditFinding::ResultsMissing { from: 1, to: 4 }]);
    }

    async fn the_digest_that_a_desktop_pins_is_an_entry_of_that_desktop(test: TestStore) {
        let scene = Scene::new(test);
        let desktop = scene.desktop("d1", &[]).await;
        let from = scene.connect(desktop).await;
        let link = scene.app("a", AppKind { store: Bytes::Link, ..ORDINARY }).await;
        let stored = scene.app("b", ORDINARY).await;
        scene.deploy(&[link, stored], AssignType::AllUser, &[]).await;
        for _ in 0..2 {
            let task = scene.start(from, NOW).await;
            scope(&scene.test, NOW, &[]).run(scene.finish(from, good(&task), NOW)).await;
        }
        let entries = list(&scene.test, AuditFilter::default()).await;
        let [entry] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!(entry.resources[0], format!("app:{}", link.id));
        assert_eq!(entry.resource_name.as_deref(), Some("a"));
        assert_eq!((entry.actor.kind, entry.actor.name.as_deref()), (AuditActorKind::Agent, Some("d1")));
        let detail = detail(entry);
        assert_eq!(detail["pinned"], "pinned by desktop d1");
        assert_eq!(detail["changes"][0]["before"]["link_sha256"], Value::Null);
        assert_eq!(detail["changes"][0]["after"], json!({"link_sha256": DIGEST, "link_size_bytes": 100}));
    }

    async fn a_page_of_alike_changes_is_kept_whole(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let mut keys = Vec::new();
        for number in 0..60 {
            let new = crate::user::user(&format!("user-{number}"));
            keys.push(tx.user_insert(test.project, &new, NOW).await.unwrap().get());
        }
        tx.commit().await.unwrap();
        let facts = UserFacts { is_disabled: true, description: "left the company".to_owned(), ..UserFacts::default() };
        let updates: Vec<_> = keys.iter().map(|key| (*key, facts.clone())).collect();
        scope(&test, NOW, &[]).run(async {
            let tx = test.store.write().await.unwrap();
            tx.directory_users_update(&updates).await.unwrap();
            tx.commit().await.unwrap();
        }).await;
        let entry = &list(&test, AuditFilter::default()).await[0];
        assert_eq!(entry.resources.len(), 60);
        let detail = detail(entry);
        let changes = detail["changes"].as_array().unwrap();
        assert!(changes.len() > 25, "{}", changes.len());
        assert_eq!(changes.len() as i64 + detail["changes_omitted"].as_i64().unwrap_or(0), 50);
        assert_eq!(detail["states_omitted"], 10);
        assert_eq!(changes[0]["before"]["disabled_in_directory"], 0);
        assert_eq!(changes[0]["after"]["disabled_in_directory"], 1);
        assert!(entry.detail.len() < 20_000);
    }

    async fn entries_are_found_by_every_filter_and_belong_to_their_project(test: TestStore) {
        let id = make_group(&test, "Staff", NOW).await;
        let found = |filter: AuditFilter| async { list(&test, filter).await.len() };
        let none = AuditFilter::default;
        for (hit, miss) in [
            (AuditFilter { from: Some(NOW), ..none() }, AuditFilter { from: Some(Millis::new(NOW.get() + 1)), ..none() }),
            (AuditFilter { to: Some(Millis::new(NOW.get() + 1)), ..none() }, AuditFilter { to: Some(NOW), ..none() }),
            (AuditFilter { actor: Some("ana".to_owned()), ..none() }, AuditFilter { actor: Some("an".to_owned()), ..none() }),
            (AuditFilter { action: Some("workspace:userGroups:*".to_owned()), ..none() }, AuditFilter { action: Some("workspace:users:*".to_owned()), ..none() }),
            (AuditFilter { action: Some("workspace:userGroups:create".to_owned()), ..none() }, AuditFilter { action: Some("workspace:userGroups".to_owned()), ..none() }),
            (AuditFilter { resource: Some(format!("userGroup:{id}")), ..none() }, AuditFilter { resource: Some(format!("user:{id}")), ..none() }),
            (AuditFilter { resource: Some("userGroup:".to_owned()), ..none() }, AuditFilter { resource: Some("userGroup:%".to_owned()), ..none() }),
            (AuditFilter { kind: Some(AuditKind::Change), ..none() }, AuditFilter { kind: Some(AuditKind::Refusal), ..none() }),
            (AuditFilter { request_id: Some("r1".to_owned()), ..none() }, AuditFilter { request_id: Some("r".to_owned()), ..none() }),
        ] {
            assert_eq!((found(hit.clone()).await, found(miss.clone()).await), (1, 0), "{hit:?} {miss:?}");
        }
        let db = test.store.db();
        let other = AuditReach::Project(test.other_project);
        let filter = none();
        assert_eq!(db.audit_list(other, &filter, None, 10).await.unwrap(), Some(Vec::new()));
        let entry = list(&test, none()).await.remove(0);
        assert_eq!(db.audit_find(other, entry.id).await.unwrap(), None);
        assert_eq!(db.audit_list(other, &filter, Some(entry.id), 10).await.unwrap(), None);
        assert_eq!(db.audit_find(AuditReach::Domain(DomainKey::new(1)), entry.id).await.unwrap(), Some(entry.clone()));
        assert_eq!(db.audit_find(AuditReach::Domain(DomainKey::new(2)), entry.id).await.unwrap(), None);
        assert_eq!(db.audit_list(AuditReach::Project(test.project), &filter, Some(entry.id), 10).await.unwrap(), Some(Vec::new()));
    }

    async fn writers_and_two_sealers_at_once_lose_nothing(test: TestStore) {
        let write = async |writer: usize| {
            for number in 0..15 {
                make_group(&test, &format!("w{writer}-{number}"), NOW).await;
            }
        };
        let sealing = async || {
            for _ in 0..40 {
                let tx = test.store.write().await.unwrap();
                tx.audit_seal(&key(), 4, NOW).await.unwrap();
                tx.commit().await.unwrap();
                tokio::task::yield_now().await;
            }
            // One that ends between two batches leaves nothing half done.
            let tx = test.store.write().await.unwrap();
            tx.audit_seal(&key(), 2, NOW).await.unwrap();
            drop(tx);
        };
        tokio::join!(write(0), write(1), write(2), sealing(), sealing());
        seal(&test.store).await;
        let found = check(&test).await;
        assert!(found.is_whole(), "{found:?}");
        assert_eq!((found.checked, found.unsealed), (45, 0));
    }
}

fn new_scope(test: &TestStore) -> NewAuditScope {
    let whole = scope(test, NOW, &[]);
    NewAuditScope {
        key: key(),
        ids: Arc::new(SystemIds),
        facts: whole.facts(),
        kind: AuditKind::Change,
        targets: vec![AuditTarget::parse("server:")],
        request: Value::Null,
    }
}

async fn make_groups_named(test: &TestStore, name: &str, count: usize) {
    for number in 0..count {
        make_group(test, &format!("{name}{number}"), NOW).await;
    }
}
