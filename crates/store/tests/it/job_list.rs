use outfitter_domain::AssignType::AllUser;
use outfitter_domain::job::{Proof, WireState};
use outfitter_store::{Dialect, JobFilter, JobKey, JobView};

use crate::database::{NOW, on_both};
use crate::job_scene::{ORDINARY, Scene};

/// Every combination of the contract's filters.
fn filters(full: &JobFilter) -> Vec<JobFilter> {
    (0..16)
        .map(|bits| JobFilter {
            kind: None,
            desktop: full.desktop.filter(|_| bits & 1 != 0),
            app: full.app.filter(|_| bits & 2 != 0),
            target: full.target.clone().filter(|_| bits & 4 != 0),
            wire: full.wire.filter(|_| bits & 8 != 0),
            unverified: false,
        })
        .collect()
}

async fn list(scene: &Scene, filter: &JobFilter, offset: i64, limit: i64) -> (i64, Vec<JobView>) {
    scene
        .test
        .store
        .db()
        .job_list(scene.test.project, filter, offset, limit)
        .await
        .unwrap()
}

on_both! {
    async fn every_filter_pages_exactly_from_both_ends(test: TestStore) {
        let scene = Scene::new(test);
        let li = scene.user("li").await;
        let wang = scene.user("wang").await;
        let mut desktops = Vec::new();
        for number in 0..7 {
            desktops.push(scene.desktop(&format!("d{number}"), &[if number % 2 == 0 { li } else { wang }]).await);
        }
        let apps = [scene.app("a", ORDINARY).await, scene.app("b", ORDINARY).await, scene.app("c", ORDINARY).await];
        scene.deploy(&apps, AllUser, &[]).await;
        for desktop in &desktops[..3] {
            let connected = scene.connect(*desktop).await;
            scene.start(connected, NOW).await;
        }
        let all = scene.jobs().await;
        assert_eq!(all.len(), 21);
        assert!(all.is_sorted_by(|a, b| a.key > b.key));
        let full = JobFilter {
            kind: None,
            desktop: Some(desktops[0]),
            app: Some(apps[0].key),
            target: Some("li".to_owned()),
            wire: Some(WireState::Waiting),
            unverified: false,
        };
        for filter in filters(&full) {
            let expected: Vec<_> = all.iter().filter(|job| {
                filter.desktop.is_none_or(|_| job.desktop_name == "d0")
                    && filter.app.is_none_or(|_| job.app == apps[0].id)
                    && filter.target.as_ref().is_none_or(|target| job.target.as_ref() == Some(target))
                    && filter.wire.is_none_or(|wire| job.state.wire() == wire)
            }).cloned().collect();
            assert!(!expected.is_empty(), "{filter:?}");
            for limit in [1, 4, 100] {
                let mut paged = Vec::new();
                let mut offset = 0;
                loop {
                    let (count, page) = list(&scene, &filter, offset, limit).await;
                    assert_eq!(count, i64::try_from(expected.len()).unwrap(), "{filter:?}");
                    offset += limit;
                    let short = i64::try_from(page.len()).unwrap() < limit;
                    paged.extend(page);
                    if short {
                        break;
                    }
                }
                assert_eq!(paged, expected, "{filter:?}");
            }
        }
        assert_eq!(list(&scene, &JobFilter { target: Some("LI".to_owned()), ..Default::default() }, 0, 10).await.0, 0);
    }

    async fn a_reader_page_after_page_sees_what_one_who_jumps_there_sees(test: TestStore) {
        let scene = Scene::new(test);
        scene.desktop("d1", &[]).await;
        let app = scene.app("a", ORDINARY).await;
        scene.deploy(&[app], AllUser, &[]).await;
        // A deployment over so many desktops that positions are worth keeping.
        const DESKTOPS: i64 = 4_999;
        let public_id = match scene.test.store.dialect() {
            Dialect::Sqlite => "randomblob(16)",
            Dialect::Postgres => "gen_random_uuid()",
        };
        let numbers = format!("WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < {DESKTOPS})");
        for sql in [
            format!(
                "INSERT INTO desktop (public_id, project_id, name, name_folded, os_type, desktop_type, created_at) \
                 {numbers} SELECT {public_id}, 1, 'x' || v, 'x' || v, 'Linux', 'DEDICATED', 0 FROM n"
            ),
            format!(
                "INSERT INTO job (public_id, project_id, deployment_id, app_id, desktop_id, kind, wire, state, due_at, \
                 created_at, updated_at) SELECT {public_id}, 1, j.deployment_id, j.app_id, d.id, 0, j.wire, j.state, 0, \
                 0, 0 FROM desktop d CROSS JOIN job j WHERE d.name_folded LIKE 'x%'"
            ),
            format!("UPDATE job_count SET jobs = jobs + {DESKTOPS}"),
        ] {
            scene.test.sql(&sql).await;
        }
        let jumped = async |offset: i64| {
            // Inside a transaction no positions are kept.
            let tx = scene.test.store.write().await.unwrap();
            tx.db().job_list(scene.test.project, &JobFilter::default(), offset, 100).await.unwrap()
        };
        let mut offset = 0;
        while offset < DESKTOPS + 1 {
            let page = list(&scene, &JobFilter::default(), offset, 100).await;
            assert_eq!(page, jumped(offset).await, "at {offset}");
            assert_eq!((page.0, page.1.len()), (DESKTOPS + 1, 100), "at {offset}");
            offset += 100;
        }
        // A list that grew is counted off anew.
        list(&scene, &JobFilter::default(), 3_900, 100).await;
        scene.desktop("d2", &[]).await;
        scene.test.sql(&format!(
            "INSERT INTO job (public_id, project_id, deployment_id, app_id, desktop_id, kind, wire, state, due_at, \
             created_at, updated_at) SELECT {public_id}, 1, MIN(j.deployment_id), MIN(j.app_id), \
             (SELECT MAX(id) FROM desktop), 0, 0, 0, 0, 0, 0 FROM job j"
        )).await;
        scene.test.sql("UPDATE job_count SET jobs = jobs + 1").await;
        let page = list(&scene, &JobFilter::default(), 4_000, 100).await;
        assert_eq!(page, jumped(4_000).await);
        assert_eq!(page.0, DESKTOPS + 2);
    }

    async fn another_project_sees_nothing(test: TestStore) {
        let scene = Scene::new(test);
        let desktop = scene.desktop("d1", &[]).await;
        let app = scene.app("a", ORDINARY).await;
        scene.deploy(&[app], AllUser, &[]).await;
        let job = scene.job().await;
        let full = JobFilter { kind: None, desktop: Some(desktop), app: Some(app.key), target: None, wire: Some(WireState::Init), unverified: false };
        let db = scene.test.store.db();
        let other = scene.test.other_project;
        for filter in filters(&full) {
            assert_eq!(db.job_list(other, &filter, 0, 10).await.unwrap(), (0, vec![]), "{filter:?}");
        }
        assert_eq!(db.job_find(other, job.id).await.unwrap(), None);
        assert_eq!(db.deployment_find(other, job.deployment).await.unwrap(), None);
        assert_eq!(db.deployment_list(other, Default::default(), 0, 10).await.unwrap(), (0, vec![]));
        let tx = scene.test.store.write().await.unwrap();
        assert!(tx.job_retry(other, &[job.id], NOW).await.unwrap().is_err());
        assert_eq!(tx.job_delete(other, &[job.id]).await.unwrap(), Ok(0));
        assert!(tx.deployment_apps(other, &[app.id]).await.unwrap().is_empty());
    }

    async fn every_filter_is_answered_by_its_index(test: TestStore) {
        let scene = Scene::new(test);
        let li = scene.user("li").await;
        let desktop = scene.desktop("d1", &[li]).await;
        let app = scene.app("a", ORDINARY).await;
        scene.deploy(&[app], AllUser, &[]).await;
        // So many jobs that a plan by the wrong index, or one that reads the table, would cost more.
        let numbers = "WITH RECURSIVE n(v) AS (SELECT 1000 UNION ALL SELECT v + 1 FROM n WHERE v < 40999)";
        let public_id = match scene.test.store.dialect() {
            Dialect::Sqlite => "randomblob(16)",
            Dialect::Postgres => "gen_random_uuid()",
        };
        scene.test.sql(&format!(
            "{numbers} INSERT INTO job (public_id, project_id, deployment_id, app_id, desktop_id, kind, wire, state, \
             target, due_at, created_at, updated_at) \
             SELECT {public_id}, 1 + v % 2, v, v % 53, v % 401, 0, v % 4, 0, 'user' || (v % 401), 0, 0, 0 FROM n"
        )).await;
        if scene.test.store.dialect() == Dialect::Postgres {
            scene.test.sql("VACUUM (ANALYZE) job").await;
        }
        let full = JobFilter {
            kind: None,
            desktop: Some(desktop),
            app: Some(app.key),
            target: Some("user7".to_owned()),
            wire: Some(WireState::Init),
            unverified: false,
        };
        for filter in filters(&full) {
            let plan = scene.test.store.db().job_list_explain(scene.test.project, &filter).await.unwrap();
            let last = JobKey::new(40_000);
            let onward = scene.test.store.db().job_list_explain_after(scene.test.project, &filter, last).await.unwrap();
            assert!(!onward.contains("Seq Scan on job") && !onward.contains("SCAN job\n"), "{filter:?}:\n{onward}");
            let expected: &[&str] = match (&filter.desktop, &filter.target, &filter.app, &filter.wire) {
                (Some(_), Some(_), _, _) => &["job_desktop_wire", "job_target_wire"],
                (Some(_), None, Some(_), _) => &["job_desktop_wire", "job_app_wire"],
                (Some(_), None, None, _) => &["job_desktop_wire"],
                (None, Some(_), _, _) => &["job_target_wire"],
                (None, None, Some(_), _) => &["job_app_wire"],
                (None, None, None, Some(_)) => &["job_project_wire"],
                (None, None, None, None) => &["job_project"],
            };
            // SQLite is told which; PostgreSQL may combine the selective ones.
            let expected = match scene.test.store.dialect() {
                Dialect::Sqlite => &expected[..1],
                Dialect::Postgres => expected,
            };
            let uses = |index: &str| plan.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == index);
            assert!(expected.iter().any(|index| uses(index)), "{filter:?} by {expected:?}:\n{plan}");
            assert!(!plan.contains("Seq Scan on job") && !plan.contains("SCAN job\n"), "{filter:?}:\n{plan}");
        }
        let unverified = JobFilter { unverified: true, ..JobFilter::default() };
        let plan = scene.test.store.db().job_list_explain(scene.test.project, &unverified).await.unwrap();
        assert!(plan.contains("job_unverified"), "{plan}");
    }

    async fn what_nothing_verifies_is_listed_by_itself(test: TestStore) {
        let scene = Scene::new(test);
        let app = scene.app("a", ORDINARY).await;
        for name in ["d1", "d2", "d3", "d4"] {
            scene.desktop(name, &[]).await;
        }
        scene.deploy(&[app], AllUser, &[]).await;
        // By key: verified by its rule, by its exit code alone, by a receipt that proves nothing, not ended.
        for (place, proof) in [(1, Proof::Rule), (2, Proof::ExitCodeOnly), (3, Proof::ReceiptInvalid)] {
            scene.test.sql(&format!(
                "UPDATE job SET wire = 2, state = 4, proof = {} WHERE id = (SELECT id FROM job ORDER BY id LIMIT 1 OFFSET {})",
                proof.number(), place - 1,
            )).await;
        }
        let all = scene.jobs().await;
        let wanted: Vec<_> = all.iter().filter(|job| job.proof.is_some_and(|proof| !proof.is_verified())).cloned().collect();
        assert_eq!(wanted.len(), 2);
        let unverified = JobFilter { unverified: true, ..JobFilter::default() };
        assert_eq!(list(&scene, &unverified, 0, 10).await, (2, wanted.clone()));
        assert_eq!(list(&scene, &unverified, 1, 10).await, (2, wanted[1..].to_vec()));
        let of_app = JobFilter { app: Some(app.key), wire: Some(WireState::Success), ..unverified.clone() };
        assert_eq!(list(&scene, &of_app, 0, 10).await.0, 2);
        assert_eq!(list(&scene, &JobFilter { wire: Some(WireState::Fail), ..unverified }, 0, 10).await.0, 0);
    }
}
