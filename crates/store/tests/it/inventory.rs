use outfitter_agent_protocol::{InventoryDisk, InventoryFacts};
use outfitter_store::{
    Connected, DesktopKey, FoundDesktop, Installed, InventoryFilter, LeftUsers, NameSearch, Page,
    SoftwareChange, software_difference,
};

use crate::database::{NOW, TestStore, on_both};
use crate::desktop::desktop;

async fn connected(test: &TestStore, name: &str) -> Connected {
    let tx = test.store.write().await.unwrap();
    let desktop = tx
        .desktop_insert(test.project, &desktop(name), NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    Connected { desktop, epoch: 0 }
}

fn package(name: &str, version: &str) -> Installed {
    Installed {
        source: "dpkg".to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
    }
}

/// Tells all the packages of a desktop; answers how many pairs were written.
async fn tell(test: &TestStore, from: Connected, packages: &[Installed]) -> (usize, usize) {
    let known = test
        .store
        .db()
        .inventory_packages(from.desktop)
        .await
        .unwrap();
    let (add, remove) = software_difference(known, packages);
    let change = SoftwareChange {
        add: &add,
        remove: &remove,
        done: Some(("digest", 0)),
    };
    let tx = test.store.write().await.unwrap();
    let kept = tx
        .inventory_software_change(from, test.project, &change, NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(kept);
    (add.len(), remove.len())
}

async fn installed(test: &TestStore, desktop: DesktopKey, part: Option<&str>) -> Vec<String> {
    let listed = test
        .store
        .db()
        .inventory_software(desktop, part, Page::ALL)
        .await
        .unwrap();
    assert_eq!(listed.total, i64::try_from(listed.items.len()).unwrap());
    listed
        .items
        .into_iter()
        .map(|it| format!("{} {}", it.name, it.version))
        .collect()
}

async fn find(test: &TestStore, filter: InventoryFilter) -> Vec<FoundDesktop> {
    let db = test.store.db();
    let listed = db
        .inventory_search(test.project, &filter, Page::ALL)
        .await
        .unwrap();
    assert_eq!(listed.total, i64::try_from(listed.items.len()).unwrap());
    let elsewhere = db
        .inventory_search(test.other_project, &filter, Page::ALL)
        .await
        .unwrap();
    assert_eq!(elsewhere.total, 0);
    listed.items
}

async fn names(test: &TestStore, filter: InventoryFilter) -> Vec<String> {
    let found = find(test, filter).await;
    found.into_iter().map(|desktop| desktop.name).collect()
}

fn has(name: NameSearch, version: Option<&str>) -> InventoryFilter {
    InventoryFilter {
        software: Some((name, version.map(str::to_owned))),
        ..InventoryFilter::default()
    }
}

fn is(name: &str) -> NameSearch {
    NameSearch::Is(name.to_owned())
}

on_both! {
    async fn packages_are_kept_once_and_only_differences_are_written(test: TestStore) {
        let one = connected(&test, "one").await;
        let two = connected(&test, "two").await;
        let both = [package("bash", "5.2"), package("Vim", "9")];
        assert_eq!(tell(&test, one, &both).await, (2, 0));
        assert_eq!(tell(&test, two, &both).await, (2, 0));
        assert_eq!(tell(&test, two, &both).await, (0, 0));
        assert_eq!(test.number("SELECT count(*) FROM inventory_package").await, 2);
        assert_eq!(installed(&test, one.desktop, None).await, ["bash 5.2", "Vim 9"]);
        assert_eq!(installed(&test, one.desktop, Some("IM")).await, ["Vim 9"]);

        assert_eq!(tell(&test, two, &[package("bash", "5.3"), package("Vim", "9")]).await, (1, 1));
        assert_eq!(names(&test, has(is("BASH"), None)).await, ["two", "one"]);
        assert_eq!(names(&test, has(is("bash"), Some("5.2"))).await, ["one"]);
        assert_eq!(names(&test, has(is("bas"), None)).await, [""; 0]);
        let found = find(&test, has(NameSearch::BeginsWith("V".to_owned()), None)).await;
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].software, [package("Vim", "9")]);
        // Letters of a pattern stand for themselves.
        assert_eq!(names(&test, has(NameSearch::BeginsWith("%".to_owned()), None)).await, [""; 0]);
    }

    async fn a_page_that_is_not_the_last_leaves_no_digest(test: TestStore) {
        let one = connected(&test, "one").await;
        tell(&test, one, &[package("a", "1")]).await;
        let digest = "SELECT count(*) FROM inventory WHERE software_digest = 'digest'";
        assert_eq!(test.number(digest).await, 1);
        let change = SoftwareChange { add: &[package("b", "1")], remove: &[], done: None };
        let tx = test.store.write().await.unwrap();
        assert!(tx.inventory_software_change(one, test.project, &change, NOW).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(test.number(digest).await, 0);
    }

    async fn an_older_channel_and_a_deleted_desktop_change_nothing(test: TestStore) {
        let one = connected(&test, "one").await;
        let stale = Connected { epoch: -1, ..one };
        let facts = InventoryFacts::default();
        let change = SoftwareChange { add: &[package("a", "1")], remove: &[], done: Some(("d", 0)) };
        let tx = test.store.write().await.unwrap();
        assert!(!tx.inventory_facts_set(stale, "d", &facts, NOW).await.unwrap());
        assert!(!tx.inventory_software_change(stale, test.project, &change, NOW).await.unwrap());
        assert!(tx.inventory_software_change(one, test.project, &change, NOW).await.unwrap());
        tx.desktops_delete(test.project, &[one.desktop], LeftUsers::Keep, NOW).await.unwrap();
        assert!(!tx.inventory_facts_set(one, "d", &facts, NOW).await.unwrap());
        tx.commit().await.unwrap();
        let db = test.store.db();
        assert_eq!(db.inventory_find(one.desktop).await.unwrap(), None);
        assert_eq!(names(&test, has(is("a"), None)).await, [""; 0]);
        // What is left of it goes in pages, then the package that nobody has.
        assert_eq!(db.inventory_unused(10).await.unwrap(), [0; 0]);
        assert_eq!(db.inventory_of_deleted().await.unwrap(), Some(one.desktop));
        let tx = test.store.write().await.unwrap();
        assert_eq!(tx.inventory_take(one.desktop, 10).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(db.inventory_of_deleted().await.unwrap(), None);
        let unused = db.inventory_unused(10).await.unwrap();
        let tx = test.store.write().await.unwrap();
        assert_eq!(tx.inventory_packages_delete(&unused).await.unwrap(), 1);
        assert_eq!(tx.inventory_packages_delete(&unused).await.unwrap(), 0);
        tx.commit().await.unwrap();
    }

    async fn a_package_that_is_had_is_never_swept(test: TestStore) {
        let one = connected(&test, "one").await;
        tell(&test, one, &[package("a", "1"), package("b", "1")]).await;
        tell(&test, one, &[package("b", "1")]).await;
        let db = test.store.db();
        let mut candidates = db.inventory_unused(10).await.unwrap();
        assert_eq!(candidates.len(), 1);
        let kept = db.inventory_packages(one.desktop).await.unwrap();
        candidates.push(kept[0].key);
        let tx = test.store.write().await.unwrap();
        assert_eq!(tx.inventory_packages_delete(&candidates).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(installed(&test, one.desktop, None).await, ["b 1"]);
    }

    async fn desktops_are_found_by_what_they_are(test: TestStore) {
        let one = connected(&test, "one").await;
        let two = connected(&test, "two").await;
        connected(&test, "silent").await;
        let disk = |free_bytes| InventoryDisk { path: "/".to_owned(), total_bytes: 1000, free_bytes };
        let facts = InventoryFacts {
            os_name: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
            os_version: Some("12".to_owned()),
            users: vec!["Ana".to_owned(), "bo".to_owned()],
            disks: vec![disk(900), disk(90)],
            reboot_pending: Some(true),
            ..InventoryFacts::default()
        };
        let other = InventoryFacts {
            os_name: Some("Fedora Linux 40".to_owned()),
            users: vec!["anabel".to_owned()],
            disks: vec![disk(u64::MAX)],
            ..InventoryFacts::default()
        };
        let tx = test.store.write().await.unwrap();
        assert!(tx.inventory_facts_set(two, "old", &other, NOW).await.unwrap());
        assert!(tx.inventory_facts_set(one, "d1", &facts, NOW).await.unwrap());
        assert!(tx.inventory_facts_set(two, "d2", &other, NOW).await.unwrap());
        tx.commit().await.unwrap();
        let known = test.store.db().inventory_find(one.desktop).await.unwrap().unwrap();
        assert_eq!((known.facts, known.facts_at, known.software_at), (facts, Some(NOW), None));
        let by = InventoryFilter::default;
        for (filter, found) in [
            (InventoryFilter { os_part: Some("LINUX 12".to_owned()), ..by() }, vec!["one"]),
            (InventoryFilter { os_part: Some("linux".to_owned()), ..by() }, vec!["two", "one"]),
            (InventoryFilter { user: Some("ana".to_owned()), ..by() }, vec!["one"]),
            (InventoryFilter { user: Some("BO".to_owned()), ..by() }, vec!["one"]),
            (InventoryFilter { user: Some("b".to_owned()), ..by() }, vec![]),
            (InventoryFilter { reboot_pending: Some(true), ..by() }, vec!["one"]),
            (InventoryFilter { reboot_pending: Some(false), ..by() }, vec![]),
            (InventoryFilter { disk_free_below: Some(91), ..by() }, vec!["one"]),
            (InventoryFilter { disk_free_below: Some(90), ..by() }, vec![]),
            (
                InventoryFilter { user: Some("ana".to_owned()), os_part: Some("fedora".to_owned()), ..by() },
                vec![],
            ),
        ] {
            assert_eq!(names(&test, filter.clone()).await, found, "{filter:?}");
        }
        let page = Page { offset: 1, limit: 1 };
        let listed = test.store.db().inventory_search(test.project, &by(), page).await.unwrap();
        assert_eq!((listed.total, listed.items[0].name.as_str()), (3, "two"));
        assert!(listed.items[0].inventory.is_some());
    }
}
