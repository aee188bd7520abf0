use std::time::Duration;

use outfitter_domain::Millis;
use outfitter_domain::fleet::SubJobStatus;
use outfitter_ids::{NetworkReachId, WorkspaceJobId, WorkspaceSubJobId};
use outfitter_store::{
    DesktopKey, HostKeyOf, NetworkReach, NewSubJob, Page, PinnedHostKey, StoredReach, SubJobFilter,
    SubJobOutcome,
};

use crate::database::{NOW, TestStore, id, on_both};
use crate::desktop::desktop;

const LEASE: Duration = Duration::from_secs(30);

async fn enqueue(test: &TestStore, desktops: &[DesktopKey]) {
    let subs: Vec<_> = desktops
        .iter()
        .map(|desktop| NewSubJob {
            id: WorkspaceSubJobId::new(id()),
            desktop: *desktop,
            attach_user: None,
            outcome: SubJobOutcome::WAITING,
        })
        .collect();
    let job = WorkspaceJobId::new(id());
    let tx = test.store.write().await.unwrap();
    tx.workspace_job_insert(test.project, job, "installAgents", &subs, NOW)
        .await
        .unwrap();
    tx.push_enqueue(job).await.unwrap();
    tx.push_enqueue(job).await.unwrap();
    tx.commit().await.unwrap();
}

fn reach(settings: &str) -> StoredReach {
    StoredReach {
        settings: settings.to_owned(),
        secrets_sealed: vec![1, 2, 3],
        updated_at: NOW,
    }
}

on_both! {
    async fn a_push_is_worked_on_by_one_server_until_its_lease_lapses(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let one = tx.desktop_insert(test.project, &desktop("one"), NOW).await.unwrap();
        let two = tx.desktop_insert(test.project, &desktop("two"), NOW).await.unwrap();
        tx.commit().await.unwrap();
        // Two jobs name the same desktop: one push of it at a time.
        enqueue(&test, &[one, two]).await;
        enqueue(&test, &[one]).await;
        assert!(test.store.db().push_is_due(NOW).await.unwrap());
        let claim = async |at: Millis| {
            let tx = test.store.write().await.unwrap();
            let claimed = tx.push_claim(10, at, at.plus(LEASE)).await.unwrap();
            tx.commit().await.unwrap();
            claimed
        };
        let first = claim(NOW).await;
        assert_eq!(first.iter().map(|push| (push.desktop, push.runs)).collect::<Vec<_>>(), [(one, 1), (two, 1)]);
        assert!(claim(NOW).await.is_empty());

        let tx = test.store.write().await.unwrap();
        let renewed = NOW.plus(LEASE);
        tx.push_progress(&[(first[0].sub_job, 40)], renewed.plus(LEASE)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(test.store.db().push_percents(&[one, two]).await.unwrap().len(), 2);
        let listed = test.store.db().sub_job_list(test.project, &SubJobFilter::default(), Page::ALL).await.unwrap();
        let mut percents: Vec<_> = listed.items.iter().map(|sub| (sub.outcome.status, sub.percent)).collect();
        percents.reverse();
        assert_eq!(percents, [
            (SubJobStatus::Running, Some(40)),
            (SubJobStatus::Running, Some(0)),
            (SubJobStatus::Waiting, Some(0)),
        ]);

        // The server of `two` is gone; that of `one` renewed.
        let taken_over = claim(renewed).await;
        assert_eq!(taken_over.iter().map(|push| (push.desktop, push.runs)).collect::<Vec<_>>(), [(two, 2)]);
        let tx = test.store.write().await.unwrap();
        tx.push_release(taken_over[0].sub_job).await.unwrap();
        tx.push_finish(&first[0], &SubJobOutcome::SUCCESS, renewed).await.unwrap();
        tx.commit().await.unwrap();
        let rest = claim(renewed).await;
        assert_eq!(rest.iter().map(|push| (push.desktop, push.runs)).collect::<Vec<_>>(), [(two, 2), (one, 1)]);
        assert_ne!(rest[1].sub_job, first[0].sub_job);
    }

    async fn reaches_and_pins_are_of_their_desktop_and_project(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let one = tx.desktop_insert(test.project, &desktop("one"), NOW).await.unwrap();
        tx.desktop_reach_set(one, &reach("{}")).await.unwrap();
        tx.desktop_reach_set(one, &reach("{\"port\":1}")).await.unwrap();
        let pin = |fingerprint: &str| PinnedHostKey { of: HostKeyOf::Desktop, fingerprint: fingerprint.to_owned() };
        tx.host_key_pin_if_absent(one, &pin("first"), NOW).await.unwrap();
        tx.host_key_pin_if_absent(one, &pin("second"), NOW).await.unwrap();
        let entry = |settings: &str| NetworkReach {
            id: NetworkReachId::new(id()),
            network: "10.0.0.0/8".to_owned(),
            reach: reach(settings),
        };
        let network = tx.network_reach_set(test.project, &entry("{}")).await.unwrap();
        let again = tx.network_reach_set(test.project, &entry("{\"port\":2}")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(network, again, "an entry of the same network keeps its id");

        let db = test.store.db();
        assert_eq!(db.desktop_reach(one).await.unwrap().unwrap().settings, "{\"port\":1}");
        assert_eq!(db.host_keys(one).await.unwrap(), [pin("first")]);
        assert_eq!(db.network_reach_list(test.project).await.unwrap()[0].reach.settings, "{\"port\":2}");
        assert!(db.network_reach_list(test.other_project).await.unwrap().is_empty());

        let tx = test.store.write().await.unwrap();
        assert!(!tx.network_reach_delete(test.other_project, network).await.unwrap());
        assert!(tx.network_reach_delete(test.project, network).await.unwrap());
        assert!(tx.desktop_reach_delete(one).await.unwrap());
        assert!(!tx.desktop_reach_delete(one).await.unwrap());
        tx.commit().await.unwrap();
        assert!(test.store.db().host_keys(one).await.unwrap().is_empty());
    }
}
