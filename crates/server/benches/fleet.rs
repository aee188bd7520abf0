//! A whole fleet against one server (docs/invariants.md, budgets): what an idle agent costs, how soon a task reaches one, large
//! requests, jobs through their whole life, and everybody's return after the server was killed. Prints a table for
//! docs/benchmarks.md.
//!
//! The server is a process of its own (this program again), so that its memory and time are its own. The agents are the
//! real channel machine over real TLS with certificates of their own, each with a desktop without a disk on which every
//! installer ends at once; they share the machine's cores with the server.
//!
//! `scripts/with-postgres cargo bench -p outfitter-server --bench fleet`; `OUTFITTER_BENCH_AGENTS` makes it smaller.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::print_stderr, reason = "so is the progress")]

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use outfitter_agent::channel::driver::{Channel, ChannelError, Dial, Opened};
use outfitter_agent::channel::{
    Desktop, DesktopEvent, Introduction, OwnIdentity, Pace, Parts, Renewals, SourceRefusal,
    TimeLearned, Transport, WebSocketTransport, run,
};
use outfitter_agent::clock::SystemClock;
use outfitter_agent::credentials::Credentials;
use outfitter_agent::enroll::{Enrollment, enroll};
use outfitter_agent::evidence::blank_evidence;
use outfitter_agent::proxy::Proxies;
use outfitter_agent::receipt::Receipts;
use outfitter_agent::server_client::ServerAddress;
use outfitter_agent_protocol::{
    AgentMessage, EnrollmentToken, Envelope, Evidence, MachineIdentity, ServerMessage, Source, Task,
};
use outfitter_ids::{AgentId, AttemptId, DesktopId};
use outfitter_server::config::{Config, ServeOptions};
use outfitter_server::serve;
use outfitter_test_support::store::empty_postgres;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Agents on one process: all that fit its 20,000 descriptors. Source: docs/invariants.md, budgets.
const AGENTS: usize = 19_000;
const APPS: usize = 50;
const USERS: usize = 50;
/// Requests for each single figure.
const SAMPLES: usize = 300;
/// Apps whose jobs on every desktop are carried out.
const WHOLE_LIVES: usize = 3;

fn agents() -> usize {
    std::env::var("OUTFITTER_BENCH_AGENTS").map_or(AGENTS, |text| text.parse().unwrap())
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        return runtime.block_on(serve_here(&arguments[at + 1]));
    }
    // `cargo bench` and `cargo test --benches` pass options; without --bench this is only compiled.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    println!("| database | what | figure |");
    println!("| --- | --- | --- |");
    runtime.block_on(Bench::run("SQLite", None));
    runtime.block_on(async {
        let database = empty_postgres().await;
        Bench::run("PostgreSQL", Some(database.url().to_owned())).await;
    });
}

/// The server's process: its options are the environment's, as JSON.
async fn serve_here(options: &str) {
    let options: ServeOptions = serde_json::from_str(options).unwrap();
    let config = Config::resolve(options).unwrap();
    Box::pin(serve::run(config, CancellationToken::new()))
        .await
        .unwrap();
}

struct Server {
    options: Value,
    child: Child,
    bootstrap: Value,
    http: reqwest::Client,
    token: String,
}

impl Server {
    async fn start(folder: &Path, database_url: Option<String>) -> Self {
        // Chosen here, because the server comes back on the ports it had.
        let free = || {
            TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .to_string()
        };
        let options = json!({
            "data_dir": folder, "listen": free(), "agent_listen": free(), "bucket_listen": free(),
            "database_url": database_url,
        });
        let child = Self::spawn(&options);
        let http = reqwest::Client::new();
        let bootstrap: Value = loop {
            let text = std::fs::read_to_string(folder.join("bootstrap.json"));
            match text.map(|text| serde_json::from_str(&text)) {
                Ok(Ok(bootstrap)) => break bootstrap,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let mut server = Self {
            options,
            child,
            bootstrap,
            http,
            token: String::new(),
        };
        server.ready().await;
        let answer = server
            .http
            .post(format!("{}/v3/auth/tokens", server.text("endpoint")))
            .json(&json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": {
                    "name": server.text("user_name"), "password": server.text("password"),
                    "domain": {"name": server.text("domain_name")}}}},
                "scope": {"project": {"id": server.text("project_id")}}}}))
            .send()
            .await
            .unwrap();
        answer.headers()["x-subject-token"]
            .to_str()
            .unwrap()
            .clone_into(&mut server.token);
        server
    }

    fn spawn(options: &Value) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--serve", &options.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    async fn ready(&self) {
        let url = format!("{}/readyz", self.text("endpoint"));
        while !matches!(self.http.get(&url).send().await, Ok(answer) if answer.status() == 200) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn text(&self, member: &str) -> String {
        self.bootstrap[member].as_str().unwrap().to_owned()
    }

    /// Anonymous memory, in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }

    /// Processor time so far.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().unwrap())
            .sum();
        // USER_HZ is 100 on every Linux.
        Duration::from_millis(ticks * 10)
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let path = path.replace("{p}", &self.text("project_id"));
        self.http
            .request(method, format!("{}{path}", self.text("endpoint")))
            .header("x-auth-token", &self.token)
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.json().await.unwrap()
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> reqwest::Response {
        let answer = self.request(method, path).json(&body).send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{path}: {:?}",
            answer.text().await
        );
        answer
    }

    /// Asks for an install; answers with its deployment and how long the answer took.
    async fn install(&self, body: Value) -> (String, Duration) {
        let begun = Instant::now();
        let path = "/v1/{p}/app-center/apps/actions/batch-auto-install";
        let answer = self.send(Method::POST, path, body).await;
        let took = begun.elapsed();
        let deployment = answer.headers()["x-deployment-id"].to_str().unwrap();
        (deployment.to_owned(), took)
    }

    async fn deployment(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/{{p}}/deployments/{id}")).await
    }

    /// Waits until every job of the deployment has ended; answers with how many did well.
    async fn ended(&self, id: &str) -> u64 {
        loop {
            let shown = self.deployment(id).await;
            if shown["state"] == "ended" {
                return shown["counts"]["jobs_success"].as_u64().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the fleet saw.
#[derive(Default)]
struct Seen {
    welcomed: AtomicUsize,
    /// When the last task reached an agent.
    arrived: Mutex<Option<Instant>>,
    /// How often the installer of an attempt was started.
    starts: Mutex<HashMap<AttemptId, u32>>,
}

struct Counted<T> {
    inner: T,
    seen: Arc<Seen>,
}

impl<T: Transport> Transport for Counted<T>
where
    T::Channel: 'static,
{
    type Channel = CountedChannel<T::Channel>;

    fn connect(&mut self) -> Dial<Self::Channel> {
        let dial = self.inner.connect();
        let seen = Arc::clone(&self.seen);
        Box::pin(async move {
            let Opened { channel, trust } = dial.await?;
            let channel = CountedChannel {
                inner: Some(channel),
                welcomed: false,
                seen,
            };
            Ok(Opened { channel, trust })
        })
    }
}

struct CountedChannel<C> {
    /// `None` once it is closed.
    inner: Option<C>,
    welcomed: bool,
    seen: Arc<Seen>,
}

impl<C: Channel> Channel for CountedChannel<C> {
    async fn send(&mut self, message: AgentMessage) -> Result<(), ChannelError> {
        self.inner.as_mut().unwrap().send(message).await
    }

    async fn receive(&mut self) -> Result<ServerMessage, ChannelError> {
        let message = self.inner.as_mut().unwrap().receive().await?;
        if matches!(message, ServerMessage::Welcome(_)) && !self.welcomed {
            self.welcomed = true;
            self.seen.welcomed.fetch_add(1, Ordering::SeqCst);
        }
        Ok(message)
    }

    async fn close(mut self) {
        if let Some(inner) = self.inner.take() {
            inner.close().await;
        }
    }
}

impl<C> Drop for CountedChannel<C> {
    fn drop(&mut self) {
        if self.welcomed {
            self.seen.welcomed.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A desktop without a disk, on which every installer ends at once.
struct SimulatedDesktop {
    receipts: Receipts,
    tasks: HashMap<AttemptId, Task>,
    events: mpsc::Sender<DesktopEvent>,
    seen: Arc<Seen>,
}

impl Desktop for SimulatedDesktop {
    async fn journal(&mut self, task: Task) -> Result<(), String> {
        *self.seen.arrived.lock().unwrap() = Some(Instant::now());
        self.tasks.insert(task.attempt, task);
        Ok(())
    }

    async fn start(&mut self, attempt: AttemptId) {
        *self.seen.starts.lock().unwrap().entry(attempt).or_default() += 1;
        let ended = DesktopEvent::Ended { attempt };
        self.events.send(ended).await.unwrap();
    }

    async fn cancel(&mut self, attempt: AttemptId) {
        let ended = DesktopEvent::Ended { attempt };
        self.events.send(ended).await.unwrap();
    }

    async fn source(&mut self, _: AttemptId, _: Result<Source, SourceRefusal>) {}

    async fn receipt(&mut self, attempt: AttemptId) -> Option<Envelope> {
        let task = self.tasks.get(&attempt)?;
        let evidence = Evidence {
            exit_code: Some(0),
            package_sha256: task.package.sha256.clone(),
            package_size_bytes: task.package.size_bytes,
            command: Some(task.command.clone()),
            ..blank_evidence(attempt, task.job, &SystemClock::default())
        };
        Some(self.receipts.seal(Some(task), evidence))
    }

    async fn forget(&mut self, attempt: AttemptId) {
        self.tasks.remove(&attempt);
    }
}

struct NoIdentity;

impl OwnIdentity for NoIdentity {
    fn next(&mut self) -> Option<MachineIdentity> {
        None
    }

    fn begin_anew(&mut self) {}

    fn welcomed(&mut self) {}
}

struct NoRenewals;

impl Renewals for NoRenewals {
    fn due(&mut self) -> Option<String> {
        None
    }

    fn keep(&mut self, _: &str, _: Option<&str>) -> Result<(), String> {
        Ok(())
    }

    fn learn_time(&mut self, _: i64) -> TimeLearned {
        TimeLearned::Known
    }
}

struct Bench {
    name: &'static str,
    server: Server,
    seen: Arc<Seen>,
    enrolled: Vec<(AgentId, DesktopId, Credentials)>,
    stop: watch::Sender<bool>,
    connected: usize,
}

impl Bench {
    async fn run(name: &'static str, database_url: Option<String>) {
        let folder = TempDir::new().unwrap();
        let server = Server::start(folder.path(), database_url).await;
        let mut bench = Self {
            name,
            server,
            seen: Arc::default(),
            enrolled: Vec::new(),
            stop: watch::channel(false).0,
            connected: 0,
        };
        bench.enroll().await;
        bench.idle().await;
        let apps = bench.upload_apps().await;
        bench.dispatch(&apps[0]).await;
        bench.batches(&apps).await;
        bench.whole_lives(&apps).await;
        bench.kill(&apps[0]).await;
        bench.expansion(&apps).await;
        bench.stop.send_replace(true);
        bench.server.kill();
    }

    fn print(&self, what: &str, figure: &str) {
        println!("| {} | {what} | {figure} |", self.name);
    }

    async fn enroll(&mut self) {
        let begun = Instant::now();
        let token = EnrollmentToken::parse(&self.server.text("enrollment_token")).unwrap();
        let server: ServerAddress = self.server.text("agent_endpoint").parse().unwrap();
        self.enrolled = stream::iter(0..agents())
            .map(|number| {
                let enrollment = Enrollment {
                    server: server.clone(),
                    token: token.clone(),
                    name: format!("d{number}"),
                    user: (number < USERS).then(|| format!("u{number}")),
                    sandbox_root: None,
                    machine_id: format!("machine-{number}"),
                    source_ip: None,
                    proxies: Proxies::default(),
                };
                let server = server.clone();
                async move {
                    let enrolled = enroll(&enrollment).await.unwrap();
                    let credentials = Credentials {
                        server,
                        key_pem: enrolled.key_pem,
                        chain_pem: enrolled.chain_pem,
                        roots_pem: enrolled.roots_pem,
                        last_server_millis: enrolled.server_time_millis,
                        source_ip: None,
                        proxies: Proxies::default(),
                    };
                    (enrolled.agent, enrolled.desktop, credentials)
                }
            })
            .buffered(16)
            .collect()
            .await;
        let rate = agents() as f64 / begun.elapsed().as_secs_f64();
        self.print("agents enrolled", &format!("{rate:.0} a second"));
    }

    /// Connects agents up to `count`.
    async fn connect(&mut self, count: usize) {
        for number in self.connected..count {
            let (agent, desktop, credentials) = self.enrolled[number].clone();
            let receipts = Receipts::new(agent, desktop, Arc::new(credentials.clone()));
            let (events_sender, events) = mpsc::channel(8);
            let parts = Parts {
                transport: Counted {
                    inner: WebSocketTransport::new(move || credentials.client()),
                    seen: Arc::clone(&self.seen),
                },
                desktop: SimulatedDesktop {
                    receipts,
                    tasks: HashMap::new(),
                    events: events_sender,
                    seen: Arc::clone(&self.seen),
                },
                events,
                renewals: NoRenewals,
                identity: Box::new(NoIdentity),
                introduction: Introduction {
                    agent_version: env!("CARGO_PKG_VERSION").to_owned(),
                    os: "linux".to_owned(),
                    arch: "x86_64".to_owned(),
                    boot_id: "boot".to_owned(),
                    sandbox_root: None,
                },
                pace: Pace::default(),
                journal: Vec::new(),
                seed: number as u64,
            };
            let shutdown = self.stop.subscribe();
            tokio::spawn(async move {
                Box::pin(run(parts, &SystemClock::default(), shutdown)).await;
            });
            // The first connections of a fleet are spread; its return after an outage is measured apart.
            if number % 32 == 31 {
                self.welcomed(number.saturating_sub(64)).await;
            }
        }
        self.connected = count;
        self.welcomed(count).await;
    }

    async fn welcomed(&self, count: usize) {
        while self.seen.welcomed.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Memory and processor time of agents that have nothing to do.
    async fn idle(&mut self) {
        let settled = Duration::from_secs(5);
        let all = agents();
        tokio::time::sleep(settled).await;
        let mut before = (0, self.server.memory());
        for count in [1_000, 5_000, 15_000, all] {
            let count = count.min(all);
            if count <= before.0 {
                continue;
            }
            self.connect(count).await;
            tokio::time::sleep(settled).await;
            let memory = self.server.memory();
            let each = memory.saturating_sub(before.1) as f64 / (count - before.0) as f64 / 1024.0;
            self.print(
                &format!("server memory, {count} idle agents"),
                &format!(
                    "{:.1} MiB; {each:.1} KiB each since {}",
                    memory as f64 / 1024.0 / 1024.0,
                    before.0
                ),
            );
            before = (count, memory);
        }
        let before = self.server.cpu();
        let span = Duration::from_secs(60);
        tokio::time::sleep(span).await;
        let share = (self.server.cpu() - before).as_secs_f64() / span.as_secs_f64() * 100.0;
        self.print(
            &format!("server processor time, {all} idle agents"),
            &format!("{share:.1} % of a core"),
        );
    }

    async fn upload_apps(&self) -> Vec<String> {
        let package = self
            .server
            .request(Method::POST, "/api/v1/{p}/packages?file_name=app.run")
            .body("#!/bin/sh\n")
            .send()
            .await
            .unwrap();
        let package: Value = package.json().await.unwrap();
        let mut apps = Vec::new();
        for number in 0..APPS {
            let body = json!({
                "name": format!("App {number}"), "version": "1.0", "description": "",
                "authorization_type": "ASSIGN_USER",
                "app_file_store": {"store_type": "OBS", "bucket_store": package["bucket_store"]},
                "install_type": "QUIET_INSTALL", "install_command": "${FILE_PATH}",
                "support_os": "Linux", "catalog_id": "1",
            });
            let path = "/v1/{p}/app-center/apps";
            let app: Value = self
                .server
                .send(Method::POST, path, body)
                .await
                .json()
                .await
                .unwrap();
            apps.push(app["id"].as_str().unwrap().to_owned());
        }
        apps
    }

    /// From the answer of an install of one app on one idle desktop to the task there.
    async fn dispatch(&self, app: &str) {
        let mut times = Vec::new();
        for number in 0..SAMPLES {
            *self.seen.arrived.lock().unwrap() = None;
            let users = [user(number % USERS)];
            let body = json!({"app_ids": [app], "assign_scope": "ASSIGN_USER", "users": users});
            let (deployment, _) = self.server.install(body).await;
            let answered = Instant::now();
            let arrived = loop {
                if let Some(arrived) = *self.seen.arrived.lock().unwrap() {
                    break arrived;
                }
                tokio::task::yield_now().await;
            };
            times.push(arrived.saturating_duration_since(answered));
            self.server.ended(&deployment).await;
        }
        self.print(
            &format!("answer to task, {} idle agents", agents()),
            &figures(times),
        );
    }

    async fn batches(&self, apps: &[String]) {
        let users: Vec<Value> = (0..USERS).map(user).collect();
        let mut times = Vec::new();
        for _ in 0..SAMPLES / 10 {
            let body = json!({"app_ids": apps, "assign_scope": "ASSIGN_USER", "users": users});
            let (deployment, took) = self.server.install(body).await;
            times.push(took);
            self.server.ended(&deployment).await;
        }
        self.print("batch-auto-install, 50 apps × 50 users", &figures(times));
    }

    async fn whole_lives(&self, apps: &[String]) {
        let before = self.server.cpu();
        let begun = Instant::now();
        let chosen: Vec<&String> = apps.iter().take(WHOLE_LIVES).collect();
        let body = json!({"app_ids": chosen, "assign_scope": "ALL_USER"});
        let (deployment, _) = self.server.install(body).await;
        let done = self.server.ended(&deployment).await;
        let took = begun.elapsed().as_secs_f64();
        let cpu = (self.server.cpu() - before).as_secs_f64() / done as f64 * 1e6;
        self.print(
            &format!("{done} jobs through their whole life, over TLS"),
            &format!(
                "{:.0} a second; {cpu:.0} µs of the server each",
                done as f64 / took
            ),
        );
    }

    /// Kills the server while everybody has a job, and waits until everybody is back and every job has ended.
    async fn kill(&mut self, app: &str) {
        let all = agents();
        let body = json!({"app_ids": [app], "assign_scope": "ALL_USER"});
        let (deployment, _) = self.server.install(body).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.server.kill();
        while self.seen.welcomed.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.server.child = Server::spawn(&self.server.options);
        self.server.ready().await;
        let begun = Instant::now();
        let mut answers = Vec::new();
        while self.seen.welcomed.load(Ordering::SeqCst) < all {
            let asked = Instant::now();
            self.server.get("/v1/{p}/app-center/jobs?limit=100").await;
            answers.push(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let back = begun.elapsed().as_secs_f64();
        self.print(
            &format!("server killed with {all} agents and a job on each"),
            &format!("all back {back:.1} s after it listens again"),
        );
        self.print("ListJobs meanwhile", &figures(answers));
        let done = self.server.ended(&deployment).await;
        let twice = self
            .seen
            .starts
            .lock()
            .unwrap()
            .values()
            .filter(|starts| **starts > 1)
            .count();
        self.print(
            "jobs lost, installers run twice",
            &format!("{}, {twice}", all as u64 - done),
        );
    }

    /// Opens a job for each app and desktop; nothing is handed out meanwhile, so that only this is measured.
    async fn expansion(&self, apps: &[String]) {
        let freeze = json!({"frozen": true, "reason": "benchmark"});
        self.server
            .send(Method::PUT, "/api/v1/{p}/freeze", freeze)
            .await;
        let body = json!({"app_ids": apps, "assign_scope": "ALL_USER"});
        let begun = Instant::now();
        let (deployment, accepted) = self.server.install(body).await;
        let mut writes = Vec::new();
        let jobs = loop {
            let path = format!("/v1/{{p}}/app-center/apps/{}", apps[0]);
            let asked = Instant::now();
            let description = json!({"description": format!("{}", writes.len())});
            self.server.send(Method::PATCH, &path, description).await;
            writes.push(asked.elapsed());
            let shown = self.server.deployment(&deployment).await;
            if shown["state"] != "expanding" {
                break shown["counts"]["jobs_init"].as_f64().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let took = begun.elapsed().as_secs_f64();
        self.print(
            &format!("batch-auto-install, 50 apps × {} desktops", agents()),
            &format!("accepted in {:.1} ms", millis(accepted)),
        );
        self.print(
            &format!("expansion of {jobs:.0} jobs"),
            &format!("{:.0} a second", jobs / took),
        );
        self.print("PATCH of an app meanwhile", &figures(writes));
    }
}

fn user(number: usize) -> Value {
    json!({"account": format!("u{number}"), "account_type": "SIMPLE"})
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn figures(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: usize| millis(times[(times.len() * share / 100).min(times.len() - 1)]);
    eprintln!("{} samples", times.len());
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms ({} samples)",
        at(50),
        at(99),
        millis(*times.last().unwrap()),
        times.len()
    )
}
