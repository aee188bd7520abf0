use outfitter_domain::iam::{PolicyDocument, ReadyMadePolicy};
use outfitter_ids::{DomainId, IamGroupId, IamPolicyId, IamUserId};
use outfitter_store::{
    AttachedPolicy, DomainKey, HeldDocument, IamUserKey, NewIamUser, PasswordHash, PolicyHolder,
};

use crate::database::{NOW, TestStore, id, on_both};

/// The domain that every test store begins with.
const DOMAIN: DomainKey = DomainKey::new(1);

async fn user(test: &TestStore, name: &str) -> IamUserKey {
    let tx = test.store.write().await.unwrap();
    let key = tx
        .iam_user_insert(NewIamUser {
            id: IamUserId::new(id()),
            domain: DOMAIN,
            name,
            password_hash: &PasswordHash::new("$hash".to_owned()),
            created_at: NOW,
        })
        .await
        .unwrap();
    tx.commit().await.unwrap();
    key
}

fn document() -> PolicyDocument {
    PolicyDocument::parse(
        r#"{"Version":"1.1","Statement":[{"Effect":"Allow","Action":["a:b:c"]}]}"#,
    )
    .unwrap()
}

async fn held(test: &TestStore, user: IamUserKey) -> Vec<(String, Option<String>)> {
    let mut held: Vec<_> = test
        .store
        .db()
        .iam_held(user)
        .await
        .unwrap()
        .into_iter()
        .map(|held| {
            let name = match held.policy {
                HeldDocument::ReadyMade(policy) => policy.as_str().to_owned(),
                HeldDocument::Written { name, .. } => name,
            };
            (name, held.through)
        })
        .collect();
    held.sort();
    held
}

on_both! {
    async fn roles_attachments_and_groups_are_held_together(test: TestStore) {
        let ana = user(&test, "ana").await;
        let tx = test.store.write().await.unwrap();
        tx.iam_grant_insert(ana, Some(test.project), ReadyMadePolicy::ReadOnly).await.unwrap();
        let policy_id = IamPolicyId::new(id());
        let policy = tx
            .iam_policy_insert(DOMAIN, policy_id, "Own", "", &document(), NOW)
            .await
            .unwrap();
        let written = AttachedPolicy::Written(policy);
        let operator = AttachedPolicy::ReadyMade(ReadyMadePolicy::AppOperator);
        let group = tx.iam_group_insert(DOMAIN, IamGroupId::new(id()), "desk", NOW).await.unwrap();
        for _ in 0..2 {
            tx.iam_attach(written, PolicyHolder::User(ana), None).await.unwrap();
            tx.iam_attach(operator, PolicyHolder::Group(group), Some(test.project)).await.unwrap();
            tx.iam_group_add(group, ana).await.unwrap();
        }
        tx.commit().await.unwrap();
        let of = |name: &str, through: Option<&str>| (name.to_owned(), through.map(str::to_owned));
        assert_eq!(
            held(&test, ana).await,
            [of("Own", None), of("app-operator", Some("desk")), of("read-only", None)]
        );
        assert_eq!(test.store.db().iam_attachment_list(DOMAIN).await.unwrap().len(), 2);

        let tx = test.store.write().await.unwrap();
        assert!(!tx.iam_policy_delete(policy).await.unwrap(), "it is attached");
        assert!(tx.iam_detach(written, PolicyHolder::User(ana), None).await.unwrap());
        assert!(!tx.iam_detach(written, PolicyHolder::User(ana), None).await.unwrap());
        assert!(tx.iam_policy_delete(policy).await.unwrap());
        tx.iam_group_delete(group).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(held(&test, ana).await, [of("read-only", None)]);
        assert!(test.store.db().iam_attachment_list(DOMAIN).await.unwrap().is_empty());
    }

    async fn a_policy_belongs_to_its_domain_and_its_name_is_taken_in_any_case(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let other = tx.domain_insert(DomainId::new(id()), "other", NOW).await.unwrap();
        let policy_id = IamPolicyId::new(id());
        let key = tx
            .iam_policy_insert(DOMAIN, policy_id, "Listers", "lists", &document(), NOW)
            .await
            .unwrap();
        tx.iam_policy_update(key, Some("lists everything"), None, NOW).await.unwrap();
        tx.iam_policy_insert(other, IamPolicyId::new(id()), "listers", "", &document(), NOW)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let tx = test.store.write().await.unwrap();
        let taken = tx
            .iam_policy_insert(DOMAIN, IamPolicyId::new(id()), "LISTERS", "", &document(), NOW)
            .await;
        assert!(taken.unwrap_err().is_conflict());
        drop(tx);
        let db = test.store.db();
        let found = db.iam_policy_find(DOMAIN, policy_id).await.unwrap().unwrap();
        assert_eq!(found.description, "lists everything");
        assert_eq!(found.document, document());
        assert!(db.iam_policy_find(other, policy_id).await.unwrap().is_none());
        assert_eq!(db.iam_policy_list(DOMAIN).await.unwrap().len(), 1);
    }
}
