//! A server for one test.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

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
    database: Option<TestDatabase>,
    folder: TempDir,
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

impl TestServer {
    /// A server on SQLite.
    pub(crate) async fn start() -> Self {
        Self::start_with(None, ServeOptions::default()).await
    }

    /// A server on SQLite that is told more than where to listen.
    pub(crate) async fn start_told(options: ServeOptions) -> Self {
        Self::start_with(None, options).await
    }

    /// Its data folder.
    pub(crate) fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// A server on PostgreSQL.
    pub(crate) async fn start_on_postgres() -> Self {
        Self::start_with(Some(empty_postgres().await), ServeOptions::default()).await
    }

    async fn start_with(database: Option<TestDatabase>, options: ServeOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let config = Config::resolve(ServeOptions {
            data_dir: Some(folder.path().to_owned()),
            listen: Some(free),
            agent_listen: Some(free),
            bucket_listen: Some(free),
            database_url: database.as_ref().map(|database| database.url().to_owned()),
            ..options
        })
        .unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { Box::pin(serve::run(config, shutdown)).await.unwrap() }
        });
        let path = folder.path().join("bootstrap.json");
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
            database,
            folder,
        };
        let project = json!({"project": {"id": server.project}});
        server.token = server.token_for(project).await;
        server
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
        let address = match &self.database {
            Some(database) => database.url().to_owned(),
            None => {
                let file = self.folder.path().join("outfitter.db");
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
