use std::collections::BTreeMap;

use outfitter_agent_protocol::{History, MachineIdentity};
use outfitter_domain::fleet::{CopySign, DesktopName, EnrollmentRefusal, SeenCopy};
use outfitter_ids::{EnrollmentRequestId, EnrollmentTokenId, HistoryId};
use outfitter_store::{
    ClaimProof, CopiesSet, CopyOf, Enrolled, EnrollmentClaim, NewEnrollmentToken, RequestDecision,
};

use crate::database::{NOW, TestStore, id, on_both};
use crate::desktop::desktop;
use crate::enrollment::{claim, enroll, store_token, token};

async fn set(test: &TestStore, token: Option<EnrollmentTokenId>) -> CopiesSet {
    let tx = test.store.write().await.unwrap();
    let outcome = tx.copies_token_set(test.project, token).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

/// A desktop `pc` whose disk was copied.
async fn original(test: &TestStore) -> Enrolled {
    let first = token();
    store_token(test, &first).await;
    enroll(test, &claim(&first, "pc", 1)).await.unwrap()
}

/// What a copy tells of itself; `mark` tells it from others.
fn told(mark: u8) -> MachineIdentity {
    MachineIdentity {
        marks: BTreeMap::from([("product".to_owned(), mark.to_string())]),
        history: History {
            id: HistoryId::new(uuid::Uuid::from_u128(9)),
            count: 3,
        },
        begun_anew: false,
    }
}

fn copy_of(of: &Enrolled, token: &NewEnrollmentToken, mark: u8) -> EnrollmentClaim {
    let asked = claim(token, "PC", mark);
    EnrollmentClaim {
        proof: ClaimProof::Copy,
        copy: Some(CopyOf {
            agent: of.agent,
            desktop: of.desktop_id,
            desktop_name: of.name.as_str().to_owned(),
            told: told(mark),
            spare_names: asked.name.spares(&[mark, mark, 0xff, mark]),
        }),
        ..asked
    }
}

/// Notes that a copy was seen.
async fn see(test: &TestStore, of: &Enrolled, mark: u8) {
    let told = told(mark);
    let seen = SeenCopy {
        at_millis: 0,
        address: None,
        sign: CopySign::OtherMachine,
        marks: told.marks,
        history: told.history,
        settled: false,
    };
    let tx = test.store.write().await.unwrap();
    tx.agent_copy_note(of.agent, Some(&seen)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn is_seen(test: &TestStore) -> bool {
    test.number("SELECT count(*) FROM agent WHERE seen_copy IS NOT NULL")
        .await
        == 1
}

on_both! {
    async fn a_project_names_one_of_its_tokens_that_is_not_for_one_desktop(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let one = tx.desktop_insert(test.project, &desktop("Desk-1"), NOW).await.unwrap();
        tx.commit().await.unwrap();
        let good = token();
        let bound = NewEnrollmentToken { desktop: Some(one), ..token() };
        store_token(&test, &good).await;
        store_token(&test, &bound).await;
        let named = async |project| test.store.db().copies_token(project).await.unwrap().map(|token| token.id);
        assert_eq!(named(test.project).await, None);
        assert_eq!(set(&test, Some(good.id)).await, CopiesSet::Applied);
        assert_eq!(set(&test, Some(bound.id)).await, CopiesSet::ForOneDesktop);
        assert_eq!(set(&test, Some(EnrollmentTokenId::new(id()))).await, CopiesSet::UnknownToken);
        assert_eq!(named(test.project).await, Some(good.id));
        assert_eq!(named(test.other_project).await, None);
        let tx = test.store.write().await.unwrap();
        let elsewhere = tx.copies_token_set(test.other_project, Some(good.id)).await.unwrap();
        assert_eq!(elsewhere, CopiesSet::UnknownToken);
        drop(tx);
        assert_eq!(set(&test, None).await, CopiesSet::Applied);
        assert_eq!(named(test.project).await, None);
    }

    async fn a_copy_comes_in_with_the_projects_token_alone_under_a_name_that_is_free(test: TestStore) {
        let of = original(&test).await;
        let replacing = NewEnrollmentToken { may_reenroll: true, max_uses: Some(2), ..token() };
        store_token(&test, &replacing).await;
        assert_eq!(enroll(&test, &copy_of(&of, &replacing, 2)).await, Err(EnrollmentRefusal::TokenUnknown));
        set(&test, Some(replacing.id)).await;
        see(&test, &of, 3).await;

        let second = enroll(&test, &copy_of(&of, &replacing, 2)).await.unwrap();
        assert_eq!((second.name.as_str(), second.replaced), ("PC-0202", None));
        assert_ne!(second.desktop, of.desktop);
        assert!(is_seen(&test).await, "another copy than the one that came in");
        // The first spare name is taken too.
        let third = EnrollmentClaim { copy: Some(CopyOf {
            spare_names: DesktopName::parse("PC").unwrap().spares(&[2, 2, 0xff, 3]),
            ..copy_of(&of, &replacing, 3).copy.unwrap()
        }), ..copy_of(&of, &replacing, 3) };
        let third = enroll(&test, &third).await.unwrap();
        assert_eq!(third.name.as_str(), "PC-ff03");
        assert!(!is_seen(&test).await);
        assert_eq!(enroll(&test, &copy_of(&of, &replacing, 4)).await, Err(EnrollmentRefusal::TokenUsedUp));
        // The one that was copied is as it was.
        assert_eq!(test.number("SELECT count(*) FROM agent WHERE revoked_at IS NULL").await, 3);
    }

    async fn a_copy_without_a_free_name_takes_nobodys_place(test: TestStore) {
        let of = original(&test).await;
        let replacing = NewEnrollmentToken { may_reenroll: true, ..token() };
        store_token(&test, &replacing).await;
        set(&test, Some(replacing.id)).await;
        let claim = copy_of(&of, &replacing, 2);
        let nameless = EnrollmentClaim {
            copy: Some(CopyOf { spare_names: Vec::new(), ..claim.copy.clone().unwrap() }),
            ..claim.clone()
        };
        assert_eq!(enroll(&test, &nameless).await, Err(EnrollmentRefusal::NameTaken));
        // A desktop that is registered and has no agent is somebody's too.
        let tx = test.store.write().await.unwrap();
        let registered = tx.desktop_insert(test.project, &desktop("Desk-1"), NOW).await.unwrap();
        tx.commit().await.unwrap();
        let its_name = EnrollmentClaim { name: DesktopName::parse("desk-1").unwrap(), ..claim.clone() };
        let own = enroll(&test, &its_name).await.unwrap();
        assert_ne!(own.desktop, registered);
        assert_eq!(own.name.as_str(), "PC-0202");
        // Nobody is a copy of what is gone.
        let tx = test.store.write().await.unwrap();
        tx.agents_revoke(&[of.desktop], NOW).await.unwrap();
        tx.commit().await.unwrap();
        let late = copy_of(&of, &replacing, 5);
        assert_eq!(enroll(&test, &late).await, Err(EnrollmentRefusal::TokenUnknown));
    }

    async fn a_copy_that_waits_for_approval_is_shown_as_one_and_is_one_when_it_comes_in(test: TestStore) {
        let of = original(&test).await;
        let demanding = NewEnrollmentToken { needs_approval: true, may_reenroll: true, ..token() };
        store_token(&test, &demanding).await;
        set(&test, Some(demanding.id)).await;
        see(&test, &of, 2).await;
        let wish = copy_of(&of, &demanding, 2);
        assert_eq!(enroll(&test, &wish).await, Err(EnrollmentRefusal::ApprovalNeeded));
        let request = EnrollmentRequestId::new(id());
        let tx = test.store.write().await.unwrap();
        tx.enrollment_request_insert(request, &wish, &[2; 32], NOW).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        let found = test.store.db().enrollment_request_find(request, NOW).await.unwrap().unwrap();
        assert_eq!(found.name, "PC-0202");
        let copy = found.copy.clone().unwrap();
        assert_eq!(
            (copy.agent, copy.desktop, copy.desktop_name.as_str(), copy.told),
            (of.agent, of.desktop_id, "pc", told(2))
        );
        assert!(is_seen(&test).await, "it is not in yet");
        let tx = test.store.write().await.unwrap();
        let decided = tx.enrollment_request_decide(test.project, &[request], true, NOW).await.unwrap();
        assert_eq!(decided, RequestDecision::Made);
        tx.commit().await.unwrap();
        let approved = EnrollmentClaim {
            proof: ClaimProof::Approval(found.key),
            name: DesktopName::parse(&found.name).unwrap(),
            ..wish
        };
        let enrolled = enroll(&test, &approved).await.unwrap();
        assert_eq!((enrolled.name.as_str(), enrolled.replaced), ("PC-0202", None));
        assert!(!is_seen(&test).await);
        let agent = test.store.db().agent_find(enrolled.agent_id).await.unwrap().unwrap();
        assert_eq!((agent.key, agent.desktop_name.as_str(), agent.live), (enrolled.agent, "PC-0202", true));
    }
}
