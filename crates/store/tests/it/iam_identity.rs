use outfitter_domain::Millis;
use outfitter_domain::iam::ReadyMadePolicy;
use outfitter_ids::{IamGroupId, IamUserId};
use outfitter_store::{
    AttachedPolicy, DomainKey, HeldDocument, IamGroupKey, IamUserKey, NewIdentity, PolicyHolder,
};

use crate::database::{NOW, TestStore, id, on_both};

const DOMAIN: DomainKey = DomainKey::new(1);
const ISSUER: &str = "https://login.example.com";

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

async fn newcomer(test: &TestStore, name: &str, subject: &str) -> IamUserKey {
    let tx = test.store.write().await.unwrap();
    let key = tx
        .iam_identity_insert(NewIdentity {
            id: IamUserId::new(id()),
            domain: DOMAIN,
            name,
            issuer: ISSUER,
            subject,
            created_at: NOW,
        })
        .await
        .unwrap();
    tx.commit().await.unwrap();
    key
}

/// A group with a policy, which groups of the provider stand for.
async fn group(
    test: &TestStore,
    name: &str,
    policy: ReadyMadePolicy,
    provider: &[&str],
) -> IamGroupKey {
    let tx = test.store.write().await.unwrap();
    let key = tx
        .iam_group_insert(DOMAIN, IamGroupId::new(id()), name, NOW)
        .await
        .unwrap();
    tx.iam_attach(
        AttachedPolicy::ReadyMade(policy),
        PolicyHolder::Group(key),
        Some(test.project),
    )
    .await
    .unwrap();
    tx.iam_group_set_provider_groups(key, &texts(provider))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    key
}

async fn logged_in(test: &TestStore, user: IamUserKey, groups: &[&str]) {
    let tx = test.store.write().await.unwrap();
    tx.iam_identity_logged_in(user, DOMAIN, &texts(groups), NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Names of the ready-made policies that count, sorted.
async fn held(test: &TestStore, user: IamUserKey) -> Vec<&'static str> {
    let mut held: Vec<_> = test
        .store
        .db()
        .iam_held(user)
        .await
        .unwrap()
        .into_iter()
        .map(|held| match held.policy {
            HeldDocument::ReadyMade(policy) => policy.as_str(),
            HeldDocument::Written { .. } => "written",
        })
        .collect();
    held.sort_unstable();
    held
}

on_both! {
    async fn an_identity_is_found_by_issuer_and_subject_and_has_no_password(test: TestStore) {
        let key = newcomer(&test, "ana", "subject-1").await;
        let db = test.store.db();
        let found = db.iam_user_by_identity(ISSUER, "subject-1").await.unwrap().unwrap();
        assert_eq!((found.key, found.name.as_str(), found.password_hash), (key, "ana", None));
        assert_eq!(db.iam_user_by_identity(ISSUER, "Subject-1").await.unwrap(), None);
        assert_eq!(db.iam_user_by_identity("https://other.example", "subject-1").await.unwrap(), None);
        // Neither a name nor an identity twice.
        for (name, subject) in [("ANA", "subject-2"), ("ben", "subject-1")] {
            let tx = test.store.write().await.unwrap();
            let again = tx
                .iam_identity_insert(NewIdentity {
                    id: IamUserId::new(id()),
                    domain: DOMAIN,
                    name,
                    issuer: ISSUER,
                    subject,
                    created_at: NOW,
                })
                .await;
            assert!(again.unwrap_err().is_conflict(), "{name}");
        }
        assert_eq!(db.domain_by_name("D").await.unwrap(), Some(DOMAIN));
        assert_eq!(db.domain_by_name("e").await.unwrap(), None);
    }

    async fn each_login_brings_what_the_groups_stand_for_and_nothing_else(test: TestStore) {
        let operators = group(&test, "operators", ReadyMadePolicy::AppOperator, &["it-ops", "it-leads"]).await;
        group(&test, "readers", ReadyMadePolicy::ReadOnly, &["it-leads", "staff"]).await;
        let ana = newcomer(&test, "ana", "1").await;
        let ben = newcomer(&test, "ben", "2").await;
        logged_in(&test, ana, &["it-leads", "it-ops", "it-leads", "unknown"]).await;
        logged_in(&test, ben, &["it-ops"]).await;
        assert_eq!(held(&test, ana).await, ["app-operator", "read-only"]);
        assert_eq!(held(&test, ben).await, ["app-operator"]);
        let members = test.store.db().iam_group_members(operators).await.unwrap();
        let names: Vec<_> = members.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["ana", "ben"]);

        // A name is a name: case counts, and nothing is a pattern.
        logged_in(&test, ana, &["IT-ops", "it-%", "staff"]).await;
        assert_eq!(held(&test, ana).await, ["read-only"]);
        assert_eq!(held(&test, ben).await, ["app-operator"]);

        // Who was put into a group here stays, whatever the provider says.
        let tx = test.store.write().await.unwrap();
        tx.iam_group_add(operators, ana).await.unwrap();
        tx.commit().await.unwrap();
        logged_in(&test, ana, &[]).await;
        assert_eq!(held(&test, ana).await, ["app-operator"]);
        let db = test.store.db();
        assert!(db.iam_provider_groups_count(DOMAIN, &texts(&["x", "staff"])).await.unwrap());
        assert!(!db.iam_provider_groups_count(DOMAIN, &texts(&["x"])).await.unwrap());
        assert!(!db.iam_provider_groups_count(DOMAIN, &[]).await.unwrap());
    }

    async fn a_group_that_stands_for_less_lets_nobody_in_by_it(test: TestStore) {
        let readers = group(&test, "readers", ReadyMadePolicy::ReadOnly, &["staff", "guests"]).await;
        let ana = newcomer(&test, "ana", "1").await;
        logged_in(&test, ana, &["guests"]).await;
        let set = async |groups: &[&str]| {
            let tx = test.store.write().await.unwrap();
            tx.iam_group_set_provider_groups(readers, &texts(groups)).await.unwrap();
            tx.commit().await.unwrap();
        };
        set(&["guests", "staff", "more"]).await;
        assert_eq!(held(&test, ana).await, ["read-only"], "one more takes nobody out");
        set(&["staff"]).await;
        assert!(held(&test, ana).await.is_empty());
        assert_eq!(test.store.db().iam_group_provider_groups(readers).await.unwrap(), ["staff"]);
        logged_in(&test, ana, &["guests", "staff"]).await;
        assert_eq!(held(&test, ana).await, ["read-only"]);
        set(&[]).await;
        assert!(held(&test, ana).await.is_empty());
    }

    async fn a_login_that_came_back_counts_once_until_it_lapses(test: TestStore) {
        let use_it = async |digest: [u8; 32], expires_at: i64, now: i64| {
            let tx = test.store.write().await.unwrap();
            let first = tx
                .oidc_login_use(digest, Millis::new(expires_at), Millis::new(now))
                .await
                .unwrap();
            tx.commit().await.unwrap();
            first
        };
        assert!(use_it([1; 32], 100, 10).await);
        assert!(!use_it([1; 32], 100, 99).await);
        assert!(use_it([2; 32], 200, 99).await);
        assert_eq!(test.number("SELECT count(*) FROM oidc_login").await, 2);
        assert!(!use_it([2; 32], 200, 100).await);
        assert_eq!(test.number("SELECT count(*) FROM oidc_login").await, 1, "lapsed ones are forgotten");
    }
}
