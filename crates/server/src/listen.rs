//! The accept loop of every listener: TLS where wanted, one task per connection, limits, an orderly end.
//!
//! **Guarantees.** A handshake that takes longer than ten seconds is cut; a full house refuses new connections
//! instead of starving old ones; an error of `accept` (no descriptors left) pauses instead of spinning; on
//! shutdown no connection is taken any more, open requests get ten seconds to finish, upgraded ones (channels)
//! end by the same token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Longest TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Longest wait for a request's headers. Slower peers are cut, which bounds what slow ones can hold.
const HEADER_LIMIT: Duration = Duration::from_secs(30);

/// How long open requests may go on after the end was announced.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Pause after a failed `accept`: usually no descriptors are left, and trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The certificate the peer showed (DER), as a request extension. `None` when it showed none.
#[derive(Clone)]
pub struct PeerCertificate(pub Option<Arc<[u8]>>);

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
}

/// Serves until `shutdown`.
pub async fn serve(endpoint: Endpoint, shutdown: CancellationToken) {
    let Endpoint {
        name,
        socket,
        transport,
        router,
        max_connections,
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
        tasks.spawn(async move {
            connection(stream, peer, transport, router, shutdown).await;
            drop(place);
        });
    }
    tasks.close();
    if tokio::time::timeout(DRAIN_LIMIT, tasks.wait())
        .await
        .is_err()
    {
        tracing::info!(listener = name, "connections were still open at the end");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    transport: Transport,
    router: Router,
    shutdown: CancellationToken,
) {
    // Nagle's delay would cost every small answer up to 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    match transport {
        Transport::Plain => {
            requests(stream, peer, PeerCertificate(None), router, shutdown).await;
        }
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
            let certificate = stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|leaf| Arc::from(leaf.as_ref()));
            requests(stream, peer, PeerCertificate(certificate), router, shutdown).await;
        }
    }
}

async fn requests<S>(
    stream: S,
    peer: SocketAddr,
    certificate: PeerCertificate,
    router: Router,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(certificate.clone());
        router.clone().oneshot(request)
    });
    let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%peer, %error, "connection ended");
            }
            return;
        }
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    if let Err(error) = connection.await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
