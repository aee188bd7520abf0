use outfitter_domain::Millis;
use outfitter_store::{AgentCount, DesktopFilter, DesktopOrder, DesktopSeen, OnlineSample, Page};

use crate::database::{NOW, TestStore, on_both};
use crate::desktop::desktop;
use crate::enrollment::{claim, enroll, store_token, token};

async fn names(test: &TestStore, filter: DesktopFilter) -> Vec<String> {
    test.store
        .db()
        .desktop_list(
            test.project,
            &filter,
            DesktopOrder::NameAscending,
            Page::ALL,
        )
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|desktop| desktop.name)
        .collect()
}

/// Two desktops with agents, of which one was seen at 50, and one without.
async fn fleet(test: &TestStore) {
    let token = token();
    store_token(test, &token).await;
    let seen = enroll(test, &claim(&token, "seen", 1))
        .await
        .unwrap()
        .desktop;
    enroll(test, &claim(&token, "silent", 2)).await.unwrap();
    let tx = test.store.write().await.unwrap();
    tx.desktop_insert(test.project, &desktop("bare"), NOW)
        .await
        .unwrap();
    tx.desktop_seen(&[DesktopSeen {
        desktop: seen,
        at: Millis::new(50),
        ip_address: None,
    }])
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

on_both! {
    async fn desktops_are_found_by_their_agents_and_in_pages(test: TestStore) {
        fleet(&test).await;
        let seen = |since, is| DesktopFilter { seen: Some((Millis::new(since), is)), ..DesktopFilter::default() };
        assert_eq!(names(&test, seen(50, true)).await, ["seen"]);
        assert_eq!(names(&test, seen(50, false)).await, ["silent"]);
        assert_eq!(names(&test, seen(51, false)).await, ["seen", "silent"]);
        let restart = DesktopFilter { restart_needed: Some(true), ..DesktopFilter::default() };
        assert!(names(&test, restart).await.is_empty());
        let windows = DesktopFilter { os_type: Some(outfitter_domain::OsType::Windows), ..DesktopFilter::default() };
        assert!(names(&test, windows).await.is_empty());

        let mut filter = DesktopFilter::default();
        let mut read = Vec::new();
        loop {
            let page = test.store.db().desktop_next(test.project, &filter, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            filter.before = Some(last.key);
            read.extend(page.into_iter().map(|desktop| desktop.name));
        }
        assert_eq!(read, ["bare", "silent", "seen"]);
    }

    async fn agents_are_counted_once_a_slot_and_old_counts_go(test: TestStore) {
        fleet(&test).await;
        let db = test.store.db();
        let counts = db.agents_count(Millis::new(50)).await.unwrap();
        assert_eq!(counts, [AgentCount { project: test.project, online: 1, agents: 2 }]);
        let write = async |slot: i64, online: i64, keep_from: i64| {
            let count = AgentCount { project: test.project, online, agents: 2 };
            let tx = test.store.write().await.unwrap();
            tx.agents_online_insert(Millis::new(slot), &[count], Millis::new(keep_from)).await.unwrap();
            tx.commit().await.unwrap();
        };
        assert!(!db.agents_online_is_counted(Millis::new(10)).await.unwrap());
        write(10, 2, 0).await;
        assert!(db.agents_online_is_counted(Millis::new(10)).await.unwrap());
        // A second server counts the same slot: the first count stays.
        write(10, 0, 0).await;
        write(20, 1, 0).await;
        write(30, 2, 0).await;
        let place = |at, online| OnlineSample { at: Millis::new(at), online, agents: 2 };
        let series = async |since, step| db.agents_online(test.project, Millis::new(since), step).await.unwrap();
        assert_eq!(series(0, 10).await, [place(10, 2), place(20, 1), place(30, 2)]);
        assert_eq!(series(11, 10).await, [place(20, 1), place(30, 2)]);
        assert_eq!(series(0, 100).await, [place(0, 1)], "a dip is not hidden in a longer place");
        assert!(db.agents_online(test.other_project, Millis::new(0), 10).await.unwrap().is_empty());
        write(40, 2, 25).await;
        assert_eq!(series(0, 10).await, [place(30, 2), place(40, 2)]);
    }
}
