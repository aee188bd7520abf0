use outfitter_domain::fleet::{DesktopName, DesktopType};
use outfitter_domain::{Millis, OsType};
use outfitter_ids::DesktopId;
use outfitter_store::{
    DesktopFilter, DesktopOrder, DesktopSeen, DesktopTag, LeftUsers, NewDesktop, Page, Persistence,
    TagMatch, TagSearch,
};

use crate::database::{NOW, TestStore, id, on_both};
use crate::user::user;

pub(crate) fn desktop(name: &str) -> NewDesktop {
    NewDesktop {
        id: DesktopId::new(id()),
        name: DesktopName::parse(name).unwrap(),
        os_type: OsType::Linux,
        desktop_type: DesktopType::Dedicated,
        persistence: Persistence::Persistent,
    }
}

fn tag(key: &str, value: &str) -> DesktopTag {
    DesktopTag {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

fn wanted(key: &str, values: &[&str]) -> TagMatch {
    TagMatch {
        key: key.to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
    }
}

async fn names(test: &TestStore, filter: &DesktopFilter) -> Vec<String> {
    let listed = test
        .store
        .db()
        .desktop_list(test.project, filter, DesktopOrder::NameAscending, Page::ALL)
        .await
        .unwrap();
    assert_eq!(listed.total, i64::try_from(listed.items.len()).unwrap());
    listed
        .items
        .into_iter()
        .map(|desktop| desktop.name)
        .collect()
}

on_both! {
    async fn a_name_is_free_again_once_its_desktop_is_deleted(test: TestStore) {
        let first = desktop("Desk-1");
        let tx = test.store.write().await.unwrap();
        let key = tx.desktop_insert(test.project, &first, NOW).await.unwrap();
        tx.desktop_insert(test.other_project, &desktop("desk-1"), NOW).await.unwrap();
        tx.commit().await.unwrap();

        let tx = test.store.write().await.unwrap();
        assert!(tx.desktop_insert(test.project, &desktop("dESK-1"), NOW).await.unwrap_err().is_conflict());
        drop(tx);

        let tx = test.store.write().await.unwrap();
        tx.desktops_delete(test.project, &[key], LeftUsers::Keep, NOW).await.unwrap();
        tx.desktop_insert(test.project, &desktop("desk-1"), NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(test.store.db().desktop_find(test.project, first.id).await.unwrap(), None);
        assert_eq!(names(&test, &DesktopFilter::default()).await, ["desk-1"]);
        assert_eq!(test.number("SELECT count(*) FROM desktop WHERE deleted_at IS NOT NULL").await, 1);
    }

    async fn deleting_takes_only_users_left_without_a_desktop(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let one = tx.desktop_insert(test.project, &desktop("one"), NOW).await.unwrap();
        let two = tx.desktop_insert(test.project, &desktop("two"), NOW).await.unwrap();
        let mut users = Vec::new();
        for name in ["only-one", "both", "none"] {
            users.push(tx.user_insert(test.project, &user(name), NOW).await.unwrap());
        }
        tx.desktop_user_attach(one, users[0], Some("sudo")).await.unwrap();
        tx.desktop_user_attach(one, users[0], None).await.unwrap();
        tx.desktop_user_attach(one, users[1], None).await.unwrap();
        tx.desktop_user_attach(two, users[1], None).await.unwrap();
        tx.commit().await.unwrap();
        let attached = test.store.db().desktop_users(&[one]).await.unwrap();
        let attached: Vec<_> = attached[&one].iter().map(|user| (user.name.as_str(), user.user_group.as_deref())).collect();
        assert_eq!(attached, [("both", None), ("only-one", Some("sudo"))]);

        let tx = test.store.write().await.unwrap();
        tx.desktops_delete(test.project, &[one], LeftUsers::Delete, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let left = test.store.db().user_list(test.project, &Default::default(), Page::ALL).await.unwrap();
        let left: Vec<_> = left.items.into_iter().map(|user| (user.name, user.desktops)).collect();
        assert_eq!(left, [("none".to_owned(), 0), ("both".to_owned(), 1)]);
    }

    async fn each_filter_keeps_what_it_says(test: TestStore) {
        let (alpha, beta) = (desktop("alpha"), NewDesktop { desktop_type: DesktopType::Shared, ..desktop("beta") });
        let tx = test.store.write().await.unwrap();
        let first = tx.desktop_insert(test.project, &alpha, NOW).await.unwrap();
        let second = tx.desktop_insert(test.project, &beta, NOW).await.unwrap();
        let li = user("Li");
        let key = tx.user_insert(test.project, &li, NOW).await.unwrap();
        tx.desktop_user_attach(first, key, None).await.unwrap();
        tx.tags_set(first, &[tag("team", "red"), tag("floor", "2")]).await.unwrap();
        tx.tags_set(second, &[tag("team", "blue")]).await.unwrap();
        tx.desktop_insert(test.project, &desktop("gamma"), NOW).await.unwrap();
        tx.desktop_seen(&[DesktopSeen { desktop: first, at: Millis::new(5), ip_address: Some("10.0.0.7".to_owned()) }]).await.unwrap();
        tx.commit().await.unwrap();

        let of = async |filter: DesktopFilter| names(&test, &filter).await;
        let all = DesktopFilter::default();
        assert_eq!(of(all.clone()).await, ["alpha", "beta", "gamma"]);
        assert_eq!(of(DesktopFilter { ids: Some(vec![alpha.id, DesktopId::new(id())]), ..all.clone() }).await, ["alpha"]);
        assert_eq!(of(DesktopFilter { name_part: Some("A".to_owned()), ..all.clone() }).await.len(), 3);
        assert_eq!(of(DesktopFilter { name_part: Some("LPH".to_owned()), ..all.clone() }).await, ["alpha"]);
        assert_eq!(of(DesktopFilter { names: Some(vec!["BETA".to_owned()]), ..all.clone() }).await, ["beta"]);
        assert_eq!(of(DesktopFilter { ip_part: Some("0.0.7".to_owned()), ..all.clone() }).await, ["alpha"]);
        assert_eq!(of(DesktopFilter { user_name_parts: Some(vec!["x".to_owned(), "L".to_owned()]), ..all.clone() }).await, ["alpha"]);
        assert_eq!(of(DesktopFilter { user_names: Some(vec!["li".to_owned()]), ..all.clone() }).await, ["alpha"]);
        assert_eq!(of(DesktopFilter { user_names: Some(vec!["l".to_owned()]), ..all.clone() }).await, [""; 0]);
        assert_eq!(of(DesktopFilter { user: Some(li.id), ..all.clone() }).await, ["alpha"]);
        assert_eq!(of(DesktopFilter { user_attached: Some(true), ..all.clone() }).await, ["alpha"]);
        assert_eq!(of(DesktopFilter { user_attached: Some(false), ..all.clone() }).await, ["beta", "gamma"]);
        assert_eq!(of(DesktopFilter { desktop_types: Some(vec!["SHARED".to_owned()]), ..all.clone() }).await, ["beta"]);
        assert_eq!(of(DesktopFilter { agent_installed: Some(true), ..all.clone() }).await, [""; 0]);
        assert_eq!(of(DesktopFilter { agent_version: Some("1".to_owned()), ..all.clone() }).await, [""; 0]);
        assert_eq!(of(DesktopFilter { without_any_tag: Some(true), ..all.clone() }).await, ["gamma"]);
        let tagged = async |tags: TagSearch| of(DesktopFilter { tags, ..DesktopFilter::default() }).await;
        let search = TagSearch::default();
        assert_eq!(tagged(TagSearch { all: vec![wanted("team", &[]), wanted("floor", &["2"])], ..search.clone() }).await, ["alpha"]);
        assert_eq!(tagged(TagSearch { any: vec![wanted("team", &["blue"]), wanted("floor", &[])], ..search.clone() }).await, ["alpha", "beta"]);
        assert_eq!(tagged(TagSearch { not_all: vec![wanted("team", &[]), wanted("floor", &[])], ..search.clone() }).await, ["beta", "gamma"]);
        assert_eq!(tagged(TagSearch { none: vec![wanted("team", &["red"]), wanted("floor", &["9"])], ..search }).await, ["beta", "gamma"]);

        let newest = test.store.db().desktop_list(test.project, &all, DesktopOrder::NewestFirst, Page { offset: 0, limit: 1 }).await.unwrap();
        assert_eq!((newest.total, newest.items[0].name.as_str()), (3, "gamma"));
        let last = test.store.db().desktop_list(test.project, &all, DesktopOrder::NameDescending, Page { offset: 1, limit: 1 }).await.unwrap();
        assert_eq!(last.items[0].tags, [tag("team", "blue")]);
    }

    async fn tags_are_replaced_removed_and_counted(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let one = tx.desktop_insert(test.project, &desktop("one"), NOW).await.unwrap();
        assert_eq!(tx.tags_set(one, &[tag("a", "1"), tag("b", "1"), tag("c", "")]).await.unwrap(), 3);
        assert_eq!(tx.tags_set(one, &[tag("a", "2")]).await.unwrap(), 3);
        // By key alone without a value; only that value with one; an absent one is passed over.
        tx.tags_remove(one, &[tag("c", ""), tag("b", "other"), tag("z", "")]).await.unwrap();
        let two = tx.desktop_insert(test.project, &desktop("two"), NOW).await.unwrap();
        tx.tags_set(two, &[tag("a", "3")]).await.unwrap();
        let foreign = tx.desktop_insert(test.other_project, &desktop("two"), NOW).await.unwrap();
        tx.tags_set(foreign, &[tag("a", "foreign")]).await.unwrap();
        tx.commit().await.unwrap();
        let db = test.store.db();
        assert_eq!(db.tags_of(&[one]).await.unwrap()[&one], [tag("a", "2"), tag("b", "1")]);
        let all = db.project_tags(test.project, None, None, Page::ALL).await.unwrap();
        let all: Vec<_> = all.items.into_iter().map(|tag| (tag.key, tag.values)).collect();
        assert_eq!(all, [("a".to_owned(), vec!["2".to_owned(), "3".to_owned()]), ("b".to_owned(), vec!["1".to_owned()])]);
        let page = db.project_tags(test.project, None, None, Page { offset: 1, limit: 5 }).await.unwrap();
        assert_eq!((page.total, page.items[0].key.as_str()), (2, "b"));
        let found = db.project_tags(test.project, Some("A"), Some("3"), Page::ALL).await.unwrap();
        assert_eq!(found.items[0].values, ["3"]);
    }

    async fn an_older_sign_of_life_never_replaces_a_newer_one(test: TestStore) {
        let new = desktop("one");
        let tx = test.store.write().await.unwrap();
        let one = tx.desktop_insert(test.project, &new, NOW).await.unwrap();
        let sign = |at, ip: Option<&str>| DesktopSeen { desktop: one, at: Millis::new(at), ip_address: ip.map(str::to_owned) };
        tx.desktop_seen(&[sign(10, Some("10.0.0.1"))]).await.unwrap();
        tx.desktop_seen(&[sign(20, None)]).await.unwrap();
        tx.desktop_seen(&[sign(15, Some("10.0.0.9"))]).await.unwrap();
        tx.desktop_seen(&[]).await.unwrap();
        tx.commit().await.unwrap();
        let read = test.store.db().desktop_find(test.project, new.id).await.unwrap().unwrap();
        assert_eq!(read.last_seen_at, Some(Millis::new(20)));
        assert_eq!(read.ip_address.as_deref(), Some("10.0.0.1"));
    }
}
