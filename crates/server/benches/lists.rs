//! ListJobs at 1,000,000 jobs and ListApps at 100,000 apps, on SQLite and PostgreSQL (docs/invariants.md, budgets): a real
//! server on loopback, asked by one caller with a token over one connection. Prints a table for docs/benchmarks.md.
//!
//! `scripts/with-postgres cargo bench -p outfitter-server --bench lists`; `OUTFITTER_BENCH_JOBS` makes it smaller.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use outfitter_server::config::{Config, ServeOptions};
use outfitter_server::serve;
use outfitter_test_support::postgres::TestDatabase;
use outfitter_test_support::store::{empty_postgres, execute};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const APPS_WITH_JOBS: u64 = 100;
const APPS: u64 = 100_000;
const PAGE: u64 = 100;
/// Requests for each single figure.
const SAMPLES: u64 = 300;

/// Jobs in the table; desktops are a hundredth of it.
fn jobs() -> u64 {
    std::env::var("OUTFITTER_BENCH_JOBS").map_or(1_000_000, |text| text.parse().unwrap())
}

#[tokio::main]
async fn main() {
    // `cargo bench` and `cargo test --benches` pass options; without --bench this is only compiled.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("| database | call | offset | p50 ms | p99 ms | most ms | requests |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for database in [None, Some(empty_postgres().await)] {
        Bench::start(database).await.run().await;
    }
}

struct Bench {
    name: &'static str,
    http: reqwest::Client,
    endpoint: String,
    token: String,
    project: String,
    address: String,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _folder: TempDir,
    _database: Option<TestDatabase>,
}

impl Bench {
    async fn start(database: Option<TestDatabase>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let config = Config::resolve(ServeOptions {
            data_dir: Some(folder.path().to_owned()),
            listen: Some(free),
            agent_listen: Some(free),
            bucket_listen: Some(free),
            database_url: database.as_ref().map(|database| database.url().to_owned()),
            ..ServeOptions::default()
        })
        .unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { Box::pin(serve::run(config, shutdown)).await.unwrap() }
        });
        let bootstrap: Value = loop {
            let text = std::fs::read_to_string(folder.path().join("bootstrap.json"));
            match text.map(|text| serde_json::from_str(&text)) {
                Ok(Ok(bootstrap)) => break bootstrap,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let text = |member: &str| bootstrap[member].as_str().unwrap().to_owned();
        let http = reqwest::Client::new();
        let answer = http
            .post(format!("{}/v3/auth/tokens", text("endpoint")))
            .json(&json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": {
                    "name": text("user_name"), "password": text("password"),
                    "domain": {"name": text("domain_name")}}}},
                "scope": {"project": {"id": text("project_id")}}}}))
            .send()
            .await
            .unwrap();
        let address = match &database {
            Some(database) => database.url().to_owned(),
            None => format!(
                "sqlite://{}?mode=rw",
                folder.path().join("outfitter.db").display()
            ),
        };
        Self {
            name: if database.is_some() {
                "PostgreSQL"
            } else {
                "SQLite"
            },
            token: answer.headers()["x-subject-token"]
                .to_str()
                .unwrap()
                .to_owned(),
            endpoint: text("endpoint"),
            project: text("project_id"),
            http,
            address,
            shutdown,
            task,
            _folder: folder,
            _database: database,
        }
    }

    async fn run(self) {
        self.fill().await;
        self.jobs().await;
        self.apps().await;
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    /// Fills the tables in bulk: every tenth-of-a-percent of the fleet alike, states spread over apps and desktops.
    async fn fill(&self) {
        let sqlite = self.address.starts_with("sqlite");
        let uuid = if sqlite {
            "randomblob(16)"
        } else {
            "gen_random_uuid()"
        };
        let series = |count: u64| {
            format!(
                "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count})"
            )
        };
        // Statements are large: the server waits for its turn at most ten seconds, so pages are of 50,000 rows.
        let jobs = jobs();
        let project = "(SELECT MIN(id) FROM project)";
        let now = "1790000000000";
        let mut statements = vec![
            format!(
                "INSERT INTO app (id, public_id, project_id, name, name_folded, description, authorization_type, \
                 install_type, support_os, status, source, catalog_id, run_limit_secs, revision_id, created_at, \
                 updated_at) {} SELECT n, {uuid}, {project}, 'App ' || n, 'app ' || n, '', 'ASSIGN_USER', \
                 'QUIET_INSTALL', 'Windows', 'NORMAL', 'CUSTOM', '1', 3600, n, {now}, {now} FROM s",
                series(APPS)
            ),
            format!(
                "INSERT INTO app_revision (id, public_id, app_id, number, version, store_type, file_link, \
                 install_command, success_exit_codes, created_at) {} SELECT n, {uuid}, n, 1, '1.0', 'LINK', \
                 'https://packages.example/a.exe', 'a.exe /S', '[0]', {now} FROM s",
                series(APPS)
            ),
            format!(
                "INSERT INTO desktop (id, public_id, project_id, name, name_folded, os_type, desktop_type, \
                 created_at) {} SELECT n, {uuid}, {project}, 'PC' || n, 'pc' || n, 'Windows', 'DEDICATED', {now} \
                 FROM s",
                series(jobs / APPS_WITH_JOBS)
            ),
            format!(
                "INSERT INTO deployment (id, public_id, project_id, kind, assign_scope, operator, state, \
                 expires_at, created_at) {} SELECT n, {uuid}, {project}, 'install', 'ALL_USER', 'administrator', \
                 'expanded', 4000000000000, {now} FROM s",
                series(APPS_WITH_JOBS)
            ),
        ];
        let step = 50_000;
        for from in (0..jobs).step_by(step) {
            let count = u64::try_from(step).unwrap().min(jobs - from);
            // States: 5 % INIT, 1 % WAITING, 84 % SUCCESS, 10 % FAIL.
            statements.push(format!(
                "INSERT INTO job (id, public_id, project_id, deployment_id, app_id, desktop_id, revision_id, kind, \
                 wire, state, target, reason, message, proof, due_at, attempts, created_at, updated_at) \
                 {} SELECT i + 1, {uuid}, {project}, i % 100 + 1, i % 100 + 1, i / 100 + 1, \
                 CASE WHEN p < 5 THEN NULL ELSE i % 100 + 1 END, 0, \
                 CASE WHEN p < 5 THEN 0 WHEN p < 6 THEN 1 WHEN p < 90 THEN 2 ELSE 3 END, \
                 CASE WHEN p < 5 THEN {QUEUED} WHEN p < 6 THEN {RUNNING} WHEN p < 90 THEN {SUCCEEDED} \
                 ELSE {FAILED} END, 'user' || (i / 100 + 1), \
                 CASE WHEN p >= 90 THEN 'exit_code' END, CASE WHEN p >= 90 THEN 'The installer failed.' END, \
                 NULL, {now}, 1, {now}, {now} \
                 FROM (SELECT n + {from} - 1 AS i, ((n + {from} - 1) / 100 + (n + {from} - 1) % 100 * 37) % 100 AS p \
                 FROM s) AS t",
                series(count),
                QUEUED = outfitter_domain::job::State::Queued.number(),
                RUNNING = outfitter_domain::job::State::Running.number(),
                SUCCEEDED = outfitter_domain::job::State::Succeeded.number(),
                FAILED = outfitter_domain::job::State::Failed.number(),
            ));
        }
        for (dimension, key) in [
            (0, "''"),
            (1, "CAST(app_id AS TEXT)"),
            (2, "target"),
            (3, "CAST(deployment_id AS TEXT)"),
        ] {
            statements.push(format!(
                "INSERT INTO job_count (project_id, dimension, dimension_key, wire, slot, jobs) \
                 SELECT project_id, {dimension}, {key}, wire, 0, COUNT(*) FROM job GROUP BY 1, 3, 4"
            ));
        }
        if !sqlite {
            // What autovacuum does by itself within a minute of such a load.
            for table in ["job", "job_count", "app", "app_revision", "desktop"] {
                statements.push(format!("VACUUM ANALYZE {table}"));
            }
        }
        for statement in statements {
            execute(&self.address, &statement).await;
        }
    }

    async fn jobs(&self) {
        let base = format!("/v1/{}/app-center/jobs", self.project);
        let middle = self.get(&format!("{base}?offset={}", jobs() / 2)).await;
        let some = &middle["items"][0];
        let text = |member: &str| some[member].as_str().unwrap().to_owned();
        let (app, desktop, user) = (text("app_id"), text("instance_id"), text("target"));
        let filters = [
            ("ListJobs", String::new()),
            ("ListJobs job_status=FAIL", "job_status=FAIL".to_owned()),
            (
                "ListJobs job_status=SUCCESS",
                "job_status=SUCCESS".to_owned(),
            ),
            ("ListJobs app_id", format!("app_id={app}")),
            (
                "ListJobs app_id, job_status=FAIL",
                format!("app_id={app}&job_status=FAIL"),
            ),
            ("ListJobs instance_id", format!("instance_id={desktop}")),
            (
                "ListJobs instance_id, job_status=SUCCESS",
                format!("instance_id={desktop}&job_status=SUCCESS"),
            ),
            ("ListJobs target", format!("target={user}")),
            (
                "ListJobs target, job_status=SUCCESS",
                format!("target={user}&job_status=SUCCESS"),
            ),
            (
                "ListJobs app_id, target",
                format!("app_id={app}&target={user}"),
            ),
            (
                "ListJobs all four",
                format!("app_id={app}&target={user}&instance_id={desktop}&job_status=SUCCESS"),
            ),
        ];
        for (call, filter) in &filters {
            let count = self.count(&format!("{base}?{filter}")).await;
            for offset in [0, 100, 10_000]
                .into_iter()
                .filter(|offset| *offset < count.max(1))
            {
                let url = format!("{base}?limit={PAGE}&offset={offset}&{filter}");
                let times = self.times((0..SAMPLES).map(|_| url.clone())).await;
                self.print(call, &offset.to_string(), times);
            }
            if count > 20_000 {
                let urls = (0..count.div_ceil(PAGE))
                    .map(|page| format!("{base}?limit={PAGE}&offset={}&{filter}", page * PAGE));
                let times = self.times(urls).await;
                self.print(call, "one page after the other, to the end", times);
                // Spread over the list, the same at each run, no two in sequence.
                let urls = (0..SAMPLES).map(|sample| {
                    let offset = sample.wrapping_mul(7_919_777) % count;
                    format!("{base}?limit={PAGE}&offset={offset}&{filter}")
                });
                let times = self.times(urls).await;
                self.print(call, "anywhere", times);
            }
        }
    }

    async fn apps(&self) {
        let base = format!("/v1/{}/app-center/apps", self.project);
        for (call, filter) in [
            ("ListApps", ""),
            ("ListApps name, half of them", "name=5"),
            ("ListApps name, one", "name=APP+77777"),
        ] {
            let count = self.count(&format!("{base}?{filter}")).await;
            for offset in [0, 100, 10_000]
                .into_iter()
                .filter(|offset| *offset < count.max(1))
            {
                let url = format!("{base}?limit={PAGE}&offset={offset}&{filter}");
                let times = self.times((0..SAMPLES / 3).map(|_| url.clone())).await;
                self.print(call, &offset.to_string(), times);
            }
            if filter.is_empty() {
                let urls = (0..count.div_ceil(PAGE))
                    .map(|page| format!("{base}?limit={PAGE}&offset={}", page * PAGE));
                let times = self.times(urls).await;
                self.print(call, "one page after the other, to the end", times);
            }
        }
    }

    async fn count(&self, path: &str) -> u64 {
        self.get(path).await["count"].as_u64().unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(format!("{}{path}", self.endpoint))
            .header("x-auth-token", &self.token)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    /// Asks one after the other; how long each took, shortest first.
    async fn times(&self, paths: impl Iterator<Item = String>) -> Vec<Duration> {
        let mut times = Vec::new();
        for path in paths {
            let request = self
                .http
                .get(format!("{}{path}", self.endpoint))
                .header("x-auth-token", &self.token);
            let begun = Instant::now();
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            let body = answer.bytes().await.unwrap();
            times.push(begun.elapsed());
            assert!(body.len() > 20, "{path}");
        }
        times.sort_unstable();
        times
    }

    fn print(&self, call: &str, offset: &str, times: Vec<Duration>) {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let at = |share: usize| millis(times[(times.len() * share / 100).min(times.len() - 1)]);
        println!(
            "| {} | {call} | {offset} | {:.1} | {:.1} | {:.1} | {} |",
            self.name,
            at(50),
            at(99),
            millis(*times.last().unwrap()),
            times.len()
        );
    }
}
