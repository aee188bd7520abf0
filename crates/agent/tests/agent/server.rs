//! A small server that speaks the agent's protocol and does what a test tells it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use outfitter_agent_protocol::{
    APPROVAL_PATH, AgentMessage, ApprovalRequest, AttemptStage, COPY, COPY_PATH, CopyRequest,
    DESK_PATH, DeskAnswer, DeskRequest, EnrollPending, EnrollRefusal, EnrollRequest,
    EnrollResponse, EnrollmentToken, Envelope, Evidence, FailureCode, HISTORY_BEHIND, Hello,
    PROTOCOL, PackageRef, RawSignature, ServerMessage, Source, SourceTrust, Task, Welcome,
};
use outfitter_ids::{AgentId, AttemptId, DesktopId, EnrollmentRequestId, EnrollmentTokenId};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
    PublicKeyData as _,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

/// How the package route behaves for its next answers; used up one by one, then it is healthy.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection breaks after so many bytes.
    CutAfter(usize),
    /// Nothing comes after so many bytes, and nothing ends.
    StallAfter(usize),
    /// This status.
    Status(u16),
    /// Every place is taken: come back in so many seconds.
    Queued(u32),
}

/// Whether an administrator has to let agents in, and what was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    NotNeeded,
    Undecided,
    Approved,
    Refused,
}

/// What the server does by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) go: bool,
    pub(crate) record: bool,
}

#[derive(Default)]
struct Seen {
    messages: Vec<AgentMessage>,
    /// `Range` of each package request, empty where there was none.
    ranges: Vec<String>,
    channels: usize,
    /// What people at the desktop asked for.
    desk: Vec<DeskRequest>,
}

struct Inner {
    habits: Habits,
    seen: Seen,
    faults: Vec<Fault>,
    refusal: Option<EnrollRefusal>,
    /// The next hello is told that its history is behind.
    behind: bool,
    /// Each hello is told that it is a copy's, which may enroll anew.
    sees_copy: bool,
    /// What copies that ask to are answered.
    copy_answer: CopyAnswer,
    /// What they asked.
    copies: Vec<CopyRequest>,
    packages: HashMap<String, Bytes>,
    tasks: BTreeMap<AttemptId, Task>,
    /// Rate that sources name, and for how many seconds.
    rate: Option<(u64, u32)>,
    redirects_within: Option<Vec<String>>,
    refused_sources: BTreeMap<AttemptId, FailureCode>,
    /// Sources that are links to elsewhere.
    links: HashMap<AttemptId, String>,
    channel: Option<mpsc::Sender<ServerMessage>>,
    certificate_days: (i64, i64),
    /// What people at the desktop are answered, one after the other.
    desk_answers: VecDeque<Result<DeskAnswer, EnrollRefusal>>,
    approval: Approval,
    /// How often agents asked what was decided.
    asked: usize,
    /// Of each agent that enrolled: SHA-256 of the certificate, and the bare public key.
    keys: Vec<([u8; 32], Vec<u8>)>,
}

/// What a copy is answered that wants to enroll anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyAnswer {
    /// It is in.
    In,
    /// It is in, and does not hear of it.
    Lost,
    /// It is refused, with this code.
    Refused(&'static str),
    /// It waits for an administrator.
    Waits,
}

struct Authority {
    root: Issuer<'static, KeyPair>,
    root_pem: String,
    pin: String,
}

struct Shared {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
    authority: Authority,
    secret: String,
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Clone, Copy)]
struct HasCertificate(bool);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let pin = outfitter_agent::tls::spki_sha256(certificate.der()).unwrap();
        Self {
            root_pem: certificate.pem(),
            pin: hex::encode(pin),
            root: Issuer::new(params, key),
        }
    }

    fn issue(&self, csr_pem: &str, (from_days, to_days): (i64, i64)) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        let now = OffsetDateTime::now_utc();
        request.params.not_before = now + time::Duration::days(from_days);
        request.params.not_after = now + time::Duration::days(to_days);
        let leaf = request.signed_by(&self.root).unwrap();
        format!("{}{}", leaf.pem(), self.root_pem)
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authority = Authority::new();
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let leaf = CertificateParams::new(vec!["outfitter-agents".to_owned()])
            .unwrap()
            .signed_by(&key, &authority.root)
            .unwrap();
        let root = CertificateDer::from_pem_slice(authority.root_pem.as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config =
            rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
                .with_client_cert_verifier(verifier)
                .with_single_cert(
                    vec![leaf.der().clone(), root],
                    PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
                )
                .unwrap();
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                habits: Habits {
                    go: true,
                    record: true,
                },
                seen: Seen::default(),
                faults: Vec::new(),
                refusal: None,
                behind: false,
                sees_copy: false,
                copy_answer: CopyAnswer::In,
                copies: Vec::new(),
                packages: HashMap::new(),
                tasks: BTreeMap::new(),
                rate: None,
                redirects_within: None,
                refused_sources: BTreeMap::new(),
                links: HashMap::new(),
                channel: None,
                certificate_days: (-1, 89),
                desk_answers: VecDeque::new(),
                approval: Approval::NotNeeded,
                asked: 0,
                keys: Vec::new(),
            }),
            changed: watch::channel(0).0,
            authority,
            secret: Uuid::new_v4().to_string(),
        });
        let router = Router::new()
            .route("/enroll", post(enroll))
            .route(APPROVAL_PATH, post(approval))
            .route(COPY_PATH, post(copy))
            .route("/channel", get(channel))
            .route(DESK_PATH, post(desk))
            .route("/packages/{sha256}", get(package))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let serving = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let certified = stream.get_ref().1.peer_certificates().is_some();
                    let service = router.layer(Extension(HasCertificate(certified)));
                    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(
                            TokioIo::new(stream),
                            TowerToHyperService::new(service),
                        )
                        .await;
                });
            }
        });
        Self {
            address,
            shared,
            serving,
        }
    }

    pub(crate) fn token(&self) -> String {
        EnrollmentToken {
            id: EnrollmentTokenId::new(Uuid::from_u128(1)),
            secret: self.shared.secret.clone(),
            root_pins: vec![self.shared.authority.pin.clone()],
        }
        .reveal()
    }

    /// The secret in the token.
    pub(crate) fn secret(&self) -> &str {
        &self.shared.secret
    }

    pub(crate) fn root_pem(&self) -> &str {
        &self.shared.authority.root_pem
    }

    pub(crate) fn set_habits(&self, habits: Habits) {
        self.inner(|inner| inner.habits = habits);
    }

    /// Certificates issued from now on are valid from and to so many days from now.
    pub(crate) fn set_certificate_days(&self, from: i64, to: i64) {
        self.inner(|inner| inner.certificate_days = (from, to));
    }

    pub(crate) fn set_approval(&self, approval: Approval) {
        self.inner(|inner| inner.approval = approval);
    }

    /// Waits until agents asked so often what was decided about them.
    pub(crate) async fn asked(&self, times: usize) {
        self.wait_for("a question about the approval", |inner| {
            inner.asked >= times
        })
        .await;
    }

    pub(crate) fn refuse_channels(&self, code: &str, reason: &str) {
        self.inner(|inner| {
            inner.refusal = Some(EnrollRefusal {
                code: code.to_owned(),
                reason: reason.to_owned(),
            });
        });
    }

    /// Tells the next hello that its history is behind.
    pub(crate) fn know_a_later_state(&self) {
        self.inner(|inner| inner.behind = true);
    }

    /// Takes whoever connects for a copy, until one is let in.
    pub(crate) fn see_a_copy(&self, answer: CopyAnswer) {
        self.inner(|inner| {
            inner.sees_copy = true;
            inner.copy_answer = answer;
        });
    }

    /// Takes whoever connects for what it says it is.
    pub(crate) fn see_no_copy(&self) {
        self.inner(|inner| inner.sees_copy = false);
    }

    /// Waits until copies asked so often; what they asked.
    pub(crate) async fn copies(&self, count: usize) -> Vec<CopyRequest> {
        self.wait_for("a copy that asks", |inner| inner.copies.len() >= count)
            .await;
        self.inner(|inner| inner.copies.clone())
    }

    pub(crate) fn add_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner(|inner| inner.faults.extend(faults));
    }

    /// Offers bytes; gives what a task names them by.
    pub(crate) fn add_package(&self, file_name: &str, bytes: impl Into<Bytes>) -> PackageRef {
        let bytes = bytes.into();
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let size_bytes = Some(bytes.len() as u64);
        self.inner(|inner| inner.packages.insert(sha256.clone(), bytes));
        PackageRef {
            file_name: file_name.to_owned(),
            sha256: Some(sha256),
            size_bytes,
        }
    }

    /// Serves other bytes under a package's name.
    pub(crate) fn forge_package(&self, package: &PackageRef, bytes: impl Into<Bytes>) {
        let sha256 = package.sha256.clone().unwrap();
        self.inner(|inner| inner.packages.insert(sha256, bytes.into()));
    }

    /// Sends an attempt to a link instead of the server's own store.
    pub(crate) fn set_link(&self, attempt: AttemptId, url: &str) {
        self.inner(|inner| inner.links.insert(attempt, url.to_owned()));
    }

    /// Refuses an attempt every source.
    pub(crate) fn refuse_source(&self, attempt: AttemptId, failure: FailureCode) {
        self.inner(|inner| inner.refused_sources.insert(attempt, failure));
    }

    /// Sources may lead only to such addresses from now on.
    pub(crate) fn redirect_within(&self, patterns: &[&str]) {
        let patterns = patterns.iter().map(|text| (*text).to_owned()).collect();
        self.inner(|inner| inner.redirects_within = Some(patterns));
    }

    /// Sources name this rate from now on, and for how many seconds it holds.
    pub(crate) fn set_rate(&self, bytes_per_second: u64, holds_secs: u32) {
        self.inner(|inner| inner.rate = Some((bytes_per_second, holds_secs)));
    }

    /// Everything the agent said so far that fits.
    pub(crate) fn messages(&self, fits: impl Fn(&AgentMessage) -> bool) -> Vec<AgentMessage> {
        self.inner(|inner| {
            inner
                .seen
                .messages
                .iter()
                .filter(|message| fits(message))
                .cloned()
                .collect()
        })
    }

    /// Hands a task to the connected agent.
    pub(crate) async fn give(&self, task: &Task) {
        self.wait_for("a channel", |inner| inner.channel.is_some())
            .await;
        self.inner(|inner| inner.tasks.insert(task.attempt, task.clone()));
        self.send(ServerMessage::Task(Box::new(task.clone()))).await;
    }

    pub(crate) async fn send(&self, message: ServerMessage) {
        let channel = self.inner(|inner| inner.channel.clone()).unwrap();
        channel.send(message).await.unwrap();
    }

    /// Waits until the agent said something that fits.
    pub(crate) async fn wait_for_message(&self, what: &str, fits: impl Fn(&AgentMessage) -> bool) {
        self.wait_for(what, |inner| inner.seen.messages.iter().any(&fits))
            .await;
    }

    /// Waits for the evidence of an attempt.
    pub(crate) async fn evidence(&self, attempt: AttemptId) -> Evidence {
        self.wait_for("a result", |inner| !results(inner, attempt).is_empty())
            .await;
        self.inner(|inner| results(inner, attempt).pop()).unwrap()
    }

    /// The receipt of an attempt whose result has arrived.
    pub(crate) fn receipt(&self, attempt: AttemptId) -> Envelope {
        self.inner(|inner| {
            inner
                .seen
                .messages
                .iter()
                .find_map(|message| match message {
                    AgentMessage::Result(receipt)
                        if receipt.statement().unwrap().evidence.attempt == attempt =>
                    {
                        Some((**receipt).clone())
                    }
                    _ => None,
                })
        })
        .unwrap()
    }

    /// Whether the key of an enrolled agent made that signature over these bytes.
    pub(crate) fn has_signed(&self, signature: &RawSignature, bytes: &[u8]) -> bool {
        let key = self.inner(|inner| {
            let of_it = |(name, _): &&([u8; 32], Vec<u8>)| *name == signature.certificate_sha256;
            inner.keys.iter().find(of_it).unwrap().1.clone()
        });
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        let (_, of_scheme) = algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == rustls::SignatureScheme::ECDSA_NISTP256_SHA256)
            .unwrap();
        of_scheme[0]
            .verify_signature(&key, bytes, &signature.bytes)
            .is_ok()
    }

    /// Every result that arrived for an attempt.
    pub(crate) fn results(&self, attempt: AttemptId) -> Vec<Evidence> {
        self.inner(|inner| results(inner, attempt))
    }

    /// Waits for so many channels since the start; gives the last one's hello.
    pub(crate) async fn hello(&self, channels: usize) -> Hello {
        self.wait_for("a hello", |inner| inner.seen.channels >= channels)
            .await;
        self.inner(|inner| {
            inner
                .seen
                .messages
                .iter()
                .rev()
                .find_map(|message| match message {
                    AgentMessage::Hello(hello) => Some(hello.clone()),
                    _ => None,
                })
        })
        .unwrap()
    }

    /// What people at the desktop are answered from now on.
    pub(crate) fn set_desk_answers(
        &self,
        answers: impl IntoIterator<Item = Result<DeskAnswer, EnrollRefusal>>,
    ) {
        self.inner(|inner| inner.desk_answers = answers.into_iter().collect());
    }

    /// What people at the desktop asked for so far.
    pub(crate) fn desk_requests(&self) -> Vec<DeskRequest> {
        self.inner(|inner| inner.seen.desk.clone())
    }

    pub(crate) fn channels(&self) -> usize {
        self.inner(|inner| inner.seen.channels)
    }

    pub(crate) fn ranges(&self) -> Vec<String> {
        self.inner(|inner| inner.seen.ranges.clone())
    }

    fn inner<T>(&self, with: impl FnOnce(&mut Inner) -> T) -> T {
        with(&mut self.shared.inner.lock().unwrap())
    }

    async fn wait_for(&self, what: &str, holds: impl Fn(&Inner) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        let wait = async {
            loop {
                changed.borrow_and_update();
                if holds(&self.shared.inner.lock().unwrap()) {
                    return;
                }
                changed.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .is_err()
        {
            let messages = self.inner(|inner| format!("{:#?}", inner.seen.messages));
            panic!("no {what} in time; heard {messages}");
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn results(inner: &Inner, attempt: AttemptId) -> Vec<Evidence> {
    inner
        .seen
        .messages
        .iter()
        .filter_map(|message| match message {
            AgentMessage::Result(receipt) => Some(receipt.statement().unwrap().evidence),
            _ => None,
        })
        .filter(|evidence| evidence.attempt == attempt)
        .collect()
}

async fn enroll(State(shared): State<Arc<Shared>>, Json(request): Json<EnrollRequest>) -> Response {
    if request.token_secret != shared.secret || request.name == "taken" {
        let refusal = EnrollRefusal {
            code: "name_taken".to_owned(),
            reason: "a desktop of this name has an agent".to_owned(),
        };
        return (StatusCode::FORBIDDEN, Json(refusal)).into_response();
    }
    if shared.inner.lock().unwrap().approval == Approval::NotNeeded {
        return let_in(&shared, &request.csr_pem);
    }
    assert!(request.can_wait);
    waits()
}

async fn copy(
    State(shared): State<Arc<Shared>>,
    Extension(HasCertificate(certified)): Extension<HasCertificate>,
    Json(request): Json<CopyRequest>,
) -> Response {
    if !certified {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let answer = {
        let mut inner = shared.inner.lock().unwrap();
        inner.copies.push(request.clone());
        inner.sees_copy = inner.copy_answer != CopyAnswer::In;
        inner.copy_answer
    };
    shared.changed.send_modify(|count| *count += 1);
    match answer {
        CopyAnswer::In => let_in(&shared, &request.csr_pem),
        CopyAnswer::Lost => StatusCode::BAD_GATEWAY.into_response(),
        CopyAnswer::Refused(code) => {
            let refusal = EnrollRefusal {
                code: code.to_owned(),
                reason: "not as things are".to_owned(),
            };
            (StatusCode::FORBIDDEN, Json(refusal)).into_response()
        }
        CopyAnswer::Waits => {
            assert!(request.can_wait);
            waits()
        }
    }
}

fn waits() -> Response {
    let pending = EnrollPending {
        request: EnrollmentRequestId::new(Uuid::from_u128(7)),
        expires_at_millis: i64::MAX,
    };
    let head = [(header::RETRY_AFTER, "1")];
    (StatusCode::ACCEPTED, head, Json(pending)).into_response()
}

async fn approval(
    State(shared): State<Arc<Shared>>,
    Json(request): Json<ApprovalRequest>,
) -> Response {
    let decided = {
        let mut inner = shared.inner.lock().unwrap();
        inner.asked += 1;
        inner.approval
    };
    shared.changed.send_modify(|count| *count += 1);
    match decided {
        Approval::NotNeeded | Approval::Undecided => waits(),
        Approval::Approved => let_in(&shared, &request.csr_pem),
        Approval::Refused => {
            let refusal = EnrollRefusal {
                code: "approval_refused".to_owned(),
                reason: "an administrator refused this desktop".to_owned(),
            };
            (StatusCode::FORBIDDEN, Json(refusal)).into_response()
        }
    }
}

fn let_in(shared: &Shared, csr_pem: &str) -> Response {
    let days = shared.inner.lock().unwrap().certificate_days;
    let chain_pem = shared.authority.issue(csr_pem, days);
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes()).unwrap();
    let key = CertificateSigningRequestParams::from_pem(csr_pem)
        .unwrap()
        .public_key;
    let name = (Sha256::digest(&leaf).into(), key.der_bytes().to_vec());
    shared.inner.lock().unwrap().keys.push(name);
    Json(EnrollResponse {
        agent: AgentId::new(Uuid::new_v4()),
        desktop: DesktopId::new(Uuid::new_v4()),
        chain_pem,
        roots_pem: shared.authority.root_pem.clone(),
        server_time_millis: now_millis(),
        name: None,
        update_keys: Vec::new(),
    })
    .into_response()
}

fn now_millis() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap()
}

async fn desk(
    State(shared): State<Arc<Shared>>,
    Extension(HasCertificate(certified)): Extension<HasCertificate>,
    Json(request): Json<DeskRequest>,
) -> Response {
    if !certified {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut inner = shared.inner.lock().unwrap();
    inner.seen.desk.push(request);
    match inner.desk_answers.pop_front() {
        Some(Ok(answer)) => Json(answer).into_response(),
        Some(Err(refusal)) => (StatusCode::FORBIDDEN, Json(refusal)).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn channel(
    State(shared): State<Arc<Shared>>,
    Extension(HasCertificate(certified)): Extension<HasCertificate>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let refusal = shared.inner.lock().unwrap().refusal.clone();
    if let Some(refusal) = refusal {
        return (StatusCode::FORBIDDEN, Json(refusal)).into_response();
    }
    if !certified {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    upgrade.on_upgrade(move |socket| converse(shared, socket))
}

async fn converse(shared: Arc<Shared>, mut socket: WebSocket) {
    let (sender, mut outgoing) = mpsc::channel::<ServerMessage>(16);
    shared.inner.lock().unwrap().channel = Some(sender);
    loop {
        let answers = tokio::select! {
            message = outgoing.recv() => message.into_iter().collect(),
            frame = socket.recv() => {
                let Some(Ok(frame)) = frame else { break };
                let Message::Text(text) = frame else { continue };
                let message: AgentMessage = serde_json::from_str(&text).unwrap();
                let answers = react(&shared, &message);
                let mut inner = shared.inner.lock().unwrap();
                if matches!(message, AgentMessage::Hello(_)) {
                    inner.seen.channels += 1;
                }
                inner.seen.messages.push(message);
                drop(inner);
                shared.changed.send_modify(|count| *count += 1);
                answers
            }
        };
        for answer in answers {
            let text = serde_json::to_string(&answer).unwrap();
            if socket.send(Message::text(text)).await.is_err() {
                return;
            }
        }
    }
}

/// Serves bytes over plain HTTP to those who send the header that sources name; gives the address.
pub(crate) async fn plain_server(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = async move |headers: HeaderMap| match headers.get("x-test") {
        Some(_) => bytes.into_response(),
        None => StatusCode::FORBIDDEN.into_response(),
    };
    let router = Router::new().route("/files/app.sh", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/files/app.sh")
}

fn react(shared: &Shared, message: &AgentMessage) -> Vec<ServerMessage> {
    let mut inner = shared.inner.lock().unwrap();
    if matches!(message, AgentMessage::Hello(_)) && std::mem::take(&mut inner.behind) {
        return vec![ServerMessage::Refused {
            code: HISTORY_BEHIND.to_owned(),
            reason: "a snapshot was restored".to_owned(),
            retry_after_secs: None,
            enroll_anew: false,
        }];
    }
    if matches!(message, AgentMessage::Hello(_)) && inner.sees_copy {
        return vec![ServerMessage::Refused {
            code: COPY.to_owned(),
            reason: "another machine has this key".to_owned(),
            retry_after_secs: Some(1),
            enroll_anew: true,
        }];
    }
    let go = |attempt: &AttemptId| ServerMessage::Go { attempt: *attempt };
    match message {
        AgentMessage::Hello(hello) => {
            let welcome = ServerMessage::Welcome(Welcome {
                protocol: PROTOCOL,
                desktop: DesktopId::new(Uuid::nil()),
                epoch: 1,
                server_time_millis: now_millis(),
                heartbeat_secs: 5,
                inventory: None,
            });
            let waiting = hello
                .attempts
                .iter()
                .filter(|report| inner.habits.go && report.stage == AttemptStage::Accepted)
                .map(|report| go(&report.attempt));
            std::iter::once(welcome).chain(waiting).collect()
        }
        AgentMessage::Accepted { attempt } if inner.habits.go => vec![go(attempt)],
        AgentMessage::SourceRequest { attempt } => {
            if let Some(failure) = inner.refused_sources.get(attempt) {
                return vec![ServerMessage::NoSource {
                    attempt: *attempt,
                    reason: "not from there".to_owned(),
                    retry: false,
                    failure: Some(*failure),
                }];
            }
            let (url, trust) = match inner.links.get(attempt) {
                Some(link) => (link.clone(), SourceTrust::System),
                None => {
                    let sha256 = inner.tasks[attempt].package.sha256.clone().unwrap();
                    (format!("/packages/{sha256}"), SourceTrust::Server)
                }
            };
            vec![ServerMessage::Source(Source {
                attempt: *attempt,
                url,
                headers: BTreeMap::from([("X-Test".to_owned(), "yes".to_owned())]),
                expires_at_millis: None,
                trust,
                bytes_per_second: inner.rate.map(|(rate, _)| rate),
                rate_holds_secs: inner.rate.map(|(_, secs)| secs),
                ca_pem: None,
                redirects_within: inner.redirects_within.clone(),
            })]
        }
        AgentMessage::Result(receipt) if inner.habits.record => {
            vec![ServerMessage::Recorded {
                attempt: receipt.statement().unwrap().evidence.attempt,
            }]
        }
        AgentMessage::Heartbeat { .. } => vec![ServerMessage::Heartbeat {
            server_time_millis: now_millis(),
        }],
        AgentMessage::Renew { csr_pem } => vec![ServerMessage::Certificate {
            chain_pem: shared.authority.issue(csr_pem, inner.certificate_days),
            roots_pem: shared.authority.root_pem.clone(),
        }],
        AgentMessage::Accepted { .. }
        | AgentMessage::Result(_)
        | AgentMessage::Declined { .. }
        | AgentMessage::Detected { .. }
        | AgentMessage::Log { .. }
        | AgentMessage::Inventory(_)
        | AgentMessage::Progress { .. } => Vec::new(),
        AgentMessage::Update(report) => vec![ServerMessage::UpdateNoted {
            version: report.version.clone(),
            round: report.round,
            stage: report.stage,
        }],
    }
}

async fn package(
    State(shared): State<Arc<Shared>>,
    Extension(HasCertificate(certified)): Extension<HasCertificate>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !certified {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let range = headers
        .get(header::RANGE)
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let (bytes, fault) = {
        let mut inner = shared.inner.lock().unwrap();
        inner.seen.ranges.push(range.clone());
        let fault = (!inner.faults.is_empty()).then(|| inner.faults.remove(0));
        (inner.packages.get(&sha256).cloned(), fault)
    };
    shared.changed.send_modify(|count| *count += 1);
    let Some(bytes) = bytes else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let start: usize = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'))
        .map_or(0, |start| start.parse().unwrap());
    let body = bytes.slice(start..);
    let mut head = HeaderMap::new();
    let text = |text: String| HeaderValue::from_str(&text).unwrap();
    head.insert(header::ETAG, text(format!("\"{sha256}\"")));
    head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    head.insert(header::CONTENT_LENGTH, text(body.len().to_string()));
    let mut status = StatusCode::OK;
    if start > 0 {
        status = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
        head.insert(header::CONTENT_RANGE, text(range));
    }
    let body = match fault {
        None => Body::from(body),
        Some(Fault::Queued(secs)) => {
            let refusal = EnrollRefusal {
                code: outfitter_agent_protocol::DOWNLOAD_QUEUED.to_owned(),
                reason: "every place is taken".to_owned(),
            };
            let wait = [(header::RETRY_AFTER, secs.to_string())];
            return (StatusCode::SERVICE_UNAVAILABLE, wait, Json(refusal)).into_response();
        }
        Some(Fault::Status(code)) => return StatusCode::from_u16(code).unwrap().into_response(),
        Some(Fault::CutAfter(count)) => piecewise(body.slice(..count), Some("cut")),
        Some(Fault::StallAfter(count)) => piecewise(body.slice(..count), None),
    };
    (status, head, body).into_response()
}

/// Bytes in small pieces, then an error or nothing more.
fn piecewise(bytes: Bytes, error: Option<&'static str>) -> Body {
    let pieces: Vec<Bytes> = bytes.chunks(8 * 1024).map(Bytes::copy_from_slice).collect();
    Body::from_stream(futures_util::stream::unfold(
        (pieces.into_iter(), false),
        move |(mut pieces, ended)| async move {
            if ended {
                return None;
            }
            match (pieces.next(), error) {
                (Some(piece), _) => {
                    // One piece in a frame of its own, so that a cut loses none before it.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    Some((Ok(piece), (pieces, false)))
                }
                (None, Some(error)) => Some((Err(std::io::Error::other(error)), (pieces, true))),
                (None, None) => std::future::pending().await,
            }
        },
    ))
}
