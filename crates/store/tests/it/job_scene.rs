//! A small fleet with apps, for the tests of deployments and jobs.

use std::time::Duration;

use outfitter_agent_protocol::{Approach, Detection, Evidence, FailureCode, Task, TaskKind};
use outfitter_domain::{Account, AccountType, AssignType, Millis};
use outfitter_ids::{AppId, AttemptId, DeploymentId, JobId, SystemIds};
use outfitter_store::{
    AppKey, Connected, DeploymentKey, DeploymentView, DesktopKey, Expansion, FailLimit,
    FinishOutcome, GoOutcome, GoRequest, GroupKey, JobFilter, JobView, LeasedTask, NewDeployment,
    ResultReport, ScopeAccounts, UserKey,
};

use crate::database::{NOW, TestStore, id};
use crate::desktop::desktop;
use crate::user::{group, user};

pub(crate) const DIGEST: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

pub(crate) const LEASE: Duration = Duration::from_secs(60);

pub(crate) fn later(seconds: u64) -> Millis {
    NOW.plus(Duration::from_secs(seconds))
}

pub(crate) struct Scene {
    pub(crate) test: TestStore,
}

/// An app in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct App {
    pub(crate) key: AppKey,
    pub(crate) id: AppId,
}

/// How an app differs from the ordinary one.
#[derive(Clone, Copy)]
pub(crate) struct AppKind {
    pub(crate) authorization: AssignType,
    pub(crate) support_os: &'static str,
    pub(crate) store: Bytes,
}

/// What a deployment is to do.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) kind: TaskKind,
    pub(crate) scope: AssignType,
    pub(crate) accounts: &'a [Account],
    pub(crate) desktops: &'a [DesktopKey],
    pub(crate) requested_by: Option<UserKey>,
    pub(crate) uninstall_command: Option<&'a str>,
    pub(crate) approach: Approach,
    pub(crate) fail_limit: FailLimit,
}

impl Wish<'static> {
    pub(crate) const INSTALL: Self = Wish {
        kind: TaskKind::Install,
        scope: AssignType::AllUser,
        accounts: &[],
        desktops: &[],
        requested_by: None,
        uninstall_command: None,
        approach: Approach::Ordinary,
        fail_limit: FailLimit {
            count: None,
            percent: None,
        },
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    Stored,
    Pending,
    Absent,
    Link,
}

pub(crate) const ORDINARY: AppKind = AppKind {
    authorization: AssignType::AllUser,
    support_os: "Linux",
    store: Bytes::Stored,
};

pub(crate) fn simple(name: &str) -> Account {
    Account::new(AccountType::Simple, name.to_owned(), None, None)
}

pub(crate) fn user_group(name: &str) -> Account {
    Account::new(AccountType::UserGroup, name.to_owned(), None, None)
}

impl Scene {
    pub(crate) fn new(test: TestStore) -> Self {
        Self { test }
    }

    pub(crate) async fn user(&self, name: &str) -> UserKey {
        let tx = self.test.store.write().await.unwrap();
        let key = tx
            .user_insert(self.test.project, &user(name), NOW)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        key
    }

    pub(crate) async fn group(&self, name: &str, members: &[UserKey]) -> GroupKey {
        let tx = self.test.store.write().await.unwrap();
        let key = tx
            .group_insert(self.test.project, &group(name), NOW)
            .await
            .unwrap();
        tx.group_members_add(key, members).await.unwrap();
        tx.commit().await.unwrap();
        key
    }

    pub(crate) async fn desktop(&self, name: &str, users: &[UserKey]) -> DesktopKey {
        let tx = self.test.store.write().await.unwrap();
        let key = tx
            .desktop_insert(self.test.project, &desktop(name), NOW)
            .await
            .unwrap();
        for user in users {
            tx.desktop_user_attach(key, *user, None).await.unwrap();
        }
        tx.commit().await.unwrap();
        key
    }

    /// Opens a channel of the desktop.
    pub(crate) async fn connect(&self, desktop: DesktopKey) -> Connected {
        let desktop_id = desktop.get();
        self.test
            .sql(&format!(
                "UPDATE desktop SET channel_epoch = channel_epoch + 1 WHERE id = {desktop_id}"
            ))
            .await;
        Connected {
            desktop,
            epoch: self
                .test
                .number(&format!(
                    "SELECT channel_epoch FROM desktop WHERE id = {desktop_id}"
                ))
                .await,
        }
    }

    pub(crate) async fn app(&self, name: &str, kind: AppKind) -> App {
        let public_id = id();
        let literal = self.test.uuid_literal(public_id);
        let project = self.test.project.get();
        let AppKind {
            authorization,
            support_os,
            store,
        } = kind;
        self.test
            .sql(&format!(
                "INSERT INTO app (public_id, project_id, name, name_folded, description, authorization_type, \
                 install_type, support_os, status, source, catalog_id, run_limit_secs, created_at, updated_at) \
                 VALUES ({literal}, {project}, '{name}', '{name}', '', '{authorization}', 'QUIET_INSTALL', \
                 '{support_os}', 'NORMAL', 'CUSTOM', '1', 3600, 0, 0)"
            ))
            .await;
        let key = self
            .test
            .number(&format!("SELECT id FROM app WHERE public_id = {literal}"))
            .await;
        let state = match store {
            Bytes::Stored => Some("ready"),
            Bytes::Pending => Some("pending"),
            Bytes::Absent | Bytes::Link => None,
        };
        if let Some(state) = state {
            let digest = match store {
                Bytes::Stored => DIGEST.to_owned(),
                _ => "b".repeat(64),
            };
            self.test
                .sql(&format!(
                    "INSERT INTO package (sha256, size_bytes, state, facts, created_at) \
                     VALUES ('{digest}', 100, '{state}', '{{}}', 0) ON CONFLICT DO NOTHING"
                ))
                .await;
        }
        let app = App {
            key: AppKey::new(key),
            id: AppId::new(public_id),
        };
        self.revision(app, "1.0", store).await;
        app
    }

    /// Makes a new newest revision.
    pub(crate) async fn revision(&self, app: App, version: &str, store: Bytes) {
        let literal = self.test.uuid_literal(id());
        let key = app.key.get();
        let (store_type, path, link, package) = match store {
            Bytes::Stored => (
                "OBS",
                "'app-file/a.deb'",
                "NULL",
                "(SELECT id FROM package WHERE state = 'ready')",
            ),
            Bytes::Pending => (
                "OBS",
                "'app-file/a.deb'",
                "NULL",
                "(SELECT id FROM package WHERE state = 'pending')",
            ),
            Bytes::Absent => ("OBS", "'app-file/a.deb'", "NULL", "NULL"),
            Bytes::Link => ("LINK", "NULL", "'https://a.example/a.deb'", "NULL"),
        };
        self.test
            .sql(&format!(
                "INSERT INTO app_revision (public_id, app_id, number, version, store_type, bucket_file_path, \
                 file_link, package_id, install_command, success_exit_codes, created_at) \
                 SELECT {literal}, {key}, COALESCE(MAX(number), 0) + 1, '{version}', '{store_type}', {path}, \
                 {link}, {package}, 'dpkg -i ${{FILE_PATH}}', '[0]', 0 FROM app_revision WHERE app_id = {key}"
            ))
            .await;
        self.test
            .sql(&format!(
                "UPDATE app SET revision_id = (SELECT id FROM app_revision WHERE public_id = {literal}) \
                 WHERE id = {key}"
            ))
            .await;
    }

    /// Stores a deployment and widens, as an install request does; expands it to the end.
    pub(crate) async fn deploy(
        &self,
        apps: &[App],
        scope: AssignType,
        accounts: &[Account],
    ) -> DeploymentKey {
        let key = self.deploy_unexpanded(apps, scope, accounts).await;
        while self.expand(key, 100).await == Expansion::Expanding {}
        key
    }

    pub(crate) async fn deploy_unexpanded(
        &self,
        apps: &[App],
        scope: AssignType,
        accounts: &[Account],
    ) -> DeploymentKey {
        let wish = Wish {
            scope,
            accounts,
            ..Wish::INSTALL
        };
        self.deploy_wish(apps, wish).await
    }

    /// Takes apps off desktops: of everyone, or the named ones; expanded to the end.
    pub(crate) async fn uninstall(&self, apps: &[App], desktops: &[DesktopKey]) -> DeploymentKey {
        let wish = Wish {
            kind: TaskKind::Uninstall,
            desktops,
            ..Wish::INSTALL
        };
        let key = self.deploy_wish(apps, wish).await;
        while self.expand(key, 100).await == Expansion::Expanding {}
        key
    }

    pub(crate) async fn deploy_wish(&self, apps: &[App], wish: Wish<'_>) -> DeploymentKey {
        let tx = self.test.store.write().await.unwrap();
        let ids: Vec<AppId> = apps.iter().map(|app| app.id).collect();
        let found = tx.deployment_apps(self.test.project, &ids).await.unwrap();
        let keys: Vec<AppKey> = found.iter().map(|app| app.key).collect();
        let key = tx
            .deployment_insert(
                &NewDeployment {
                    id: DeploymentId::new(id()),
                    project: self.test.project,
                    kind: wish.kind,
                    scope: wish.scope,
                    operator: "admin",
                    install_command: None,
                    uninstall_command: wish.uninstall_command,
                    apps: &keys,
                    accounts: ScopeAccounts::Listed(wish.accounts),
                    desktops: wish.desktops,
                    requested_by: wish.requested_by,
                    expires_at: later(30 * 24 * 3600),
                    approach: wish.approach,
                    fail_limit: wish.fail_limit,
                },
                NOW,
            )
            .await
            .unwrap();
        if wish.kind == TaskKind::Install && wish.desktops.is_empty() {
            tx.deployment_widen(key, wish.scope, NOW).await.unwrap();
        }
        tx.commit().await.unwrap();
        key
    }

    pub(crate) async fn expand(&self, deployment: DeploymentKey, pairs: usize) -> Expansion {
        let tx = self.test.store.write().await.unwrap();
        let expanded = tx
            .deployment_expand(deployment, pairs, &SystemIds, NOW)
            .await
            .unwrap()
            .unwrap();
        tx.commit().await.unwrap();
        expanded.progress
    }

    pub(crate) async fn view(&self, deployment: DeploymentKey) -> DeploymentView {
        let (_, all) = self
            .test
            .store
            .db()
            .deployment_list(self.test.project, Default::default(), 0, 100)
            .await
            .unwrap();
        all.into_iter().find(|view| view.key == deployment).unwrap()
    }

    /// Every job, newest first.
    pub(crate) async fn jobs(&self) -> Vec<JobView> {
        let (count, jobs) = self
            .test
            .store
            .db()
            .job_list(self.test.project, &JobFilter::default(), 0, 1000)
            .await
            .unwrap();
        assert_eq!(count, i64::try_from(jobs.len()).unwrap());
        jobs
    }

    /// The one job there is.
    pub(crate) async fn job(&self) -> JobView {
        let mut jobs = self.jobs().await;
        assert_eq!(jobs.len(), 1);
        jobs.remove(0)
    }

    pub(crate) async fn lease(&self, connected: &[Connected], now: Millis) -> Vec<LeasedTask> {
        let tx = self.test.store.write().await.unwrap();
        let page = tx
            .job_lease(connected, LEASE, &SystemIds, now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        page.tasks
    }

    /// Leases exactly one job.
    pub(crate) async fn lease_one(&self, connected: Connected, now: Millis) -> Task {
        let mut tasks = self.lease(&[connected], now).await;
        assert_eq!(tasks.len(), 1);
        tasks.remove(0).task
    }

    pub(crate) async fn go(&self, from: Connected, attempt: AttemptId, now: Millis) -> GoOutcome {
        let tx = self.test.store.write().await.unwrap();
        let outcomes = tx
            .attempt_go_if_leased(&[GoRequest { from, attempt }], now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        outcomes[0].clone()
    }

    pub(crate) async fn finish(
        &self,
        from: Connected,
        evidence: Evidence,
        now: Millis,
    ) -> FinishOutcome {
        let tx = self.test.store.write().await.unwrap();
        let outcomes = tx
            .attempt_finish_if_running(
                &[ResultReport {
                    desktop: from.desktop,
                    evidence,
                    signed: None,
                }],
                now,
            )
            .await
            .unwrap();
        tx.commit().await.unwrap();
        outcomes[0]
    }

    /// Leases and releases the desktop's next job.
    pub(crate) async fn start(&self, from: Connected, now: Millis) -> Task {
        let task = self.lease_one(from, now).await;
        assert_eq!(self.go(from, task.attempt, now).await, GoOutcome::Released);
        task
    }

    pub(crate) async fn retry(
        &self,
        jobs: &[JobId],
        now: Millis,
    ) -> Result<Vec<DesktopKey>, outfitter_store::RetryRefusal> {
        let tx = self.test.store.write().await.unwrap();
        let outcome = tx.job_retry(self.test.project, jobs, now).await.unwrap();
        tx.commit().await.unwrap();
        outcome
    }

    /// Every counter agrees with the jobs it counts.
    pub(crate) async fn check_counters(&self) {
        for (dimension, key) in [
            (0, "CASE WHEN j.kind = 0 THEN '' END"),
            (1, "CASE WHEN j.kind = 0 THEN CAST(j.app_id AS TEXT) END"),
            (2, "CASE WHEN j.kind = 0 THEN j.target END"),
            (3, "CAST(j.deployment_id AS TEXT)"),
            (
                4,
                "CASE WHEN j.proof IN (3, 5) THEN CAST(j.deployment_id AS TEXT) END",
            ),
            (10, "CASE WHEN j.kind = 1 THEN '' END"),
            (11, "CASE WHEN j.kind = 1 THEN CAST(j.app_id AS TEXT) END"),
            (12, "CASE WHEN j.kind = 1 THEN j.target END"),
        ] {
            let wrong = self
                .test
                .number(&format!(
                    "SELECT COUNT(*) FROM (SELECT project_id, dimension_key, wire, SUM(n) AS s FROM ( \
                       SELECT project_id, dimension_key, wire, jobs AS n FROM job_count \
                       WHERE dimension = {dimension} \
                       UNION ALL SELECT j.project_id, {key} AS dimension_key, j.wire, -1 AS n FROM job j \
                       WHERE {key} IS NOT NULL) AS both_sides \
                     GROUP BY project_id, dimension_key, wire HAVING SUM(n) <> 0) AS wrong"
                ))
                .await;
            assert_eq!(wrong, 0, "counters of dimension {dimension}");
        }
    }
}

/// Evidence of a run that went well.
pub(crate) fn good(task: &Task) -> Evidence {
    Evidence {
        attempt: task.attempt,
        job: task.job,
        failure: None,
        failure_detail: None,
        rule: task.detection.clone(),
        manifest_files: None,
        before: None,
        after: task.detection.as_ref().map(|_| Detection {
            holds: true,
            seen: "there".to_owned(),
        }),
        already_installed: false,
        already_absent: false,
        exit_code: Some(0),
        output_tail: "nul: \0".to_owned(),
        package_sha256: Some(DIGEST.to_owned()),
        package_size_bytes: Some(100),
        command: None,
        sandbox_root: None,
        agent_version: "1".to_owned(),
        phases: vec![],
        ended_at_millis: NOW.get(),
    }
}

/// Evidence of a failure.
pub(crate) fn failed(task: &Task, failure: FailureCode) -> Evidence {
    Evidence {
        failure: Some(failure),
        failure_detail: Some("what was \0 seen".to_owned()),
        exit_code: None,
        ..good(task)
    }
}
