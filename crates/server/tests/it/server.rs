//! A server for one test.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use outfitter_domain::{Clock, Millis, SystemClock};
use outfitter_server::config::{Config, ServeOptions};
use outfitter_server::serve;
use outfitter_test_support::postgres::TestDatabase;
use outfitter_test_support::store::{empty_postgres, execute};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for the server to say where it is: hashing the first password unoptimised is slow.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The system's clock, set wrong by as much as the test says; the server's and, as another one, an agent's.
pub(crate) struct SetClock {
    ahead_millis: AtomicI64,
    origin: Instant,
}

impl SetClock {
    pub(crate) fn right() -> Arc<Self> {
        Arc::new(Self {
            ahead_millis: AtomicI64::new(0),
            origin: Instant::now(),
        })
    }

    /// Sets it so many days ahead of the system's.
    pub(crate) fn set_days_ahead(&self, days: i64) {
        let millis = days * 24 * 60 * 60 * 1000;
        self.ahead_millis.store(millis, Ordering::SeqCst);
    }

    /// Sets it to the beginning of 1970.
    pub(crate) fn set_to_1970(&self) {
        let now = SystemClock.now().get();
        self.ahead_millis.store(-now, Ordering::SeqCst);
    }

    fn millis(&self) -> i64 {
        SystemClock.now().get() + self.ahead_millis.load(Ordering::SeqCst)
    }
}

impl Clock for SetClock {
    fn now(&self) -> Millis {
        Millis::new(self.millis())
    }
}

impl outfitter_agent::clock::Clock for SetClock {
    fn unix_millis(&self) -> i64 {
        self.millis()
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// What a server keeps over its own end.
struct Site {
    database: Option<TestDatabase>,
    folder: TempDir,
    clock: Arc<dyn Clock>,
}

/// A running server, and its administrator's token.
pub(crate) struct TestServer {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoint: String,
    token: String,
    pub(crate) project: String,
    identity: Value,
    /// What the first start wrote down.
    pub(crate) bootstrap: Value,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    site: Site,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// Status, code and message of a refusal.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, message_part: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.body["error_code"], code, "{self:?}");
        let message = self.body["error_msg"].as_str().unwrap();
        assert!(message.contains(message_part), "{self:?}");
    }

    /// The body of an answer with that status.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }
}

impl Site {
    fn new(database: Option<TestDatabase>, clock: Arc<dyn Clock>) -> Self {
        Self {
            database,
            folder: tempfile::tempdir().unwrap(),
            clock,
        }
    }

    /// Runs a server that listens for API, agents and bucket.
    fn serve(
        &self,
        [api, agents, bucket]: [SocketAddr; 3],
        options: ServeOptions,
    ) -> (CancellationToken, JoinHandle<()>) {
        let config = Config::resolve(ServeOptions {
            data_dir: Some(self.folder.path().to_owned()),
            listen: Some(api),
            agent_listen: Some(agents),
            bucket_listen: Some(bucket),
            database_url: self.database.as_ref().map(|it| it.url().to_owned()),
            ..options
        })
        .unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let (clock, shutdown) = (Arc::clone(&self.clock), shutdown.clone());
            async move {
                Box::pin(serve::run_by(config, clock, shutdown))
                    .await
                    .unwrap()
            }
        });
        (shutdown, task)
    }
}

impl TestServer {
    /// A server on SQLite.
    pub(crate) async fn start() -> Self {
        Self::start_with(None, ServeOptions::default()).await
    }

    /// A server by a clock of the test's; without a database of its own on SQLite.
    pub(crate) async fn start_by(clock: &Arc<SetClock>, database: Option<TestDatabase>) -> Self {
        Self::start_at(
            Site::new(database, Arc::clone(clock) as _),
            ServeOptions::default(),
        )
        .await
    }

    /// A server on SQLite that is told more than where to listen.
    pub(crate) async fn start_told(options: ServeOptions) -> Self {
        Self::start_with(None, options).await
    }

    /// Its data folder.
    pub(crate) fn data_dir(&self) -> &Path {
        self.site.folder.path()
    }

    /// A server on PostgreSQL.
    pub(crate) async fn start_on_postgres() -> Self {
        Self::start_with(Some(empty_postgres().await), ServeOptions::default()).await
    }

    async fn start_with(database: Option<TestDatabase>, options: ServeOptions) -> Self {
        Self::start_at(Site::new(database, Arc::new(SystemClock)), options).await
    }

    async fn start_at(site: Site, options: ServeOptions) -> Self {
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (shutdown, task) = site.serve([free; 3], options);
        let path = site.folder.path().join("bootstrap.json");
        let bootstrap = tokio::time::timeout(START_LIMIT, async {
            loop {
                if let Ok(text) = std::fs::read_to_string(&path)
                    && let Ok(bootstrap) = serde_json::from_str::<Value>(&text)
                {
                    break bootstrap;
                }
                assert!(!task.is_finished(), "the server ended while it started");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
        let text = |member: &str| bootstrap[member].as_str().unwrap().to_owned();
        let mut server = Self {
            http: reqwest::Client::new(),
            endpoint: text("endpoint"),
            token: String::new(),
            project: text("project_id"),
            identity: json!({"methods": ["password"], "password": {"user": {
                "name": text("user_name"), "password": text("password"),
                "domain": {"name": text("domain_name")}}}}),
            bootstrap: bootstrap.clone(),
            shutdown,
            task,
            site,
        };
        server.log_in().await;
        server
    }

    /// Ends the server and starts it again where it was.
    pub(crate) async fn restart(&mut self) {
        self.shutdown.cancel();
        (&mut self.task).await.unwrap();
        let at = |member: &str| {
            let text = self.bootstrap[member].as_str().unwrap();
            text.trim_start_matches("http://").parse().unwrap()
        };
        let addresses = [at("endpoint"), at("agent_endpoint"), at("bucket_endpoint")];
        (self.shutdown, self.task) = self.site.serve(addresses, ServeOptions::default());
        let ready = self.anonymous(Method::GET, "/readyz");
        tokio::time::timeout(START_LIMIT, async {
            while ready.try_clone().unwrap().send().await.is_err() {
                assert!(
                    !self.task.is_finished(),
                    "the server ended while it started"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
        self.log_in().await;
    }

    async fn log_in(&mut self) {
        let project = json!({"project": {"id": self.project}});
        self.token = self.token_for(project).await;
    }

    /// A token of the administrator for a project or a domain.
    pub(crate) async fn token_for(&self, scope: Value) -> String {
        let answer = self
            .anonymous(Method::POST, "/v3/auth/tokens")
            .json(&json!({"auth": {
                "identity": self.identity,
                "scope": scope}}))
            .send()
            .await
            .unwrap();
        let token = &answer.headers()["x-subject-token"];
        token.to_str().unwrap().to_owned()
    }

    /// Body of logging a browser in as the administrator.
    pub(crate) fn browser_login(&self) -> Value {
        let user = &self.identity["password"]["user"];
        json!({"user_name": user["name"], "password": user["password"]})
    }

    /// Runs a statement on the server's database: for states that no call brings about.
    pub(crate) async fn sql(&self, statement: &str) {
        let address = match &self.site.database {
            Some(database) => database.url().to_owned(),
            None => {
                let file = self.site.folder.path().join("outfitter.db");
                format!("sqlite://{}?mode=rw", file.display())
            }
        };
        execute(&address, statement).await;
    }

    /// Host and port of the API.
    pub(crate) fn address(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// Ends the server; what it said until then must have been no error.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    /// Calls a path below the host; `{p}` stands for the project.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::send(request).await
    }

    /// A call of the administrator, to be completed and sent.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.anonymous(method, path)
            .header("x-auth-token", &self.token)
    }

    /// A call of nobody in particular.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.endpoint, path.replace("{p}", &self.project));
        self.http.request(method, url)
    }

    pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.unwrap();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        Answer { status, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }
}
