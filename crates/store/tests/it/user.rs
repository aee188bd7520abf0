use outfitter_domain::PlatformType;
use outfitter_domain::fleet::{ActiveType, LocalUserName, UserProfile};
use outfitter_ids::{GroupId, UserId};
use outfitter_store::{NewGroup, NewUser, Page, UserChange, UserFilter};

use crate::database::{NOW, TestStore, id, on_both};

pub(crate) fn user(name: &str) -> NewUser {
    NewUser {
        id: UserId::new(id()),
        name: name.to_owned(),
        domain: "local.com".to_owned(),
        platform_type: PlatformType::Local,
        description: format!("About {name}"),
        active_type: ActiveType::AdminActivate,
        enterprise_project_id: None,
        password_hash: None,
        profile: UserProfile::default(),
    }
}

pub(crate) fn group(name: &str) -> NewGroup {
    NewGroup {
        id: GroupId::new(id()),
        name: name.to_owned(),
        domain: "local.com".to_owned(),
        platform_type: PlatformType::Local,
        description: String::new(),
    }
}

async fn names(test: &TestStore, filter: UserFilter) -> Vec<String> {
    let listed = test
        .store
        .db()
        .user_list(test.project, &filter, Page::ALL)
        .await
        .unwrap();
    assert_eq!(listed.total, i64::try_from(listed.items.len()).unwrap());
    listed.items.into_iter().map(|user| user.name).collect()
}

on_both! {
    async fn names_are_unique_in_a_domain_without_regard_to_case(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        tx.user_insert(test.project, &user("Li"), NOW).await.unwrap();
        tx.user_insert(test.other_project, &user("Li"), NOW).await.unwrap();
        let other_domain = NewUser { domain: "corp.example".to_owned(), ..user("Li") };
        tx.user_insert(test.project, &other_domain, NOW).await.unwrap();
        tx.commit().await.unwrap();

        let tx = test.store.write().await.unwrap();
        let error = tx.user_insert(test.project, &user("LI"), NOW).await.unwrap_err();
        assert!(error.is_conflict(), "{error:?}");
    }

    async fn each_filter_keeps_what_it_says_newest_first(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let li = tx.user_insert(test.project, &user("Li"), NOW).await.unwrap();
        let mail = NewUser {
            active_type: ActiveType::UserActivate,
            domain: "corp.example".to_owned(),
            platform_type: PlatformType::Ad,
            enterprise_project_id: Some("e1".to_owned()),
            ..user("50%_Wang")
        };
        tx.user_insert(test.project, &mail, NOW).await.unwrap();
        tx.user_insert(test.other_project, &user("Foreign"), NOW).await.unwrap();
        let staff = tx.group_insert(test.project, &group("Staff"), NOW).await.unwrap();
        tx.group_members_add(staff, &[li]).await.unwrap();
        tx.commit().await.unwrap();

        let everyone = UserFilter::default();
        assert_eq!(names(&test, everyone.clone()).await, ["50%_Wang", "Li"]);
        let of = |filter: UserFilter| names(&test, filter);
        assert_eq!(of(UserFilter { name_part: Some("%_w".to_owned()), ..everyone.clone() }).await, ["50%_Wang"]);
        assert_eq!(of(UserFilter { name_part: Some("_i".to_owned()), ..everyone.clone() }).await, [""; 0]);
        assert_eq!(of(UserFilter { names: Some(vec!["LI".to_owned(), "no".to_owned()]), ..everyone.clone() }).await, ["Li"]);
        assert_eq!(of(UserFilter { description_part: Some("ABOUT L".to_owned()), ..everyone.clone() }).await, ["Li"]);
        assert_eq!(of(UserFilter { active_type: Some(ActiveType::UserActivate), ..everyone.clone() }).await, ["50%_Wang"]);
        assert_eq!(of(UserFilter { group_name: Some("staff".to_owned()), ..everyone.clone() }).await, ["Li"]);
        assert_eq!(of(UserFilter { group: Some(staff), ..everyone.clone() }).await, ["Li"]);
        assert_eq!(of(UserFilter { disabled: Some(true), ..everyone.clone() }).await, [""; 0]);
        assert_eq!(of(UserFilter { domain: Some("LOCAL.com".to_owned()), ..everyone.clone() }).await, ["Li"]);
        assert_eq!(of(UserFilter { platform_type: Some(PlatformType::Ad), ..everyone.clone() }).await, ["50%_Wang"]);
        assert_eq!(of(UserFilter { enterprise_project_id: Some("e1".to_owned()), ..everyone.clone() }).await, ["50%_Wang"]);

        let page = test.store.db().user_list(test.project, &everyone, Page { offset: 1, limit: 1 }).await.unwrap();
        assert_eq!(page.total, 2);
        assert_eq!(page.items[0].name, "Li");
        assert_eq!(page.items[0].groups, ["Staff"]);
    }

    async fn a_change_is_read_back_whole(test: TestStore) {
        let new = user("Li");
        let tx = test.store.write().await.unwrap();
        tx.user_insert(test.project, &new, NOW).await.unwrap();
        tx.commit().await.unwrap();

        let tx = test.store.write().await.unwrap();
        assert_eq!(tx.user_lock(test.other_project, new.id).await.unwrap(), None);
        let key = tx.user_lock(test.project, new.id).await.unwrap().unwrap();
        let change = UserChange {
            description: "Moved".to_owned(),
            active_type: ActiveType::UserActivate,
            disabled: true,
            profile: UserProfile { email: Some("li@example.com".to_owned()), ..UserProfile::default() },
        };
        tx.user_update(key, &change).await.unwrap();
        tx.commit().await.unwrap();

        assert_eq!(test.store.db().user_find(test.other_project, new.id).await.unwrap(), None);
        let read = test.store.db().user_find(test.project, new.id).await.unwrap().unwrap();
        let read = UserChange {
            description: read.description,
            active_type: read.active_type,
            disabled: read.disabled,
            profile: read.profile,
        };
        assert_eq!(read, change);
    }

    async fn a_local_user_is_made_once(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let name = LocalUserName::parse("Li").unwrap();
        let first = tx.user_ensure_local(test.project, &name, UserId::new(id()), NOW).await.unwrap();
        let again = LocalUserName::parse("li").unwrap();
        let second = tx.user_ensure_local(test.project, &again, UserId::new(id()), NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(first, second);
        assert_eq!(names(&test, UserFilter::default()).await, ["Li"]);
        assert_eq!(
            test.store.db().user_by_name(test.project, "LI", "Local.com").await.unwrap(),
            Some(first)
        );
    }

    async fn a_deleted_user_leaves_no_authorization_behind(test: TestStore) {
        let new = user("Li");
        let tx = test.store.write().await.unwrap();
        tx.user_insert(test.project, &new, NOW).await.unwrap();
        tx.commit().await.unwrap();
        test.authorize(1, "SIMPLE", "li").await;
        test.authorize(1, "SIMPLE", "wang").await;
        test.authorize(1, "USER_GROUP", "li").await;

        let tx = test.store.write().await.unwrap();
        let keys: Vec<_> = tx.db().user_keys(test.project, &[new.id, UserId::new(id())]).await.unwrap();
        assert_eq!(keys.len(), 1);
        assert!(tx.db().user_keys(test.other_project, &[new.id]).await.unwrap().is_empty());
        // Of another project: nothing happens.
        tx.users_delete(test.other_project, &[keys[0].1]).await.unwrap();
        assert_eq!(tx.db().user_keys(test.project, &[new.id]).await.unwrap().len(), 1);
        tx.users_delete(test.project, &[keys[0].1]).await.unwrap();
        tx.commit().await.unwrap();

        assert_eq!(names(&test, UserFilter::default()).await, [""; 0]);
        assert_eq!(test.number("SELECT count(*) FROM app_authorization").await, 2);
        assert_eq!(
            test.number("SELECT count(*) FROM app_authorization WHERE account_type = 'SIMPLE' AND account = 'li'").await,
            0
        );
    }
}
