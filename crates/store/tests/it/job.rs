use std::time::Duration;

use outfitter_agent_protocol::{AttemptReport, AttemptStage, Evidence, FailureCode, Phase};
use outfitter_domain::AssignType::{AllUser, AssignUser};
use outfitter_domain::Millis;
use outfitter_domain::job::{Proof, Reason, State, WireState};
use outfitter_ids::{AttemptId, SystemIds};
use outfitter_store::{
    AttemptClocks, AttemptSign, AttemptState, Connected, DeleteRefusal, FinishOutcome, GoOutcome,
    GoRequest, ReconcileAction, ResultReport, RetryRefusal, SourceFacts, SweepCursor,
};

use crate::database::{NOW, id, on_both};
use crate::job_scene::{
    App, AppKind, Bytes, DIGEST, LEASE, ORDINARY, Scene, failed, good, later, simple,
};

/// One desktop with a channel, one job for it.
async fn one_job(scene: &Scene) -> (Connected, App) {
    let desktop = scene.desktop("d1", &[]).await;
    let app = scene.app("a", ORDINARY).await;
    scene.deploy(&[app], AllUser, &[]).await;
    (scene.connect(desktop).await, app)
}

async fn reconcile(
    scene: &Scene,
    from: Connected,
    reports: &[(AttemptId, AttemptStage)],
    now: Millis,
) -> Vec<(AttemptId, ReconcileAction)> {
    let reports: Vec<_> = reports
        .iter()
        .map(|(attempt, stage)| AttemptReport {
            attempt: *attempt,
            stage: *stage,
        })
        .collect();
    let tx = scene.test.store.write().await.unwrap();
    let actions = tx.attempt_reconcile(from, &reports, now).await.unwrap();
    tx.commit().await.unwrap();
    actions
}

async fn expire(scene: &Scene, now: Millis) -> usize {
    let tx = scene.test.store.write().await.unwrap();
    let desktops = tx
        .attempt_expire(AttemptClocks::STANDARD, 100, now)
        .await
        .unwrap();
    let waiting = tx
        .job_expire_retry_wait(AttemptClocks::STANDARD.silence, 100, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    desktops.len() + waiting
}

async fn sweep(scene: &Scene, now: Millis) -> usize {
    let mut cursor = Some(SweepCursor::START);
    let mut failed = 0;
    while let Some(from) = cursor {
        let tx = scene.test.store.write().await.unwrap();
        let (next, count) = tx.job_sweep_init(from, 2, now).await.unwrap();
        tx.commit().await.unwrap();
        failed += count;
        cursor = next;
    }
    failed
}

on_both! {
    async fn a_job_lives_from_init_to_success(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, app) = one_job(&scene).await;
        let task = scene.lease_one(connected, NOW).await;
        assert_eq!((task.app, task.app_version.as_str(), task.run_limit_secs), (app.id, "1.0", 3600));
        assert_eq!(task.package.sha256.as_deref(), Some(DIGEST));
        assert_eq!(task.package.file_name, "a.deb");
        // Handed out and not acknowledged is still INIT, and is handed out once.
        assert_eq!(scene.job().await.state, State::Leased);
        assert!(scene.lease(&[connected], NOW).await.is_empty());

        assert_eq!(scene.go(connected, task.attempt, later(1)).await, GoOutcome::Released);
        // Asked again (the answer was lost), it answers the same.
        assert_eq!(scene.go(connected, task.attempt, later(2)).await, GoOutcome::Released);
        let job = scene.job().await;
        assert_eq!((job.state, job.updated_at), (State::Running, later(1)));
        let source = scene.test.store.db().attempt_source(connected.desktop, task.attempt).await.unwrap();
        assert_eq!(source, Some(SourceFacts {
            store_type: outfitter_domain::StoreType::Obs,
            sha256: Some(DIGEST.to_owned()),
            size_bytes: Some(100),
            file_link: None,
        }));

        assert_eq!(scene.finish(connected, good(&task), later(3)).await, FinishOutcome::Recorded(State::Succeeded));
        assert_eq!(scene.finish(connected, good(&task), later(4)).await, FinishOutcome::Duplicate);
        let job = scene.job().await;
        assert_eq!((job.state, job.proof, job.updated_at), (State::Succeeded, Some(Proof::ExitCodeOnly), later(3)));
        scene.check_counters().await;

        let (count, attempts) = scene.test.store.db().attempt_list(job.key, 0, 10).await.unwrap();
        let attempt = &attempts[0];
        assert_eq!((count, attempt.number, attempt.state), (1, 1, AttemptState::Ended));
        assert_eq!(attempt.outcome.as_deref(), Some("succeeded"));
        let receipt = attempt.receipt.as_ref().unwrap();
        assert_eq!((&receipt.evidence, receipt.proof), (&good(&task), Some(Proof::ExitCodeOnly)));
        assert_eq!(scene.test.store.db().attempt_source(connected.desktop, task.attempt).await.unwrap(), None);
    }

    async fn a_desktop_has_one_open_attempt(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let second = scene.app("b", ORDINARY).await;
        scene.deploy(&[second], AllUser, &[]).await;
        let task = scene.start(connected, NOW).await;
        assert!(scene.lease(&[connected], NOW).await.is_empty());
        scene.finish(connected, good(&task), NOW).await;
        let next = scene.lease_one(connected, NOW).await;
        assert_eq!(next.app, second.id);
    }

    async fn leases_taken_at_once_open_one_attempt(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let second = scene.app("b", ORDINARY).await;
        scene.deploy(&[second], AllUser, &[]).await;
        let twice = [connected, connected];
        let leased = futures_util::future::join_all((0..6).map(|_| scene.lease(&twice, NOW))).await;
        assert_eq!(leased.iter().map(Vec::len).sum::<usize>(), 1);
        assert_eq!(scene.test.number("SELECT COUNT(*) FROM attempt").await, 1);
        let states: Vec<_> = scene.jobs().await.into_iter().map(|job| job.state).collect();
        assert_eq!(states, [State::Queued, State::Leased]);
        assert_eq!(scene.test.number("SELECT CAST(SUM(attempts) AS BIGINT) FROM job").await, 1);
    }

    async fn a_stale_channel_gets_nothing(test: TestStore) {
        let scene = Scene::new(test);
        let (old, _) = one_job(&scene).await;
        let new = scene.connect(old.desktop).await;
        assert!(scene.lease(&[old], NOW).await.is_empty());
        let task = scene.lease_one(new, NOW).await;
        assert_eq!(scene.go(old, task.attempt, NOW).await, GoOutcome::Stale);
        let elsewhere = Connected { desktop: scene.desktop("d2", &[]).await, epoch: new.epoch };
        assert_eq!(scene.go(elsewhere, task.attempt, NOW).await, GoOutcome::Stale);
        assert_eq!(scene.finish(elsewhere, good(&task), NOW).await, FinishOutcome::Unknown);
        assert_eq!(scene.go(new, AttemptId::new(id()), NOW).await, GoOutcome::Stale);
        assert_eq!(scene.job().await.state, State::Leased);
    }

    async fn a_lease_lapses_invisibly(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let before = scene.job().await;
        let task = scene.lease_one(connected, NOW).await;
        let tx = scene.test.store.write().await.unwrap();
        assert!(tx.attempt_lapse(10, later(59)).await.unwrap().is_empty());
        assert_eq!(tx.attempt_lapse(10, later(60)).await.unwrap(), [connected.desktop]);
        tx.commit().await.unwrap();
        assert_eq!(scene.job().await, before);
        assert_eq!(scene.go(connected, task.attempt, later(61)).await, GoOutcome::Stale);
        let again = scene.lease_one(connected, later(61)).await;
        assert_ne!(again.attempt, task.attempt);
        scene.check_counters().await;
    }

    async fn a_declined_task_comes_again_later(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let task = scene.lease_one(connected, NOW).await;
        let tx = scene.test.store.write().await.unwrap();
        tx.attempt_decline(connected, task.attempt, Duration::from_secs(30), NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert!(scene.lease(&[connected], later(29)).await.is_empty());
        scene.lease_one(connected, later(30)).await;
    }

    async fn only_the_authorized_are_released(test: TestStore) {
        let scene = Scene::new(test);
        let li = scene.user("li").await;
        let wang = scene.user("wang").await;
        let staff = scene.group("staff", &[wang]).await;
        let desktop = scene.desktop("d1", &[li, wang]).await;
        let assigned = AppKind { authorization: AssignUser, ..ORDINARY };
        let connected = scene.connect(desktop).await;
        let revoke = async |app: App, account: &str| {
            scene.test.sql(&format!(
                "DELETE FROM app_authorization WHERE app_id = {} AND account = '{account}'", app.key.get()
            )).await;
        };

        // Directly; then another user in scope; then nobody.
        let app = scene.app("a", assigned).await;
        scene.deploy(&[app], AssignUser, &[simple("li"), simple("wang")]).await;
        revoke(app, "li").await;
        let task = scene.start(connected, NOW).await;
        scene.finish(connected, good(&task), NOW).await;
        let nobody = scene.app("b", assigned).await;
        scene.deploy(&[nobody], AssignUser, &[simple("li"), simple("wang")]).await;
        revoke(nobody, "li").await;
        revoke(nobody, "wang").await;
        let task = scene.lease_one(connected, NOW).await;
        assert_eq!(scene.go(connected, task.attempt, NOW).await, GoOutcome::Refused(Reason::NoLongerAuthorized));
        let job = scene.jobs().await.remove(0);
        assert_eq!((job.state, job.reason), (State::Failed, Some(Reason::NoLongerAuthorized)));
        assert!(job.message.unwrap().contains("Authorize a user"));

        // By a group, as it is now; and not for a user out of scope.
        let grouped = scene.app("c", assigned).await;
        scene.test.authorize(grouped.key.get(), "USER_GROUP", "Staff").await;
        scene.deploy(&[grouped], AssignUser, &[simple("wang")]).await;
        let task = scene.start(connected, NOW).await;
        scene.finish(connected, good(&task), NOW).await;
        let left = scene.app("e", assigned).await;
        scene.test.authorize(left.key.get(), "USER_GROUP", "Staff").await;
        scene.test.authorize(left.key.get(), "SIMPLE", "li").await;
        scene.deploy(&[left], AssignUser, &[simple("wang")]).await;
        let tx = scene.test.store.write().await.unwrap();
        tx.group_members_remove(staff, &[wang]).await.unwrap();
        tx.commit().await.unwrap();
        let task = scene.lease_one(connected, NOW).await;
        assert_eq!(scene.go(connected, task.attempt, NOW).await, GoOutcome::Refused(Reason::NoLongerAuthorized));
        scene.check_counters().await;
    }

    async fn a_job_without_target_stands_while_the_app_is_for_everyone(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, app) = one_job(&scene).await;
        let set = async |word: &str| {
            scene.test.sql(&format!("UPDATE app SET authorization_type = '{word}' WHERE id = {}", app.key.get())).await;
        };
        set("ASSIGN_USER").await;
        let li = scene.user("li").await;
        scene.test.authorize(app.key.get(), "SIMPLE", "li").await;
        scene.test.sql(&format!(
            "INSERT INTO desktop_user (desktop_id, user_id) VALUES ({}, {})", connected.desktop.get(), li.get()
        )).await;
        let task = scene.lease_one(connected, NOW).await;
        assert_eq!(scene.go(connected, task.attempt, NOW).await, GoOutcome::Refused(Reason::NoLongerAuthorized));
    }

    async fn what_was_deleted_or_disabled_is_not_released(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, app) = one_job(&scene).await;
        let task = scene.lease_one(connected, NOW).await;
        scene.test.sql(&format!("UPDATE app SET status = 'FORBIDDEN' WHERE id = {}", app.key.get())).await;
        scene.test.sql("UPDATE project SET enabled = 0 WHERE id = 1").await;
        assert_eq!(scene.go(connected, task.attempt, NOW).await, GoOutcome::Refused(Reason::ProjectDisabled));
        let job = scene.job().await.id;
        scene.test.sql("UPDATE project SET enabled = 1 WHERE id = 1").await;
        assert_eq!(scene.retry(&[job], NOW).await, Err(RetryRefusal::NotAuthorized { app_name: "a".to_owned() }));
        scene.test.sql(&format!("UPDATE app SET status = 'NORMAL' WHERE id = {}", app.key.get())).await;
        scene.retry(&[job], NOW).await.unwrap();
        let task = scene.lease_one(connected, NOW).await;
        scene.test.sql(&format!("UPDATE app SET deleted_at = 1 WHERE id = {}", app.key.get())).await;
        assert_eq!(scene.go(connected, task.attempt, NOW).await, GoOutcome::Refused(Reason::AppDeleted));
        assert_eq!(scene.retry(&[job], NOW).await, Err(RetryRefusal::AppDeleted));
        scene.check_counters().await;
    }

    async fn a_forbidden_app_does_not_stop_jobs_that_exist(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, app) = one_job(&scene).await;
        scene.test.sql(&format!("UPDATE app SET status = 'FORBIDDEN' WHERE id = {}", app.key.get())).await;
        scene.start(connected, NOW).await;
    }

    async fn a_job_waits_for_its_package_and_fails_without_one(test: TestStore) {
        let scene = Scene::new(test);
        let desktop = scene.desktop("d1", &[]).await;
        let pending = scene.app("a", AppKind { store: Bytes::Pending, ..ORDINARY }).await;
        let stored = scene.app("b", ORDINARY).await;
        scene.deploy(&[pending, stored], AllUser, &[]).await;
        let connected = scene.connect(desktop).await;
        // The one that waits does not hold up the next.
        let task = scene.start(connected, NOW).await;
        assert_eq!(task.app, stored.id);
        scene.finish(connected, good(&task), NOW).await;
        assert!(scene.lease(&[connected], NOW).await.is_empty());
        scene.test.sql("UPDATE package SET state = 'ready'").await;
        let task = scene.lease_one(connected, NOW).await;
        assert_eq!(task.package.sha256, Some("b".repeat(64)));
        scene.go(connected, task.attempt, NOW).await;
        let other_bytes = good(&task);
        assert_eq!(scene.finish(connected, other_bytes, NOW).await, FinishOutcome::Recorded(State::Failed));
        assert_eq!(scene.jobs().await.iter().filter(|job| job.reason == Some(Reason::DigestMismatch)).count(), 1);

        let absent = scene.app("c", AppKind { store: Bytes::Absent, ..ORDINARY }).await;
        scene.deploy(&[absent], AllUser, &[]).await;
        let tx = scene.test.store.write().await.unwrap();
        let page = tx.job_lease(&[connected], LEASE, &SystemIds, NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((page.tasks.len(), page.failed), (0, vec![desktop]));
        assert_eq!(scene.jobs().await[0].reason, Some(Reason::PackageMissing));
        scene.check_counters().await;
    }

    async fn a_link_is_tried_on_one_desktop_first_and_pinned(test: TestStore) {
        let scene = Scene::new(test);
        let mut connected = Vec::new();
        for name in ["d1", "d2"] {
            let desktop = scene.desktop(name, &[]).await;
            connected.push(scene.connect(desktop).await);
        }
        let link = scene.app("a", AppKind { store: Bytes::Link, ..ORDINARY }).await;
        scene.deploy(&[link], AllUser, &[]).await;
        let mut tasks = scene.lease(&connected, NOW).await;
        assert_eq!(tasks.len(), 1);
        let first = tasks.remove(0);
        assert_eq!(first.task.package.sha256, None);
        assert!(scene.lease(&connected, NOW).await.is_empty());
        scene.go(first.to, first.task.attempt, NOW).await;
        scene.finish(first.to, good(&first.task), NOW).await;
        let second = scene.lease(&connected, NOW).await.remove(0);
        assert_eq!(second.task.package.sha256.as_deref(), Some(DIGEST));
        assert_eq!(second.task.package.size_bytes, Some(100));
        assert_ne!(second.to, first.to);
        assert_eq!(scene.test.number("SELECT link_pinned_by FROM app_revision").await, first.to.desktop.get());
        // Other bytes there from now on: the job says what happened, not only that digests differ.
        scene.go(second.to, second.task.attempt, NOW).await;
        let mut changed = good(&second.task);
        changed.package_sha256 = Some("c".repeat(64));
        assert_eq!(scene.finish(second.to, changed, NOW).await, FinishOutcome::Recorded(State::Failed));
        let reasons: Vec<_> = scene.jobs().await.into_iter().filter_map(|job| job.reason).collect();
        assert_eq!(reasons, [Reason::LinkChanged]);
    }

    async fn a_passing_failure_is_retried_by_itself_and_stays_waiting(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, app) = one_job(&scene).await;
        let mut now = NOW;
        let mut revisions = Vec::new();
        for round in 1..=4 {
            let task = scene.start(connected, now).await;
            revisions.push(task.app_version.clone());
            if round == 1 {
                // A new revision does not change what the retries are about.
                scene.revision(app, "2.0", Bytes::Stored).await;
            }
            let outcome = scene.finish(connected, failed(&task, FailureCode::InstallerBusy), now).await;
            let job = scene.job().await;
            if round < 4 {
                assert_eq!(outcome, FinishOutcome::Recorded(State::RetryWait), "round {round}");
                assert_eq!(job.state.wire(), WireState::Waiting);
                assert!(scene.lease(&[connected], now).await.is_empty());
                now = now.plus(Duration::from_secs(15 * 60));
                assert_eq!(scene.test.store.db().job_retry_due(now, 10).await.unwrap(), [connected.desktop]);
                // While the next attempt is leased the job is WAITING, too.
                let task = scene.lease_one(connected, now).await;
                assert_eq!(scene.job().await.state, State::RetryWait);
                let tx = scene.test.store.write().await.unwrap();
                tx.attempt_unsend(&[task.attempt], now).await.unwrap();
                tx.commit().await.unwrap();
            } else {
                assert_eq!(outcome, FinishOutcome::Recorded(State::Failed));
                assert_eq!(job.reason, Some(Reason::InstallerBusy));
            }
        }
        assert_eq!(revisions, ["1.0"; 4]);
        scene.check_counters().await;

        // A person's retry takes the newest revision and counts anew.
        let job = scene.job().await;
        assert_eq!(scene.retry(&[job.id], now).await, Ok(vec![connected.desktop]));
        let retried = scene.job().await;
        assert_eq!((retried.id, retried.state, retried.message), (job.id, State::Queued, None));
        assert_eq!(scene.start(connected, now).await.app_version, "2.0");
        scene.check_counters().await;
    }

    async fn lying_evidence_is_a_failure(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let task = scene.start(connected, NOW).await;
        let lie = Evidence { already_installed: true, exit_code: None, ..good(&task) };
        assert_eq!(scene.finish(connected, lie, NOW).await, FinishOutcome::Recorded(State::Failed));
        assert_eq!(scene.job().await.reason, Some(Reason::EvidenceRefused));
        // Nor can anything have run before it was released.
        let job = scene.job().await.id;
        scene.retry(&[job], NOW).await.unwrap();
        let task = scene.lease_one(connected, NOW).await;
        assert_eq!(scene.finish(connected, good(&task), NOW).await, FinishOutcome::Recorded(State::Failed));
        assert_eq!(scene.job().await.reason, Some(Reason::EvidenceRefused));
        scene.check_counters().await;
    }

    async fn late_result_after_expiry_is_kept(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let task = scene.start(connected, NOW).await;
        assert_eq!(expire(&scene, later(2 * 3600 - 1)).await, 0);
        assert_eq!(expire(&scene, later(2 * 3600)).await, 1);
        assert_eq!(scene.job().await.reason, Some(Reason::NoSignOfLife));
        // Coming back, the agent is not stopped: its result still counts.
        let back = scene.connect(connected.desktop).await;
        assert!(reconcile(&scene, back, &[(task.attempt, AttemptStage::Running)], later(8000)).await.is_empty());
        assert_eq!(scene.finish(back, good(&task), later(8001)).await, FinishOutcome::Recorded(State::Succeeded));
        let job = scene.job().await;
        assert_eq!((job.state, job.reason, job.message), (State::Succeeded, None, None));
        scene.check_counters().await;
    }

    async fn a_late_failure_or_one_after_a_retry_changes_nothing(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let task = scene.start(connected, NOW).await;
        expire(&scene, later(7200)).await;
        assert_eq!(scene.finish(connected, failed(&task, FailureCode::DiskFull), later(7201)).await, FinishOutcome::Kept);
        assert_eq!(scene.job().await.reason, Some(Reason::NoSignOfLife));

        scene.retry(&[scene.job().await.id], later(7300)).await.unwrap();
        let second = scene.start(connected, later(7300)).await;
        expire(&scene, later(14600)).await;
        scene.retry(&[scene.job().await.id], later(14700)).await.unwrap();
        assert_eq!(scene.finish(connected, good(&second), later(14701)).await, FinishOutcome::Kept);
        assert_eq!(scene.job().await.state, State::Queued);
        // Failed again by another attempt's clock: the older one's proof is still not it.
        scene.start(connected, later(14800)).await;
        expire(&scene, later(30000)).await;
        assert_eq!(scene.finish(connected, good(&second), later(30001)).await, FinishOutcome::Duplicate);
        assert_eq!(scene.job().await.state, State::Failed);
        scene.check_counters().await;
    }

    async fn signs_of_life_and_the_run_limit_hold_the_clocks(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let task = scene.start(connected, NOW).await;
        let sign = async |phase: Option<Phase>, at: Millis| {
            let tx = scene.test.store.write().await.unwrap();
            tx.attempt_seen(&[AttemptSign { attempt: task.attempt, desktop: connected.desktop, at, phase, percent: None, bytes_per_second: None }]).await.unwrap();
            tx.commit().await.unwrap();
        };
        sign(Some(Phase::Downloading), later(3000)).await;
        assert_eq!(expire(&scene, later(7200)).await, 0);
        sign(Some(Phase::Running), later(7000)).await;
        sign(None, later(10_000)).await;
        let (_, attempts) = scene.test.store.db().attempt_list(scene.job().await.key, 0, 1).await.unwrap();
        assert_eq!((attempts[0].phase, attempts[0].seen_at), (Some(Phase::Running), later(10_000)));
        // 7000 + 3600 (the app's limit) + 600 (margin).
        assert_eq!(expire(&scene, later(11_199)).await, 0);
        assert_eq!(expire(&scene, later(11_200)).await, 1);
        assert_eq!(scene.job().await.reason, Some(Reason::RunLimit));
        scene.check_counters().await;
    }

    async fn a_slow_download_is_ended_by_no_clock_while_bytes_come(test: TestStore) {
        const DAY: u64 = 24 * 3600;
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let task = scene.start(connected, NOW).await;
        let sign = async |bytes_per_second: Option<u64>, at: Millis| {
            let phase = bytes_per_second.map(|_| Phase::Downloading);
            let tx = scene.test.store.write().await.unwrap();
            tx.attempt_seen(&[AttemptSign { attempt: task.attempt, desktop: connected.desktop, at, phase, percent: None, bytes_per_second }]).await.unwrap();
            tx.commit().await.unwrap();
        };
        for day in 1..4 {
            sign(Some(300), later(day * DAY - 3600)).await;
            sign(None, later(day * DAY)).await;
            assert_eq!(expire(&scene, later(day * DAY)).await, 0);
        }
        // The agent lives, and nothing has come for a day.
        let last = 3 * DAY - 3600;
        for at in [last + DAY - 1, last + DAY] {
            sign(Some(0), later(at)).await;
            assert_eq!(expire(&scene, later(at)).await, usize::from(at == last + DAY));
        }
        assert_eq!(scene.job().await.reason, Some(Reason::RunLimit));
        scene.check_counters().await;
    }

    async fn a_retry_on_a_silent_desktop_ends(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let task = scene.start(connected, NOW).await;
        scene.finish(connected, failed(&task, FailureCode::DownloadFailed), NOW).await;
        scene.test.sql(&format!("UPDATE desktop SET last_seen_at = {}", later(7000).get())).await;
        assert_eq!(expire(&scene, later(7300)).await, 0);
        assert_eq!(expire(&scene, later(14_200)).await, 1);
        assert_eq!(scene.job().await.reason, Some(Reason::NoSignOfLife));
        scene.check_counters().await;
    }

    async fn init_expires_after_its_time_counted_from_the_last_queueing(test: TestStore) {
        const DAY: u64 = 24 * 3600;
        let scene = Scene::new(test);
        for number in 0..5 {
            scene.desktop(&format!("d{number}"), &[]).await;
        }
        let app = scene.app("a", ORDINARY).await;
        scene.deploy(&[app], AllUser, &[]).await;
        assert_eq!(sweep(&scene, later(30 * DAY - 1)).await, 0);
        assert_eq!(sweep(&scene, later(30 * DAY)).await, 5);
        let jobs = scene.jobs().await;
        assert!(jobs.iter().all(|job| job.reason == Some(Reason::ExpiredOffline)));
        scene.retry(&[jobs[0].id], later(31 * DAY)).await.unwrap();
        assert_eq!(sweep(&scene, later(60 * DAY)).await, 0);
        assert_eq!(sweep(&scene, later(61 * DAY)).await, 1);
        scene.check_counters().await;
    }

    async fn init_jobs_of_what_was_deleted_fail(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, app) = one_job(&scene).await;
        let other = scene.desktop("d2", &[]).await;
        let running = scene.connect(other).await;
        scene.deploy(&[app], AllUser, &[]).await;
        scene.start(running, NOW).await;
        let leased = scene.lease_one(connected, NOW).await;
        // The app goes: INIT fails, also when it is leased; WAITING runs to its real end.
        scene.test.sql(&format!("UPDATE app SET deleted_at = 1 WHERE id = {}", app.key.get())).await;
        let tx = scene.test.store.write().await.unwrap();
        assert_eq!(tx.job_fail_of_app(scene.test.project, app.key, 100, NOW).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(scene.go(connected, leased.attempt, NOW).await, GoOutcome::Stale);
        let states: Vec<_> = scene.jobs().await.into_iter().map(|job| (job.state, job.reason)).collect();
        assert_eq!(states, [(State::Running, None), (State::Failed, Some(Reason::AppDeleted))]);
        // The desktop goes: WAITING fails, too, and its late result is not believed.
        let tx = scene.test.store.write().await.unwrap();
        assert_eq!(tx.job_fail_of_desktops(&[other], NOW).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(scene.jobs().await[0].reason, Some(Reason::DesktopDeleted));
        assert_eq!(scene.test.number("SELECT COUNT(*) FROM attempt WHERE ended_at IS NULL").await, 0);
        scene.check_counters().await;
    }

    async fn the_sweep_finds_jobs_of_deleted_apps_and_desktops(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, app) = one_job(&scene).await;
        scene.test.sql(&format!("UPDATE desktop SET deleted_at = 1 WHERE id = {}", connected.desktop.get())).await;
        assert_eq!(sweep(&scene, NOW).await, 1);
        assert_eq!(scene.job().await.reason, Some(Reason::DesktopDeleted));
        assert_eq!(scene.retry(&[scene.job().await.id], NOW).await, Err(RetryRefusal::NotSupported));
        scene.desktop("d2", &[]).await;
        scene.deploy(&[app], AllUser, &[]).await;
        scene.test.sql(&format!("UPDATE app SET deleted_at = 1 WHERE id = {}", app.key.get())).await;
        assert_eq!(sweep(&scene, NOW).await, 1);
        assert_eq!(scene.jobs().await[0].reason, Some(Reason::AppDeleted));
    }

    async fn retry_is_all_or_nothing(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, app) = one_job(&scene).await;
        let first = scene.job().await.id;
        assert_eq!(scene.retry(&[first], NOW).await, Err(RetryRefusal::NotSupported));
        let task = scene.start(connected, NOW).await;
        scene.finish(connected, failed(&task, FailureCode::DiskFull), NOW).await;
        let unknown = outfitter_ids::JobId::new(id());
        assert_eq!(scene.retry(&[first, unknown], NOW).await, Err(RetryRefusal::UnknownJob));
        // Another job for the same app and desktop is live.
        scene.deploy(&[app], AllUser, &[]).await;
        let second = scene.jobs().await[0].id;
        assert_eq!(scene.retry(&[first], NOW).await, Err(RetryRefusal::NotSupported));
        let task = scene.start(connected, NOW).await;
        scene.finish(connected, failed(&task, FailureCode::DiskFull), NOW).await;
        // Two in one call for the same app and desktop.
        assert_eq!(scene.retry(&[first, second], NOW).await, Err(RetryRefusal::NotSupported));
        assert!(scene.jobs().await.iter().all(|job| job.state == State::Failed));
        scene.retry(&[second], NOW).await.unwrap();
        scene.check_counters().await;
    }

    async fn jobs_are_deleted_unless_they_run(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let other = scene.app("b", ORDINARY).await;
        scene.deploy(&[other], AllUser, &[]).await;
        let task = scene.start(connected, NOW).await;
        let ids: Vec<_> = scene.jobs().await.iter().map(|job| job.id).collect();
        let delete = async |ids: &[outfitter_ids::JobId]| {
            let tx = scene.test.store.write().await.unwrap();
            let outcome = tx.job_delete(scene.test.project, ids).await.unwrap();
            tx.commit().await.unwrap();
            outcome
        };
        assert_eq!(delete(&ids).await, Err(DeleteRefusal::Running));
        assert_eq!(scene.jobs().await.len(), 2);
        scene.finish(connected, good(&task), NOW).await;
        let leased = scene.lease_one(connected, NOW).await;
        let mut with_unknown = ids.clone();
        with_unknown.push(outfitter_ids::JobId::new(id()));
        assert_eq!(delete(&with_unknown).await, Ok(2));
        assert!(scene.jobs().await.is_empty());
        for table in ["attempt", "receipt"] {
            assert_eq!(scene.test.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0);
        }
        // The agent that had it is told to forget it.
        assert_eq!(scene.go(connected, leased.attempt, NOW).await, GoOutcome::Stale);
        assert_eq!(scene.finish(connected, good(&leased), NOW).await, FinishOutcome::Unknown);
        assert_eq!(reconcile(&scene, connected, &[(leased.attempt, AttemptStage::Accepted)], NOW).await,
            [(leased.attempt, ReconcileAction::NoGo)]);
        scene.check_counters().await;
    }

    async fn a_returning_agent_and_the_server_agree_again(test: TestStore) {
        let scene = Scene::new(test);
        let (connected, _) = one_job(&scene).await;
        let task = scene.lease_one(connected, NOW).await;
        // Its acknowledgement was lost with the channel: coming back with it is one.
        let back = scene.connect(connected.desktop).await;
        assert_eq!(reconcile(&scene, back, &[(task.attempt, AttemptStage::Accepted)], later(1)).await,
            [(task.attempt, ReconcileAction::Go)]);
        assert_eq!(scene.job().await.state, State::Running);
        // The go was lost.
        let back = scene.connect(connected.desktop).await;
        assert_eq!(reconcile(&scene, back, &[(task.attempt, AttemptStage::Accepted)], later(2)).await,
            [(task.attempt, ReconcileAction::Go)]);
        // It runs, or has ended and the result follows.
        for stage in [AttemptStage::Running, AttemptStage::Ended] {
            assert!(reconcile(&scene, back, &[(task.attempt, stage)], later(3)).await.is_empty());
        }
        assert_eq!(scene.job().await.state, State::Running);
        // It lost the attempt.
        assert!(reconcile(&scene, back, &[], later(4)).await.is_empty());
        let job = scene.job().await;
        assert_eq!((job.state, job.reason), (State::Failed, Some(Reason::Interrupted)));
        // It turns up after all: too late, and not by a clock.
        assert_eq!(reconcile(&scene, back, &[(task.attempt, AttemptStage::Running)], later(5)).await,
            [(task.attempt, ReconcileAction::Cancel)]);

        // A task that never arrived is queued again at once.
        scene.retry(&[job.id], later(6)).await.unwrap();
        let task = scene.lease_one(back, later(6)).await;
        assert!(reconcile(&scene, back, &[], later(6)).await.is_empty());
        assert_eq!(scene.job().await.state, State::Leased, "it is on its way: {task:?}");
        let back = scene.connect(connected.desktop).await;
        let unknown = AttemptId::new(id());
        assert_eq!(reconcile(&scene, back, &[(unknown, AttemptStage::Running)], later(7)).await,
            [(unknown, ReconcileAction::Cancel)]);
        assert_eq!(scene.job().await.state, State::Queued);
        scene.lease_one(back, later(8)).await;
        scene.check_counters().await;
    }

    async fn a_group_of_messages_is_one_transaction(test: TestStore) {
        let scene = Scene::new(test);
        let app = scene.app("a", ORDINARY).await;
        let mut connected = Vec::new();
        for number in 0..5 {
            let desktop = scene.desktop(&format!("d{number}"), &[]).await;
            connected.push(scene.connect(desktop).await);
        }
        scene.deploy(&[app], AllUser, &[]).await;
        let tasks = scene.lease(&connected, NOW).await;
        assert_eq!(tasks.len(), 5);
        let mut requests: Vec<_> = tasks.iter().map(|task| GoRequest { from: task.to, attempt: task.task.attempt }).collect();
        requests.insert(2, GoRequest { from: connected[0], attempt: AttemptId::new(id()) });
        requests.push(requests[0]);
        let tx = scene.test.store.write().await.unwrap();
        let outcomes = tx.attempt_go_if_leased(&requests, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let stale: Vec<_> = outcomes.iter().map(|outcome| *outcome == GoOutcome::Stale).collect();
        assert_eq!(stale, [false, false, true, false, false, false, false]);
        let reports: Vec<_> = tasks.iter().enumerate().map(|(number, task)| ResultReport {
            desktop: task.to.desktop,
            evidence: if number == 1 { failed(&task.task, FailureCode::StartFailed) } else { good(&task.task) },
            signed: None,
        }).chain([ResultReport { desktop: tasks[0].to.desktop, evidence: good(&tasks[0].task), signed: None }]).collect();
        let tx = scene.test.store.write().await.unwrap();
        let outcomes = tx.attempt_finish_if_running(&reports, NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(outcomes[0], FinishOutcome::Recorded(State::Succeeded));
        assert_eq!(outcomes[1], FinishOutcome::Recorded(State::Failed));
        assert_eq!(outcomes[5], FinishOutcome::Duplicate);
        assert_eq!(scene.jobs().await.iter().filter(|job| job.state == State::Succeeded).count(), 4);
        scene.check_counters().await;
    }
}
