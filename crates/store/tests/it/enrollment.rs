use std::collections::BTreeMap;
use std::net::IpAddr;

use outfitter_domain::fleet::{
    DesktopName, DesktopType, EnrollmentRefusal, LocalUserName, NotedIdentity, Presence, Takeover,
};
use outfitter_domain::{Millis, OsType};
use outfitter_ids::{AgentId, DesktopId, EnrollmentTokenId, UserId};
use outfitter_store::{
    ClaimProof, DesktopFilter, DesktopOrder, DesktopTag, Enrolled, EnrollmentClaim, EpochRaise,
    HolderState, LeftUsers, NewAgent, NewCertificate, NewEnrollmentToken, Page, Rival,
    SecretDigest,
};

use crate::database::{NOW, TestStore, id, on_both};
use crate::desktop::desktop;

const SECRET_DIGEST: SecretDigest = SecretDigest::new([7; 32]);

pub(crate) fn token() -> NewEnrollmentToken {
    NewEnrollmentToken {
        id: EnrollmentTokenId::new(id()),
        name: "floor 2".to_owned(),
        secret_digest: SECRET_DIGEST,
        max_uses: None,
        expires_at: None,
        may_attach: false,
        may_reenroll: false,
        desktop: None,
        networks: Vec::new(),
        tags: Vec::new(),
        needs_approval: false,
    }
}

/// A claim by a fresh agent; `mark` tells its certificate from others.
pub(crate) fn claim(token: &NewEnrollmentToken, name: &str, mark: u8) -> EnrollmentClaim {
    EnrollmentClaim {
        token_id: token.id,
        proof: ClaimProof::Secret(SECRET_DIGEST),
        peer: IpAddr::from([192, 0, 2, 7]),
        name: DesktopName::parse(name).unwrap(),
        os_type: OsType::Linux,
        user: None,
        new_user_id: UserId::new(id()),
        new_desktop_id: DesktopId::new(id()),
        copy: None,
        marks: BTreeMap::new(),
        rival: None,
        agent: NewAgent {
            id: AgentId::new(id()),
            machine_id: "m".to_owned(),
            version: "0.1.0".to_owned(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            sandbox_root: None,
            certificate: NewCertificate {
                fingerprint: [mark; 32],
                not_before: NOW,
                not_after: Millis::new(NOW.get() + 1000),
            },
        },
    }
}

pub(crate) async fn store_token(test: &TestStore, token: &NewEnrollmentToken) {
    let tx = test.store.write().await.unwrap();
    tx.enrollment_token_insert(test.project, token, NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn enroll(
    test: &TestStore,
    claim: &EnrollmentClaim,
) -> Result<Enrolled, EnrollmentRefusal> {
    let tx = test.store.write().await.unwrap();
    let outcome = tx.enrollment_claim(claim, NOW).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

pub(crate) fn marks(machine_id: &str, product: &str) -> BTreeMap<String, String> {
    [("machine_id", machine_id), ("product", product)]
        .map(|(name, mark)| (name.to_owned(), mark.to_owned()))
        .into()
}

on_both! {
    async fn a_recomposed_desktop_is_taken_back_by_its_hardware_once_its_agent_is_gone(test: TestStore) {
        let token = token();
        store_token(&test, &token).await;
        let first = enroll(&test, &claim(&token, "desk-1", 1)).await.unwrap();
        let noted = NotedIdentity { marks: marks("1", "a"), history: None, before: None, barred: None };
        let tx = test.store.write().await.unwrap();
        tx.agent_identity_note(first.agent, &noted).await.unwrap();
        tx.commit().await.unwrap();

        let back = EnrollmentClaim { marks: marks("2", "a"), ..claim(&token, "DESK-1", 2) };
        assert_eq!(enroll(&test, &back).await, Err(EnrollmentRefusal::NameTaken), "nobody looked after the agent");
        let rival = test.store.db().enrollment_rival(&back).await.unwrap().unwrap();
        assert_eq!((rival.agent, rival.desktop, rival.noted), (first.agent, first.desktop, Some(noted)));
        let seen = |presence, epoch| Some(Rival { agent: rival.agent, epoch, presence });
        for (presence, epoch, refusal) in [
            (Presence::Alive, rival.epoch, EnrollmentRefusal::NameTaken),
            (Presence::Recent, rival.epoch, EnrollmentRefusal::StillSeen),
            // It has connected since it was looked after.
            (Presence::Gone, rival.epoch + 1, EnrollmentRefusal::NameTaken),
        ] {
            let refused = EnrollmentClaim { rival: seen(presence, epoch), ..back.clone() };
            assert_eq!(enroll(&test, &refused).await, Err(refusal), "{presence:?}");
        }
        let gone = seen(Presence::Gone, rival.epoch);
        let other = EnrollmentClaim { marks: marks("1", "b"), rival: gone, ..back.clone() };
        assert_eq!(enroll(&test, &other).await, Err(EnrollmentRefusal::NameTaken));
        let second = enroll(&test, &EnrollmentClaim { rival: gone, ..back }).await.unwrap();
        assert_eq!(
            (second.desktop, second.desktop_id, second.replaced),
            (first.desktop, first.desktop_id, Some(Takeover::ByMark))
        );
        let holder = test.store.db().certificate_holder(&[1; 32]).await.unwrap().unwrap();
        assert_eq!(holder.state, HolderState::Gone);
        // A channel that it was about to open is lost.
        let tx = test.store.write().await.unwrap();
        let before = EpochRaise { desktop: first.desktop, expected: rival.epoch };
        assert_eq!(tx.channel_epoch_raise(&[before], NOW).await.unwrap(), []);
        drop(tx);
        // What the new one told of its machine is known before it connects: an answer that was lost can be had again.
        let again = claim(&token, "desk-1", 3);
        let known = test.store.db().enrollment_rival(&again).await.unwrap().unwrap();
        assert_eq!((known.agent, known.noted.unwrap().marks), (second.agent, marks("2", "a")));
    }

    async fn a_token_for_one_desktop_lets_in_no_other_and_is_not_listed(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let mine = tx.desktop_insert(test.project, &desktop("Desk-1"), NOW).await.unwrap();
        tx.desktop_insert(test.project, &desktop("Desk-2"), NOW).await.unwrap();
        tx.commit().await.unwrap();
        let token = NewEnrollmentToken { desktop: Some(mine), ..token() };
        store_token(&test, &token).await;
        for name in ["Desk-2", "Desk-3"] {
            assert_eq!(enroll(&test, &claim(&token, name, 1)).await, Err(EnrollmentRefusal::OtherDesktop));
        }
        assert_eq!(enroll(&test, &claim(&token, "desk-1", 1)).await.unwrap().desktop, mine);
        let listed = test.store.db().enrollment_token_list(test.project, outfitter_store::Page::ALL).await.unwrap();
        assert_eq!(listed.total, 0);
    }

    async fn an_agent_binds_to_the_registered_desktop_or_registers_one(test: TestStore) {
        let token = token();
        store_token(&test, &token).await;
        let registered = desktop("Desk-1");
        let tx = test.store.write().await.unwrap();
        let key = tx.desktop_insert(test.project, &registered, NOW).await.unwrap();
        tx.commit().await.unwrap();

        let windows = EnrollmentClaim { os_type: OsType::Windows, ..claim(&token, "desk-1", 1) };
        let bound = enroll(&test, &windows).await.unwrap();
        assert_eq!((bound.desktop, bound.desktop_id, bound.replaced), (key, registered.id, None));
        assert_eq!(bound.project, test.project);
        let made = enroll(&test, &claim(&token, "desk-2", 2)).await.unwrap();
        assert_ne!(made.desktop, key);
        let read = test.store.db().desktop_find(test.project, made.desktop_id).await.unwrap().unwrap();
        assert_eq!((read.name.as_str(), read.agent.map(|agent| agent.version).as_deref()), ("desk-2", Some("0.1.0")));
        let read = test.store.db().desktop_find(test.project, registered.id).await.unwrap().unwrap();
        assert_eq!((read.os_type, read.name.as_str()), (OsType::Windows, "Desk-1"));
        let listed = test.store.db().enrollment_token_list(test.project, Page::ALL).await.unwrap();
        assert_eq!((listed.total, listed.items[0].facts.uses), (1, 2));
        assert_eq!(test.store.db().enrollment_token_list(test.other_project, Page::ALL).await.unwrap().total, 0);
    }

    async fn a_name_with_a_live_agent_needs_a_token_that_may_reenroll(test: TestStore) {
        let plain = token();
        let replacing = NewEnrollmentToken { may_reenroll: true, ..token() };
        store_token(&test, &plain).await;
        store_token(&test, &replacing).await;
        let first = enroll(&test, &claim(&plain, "desk-1", 1)).await.unwrap();
        assert_eq!(enroll(&test, &claim(&plain, "DESK-1", 2)).await, Err(EnrollmentRefusal::NameTaken));
        let second = enroll(&test, &claim(&replacing, "desk-1", 3)).await.unwrap();
        assert_eq!((second.desktop, second.replaced), (first.desktop, Some(Takeover::ByToken)));

        let db = test.store.db();
        assert_eq!(db.certificate_holder(&[1; 32]).await.unwrap().unwrap().state, HolderState::Gone);
        assert_eq!(db.certificate_holder(&[2; 32]).await.unwrap(), None);
        let holder = db.certificate_holder(&[3; 32]).await.unwrap().unwrap();
        assert_eq!(holder.state, HolderState::Live);
        assert_eq!((holder.agent, holder.desktop, holder.project), (second.agent, first.desktop, test.project));
        assert_eq!(holder.not_after, Millis::new(NOW.get() + 1000));
    }

    async fn a_refused_claim_writes_nothing(test: TestStore) {
        let once = NewEnrollmentToken { max_uses: Some(1), ..token() };
        let expired = NewEnrollmentToken { expires_at: Some(NOW), ..token() };
        let revoked = token();
        for token in [&once, &expired, &revoked] {
            store_token(&test, token).await;
        }
        let tx = test.store.write().await.unwrap();
        assert!(tx.enrollment_token_revoke(test.project, revoked.id, NOW).await.unwrap());
        assert!(!tx.enrollment_token_revoke(test.other_project, revoked.id, NOW).await.unwrap());
        tx.commit().await.unwrap();

        let wrong_secret = EnrollmentClaim { proof: ClaimProof::Secret(SecretDigest::new([8; 32])), ..claim(&once, "a", 1) };
        assert_eq!(enroll(&test, &wrong_secret).await, Err(EnrollmentRefusal::TokenUnknown));
        assert_eq!(enroll(&test, &claim(&token(), "a", 1)).await, Err(EnrollmentRefusal::TokenUnknown));
        assert_eq!(enroll(&test, &claim(&expired, "a", 1)).await, Err(EnrollmentRefusal::TokenExpired));
        assert_eq!(enroll(&test, &claim(&revoked, "a", 1)).await, Err(EnrollmentRefusal::TokenRevoked));
        let with_user = EnrollmentClaim { user: Some(LocalUserName::parse("li").unwrap()), ..claim(&once, "a", 1) };
        assert_eq!(enroll(&test, &with_user).await, Err(EnrollmentRefusal::MayNotAttach));
        for table in ["desktop", "agent", "agent_certificate", "directory_user"] {
            assert_eq!(test.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
        enroll(&test, &claim(&once, "a", 1)).await.unwrap();
        assert_eq!(enroll(&test, &claim(&once, "b", 2)).await, Err(EnrollmentRefusal::TokenUsedUp));
        test.sql("UPDATE enrollment_token SET uses = 0").await;
        test.sql("UPDATE project SET enabled = 0").await;
        assert_eq!(enroll(&test, &claim(&once, "b", 2)).await, Err(EnrollmentRefusal::TokenUnknown));
        assert_eq!(test.store.db().certificate_holder(&[1; 32]).await.unwrap().unwrap().state, HolderState::Suspended);
    }

    async fn a_token_for_networks_lets_in_who_calls_from_one_and_keeps_its_count_otherwise(test: TestStore) {
        let token = NewEnrollmentToken {
            max_uses: Some(1),
            networks: ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap()).into(),
            ..token()
        };
        store_token(&test, &token).await;
        let elsewhere = claim(&token, "desk-1", 1);
        assert_eq!(enroll(&test, &elsewhere).await, Err(EnrollmentRefusal::OtherNetwork));
        let listed = async || test.store.db().enrollment_token_list(test.project, Page::ALL).await.unwrap();
        let record = &listed().await.items[0];
        assert_eq!((record.facts.uses, &record.facts.networks), (0, &token.networks));
        let inside = EnrollmentClaim { peer: "::ffff:10.1.2.3".parse().unwrap(), ..claim(&token, "desk-1", 1) };
        enroll(&test, &inside).await.unwrap();
        assert_eq!(listed().await.items[0].facts.uses, 1);
    }

    async fn the_tags_of_a_token_are_set_on_its_desktops_unless_they_are_too_many(test: TestStore) {
        let tag = |key: &str, value: &str| DesktopTag { key: key.to_owned(), value: value.to_owned() };
        let token = NewEnrollmentToken {
            may_reenroll: true,
            tags: vec![tag("floor", "2"), tag("lab", "")],
            ..token()
        };
        store_token(&test, &token).await;
        let first = enroll(&test, &claim(&token, "desk-1", 1)).await.unwrap();
        let tags = async || test.store.db().tags_of(&[first.desktop]).await.unwrap().remove(&first.desktop).unwrap();
        assert_eq!(tags().await, token.tags);
        assert_eq!(test.store.db().enrollment_token_list(test.project, Page::ALL).await.unwrap().items[0].tags, token.tags);

        // Own tags stay; of a key that both have, the token's value counts.
        let tx = test.store.write().await.unwrap();
        let others: Vec<_> = (0..17).map(|number| tag(&format!("own-{number:02}"), "x")).collect();
        tx.tags_set(first.desktop, &others).await.unwrap();
        tx.tags_set(first.desktop, &[tag("floor", "3"), tag("owner", "li")]).await.unwrap();
        tx.commit().await.unwrap();
        enroll(&test, &claim(&token, "desk-1", 2)).await.unwrap();
        let now = tags().await;
        assert_eq!(now.len(), 20);
        assert!(now.contains(&tag("floor", "2")) && now.contains(&tag("owner", "li")), "{now:?}");

        let one_more = NewEnrollmentToken { tags: vec![tag("one", "more")], ..NewEnrollmentToken { id: EnrollmentTokenId::new(id()), ..token } };
        store_token(&test, &one_more).await;
        assert_eq!(enroll(&test, &claim(&one_more, "desk-1", 3)).await, Err(EnrollmentRefusal::TooManyTags));
        assert_eq!(tags().await, now);
        enroll(&test, &claim(&one_more, "desk-2", 4)).await.unwrap();
    }

    async fn a_token_that_may_attach_brings_its_user_and_a_second_one_makes_the_desktop_shared(test: TestStore) {
        let token = NewEnrollmentToken { may_attach: true, may_reenroll: true, ..token() };
        store_token(&test, &token).await;
        for (mark, name) in [(1, "Li"), (2, "li"), (3, "Wang")] {
            let claim = EnrollmentClaim { user: Some(LocalUserName::parse(name).unwrap()), ..claim(&token, "desk-1", mark) };
            enroll(&test, &claim).await.unwrap();
            let listed = test.store.db().desktop_list(test.project, &DesktopFilter::default(), DesktopOrder::default(), Page::ALL).await.unwrap();
            let desktop = &listed.items[0];
            let users: Vec<_> = desktop.users.iter().map(|user| user.name.as_str()).collect();
            if mark < 3 {
                assert_eq!((users, desktop.desktop_type), (vec!["Li"], DesktopType::Dedicated));
            } else {
                assert_eq!((users, desktop.desktop_type), (vec!["Li", "Wang"], DesktopType::Shared));
            }
        }
    }

    async fn of_two_connects_with_one_epoch_only_the_first_wins(test: TestStore) {
        let token = token();
        store_token(&test, &token).await;
        let one = enroll(&test, &claim(&token, "desk-1", 1)).await.unwrap();
        let two = enroll(&test, &claim(&token, "desk-2", 2)).await.unwrap();
        let raise = async |desktop, expected| {
            let tx = test.store.write().await.unwrap();
            let raised = tx.channel_epoch_raise(&[EpochRaise { desktop, expected }], NOW).await.unwrap();
            tx.commit().await.unwrap();
            raised
        };
        assert_eq!(raise(one.desktop, 0).await, [(one.desktop, 1)]);
        assert_eq!(raise(one.desktop, 0).await, []);
        assert_eq!(raise(one.desktop, 1).await, [(one.desktop, 2)]);
        assert_eq!(test.store.db().certificate_holder(&[1; 32]).await.unwrap().unwrap().channel_epoch, 2);

        // A group of connects is one statement; who has lost is missing from the answer.
        let tx = test.store.write().await.unwrap();
        let both = [EpochRaise { desktop: one.desktop, expected: 7 }, EpochRaise { desktop: two.desktop, expected: 0 }];
        assert_eq!(tx.channel_epoch_raise(&both, NOW).await.unwrap(), [(two.desktop, 1)]);
        tx.desktops_delete(test.project, &[one.desktop], LeftUsers::Keep, NOW).await.unwrap();
        assert_eq!(tx.channel_epoch_raise(&[EpochRaise { desktop: one.desktop, expected: 2 }], NOW).await.unwrap(), []);
        tx.commit().await.unwrap();
        assert_eq!(test.store.db().certificate_holder(&[1; 32]).await.unwrap().unwrap().state, HolderState::Gone);
    }

    async fn a_renewed_certificate_stands_beside_the_old_one(test: TestStore) {
        let token = token();
        store_token(&test, &token).await;
        let enrolled = enroll(&test, &claim(&token, "desk-1", 1)).await.unwrap();
        let tx = test.store.write().await.unwrap();
        let renewed = NewCertificate { fingerprint: [2; 32], not_before: NOW, not_after: Millis::new(NOW.get() + 9000) };
        tx.certificate_insert(enrolled.agent, &renewed).await.unwrap();
        tx.agent_version_set(enrolled.agent, "0.2.0").await.unwrap();
        tx.commit().await.unwrap();
        let db = test.store.db();
        assert_eq!(db.certificate_holder(&[1; 32]).await.unwrap().unwrap().state, HolderState::Live);
        assert_eq!(db.certificate_holder(&[2; 32]).await.unwrap().unwrap().agent, enrolled.agent);
        let installed = DesktopFilter { agent_version: Some("0.2.0".to_owned()), agent_installed: Some(true), ..DesktopFilter::default() };
        assert_eq!(db.desktop_list(test.project, &installed, DesktopOrder::default(), Page::ALL).await.unwrap().total, 1);

        let tx = test.store.write().await.unwrap();
        tx.agents_revoke(&[enrolled.desktop], NOW).await.unwrap();
        tx.commit().await.unwrap();
        for mark in [1, 2] {
            assert_eq!(db.certificate_holder(&[mark; 32]).await.unwrap().unwrap().state, HolderState::Gone);
        }
    }
}
