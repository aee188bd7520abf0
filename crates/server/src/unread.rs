//! What callers go on sending when their answer is known already.
//!
//! **Guarantees.** A refusal can be read: the rest of a body that nobody wanted is taken in, within bounds, since some
//! clients read no answer before they have sent all. Who asked first (`Expect: 100-continue`) and was not told to go
//! on sends nothing. A connection on which something of a body is left is not used again, and its answer says so (RFC
//! 9112, section 9.6): clients that keep connections would send their next request into one that is about to close.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

/// What is taken in of a body that nobody wanted, in bytes.
const DRAIN_BYTES: u64 = 64 * 1024 * 1024;

/// How long that may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// A request's body, of which something may be left when its reader is gone.
pub(crate) struct Unread {
    body: Shared,
    waits: bool,
    version: Version,
}

impl Unread {
    /// Keeps hold of a request's body while it is answered.
    pub(crate) fn watch(request: Request<Incoming>) -> (Request<Body>, Self) {
        let waits = request.headers().contains_key(EXPECT);
        let version = request.version();
        let (parts, body) = request.into_parts();
        let body = Shared(Arc::new(Mutex::new(Watched {
            body,
            asked: false,
            ended: false,
        })));
        let unread = Self {
            body: body.clone(),
            waits,
            version,
        };
        (Request::from_parts(parts, Body::new(body)), unread)
    }

    /// Takes in what is left of the body, or lets the answer say that the connection ends.
    pub(crate) async fn settle(mut self, answer: &mut Response<Body>) {
        // What became a channel is no request's any more.
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        if !self.waits || self.body.get().asked {
            // Whoever sends more, or longer, reads a broken connection instead of the answer.
            drop(tokio::time::timeout(DRAIN_LIMIT, self.body.drain()).await);
        }
        if !self.body.is_end_stream() && self.version < Version::HTTP_2 {
            answer
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

struct Watched {
    body: Incoming,
    /// Whether anybody wanted to read it, which tells a caller that waits to go on.
    asked: bool,
    /// Whether its reader came to the end.
    ended: bool,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Watched>>);

impl Shared {
    fn get(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn drain(&mut self) {
        let mut read = 0;
        while read < DRAIN_BYTES && !self.is_end_stream() {
            match poll_fn(|context| Pin::new(&mut *self).poll_frame(context)).await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
                Some(Err(_)) | None => return,
            }
        }
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut watched = self.get();
        watched.asked = true;
        let polled = Pin::new(&mut watched.body).poll_frame(context);
        watched.ended |= matches!(polled, Poll::Ready(None));
        polled
    }

    fn is_end_stream(&self) -> bool {
        let watched = self.get();
        watched.ended || watched.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.get().body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;
    use crate::edge::Edge;
    use crate::listen::{Endpoint, Transport, serve};

    const REFUSED: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n";

    /// A listener that refuses bodies without a look at them, or takes them.
    async fn listening() -> (SocketAddr, AbortOnDropHandle<()>) {
        let router = Router::new()
            .route("/refused", post(async || StatusCode::FORBIDDEN))
            .route("/taken", post(async |body: Bytes| body.len().to_string()))
            .route("/", get(async || "here"));
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let endpoint = Endpoint::new(
            "test",
            socket,
            Transport::Plain,
            router,
            16,
            Edge::ordinary(),
        );
        let task = tokio::spawn(serve(endpoint, CancellationToken::new()));
        (address, AbortOnDropHandle::new(task))
    }

    async fn say(stream: &mut TcpStream, path: &str, headers: &str, body: &[u8]) {
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
    }

    /// The next head, with its date left out.
    async fn head(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        head.split_inclusive("\r\n")
            .filter(|line| !line.starts_with("date:") && *line != "\r\n")
            .collect()
    }

    #[tokio::test]
    async fn who_asked_whether_to_send_and_is_refused_is_told_that_the_connection_ends() {
        let (address, _server) = listening().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        say(
            &mut stream,
            "/refused",
            "expect: 100-continue\r\ncontent-length: 1\r\n",
            b"",
        )
        .await;
        let answer = head(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn who_asked_whether_to_send_and_is_told_to_keeps_his_connection() {
        let (address, _server) = listening().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            say(
                &mut stream,
                "/taken",
                "expect: 100-continue\r\ncontent-length: 5\r\n",
                b"",
            )
            .await;
            assert_eq!(head(&mut stream).await, "HTTP/1.1 100 Continue\r\n");
            stream.write_all(b"hello").await.unwrap();
            let answer = head(&mut stream).await;
            assert!(!answer.contains("connection"), "{answer}");
            assert_eq!(stream.read_u8().await.unwrap(), b'5');
        }
    }

    #[tokio::test]
    async fn a_refusal_is_read_by_who_sends_everything_first_and_his_connection_goes_on() {
        let (address, _server) = listening().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body = vec![7; 8 * 1024 * 1024];
        let length = format!("content-length: {}\r\n", body.len());
        say(&mut stream, "/refused", &length, &body).await;
        assert_eq!(head(&mut stream).await, REFUSED);
        // In pieces whose sum is not said, by way of whoever cannot know it.
        say(
            &mut stream,
            "/refused",
            "transfer-encoding: chunked\r\n",
            b"",
        )
        .await;
        for _ in 0..64 {
            stream.write_all(b"10000\r\n").await.unwrap();
            stream.write_all(&body[..0x10000]).await.unwrap();
            stream.write_all(b"\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        assert_eq!(head(&mut stream).await, REFUSED);
        say(&mut stream, "/taken", "content-length: 2\r\n", b"ok").await;
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_not_read_for_ever() {
        let (address, _server) = listening().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = format!("content-length: {}\r\n", 2 * DRAIN_BYTES);
        say(&mut stream, "/refused", &length, b"").await;
        let sender = async {
            let piece = vec![7; 1024 * 1024];
            let mut sent = 0;
            while stream.write_all(&piece).await.is_ok() {
                sent += piece.len() as u64;
            }
            sent
        };
        let sent = sender.await;
        assert!((DRAIN_BYTES..2 * DRAIN_BYTES).contains(&sent), "{sent}");
    }
}
