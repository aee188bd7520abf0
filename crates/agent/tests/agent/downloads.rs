use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use outfitter_agent_protocol::{AgentMessage, FailureCode, PackageRef, Phase};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::process::{TestDesktop, again, quiet, wait_until};
use crate::server::{Fault, TestServer};

/// Any bytes in which no piece is like another.
fn noise(bytes: usize) -> Vec<u8> {
    (0_u64..)
        .flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(bytes)
        .collect()
}

fn rates(server: &TestServer) -> Vec<u64> {
    server
        .messages(|_| true)
        .into_iter()
        .filter_map(|message| match message {
            AgentMessage::Progress {
                phase: Phase::Downloading,
                bytes_per_second,
                ..
            } => bytes_per_second,
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_place_in_the_queue_is_waited_for_and_is_no_failure() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;
    let task = quiet(server.add_package("a", "x"), "true ${FILE_PATH}");
    // More often than a download may fail in a row.
    server.add_faults((0..10).map(|_| Fault::Queued(0)));
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!((evidence.failure, evidence.exit_code), (None, Some(0)));
    assert_eq!(server.ranges().len(), 11);
    // A place is kept by coming back: nobody is asked for another source meanwhile.
    let asked = server.messages(|message| matches!(message, AgentMessage::SourceRequest { .. }));
    assert_eq!(asked.len(), 1);
    assert!(rates(&server).contains(&0));
}

#[tokio::test]
async fn a_rate_is_kept_and_asked_for_again_when_it_lapses() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;
    server.set_rate(1_500_000, 1);
    let task = quiet(
        server.add_package("big", noise(4_000_000)),
        "true ${FILE_PATH}",
    );
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.exit_code),
        (None, Some(0)),
        "{evidence:?}"
    );
    let (ranges, rates) = (server.ranges(), rates(&server));
    assert!(
        ranges.len() > 1 && ranges[1..].iter().all(|range| range.starts_with("bytes=")),
        "{ranges:?}"
    );
    assert!(rates.iter().any(|rate| *rate > 0), "{rates:?}");
}

#[tokio::test]
async fn a_package_that_does_not_fit_is_refused_before_its_first_byte() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;
    let mut package = server.add_package("a", "x");
    package.size_bytes = Some(1 << 60);
    let task = quiet(package, "true ${FILE_PATH}");
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        evidence.failure,
        Some(FailureCode::DiskFull),
        "{evidence:?}"
    );
    assert!(server.ranges().is_empty());
}

/// Serves what `answer` makes of each request.
async fn serve(answer: impl Fn(HeaderMap) -> Response + Clone + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route(
        "/file",
        get(move |headers: HeaderMap| {
            let answer = answer.clone();
            async move { answer(headers) }
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/file")
}

fn unknown() -> PackageRef {
    PackageRef {
        file_name: "app".to_owned(),
        sha256: None,
        size_bytes: None,
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_ends_the_attempt_with_room_for_what_is_to_be_said() {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::enrolled(&server).await;
    desktop.start_on_small_disk("3m");
    // Without a length nothing can be known before.
    let url = serve(|_| {
        let pieces = noise(8_000_000);
        let pieces: Vec<_> = pieces.chunks(65536).map(Bytes::copy_from_slice).collect();
        Body::from_stream(futures_util::stream::iter(
            pieces.into_iter().map(Ok::<_, std::io::Error>),
        ))
        .into_response()
    })
    .await;
    let task = quiet(unknown(), "true ${FILE_PATH}");
    server.set_link(task.attempt, &url);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        evidence.failure,
        Some(FailureCode::DiskFull),
        "{evidence:?}"
    );
    // The next one is not held up.
    let next = quiet(server.add_package("a", "x"), "true ${FILE_PATH}");
    server.give(&next).await;
    assert!(server.evidence(next.attempt).await.failure.is_some());
}

#[tokio::test]
async fn a_package_that_changes_in_mid_download_is_never_pieced_together() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;

    // Under a digest: two halves of different files are found out, and so is the other file as a whole.
    let package = server.add_package("a.sh", noise(2_000_000));
    server.add_faults([Fault::CutAfter(1_000_000), Fault::Queued(2)]);
    let task = quiet(package.clone(), "true ${FILE_PATH}");
    server.give(&task).await;
    wait_until("the second request", || server.ranges().len() > 1).await;
    server.forge_package(&package, vec![b'#'; 2_000_000]);
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        evidence.failure,
        Some(FailureCode::DigestMismatch),
        "{evidence:?}"
    );

    // A link without one: the tag tells, and the new content is fetched from its beginning.
    let requests = Arc::new(AtomicUsize::new(0));
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let (count, seen) = (Arc::clone(&requests), Arc::clone(&ranges));
    let url = serve(move |headers| {
        let range = headers
            .get(header::IF_RANGE)
            .map(|value| value.to_str().unwrap().to_owned());
        seen.lock().unwrap().push(range);
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let tag = [(header::ETAG, if first { "\"one\"" } else { "\"two\"" })];
        if first {
            let pieces = [
                Ok(Bytes::from(vec![b'1'; 400_000])),
                Err(std::io::Error::other("cut")),
            ];
            let body = Body::from_stream(futures_util::stream::iter(pieces));
            let length = [(header::CONTENT_LENGTH, "800000")];
            return (StatusCode::OK, tag, length, body).into_response();
        }
        (StatusCode::OK, tag, vec![b'2'; 800_000]).into_response()
    })
    .await;
    let task = quiet(unknown(), "true ${FILE_PATH}");
    server.set_link(task.attempt, &url);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(
        (evidence.failure, evidence.package_size_bytes),
        (None, Some(800_000))
    );
    let asked = ranges.lock().unwrap().clone();
    assert!(
        asked.len() == 2 && asked[1].as_deref().is_none_or(|tag| tag == "\"one\""),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_package_in_the_cache_is_verified_and_not_fetched_again() {
    let server = TestServer::start().await;
    let mut desktop = TestDesktop::enrolled(&server).await;
    let set = desktop
        .command(&["configure", "--cache-bytes", "1000000"])
        .await;
    assert!(set.status.success(), "{set:?}");
    desktop.start();
    let package = server.add_package("a.sh", "echo x >>count");
    let task = quiet(package.clone(), "sh ${FILE_PATH}");
    for (time, requests) in [(1, 1), (2, 1)] {
        let task = again(&task);
        server.give(&task).await;
        let evidence = server.evidence(task.attempt).await;
        assert_eq!(evidence.exit_code, Some(0), "{evidence:?}");
        assert_eq!(evidence.package_sha256, package.sha256);
        assert_eq!(server.ranges().len(), requests, "time {time}");
    }
    // An installer, or anybody, wrote to it: found out, and fetched anew.
    let cached = desktop
        .state()
        .join("cache")
        .join(package.sha256.as_deref().unwrap());
    std::fs::write(&cached, "echo evil >>count").unwrap();
    let third = again(&task);
    server.give(&third).await;
    assert_eq!(server.evidence(third.attempt).await.exit_code, Some(0));
    assert_eq!(server.ranges().len(), 2);
    assert_eq!(desktop.read("count"), "x\nx\nx\n");
    assert_eq!(std::fs::read_to_string(&cached).unwrap(), "echo x >>count");
}

/// A proxy that connects those who know its password, and counts them.
struct Proxy {
    url: String,
    connects: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://ann:s%40cret@{}", listener.local_addr().unwrap());
        let connects = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connects);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(stream, Arc::clone(&counter)));
            }
        });
        Self { url, connects }
    }

    fn connects(&self) -> usize {
        self.connects.load(Ordering::SeqCst)
    }
}

async fn pass(mut agent: TcpStream, connects: Arc<AtomicUsize>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(agent.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    // `ann:s@cret` in Base64.
    if !head.contains("Basic YW5uOnNAY3JldA==") {
        let refusal =
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n";
        agent.write_all(refusal).await.ok()?;
        return None;
    }
    let target = head.strip_prefix("CONNECT ")?.split(' ').next()?;
    let mut server = TcpStream::connect(target).await.ok()?;
    connects.fetch_add(1, Ordering::SeqCst);
    agent.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    tokio::io::copy_bidirectional(&mut agent, &mut server)
        .await
        .ok()?;
    Some(())
}

#[tokio::test]
async fn enrollment_channel_and_packages_go_through_a_proxy_that_wants_a_password() {
    let server = TestServer::start().await;
    let proxy = Proxy::start().await;
    let mut desktop = TestDesktop::blank();
    let token = server.token();
    let enroll = ["--token", token.as_str()];

    // Process lists show arguments.
    let shown = desktop
        .enroll(&server, &[&enroll[..], &["--proxy", &proxy.url]].concat())
        .await;
    let words = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(
        !shown.status.success() && words.contains("OUTFITTER_PROXY") && !words.contains("cret"),
        "{words}"
    );

    // The wrong password is named as what is wrong.
    desktop.set_variable("OUTFITTER_PROXY", proxy.url.replace("cret", "cre"));
    let refused = desktop.enroll(&server, &enroll).await;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(5), "{words}");
    assert!(
        words.contains("proxy authorization required") && !words.contains("s@cre"),
        "{words}"
    );
    assert_eq!(proxy.connects(), 0);

    desktop.set_variable("OUTFITTER_PROXY", proxy.url.clone());
    let enrolled = desktop.enroll(&server, &enroll).await;
    assert!(enrolled.status.success(), "{enrolled:?}");
    assert_eq!(proxy.connects(), 1);

    // From here on the settings alone say it.
    desktop.set_variable("OUTFITTER_PROXY", String::new());
    desktop.start();
    let task = quiet(server.add_package("a", "x"), "true ${FILE_PATH}");
    server.give(&task).await;
    assert_eq!(server.evidence(task.attempt).await.exit_code, Some(0));
    assert_eq!(proxy.connects(), 3);
    let doctor = desktop.command(&["doctor"]).await;
    let words = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        doctor.status.success() && words.contains("as ann for the server"),
        "{words}"
    );
    for text in [words, desktop.log()] {
        assert!(
            !text.contains("s@cret") && !text.contains("s%40cret"),
            "{text}"
        );
    }
}

/// Leads elsewhere.
async fn leads_to(address: String) -> String {
    serve(move |_| (StatusCode::FOUND, [(header::LOCATION, address.clone())]).into_response()).await
}

#[tokio::test]
async fn a_link_leads_only_to_where_the_operator_lets_desktops_fetch_from() {
    let server = TestServer::start().await;
    let desktop = TestDesktop::started(&server).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let last = serve(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        "x".into_response()
    })
    .await;
    let between = leads_to(format!("{last}?key=hunter2")).await;
    let first = leads_to(between.clone()).await;
    let origin = |address: &str| address.trim_end_matches("/file").to_owned();

    // Each hop is looked at, not only the last.
    for (allowed, goes) in [
        (vec![origin(&first), origin(&between), origin(&last)], true),
        (vec!["http://*".to_owned()], true),
        (vec![origin(&first), origin(&between)], false),
        (vec![origin(&first), origin(&last)], false),
        (vec!["https://*".to_owned()], false),
    ] {
        let before = asked.load(Ordering::SeqCst);
        let patterns: Vec<&str> = allowed.iter().map(String::as_str).collect();
        server.redirect_within(&patterns);
        let task = quiet(unknown(), "true ${FILE_PATH}");
        server.set_link(task.attempt, &first);
        server.give(&task).await;
        let evidence = server.evidence(task.attempt).await;
        let expected = if goes {
            None
        } else {
            Some(FailureCode::LinkNotAllowed)
        };
        assert_eq!(evidence.failure, expected, "{allowed:?}: {evidence:?}");
        assert_eq!(asked.load(Ordering::SeqCst) - before, usize::from(goes));
        if !goes {
            let detail = evidence.failure_detail.unwrap();
            assert!(detail.contains("it leads to http://127.0.0.1"), "{detail}");
        }
    }
    assert!(!desktop.log().contains("hunter2"));
}

#[tokio::test]
async fn a_link_that_the_server_refuses_ends_with_the_reason_it_names() {
    let server = TestServer::start().await;
    let _desktop = TestDesktop::started(&server).await;
    let task = quiet(unknown(), "true ${FILE_PATH}");
    server.refuse_source(task.attempt, FailureCode::LinkNotAllowed);
    server.give(&task).await;
    let evidence = server.evidence(task.attempt).await;
    assert_eq!(evidence.failure, Some(FailureCode::LinkNotAllowed));
    let asked = server.messages(|message| matches!(message, AgentMessage::SourceRequest { .. }));
    assert_eq!(asked.len(), 1);
}
