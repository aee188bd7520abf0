use outfitter_ids::GroupId;
use outfitter_store::{GroupFilter, Page};

use crate::database::{NOW, id, on_both};
use crate::user::{group, user};

on_both! {
    async fn the_closure_follows_the_members(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let staff = tx.group_insert(test.project, &group("Staff"), NOW).await.unwrap();
        let li = tx.user_insert(test.project, &user("li"), NOW).await.unwrap();
        let wang = tx.user_insert(test.project, &user("wang"), NOW).await.unwrap();
        tx.group_members_add(staff, &[li, wang]).await.unwrap();
        tx.group_members_add(staff, &[li]).await.unwrap();
        tx.group_members_remove(staff, &[wang]).await.unwrap();
        tx.group_members_remove(staff, &[wang]).await.unwrap();
        tx.commit().await.unwrap();
        for table in ["group_member", "group_closure"] {
            assert_eq!(test.number(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
        }

        let tx = test.store.write().await.unwrap();
        tx.users_delete(test.project, &[li]).await.unwrap();
        tx.commit().await.unwrap();
        for table in ["group_member", "group_closure"] {
            assert_eq!(test.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
    }

    async fn authorizations_follow_a_renamed_group_and_go_with_a_deleted_one(test: TestStore) {
        let new = group("Staff");
        let tx = test.store.write().await.unwrap();
        tx.group_insert(test.project, &new, NOW).await.unwrap();
        tx.group_insert(test.project, &group("Sales"), NOW).await.unwrap();
        tx.commit().await.unwrap();
        test.authorize(1, "USER_GROUP", "Staff").await;
        // The second app names the future name already.
        test.authorize(2, "USER_GROUP", "staff").await;
        test.authorize(2, "USER_GROUP", "Team").await;
        test.authorize(2, "SIMPLE", "staff").await;

        let tx = test.store.write().await.unwrap();
        let stored = tx.db().group_find(test.project, new.id).await.unwrap().unwrap();
        assert!(tx.group_rename(test.project, &stored, "SALES").await.unwrap_err().is_conflict());
        drop(tx);
        let tx = test.store.write().await.unwrap();
        tx.group_rename(test.project, &stored, "Team").await.unwrap();
        tx.group_describe(stored.key, "all of us").await.unwrap();
        tx.commit().await.unwrap();
        let named = |name: &str| format!("SELECT count(*) FROM app_authorization WHERE account_type = 'USER_GROUP' AND account_folded = '{name}'");
        assert_eq!(test.number(&named("team")).await, 2);
        assert_eq!(test.number(&named("staff")).await, 0);

        let renamed = test.store.db().group_find(test.project, new.id).await.unwrap().unwrap();
        assert_eq!((renamed.name.as_str(), renamed.description.as_str()), ("Team", "all of us"));
        let tx = test.store.write().await.unwrap();
        tx.groups_delete(test.project, &[renamed.key]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(test.number("SELECT count(*) FROM app_authorization").await, 1);
        assert_eq!(test.store.db().group_find(test.project, new.id).await.unwrap(), None);
    }

    async fn groups_are_listed_by_filter_and_project(test: TestStore) {
        let staff = group("Staff");
        let tx = test.store.write().await.unwrap();
        tx.group_insert(test.project, &staff, NOW).await.unwrap();
        let ad = outfitter_store::NewGroup {
            domain: "corp.example".to_owned(),
            platform_type: outfitter_domain::PlatformType::Ad,
            ..group("Admins")
        };
        tx.group_insert(test.project, &ad, NOW).await.unwrap();
        tx.group_insert(test.other_project, &group("Foreign"), NOW).await.unwrap();
        tx.commit().await.unwrap();
        let db = test.store.db();
        let names = async |filter: GroupFilter| -> Vec<String> {
            let listed = db.group_list(test.project, &filter, Page::ALL).await.unwrap();
            assert_eq!(listed.total, i64::try_from(listed.items.len()).unwrap());
            listed.items.into_iter().map(|group| group.name).collect()
        };
        assert_eq!(names(GroupFilter::default()).await, ["Admins", "Staff"]);
        assert_eq!(names(GroupFilter { name_part: Some("TAF".to_owned()), ..Default::default() }).await, ["Staff"]);
        assert_eq!(names(GroupFilter { domain: Some("Corp.Example".to_owned()), ..Default::default() }).await, ["Admins"]);
        assert_eq!(
            names(GroupFilter { platform_types: Some(vec!["LOCAL".to_owned(), "UOS".to_owned()]), ..Default::default() }).await,
            ["Staff"]
        );
        assert_eq!(db.group_keys(test.project, &[staff.id, GroupId::new(id())]).await.unwrap().len(), 1);
        assert!(db.group_keys(test.other_project, &[staff.id]).await.unwrap().is_empty());
    }
}
