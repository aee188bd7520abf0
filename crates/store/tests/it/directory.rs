use std::collections::BTreeSet;
use std::time::Duration;

use outfitter_domain::directory::{Adoption, MembershipPlan, NewAccount, Rename, UserFacts};
use outfitter_domain::job::Reason;
use outfitter_domain::{Account, AccountType, AssignType};
use outfitter_store::{
    DirectoryOutcome, DirectoryWish, GoOutcome, Page, StoredDirectory, UserFilter, UserKey,
};

use crate::database::{NOW, TestStore, id, on_both};
use crate::job_scene::{AppKind, ORDINARY, Scene, later, user_group};
use crate::user::{group, user};

const DOMAIN: &str = "corp.example";

fn account<F: Default>(name: &str) -> NewAccount<F> {
    NewAccount {
        id: format!("S-{name}"),
        name: name.to_owned(),
        facts: F::default(),
    }
}

fn ids(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("S-{name}")).collect()
}

/// Stores users and groups of the directory; their ids are `S-` and the name.
async fn store(test: &TestStore, users: &[&str], groups: &[&str]) {
    let tx = test.store.write().await.unwrap();
    let users: Vec<_> = users
        .iter()
        .map(|name| (id(), account::<UserFacts>(name)))
        .collect();
    tx.directory_users_insert(test.project, DOMAIN, &users, NOW)
        .await
        .unwrap();
    let groups: Vec<_> = groups
        .iter()
        .map(|name| (id(), account::<String>(name)))
        .collect();
    tx.directory_groups_insert(test.project, DOMAIN, &groups, NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn change(test: &TestStore, group: &str, plan: MembershipPlan) {
    let tx = test.store.write().await.unwrap();
    tx.directory_members_change(test.project, &format!("S-{group}"), &plan, false)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // One user a page: what is marked may be counted in any order.
    loop {
        let tx = test.store.write().await.unwrap();
        let counted = tx.closure_refresh_due(1).await.unwrap();
        tx.commit().await.unwrap();
        if counted == 0 {
            break;
        }
    }
}

async fn reached(test: &TestStore, group: &str) -> BTreeSet<String> {
    let db = test.store.db();
    let groups = db
        .group_list(test.project, &Default::default(), Page::ALL)
        .await
        .unwrap();
    let found = groups
        .items
        .into_iter()
        .find(|one| one.name == group)
        .unwrap();
    let filter = UserFilter {
        group: Some(found.key),
        ..UserFilter::default()
    };
    let users = db
        .user_list(test.project, &filter, Page::ALL)
        .await
        .unwrap();
    assert_eq!(found.users, users.total);
    users.items.into_iter().map(|user| user.name).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn join(names: &[&str]) -> MembershipPlan {
    MembershipPlan {
        join: ids(names),
        ..MembershipPlan::default()
    }
}

fn nest(names: &[&str]) -> MembershipPlan {
    MembershipPlan {
        nest: ids(names),
        ..MembershipPlan::default()
    }
}

fn connection(interval_secs: i64) -> StoredDirectory {
    StoredDirectory {
        settings: "{}".to_owned(),
        secret_sealed: vec![1],
        interval_secs,
        updated_at: NOW,
    }
}

const MINUTE: Duration = Duration::from_secs(60);

on_both! {
    async fn accounts_that_expire_are_disabled_at_their_time(test: TestStore) {
        let later = later(60);
        let account = |name: &str, expires_at| {
            let facts = UserFacts { expires_at, ..UserFacts::default() };
            (id(), NewAccount { id: format!("S-{name}"), name: name.to_owned(), facts })
        };
        let tx = test.store.write().await.unwrap();
        let users = [account("ana", Some(later)), account("ben", None)];
        tx.directory_users_insert(test.project, "corp.test", &users, NOW).await.unwrap();
        assert_eq!(tx.db().directory_expired(NOW).await.unwrap(), []);
        assert_eq!(tx.directory_users_expire(test.project, 10, NOW).await.unwrap(), 0);
        let due = tx.db().directory_expired(later).await.unwrap();
        assert_eq!(due.iter().map(|it| it.0).collect::<Vec<_>>(), [test.project]);
        assert_eq!(tx.directory_users_expire(test.other_project, 10, later).await.unwrap(), 0);
        assert_eq!(tx.directory_users_expire(test.project, 10, later).await.unwrap(), 1);
        assert_eq!(tx.directory_users_expire(test.project, 10, later).await.unwrap(), 0);
        let facts: Vec<_> = tx.db().directory_users(test.project).await.unwrap().into_iter()
            .map(|user| (user.name, user.facts.is_disabled, user.facts.expires_at)).collect();
        assert_eq!(facts, [("ana".to_owned(), true, Some(later)), ("ben".to_owned(), false, None)]);
    }

    async fn a_group_reaches_the_members_of_the_groups_in_it(test: TestStore) {
        store(&test, &["ana", "ben", "cleo"], &["all", "staff", "sales"]).await;
        change(&test, "sales", join(&["ana"])).await;
        change(&test, "staff", nest(&["sales"])).await;
        change(&test, "all", nest(&["staff"])).await;
        change(&test, "staff", join(&["ben", "ana"])).await;
        assert_eq!(reached(&test, "all").await, set(&["ana", "ben"]));
        // Still there by the other way.
        change(&test, "staff", MembershipPlan { leave: ids(&["ana"]), ..Default::default() }).await;
        assert_eq!(reached(&test, "all").await, set(&["ana", "ben"]));
        change(&test, "sales", MembershipPlan { leave: ids(&["ana"]), join: ids(&["cleo"]), ..Default::default() }).await;
        assert_eq!(reached(&test, "all").await, set(&["ben", "cleo"]));
        // A circle ends.
        change(&test, "sales", nest(&["all"])).await;
        for group in ["all", "staff", "sales"] {
            assert_eq!(reached(&test, group).await, set(&["ben", "cleo"]), "{group}");
        }
        change(&test, "staff", MembershipPlan { unnest: ids(&["sales"]), ..Default::default() }).await;
        assert_eq!(reached(&test, "staff").await, set(&["ben"]));
        assert_eq!(reached(&test, "sales").await, set(&["ben", "cleo"]));

        // A group that goes takes along what it lent.
        let staff = test.store.db().group_list(test.project, &Default::default(), Page::ALL).await.unwrap()
            .items.into_iter().find(|one| one.name == "staff").unwrap();
        let tx = test.store.write().await.unwrap();
        tx.groups_delete(test.project, &[staff.key]).await.unwrap();
        while tx.closure_refresh_due(1).await.unwrap() > 0 {}
        tx.commit().await.unwrap();
        assert_eq!(reached(&test, "all").await, set(&[]));
        assert_eq!(reached(&test, "sales").await, set(&["cleo"]));
    }

    async fn the_closure_of_random_groups_is_what_walking_them_finds(test: TestStore) {
        let users = ["u0", "u1", "u2", "u3", "u4", "u5"];
        let groups = ["g0", "g1", "g2", "g3", "g4", "g5"];
        store(&test, &users, &groups).await;
        let mut members: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut nested: BTreeSet<(usize, usize)> = BTreeSet::new();
        // A linear congruential generator, so that a failure comes again. Source: Knuth, MMIX.
        let mut state = 4_711_u64;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        for step in 0..40 {
            let (group, other) = (draw(6), draw(6));
            let mut plan = MembershipPlan::default();
            if draw(2) == 0 {
                let id = vec![format!("S-u{other}")];
                if members.remove(&(group, other)) { plan.leave = id } else { members.insert((group, other)); plan.join = id }
            } else if group != other {
                let id = vec![format!("S-g{other}")];
                if nested.remove(&(group, other)) { plan.unnest = id } else { nested.insert((group, other)); plan.nest = id }
            }
            change(&test, groups[group], plan).await;
            if step % 8 == 7 {
                let mut expected = 0;
                for (start, name) in groups.iter().enumerate() {
                    let mut seen = BTreeSet::from([start]);
                    let mut waiting = vec![start];
                    while let Some(one) = waiting.pop() {
                        for (_, member) in nested.iter().filter(|(holder, _)| *holder == one) {
                            if seen.insert(*member) { waiting.push(*member); }
                        }
                    }
                    let walked: BTreeSet<String> = members.iter().filter(|(group, _)| seen.contains(group))
                        .map(|(_, user)| format!("u{user}")).collect();
                    expected += walked.len();
                    assert_eq!(reached(&test, name).await, walked, "step {step}, group {start}");
                }
                assert_eq!(test.number("SELECT count(*) FROM group_closure").await, i64::try_from(expected).unwrap());
            }
        }
    }

    async fn an_install_to_a_nested_group_reaches_its_members_while_they_are_members(test: TestStore) {
        store(&test, &["ana", "ben"], &["all", "staff"]).await;
        change(&test, "staff", join(&["ana", "ben"])).await;
        change(&test, "all", nest(&["staff"])).await;
        let scene = Scene::new(test);
        let users = scene.test.store.db().user_list(scene.test.project, &UserFilter::default(), Page::ALL).await.unwrap().items;
        let key = |name: &str| -> UserKey { users.iter().find(|user| user.name == name).unwrap().key };
        let ana = scene.desktop("ana-desk", &[key("ana")]).await;
        scene.desktop("ben-desk", &[key("ben")]).await;
        scene.desktop("other", &[]).await;
        let app = scene.app("a", AppKind { authorization: AssignType::AssignUser, ..ORDINARY }).await;
        let all = Account { domain: DOMAIN.to_owned(), ..user_group("ALL") };
        let names = async || -> BTreeSet<String> {
            scene.jobs().await.into_iter().map(|job| job.desktop_name).collect()
        };

        // Whom the directory has disabled is not reached.
        let row = key("ben").get();
        let disable = async |is_disabled| {
            let tx = scene.test.store.write().await.unwrap();
            let facts = UserFacts { is_disabled, ..UserFacts::default() };
            tx.directory_users_update(&[(row, facts)]).await.unwrap();
            tx.commit().await.unwrap();
        };
        disable(true).await;
        scene.deploy(&[app], AssignType::AssignUser, std::slice::from_ref(&all)).await;
        assert_eq!(names().await, set(&["ana-desk"]));

        // Who leaves before the job begins loses it.
        change(&scene.test, "staff", MembershipPlan { leave: ids(&["ana"]), ..Default::default() }).await;
        let connected = scene.connect(ana).await;
        let task = scene.lease_one(connected, NOW).await;
        assert_eq!(scene.go(connected, task.attempt, NOW).await, GoOutcome::Refused(Reason::NoLongerAuthorized));
        disable(false).await;
        let second = scene.app("b", AppKind { authorization: AssignType::AssignUser, ..ORDINARY }).await;
        scene.deploy(&[second], AssignType::AssignUser, &[all]).await;
        assert_eq!(names().await, set(&["ana-desk", "ben-desk"]));
    }

    async fn a_renamed_group_keeps_authorizations_and_running_deployments(test: TestStore) {
        store(&test, &["ana"], &["staff"]).await;
        change(&test, "staff", join(&["ana"])).await;
        let scene = Scene::new(test);
        let ana = scene.test.store.db().user_list(scene.test.project, &UserFilter::default(), Page::ALL).await.unwrap().items[0].key;
        let desktop = scene.desktop("desk", &[ana]).await;
        let app = scene.app("a", AppKind { authorization: AssignType::AssignUser, ..ORDINARY }).await;
        let staff = Account { domain: DOMAIN.to_owned(), ..user_group("staff") };
        scene.deploy(&[app], AssignType::AssignUser, &[staff]).await;
        let row = scene.test.number("SELECT id FROM directory_group").await;
        let tx = scene.test.store.write().await.unwrap();
        let rename = Rename { row, name: "crew".to_owned() };
        tx.directory_vacate(scene.test.project, AccountType::UserGroup, &[row]).await.unwrap();
        tx.directory_rename(scene.test.project, AccountType::UserGroup, DOMAIN, &[rename]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(scene.test.number("SELECT count(*) FROM app_authorization WHERE account_folded = 'crew'").await, 1);
        let connected = scene.connect(desktop).await;
        scene.start(connected, NOW).await;
    }

    async fn a_row_made_by_hand_moves_to_the_directory_with_its_authorizations(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let ad = outfitter_store::NewGroup { platform_type: outfitter_domain::PlatformType::Ad, ..group("Staff") };
        let row = tx.group_insert(test.project, &ad, NOW).await.unwrap().get();
        tx.commit().await.unwrap();
        test.authorize(1, "USER_GROUP", "staff").await;
        let tx = test.store.write().await.unwrap();
        let adoption = Adoption { row, id: "S-1".to_owned() };
        tx.directory_adopt(AccountType::UserGroup, &[adoption]).await.unwrap();
        let rename = Rename { row, name: "staff".to_owned() };
        tx.directory_rename(test.project, AccountType::UserGroup, DOMAIN, &[rename]).await.unwrap();
        tx.commit().await.unwrap();
        let found = test.store.db().group_find(test.project, ad.id).await.unwrap().unwrap();
        assert_eq!((found.domain.as_str(), found.external_id.as_deref()), (DOMAIN, Some("S-1")));
        assert_eq!(test.number("SELECT count(*) FROM app_authorization WHERE domain_folded = 'corp.example'").await, 1);
    }

    async fn local_and_directory_accounts_of_one_name_are_two(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        tx.user_insert(test.project, &user("ana"), NOW).await.unwrap();
        tx.commit().await.unwrap();
        store(&test, &["ana"], &[]).await;
        let listed = test.store.db().user_list(test.project, &UserFilter::default(), Page::ALL).await.unwrap();
        let domains: BTreeSet<_> = listed.items.iter().map(|user| user.domain.clone()).collect();
        assert_eq!(domains, set(&["local.com", DOMAIN]));
        let of_directory = test.store.db().directory_users(test.project).await.unwrap();
        assert_eq!(of_directory.iter().filter(|account| account.id.is_some()).count(), 1);
        assert!(test.store.db().directory_users(test.other_project).await.unwrap().is_empty());
    }

    async fn a_disabled_account_is_listed_as_disabled_whoever_disabled_it(test: TestStore) {
        store(&test, &["ana", "ben"], &[]).await;
        test.sql("UPDATE directory_user SET external_disabled = 1 WHERE name = 'ana'").await;
        let named = async |disabled| -> BTreeSet<String> {
            let filter = UserFilter { disabled: Some(disabled), ..UserFilter::default() };
            let listed = test.store.db().user_list(test.project, &filter, Page::ALL).await.unwrap();
            assert!(listed.items.iter().all(|user| user.disabled == disabled && !user.disabled_here));
            listed.items.into_iter().map(|user| user.name).collect()
        };
        assert_eq!(named(true).await, set(&["ana"]));
        assert_eq!(named(false).await, set(&["ben"]));
        // When the directory is given up, who had no access still has none.
        let tx = test.store.write().await.unwrap();
        tx.directory_set(test.project, &connection(60)).await.unwrap();
        assert!(tx.directory_remove(test.project).await.unwrap());
        assert!(!tx.directory_remove(test.project).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(test.number("SELECT count(*) FROM directory_user WHERE disabled = 1 AND external_id IS NULL").await, 1);
    }

    async fn one_server_works_on_a_directory_and_stops_when_it_is_set_anew(test: TestStore) {
        let claim = async |now| {
            let tx = test.store.write().await.unwrap();
            let mut claimed = tx.directory_claim(10, now, now.plus(MINUTE)).await.unwrap();
            tx.commit().await.unwrap();
            claimed.pop()
        };
        let set_anew = async || {
            let tx = test.store.write().await.unwrap();
            tx.directory_set(test.project, &connection(300)).await.unwrap();
            tx.commit().await.unwrap();
        };
        let hold = async |epoch| {
            let tx = test.store.write().await.unwrap();
            let held = tx.directory_hold(test.project, epoch, later(90)).await.unwrap();
            tx.commit().await.unwrap();
            held
        };
        set_anew().await;
        let first = claim(NOW).await.unwrap();
        assert!(first.wants_full && claim(NOW).await.is_none());
        assert!(hold(first.epoch).await);
        // The lease lapses, another takes over, the first is told.
        let second = claim(later(91)).await.unwrap();
        assert!(!hold(first.epoch).await && hold(second.epoch).await);
        set_anew().await;
        assert!(!hold(second.epoch).await);
        let third = claim(later(92)).await.unwrap();
        let finish = async |claimed, outcome: DirectoryOutcome, now| {
            let tx = test.store.write().await.unwrap();
            tx.directory_finish(claimed, &outcome, now).await.unwrap();
            tx.commit().await.unwrap();
            test.store.db().directory_state(test.project).await.unwrap().unwrap()
        };
        let done = DirectoryOutcome::Done { mark: Some("m".to_owned()), was_full: true, report: "{}".to_owned() };
        // What lost its lease says nothing.
        assert_eq!(finish(&second, done.clone(), later(93)).await.last_success_at, None);
        let state = finish(&third, done, later(94)).await;
        assert_eq!((state.last_success_at, state.due_at), (Some(later(94)), later(394)));
        assert!(claim(later(95)).await.is_none());

        // On demand, and a failure keeps what was known.
        let tx = test.store.write().await.unwrap();
        assert!(tx.directory_ask(test.project, DirectoryWish::default()).await.unwrap());
        assert!(!tx.directory_ask(test.other_project, DirectoryWish::default()).await.unwrap());
        tx.commit().await.unwrap();
        assert!(test.store.db().directory_is_due(later(95)).await.unwrap());
        let fourth = claim(later(95)).await.unwrap();
        assert_eq!((fourth.wants_full, fourth.mark.as_deref()), (false, Some("m")));
        let failed = DirectoryOutcome::Failed { code: "unreachable".to_owned(), text: "no".to_owned() };
        let state = finish(&fourth, failed, later(96)).await;
        assert_eq!((state.last_success_at, state.last_attempt_at), (Some(later(94)), Some(later(96))));
        assert_eq!(state.error, Some(("unreachable".to_owned(), "no".to_owned())));
        assert!(!state.is_asked && !test.store.db().directory_is_due(later(97)).await.unwrap());
    }

    async fn a_member_by_primary_group_is_apart_from_the_listed_ones(test: TestStore) {
        store(&test, &["ana", "ben"], &["users"]).await;
        let by_primary = async |plan: MembershipPlan| {
            let tx = test.store.write().await.unwrap();
            tx.directory_members_change(test.project, "S-users", &plan, true).await.unwrap();
            while tx.closure_refresh_due(10).await.unwrap() > 0 {}
            tx.commit().await.unwrap();
        };
        by_primary(join(&["ana"])).await;
        change(&test, "users", join(&["ben"])).await;
        assert_eq!(reached(&test, "users").await, set(&["ana", "ben"]));
        let db = test.store.db();
        assert_eq!(db.directory_primary_members(test.project).await.unwrap()["S-users"], set(&["S-ana"]));
        let listed = db.directory_members(test.project, &ids(&["users"])).await.unwrap();
        assert_eq!(listed["S-users"].users, set(&["S-ben"]));
        by_primary(MembershipPlan { leave: ids(&["ana", "ben"]), ..Default::default() }).await;
        assert_eq!(reached(&test, "users").await, set(&["ben"]));
    }
}
