//! The server's parts for tests: a fresh SQLite database, a clock that is turned by hand, a first start.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use outfitter_artifacts::PackageStore;
use outfitter_bucket::{Keys as BucketKeys, Objects, Retention};
use outfitter_domain::{Clock, Millis};
use outfitter_ids::SystemIds;
use outfitter_signing::{Payload, RequestToSign, Signer};
use outfitter_store::{Store, StoreOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::agents::authority::CurrentAuthority;
use crate::agents::pace::Downloads;
use crate::agents::pki::Authority;
use crate::agents::presence::Presence;
use crate::agents::registry::Registry;
use crate::app::bootstrap::{self, Bootstrap, Endpoints};
use crate::audit::Audit;
use crate::auth::Auth;
use crate::background::Background;
use crate::edge::Edge;
use crate::http::answers::AnswerCounters;
use crate::secrets::{KeyKeeper, Sealer, ServerKeys, SystemRandomness};
use crate::services::Services;

/// The instant of the contract's signature vectors: 2026-01-10T08:30:15Z.
pub(crate) const START: Millis = Millis::new(1_768_033_815_000);

/// A clock that stands until it is turned.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    /// Stands at [`START`].
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START.get())))
    }

    pub(crate) fn advance(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        Millis::new(self.0.load(Ordering::SeqCst))
    }
}

/// A server without listeners.
pub(crate) struct TestServer {
    pub(crate) services: Arc<Services>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) folder: TempDir,
    /// Made once: it compiles the schema of every operation.
    router: Router,
}

impl TestServer {
    /// A server after its first start.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = TestClock::new();
        let services = services(folder.path(), Arc::clone(&clock)).await;
        bootstrap::run(&services, folder.path()).await.unwrap();
        Self::of(services, clock, folder)
    }

    /// The server whose `bootstrap.json` lies in `folder`.
    pub(crate) fn of(services: Arc<Services>, clock: Arc<TestClock>, folder: TempDir) -> Self {
        let text = std::fs::read(folder.path().join("bootstrap.json")).unwrap();
        Self {
            router: crate::http::router(&services),
            services,
            clock,
            bootstrap: serde_json::from_slice(&text).unwrap(),
            folder,
        }
    }
}

/// The parts of a server with its data in `folder`, before its first start.
pub(crate) async fn services(folder: &Path, clock: Arc<TestClock>) -> Arc<Services> {
    let store = Store::open(&StoreOptions::Sqlite {
        path: folder.join("outfitter.db"),
    })
    .await
    .unwrap();
    let randomness = Arc::new(SystemRandomness);
    let key = ServerKeys::load_or_make(&store, &folder.join("server.key"), randomness.as_ref())
        .await
        .unwrap();
    let sealer = Sealer::new(&key, randomness.clone());
    let audit = Audit::open(&store, clock.as_ref(), &sealer, randomness.as_ref())
        .await
        .unwrap();
    let auth_sealer = sealer.clone();
    let auth = Auth::open(&store, clock.as_ref(), sealer, randomness)
        .await
        .unwrap();
    let packages = PackageStore::open_local(folder.join("packages"))
        .await
        .unwrap();
    Arc::new(Services {
        objects: Arc::new(Objects::new(
            store.clone(),
            packages.clone(),
            clock.clone(),
            Retention::STANDARD,
        )),
        bucket_keys: Arc::new(BucketKeys::new(vec![7; 32].into())),
        store,
        packages,
        authority: CurrentAuthority::new(Authority::generate(clock.now()).unwrap()),
        clock,
        ids: Arc::new(SystemIds),
        registry: Registry::default(),
        presence: Presence::default(),
        downloads: Downloads::default(),
        // Nothing here is handed to channels: the writers are not run.
        background: Background::new().0,
        updates: crate::app::agent_releases::AgentUpdates::new(&vec![9; 32].into()).unwrap(),
        agent_binaries: Arc::new(outfitter_push::AgentBinaries::new(folder.to_owned())),
        link_allow: outfitter_agent_protocol::LinkAllowList::everything(),
        endpoints: Endpoints {
            endpoint: "http://127.0.0.1:8080".to_owned(),
            iam_endpoint: "http://127.0.0.1:8080/v3".to_owned(),
            bucket_endpoint: "http://127.0.0.1:8081".to_owned(),
            agent_endpoint: "127.0.0.1:7443".to_owned(),
            console_url: "http://127.0.0.1:8080/console/".to_owned(),
        },
        region: "local-1".to_owned(),
        inventories: Default::default(),
        heartbeat_secs: 60,
        shutdown: CancellationToken::new(),
        audit,
        auth,
        edge: Edge::ordinary(),
        key_keeper: KeyKeeper::new(
            auth_sealer,
            folder.join("server.key"),
            uuid::Uuid::nil(),
            "test".to_owned(),
        ),
        oidc: None,
        answers: AnswerCounters::default(),
    })
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `null` for an empty body.
    pub(crate) body: Value,
}

/// Who calls.
pub(crate) enum As<'a> {
    /// Nobody.
    Nobody,
    /// The owner of an access key and its secret.
    Key(&'a str, &'a str),
    /// The bearer of a token.
    Token(&'a str),
    /// The owner of any key, made by the test.
    Signer(Signer),
    /// The same, with a date (milliseconds since 1970) that is not now.
    SignedAt(Signer, i64),
}

impl TestServer {
    /// The first administrator, by access key.
    pub(crate) fn administrator(&self) -> As<'_> {
        As::Key(
            &self.bootstrap.access_key,
            self.bootstrap.secret_key.expose(),
        )
    }

    /// A call through the whole router.
    pub(crate) async fn call(
        &self,
        caller: As<'_>,
        method: &str,
        target: &str,
        body: Option<Value>,
    ) -> Answer {
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", "127.0.0.1:8080")
            .header("content-type", "application/json");
        match &caller {
            As::Nobody => {}
            As::Token(token) => request = request.header("x-auth-token", *token),
            As::Key(..) | As::Signer(_) | As::SignedAt(..) => {
                let signer = match &caller {
                    As::Key(access, secret) => Signer::new(*access, *secret),
                    As::Signer(signer) | As::SignedAt(signer, _) => signer.clone(),
                    As::Nobody | As::Token(_) => unreachable!("these do not sign"),
                };
                let to_sign = RequestToSign {
                    method,
                    target,
                    host: "127.0.0.1:8080",
                    headers: &[("content-type", b"application/json")],
                    payload: Payload::Bytes(&body),
                };
                let now = match &caller {
                    As::SignedAt(_, at) => *at,
                    _ => self.clock.now().get(),
                };
                for (name, value) in signer.sign(&to_sign, now).unwrap() {
                    request = request.header(name, value);
                }
            }
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::from(body)).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let endless = parts
            .headers
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let bytes = if endless {
            bytes::Bytes::new()
        } else {
            body.collect().await.unwrap().to_bytes()
        };
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: if bytes.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&bytes)
                    .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into())
            },
        }
    }
}
