use std::time::Duration;

use outfitter_agent_protocol::TaskKind;
use outfitter_domain::job::Reason;
use outfitter_domain::{AssignType, Millis};
use outfitter_ids::{DesktopId, JobId};
use outfitter_store::{
    Connected, DesktopKey, FinishOutcome, GoOutcome, Page, PortalAppFilter, SecretDigest, UserKey,
};

use crate::database::{NOW, on_both};
use crate::job_scene::{AppKind, ORDINARY, Scene, Wish, good, later};

const ASSIGNED: AppKind = AppKind {
    authorization: AssignType::AssignUser,
    ..ORDINARY
};

async fn names(scene: &Scene, user: UserKey, desktop: DesktopKey) -> Vec<String> {
    let db = scene.test.store.db();
    let filter = PortalAppFilter::default();
    let listed = db
        .portal_apps(scene.test.project, user, desktop, &filter, Page::ALL)
        .await
        .unwrap();
    assert_eq!(listed.total, i64::try_from(listed.items.len()).unwrap());
    listed.items.into_iter().map(|app| app.name).collect()
}

async fn desktop_id(scene: &Scene, name: &str) -> DesktopId {
    let db = scene.test.store.db();
    let filter = outfitter_store::DesktopFilter {
        name_part: Some(name.to_owned()),
        ..outfitter_store::DesktopFilter::default()
    };
    let order = outfitter_store::DesktopOrder::default();
    let listed = db
        .desktop_list(scene.test.project, &filter, order, Page::ALL)
        .await
        .unwrap();
    listed.items[0].id
}

/// What a user asks for themselves.
async fn ask(scene: &Scene, app: crate::job_scene::App, user: UserKey, desktop: DesktopKey) {
    let wish = Wish {
        desktops: &[desktop],
        requested_by: Some(user),
        ..Wish::INSTALL
    };
    let key = scene.deploy_wish(&[app], wish).await;
    scene.expand(key, 100).await;
}

/// Takes whatever is due on a desktop up to `go`; answers whether it may run.
async fn go(scene: &Scene, on: Connected) -> Option<GoOutcome> {
    let task = scene.lease(&[on], NOW).await.into_iter().next()?;
    Some(scene.go(on, task.task.attempt, NOW).await)
}

on_both! {
    async fn a_user_sees_what_they_may_have_on_a_desktop(test: TestStore) {
        let scene = Scene::new(test);
        let ana = scene.user("ana").await;
        let ben = scene.user("ben").await;
        let desktop = scene.desktop("d", &[ana, ben]).await;
        let staff = scene.group("staff", &[ana]).await;
        scene.app("everyone", ORDINARY).await;
        let named = scene.app("named", ASSIGNED).await;
        let grouped = scene.app("grouped", ASSIGNED).await;
        scene.app("nobody", ASSIGNED).await;
        scene.app("windows", AppKind { support_os: "Windows", ..ORDINARY }).await;
        let hidden = scene.app("hidden", ORDINARY).await;
        scene.test.sql(&format!("UPDATE app SET status = 'FORBIDDEN' WHERE id = {}", hidden.key.get())).await;
        scene.test.authorize(named.key.get(), "SIMPLE", "Ana").await;
        scene.test.authorize(grouped.key.get(), "USER_GROUP", "staff").await;
        assert_eq!(names(&scene, ana, desktop).await, ["everyone", "grouped", "named"]);
        assert_eq!(names(&scene, ben, desktop).await, ["everyone"]);

        let tx = scene.test.store.write().await.unwrap();
        tx.group_members_remove(staff, &[ana]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(names(&scene, ana, desktop).await, ["everyone", "named"]);

        let db = scene.test.store.db();
        assert_eq!(db.end_users_at(desktop, "ANA").await.unwrap().len(), 1);
        assert!(db.end_users_at(desktop, "chloe").await.unwrap().is_empty());
        let id = desktop_id(&scene, "d").await;
        assert_eq!(db.end_user_desktop(ana, id).await.unwrap(), Some(desktop));
        let stranger = scene.user("chloe").await;
        assert_eq!(db.end_user_desktop(stranger, id).await.unwrap(), None);
    }

    async fn what_a_user_asked_for_runs_only_while_that_very_user_may(test: TestStore) {
        let scene = Scene::new(test);
        let ana = scene.user("ana").await;
        let ben = scene.user("ben").await;
        let desktop = scene.desktop("d", &[ana, ben]).await;
        let connected = scene.connect(desktop).await;
        let app = scene.app("a", ASSIGNED).await;
        scene.test.authorize(app.key.get(), "SIMPLE", "ana").await;
        scene.test.authorize(app.key.get(), "SIMPLE", "ben").await;

        ask(&scene, app, ana, desktop).await;
        assert_eq!(scene.jobs().await[0].target.as_deref(), Some("ana"));
        // Ben, who uses the desktop too, still may: it is not for him.
        scene.test.sql(&format!(
            "DELETE FROM app_authorization WHERE app_id = {} AND account = 'ana'", app.key.get())).await;
        assert_eq!(go(&scene, connected).await, Some(GoOutcome::Refused(Reason::NoLongerAuthorized)));

        // Nor does an app for everyone run for somebody who has left the desktop meanwhile.
        let free = scene.app("free", ORDINARY).await;
        ask(&scene, free, ana, desktop).await;
        scene.test.sql(&format!("DELETE FROM desktop_user WHERE user_id = {}", ana.get())).await;
        assert_eq!(go(&scene, connected).await, Some(GoOutcome::Refused(Reason::NoLongerAuthorized)));

        ask(&scene, free, ben, desktop).await;
        let task = scene.start(connected, NOW).await;
        let outcome = scene.finish(connected, good(&task), NOW).await;
        assert!(matches!(outcome, FinishOutcome::Recorded(_)));
        let db = scene.test.store.db();
        let filter = PortalAppFilter { app: Some(free.id), name: None };
        let seen = db.portal_apps(scene.test.project, ben, desktop, &filter, Page::ALL).await.unwrap();
        let installed = seen.items[0].installed.as_ref().unwrap();
        assert_eq!((installed.requested_by, installed.version.as_str()), (Some(ben), "1.0"));
        let job = seen.items[0].job.as_ref().unwrap();
        assert_eq!((job.requested_by, job.live.view.kind), (Some(ben), TaskKind::Install));
        // An administrator's install of it makes it an administrator's.
        scene.deploy(&[free], AssignType::AllUser, &[]).await;
        let task = scene.start(connected, NOW).await;
        scene.finish(connected, good(&task), NOW).await;
        let seen = db.portal_apps(scene.test.project, ben, desktop, &filter, Page::ALL).await.unwrap();
        assert_eq!(seen.items[0].installed.as_ref().unwrap().requested_by, None);
        // And it stays that when a user installs it over: it is not theirs to take off.
        ask(&scene, free, ben, desktop).await;
        let task = scene.start(connected, later(60)).await;
        scene.finish(connected, good(&task), later(60)).await;
        let seen = db.portal_apps(scene.test.project, ben, desktop, &filter, Page::ALL).await.unwrap();
        assert_eq!(seen.items[0].installed.as_ref().unwrap().requested_by, None);
        let history = db.portal_history(ben, desktop, Page::ALL).await.unwrap();
        // Ana's failures were for apps of which one is not Ben's; newest first.
        assert_eq!(history.items.first().unwrap().requested_by, Some(ben));
        assert!(history.items.is_sorted_by(|one, next| one.live.view.key > next.live.view.key));
    }

    async fn an_installer_that_asks_questions_is_for_the_session_of_who_asked(test: TestStore) {
        let scene = Scene::new(test);
        let ana = scene.user("ana").await;
        let desktop = scene.desktop("d", &[ana]).await;
        let connected = scene.connect(desktop).await;
        let app = scene.app("wizard", ORDINARY).await;
        scene.test.sql("UPDATE app SET install_type = 'GUI_INSTALL'").await;
        ask(&scene, app, ana, desktop).await;
        let task = scene.start(connected, NOW).await;
        let session = task.session.clone().unwrap();
        assert_eq!((session.user.as_str(), session.domain.as_str()), ("ana", "local.com"));
        // An agent that knows nothing of sessions finds no command to run.
        assert_eq!(task.command, "");
        assert!(session.command.is_some_and(|command| !command.is_empty()));
        scene.finish(connected, good(&task), NOW).await;

        scene.test.sql("UPDATE app_revision SET install_command = NULL").await;
        ask(&scene, app, ana, desktop).await;
        let task = scene.start(connected, NOW).await;
        assert_eq!(task.session.clone().unwrap().command, None);
        scene.finish(connected, good(&task), NOW).await;
        // Nobody sits where nobody asked: the app asked nothing when this was sent.
        let key = scene.deploy_wish(&[app], Wish { desktops: &[desktop], ..Wish::INSTALL }).await;
        scene.expand(key, 100).await;
        assert!(scene.lease(&[connected], later(1)).await.is_empty());
        assert_eq!(scene.jobs().await[0].reason, Some(Reason::NoSession));
    }

    async fn a_removal_runs_only_while_the_user_who_asked_may(test: TestStore) {
        let scene = Scene::new(test);
        let ana = scene.user("ana").await;
        let desktop = scene.desktop("d", &[ana]).await;
        let connected = scene.connect(desktop).await;
        let app = scene.app("a", ORDINARY).await;
        let remove = async |requested_by| {
            let wish = Wish {
                kind: TaskKind::Uninstall,
                desktops: &[desktop],
                uninstall_command: Some("remove it"),
                requested_by,
                ..Wish::INSTALL
            };
            let key = scene.deploy_wish(&[app], wish).await;
            scene.expand(key, 100).await;
        };
        remove(Some(ana)).await;
        scene.test.sql("DELETE FROM desktop_user").await;
        assert_eq!(go(&scene, connected).await, Some(GoOutcome::Refused(Reason::NoLongerAuthorized)));
        // An administrator takes it off from whomever.
        remove(None).await;
        assert_eq!(go(&scene, connected).await, Some(GoOutcome::Released));
    }

    async fn what_is_put_off_waits_and_holds_up_nothing_else(test: TestStore) {
        let scene = Scene::new(test);
        let ana = scene.user("ana").await;
        let desktop = scene.desktop("d", &[ana]).await;
        let connected = scene.connect(desktop).await;
        let first = scene.app("first", ORDINARY).await;
        let second = scene.app("second", ORDINARY).await;
        scene.deploy(&[first], AssignType::AllUser, &[]).await;
        scene.deploy(&[second], AssignType::AllUser, &[]).await;
        let db = scene.test.store.db();
        let jobs = scene.jobs().await;
        let of_first: JobId = jobs.iter().find(|job| job.app == first.id).unwrap().id;
        let found = db.portal_job(ana, &[desktop], of_first).await.unwrap().unwrap();
        assert!(db.portal_job(ana, &[], of_first).await.unwrap().is_none());
        let tx = scene.test.store.write().await.unwrap();
        assert!(tx.job_defer_if_queued(found.live.view.key, later(3600)).await.unwrap());
        tx.commit().await.unwrap();
        let task = scene.start(connected, NOW).await;
        assert_eq!(task.app, second.id);
        scene.finish(connected, good(&task), NOW).await;
        assert!(scene.lease(&[connected], NOW).await.is_empty());
        let late = scene.start(connected, later(3600)).await;
        assert_eq!(late.app, first.id);
        // It has begun.
        let tx = scene.test.store.write().await.unwrap();
        assert!(!tx.job_defer_if_queued(found.live.view.key, later(7200)).await.unwrap());
    }

    async fn a_ticket_counts_once_and_for_a_while(test: TestStore) {
        let scene = Scene::new(test);
        let ana = scene.user("ana").await;
        let desktop = scene.desktop("d", &[ana]).await;
        let id = desktop_id(&scene, "d").await;
        let digest = |byte: u8| SecretDigest::new([byte; 32]);
        let issue = async |byte: u8| {
            let tx = scene.test.store.write().await.unwrap();
            tx.portal_ticket_insert(&digest(byte), ana, desktop, NOW.plus(Duration::from_secs(60)), NOW).await.unwrap();
            tx.commit().await.unwrap();
        };
        let take = async |byte: u8, now: Millis| {
            let tx = scene.test.store.write().await.unwrap();
            let taken = tx.portal_ticket_take(&digest(byte), now).await.unwrap();
            tx.commit().await.unwrap();
            taken.map(|(user, desktop)| (user.name, desktop))
        };
        issue(1).await;
        assert_eq!(take(2, NOW).await, None);
        assert_eq!(take(1, NOW).await, Some(("ana".to_owned(), id)));
        assert_eq!(take(1, NOW).await, None);
        issue(3).await;
        assert_eq!(take(3, later(60)).await, None);
        // Nor for somebody who left the desktop, or was disabled.
        issue(4).await;
        scene.test.sql("UPDATE directory_user SET disabled = 1").await;
        assert_eq!(take(4, NOW).await, None);
        scene.test.sql("UPDATE directory_user SET disabled = 0").await;
        issue(5).await;
        scene.test.sql("DELETE FROM desktop_user").await;
        assert_eq!(take(5, NOW).await, None);
    }
}
