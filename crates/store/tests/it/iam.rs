use outfitter_domain::Millis;
use outfitter_domain::iam::ReadyMadePolicy;
use outfitter_ids::{DomainId, IamUserId, ProjectId};
use outfitter_store::{
    DomainKey, IamGrant, IamUserKey, NewIamUser, Page, PasswordHash, ProjectKey, StoreError,
};

use crate::database::{NOW, TestStore, id, on_both};

/// The domain that every test store begins with.
const DOMAIN: DomainKey = DomainKey::new(1);

async fn user(
    test: &TestStore,
    domain: DomainKey,
    name: &str,
    grants: &[(Option<ProjectKey>, ReadyMadePolicy)],
) -> (IamUserKey, IamUserId) {
    let public_id = IamUserId::new(id());
    let tx = test.store.write().await.unwrap();
    let key = tx
        .iam_user_insert(NewIamUser {
            id: public_id,
            domain,
            name,
            password_hash: &PasswordHash::new("$hash".to_owned()),
            created_at: NOW,
        })
        .await
        .unwrap();
    for (project, policy) in grants {
        tx.iam_grant_insert(key, *project, *policy).await.unwrap();
    }
    tx.commit().await.unwrap();
    (key, public_id)
}

on_both! {
    async fn a_database_of_a_newer_version_is_refused_by_name(test: TestStore) {
        test.open_again().await.unwrap().close().await;
        test.sql("INSERT INTO seaql_migrations (version, applied_at) VALUES ('9999_later', 0)").await;
        let error = test.open_again().await.err().unwrap();
        assert!(matches!(&error, StoreError::Newer { migration, .. } if migration == "9999_later"), "{error}");
    }

    async fn a_user_is_found_by_id_and_by_names_in_any_case(test: TestStore) {
        let (key, public_id) = user(&test, DOMAIN, "Straße", &[]).await;
        let db = test.store.db();
        let found = db.iam_user_by_id(public_id).await.unwrap().unwrap();
        assert_eq!((found.key, found.name.as_str()), (key, "Straße"));
        assert_eq!(found.domain.key, DOMAIN);
        assert!(found.enabled);
        assert_eq!(found.tokens_valid_from, NOW);
        assert_eq!(found.password_hash.as_ref().unwrap().expose(), "$hash");
        assert!(!format!("{found:?}").contains("$hash"));
        assert_eq!(db.iam_user_by_name("D", "STRASSE").await.unwrap(), Some(found));
        assert_eq!(db.iam_user_by_name("d", "stras").await.unwrap(), None);
        assert_eq!(db.iam_user_by_name("e", "straße").await.unwrap(), None);
        assert_eq!(db.iam_user_by_id(IamUserId::new(id())).await.unwrap(), None);

        let tx = test.store.write().await.unwrap();
        let again = tx
            .iam_user_insert(NewIamUser {
                id: IamUserId::new(id()),
                domain: DOMAIN,
                name: "strasse",
                password_hash: &PasswordHash::new(String::new()),
                created_at: NOW,
            })
            .await;
        assert!(again.unwrap_err().is_conflict());
    }

    async fn a_changed_password_or_state_ends_the_tokens_so_far(test: TestStore) {
        let (key, public_id) = user(&test, DOMAIN, "u", &[]).await;
        let later = Millis::new(NOW.get() + 1000);
        let tx = test.store.write().await.unwrap();
        tx.iam_user_set_password(key, &PasswordHash::new("$new".to_owned()), later)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let db = test.store.db();
        let found = db.iam_user_by_id(public_id).await.unwrap().unwrap();
        assert_eq!(found.password_hash.as_ref().unwrap().expose(), "$new");
        assert!(found.tokens_valid_from > later);

        let much_later = Millis::new(NOW.get() + 2000);
        let tx = test.store.write().await.unwrap();
        tx.iam_user_set_enabled(key, false, much_later).await.unwrap();
        tx.commit().await.unwrap();
        let found = db.iam_user_by_id(public_id).await.unwrap().unwrap();
        assert!(!found.enabled);
        assert!(found.tokens_valid_from > much_later);
        let before = found.tokens_valid_from;

        // A clock that stands or was turned back ends the tokens so far all the same.
        let tx = test.store.write().await.unwrap();
        tx.iam_user_set_enabled(key, true, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let found = db.iam_user_by_id(public_id).await.unwrap().unwrap();
        assert!(found.enabled);
        assert!(found.tokens_valid_from > before);
    }

    async fn projects_are_those_of_the_domain_in_which_the_user_has_rights(test: TestStore) {
        let tx = test.store.write().await.unwrap();
        let other_domain = tx.domain_insert(DomainId::new(id()), "E", NOW).await.unwrap();
        let foreign_id = ProjectId::new(id());
        tx.project_insert(foreign_id, other_domain, "p1", NOW).await.unwrap();
        tx.commit().await.unwrap();
        let everywhere = [(None, ReadyMadePolicy::Administrator)];
        let here = [
            (Some(test.project), ReadyMadePolicy::ReadOnly),
            (Some(test.project), ReadyMadePolicy::Administrator),
        ];
        let (wide, _) = user(&test, DOMAIN, "wide", &everywhere).await;
        let (narrow, _) = user(&test, DOMAIN, "narrow", &here).await;
        let (none, _) = user(&test, DOMAIN, "none", &[]).await;
        let db = test.store.db();
        let mut seen = Vec::new();
        for key in [wide, narrow, none] {
            let projects = db.project_list_of_user(DOMAIN, key).await.unwrap();
            seen.push(projects.iter().map(|project| project.key).collect::<Vec<_>>());
        }
        assert_eq!(
            seen,
            [vec![test.project, test.other_project], vec![test.project], vec![]]
        );
        assert_eq!(db.project_by_id(DOMAIN, foreign_id).await.unwrap(), None);
        assert!(db.project_by_id(other_domain, foreign_id).await.unwrap().is_some());
        let own = db.project_by_name(DOMAIN, "p1").await.unwrap().unwrap();
        assert_eq!((own.key, own.enabled), (test.project, true));
        assert_eq!(db.project_by_name(DOMAIN, "P1").await.unwrap(), None);

        let tx = test.store.write().await.unwrap();
        tx.project_set_enabled(test.project, false).await.unwrap();
        let twice = tx.project_insert(ProjectId::new(id()), DOMAIN, "p1", NOW).await;
        assert!(twice.unwrap_err().is_conflict());
        drop(tx);
        let tx = test.store.write().await.unwrap();
        tx.project_set_enabled(test.project, false).await.unwrap();
        tx.commit().await.unwrap();
        let own = db.project_by_id(DOMAIN, own.id).await.unwrap().unwrap();
        assert!(!own.enabled);
    }

    async fn users_of_a_project_are_listed_newest_first_with_all_their_grants(test: TestStore) {
        let administrator = ReadyMadePolicy::Administrator;
        let (here, there) = (Some(test.project), Some(test.other_project));
        user(&test, DOMAIN, "a", &[(None, administrator)]).await;
        user(&test, DOMAIN, "b", &[(there, administrator)]).await;
        let (both, _) = user(
            &test,
            DOMAIN,
            "c",
            &[(here, ReadyMadePolicy::ReadOnly), (there, administrator)],
        )
        .await;
        let db = test.store.db();
        let listed = db.iam_user_list(DOMAIN, test.project, Page::ALL).await.unwrap();
        assert_eq!(listed.total, 2);
        let names: Vec<_> = listed.items.iter().map(|(user, _)| user.name.as_str()).collect();
        assert_eq!(names, ["c", "a"]);
        let grants = [
            IamGrant { project: here, policy: ReadyMadePolicy::ReadOnly },
            IamGrant { project: there, policy: administrator },
        ];
        assert_eq!(listed.items[0].1, grants);
        assert_eq!(db.iam_grants_of_user(both).await.unwrap(), grants);
        let second = db
            .iam_user_list(DOMAIN, test.project, Page { offset: 1, limit: 1 })
            .await
            .unwrap();
        assert_eq!((second.total, second.items.len()), (2, 1));
        assert_eq!(second.items[0].0.name, "a");

        let tx = test.store.write().await.unwrap();
        assert!(tx.iam_grant_delete(both, test.project).await.unwrap());
        assert!(!tx.iam_grant_delete(both, test.project).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(db.iam_grants_of_user(both).await.unwrap(), grants[1..]);
    }

    async fn an_access_key_is_its_users_alone(test: TestStore) {
        let (owner, public_id) = user(&test, DOMAIN, "owner", &[]).await;
        let (stranger, _) = user(&test, DOMAIN, "stranger", &[]).await;
        let tx = test.store.write().await.unwrap();
        let key = tx.access_key_insert(owner, "AK1", vec![1, 0, 255], NOW).await.unwrap();
        tx.commit().await.unwrap();
        let db = test.store.db();
        let found = db.signing_key("AK1").await.unwrap().unwrap();
        assert_eq!(found.secret_sealed, [1, 0, 255]);
        assert_eq!((found.user.key, found.user.id), (owner, public_id));
        assert_eq!(found.access_key.key, key);
        assert!(found.access_key.enabled);
        assert_eq!(db.signing_key("ak1").await.unwrap(), None);
        assert_eq!(db.access_key_list(owner).await.unwrap(), [found.access_key]);
        assert_eq!(db.access_key_list(stranger).await.unwrap(), []);

        let tx = test.store.write().await.unwrap();
        assert!(!tx.access_key_set_enabled(stranger, "AK1", false).await.unwrap());
        assert!(!tx.access_key_delete(stranger, "AK1").await.unwrap());
        assert!(tx.access_key_set_enabled(owner, "AK1", false).await.unwrap());
        tx.commit().await.unwrap();
        assert!(!db.signing_key("AK1").await.unwrap().unwrap().access_key.enabled);

        let tx = test.store.write().await.unwrap();
        assert!(tx.access_key_delete(owner, "AK1").await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(db.signing_key("AK1").await.unwrap(), None);
    }

    async fn the_time_of_last_use_only_moves_forward(test: TestStore) {
        let (owner, _) = user(&test, DOMAIN, "owner", &[]).await;
        let tx = test.store.write().await.unwrap();
        let first = tx.access_key_insert(owner, "AK1", vec![], NOW).await.unwrap();
        let second = tx.access_key_insert(owner, "AK2", vec![], NOW).await.unwrap();
        tx.access_key_touch_batch(&[]).await.unwrap();
        tx.access_key_touch_batch(&[(first, Millis::new(20)), (second, Millis::new(30))])
            .await
            .unwrap();
        tx.access_key_touch_batch(&[(first, Millis::new(40)), (second, Millis::new(10))])
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let used: Vec<_> = test
            .store
            .db()
            .access_key_list(owner)
            .await
            .unwrap()
            .into_iter()
            .map(|key| key.last_used_at)
            .collect();
        assert_eq!(used, [Some(Millis::new(40)), Some(Millis::new(30))]);
    }

    async fn the_first_to_keep_a_shared_secret_wins(test: TestStore) {
        assert_eq!(test.store.db().server_secret("a").await.unwrap(), None);
        let keep = async |name: &str, secret: u8| {
            let tx = test.store.write().await.unwrap();
            let kept = tx
                .server_secret_insert_if_absent(name, vec![secret], NOW)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            kept
        };
        let (one, two) = tokio::join!(keep("a", 1), keep("a", 2));
        assert_eq!(one, two);
        assert_eq!(keep("a", 3).await, one);
        assert_eq!(keep("b", 4).await, [4]);
        assert_eq!(test.store.db().server_secret("a").await.unwrap(), Some(one));
    }

    async fn a_database_with_a_domain_or_a_secret_is_initialised(test: TestStore) {
        let db = test.store.db();
        assert!(db.domain_exists().await.unwrap());
        assert!(!db.is_uninitialised().await.unwrap());
        test.sql("DELETE FROM project").await;
        test.sql("DELETE FROM domain").await;
        assert!(!db.domain_exists().await.unwrap());
        assert!(db.is_uninitialised().await.unwrap());
        let tx = test.store.write().await.unwrap();
        tx.server_secret_insert_if_absent("a", vec![], NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert!(!db.domain_exists().await.unwrap());
        assert!(!db.is_uninitialised().await.unwrap());
    }
}
