use outfitter_agent_protocol::{
    Approach, DetectionRule, ExitMeaning, ExitOutcome, FailureCode, Method, TaskKind,
};
use outfitter_domain::AssignType;
use outfitter_domain::install::SkipReason;
use outfitter_domain::job::{Proof, Reason, State};
use outfitter_store::{
    Connected, FailLimit, FinishOutcome, GoOutcome, IdempotencyClaim, JobFilter, Page, RetryRefusal,
};

use crate::database::{NOW, on_both};
use crate::job_scene::{
    App, AppKind, Bytes, ORDINARY, Scene, Wish, failed, good, later, simple, user_group,
};

async fn uninstall_command(scene: &Scene, app: App, command: &str) {
    scene
        .test
        .sql(&format!(
            "UPDATE app_revision SET uninstall_command = '{command}' WHERE id = \
             (SELECT revision_id FROM app WHERE id = {})",
            app.key.get()
        ))
        .await;
}

/// Installs an app on a desktop, to its end.
async fn installed(scene: &Scene, app: App, on: Connected) {
    scene.deploy(&[app], AssignType::AllUser, &[]).await;
    let task = scene.start(on, NOW).await;
    let outcome = scene.finish(on, good(&task), NOW).await;
    assert_eq!(outcome, FinishOutcome::Recorded(State::Succeeded));
}

/// Why a deployment opened no job, in the order of the desktops.
async fn skips(scene: &Scene, deployment: outfitter_store::DeploymentKey) -> Vec<SkipReason> {
    let view = scene.view(deployment).await;
    let db = scene.test.store.db();
    let skipped = db.deployment_skipped(&view, 0, 100).await.unwrap();
    skipped.into_iter().map(|skip| skip.reason).collect()
}

fn count(list: (i64, Vec<outfitter_store::JobView>)) -> (i64, usize) {
    (list.0, list.1.len())
}

on_both! {
    async fn an_uninstall_is_about_the_revision_on_the_desktop(test: TestStore) {
        let scene = Scene::new(test);
        let desktop = scene.desktop("d", &[]).await;
        let connected = scene.connect(desktop).await;
        let app = scene.app("a", ORDINARY).await;
        uninstall_command(&scene, app, "remove one").await;
        scene.test.sql("UPDATE app_revision SET detection_rule = \
            '{\"debian_package\":{\"name\":\"a\",\"version\":\"1.0\"}}', detection_origin = 'written'").await;
        installed(&scene, app, connected).await;
        let db = scene.test.store.db();
        let there = db.desktop_app_get(desktop, app.key).await.unwrap().unwrap();
        assert_eq!((there.version.as_str(), there.proof), ("1.0", Proof::Rule));
        assert_eq!(db.desktop_app_outdated(scene.test.project, app.key, Page::ALL).await.unwrap().total, 0);

        scene.revision(app, "2.0", Bytes::Stored).await;
        uninstall_command(&scene, app, "remove two").await;
        let outdated = db.desktop_app_outdated(scene.test.project, app.key, Page::ALL).await.unwrap();
        assert_eq!((outdated.total, outdated.items.as_slice()), (1, [there].as_slice()));

        scene.uninstall(&[app], &[]).await;
        let task = scene.start(connected, NOW).await;
        assert_eq!((task.kind, task.command.as_str(), task.app_version.as_str()), (TaskKind::Uninstall, "remove one", "1.0"));
        // Gone means gone in any version.
        assert_eq!(task.detection, Some(DetectionRule::DebianPackage { name: "a".to_owned(), version: None }));
        // Still there: not a success, and the desktop still has it.
        let still = scene.finish(connected, good(&task), NOW).await;
        assert_eq!(still, FinishOutcome::Recorded(State::Failed));
        assert_eq!(scene.jobs().await[0].reason, Some(Reason::StillDetectedAfterUninstall));
        assert!(db.desktop_app_get(desktop, app.key).await.unwrap().is_some());

        let job = scene.jobs().await[0].id;
        scene.retry(&[job], NOW).await.unwrap();
        let task = scene.start(connected, NOW).await;
        assert_eq!(task.command, "remove one");
        let mut gone = good(&task);
        gone.after.as_mut().unwrap().holds = false;
        let outcome = scene.finish(connected, gone, NOW).await;
        assert_eq!(outcome, FinishOutcome::Recorded(State::Succeeded));
        assert!(db.desktop_app_get(desktop, app.key).await.unwrap().is_none());
        scene.check_counters().await;

        // Not there any more: the newest revision tells how, and the agent that it is not there.
        scene.uninstall(&[app], &[desktop]).await;
        let task = scene.start(connected, NOW).await;
        assert_eq!(task.command, "remove two");
        let mut absent = good(&task);
        absent.already_absent = true;
        absent.exit_code = None;
        absent.package_sha256 = None;
        absent.before = absent.after.take().map(|seen| outfitter_agent_protocol::Detection { holds: false, ..seen });
        absent.rule = task.detection.clone();
        // Without a rule nobody can tell.
        assert!(task.detection.is_none());
        assert_eq!(scene.finish(connected, absent, NOW).await, FinishOutcome::Recorded(State::Failed));
    }

    async fn what_tells_how_an_app_goes_is_looked_for_from_near_to_far(test: TestStore) {
        let scene = Scene::new(test);
        let desktop = scene.desktop("d", &[]).await;
        let connected = scene.connect(desktop).await;
        let debian = scene.app("deb", ORDINARY).await;
        scene.test.sql("UPDATE package SET facts = '{\"kind\":\"deb\",\"debian\":{\"name\":\"hello\",\
            \"version\":\"1\",\"architecture\":\"all\"}}'").await;
        let archive = scene.app("zip", ORDINARY).await;
        scene.test.sql(&format!("UPDATE app SET install_type = 'UNZIP_INSTALL' WHERE id = {}", archive.key.get())).await;
        scene.test.sql(&format!("UPDATE app_revision SET install_command = 'unzip ${{FILE_PATH}}' WHERE app_id = {}",
            archive.key.get())).await;
        let link = scene.app("link", AppKind { store: Bytes::Link, ..ORDINARY }).await;
        scene.uninstall(&[debian, archive, link], &[desktop]).await;
        let mut seen = Vec::new();
        for _ in 0..2 {
            let task = scene.start(connected, NOW).await;
            seen.push((task.method, task.command.clone()));
            scene.finish(connected, failed(&task, FailureCode::CommandInvalid), NOW).await;
        }
        assert_eq!(seen[0].0, Method::Quiet);
        assert!(seen[0].1.contains("--remove hello"), "{seen:?}");
        assert_eq!(seen[1], (Method::Unzip, "unzip ${FILE_PATH}".to_owned()));
        // Nothing tells: the job ends and says so.
        assert!(scene.lease(&[connected], NOW).await.is_empty());
        assert_eq!(scene.jobs().await.iter().find(|job| job.app == link.id).unwrap().reason, Some(Reason::CommandMissing));
        // A command of the call comes first; one that names no package needs none.
        let wish = Wish { kind: TaskKind::Uninstall, uninstall_command: Some("mine"), ..Wish::INSTALL };
        let deployment = scene.deploy_wish(&[link], wish).await;
        scene.expand(deployment, 100).await;
        assert_eq!(scene.start(connected, NOW).await.command, "mine");
    }

    async fn an_app_is_never_put_on_and_taken_off_at_once(test: TestStore) {
        let scene = Scene::new(test);
        let desktop = scene.desktop("d", &[]).await;
        let connected = scene.connect(desktop).await;
        let app = scene.app("a", ORDINARY).await;
        uninstall_command(&scene, app, "remove").await;
        scene.deploy(&[app], AssignType::AllUser, &[]).await;
        let off = scene.uninstall(&[app], &[]).await;
        assert_eq!(skips(&scene, off).await, [SkipReason::OppositeInProgress]);
        let task = scene.start(connected, NOW).await;
        scene.finish(connected, failed(&task, FailureCode::CommandInvalid), NOW).await;
        let install = scene.jobs().await[0].id;

        scene.uninstall(&[app], &[]).await;
        let on = scene.deploy(&[app], AssignType::AllUser, &[]).await;
        assert_eq!(skips(&scene, on).await, [SkipReason::OppositeInProgress]);
        let again = scene.uninstall(&[app], &[]).await;
        assert_eq!(skips(&scene, again).await, [SkipReason::JobInProgress]);
        // A retry of the install would be the same.
        assert_eq!(scene.retry(&[install], NOW).await, Err(RetryRefusal::NotSupported));
        scene.check_counters().await;
    }

    async fn the_contracts_lists_speak_of_installs_alone(test: TestStore) {
        let scene = Scene::new(test);
        let ana = scene.user("ana").await;
        let desktop = scene.desktop("d", &[ana]).await;
        let connected = scene.connect(desktop).await;
        let (one, two) = (scene.app("a", ORDINARY).await, scene.app("b", ORDINARY).await);
        uninstall_command(&scene, one, "remove").await;
        installed(&scene, one, connected).await;
        scene.deploy(&[two], AssignType::AllUser, &[]).await;
        let off = scene.uninstall(&[one], &[]).await;
        let filters = [
            (JobFilter::default(), 2, 1),
            (JobFilter { app: Some(one.key), ..JobFilter::default() }, 1, 1),
            (JobFilter { desktop: Some(desktop), ..JobFilter::default() }, 2, 1),
            (JobFilter { target: Some("ana".to_owned()), ..JobFilter::default() }, 2, 1),
            (JobFilter { wire: Some(outfitter_domain::job::WireState::Init), ..JobFilter::default() }, 1, 1),
            (JobFilter { app: Some(two.key), target: Some("ana".to_owned()), ..JobFilter::default() }, 1, 0),
        ];
        let db = scene.test.store.db();
        for (filter, installs, uninstalls) in filters {
            for (kind, jobs) in [
                (Some(TaskKind::Install), installs),
                (Some(TaskKind::Uninstall), uninstalls),
                (None, installs + uninstalls),
            ] {
                let filter = JobFilter { kind, ..filter.clone() };
                let listed = db.job_list(scene.test.project, &filter, 0, 100).await.unwrap();
                assert!(listed.1.iter().all(|job| kind.is_none_or(|kind| job.kind == kind)));
                assert_eq!(count(listed), (jobs, usize::try_from(jobs).unwrap()), "{filter:?}");
            }
        }
        let (count, jobs) = db.deployment_job_list(scene.test.project, off, None, 0, 10).await.unwrap();
        assert_eq!((count, jobs[0].kind, jobs[0].app_version.as_str()), (1, TaskKind::Uninstall, "1.0"));
        scene.check_counters().await;
    }

    async fn whoever_may_not_have_an_app_may_lose_it(test: TestStore) {
        let scene = Scene::new(test);
        let ana = scene.user("ana").await;
        let desktop = scene.desktop("d", &[ana]).await;
        let connected = scene.connect(desktop).await;
        let restricted = AppKind { authorization: AssignType::AssignUser, ..ORDINARY };
        let app = scene.app("a", restricted).await;
        uninstall_command(&scene, app, "remove").await;
        // A named desktop is not put in anybody's stead: nobody there may have it.
        let wish = Wish { desktops: &[desktop], ..Wish::INSTALL };
        let on = scene.deploy_wish(&[app], wish).await;
        scene.expand(on, 100).await;
        assert_eq!(skips(&scene, on).await, [SkipReason::NotAuthorized]);
        scene.deploy(&[app], AssignType::AssignUser, &[simple("ana")]).await;
        let task = scene.start(connected, NOW).await;
        scene.finish(connected, good(&task), NOW).await;
        let other = scene.desktop("other", &[]).await;
        let on = scene.deploy_wish(&[app], Wish { desktops: &[desktop, other], ..Wish::INSTALL }).await;
        scene.expand(on, 1).await;
        scene.expand(on, 100).await;
        assert_eq!(skips(&scene, on).await, [SkipReason::NotAuthorized]);
        let task = scene.start(connected, NOW).await;
        scene.finish(connected, good(&task), NOW).await;

        scene.test.sql("DELETE FROM app_authorization").await;
        scene.uninstall(&[app], &[]).await;
        let task = scene.lease_one(connected, NOW).await;
        assert_eq!(scene.go(connected, task.attempt, NOW).await, GoOutcome::Released);
    }

    async fn repairs_limits_and_meanings_of_exit_codes_reach_the_task(test: TestStore) {
        let scene = Scene::new(test);
        let desktop = scene.desktop("d", &[]).await;
        let connected = scene.connect(desktop).await;
        let app = scene.app("a", ORDINARY).await;
        scene.test.sql("UPDATE app_revision SET exit_codes = '{\"5\":{\"outcome\":\"reboot_needed\",\"text\":\"almost\"}}'").await;
        let limit = FailLimit { count: Some(3), percent: Some(5) };
        let wish = Wish { approach: Approach::Repair, fail_limit: limit, ..Wish::INSTALL };
        let deployment = scene.deploy_wish(&[app], wish).await;
        scene.expand(deployment, 100).await;
        let view = scene.view(deployment).await;
        assert_eq!((view.approach, view.fail_limit), (Approach::Repair, limit));
        let task = scene.start(connected, NOW).await;
        assert_eq!(task.approach, Approach::Repair);
        let meaning = ExitMeaning { outcome: ExitOutcome::RebootNeeded, text: Some("almost".to_owned()) };
        assert_eq!(task.exit_codes.get(&5), Some(&meaning));

        // A success that wants a restart is one, and says so until the desktop has restarted.
        let mut done = good(&task);
        done.exit_code = Some(5);
        assert_eq!(scene.finish(connected, done, later(1)).await, FinishOutcome::Recorded(State::Succeeded));
        assert!(scene.job().await.restart_pending);
        assert_eq!(scene.test.number("SELECT reboot_needed_at FROM desktop").await, later(1).get());
        scene.test.sql("UPDATE desktop SET reboot_needed_at = NULL").await;
        assert!(!scene.job().await.restart_pending);
    }

    async fn what_tells_why_is_found(test: TestStore) {
        let scene = Scene::new(test);
        let ana = scene.user("ana").await;
        let bea = scene.user("bea").await;
        scene.group("office", &[ana, bea]).await;
        let desktop = scene.desktop("d", &[ana, bea]).await;
        let connected = scene.connect(desktop).await;
        let restricted = AppKind { authorization: AssignType::AssignUser, ..ORDINARY };
        let app = scene.app("a", restricted).await;
        let db = scene.test.store.db();
        let nothing = db.why(app.key, desktop).await.unwrap();
        assert!(nothing.authorized.is_empty() && nothing.job.is_none() && nothing.skipped.is_none());
        scene.deploy(&[app], AssignType::AssignUser, &[user_group("office"), simple("bea")]).await;
        let twice = scene.deploy(&[app], AssignType::AssignUser, &[simple("bea")]).await;
        let task = scene.start(connected, NOW).await;
        let record = db.why(app.key, desktop).await.unwrap();
        let named: Vec<_> = record.authorized.iter().map(|user| (user.name.as_str(), user.by_group.as_deref())).collect();
        assert_eq!(named, [("bea", None), ("ana", Some("office")), ("bea", Some("office"))]);
        let skipped = record.skipped.unwrap();
        assert_eq!((skipped.deployment, skipped.reason), (twice, SkipReason::JobInProgress));
        assert_eq!(record.busy_with, Some(("a".to_owned(), app.key)));
        let job = record.job.unwrap();
        assert_eq!((job.view.state, job.attempt.unwrap().id), (State::Running, task.attempt));
        assert!(job.deployment.get() < twice.get());
    }

    async fn a_key_makes_two_calls_one(test: TestStore) {
        let scene = Scene::new(test);
        let project = scene.test.project;
        let claim = async |digest: &[u8], now| {
            let tx = scene.test.store.write().await.unwrap();
            let claim = tx.idempotency_claim(project, "k", digest, now).await.unwrap();
            if claim == IdempotencyClaim::New {
                tx.idempotency_answer(project, "k", 201, "answer").await.unwrap();
            }
            tx.commit().await.unwrap();
            claim
        };
        assert_eq!(claim(b"one", NOW).await, IdempotencyClaim::New);
        let repeated = IdempotencyClaim::Repeated { body: "answer".to_owned() };
        assert_eq!(claim(b"one", later(10)).await, repeated);
        assert_eq!(claim(b"two", later(10)).await, IdempotencyClaim::Taken);
        // A day later it is forgotten.
        assert_eq!(claim(b"two", later(24 * 3600)).await, IdempotencyClaim::New);
        // What was not committed was not claimed.
        let tx = scene.test.store.write().await.unwrap();
        tx.idempotency_claim(project, "other", b"x", NOW).await.unwrap();
        drop(tx);
        let tx = scene.test.store.write().await.unwrap();
        assert_eq!(tx.idempotency_claim(project, "other", b"y", NOW).await.unwrap(), IdempotencyClaim::New);
    }
}
