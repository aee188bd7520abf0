use outfitter_domain::AssignType::{AllUser, AssignUser};
use outfitter_domain::install::SkipReason;
use outfitter_store::{Expansion, PackageAccess};

use crate::database::{NOW, on_both};
use crate::job_scene::{AppKind, Bytes, ORDINARY, Scene, simple, user_group};

fn targets(jobs: &[outfitter_store::JobView]) -> Vec<(String, Option<String>)> {
    let mut targets: Vec<_> = jobs
        .iter()
        .map(|job| (job.desktop_name.clone(), job.target.clone()))
        .collect();
    targets.sort();
    targets
}

fn named(pairs: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    pairs
        .iter()
        .map(|(desktop, target)| ((*desktop).to_owned(), target.map(str::to_owned)))
        .collect()
}

const ASSIGNED: AppKind = AppKind {
    authorization: AssignUser,
    ..ORDINARY
};

on_both! {
    async fn all_user_reaches_every_desktop_in_pages(test: TestStore) {
        let scene = Scene::new(test);
        let li = scene.user("li").await;
        let anna = scene.user("Anna").await;
        for (name, users) in [("d1", vec![]), ("d2", vec![li]), ("d3", vec![li, anna])] {
            scene.desktop(name, &users).await;
        }
        let app = scene.app("a", ASSIGNED).await;
        let other = scene.app("b", ORDINARY).await;
        let deployment = scene.deploy_unexpanded(&[app, other], AllUser, &[]).await;
        // Two apps and a page of two pairs: one desktop a page, and a last page that finds none.
        let mut pages = 1;
        while scene.expand(deployment, 2).await == Expansion::Expanding {
            pages += 1;
        }
        assert_eq!(pages, 4);
        let mut expected = named(&[("d1", None), ("d2", Some("li")), ("d3", Some("Anna"))]);
        expected = expected.into_iter().flat_map(|pair| [pair.clone(), pair]).collect();
        assert_eq!(targets(&scene.jobs().await), expected);
        scene.check_counters().await;

        let view = scene.view(deployment).await;
        assert_eq!((view.expansion, view.desktops_reached, view.pairs_skipped), (Expansion::Expanded, 3, 0));
        assert_eq!((view.jobs.init, view.jobs.total()), (6, 6));
        assert_eq!(view.authorizations_widened, 1);
        assert_eq!(scene.test.number("SELECT COUNT(*) FROM app WHERE authorization_type = 'ALL_USER'").await, 2);
        let db = scene.test.store.db();
        let widened = db.deployment_widenings(&view, 0, 10).await.unwrap();
        assert_eq!((widened.len(), widened[0].app, &widened[0].account), (1, app.id, &None));
        let reached = db.deployment_reached(&view, 1, 10).await.unwrap();
        assert_eq!(reached.iter().map(|one| (one.name.as_str(), one.jobs, one.other_users)).collect::<Vec<_>>(),
            [("d2", 2, 0), ("d3", 2, 0)]);

        // Again: nothing is added, and every pair says why.
        let again = scene.deploy(&[app, other], AllUser, &[]).await;
        assert_eq!(scene.jobs().await.len(), 6);
        let view = scene.view(again).await;
        assert_eq!((view.pairs_skipped, view.desktops_reached), (6, 0));
        let skipped = scene.test.store.db().deployment_skipped(&view, 0, 10).await.unwrap();
        assert!(skipped.iter().all(|one| one.reason == SkipReason::JobInProgress));
        assert_eq!(skipped.len(), 6);
    }

    async fn assign_user_reaches_listed_users_and_members(test: TestStore) {
        let scene = Scene::new(test);
        let li = scene.user("li").await;
        let wang = scene.user("wang").await;
        let zoe = scene.user("zoe").await;
        scene.group("staff", &[wang]).await;
        scene.desktop("d1", &[li, zoe]).await;
        scene.desktop("d2", &[wang, li]).await;
        scene.desktop("d3", &[zoe]).await;
        scene.desktop("d4", &[]).await;
        let app = scene.app("a", ASSIGNED).await;
        let deployment = scene.deploy(&[app], AssignUser,
            &[simple("LI"), user_group("Staff"), simple("nobody")]).await;
        assert_eq!(targets(&scene.jobs().await), named(&[("d1", Some("li")), ("d2", Some("li"))]));
        let view = scene.view(deployment).await;
        assert_eq!((view.accounts_unknown, view.authorizations_widened), (1, 3));
        let db = scene.test.store.db();
        let unknown = db.deployment_unknown_accounts(&view, 0, 10).await.unwrap();
        assert_eq!(unknown, [simple("nobody")]);
        let reached = db.deployment_reached(&view, 0, 10).await.unwrap();
        assert_eq!(reached.iter().map(|one| one.other_users).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(scene.test.number("SELECT COUNT(*) FROM app_authorization").await, 3);
        scene.check_counters().await;
    }

    async fn only_what_is_lacking_is_widened(test: TestStore) {
        let scene = Scene::new(test);
        let li = scene.user("li").await;
        scene.user("wang").await;
        scene.group("staff", &[li]).await;
        let app = scene.app("a", ASSIGNED).await;
        let everyone = scene.app("b", ORDINARY).await;
        scene.test.authorize(app.key.get(), "USER_GROUP", "staff").await;
        let deployment = scene.deploy(&[app, everyone], AssignUser, &[simple("li"), simple("wang")]).await;
        let view = scene.view(deployment).await;
        // li is covered by the group; the other app is for everyone and stays so.
        let widened = scene.test.store.db().deployment_widenings(&view, 0, 10).await.unwrap();
        assert_eq!(widened.len(), 1);
        assert_eq!((widened[0].app, widened[0].account.clone()), (app.id, Some(simple("wang"))));
        assert_eq!(scene.test.number("SELECT COUNT(*) FROM app_authorization").await, 2);
    }

    async fn desktops_that_do_not_fit_are_skipped_with_the_reason(test: TestStore) {
        let scene = Scene::new(test);
        scene.desktop("d1", &[]).await;
        let volatile = scene.desktop("d2", &[]).await;
        scene.test.sql(&format!("UPDATE desktop SET persistent = 0 WHERE id = {}", volatile.get())).await;
        let gone = scene.desktop("d3", &[]).await;
        scene.test.sql(&format!("UPDATE desktop SET deleted_at = 1 WHERE id = {}", gone.get())).await;
        let linux = scene.app("a", ORDINARY).await;
        let windows = scene.app("b", AppKind { support_os: "Windows", ..ORDINARY }).await;
        let deployment = scene.deploy(&[linux, windows], AllUser, &[]).await;
        let job = scene.job().await;
        assert_eq!((job.desktop_name.as_str(), job.app), ("d1", linux.id));
        let view = scene.view(deployment).await;
        let skipped = scene.test.store.db().deployment_skipped(&view, 0, 10).await.unwrap();
        let mut reasons: Vec<_> = skipped.iter()
            .map(|one| (one.name.as_str(), one.app == linux.id, one.reason)).collect();
        reasons.sort_by_key(|reason| (reason.0.to_owned(), reason.1));
        assert_eq!(reasons, [
            ("d1", false, SkipReason::OsMismatch),
            ("d2", false, SkipReason::OsMismatch),
            ("d2", true, SkipReason::NotPersistent),
        ]);
    }

    async fn a_new_revision_gets_a_second_job_only_beside_one_that_was_handed_out(test: TestStore) {
        let scene = Scene::new(test);
        let desktop = scene.desktop("d1", &[]).await;
        let app = scene.app("a", ORDINARY).await;
        scene.deploy(&[app], AllUser, &[]).await;
        scene.revision(app, "2.0", Bytes::Stored).await;
        scene.deploy(&[app], AllUser, &[]).await;
        // The INIT job counts as the newest.
        assert_eq!(scene.job().await.app_version, "2.0");
        let connected = scene.connect(desktop).await;
        scene.start(connected, NOW).await;
        scene.deploy(&[app], AllUser, &[]).await;
        assert_eq!(scene.jobs().await.len(), 1);
        scene.revision(app, "3.0", Bytes::Stored).await;
        scene.deploy(&[app], AllUser, &[]).await;
        let versions: Vec<_> = scene.jobs().await.into_iter().map(|job| job.app_version).collect();
        assert_eq!(versions, ["3.0", "2.0"]);
        scene.check_counters().await;
    }

    async fn a_page_that_is_lost_is_done_again(test: TestStore) {
        let scene = Scene::new(test);
        for name in ["d1", "d2", "d3"] {
            scene.desktop(name, &[]).await;
        }
        let app = scene.app("a", ORDINARY).await;
        let deployment = scene.deploy_unexpanded(&[app], AllUser, &[]).await;
        scene.expand(deployment, 1).await;
        let tx = scene.test.store.write().await.unwrap();
        tx.deployment_expand(deployment, 1, &outfitter_ids::SystemIds, NOW).await.unwrap();
        drop(tx);
        while scene.expand(deployment, 1).await == Expansion::Expanding {}
        assert_eq!(scene.jobs().await.len(), 3);
        assert_eq!(scene.view(deployment).await.desktops_reached, 3);
        // Expanding a deployment that is done does nothing.
        assert_eq!(scene.expand(deployment, 1).await, Expansion::Expanded);
        scene.check_counters().await;
    }

    async fn deployments_expanded_at_once_open_no_job_twice(test: TestStore) {
        let scene = Scene::new(test);
        for number in 0..6 {
            scene.desktop(&format!("d{number}"), &[]).await;
        }
        let app = scene.app("a", ORDINARY).await;
        let mut deployments = Vec::new();
        for _ in 0..4 {
            deployments.push(scene.deploy_unexpanded(&[app], AllUser, &[]).await);
        }
        futures_util::future::join_all(deployments.iter().map(async |deployment| {
            while scene.expand(*deployment, 1).await == Expansion::Expanding {}
        })).await;
        assert_eq!(scene.jobs().await.len(), 6);
        scene.check_counters().await;
    }

    async fn a_package_that_desktops_cannot_get_is_seen(test: TestStore) {
        let scene = Scene::new(test);
        let stored = scene.app("a", ORDINARY).await;
        let absent = scene.app("b", AppKind { store: Bytes::Absent, ..ORDINARY }).await;
        let link = scene.app("c", AppKind { store: Bytes::Link, ..ORDINARY }).await;
        let access = async || {
            let tx = scene.test.store.write().await.unwrap();
            let apps = tx.deployment_apps(scene.test.project, &[stored.id, absent.id, link.id]).await.unwrap();
            apps.into_iter().map(|app| app.package).collect::<Vec<_>>()
        };
        assert_eq!(access().await, [PackageAccess::Available, PackageAccess::ObjectMissing, PackageAccess::Available]);
        for name in ["d1", "d2", "d3"] {
            let desktop = scene.desktop(name, &[]).await;
            scene.deploy(&[link], AllUser, &[]).await;
            let connected = scene.connect(desktop).await;
            let task = scene.start(connected, NOW).await;
            let gone = crate::job_scene::failed(&task, outfitter_agent_protocol::FailureCode::DownloadGone);
            scene.finish(connected, gone, NOW).await;
        }
        assert_eq!(access().await[2], PackageAccess::LinkBroken);
        scene.revision(link, "2.0", Bytes::Link).await;
        assert_eq!(access().await[2], PackageAccess::Available);
    }
}
