use std::time::Duration;

use outfitter_agent_protocol::{AttemptReport, AttemptStage, FailureCode, Phase, RunningPrograms};
use outfitter_domain::AssignType;
use outfitter_domain::install::{ClosingMode, ProgramClosing};
use outfitter_domain::job::{Reason, State};
use outfitter_store::{
    AttemptSign, CancelOutcome, Changes, Connected, FinishOutcome, FreezeScope, GoOutcome, JobKey,
    ReconcileAction,
};

use crate::database::{NOW, on_both};
use crate::job_scene::{ORDINARY, Scene, failed, good, later};

async fn fleet(scene: &Scene, desktops: usize) -> Vec<Connected> {
    let mut fleet = Vec::new();
    for number in 0..desktops {
        let desktop = scene.desktop(&format!("d{number}"), &[]).await;
        fleet.push(scene.connect(desktop).await);
    }
    fleet
}

async fn freeze(scene: &Scene, scope: FreezeScope) {
    let tx = scene.test.store.write().await.unwrap();
    tx.freeze_set(scope, "admin", Some("audit"), NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn lift(scene: &Scene, scope: FreezeScope) {
    let tx = scene.test.store.write().await.unwrap();
    tx.freeze_lift(scope).await.unwrap();
    tx.commit().await.unwrap();
}

async fn cancel(scene: &Scene) -> CancelOutcome {
    let ids: Vec<_> = scene.jobs().await.iter().map(|job| job.id).collect();
    let tx = scene.test.store.write().await.unwrap();
    let outcome = tx
        .job_cancel(scene.test.project, &ids, NOW)
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    outcome
}

on_both! {
    async fn a_task_says_what_its_project_has_done_about_running_programs(test: TestStore) {
        let scene = Scene::new(test);
        let fleet = fleet(&scene, 2).await;
        let app = scene.app("a", ORDINARY).await;
        scene.deploy(&[app], AssignType::AllUser, &[]).await;
        let first = scene.lease_one(fleet[0], NOW).await;
        assert_eq!(first.running_programs, Some(RunningPrograms::Ask { wait_secs: 600 }));
        let project = scene.test.project;
        let closing = ProgramClosing { mode: ClosingMode::Stop, wait_secs: 30 };
        let tx = scene.test.store.write().await.unwrap();
        tx.program_closing_set(project, closing).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(scene.test.store.db().program_closing(project).await.unwrap(), Some(closing));
        let second = scene.lease_one(fleet[1], NOW).await;
        assert_eq!(second.running_programs, Some(RunningPrograms::Stop));
    }

    async fn a_freeze_stops_hand_outs_and_releases_until_it_is_lifted(test: TestStore) {
        let scene = Scene::new(test);
        let fleet = fleet(&scene, 2).await;
        let app = scene.app("a", ORDINARY).await;
        scene.deploy(&[app], AssignType::AllUser, &[]).await;
        let leased = scene.lease_one(fleet[0], NOW).await;
        for scope in [FreezeScope::Project(scene.test.project), FreezeScope::Server] {
            freeze(&scene, scope).await;
            let stands = scene.test.store.db().freeze_find(scope).await.unwrap().unwrap();
            assert_eq!((stands.operator.as_str(), stands.reason.as_deref()), ("admin", Some("audit")));
            assert!(scene.lease(&[fleet[1]], NOW).await.is_empty());
            if scope == FreezeScope::Server {
                lift(&scene, FreezeScope::Project(scene.test.project)).await;
                assert!(scene.lease(&[fleet[1]], NOW).await.is_empty());
            }
        }
        // Handed out before: not released, and back in the queue.
        assert_eq!(scene.go(fleet[0], leased.attempt, NOW).await, GoOutcome::Stale);
        assert!(scene.jobs().await.iter().all(|job| job.state == State::Queued));
        lift(&scene, FreezeScope::Server).await;
        assert_eq!(scene.lease(&fleet, NOW).await.len(), 2);
        scene.check_counters().await;
    }

    async fn what_waits_is_cancelled_at_once_and_what_runs_is_asked(test: TestStore) {
        let scene = Scene::new(test);
        let fleet = fleet(&scene, 4).await;
        let app = scene.app("a", ORDINARY).await;
        scene.deploy(&[app], AssignType::AllUser, &[]).await;
        let running = scene.start(fleet[0], NOW).await;
        let leased = scene.lease_one(fleet[1], NOW).await;
        let done = scene.start(fleet[2], NOW).await;
        scene.finish(fleet[2], good(&done), NOW).await;

        let outcome = cancel(&scene).await;
        assert_eq!((outcome.cancelled, outcome.ended), (2, 1));
        assert_eq!(outcome.stopping, [(fleet[0].desktop, running.attempt)]);
        let cancelled: Vec<_> = scene.jobs().await.into_iter().filter(|job| job.state == State::Cancelled).collect();
        assert_eq!(cancelled.len(), 2);
        assert!(cancelled.iter().all(|job| job.reason == Some(Reason::Cancelled) && job.message.is_some()));
        assert_eq!(scene.go(fleet[1], leased.attempt, NOW).await, GoOutcome::Stale);

        // The agent was away: it is told when it comes back, as long as it runs.
        let again = scene.connect(fleet[0].desktop).await;
        let tx = scene.test.store.write().await.unwrap();
        let report = AttemptReport { attempt: running.attempt, stage: AttemptStage::Running };
        let actions = tx.attempt_reconcile(again, &[report], NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(actions, [(running.attempt, ReconcileAction::Cancel)]);
        let stopped = scene.finish(again, failed(&running, FailureCode::Cancelled), NOW).await;
        assert_eq!(stopped, FinishOutcome::Recorded(State::Cancelled));
        assert_eq!(cancel(&scene).await.ended, 4);
        scene.check_counters().await;
    }

    async fn an_installer_that_was_done_before_it_could_be_stopped_is_told_as_it_was(test: TestStore) {
        let scene = Scene::new(test);
        let fleet = fleet(&scene, 1).await;
        let app = scene.app("a", ORDINARY).await;
        let deployment = scene.deploy(&[app], AssignType::AllUser, &[]).await;
        let running = scene.start(fleet[0], NOW).await;
        for expected in [1, 0] {
            let tx = scene.test.store.write().await.unwrap();
            let page = tx.job_cancel_of_deployment(deployment, 10, NOW).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(page.stopping.len(), expected);
        }
        assert_eq!(
            scene.finish(fleet[0], good(&running), NOW).await,
            FinishOutcome::Recorded(State::Succeeded)
        );
    }

    async fn a_deployment_that_fails_too_often_is_halted_until_it_is_resumed(test: TestStore) {
        let scene = Scene::new(test);
        let fleet = fleet(&scene, 10).await;
        let app = scene.app("a", ORDINARY).await;
        for (column, value) in [("fail_limit_count", 1), ("fail_limit_percent", 10)] {
            let deployment = scene.deploy(&[app], AssignType::AllUser, &[]).await;
            scene.test.sql(&format!("UPDATE deployment SET {column} = {value} WHERE id = {}", deployment.get())).await;
            let mut running = Vec::new();
            for connected in &fleet[..4] {
                running.push((*connected, scene.start(*connected, NOW).await));
            }
            let leased = scene.lease_one(fleet[4], NOW).await;
            // What was cancelled says nothing about the app; the first failure is within the limit.
            let codes = [FailureCode::Cancelled, FailureCode::CommandInvalid, FailureCode::ArchiveRefused];
            for ((connected, task), code) in running.iter().zip(codes) {
                assert!(scene.view(deployment).await.halted_at.is_none(), "{column}");
                scene.finish(*connected, failed(task, code), later(1)).await;
            }
            assert_eq!(scene.view(deployment).await.halted_at, Some(later(1)), "{column}");
            // Nothing more is handed out or released; what runs goes on.
            assert!(scene.lease(&fleet[5..], NOW).await.is_empty());
            assert_eq!(scene.go(fleet[4], leased.attempt, NOW).await, GoOutcome::Stale);
            let (connected, task) = &running[3];
            assert_eq!(scene.finish(*connected, good(task), NOW).await, FinishOutcome::Recorded(State::Succeeded));

            let tx = scene.test.store.write().await.unwrap();
            assert!(tx.deployment_resume(deployment).await.unwrap());
            assert!(!tx.deployment_resume(deployment).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(scene.lease(&fleet[4..], NOW).await.len(), 6);
            let tx = scene.test.store.write().await.unwrap();
            tx.job_cancel_of_deployment(deployment, 100, NOW).await.unwrap();
            tx.commit().await.unwrap();
            scene.check_counters().await;
        }
    }

    async fn progress_is_kept_and_changes_are_told_after_their_commit(test: TestStore) {
        let scene = Scene::new(test);
        let mut feed = scene.test.store.watch();
        let fleet = fleet(&scene, 1).await;
        let app = scene.app("a", ORDINARY).await;
        let deployment = scene.deploy(&[app], AssignType::AllUser, &[]).await;
        let task = scene.start(fleet[0], NOW).await;
        let job = JobKey::new(scene.test.number("SELECT id FROM job").await);
        let mut told = Changes::default();
        while let Ok(changes) = feed.try_recv() {
            told.jobs.extend(&changes.jobs);
            told.deployments.extend(&changes.deployments);
        }
        assert_eq!((told.jobs.into_iter().collect::<Vec<_>>(), told.deployments.into_iter().collect::<Vec<_>>()),
            (vec![job], vec![deployment]));
        for (seconds, phase, percent, bytes_per_second) in [
            (1, Some(Phase::Downloading), Some(5), None),
            (11, Some(Phase::Downloading), Some(50), Some(70_000)),
            (12, None, None, None),
        ] {
            let tx = scene.test.store.write().await.unwrap();
            let at = NOW.plus(Duration::from_secs(seconds));
            tx.attempt_seen(&[AttemptSign { attempt: task.attempt, desktop: fleet[0].desktop, at, phase, percent, bytes_per_second }])
                .await
                .unwrap();
            tx.commit().await.unwrap();
            assert!(feed.try_recv().unwrap().jobs.contains(&job));
        }
        let (_, attempts) = scene.test.store.db().attempt_list(job, 0, 10).await.unwrap();
        assert_eq!((attempts[0].phase, attempts[0].percent), (Some(Phase::Downloading), Some(50)));
        assert_eq!(attempts[0].bytes_per_second, Some(70_000));
        assert_eq!(attempts[0].phase_at, Some(later(1)));
        let live = scene.test.store.db().job_live(&[job]).await.unwrap().remove(0);
        assert_eq!((live.phase, live.percent, live.deployment), (Some(Phase::Downloading), Some(50), deployment));
        assert_eq!(live.bytes_per_second, Some(70_000));
        // What is rolled back is not told.
        let tx = scene.test.store.write().await.unwrap();
        tx.job_cancel_of_deployment(deployment, 10, NOW).await.unwrap();
        drop(tx);
        assert!(feed.try_recv().is_err());
    }
}
