//! The accept loop of every listener: TLS where wanted, one task per connection, limits, an orderly end.
//!
//! **Guarantees.** A handshake that takes longer than ten seconds is cut, and so is a connection on which no request
//! is open for a minute, whatever it says meanwhile; a peer that takes nothing of what was sent is dropped by the
//! kernel. In a full house the silent give way to the new (`edge::connections`), and where everybody is busy the new
//! wait; an upgraded connection (a channel) keeps its place through [`Place`]. Whose address a connection and a
//! request come from is settled here, for everybody behind (`edge::proxies`), and what becomes of a body that nobody
//! read ([`crate::unread`]). An error of `accept` (no descriptors
//! left) pauses instead of spinning. On shutdown no connection is taken any more, open requests get ten seconds to
//! finish, upgraded ones end by the same token.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::edge::connections::{Admission, Connections, Seat};
use crate::edge::proxies::read_proxy_header;
use crate::edge::{Cut, CutReason, Edge};
use crate::unread::Unread;

/// Longest TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Longest wait for a request's headers. Slower peers are cut, which bounds what slow ones can hold.
const HEADER_LIMIT: Duration = Duration::from_secs(30);

/// Longest time without an open request, in which a connection may say anything or nothing.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// How long sent bytes may stay unacknowledged before the kernel gives the peer up. A reader that has merely paused
/// acknowledges; one that is gone, or has taken nothing for this long, does not.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(60);

/// Largest head of an HTTP/1 request that is buffered at all, in bytes. Smaller bounds with readable answers are
/// `http::limits`'.
const HEAD_BUFFER_BYTES: usize = 128 * 1024;

/// Largest list of headers of an HTTP/2 request, in bytes.
const HEADER_LIST_BYTES: u32 = 64 * 1024;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 100;

/// How long open requests may go on after the end was announced.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Pause after a failed `accept`: usually no descriptors are left, and trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a new connection that found everybody busy looks for one that fell silent.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The certificate the peer showed (DER), as a request extension. `None` when it showed none.
#[derive(Clone)]
pub struct PeerCertificate(pub Option<Arc<[u8]>>);

/// A connection's place among `max_connections`, as a request extension. What outlives the connection's requests
/// (a channel) holds on to it.
#[derive(Clone)]
pub struct Place(#[expect(dead_code, reason = "held, never read")] Arc<Seat>);

/// How a listener speaks.
#[derive(Clone)]
pub enum Transport {
    /// Plain HTTP/1.1 and HTTP/2.
    Plain,
    /// HTTPS; the configuration can be replaced while running.
    Tls(watch::Receiver<Arc<rustls::ServerConfig>>),
}

/// One listener.
pub struct Endpoint {
    /// For the log: `api`, `agents`, `bucket`.
    pub name: &'static str,
    /// The bound socket.
    pub socket: TcpListener,
    /// How it speaks.
    pub transport: Transport,
    /// What answers.
    pub router: Router,
    /// Connections at once; where all are busy, further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Connections of one address at once; `None`: as many as there are.
    pub max_of_one_address: Option<usize>,
    /// Whether a proxy before this listener reads requests, and so can say in a header who is behind it.
    pub reads_forwarded: bool,
    /// Whose word counts, and what is counted.
    pub edge: Arc<Edge>,
    /// Longest time without an open request.
    pub idle_limit: Duration,
}

impl Endpoint {
    /// A listener that has the ordinary patience.
    pub fn new(
        name: &'static str,
        socket: TcpListener,
        transport: Transport,
        router: Router,
        max_connections: usize,
        edge: Arc<Edge>,
    ) -> Self {
        Self {
            name,
            socket,
            transport,
            router,
            max_connections,
            max_of_one_address: edge.connections_per_address,
            reads_forwarded: true,
            edge,
            idle_limit: IDLE_LIMIT,
        }
    }
}

/// Serves until `shutdown`.
pub async fn serve(endpoint: Endpoint, shutdown: CancellationToken) {
    let Endpoint {
        name,
        socket,
        transport,
        router,
        max_connections,
        max_of_one_address,
        reads_forwarded,
        edge,
        idle_limit,
    } = endpoint;
    let house = Arc::new(House {
        name,
        connections: Connections::new(max_connections),
        max_of_one_address,
        reads_forwarded,
        edge,
        idle_limit,
    });
    let tasks = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = socket.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(listener = name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let seat = tokio::select! {
            () = shutdown.cancelled() => break,
            seat = house.seat(peer) => seat,
        };
        let Some(seat) = seat else { continue };
        let connection = Connection {
            peer,
            certificate: PeerCertificate(None),
            house: Arc::clone(&house),
            router: router.clone(),
            shutdown: shutdown.clone(),
        };
        tasks.spawn(connection.run(stream, seat, transport.clone()));
    }
    tasks.close();
    if tokio::time::timeout(DRAIN_LIMIT, tasks.wait())
        .await
        .is_err()
    {
        tracing::info!(listener = name, "connections were still open at the end");
    }
}

/// What the connections of a listener share.
struct House {
    name: &'static str,
    connections: Arc<Connections>,
    max_of_one_address: Option<usize>,
    reads_forwarded: bool,
    edge: Arc<Edge>,
    idle_limit: Duration,
}

impl House {
    /// A place for a connection of `peer`, once there is one; `None` where its address has too many.
    async fn seat(&self, peer: SocketAddr) -> Option<Seat> {
        // Whoever is behind a proxy of ours is not known yet; the proxy itself may hold every place.
        let most = self
            .max_of_one_address
            .filter(|_| !self.edge.proxies.is_trusted(peer.ip()));
        loop {
            match self.connections.admit(peer.ip(), most) {
                Admission::Seat(seat) => return Some(seat),
                Admission::TooMany => {
                    self.cut(peer, CutReason::TooMany);
                    return None;
                }
                Admission::Full => {
                    let left = self.connections.somebody_left();
                    // Too late is as good as in time: it looks again.
                    drop(tokio::time::timeout(FULL_PAUSE, left).await);
                }
            }
        }
    }

    fn cut(&self, peer: SocketAddr, why: CutReason) {
        let listener = self.name;
        tracing::debug!(listener, %peer, ?why, "connection cut");
        self.edge.cut.get_or_create(&Cut { listener, why }).inc();
    }
}

/// One accepted connection.
struct Connection {
    peer: SocketAddr,
    certificate: PeerCertificate,
    house: Arc<House>,
    router: Router,
    shutdown: CancellationToken,
}

impl Connection {
    async fn run(mut self, mut stream: TcpStream, mut seat: Seat, transport: Transport) {
        let house = Arc::clone(&self.house);
        if house.edge.proxies.must_introduce(self.peer.ip()) {
            match read_proxy_header(&mut stream).await {
                Ok(None) => {}
                Ok(Some(client)) => {
                    drop(seat);
                    self.peer = client;
                    match house
                        .connections
                        .admit(client.ip(), house.max_of_one_address)
                    {
                        Admission::Seat(its) => seat = its,
                        Admission::TooMany | Admission::Full => {
                            return house.cut(client, CutReason::TooMany);
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "no PROXY header");
                    return house.cut(self.peer, CutReason::NoProxyHeader);
                }
            }
        }
        let peer = self.peer;
        let seat = Arc::new(seat);
        tokio::select! {
            () = self.speak(stream, Arc::clone(&seat), transport) => {}
            () = seat.gives_way() => house.cut(peer, CutReason::GaveWay),
        }
        seat.over();
    }

    async fn speak(mut self, stream: TcpStream, seat: Arc<Seat>, transport: Transport) {
        let peer = self.peer;
        // Nagle's delay would cost every small answer up to 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        #[cfg(target_os = "linux")]
        if let Err(error) =
            socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED_LIMIT))
        {
            tracing::debug!(%peer, %error, "cannot set TCP_USER_TIMEOUT");
        }
        match transport {
            Transport::Plain => self.requests(stream, seat).await,
            Transport::Tls(config) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&config.borrow()));
                let accepted = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await;
                let stream = match accepted {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => {
                        tracing::debug!(%peer, %error, "TLS handshake failed");
                        return;
                    }
                    Err(_) => {
                        tracing::debug!(%peer, "TLS handshake took too long");
                        return;
                    }
                };
                self.certificate = PeerCertificate(
                    stream
                        .get_ref()
                        .1
                        .peer_certificates()
                        .and_then(|chain| chain.first())
                        .map(|leaf| Arc::from(leaf.as_ref())),
                );
                self.requests(stream, seat).await;
            }
        }
    }

    async fn requests<S>(self, stream: S, seat: Arc<Seat>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            peer,
            certificate,
            house,
            router,
            shutdown,
        } = self;
        let idle_limit = house.idle_limit;
        let (open, open_now) = watch::channel(0_usize);
        let service = service_fn(move |request: Request<Incoming>| {
            let guard = OpenRequest::new(&open, &seat);
            let (mut request, unread) = Unread::watch(request);
            let client = if house.reads_forwarded {
                house.edge.proxies.client_of(peer.ip(), request.headers())
            } else {
                peer.ip().to_canonical()
            };
            let client = SocketAddr::new(client, peer.port());
            request.extensions_mut().insert(ConnectInfo(client));
            request.extensions_mut().insert(certificate.clone());
            request.extensions_mut().insert(Place(Arc::clone(&seat)));
            let answer = router.clone().oneshot(request);
            async move {
                let mut answer = answer.await?;
                unread.settle(&mut answer).await;
                Ok::<_, std::convert::Infallible>(answer.map(|body| AnswerBody {
                    body,
                    _guard: guard,
                }))
            }
        });
        let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_LIMIT)
            .max_buf_size(HEAD_BUFFER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HEADER_LIST_BYTES)
            .max_concurrent_streams(STREAMS);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%peer, %error, "connection ended");
                }
                return;
            }
            () = idle(open_now, idle_limit) => {
                tracing::debug!(%peer, "no request for too long");
                connection.as_mut().graceful_shutdown();
            }
            () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        match tokio::time::timeout(DRAIN_LIMIT, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%peer, %error, "connection ended"),
            Err(_) => tracing::debug!(%peer, "connection cut"),
        }
    }
}

/// Returns when no request was open for `limit`.
async fn idle(mut open: watch::Receiver<usize>, limit: Duration) {
    loop {
        let none_open = *open.borrow_and_update() == 0;
        let changed = if none_open {
            match tokio::time::timeout(limit, open.changed()).await {
                Ok(changed) => changed,
                Err(_) => return,
            }
        } else {
            open.changed().await
        };
        if changed.is_err() {
            // Nothing counts any more: the connection ends by itself.
            return std::future::pending().await;
        }
    }
}

/// Counts a request from its head until the last byte of its answer.
struct OpenRequest {
    open: watch::Sender<usize>,
    seat: Arc<Seat>,
}

impl OpenRequest {
    fn new(open: &watch::Sender<usize>, seat: &Arc<Seat>) -> Self {
        open.send_modify(|count| {
            *count += 1;
            seat.busy();
        });
        Self {
            open: open.clone(),
            seat: Arc::clone(seat),
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.open.send_modify(|count| {
            *count -= 1;
            if *count == 0 {
                self.seat.silent();
            }
        });
    }
}

/// An answer's body that keeps its request open.
struct AnswerBody {
    body: Body,
    _guard: OpenRequest,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use proxy_header::{ProxiedAddress, ProxyHeader};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;

    use super::*;
    use crate::edge::rate::monotonic;
    use crate::edge::{EdgeLimits, Proxies};

    async fn listening(router: Router) -> (SocketAddr, CancellationToken) {
        let limit = Duration::from_millis(200);
        listening_with(router, 16, limit, Edge::ordinary()).await
    }

    async fn listening_with(
        router: Router,
        places: usize,
        idle_limit: Duration,
        edge: Arc<Edge>,
    ) -> (SocketAddr, CancellationToken) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let endpoint = Endpoint {
            idle_limit,
            ..Endpoint::new("test", socket, Transport::Plain, router, places, edge)
        };
        tokio::spawn(serve(endpoint, shutdown.clone()));
        (address, shutdown)
    }

    /// What comes until the server closes.
    async fn until_closed(stream: &mut TcpStream) -> String {
        let mut said = Vec::new();
        // A reset is an end as well.
        drop(stream.read_to_end(&mut said).await);
        String::from_utf8_lossy(&said).into_owned()
    }

    #[tokio::test]
    async fn who_asks_nothing_is_cut_and_who_waits_for_an_answer_is_not() {
        let release = Arc::new(Notify::new());
        let released = Arc::clone(&release);
        let router = Router::new().route(
            "/",
            get(move || async move {
                released.notified().await;
                "done"
            }),
        );
        let (address, shutdown) = listening(router).await;
        let mut waiting = TcpStream::connect(address).await.unwrap();
        waiting
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        // Silence, half a preface of HTTP/2, half a request, HTTP/2 without a request.
        for opening in [
            "",
            "PRI * HTTP/2.0\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx-",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        ] {
            let mut silent = TcpStream::connect(address).await.unwrap();
            silent.write_all(opening.as_bytes()).await.unwrap();
            until_closed(&mut silent).await;
        }
        release.notify_one();
        let answer = until_closed(&mut waiting).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("content-length: 4"), "{answer}");
        shutdown.cancel();
    }

    /// Answers the caller's address.
    fn who_am_i() -> Router {
        Router::new().route(
            "/",
            get(|ConnectInfo(client): ConnectInfo<SocketAddr>| async move {
                client.ip().to_string()
            }),
        )
    }

    /// What `address` is answered after these bytes, with a header of its own.
    async fn answered(address: SocketAddr, before: &[u8], header: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{header}connection: close\r\n\r\n");
        stream.write_all(before).await.unwrap();
        // The server may have hung up by now.
        drop(stream.write_all(request.as_bytes()).await);
        until_closed(&mut stream).await
    }

    fn edge_behind(proxy: &str, proxy_protocol: bool) -> Arc<Edge> {
        let proxies = Proxies {
            trusted: vec![proxy.parse().unwrap()],
            proxy_protocol,
            ..Proxies::default()
        };
        let limits = EdgeLimits {
            connections_per_address: Some(2),
            ..EdgeLimits::default()
        };
        Arc::new(Edge::new(proxies, &limits, &monotonic()))
    }

    fn introduction(client: &str) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        let client =
            ProxiedAddress::stream(client.parse().unwrap(), "10.0.0.1:443".parse().unwrap());
        let length = ProxyHeader::with_address(client)
            .encode_to_slice_v2(&mut bytes)
            .unwrap();
        bytes.truncate(length);
        bytes
    }

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn those_who_hold_places_in_silence_give_way_to_those_who_ask() {
        let (address, shutdown) = listening_with(who_am_i(), 8, LONG, Edge::ordinary()).await;
        // More than there are places, as slow callers have them: nothing said, half a head, a request done.
        let mut held = Vec::new();
        for number in 0..16 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let said: &[u8] = match number % 3 {
                0 => b"",
                1 => b"GET / HTTP/1.1\r\nhost: a\r\nx-",
                _ => b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            };
            // Those that had to give way by now are as good.
            drop(stream.write_all(said).await);
            held.push(stream);
        }
        let answer = answered(address, b"", "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let mut gone = 0;
        for stream in &mut held {
            let mut byte = [0; 512];
            while let Ok(Ok(read)) =
                tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte)).await
            {
                if read == 0 {
                    gone += 1;
                    break;
                }
            }
        }
        assert!(gone >= 8, "{gone} of 16 gave way");
        shutdown.cancel();
    }

    #[tokio::test]
    async fn an_address_has_its_share_of_busy_connections_and_no_more() {
        let release = Arc::new(Notify::new());
        let released = Arc::clone(&release);
        let router = Router::new().route(
            "/",
            get(move || async move {
                released.notified().await;
                "done"
            }),
        );
        let edge = edge_behind("192.0.2.0/24", false);
        let (address, shutdown) = listening_with(router, 16, LONG, edge).await;
        let mut busy = Vec::new();
        for _ in 0..2 {
            busy.push(tokio::spawn(
                async move { answered(address, b"", "").await },
            ));
        }
        // The third finds no place, once both are at it.
        loop {
            let mut third = TcpStream::connect(address).await.unwrap();
            drop(third.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await);
            let mut byte = [0; 1];
            let patience = Duration::from_millis(200);
            match tokio::time::timeout(patience, third.read(&mut byte)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) => panic!("answered"),
                Err(_) => release.notify_waiters(),
            }
            busy.push(tokio::spawn(
                async move { answered(address, b"", "").await },
            ));
        }
        shutdown.cancel();
        for task in busy {
            task.abort();
        }
    }

    #[tokio::test]
    async fn a_proxy_of_ours_says_who_is_behind_it_and_nobody_else_may() {
        let claim = "x-forwarded-for: 192.0.2.7\r\n";
        for (edge, before, answer) in [
            (edge_behind("127.0.0.0/8", false), Vec::new(), "192.0.2.7"),
            (edge_behind("10.0.0.0/8", false), Vec::new(), "127.0.0.1"),
            // Behind a PROXY header stands somebody who is no proxy: what he claims is not read.
            (
                edge_behind("127.0.0.0/8", true),
                introduction("203.0.113.5:1"),
                "203.0.113.5",
            ),
        ] {
            let (address, shutdown) = listening_with(who_am_i(), 16, LONG, edge).await;
            let heard = answered(address, &before, claim).await;
            assert!(heard.ends_with(answer), "{answer}: {heard}");
            shutdown.cancel();
        }
    }

    #[tokio::test]
    async fn a_proxy_header_of_a_stranger_is_no_request_and_a_proxy_must_send_one() {
        // Nobody is to be a proxy, or not by this protocol: the bytes are no HTTP.
        for edge in [
            edge_behind("10.0.0.0/8", true),
            edge_behind("127.0.0.0/8", false),
        ] {
            let (address, shutdown) = listening_with(who_am_i(), 16, LONG, edge).await;
            let heard = answered(address, &introduction("192.0.2.7:1"), "").await;
            assert!(
                !heard.contains(" 200 ") && !heard.contains("192.0.2.7"),
                "{heard}"
            );
            let plain = answered(address, b"", "").await;
            assert!(plain.ends_with("127.0.0.1"), "{plain}");
            shutdown.cancel();
        }
        let edge = edge_behind("127.0.0.0/8", true);
        let (address, shutdown) = listening_with(who_am_i(), 16, LONG, edge).await;
        assert_eq!(answered(address, b"", "").await, "");
        assert_eq!(
            answered(address, b"PROXY TCP4 192.0.2.7 10.0.0.1 1 443\r\n", "").await,
            ""
        );
        shutdown.cancel();
    }
}
