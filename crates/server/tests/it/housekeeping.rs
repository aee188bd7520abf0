//! Deleted apps that come back, collections, the test of the store, quotas and links, as callers meet them.

use outfitter_server::config::ServeOptions;
use reqwest::Method;
use serde_json::{Value, json};

use crate::apps::{APPS, linked, upload, with};
use crate::server::{Answer, TestServer};

const COLLECT: &str = "/api/v1/store/actions/collect";
const TEST: &str = "/api/v1/store/test";
const SETTINGS: &str = "/api/v1/{p}/package-settings";

async fn put(server: &TestServer, name: &str, bytes: &[u8]) -> Answer {
    let path = format!("/api/v1/{{p}}/packages?file_name={name}");
    let request = server.request(Method::POST, &path).body(bytes.to_vec());
    TestServer::send(request).await
}

/// A body for UploadApp whose package is that object.
fn stored(server: &TestServer, name: &str) -> Value {
    let store = json!({"store_type": "OBS", "bucket_store": {
        "bucket_name": format!("wks-appcenter-{}", server.project),
        "bucket_file_path": format!("app-file/{name}")}});
    with(linked(name), json!({"app_file_store": store}))
}

fn at(link: &str) -> Value {
    json!({"app_file_store": {"store_type": "LINK", "file_link": link}})
}

#[tokio::test]
async fn a_deleted_app_is_listed_and_restored() {
    let server = TestServer::start().await;
    put(&server, "a", b"abc").await.ok(200);
    let id = upload(&server, stored(&server, "a")).await;
    let restore = format!("/api/v1/{{p}}/apps/{id}/actions/restore");
    server
        .post(&restore, json!({}))
        .await
        .refused(404, "WKS.00211902", "application");
    server.delete(&format!("{APPS}/{id}")).await.ok(200);
    let deleted = server.get("/api/v1/{p}/deleted-apps").await.ok(200);
    assert_eq!(deleted["count"], 1);
    assert_eq!(deleted["items"][0]["id"], json!(id));
    assert_eq!(deleted["items"][0]["name"], "a");
    let app = server.post(&restore, json!({})).await.ok(200);
    assert_eq!(app["id"], json!(id));
    let deleted = server.get("/api/v1/{p}/deleted-apps").await.ok(200);
    assert_eq!(deleted, json!({"count": 0, "items": []}));
    // The object is back too: another app finds it.
    let second = upload(&server, stored(&server, "a")).await;
    let shown = server
        .get(&format!("/api/v1/{{p}}/apps/{second}/detection-rule"))
        .await
        .ok(200);
    assert_eq!(shown["package"]["state"], "ready");
    server.stop().await;
}

#[tokio::test]
async fn a_dry_run_tells_what_waits() {
    let server = TestServer::start().await;
    put(&server, "a", b"abc").await.ok(200);
    // Replaced before anybody used it.
    put(&server, "a", b"defgh").await.ok(200);
    let told = server
        .in_domain(Method::POST, COLLECT, Some(json!({"dry_run": true})))
        .await
        .ok(200);
    assert_eq!(told["dry_run"], true);
    assert_eq!(told["due"], json!({"count": 0, "size_bytes": 0}));
    assert_eq!(told["waiting"], json!({"count": 1, "size_bytes": 3}));
    assert_eq!(told["items"][0]["reason"], "package_unneeded");
    let done = server
        .in_domain(Method::POST, COLLECT, Some(json!({})))
        .await
        .ok(200);
    assert_eq!(
        (&done["dry_run"], &done["waiting"]),
        (&json!(false), &told["waiting"])
    );
    server.stop().await;
}

#[tokio::test]
async fn a_quota_is_set_for_the_domain_and_holds_for_uploads() {
    let server = TestServer::start().await;
    let quota = format!("/api/v1/projects/{}/quota", server.project);
    put(&server, "a", &[1; 600]).await.ok(200);
    let shown = server
        .in_domain(Method::PUT, &quota, Some(json!({"quota_bytes": 1000})))
        .await
        .ok(200);
    assert_eq!(
        shown,
        json!({"require_link_digest": false, "quota_bytes": 1000, "used_bytes": 600})
    );
    put(&server, "b", &[2; 401])
        .await
        .refused(400, "WKS.00211110", "1000 bytes");
    put(&server, "b", &[2; 400]).await.ok(200);
    assert_eq!(server.get(SETTINGS).await.ok(200)["used_bytes"], 1000);
    put(&server, "c", b"c")
        .await
        .refused(400, "WKS.00211110", "1000");
    let unlimited = server
        .in_domain(Method::PUT, &quota, Some(json!({})))
        .await
        .ok(200);
    assert!(unlimited.get("quota_bytes").is_none());
    put(&server, "c", b"c").await.ok(200);
    server
        .in_domain(Method::PUT, &quota, Some(json!({"quota_bytes": 0})))
        .await
        .refused(400, "WKS.00211102", "quota_bytes");
    let nowhere = "/api/v1/projects/5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10/quota";
    server
        .in_domain(Method::GET, nowhere, None)
        .await
        .refused(404, "WKS.00211902", "project");
    server.stop().await;
}

#[tokio::test]
async fn a_link_may_name_its_digest_and_must_where_the_project_says_so() {
    let server = TestServer::start().await;
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    let pinned = format!("https://a.example/x.exe#sha256={one}");
    let free = upload(&server, linked("free")).await;
    let id = upload(&server, with(linked("a"), at(&pinned))).await;
    let newest = async |id: &str| {
        let path = format!("/api/v1/{{p}}/apps/{id}/revisions?limit=1");
        server.get(&path).await.ok(200)["items"][0].clone()
    };
    let revision = newest(&id).await;
    assert_eq!(revision["package"]["sha256"], json!(one));
    assert_eq!(revision["package"]["state"], "ready");
    assert!(revision["package"].get("pinned_by_desktop_id").is_none());
    server
        .post(APPS, with(linked("b"), at("https://a.example/x#sha256=12")))
        .await
        .refused(400, "WKS.00211102", "app_file_store.file_link");

    let accept = async |id: &str, body: Value| {
        let path = format!("/api/v1/{{p}}/apps/{id}/actions/accept-link");
        server.post(&path, body).await
    };
    let same = accept(&id, json!({"sha256": one})).await.ok(200);
    assert_eq!(same["number"], 1);
    let next = accept(&id, json!({"sha256": two})).await.ok(200);
    assert_eq!(
        (&next["number"], &next["package"]["sha256"]),
        (&json!(2), &json!(two))
    );
    assert_eq!(
        next["package"]["app_file_store"]["file_link"],
        json!(format!("https://a.example/x.exe#sha256={two}"))
    );
    let first_seen = accept(&id, json!({})).await.ok(200);
    assert_eq!(
        (&first_seen["number"], &first_seen["package"]["state"]),
        (&json!(3), &json!("pending"))
    );

    server
        .put(SETTINGS, json!({"require_link_digest": true}))
        .await
        .ok(200);
    for refused in [
        server.post(APPS, linked("c")).await,
        accept(&id, json!({})).await,
        server
            .patch(&format!("{APPS}/{free}"), at("https://a.example/new"))
            .await,
    ] {
        refused.refused(400, "WKS.00211102", "app_file_store.file_link");
    }
    server
        .post(APPS, with(linked("c"), at(&pinned)))
        .await
        .ok(200);
    // What was there stays, and may be changed otherwise.
    server
        .patch(&format!("{APPS}/{free}"), json!({"name": "still free"}))
        .await
        .ok(200);
    put(&server, "o", b"abc").await.ok(200);
    let object = upload(&server, stored(&server, "o")).await;
    accept(&object, json!({}))
        .await
        .refused(409, "WKS.00211106", "no link");
    accept("nobody", json!({}))
        .await
        .refused(404, "WKS.00211902", "application");
    server.stop().await;
}

#[tokio::test]
async fn links_are_held_to_the_operators_list() {
    let server = TestServer::start_told(ServeOptions {
        link_allow: Some(vec![
            "https://*.vendor.example".to_owned(),
            "http://mirror.lan:8080".to_owned(),
        ]),
        ..ServeOptions::default()
    })
    .await;
    for link in ["https://dl.vendor.example/a", "http://mirror.lan:8080/a"] {
        server.post(APPS, with(linked("a"), at(link))).await.ok(200);
    }
    for link in [
        "http://dl.vendor.example/a",
        "https://vendor.example/a",
        "https://dl.vendor.example@evil.example/a",
    ] {
        server
            .post(APPS, with(linked("a"), at(link)))
            .await
            .refused(
                400,
                "WKS.00211102",
                "app_file_store.file_link: desktops may fetch from",
            );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_test_of_the_store_says_step_by_step_whether_it_works_and_leaves_nothing() {
    let server = TestServer::start().await;
    let tested = server.in_domain(Method::POST, TEST, None).await.ok(200);
    assert_eq!(tested["ok"], true, "{tested}");
    let steps = tested["steps"].as_array().unwrap();
    assert!(steps.len() > 6, "{tested}");
    assert!(steps.iter().all(|step| step["ok"] == true), "{tested}");
    let folder = server.data_dir().join("packages");
    assert_eq!(packages_in(&folder), 0);

    std::fs::remove_dir_all(&folder).unwrap();
    let tested = server.in_domain(Method::POST, TEST, None).await.ok(200);
    assert_eq!(tested["ok"], false, "{tested}");
    assert_eq!(tested["steps"].as_array().unwrap().len(), 1, "{tested}");
    assert_eq!(tested["steps"][0]["step"], "reach");
    assert_eq!(tested["steps"][0]["ok"], false);
    server.stop().await;
}

/// Files below a folder.
fn packages_in(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { packages_in(&path) } else { 1 })
        .sum()
}
