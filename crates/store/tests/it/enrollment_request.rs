use std::time::Duration;

use outfitter_domain::Millis;
use outfitter_domain::fleet::{
    EnrollmentRefusal, NotedIdentity, Presence, REQUEST_LIFE, REQUESTS_UNDECIDED_MAX, RequestState,
    Takeover,
};
use outfitter_ids::EnrollmentRequestId;
use outfitter_store::{
    ClaimProof, EnrollmentClaim, EnrollmentRequest, NewEnrollmentToken, Page, RequestDecision,
    Rival,
};

use crate::database::{NOW, TestStore, id, on_both};
use crate::enrollment::{claim, enroll, marks, store_token, token};

fn demanding() -> NewEnrollmentToken {
    NewEnrollmentToken {
        needs_approval: true,
        ..token()
    }
}

/// Stores what a claim asks for; `mark` tells its key from others.
async fn ask(
    test: &TestStore,
    claim: &EnrollmentClaim,
    mark: u8,
) -> Result<EnrollmentRequestId, EnrollmentRefusal> {
    let request = EnrollmentRequestId::new(id());
    let tx = test.store.write().await.unwrap();
    let outcome = tx
        .enrollment_request_insert(request, claim, &[mark; 32], NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    outcome.map(|_| request)
}

async fn decide(
    test: &TestStore,
    ids: &[EnrollmentRequestId],
    approve: bool,
    now: Millis,
) -> RequestDecision {
    let tx = test.store.write().await.unwrap();
    let outcome = tx
        .enrollment_request_decide(test.project, ids, approve, now)
        .await
        .unwrap();
    if outcome == RequestDecision::Made {
        tx.commit().await.unwrap();
    }
    outcome
}

async fn find(
    test: &TestStore,
    request: EnrollmentRequestId,
    now: Millis,
) -> Option<EnrollmentRequest> {
    test.store
        .db()
        .enrollment_request_find(request, now)
        .await
        .unwrap()
}

async fn state(test: &TestStore, request: EnrollmentRequestId) -> RequestState {
    find(test, request, NOW).await.unwrap().state
}

/// The claim of an approved request.
fn approved(claim: &EnrollmentClaim, request: &EnrollmentRequest) -> EnrollmentClaim {
    EnrollmentClaim {
        proof: ClaimProof::Approval(request.key),
        ..claim.clone()
    }
}

on_both! {
    async fn a_machine_that_takes_its_desktop_back_waits_for_approval_like_any_other(test: TestStore) {
        let plain = token();
        store_token(&test, &plain).await;
        let first = enroll(&test, &claim(&plain, "Desk-1", 1)).await.unwrap();
        let noted = NotedIdentity { marks: marks("1", "a"), history: None, before: None, barred: None };
        let tx = test.store.write().await.unwrap();
        tx.agent_identity_note(first.agent, &noted).await.unwrap();
        tx.commit().await.unwrap();
        let demanding = demanding();
        store_token(&test, &demanding).await;
        let wish = EnrollmentClaim { marks: marks("2", "a"), ..claim(&demanding, "desk-1", 2) };
        assert_eq!(enroll(&test, &wish).await, Err(EnrollmentRefusal::NameTaken));
        let stored = test.store.db().enrollment_rival(&wish).await.unwrap().unwrap();
        let rival = Some(Rival { agent: stored.agent, epoch: stored.epoch, presence: Presence::Gone });
        let wish = EnrollmentClaim { rival, ..wish };
        assert_eq!(enroll(&test, &wish).await, Err(EnrollmentRefusal::ApprovalNeeded));
        let request = ask(&test, &wish, 2).await.unwrap();
        let found = find(&test, request, NOW).await.unwrap();
        assert_eq!((found.takes_back, &found.marks), (Some(first.desktop_id), &wish.marks));
        assert_eq!(decide(&test, &[request], true, NOW).await, RequestDecision::Made);
        // Its agent is looked after once more when it comes in.
        let late = EnrollmentClaim { rival: None, ..approved(&wish, &found) };
        assert_eq!(enroll(&test, &late).await, Err(EnrollmentRefusal::NameTaken));
        let back = enroll(&test, &approved(&wish, &found)).await.unwrap();
        assert_eq!((back.desktop, back.replaced), (first.desktop, Some(Takeover::ByMark)));
    }

    async fn what_was_approved_as_a_new_desktop_takes_nobodys_place(test: TestStore) {
        let plain = token();
        let demanding = demanding();
        store_token(&test, &plain).await;
        store_token(&test, &demanding).await;
        let wish = EnrollmentClaim { marks: marks("2", "a"), ..claim(&demanding, "desk-1", 2) };
        let request = ask(&test, &wish, 2).await.unwrap();
        let found = find(&test, request, NOW).await.unwrap();
        assert_eq!(found.takes_back, None);
        assert_eq!(decide(&test, &[request], true, NOW).await, RequestDecision::Made);
        // The same hardware, as far as both say, came in meanwhile, and is away.
        let there = EnrollmentClaim { marks: marks("1", "a"), ..claim(&plain, "Desk-1", 1) };
        enroll(&test, &there).await.unwrap();
        let stored = test.store.db().enrollment_rival(&wish).await.unwrap().unwrap();
        let rival = Some(Rival { agent: stored.agent, epoch: stored.epoch, presence: Presence::Gone });
        let late = EnrollmentClaim { rival, ..approved(&wish, &found) };
        assert_eq!(enroll(&test, &late).await, Err(EnrollmentRefusal::NameTaken));
    }

    async fn who_waits_in_a_disabled_project_is_not_forgotten(test: TestStore) {
        let token = demanding();
        store_token(&test, &token).await;
        let request = ask(&test, &claim(&token, "a", 1), 1).await.unwrap();
        assert!(find(&test, request, NOW).await.unwrap().project_enabled);
        test.sql("UPDATE project SET enabled = 0").await;
        assert!(!find(&test, request, NOW).await.unwrap().project_enabled);
    }

    async fn a_token_that_demands_approval_makes_nothing_but_a_request(test: TestStore) {
        let token = demanding();
        store_token(&test, &token).await;
        let wish = claim(&token, "Desk-1", 1);
        assert_eq!(enroll(&test, &wish).await, Err(EnrollmentRefusal::ApprovalNeeded));
        let request = ask(&test, &wish, 1).await.unwrap();
        for table in ["desktop", "agent", "agent_certificate"] {
            assert_eq!(test.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
        let list = async |project, state| {
            test.store.db().enrollment_request_list(project, state, Page::ALL, NOW).await.unwrap()
        };
        let listed = list(test.project, Some(RequestState::Waiting)).await;
        assert_eq!((listed.total, listed.items[0].id), (1, request));
        let found = &listed.items[0];
        assert_eq!(
            (found.name.as_str(), found.address.as_str(), found.os.as_str(), found.token_name.as_str()),
            ("Desk-1", "192.0.2.7", "linux", "floor 2")
        );
        assert_eq!(list(test.project, Some(RequestState::Approved)).await.total, 0);
        assert_eq!(list(test.other_project, None).await.total, 0);
        assert_eq!(test.store.db().enrollment_token_list(test.project, Page::ALL).await.unwrap().items[0].facts.uses, 0);
    }

    async fn what_was_approved_comes_in_once_and_counts_its_use(test: TestStore) {
        let token = NewEnrollmentToken { max_uses: Some(1), expires_at: Some(Millis::new(NOW.get() + 1)), ..demanding() };
        store_token(&test, &token).await;
        let wish = claim(&token, "Desk-1", 1);
        let request = ask(&test, &wish, 1).await.unwrap();
        let undecided = find(&test, request, NOW).await.unwrap();
        assert_eq!(enroll(&test, &approved(&wish, &undecided)).await, Err(EnrollmentRefusal::RequestUnknown));

        assert_eq!(decide(&test, &[request], true, NOW).await, RequestDecision::Made);
        assert_eq!(state(&test, request).await, RequestState::Approved);
        // The token may have ended meanwhile, and the machine may call from elsewhere.
        let tx = test.store.write().await.unwrap();
        let after = Millis::new(NOW.get() + 1000);
        let enrolled = tx.enrollment_claim(&approved(&wish, &undecided), after).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        let found = find(&test, request, after).await.unwrap();
        assert_eq!(found.state, RequestState::Enrolled);
        let agent = found.agent.unwrap();
        assert_eq!((agent.key, agent.desktop, agent.live), (enrolled.agent, enrolled.desktop_id, true));
        assert_eq!(enroll(&test, &approved(&claim(&token, "Desk-2", 2), &undecided)).await, Err(EnrollmentRefusal::RequestUnknown));

        let tx = test.store.write().await.unwrap();
        tx.agents_revoke(&[enrolled.desktop], NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!find(&test, request, NOW).await.unwrap().agent.unwrap().live);
    }

    async fn the_uses_of_a_token_are_judged_when_an_agent_comes_in(test: TestStore) {
        let token = NewEnrollmentToken { max_uses: Some(1), ..demanding() };
        store_token(&test, &token).await;
        let mut requests = Vec::new();
        for (mark, name) in [(1, "a"), (2, "b")] {
            let wish = claim(&token, name, mark);
            let request = ask(&test, &wish, mark).await.unwrap();
            requests.push((wish, find(&test, request, NOW).await.unwrap()));
        }
        let ids: Vec<_> = requests.iter().map(|(_, request)| request.id).collect();
        assert_eq!(decide(&test, &ids, true, NOW).await, RequestDecision::Made);
        enroll(&test, &approved(&requests[0].0, &requests[0].1)).await.unwrap();
        assert_eq!(enroll(&test, &approved(&requests[1].0, &requests[1].1)).await, Err(EnrollmentRefusal::TokenUsedUp));
    }

    async fn a_decision_is_made_once_and_for_all_or_none(test: TestStore) {
        let token = demanding();
        store_token(&test, &token).await;
        let one = ask(&test, &claim(&token, "a", 1), 1).await.unwrap();
        let two = ask(&test, &claim(&token, "b", 2), 2).await.unwrap();
        let unknown = EnrollmentRequestId::new(id());
        assert_eq!(decide(&test, &[one, unknown], true, NOW).await, RequestDecision::Unknown);
        assert_eq!(state(&test, one).await, RequestState::Waiting);
        assert_eq!(decide(&test, &[one], false, NOW).await, RequestDecision::Made);
        assert_eq!(decide(&test, &[two, one], true, NOW).await, RequestDecision::Decided);
        assert_eq!((state(&test, one).await, state(&test, two).await), (RequestState::Refused, RequestState::Waiting));
        let tx = test.store.write().await.unwrap();
        assert_eq!(
            tx.enrollment_request_decide(test.other_project, &[two], true, NOW).await.unwrap(),
            RequestDecision::Unknown
        );
    }

    async fn revoking_a_token_takes_those_that_wait_with_it(test: TestStore) {
        let token = demanding();
        let other = demanding();
        store_token(&test, &token).await;
        store_token(&test, &other).await;
        let waiting = ask(&test, &claim(&token, "a", 1), 1).await.unwrap();
        let refused = ask(&test, &claim(&token, "b", 2), 2).await.unwrap();
        let elsewhere = ask(&test, &claim(&other, "c", 3), 3).await.unwrap();
        assert_eq!(decide(&test, &[refused], false, NOW).await, RequestDecision::Made);
        let tx = test.store.write().await.unwrap();
        assert!(tx.enrollment_token_revoke(test.project, token.id, NOW).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(find(&test, waiting, NOW).await, None);
        assert_eq!(state(&test, refused).await, RequestState::Refused);
        assert_eq!(state(&test, elsewhere).await, RequestState::Waiting);
    }

    async fn what_nobody_decides_is_over_after_a_week_and_goes(test: TestStore) {
        let token = demanding();
        store_token(&test, &token).await;
        let forgotten = ask(&test, &claim(&token, "a", 1), 1).await.unwrap();
        let late = ask(&test, &claim(&token, "b", 2), 2).await.unwrap();
        let last = NOW.plus(REQUEST_LIFE - Duration::from_millis(1));
        let over = NOW.plus(REQUEST_LIFE);
        assert!(find(&test, forgotten, last).await.is_some());
        assert_eq!(decide(&test, &[late], true, last).await, RequestDecision::Made);
        assert_eq!(find(&test, forgotten, over).await, None);
        assert_eq!(decide(&test, &[forgotten], true, over).await, RequestDecision::Unknown);
        // From the decision on it has another week to come back.
        assert!(find(&test, late, over).await.is_some());
        let tx = test.store.write().await.unwrap();
        assert_eq!(tx.enrollment_request_sweep(over, 10).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(test.number("SELECT count(*) FROM enrollment_request").await, 1);
    }

    async fn so_many_wait_in_a_project_and_no_more(test: TestStore) {
        let token = demanding();
        store_token(&test, &token).await;
        let first = ask(&test, &claim(&token, "a", 1), 1).await.unwrap();
        let tx = test.store.write().await.unwrap();
        for number in 1..REQUESTS_UNDECIDED_MAX {
            let wish = claim(&token, &format!("a{number}"), 1);
            tx.enrollment_request_insert(EnrollmentRequestId::new(id()), &wish, &[1; 32], NOW).await.unwrap().unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(ask(&test, &claim(&token, "b", 1), 1).await, Err(EnrollmentRefusal::TooManyWaiting));
        assert_eq!(decide(&test, &[first], false, NOW).await, RequestDecision::Made);
        ask(&test, &claim(&token, "b", 1), 1).await.unwrap();
    }
}
