use outfitter_domain::Millis;
use outfitter_store::{
    AgentProgram, AgentUpdateNote, AgentUpdateStage, DesktopKey, NewAgentProgram, NewAgentRelease,
    Page, RollOut,
};

use crate::database::{NOW, TestStore, on_both};
use crate::desktop::desktop;

const SHA256: &str = "abababababababababababababababababababababababababababababababab";

fn program() -> AgentProgram {
    AgentProgram {
        sha256: SHA256.to_owned(),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        version: "1.2.0".to_owned(),
        size_bytes: 3,
    }
}

async fn scene(test: &TestStore) -> [DesktopKey; 3] {
    let tx = test.store.write().await.unwrap();
    for _ in 0..2 {
        let content = &[0, 1, 255];
        let program = NewAgentProgram {
            facts: program(),
            content,
        };
        tx.agent_program_insert(&program, NOW).await.unwrap();
    }
    let release = NewAgentRelease {
        version: "1.2.0".to_owned(),
        manifest: "{}".to_owned(),
        signature: "ab".to_owned(),
        expires_at: Millis::new(NOW.get() + 1000),
        operator: "me".to_owned(),
        programs: vec![program()],
        roll_out: RollOut {
            percent: 10,
            halted: false,
            halt_reason: None,
            halt_after_failures: 2,
            trial_limit_secs: 60,
            round: 1,
        },
    };
    tx.agent_release_insert(&release, NOW).await.unwrap();
    let mut keys = Vec::new();
    for name in ["one", "two", "three"] {
        keys.push(
            tx.desktop_insert(test.project, &desktop(name), NOW)
                .await
                .unwrap(),
        );
    }
    tx.commit().await.unwrap();
    let tx = test.store.write().await.unwrap();
    assert!(
        tx.agent_release_insert(&release, NOW)
            .await
            .unwrap_err()
            .is_conflict()
    );
    keys.try_into().unwrap()
}

async fn note(test: &TestStore, desktop: DesktopKey, round: i64, stage: AgentUpdateStage) -> bool {
    let tx = test.store.write().await.unwrap();
    let note = AgentUpdateNote {
        version: "1.2.0".to_owned(),
        round,
        stage,
        detail: Some(format!("in round {round}")),
    };
    let halted = tx.agent_update_note(desktop, &note, NOW).await.unwrap();
    tx.commit().await.unwrap();
    halted
}

on_both! {
    async fn a_program_is_handed_out_while_its_release_is_rolled_out(test: TestStore) {
        scene(&test).await;
        let db = test.store.db();
        assert!(db.agent_program_is_handed_out(SHA256).await.unwrap());
        assert_eq!(db.agent_program_content(SHA256).await.unwrap().unwrap(), [0, 1, 255]);
        assert_eq!(db.agent_program_list(&[SHA256.to_owned(), "x".to_owned()]).await.unwrap(), [program()]);
        assert_eq!(db.agent_release_rolling(NOW).await.unwrap().len(), 1);
        let late = Millis::new(NOW.get() + 1000);
        assert_eq!(db.agent_release_rolling(late).await.unwrap().len(), 0);
        let mut release = db.agent_release_find("1.2.0").await.unwrap().unwrap();
        release.release.roll_out.halted = true;
        let tx = test.store.write().await.unwrap();
        tx.agent_release_roll_out(release.key, &release.release.roll_out).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!db.agent_program_is_handed_out(SHA256).await.unwrap());
        assert_eq!(db.agent_release_rolling(NOW).await.unwrap().len(), 0);
        let listed = db.agent_release_list(Page::ALL).await.unwrap();
        assert_eq!((listed.total, listed.items), (1, vec![release]));
    }

    async fn failures_of_one_round_halt_a_release_and_old_news_changes_nothing(test: TestStore) {
        let [one, two, three] = scene(&test).await;
        assert!(!note(&test, one, 1, AgentUpdateStage::Trying).await);
        assert!(!note(&test, one, 1, AgentUpdateStage::Failed).await);
        // The same desktop saying it again is no second failure.
        assert!(!note(&test, one, 1, AgentUpdateStage::Failed).await);
        assert!(!note(&test, three, 1, AgentUpdateStage::Refused).await);
        assert!(note(&test, two, 1, AgentUpdateStage::Failed).await);
        let find = async || test.store.db().agent_release_find("1.2.0").await.unwrap().unwrap();
        let release = find().await;
        assert!(release.release.roll_out.halted && release.release.roll_out.halt_reason.is_some());
        assert_eq!((release.trying, release.failed, release.refused), (0, 2, 1));
        let failures = test.store.db().agent_update_failures(release.key, 10).await.unwrap();
        assert_eq!(failures.len(), 3);
        assert_eq!(failures[0].detail.as_deref(), Some("in round 1"));

        // In the next round all begins anew; what is told late of the round before is passed over.
        let mut next = release.release.roll_out;
        (next.halted, next.round) = (false, 2);
        let tx = test.store.write().await.unwrap();
        tx.agent_release_roll_out(release.key, &next).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!note(&test, one, 2, AgentUpdateStage::Done).await);
        assert!(!note(&test, one, 1, AgentUpdateStage::Failed).await);
        let release = find().await;
        assert_eq!((release.done, release.failed, release.release.roll_out.halted), (1, 1, false));
    }
}
