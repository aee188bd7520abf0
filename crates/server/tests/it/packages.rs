use bytes::Bytes;
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::apps::{APPS, linked, upload, with};
use crate::server::{Answer, TestServer};

const PACKAGES: &str = "/api/v1/{p}/packages";

async fn send(server: &TestServer, query: &str, bytes: Vec<u8>) -> Answer {
    let request = server.request(Method::POST, &format!("{PACKAGES}?{query}"));
    TestServer::send(request.body(bytes)).await
}

/// A Debian package without files.
fn deb(version: &str) -> Vec<u8> {
    let control = format!(
        "Package: hello\nVersion: {version}\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"
    );
    let mut members = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(control.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    members
        .append_data(&mut header, "./control", control.as_bytes())
        .unwrap();
    let control = members.into_inner().unwrap();
    let data = tar::Builder::new(Vec::new()).into_inner().unwrap();
    let mut package = ar::Builder::new(Vec::new());
    for (name, content) in [
        ("debian-binary", b"2.0\n".as_slice()),
        ("control.tar", &control),
        ("data.tar", &data),
    ] {
        let header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
        package.append(&header, content).unwrap();
    }
    package.into_inner().unwrap()
}

fn hex_digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A body for UploadApp that takes the members of an upload's answer.
fn stored(answer: &Value) -> Value {
    let store = json!({"store_type": "OBS", "bucket_store": answer["bucket_store"]});
    with(
        linked("hello"),
        json!({"app_file_store": store, "support_os": "Linux"}),
    )
}

async fn rule(server: &TestServer, id: &str) -> Value {
    server
        .get(&format!("/api/v1/{{p}}/apps/{id}/detection-rule"))
        .await
        .ok(200)
}

fn derived(version: &str) -> Value {
    json!({"debian_package": {"name": "hello", "version": version}})
}

#[tokio::test]
async fn an_upload_answers_what_upload_app_takes() {
    let server = TestServer::start().await;
    let bytes = deb("1.2-3");
    let answer = send(&server, "file_name=hello%201%2B2.deb", bytes.clone())
        .await
        .ok(200);
    assert_eq!(
        answer,
        json!({
            "bucket_store": {"bucket_name": format!("wks-appcenter-{}", server.project),
                "bucket_file_path": "app-file/hello 1+2.deb"},
            "sha256": hex_digest(&bytes), "size_bytes": bytes.len(), "kind": "deb",
            "proposal": {"name": "hello", "version": "1.2-3", "install_type": "QUIET_INSTALL",
                "install_command": "sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -i \"$FILE_PATH\"'",
                "uninstall_command": "dpkg -r hello", "support_os": "Linux"},
        })
    );
    let id = upload(&server, stored(&answer)).await;
    let revision = rule(&server, &id).await;
    assert_eq!(revision["package"]["sha256"], hex_digest(&bytes));
    assert_eq!(revision["package"]["state"], "ready");
    assert_eq!(revision["package"]["kind"], "deb");
    assert_eq!(revision["detection_rule"], derived("1.2-3"));
    assert_eq!(revision["detection_origin"], "derived");
    server.stop().await;
}

#[tokio::test]
async fn what_was_uploaded_is_shown_and_recognised_again() {
    let server = TestServer::start().await;
    let uploaded = send(&server, "file_name=hello%201%2B2.deb", deb("1.2-3"))
        .await
        .ok(200);
    let show = |query: &'static str| {
        let server = &server;
        async move { server.get(&format!("{PACKAGES}?{query}")).await }
    };
    let path = "object_path=app-file%2Fhello%201%2B2.deb";
    assert_eq!(
        show(path).await.ok(200),
        json!({"state": "ready", "package": uploaded})
    );
    // What came through the API has no entity tag: it is not what somebody put into the bucket.
    let other = "object_path=app-file%2Fhello%201%2B2.deb&etag=0123-1";
    assert_eq!(show(other).await.ok(200), json!({"state": "refused"}));
    show("object_path=app-file%2Fother.deb")
        .await
        .refused(404, "WKS.00211902", "upload");
    show("").await.refused(400, "WKS.00211102", "object_path");
    server.stop().await;
}

#[tokio::test]
async fn an_upload_with_another_digest_or_name_leaves_nothing() {
    let server = TestServer::start().await;
    let right = hex_digest(b"abc");
    send(
        &server,
        &format!("file_name=a&sha256={}", "0".repeat(64)),
        b"abc".to_vec(),
    )
    .await
    .refused(400, "WKS.00211102", &right);
    for query in [
        "file_name=a%2Fb",
        "file_name=..",
        "file_name=a%7Cb",
        "file_name=",
        "",
        "file_name=a%00",
    ] {
        send(&server, query, b"abc".to_vec())
            .await
            .refused(400, "WKS.00211102", "file_name");
    }
    send(&server, "file_name=a&sha256=ABC", b"abc".to_vec())
        .await
        .refused(400, "WKS.00211102", "sha256");
    let place = json!({"bucket_store": {"bucket_name": format!("wks-appcenter-{}", server.project),
        "bucket_file_path": "app-file/a"}});
    let id = upload(&server, stored(&place)).await;
    assert_eq!(rule(&server, &id).await["package"]["state"], "pending");

    let answer = send(
        &server,
        &format!("file_name=a&sha256={right}"),
        b"abc".to_vec(),
    )
    .await
    .ok(200);
    assert_eq!(
        (&answer["kind"], &answer["size_bytes"]),
        (&json!("other"), &json!(3))
    );
    // The app waited for it.
    assert_eq!(rule(&server, &id).await["package"]["sha256"], right);
    server.stop().await;
}

#[tokio::test]
async fn an_upload_is_not_held_to_the_limit_of_json_bodies() {
    let server = TestServer::start().await;
    let chunk = Bytes::from(vec![7; 64 * 1024]);
    let chunks = (0..64).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
    let request = server
        .request(Method::POST, &format!("{PACKAGES}?file_name=big"))
        .body(reqwest::Body::wrap_stream(stream::iter(chunks)));
    let answer = TestServer::send(request).await.ok(200);
    assert_eq!(answer["size_bytes"], 4 * 1024 * 1024);
    assert_eq!(answer["sha256"], hex_digest(&vec![7; 4 * 1024 * 1024]));
    TestServer::send(server.anonymous(Method::POST, PACKAGES).body("x"))
        .await
        .refused(401, "APIGW.0301", "x-auth-token");
    server.stop().await;
}

#[tokio::test]
async fn a_written_rule_outlives_new_packages_and_a_derived_one_does_not() {
    let server = TestServer::start().await;
    let first = send(&server, "file_name=a.deb", deb("1")).await.ok(200);
    let second = send(&server, "file_name=b.deb", deb("2")).await.ok(200);
    let id = upload(&server, stored(&first)).await;
    let app = format!("{APPS}/{id}");
    let own = format!("/api/v1/{{p}}/apps/{id}/detection-rule");
    let to = |answer: &Value| json!({"app_file_store": stored(answer)["app_file_store"]});

    server.patch(&app, to(&second)).await.ok(200);
    assert_eq!(rule(&server, &id).await["detection_rule"], derived("2"));
    // A command alone leaves package and rule as they are.
    server
        .patch(&app, json!({"install_command": "other"}))
        .await
        .ok(200);
    let revision = rule(&server, &id).await;
    assert_eq!(
        (&revision["number"], &revision["detection_rule"]),
        (&json!(3), &derived("2"))
    );

    let file = json!({"file": {"path": "/opt/hello/bin"}});
    let set = server.put(&own, json!({"rule": file})).await.ok(200);
    assert_eq!(
        (&set["number"], &set["detection_origin"]),
        (&json!(4), &json!("written"))
    );
    assert_eq!(set["package"], revision["package"]);
    let same = server.put(&own, json!({"rule": file})).await.ok(200);
    assert_eq!(same["number"], 4);
    server.patch(&app, to(&first)).await.ok(200);
    let kept = rule(&server, &id).await;
    assert_eq!(
        (&kept["number"], &kept["detection_rule"]),
        (&json!(5), &file)
    );
    let back = server.put(&own, json!({"rule": null})).await.ok(200);
    assert_eq!(
        (&back["detection_origin"], &back["detection_rule"]),
        (&json!("derived"), &derived("1"))
    );

    for bad in [
        json!({"file": {"path": "../x"}}),
        json!({"file": {"path": "/a", "sha265": "x"}}),
        json!({"all": []}),
        json!({}),
    ] {
        server
            .put(&own, json!({"rule": bad}))
            .await
            .refused(400, "WKS.00211102", "rule");
    }
    // Somebody who read an older revision is told.
    let tag = format!("\"{}\"", kept["id"].as_str().unwrap());
    let stale = server
        .request(Method::PUT, &own)
        .header("if-match", tag)
        .json(&json!({"rule": file}));
    TestServer::send(stale)
        .await
        .refused(412, "WKS.00000412", "read it again");
    let tag = format!("\"{}\"", back["id"].as_str().unwrap());
    let fresh = server
        .request(Method::PUT, &own)
        .header("if-match", tag)
        .json(&json!({"rule": file}));
    assert_eq!(TestServer::send(fresh).await.ok(200)["number"], 7);
    server.stop().await;
}

#[tokio::test]
async fn a_deleted_app_takes_its_object_unless_told_otherwise() {
    let server = TestServer::start().await;
    let package = send(&server, "file_name=a", b"abc".to_vec()).await.ok(200);
    let state = async || {
        let id = upload(&server, stored(&package)).await;
        let state = rule(&server, &id).await["package"]["state"].clone();
        (id, state)
    };
    let (first, _) = state().await;
    server
        .delete(&format!("{APPS}/{first}?reserve_obs_file=true"))
        .await
        .ok(200);
    let (second, reserved) = state().await;
    assert_eq!(reserved, "ready");
    let (third, _) = state().await;
    server.delete(&format!("{APPS}/{second}")).await.ok(200);
    let (fourth, shared) = state().await;
    assert_eq!(shared, "ready", "another app refers to it");
    let both = json!({"items": [third, fourth]});
    server
        .post(&format!("{APPS}/actions/batch-delete"), both)
        .await
        .ok(200);
    assert_eq!(state().await.1, "pending");
    server.stop().await;
}
