//! What no honest client sends, and what an honest one sends in an unusual way: an answer from the contract, never a
//! fault of ours.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use outfitter_agent::channel::WebSocketTransport;
use outfitter_agent::channel::driver::{Channel as _, Opened, Transport as _};
use outfitter_agent::channel::websocket::WebSocketChannel;
use outfitter_agent::credentials::Credentials;
use outfitter_agent::enroll::{Enrollment, enroll};
use outfitter_agent::proxy::Proxies;
use outfitter_agent::server_client::ServerClient;
use outfitter_agent_protocol::{
    AgentMessage, CHANNEL_PATH, EnrollmentToken, Hello, MAX_FRAME_BYTES, PROTOCOL, ServerMessage,
};
use outfitter_domain::{Clock as _, SystemClock};
use outfitter_signing::{Payload, RequestToSign, Signer};
use reqwest::Method;
use serde_json::json;

use crate::server::TestServer;

const APPS: &str = "/v1/{p}/app-center/apps";
const JOBS: &str = "/v1/{p}/app-center/jobs";

fn text<'a>(server: &'a TestServer, member: &str) -> &'a str {
    server.bootstrap[member].as_str().unwrap()
}

#[tokio::test]
async fn a_request_over_http2_is_signed_with_its_authority_as_host() {
    let server = TestServer::start().await;
    let endpoint = text(&server, "endpoint");
    let host = endpoint.strip_prefix("http://").unwrap();
    let target = format!("/v1/{}/app-center/apps?limit=3", server.project);
    let signer = Signer::new(text(&server, "access_key"), text(&server, "secret_key"));
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    for (signed_host, status) in [(host, 200), ("other:1", 401)] {
        let to_sign = RequestToSign {
            method: "GET",
            target: &target,
            host: signed_host,
            headers: &[],
            payload: Payload::Bytes(b""),
        };
        let headers = signer.sign(&to_sign, SystemClock.now().get()).unwrap();
        let authorization = &headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        assert!(authorization.unwrap().1.contains("host"), "{headers:?}");
        let mut request = client.get(format!("{endpoint}{target}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert_eq!(answer.status(), status, "{signed_host}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_character_u0000_is_refused_wherever_it_stands() {
    let server = TestServer::start().await;
    let user = json!({"user_name": "a\0b", "user_email": "a@example.com"});
    server
        .post("/v2/{p}/users", user)
        .await
        .refused(400, "WKS.0001", "user_name: must not hold");
    let grant = json!({"app_ids": ["a"], "authorization_type": "ASSIGN_USER",
        "users": [{"account": "li", "account_type": "SIMPLE"}, {"account": "w\0", "account_type": "SIMPLE"}]});
    server
        .post(
            "/v1/{p}/app-center/apps/actions/batch-assign-authorization",
            grant,
        )
        .await
        .refused(400, "WKS.00211102", "users[1].account: must not hold");
    let switches = json!({"a\0b": true});
    server
        .patch("/v1/{p}/app-center/profiles", switches)
        .await
        .refused(400, "WKS.00211102", "must not hold");
    for path in [
        format!("{APPS}?name=a%00"),
        format!("{JOBS}?target=%00"),
        format!("{APPS}/a%00b/authorizations"),
        "/api/v1/{p}/desktops?name=%00".to_owned(),
    ] {
        server
            .get(&path)
            .await
            .refused(400, "WKS.00211102", "must not hold");
    }
    for path in [
        "/v2/{p}/desktops?computer_name=x,%00",
        "/v2/{p}/users?user_name=%00",
    ] {
        server
            .get(path)
            .await
            .refused(400, "WKS.0001", "must not hold");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_too_long_or_unreadable_is_refused_in_the_contracts_words() {
    let server = TestServer::start().await;
    let raw = |body: &'static [u8]| {
        let request = server.request(Method::POST, APPS);
        TestServer::send(
            request
                .header("content-type", "application/json")
                .body(body),
        )
    };
    let deep = Vec::leak([b"[".repeat(200_000), b"]".repeat(200_000)].concat());
    let members = Vec::leak(
        [
            b"{\"a\":".repeat(100_000),
            b"1".to_vec(),
            b"}".repeat(100_000),
        ]
        .concat(),
    );
    for body in [
        deep as &[u8],
        members,
        b"{",
        b"{\"name\": \"\\ud800\"}",
        b"{\"name\": 1e999}",
        b"{\"name\": \"\xff\"}",
        b"\xef\xbb\xbf{}",
        b"[]",
        b"null",
        b"{} {}",
    ] {
        raw(body)
            .await
            .refused(400, "WKS.00211102", "The parameter is invalid.");
    }
    // Announced alone: who sends it all may see the connection closed before the answer.
    let api = text(&server, "endpoint").strip_prefix("http://").unwrap();
    let mut announced = TcpStream::connect(api).unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: 1048577\r\n\r\n",
        APPS.replace("{p}", &server.project)
    );
    announced.write_all(head.as_bytes()).unwrap();
    let answered = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        announced.read_to_string(&mut said).unwrap();
        said
    });
    let said = answered.await.unwrap();
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
    assert!(said.contains("Request entity too large."), "{said}");
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 65536]));
    let endless = server
        .request(Method::POST, APPS)
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(chunks));
    // The server answers and closes while bytes still come: who sends may see either.
    if let Ok(answer) = endless.send().await {
        assert_eq!(answer.status(), 413);
    }

    let long = "x".repeat(40_000);
    server.get(&format!("{APPS}?name={long}")).await.refused(
        414,
        "APIGW.0201",
        "Request URI too large.",
    );
    let header = server
        .request(Method::GET, APPS)
        .header("x-long", &long)
        .send()
        .await
        .unwrap();
    assert_eq!(header.status(), 431);
    assert!(header.headers().contains_key("x-request-id"));
    server
        .get(&format!("{APPS}/{}/authorizations", "x".repeat(20_000)))
        .await
        .refused(400, "WKS.00211102", "app_id");
    for text in ["%ff", "%c3%28", "%ed%a0%80"] {
        server
            .get(&format!("{APPS}/{text}/authorizations"))
            .await
            .refused(400, "APIGW.0201", "API request error.");
        server
            .get(&format!("{APPS}?name={text}"))
            .await
            .refused(400, "WKS.00211102", "UTF-8");
    }
    for number in ["99999999999999999999", "-1", "1.5", "0x10", "", "%201"] {
        server
            .get(&format!("{JOBS}?offset={number}"))
            .await
            .refused(400, "WKS.00211102", "offset");
    }
    // The largest offset there is, and a parameter given twice: the last counts.
    let largest = format!("{JOBS}?limit=100&limit=1&offset={}", i64::MAX);
    assert_eq!(server.get(&largest).await.ok(200)["count"], 0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_http_gets_an_answer_or_an_end_and_the_server_goes_on() {
    let server = TestServer::start().await;
    let api = text(&server, "endpoint")
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let agents = text(&server, "agent_endpoint").to_owned();
    let openings: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nhost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    let tried = tokio::task::spawn_blocking(move || {
        for address in [api, agents] {
            for opening in openings {
                let mut stream = TcpStream::connect(&address).unwrap();
                stream.write_all(opening).unwrap();
                // The server may have hung up by now.
                drop(stream.shutdown(std::net::Shutdown::Write));
                let mut said = Vec::new();
                // A reset is an end as well.
                drop(stream.read_to_end(&mut said));
                assert!(
                    !said.starts_with(b"HTTP/1.1 5"),
                    "{}",
                    opening.escape_ascii()
                );
            }
        }
    });
    tried.await.unwrap();
    server.get(APPS).await.ok(200);
    server.stop().await;
}

pub(crate) async fn enrolled(server: &TestServer) -> Credentials {
    enrolled_as(server, "desk").await
}

pub(crate) async fn enrolled_as(server: &TestServer, name: &str) -> Credentials {
    let enrollment = Enrollment {
        server: text(server, "agent_endpoint").parse().unwrap(),
        token: EnrollmentToken::parse(text(server, "enrollment_token")).unwrap(),
        name: name.to_owned(),
        user: None,
        sandbox_root: None,
        machine_id: "m".to_owned(),
        source_ip: None,
        proxies: Proxies::default(),
    };
    let enrolled = enroll(&enrollment).await.unwrap();
    Credentials {
        server: enrollment.server,
        key_pem: enrolled.key_pem,
        chain_pem: enrolled.chain_pem,
        roots_pem: enrolled.roots_pem,
        last_server_millis: enrolled.server_time_millis,
        source_ip: None,
        proxies: enrollment.proxies,
    }
}

pub(crate) async fn channel(credentials: &Credentials) -> WebSocketChannel {
    let credentials = credentials.clone();
    let mut transport =
        WebSocketTransport::new(move || -> Result<ServerClient, String> { credentials.client() });
    let Opened { channel, .. } = transport.connect().await.unwrap();
    channel
}

pub(crate) fn hello() -> AgentMessage {
    AgentMessage::Hello(Hello {
        protocol: PROTOCOL,
        // U+0000 is not kept, and does no harm.
        agent_version: "1\0".to_owned(),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        boot_id: "b".to_owned(),
        sandbox_root: None,
        attempts: Vec::new(),
        identity: None,
    })
}

#[tokio::test]
async fn who_loses_the_race_of_two_connects_is_told_to_come_back_at_once() {
    let server = TestServer::start().await;
    let credentials = enrolled(&server).await;
    // Both were upgraded before either raised the epoch.
    let mut first = channel(&credentials).await;
    let mut second = channel(&credentials).await;
    first.send(hello()).await.unwrap();
    let welcome = first.receive().await.unwrap();
    assert!(matches!(welcome, ServerMessage::Welcome(_)), "{welcome:?}");
    second.send(hello()).await.unwrap();
    let ServerMessage::Refused {
        code,
        retry_after_secs,
        ..
    } = second.receive().await.unwrap()
    else {
        panic!("the second channel was let in");
    };
    assert_eq!((code.as_str(), retry_after_secs), ("superseded", Some(1)));

    // A channel that a later one takes over from is not called back: the two would push each other out for ever.
    let mut third = channel(&credentials).await;
    third.send(hello()).await.unwrap();
    let ServerMessage::Refused {
        code,
        retry_after_secs,
        ..
    } = first.receive().await.unwrap()
    else {
        panic!("the first channel stayed");
    };
    assert_eq!((code.as_str(), retry_after_secs), ("superseded", None));
    server.stop().await;
}

#[tokio::test]
async fn a_channel_that_begins_with_something_else_than_hello_is_ended() {
    let server = TestServer::start().await;
    let credentials = enrolled(&server).await;
    let mut early = channel(&credentials).await;
    early
        .send(AgentMessage::Heartbeat {
            attempts: Vec::new(),
        })
        .await
        .unwrap();
    let ServerMessage::Refused { code, reason, .. } = early.receive().await.unwrap() else {
        panic!("it was taken for a channel");
    };
    assert_eq!(code, "protocol_error");
    assert!(reason.contains("hello"), "{reason}");
    // The desktop is none the worse for it.
    let mut proper = channel(&credentials).await;
    proper.send(hello()).await.unwrap();
    let welcome = proper.receive().await.unwrap();
    assert!(matches!(welcome, ServerMessage::Welcome(_)), "{welcome:?}");
    server.stop().await;
}

#[tokio::test]
async fn no_page_of_a_browser_opens_a_channel_and_no_compression_is_agreed_on() {
    let server = TestServer::start().await;
    let credentials = enrolled(&server).await;
    let client = credentials.client().unwrap();
    let upgrade = || {
        client
            .request(Method::GET, CHANNEL_PATH)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-extensions", "permessage-deflate")
    };
    // With the desktop's own certificate, as a browser on that desktop might be talked into sending it.
    for origin in ["https://evil.example", "null", text(&server, "endpoint")] {
        let answer = upgrade().header("origin", origin).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{origin}");
        let refusal: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(refusal["code"], "browser", "{origin}");
    }
    let answer = upgrade().send().await.unwrap();
    assert_eq!(answer.status(), 101);
    // A frame costs what it is long: nothing unpacks.
    assert!(!answer.headers().contains_key("sec-websocket-extensions"));
    server.stop().await;
}

#[tokio::test]
async fn a_frame_larger_than_allowed_ends_its_channel_and_nothing_else() {
    let server = TestServer::start().await;
    let credentials = enrolled(&server).await;
    let mut large = channel(&credentials).await;
    large.send(hello()).await.unwrap();
    let welcome = large.receive().await.unwrap();
    assert!(matches!(welcome, ServerMessage::Welcome(_)), "{welcome:?}");
    let csr_pem = "x".repeat(MAX_FRAME_BYTES + 1);
    // The server may hang up while it is being sent.
    drop(large.send(AgentMessage::Renew { csr_pem }).await);
    loop {
        match large.receive().await {
            Ok(ServerMessage::Heartbeat { .. }) => {}
            Ok(ServerMessage::Refused { code, .. }) => assert_eq!(code, "protocol_error"),
            Ok(other) => panic!("it was dealt with: {other:?}"),
            Err(_) => break,
        }
    }
    let mut next = channel(&credentials).await;
    next.send(hello()).await.unwrap();
    let welcome = next.receive().await.unwrap();
    assert!(matches!(welcome, ServerMessage::Welcome(_)), "{welcome:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_compressed_body_is_no_json_and_is_not_unpacked() {
    let server = TestServer::start().await;
    let group = json!({"group_name": "Staff", "platform_type": "LOCAL"});
    let packed = GZIPPED_GROUP.to_vec();
    for encoding in ["gzip", "x-gzip, gzip", "deflate", "br"] {
        let request = server
            .request(Method::POST, "/v2/{p}/groups")
            .header("content-type", "application/json")
            .header("content-encoding", encoding)
            .body(packed.clone());
        let answer = TestServer::send(request).await;
        answer.refused(400, "WKS.0001", "is no JSON");
    }
    server.post("/v2/{p}/groups", group).await.ok(201);
    server.stop().await;
}

/// `{"group_name": "Staff", "platform_type": "LOCAL"}` in gzip.
const GZIPPED_GROUP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x4a, 0x2f, 0xca, 0x2f,
    0x2d, 0x88, 0xcf, 0x4b, 0xcc, 0x4d, 0x55, 0xb2, 0x52, 0x50, 0x0a, 0x2e, 0x49, 0x4c, 0x4b, 0x53,
    0xd2, 0x51, 0x50, 0x2a, 0xc8, 0x49, 0x2c, 0x49, 0xcb, 0x2f, 0xca, 0x8d, 0x2f, 0xa9, 0x2c, 0x00,
    0xcb, 0xf8, 0xf8, 0x3b, 0x3b, 0xfa, 0x28, 0xd5, 0x02, 0x00, 0xf7, 0x8f, 0x6a, 0x62, 0x31, 0x00,
    0x00, 0x00,
];
