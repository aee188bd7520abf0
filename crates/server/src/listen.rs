//! The accept loop of every listener: TLS where wanted, one task per connection, limits, an orderly end.
//!
//! **Guarantees.** A handshake that takes longer than ten seconds is cut, and so is a connection on which no request
//! is open for a minute, whatever it says meanwhile; a peer that takes nothing of what was sent is dropped by the
//! kernel. A full house leaves new connections waiting instead of starving old ones; an upgraded connection (a
//! channel) keeps its place through [`Place`]. An error of `accept` (no descriptors left) pauses instead of
//! spinning. On shutdown no connection is taken any more, open requests get ten seconds to finish, upgraded ones
//! end by the same token.

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

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

/// The certificate the peer showed (DER), as a request extension. `None` when it showed none.
#[derive(Clone)]
pub struct PeerCertificate(pub Option<Arc<[u8]>>);

/// A connection's place among `max_connections`, as a request extension. What outlives the connection's requests
/// (a channel) holds on to it.
#[derive(Clone)]
pub struct Place(#[expect(dead_code, reason = "held, never read")] Arc<OwnedSemaphorePermit>);

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
    /// Connections at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
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
    ) -> Self {
        Self {
            name,
            socket,
            transport,
            router,
            max_connections,
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
        idle_limit,
    } = endpoint;
    let room = Arc::new(Semaphore::new(max_connections));
    let tasks = TaskTracker::new();
    loop {
        let place = tokio::select! {
            () = shutdown.cancelled() => break,
            place = Arc::clone(&room).acquire_owned() => {
                place.expect("the semaphore is never closed")
            }
        };
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
        let transport = transport.clone();
        let router = router.clone();
        let shutdown = shutdown.clone();
        let connection = Connection {
            peer,
            certificate: PeerCertificate(None),
            place: Place(Arc::new(place)),
            router,
            idle_limit,
            shutdown,
        };
        tasks.spawn(connection.run(stream, transport));
    }
    tasks.close();
    if tokio::time::timeout(DRAIN_LIMIT, tasks.wait())
        .await
        .is_err()
    {
        tracing::info!(listener = name, "connections were still open at the end");
    }
}

/// One accepted connection.
struct Connection {
    peer: SocketAddr,
    certificate: PeerCertificate,
    place: Place,
    router: Router,
    idle_limit: Duration,
    shutdown: CancellationToken,
}

impl Connection {
    async fn run(mut self, stream: TcpStream, transport: Transport) {
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
            Transport::Plain => self.requests(stream).await,
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
                self.requests(stream).await;
            }
        }
    }

    async fn requests<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            peer,
            certificate,
            place,
            router,
            idle_limit,
            shutdown,
        } = self;
        let (open, open_now) = watch::channel(0_usize);
        let service = service_fn(move |request: Request<Incoming>| {
            let guard = OpenRequest::new(&open);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(certificate.clone());
            request.extensions_mut().insert(place.clone());
            let answer = router.clone().oneshot(request);
            async move {
                let answer = answer.await?;
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
struct OpenRequest(watch::Sender<usize>);

impl OpenRequest {
    fn new(open: &watch::Sender<usize>) -> Self {
        open.send_modify(|count| *count += 1);
        Self(open.clone())
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;

    use super::*;

    async fn listening(router: Router) -> (SocketAddr, CancellationToken) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let endpoint = Endpoint {
            idle_limit: Duration::from_millis(200),
            ..Endpoint::new("test", socket, Transport::Plain, router, 16)
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
}
