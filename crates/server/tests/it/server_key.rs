//! The server key is rotated while servers work, and may be killed anywhere meanwhile.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use outfitter_domain::{Clock as _, SystemClock};
use outfitter_server::secrets::{
    KeyFileError, KeyKeeper, Rotation, RotationError, Sealer, ServerKeys, SettleError,
    SystemRandomness, settle_server_key, shared_secret,
};
use outfitter_store::{
    AuditFilter, AuditKey, AuditReach, DomainKey, SEALED_COLUMNS, ServerKeyRole, Store,
};
use outfitter_test_support::on_both;
use outfitter_test_support::store::TestStore;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use uuid::Uuid;

/// More than a page of the rotation holds.
const ACCESS_KEYS: usize = 450;

/// Secrets of other kinds in the scene.
const OTHERS: usize = 5;

/// A database with secrets of every kind, and the key file of one machine.
struct Scene {
    test: TestStore,
    folder: TempDir,
}

impl Scene {
    async fn new(test: TestStore) -> Self {
        let scene = Self {
            test,
            folder: tempfile::tempdir().unwrap(),
        };
        ServerKeys::random(&SystemRandomness)
            .write(&scene.key_file())
            .unwrap();
        let sealer = scene.sealer().await;
        let hex = |purpose: &str, identity: &str, secret: &str| {
            hex_literal(&scene, &sealer.seal(purpose, identity, secret.as_bytes()))
        };
        shared_secret(scene.store(), &sealer, &SystemClock, "shared", || {
            b"of all servers".to_vec().into()
        })
        .await
        .unwrap();
        shared_secret(scene.store(), &sealer, &SystemClock, "audit-key", || {
            vec![7; 32].into()
        })
        .await
        .unwrap();
        let user = scene.test.uuid_literal(Uuid::from_u128(1));
        scene
            .sql(&format!(
                "INSERT INTO iam_user (id, public_id, domain_id, name, name_folded, password_hash, tokens_valid_from, created_at) \
                 VALUES (1, {user}, 1, 'u', 'u', '', 0, 0)"
            ))
            .await;
        let rows: Vec<String> = (0..ACCESS_KEYS)
            .map(|n| {
                let access = format!("AK{n}");
                let sealed = hex("access_key.secret_sealed", &access, &format!("secret {n}"));
                format!("('{access}', {sealed}, 1, 0)")
            })
            .collect();
        let rows = rows.join(", ");
        scene
            .sql(&format!(
                "INSERT INTO access_key (access, secret_sealed, iam_user_id, created_at) VALUES {rows}"
            ))
            .await;
        let desktop = Uuid::from_u128(2);
        let literal = scene.test.uuid_literal(desktop);
        scene
            .sql(&format!(
                "INSERT INTO desktop (id, public_id, project_id, name, name_folded, os_type, desktop_type, created_at) \
                 VALUES (1, {literal}, 1, 'd', 'd', 'Linux', 'DEDICATED', 0)"
            ))
            .await;
        let sealed = hex(
            "desktop_reach.secrets_sealed",
            &desktop.to_string(),
            "password of a desktop",
        );
        scene
            .sql(&format!(
                "INSERT INTO desktop_reach (desktop_id, settings, secrets_sealed, updated_at) VALUES (1, '{{}}', {sealed}, 0)"
            ))
            .await;
        let sealed = hex("network_reach.secrets_sealed", "10.0.0.0/8", "of a network");
        let project = Uuid::from_u128(4);
        let literal = scene.test.uuid_literal(project);
        let bind = hex(
            "directory_connection.secret_sealed",
            &project.to_string(),
            "of a directory",
        );
        scene
            .sql(&format!(
                "UPDATE project SET public_id = {literal} WHERE id = 1"
            ))
            .await;
        scene
            .sql(&format!(
                "INSERT INTO directory_connection (project_id, settings, secret_sealed, interval_secs, updated_at, due_at) \
                 VALUES (1, '{{}}', {bind}, 60, 0, 0)"
            ))
            .await;
        let entry = scene.test.uuid_literal(Uuid::from_u128(3));
        scene
            .sql(&format!(
                "INSERT INTO network_reach (public_id, project_id, network, settings, secrets_sealed, updated_at) \
                 VALUES ({entry}, 1, '10.0.0.0/8', '{{}}', {sealed}, 0)"
            ))
            .await;
        scene
    }

    fn store(&self) -> &Store {
        &self.test.store
    }

    async fn sql(&self, sql: &str) {
        self.test.sql(sql).await;
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }

    /// The sealer of a server that starts now.
    async fn sealer(&self) -> Sealer {
        let keys = ServerKeys::load_or_make(self.store(), &self.key_file(), &SystemRandomness)
            .await
            .unwrap();
        let sealer = Sealer::new(&keys, Arc::new(SystemRandomness));
        settle_server_key(self.store(), &keys, &sealer, &self.key_file(), &SystemClock)
            .await
            .unwrap();
        sealer
    }

    fn rotation<'r>(&'r self, file: &'r Path) -> Rotation<'r> {
        Rotation {
            store: self.store(),
            key_file: file,
            clock: &SystemClock,
            randomness: Arc::new(SystemRandomness),
            patience: Duration::from_secs(20),
            ids: Arc::new(outfitter_ids::SystemIds),
            operator: "root on here".to_owned(),
        }
    }

    /// Everything that is sealed opens in its place, whatever the rotation has done so far.
    async fn everything_opens(&self, sealer: &Sealer) {
        let mut opened = 0;
        for column in SEALED_COLUMNS {
            // No value is sealed under key 255: these are all.
            let all = self
                .store()
                .db()
                .sealed_under_other_keys(column, 255, 10_000)
                .await
                .unwrap();
            assert!(
                !all.is_empty(),
                "{} has no value in this scene",
                column.table
            );
            for value in &all {
                sealer
                    .open(column.purpose, &value.identity, &value.sealed)
                    .unwrap_or_else(|error| panic!("{} {}: {error}", column.table, value.identity));
            }
            opened += all.len();
        }
        assert_eq!(opened, ACCESS_KEYS + OTHERS);
    }
}

fn hex_literal(scene: &Scene, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match scene.store().dialect() {
        outfitter_store::Dialect::Sqlite => format!("x'{hex}'"),
        outfitter_store::Dialect::Postgres => format!("'\\x{hex}'"),
    }
}

on_both! {
    async fn a_rotation_killed_anywhere_goes_on_and_everything_opens_all_the_while(test: TestStore) {
        let scene = Scene::new(test).await;
        let file = scene.key_file();
        // A server that lives through all of it.
        let server = scene.sealer().await;
        let keeper = KeyKeeper::new(server.clone(), file.clone(), Uuid::from_u128(7), "server".to_owned());
        let now = || SystemClock.now();
        keeper.look(scene.store(), now()).await.unwrap();
        scene.everything_opens(&server).await;

        // Killed between file and database: the file has a key that nobody knows of.
        let mut keys = ServerKeys::read(&file).unwrap().unwrap();
        keys.add(2, &SystemRandomness);
        keys.write(&file).unwrap();
        scene.everything_opens(&scene.sealer().await).await;

        // The server has not looked yet: nothing is sealed anew, and the run says who is missing.
        let mut impatient = scene.rotation(&file);
        impatient.patience = Duration::ZERO;
        let error = impatient.rotate(|_| ControlFlow::Continue(())).await.unwrap_err();
        assert!(matches!(&error, RotationError::Servers { servers, key_id: 2 } if servers == &["server"]), "{error}");
        assert_eq!(impatient.state().await.unwrap().sealing, 1);
        keeper.look(scene.store(), now()).await.unwrap();
        assert_eq!(server.key_ids(), [1, 2]);

        // It has the key; the run goes on, and the server seals under it as soon as it looks again.
        let rotation = scene.rotation(&file);
        let looking = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                keeper.look(scene.store(), now()).await.unwrap();
                if server.sealing() == 2 {
                    // What is sealed meanwhile is sealed under the new key already.
                    break;
                }
            }
        };
        let mut pages = 0;
        // Killed after each page in turn.
        let (first, ()) = tokio::join!(rotation.rotate(|_| ControlFlow::Break(())), looking);
        assert!(matches!(first, Err(RotationError::Stopped)), "{first:?}");
        loop {
            pages += 1;
            scene.everything_opens(&server).await;
            scene.everything_opens(&scene.sealer().await).await;
            let state = rotation.state().await.unwrap();
            assert_eq!((state.sealing, state.next), (2, None));
            if state.left > 0 {
                assert!(matches!(rotation.retire(true).await, Err(RotationError::InUse { .. })));
            }
            keeper.look(scene.store(), now()).await.unwrap();
            match rotation.rotate(|_| ControlFlow::Break(())).await {
                Err(RotationError::Stopped) if rotation.state().await.unwrap().left > 0 => {}
                Err(RotationError::Stopped) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(pages > 3, "{pages} pages: the scene is too small");
        let state = rotation.state().await.unwrap();
        assert_eq!((state.left, state.all), (0, (ACCESS_KEYS + OTHERS) as i64));
        let shared = shared_secret(scene.store(), &server, &SystemClock, "shared", || unreachable!())
            .await
            .unwrap();
        assert_eq!(shared.expose_secret(), b"of all servers");

        // The old key goes when temporary credentials cannot be alive, or when nobody minds.
        assert!(matches!(rotation.retire(false).await, Err(RotationError::TooEarly { .. })));
        assert_eq!(rotation.retire(true).await.unwrap(), [1]);
        assert!(rotation.retire(true).await.unwrap().is_empty());
        let of_old_key = {
            let mut bytes = server.seal("p", "i", b"temporary");
            bytes[0] = 1;
            bytes
        };
        keeper.look(scene.store(), now()).await.unwrap();
        assert_eq!(server.key_ids(), [2]);
        assert!(server.open("p", "i", &of_old_key).is_err());
        scene.everything_opens(&server).await;
        scene.everything_opens(&scene.sealer().await).await;
        keeper.let_go(scene.store()).await.unwrap();

        // Once more, without any server: from 2 to 3.
        let again = rotation.rotate(|_| ControlFlow::Continue(())).await.unwrap();
        assert_eq!((again.key_id, again.resealed), (3, (ACCESS_KEYS + OTHERS) as u64));
        scene.everything_opens(&scene.sealer().await).await;

        // The log has every step that changed something, once, with the keys before and after.
        let key = AuditKey::new(vec![7; 32].into());
        assert!(scene.store().db().audit_check(&key, None).await.unwrap().is_whole());
        let reach = AuditReach::Domain(DomainKey::new(1));
        let entries = scene.store().db().audit_list(reach, &AuditFilter::default(), None, 100).await.unwrap().unwrap();
        let told: Vec<_> = entries.iter().rev().map(|entry| {
            assert_eq!((entry.operation.as_str(), entry.actor.name.as_deref()), ("RotateServerKey", Some("root on here")));
            let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap();
            let change = &detail["changes"][0];
            (detail["request"]["did"].as_str().unwrap().to_owned(), change["before"]["keys"].to_string(), change["after"]["keys"].to_string())
        }).collect();
        let step = |did: &str, before: &str, after: &str| (did.to_owned(), before.to_owned(), after.to_owned());
        let [sealing_1, sealing_2, sealing_3] = [1, 2, 3].map(|key| format!(r#"["sealing {key}"]"#));
        assert_eq!(told, [
            step("made a new key", &sealing_1, r#"["next 2","sealing 1"]"#),
            step("seals under the new key", r#"["next 2","sealing 1"]"#, &sealing_2),
            step("retired keys", "null", "null"),
            step("made a new key", &sealing_2, r#"["next 3","sealing 2"]"#),
            step("seals under the new key", r#"["next 3","sealing 2"]"#, &sealing_3),
            step("sealed everything anew", "null", "null"),
        ]);
    }

    async fn a_machine_without_the_new_key_is_told_and_starts_no_server(test: TestStore) {
        let scene = Scene::new(test).await;
        let file = scene.key_file();
        let other = scene.folder.path().join("other.key");
        std::fs::copy(&file, &other).unwrap();
        let rotation = scene.rotation(&file);
        // Begun here, killed before the switch.
        let mut keys = ServerKeys::read(&file).unwrap().unwrap();
        keys.add(2, &SystemRandomness);
        keys.write(&file).unwrap();
        let lagging = Sealer::new(&ServerKeys::read(&other).unwrap().unwrap(), Arc::new(SystemRandomness));
        let keeper = KeyKeeper::new(lagging, other.clone(), Uuid::from_u128(8), "lagging".to_owned());
        keeper.look(scene.store(), SystemClock.now()).await.unwrap();
        let mut impatient = scene.rotation(&file);
        impatient.patience = Duration::ZERO;
        assert!(matches!(
            impatient.rotate(|_| ControlFlow::Continue(())).await,
            Err(RotationError::Servers { .. })
        ));
        assert!(scene.store().db().server_key(ServerKeyRole::Next).await.unwrap().is_some());
        assert!(matches!(
            scene.rotation(&other).rotate(|_| ControlFlow::Continue(())).await,
            Err(RotationError::MadeElsewhere { key_id: 2, .. })
        ));
        keeper.let_go(scene.store()).await.unwrap();
        rotation.rotate(|_| ControlFlow::Continue(())).await.unwrap();

        let keys = ServerKeys::read(&other).unwrap().unwrap();
        let sealer = Sealer::new(&keys, Arc::new(SystemRandomness));
        let error = settle_server_key(scene.store(), &keys, &sealer, &other, &SystemClock).await.unwrap_err();
        assert!(matches!(error, SettleError::Key(KeyFileError::Lacks { key_id: 2, .. })), "{error}");
        // A key of that id is not the key of that id.
        let mut keys = keys;
        keys.add(2, &SystemRandomness);
        let sealer = Sealer::new(&keys, Arc::new(SystemRandomness));
        let error = settle_server_key(scene.store(), &keys, &sealer, &other, &SystemClock).await.unwrap_err();
        assert!(matches!(error, SettleError::Secret(_)), "{error}");
    }

    async fn no_sealed_column_is_forgotten(test: TestStore) {
        // Columns of bytes that are not sealed, each with its reason.
        const PLAIN: &[(&str, &str)] = &[
            ("agent_certificate.certificate", "every agent shows it"),
            ("agent_certificate.fingerprint", "a digest"),
            ("agent_certificate.issuer", "a digest"),
            ("agent_program.content", "a program that desktops run"),
            ("app_icon.png", "a picture"),
            ("enrollment_request.key_digest", "a digest"),
            ("enrollment_token.secret_digest", "a digest"),
            ("idempotency_key.request_digest", "a digest"),
            ("issuing_certificate.certificate", "every agent has it"),
            ("issuing_certificate.fingerprint", "a digest"),
            ("oidc_login.state_digest", "a digest"),
            ("portal_ticket.ticket_digest", "a digest"),
            ("receipt.signer", "a digest"),
            ("server_key.proof_sealed", "the proof of a key: replaced with the key, not sealed anew"),
        ];
        let sealed: BTreeSet<String> =
            SEALED_COLUMNS.iter().map(|column| format!("{}.{}", column.table, column.column)).collect();
        let plain: BTreeSet<String> = PLAIN.iter().map(|(name, _)| (*name).to_owned()).collect();
        let there: BTreeSet<String> = test.byte_columns().await.into_iter().collect();
        let wrong: Vec<_> = there
            .iter()
            .filter(|name| name.contains("sealed") && !sealed.contains(*name) && !plain.contains(*name))
            .collect();
        assert!(wrong.is_empty(), "sealed, but not sealed anew by a rotation: {wrong:?}");
        let missing: Vec<_> = sealed.difference(&there).collect();
        assert!(missing.is_empty(), "no such columns: {missing:?}");
        if test.store.dialect() == outfitter_store::Dialect::Postgres {
            // Here ids are of a type of their own, so every column of bytes can be asked about.
            let unknown: Vec<_> = there
                .iter()
                .filter(|name| !sealed.contains(*name) && !plain.contains(*name))
                .collect();
            assert!(unknown.is_empty(), "sealed or not? {unknown:?}");
        }
    }
}
