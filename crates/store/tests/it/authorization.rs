//! Accounts authorized to apps, on both databases.

use outfitter_domain::app::AuthorizationChange;
use outfitter_domain::{Account, AccountType, AssignType, PlatformType};
use outfitter_store::{AccountFilter, AppKey, ObjectFate, Page, Store};

use crate::app_builders::{app_insert, members, user};
use crate::database::{NOW, on_both};

fn group(name: &str, domain: &str) -> Account {
    Account::new(
        AccountType::UserGroup,
        name.to_owned(),
        Some(domain.to_owned()),
        None,
    )
}

fn change(grant: Vec<Account>, revoke: Vec<Account>) -> AuthorizationChange {
    AuthorizationChange::new(grant, revoke).unwrap()
}

async fn apply(store: &Store, apps: &[AppKey], change: &AuthorizationChange) {
    let tx = store.write().await.unwrap();
    tx.authorization_apply(apps, change, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn listed(store: &Store, app: AppKey, filter: &AccountFilter) -> Vec<String> {
    let listed = store
        .db()
        .authorization_list(app, filter, Page::ALL)
        .await
        .unwrap();
    assert_eq!(usize::try_from(listed.total).unwrap(), listed.items.len());
    listed
        .items
        .into_iter()
        .map(|account| account.account)
        .collect()
}

on_both! {
    async fn changes_are_increments_and_repeat_without_harm(fixture: TestStore) {
        let store = &fixture.store;
        let tx = store.write().await.unwrap();
        let (app, _) = app_insert(&tx, fixture.project, &members("a", "x")).await;
        let (untouched, _) = app_insert(&tx, fixture.project, &members("b", "x")).await;
        tx.commit().await.unwrap();
        let all = AccountFilter::default();

        apply(store, &[app], &change(vec![user("li"), user("wu")], vec![])).await;
        apply(store, &[app], &change(vec![user("LI"), group("ops", "corp.example")], vec![])).await;
        assert_eq!(listed(store, app, &all).await, ["ops", "wu", "li"]);
        apply(store, &[app], &change(vec![], vec![user("Wu"), user("nobody")])).await;
        // Removed wins over added, stored or not.
        apply(store, &[app], &change(vec![user("li"), user("he")], vec![user("li"), user("he")])).await;
        assert_eq!(listed(store, app, &all).await, ["ops"]);
        assert!(listed(store, untouched, &all).await.is_empty());

        let accounts = store.db().authorization_list(app, &all, Page { offset: 0, limit: 1 }).await.unwrap().items;
        assert_eq!(accounts, [group("ops", "corp.example")]);
        assert_eq!(accounts[0].platform_type, PlatformType::Ad);
    }

    async fn accounts_differ_by_type_and_domain(fixture: TestStore) {
        let store = &fixture.store;
        let tx = store.write().await.unwrap();
        let (app, _) = app_insert(&tx, fixture.project, &members("a", "x")).await;
        tx.commit().await.unwrap();
        let elsewhere = Account::new(
            AccountType::Simple,
            "ops".to_owned(),
            Some("corp.example".to_owned()),
            None,
        );
        let accounts = vec![user("ops"), elsewhere.clone(), group("ops", "local.com")];
        apply(store, &[app], &change(accounts, vec![])).await;
        assert_eq!(listed(store, app, &AccountFilter::default()).await.len(), 3);
        apply(store, &[app], &change(vec![], vec![elsewhere])).await;
        let users = AccountFilter { account_type: Some(AccountType::Simple), ..AccountFilter::default() };
        assert_eq!(listed(store, app, &users).await.len(), 1);
    }

    async fn lists_filter_and_page(fixture: TestStore) {
        let store = &fixture.store;
        let tx = store.write().await.unwrap();
        let (app, _) = app_insert(&tx, fixture.project, &members("a", "x")).await;
        tx.commit().await.unwrap();
        let accounts = vec![user("Zhang_San"), user("zhangXsan"), group("zhang", "local.com"), user("wu")];
        apply(store, &[app], &change(accounts, vec![])).await;
        let filter = |name: &str, account_type| AccountFilter {
            name: Some(name.to_owned()),
            account_type,
        };
        assert_eq!(listed(store, app, &filter("ZHANG", None)).await.len(), 3);
        assert_eq!(listed(store, app, &filter("zhang_", None)).await, ["Zhang_San"]);
        assert_eq!(
            listed(store, app, &filter("zhang", Some(AccountType::UserGroup))).await,
            ["zhang"]
        );
        let page = store
            .db()
            .authorization_list(app, &filter("zhang", None), Page { offset: 1, limit: 1 })
            .await
            .unwrap();
        assert_eq!((page.total, page.items[0].account.as_str()), (3, "zhangXsan"));
    }

    async fn the_list_outlives_all_user_and_waits_with_a_deleted_app(fixture: TestStore) {
        let store = &fixture.store;
        let tx = store.write().await.unwrap();
        let (app, id) = app_insert(&tx, fixture.project, &members("a", "x")).await;
        tx.commit().await.unwrap();
        apply(store, &[app], &change(vec![user("li")], vec![])).await;
        for kind in [AssignType::AllUser, AssignType::AssignUser] {
            let tx = store.write().await.unwrap();
            tx.app_set_authorization_type(&[app], kind, NOW).await.unwrap();
            tx.commit().await.unwrap();
            let read = store.db().app_find(fixture.project, id).await.unwrap().unwrap();
            assert_eq!(read.members.authorization_type, kind);
            assert_eq!(listed(store, app, &AccountFilter::default()).await, ["li"]);
        }
        let tx = store.write().await.unwrap();
        tx.app_delete(fixture.project, &[app], ObjectFate::Keep, NOW).await.unwrap();
        tx.commit().await.unwrap();
        // It comes back with the app, should that be restored; nobody reads it until then.
        assert!(store.db().app_find(fixture.project, id).await.unwrap().is_none());
        assert_eq!(listed(store, app, &AccountFilter::default()).await, ["li"]);
    }

    async fn parallel_grants_to_the_same_apps_all_arrive(fixture: TestStore) {
        let tx = fixture.store.write().await.unwrap();
        let mut ids = Vec::new();
        for name in ["a", "b", "c"] {
            ids.push(app_insert(&tx, fixture.project, &members(name, "x")).await);
        }
        tx.commit().await.unwrap();
        let mut writers = Vec::new();
        for number in 0..12 {
            let (store, project) = (fixture.store.clone(), fixture.project);
            let mut wanted: Vec<_> = ids.iter().map(|(_, id)| *id).collect();
            // Every other caller names them the other way round: locks must not cross.
            if number % 2 == 0 {
                wanted.reverse();
            }
            writers.push(tokio::spawn(async move {
                let tx = store.write().await.unwrap();
                let locked = tx.app_lock_many(project, &wanted).await.unwrap();
                let keys: Vec<AppKey> = locked.into_iter().map(|(key, _)| key).collect();
                let accounts = vec![user("shared"), user(&format!("user-{number}"))];
                tx.authorization_apply(&keys, &change(accounts, vec![]), NOW).await.unwrap();
                tx.commit().await.unwrap();
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        for (app, _) in ids {
            assert_eq!(listed(&fixture.store, app, &AccountFilter::default()).await.len(), 13);
        }
    }
}
