//! Attacks that belong to no single part, and the list of all of them (`docs/security/threat-model.md`).

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::server::TestServer;

/// Longest wait for the server to end a connection.
const LIMIT: Duration = Duration::from_secs(20);

/// Every `.rs`, `.py` and `.ts` file below a folder, as one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.extension().and_then(|it| it.to_str());
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with("node_modules") {
                sources(&path, text);
            }
        } else if matches!(kind, Some("rs" | "py" | "ts")) {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_named_in_the_threat_model_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let model = std::fs::read_to_string(root.join("docs/security/threat-model.md")).unwrap();
    let mut text = String::new();
    for folder in ["crates", "xtask", "console/tests", "tests/python"] {
        sources(&root.join(folder), &mut text);
    }
    let suite = model.split("## The attack suite").nth(1).unwrap();
    let suite = suite.split("\n## ").next().unwrap();
    let mut threats = 0;
    let mut named = BTreeSet::new();
    for row in suite.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let before = named.len();
        named.extend(tests.split('`').skip(1).step_by(2).map(str::to_owned));
        assert!(
            named.len() > before || tests.contains('`'),
            "no test for: {row}"
        );
        threats += 1;
    }
    println!("{threats} threats, {} tests", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|name| {
            // A console's test is named by a sentence.
            let (function, sentence) = (format!("fn {name}("), format!("it('{name}'"));
            let of_python = format!("def {name}(");
            ![function, sentence, of_python]
                .iter()
                .any(|written| text.contains(written))
        })
        .collect();
    assert!(threats > 20 && missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn a_request_of_two_lengths_is_one_request_or_none() {
    let server = TestServer::start().await;
    let smuggled = "GET /v3 HTTP/1.1\r\nHost: a\r\n\r\n";
    for (lengths, body) in [
        (
            format!(
                "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
                5 + smuggled.len()
            ),
            format!("0\r\n\r\n{smuggled}"),
        ),
        (
            format!(
                "Content-Length: 0\r\nContent-Length: {}\r\n",
                smuggled.len()
            ),
            smuggled.to_owned(),
        ),
        // The length is not seen by the server here: nothing behind the chunks may be read.
        (
            format!(
                "Transfer-Encoding: chunked\r\nContent-Length: {}\r\n",
                5 + smuggled.len()
            ),
            format!("0\r\n\r\n{smuggled}"),
        ),
        (
            "Transfer-Encoding: chunked, identity\r\n".to_owned(),
            format!("0\r\n\r\n{smuggled}"),
        ),
    ] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let head = format!("POST /v3/auth/tokens HTTP/1.1\r\nHost: a\r\n{lengths}\r\n{body}");
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server ends the connection: what follows on it could be read in two ways.
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{lengths}: the connection stays open");
        let answer = String::from_utf8_lossy(&answer);
        // Refused, or read as one request: the second must never be answered with the version.
        let answered = answer.matches("HTTP/1.1 ").count();
        assert!(
            answered <= 1 || !answer.contains("v3.6"),
            "{lengths}: {answer}"
        );
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_link_and_an_icon_are_never_fetched_by_the_server() {
    let server = TestServer::start().await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = trap.local_addr().unwrap();
    let app = server
        .post(
            "/v1/{p}/app-center/apps",
            json!({"name": "trap", "version": "1", "description": "",
                "authorization_type": "ALL_USER", "install_type": "QUIET_INSTALL",
                "install_command": "trap.exe /S", "support_os": "Linux", "catalog_id": "1",
                "app_icon_url": format!("http://{address}/icon.png"),
                "app_file_store": {"store_type": "LINK",
                    "file_link": format!("http://{address}/trap.deb")}}),
        )
        .await
        .ok(200);
    let id = app["id"].as_str().unwrap();
    server
        .post(
            "/api/v1/{p}/desktops",
            json!({"name": "desk", "os_type": "Linux"}),
        )
        .await
        .ok(201);
    server
        .post(
            "/v1/{p}/app-center/apps/actions/batch-auto-install",
            json!({"app_ids": [id], "assign_scope": "ALL_USER"}),
        )
        .await
        .ok(200);
    server.get("/v1/{p}/app-center/apps").await.ok(200);
    server.get("/v1/{p}/app-center/jobs").await.ok(200);
    let visited = tokio::time::timeout(Duration::from_secs(2), trap.accept()).await;
    assert!(visited.is_err(), "the server came for a link");
    server.stop().await;
}
