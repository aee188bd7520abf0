use base64::Engine as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::TestServer;

pub(crate) const APPS: &str = "/v1/{p}/app-center/apps";

/// A body for UploadApp whose package is behind a link.
pub(crate) fn linked(name: &str) -> Value {
    json!({
        "name": name, "version": "1.0", "description": "", "authorization_type": "ASSIGN_USER",
        "app_file_store": {"store_type": "LINK", "bucket_store": null, "file_link": "https://a.example/b.exe"},
        "install_type": "QUIET_INSTALL", "install_command": "${FILE_PATH} /S",
        "support_os": "Windows", "catalog_id": 1, "app_icon_url": null,
    })
}

/// A body with some members set otherwise.
pub(crate) fn with(mut body: Value, changes: Value) -> Value {
    let members = body.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    body
}

pub(crate) async fn upload(server: &TestServer, body: Value) -> String {
    let app = server.post(APPS, body).await.ok(200);
    app["id"].as_str().unwrap().to_owned()
}

async fn listed(server: &TestServer, id: &str) -> Value {
    let page = server.get(&format!("{APPS}?limit=100")).await.ok(200);
    let items = page["items"].as_array().unwrap();
    items.iter().find(|app| app["id"] == id).unwrap().clone()
}

async fn revisions(server: &TestServer, id: &str) -> Vec<Value> {
    let answer = server
        .get(&format!("/api/v1/{{p}}/apps/{id}/revisions"))
        .await
        .ok(200);
    answer["items"].as_array().unwrap().clone()
}

/// A grey PNG of one pixel, as a data URI.
fn icon(shade: u8) -> (Vec<u8>, String) {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[shade])
        .unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
    (bytes, format!("data;image/png;base64,{text}"))
}

#[tokio::test]
async fn an_app_is_uploaded_and_listed_as_the_contract_shows_it() {
    let server = TestServer::start().await;
    let app = server.post(APPS, linked("xxx:1.exe")).await.ok(200);
    assert_eq!(app["status"], "NORMAL");
    assert_eq!(app["application_source"], "CUSTOM");
    assert_eq!(app["catalog_id"], "1");
    assert_eq!(app["catalog"], "其他");
    assert_eq!(app["description"], "");
    assert_eq!(
        app["app_file_store"],
        json!({"store_type": "LINK", "file_link": "https://a.example/b.exe"})
    );
    assert_ne!(app["tenant_id"], server.project);
    for absent in ["app_icon_url", "uninstall_command", "install_info"] {
        assert!(app.get(absent).is_none(), "{absent}");
    }
    let time = app["create_time"].as_str().unwrap();
    assert_eq!((time.len(), &time[23..]), (24, "Z"));
    assert_eq!(listed(&server, app["id"].as_str().unwrap()).await, app);

    // The bucket's name and its alias; both places are kept as sent.
    for bucket in ["wks-appcenter", "app-center"] {
        let store = json!({
            "store_type": "OBS", "file_link": "https://a.example/unused",
            "bucket_store": {
                "bucket_name": format!("{bucket}-{}", server.project), "bucket_file_path": "app-file/a.exe"}});
        let app = server
            .post(APPS, with(linked("b"), json!({"app_file_store": store})))
            .await
            .ok(200);
        assert_eq!(app["app_file_store"], store);
    }
    // Names need not be unique; a command may be missing, an empty one only where none is needed.
    let bare = json!({"install_command": null});
    server.post(APPS, with(linked("b"), bare)).await.ok(200);
    let by_hand = json!({"install_type": "GUI_INSTALL", "install_command": ""});
    let app = server.post(APPS, with(linked("B"), by_hand)).await.ok(200);
    assert!(app.get("install_command").is_none());

    let page = server
        .get(&format!("{APPS}?name=B&limit=2&offset=1"))
        .await
        .ok(200);
    assert_eq!(page["count"], 4);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let newest = server.get(&format!("{APPS}?limit=1")).await.ok(200);
    assert_eq!(
        (&newest["count"], &newest["items"][0]["name"]),
        (&json!(5), &json!("B"))
    );
    server.stop().await;
}

#[tokio::test]
async fn what_an_app_may_not_say_is_refused_by_name() {
    let server = TestServer::start().await;
    let ours = format!("wks-appcenter-{}", server.project);
    let obs = |bucket: &str, path: &str| {
        json!({"app_file_store": {"store_type": "OBS",
            "bucket_store": {"bucket_name": bucket, "bucket_file_path": path}}})
    };
    let link = |link: &str| json!({"app_file_store": {"store_type": "LINK", "file_link": link}});
    for (changes, field) in [
        (json!({"name": "a|b"}), "name"),
        (json!({"name": "\u{3000}"}), "name"),
        (json!({"name": "a".repeat(129)}), "name"),
        (json!({"version": "1\n"}), "version"),
        (json!({"description": "a\u{0}"}), "description"),
        (json!({"description": null}), "description"),
        (json!({"install_command": ""}), "install_command"),
        (json!({"install_command": "  "}), "install_command"),
        (json!({"catalog_id": "10"}), "catalog_id"),
        (json!({"catalog_id": 0}), "catalog_id"),
        (json!({"support_os": "linux"}), "support_os"),
        (json!({"app_icon_url": "no icon"}), "app_icon_url"),
        (
            json!({"app_icon_url": "data:image/png;base64,AAAA"}),
            "app_icon_url",
        ),
        (json!({"app_icon_url": "A".repeat(87501)}), "app_icon_url"),
        (obs("app-center-other", "a"), "bucket_name"),
        (obs(&ours, "/a"), "bucket_file_path"),
        (obs(&ours, "a/../b"), "bucket_file_path"),
        (link("ftp://a.example/b"), "file_link"),
        (
            json!({"app_file_store": {"store_type": "OBS"}}),
            "bucket_store",
        ),
        (
            json!({"app_file_store": {"store_type": "LINK", "file_link": null}}),
            "file_link",
        ),
    ] {
        server
            .post(APPS, with(linked("a"), changes))
            .await
            .refused(400, "WKS.00211102", field);
    }
    server
        .get(&format!("{APPS}?name=%00"))
        .await
        .refused(400, "WKS.00211102", "name");
    assert_eq!(
        server.get(APPS).await.ok(200)["count"],
        0,
        "nothing was stored"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_patch_writes_what_it_names_and_versions_what_is_installed() {
    let server = TestServer::start().await;
    let id = upload(&server, linked("a")).await;
    let path = format!("{APPS}/{id}");

    // Everything Terraform sends for an unset member is null.
    let unset =
        json!({"name": "a;b", "app_icon_url": null, "install_command": null, "install_info": null});
    let app = server.patch(&path, unset).await.ok(200);
    assert_eq!(
        (&app["name"], &app["install_command"]),
        (&json!("a;b"), &json!("${FILE_PATH} /S"))
    );
    let same = json!({"version": "1.0", "app_file_store": linked("a")["app_file_store"],
        "install_command": "${FILE_PATH} /S"});
    server.patch(&path, same).await.ok(200);
    let in_place = json!({"description": "d", "status": "FORBIDDEN", "authorization_type": "ALL_USER",
        "support_os": "Linux", "catalog_id": "2", "install_info": "i"});
    let app = server.patch(&path, in_place).await.ok(200);
    assert_eq!(app["catalog"], "办公");
    assert_eq!(revisions(&server, &id).await.len(), 1);

    server.patch(&path, json!({"version": "2"})).await.ok(200);
    server
        .patch(&path, json!({"uninstall_command": "u"}))
        .await
        .ok(200);
    server
        .patch(&path, json!({"uninstall_command": "", "install_info": ""}))
        .await
        .ok(200);
    let moved =
        json!({"app_file_store": {"store_type": "LINK", "file_link": "http://b.example/c"}});
    let app = server.patch(&path, moved).await.ok(200);
    assert!(app.get("uninstall_command").is_none() && app.get("install_info").is_none());
    assert_eq!(listed(&server, &id).await, app);
    let revisions = revisions(&server, &id).await;
    assert_eq!(revisions.len(), 5);
    assert_eq!(
        (&revisions[0]["number"], &revisions[0]["newest"]),
        (&json!(5), &json!(true))
    );
    assert_eq!(
        (&revisions[2]["uninstall_command"], &revisions[2]["newest"]),
        (&json!("u"), &json!(false))
    );
    assert_eq!(revisions[4]["version"], "1.0");

    for (patch, field) in [
        (json!({"install_command": ""}), "install_command"),
        (json!({"name": " "}), "name"),
        (json!({"name": "a\tb"}), "name"),
        (json!({"catalog_id": "x"}), "catalog_id"),
        (
            json!({"description": "new", "app_file_store": {"store_type": "LINK", "file_link": "x"}}),
            "file_link",
        ),
    ] {
        server
            .patch(&path, patch)
            .await
            .refused(400, "WKS.00211102", field);
    }
    assert_eq!(
        listed(&server, &id).await,
        app,
        "a refused call changes nothing"
    );
    for unknown in ["no-such", "018c5e3c-0000-7000-8000-000000000000"] {
        server
            .patch(&format!("{APPS}/{unknown}"), json!({"name": "x"}))
            .await
            .refused(404, "WKS.00211902", "application");
    }
    server.stop().await;
}

#[tokio::test]
async fn parallel_patches_all_count() {
    let server = TestServer::start().await;
    let id = upload(&server, linked("a")).await;
    let path = format!("{APPS}/{id}");
    let patches = [
        json!({"name": "n"}),
        json!({"description": "d"}),
        json!({"version": "9"}),
        json!({"install_command": "c"}),
        json!({"uninstall_command": "u"}),
        json!({"install_info": "i"}),
        json!({"support_os": "Linux"}),
        json!({"catalog_id": "3"}),
    ];
    let answers = futures_util::future::join_all(
        patches
            .iter()
            .map(|patch| server.patch(&path, patch.clone())),
    )
    .await;
    for answer in answers {
        answer.ok(200);
    }
    let app = listed(&server, &id).await;
    for (member, value) in patches.iter().flat_map(|patch| patch.as_object().unwrap()) {
        assert_eq!(&app[member], value, "{member}");
    }
    assert_eq!(revisions(&server, &id).await.len(), 4);
    server.stop().await;
}

#[tokio::test]
async fn apps_are_hidden_shown_and_deleted() {
    let server = TestServer::start().await;
    let first = upload(&server, linked("a")).await;
    let second = upload(&server, linked("b")).await;
    let action = |action: &str| format!("{APPS}/actions/{action}");
    let both = json!({"items": [first, second]});

    for (call, status) in [("batch-disable", "FORBIDDEN"), ("batch-enable", "NORMAL")] {
        for _ in 0..2 {
            let answer = server.post(&action(call), both.clone()).await;
            assert_eq!((answer.status, &answer.body), (200, &Value::Null));
        }
        assert_eq!(listed(&server, &second).await["status"], status);
        server
            .post(&action(call), json!({"items": [first, "no-such"]}))
            .await
            .refused(404, "WKS.00211902", "application");
    }
    server
        .post(&action("batch-disable"), json!({"items": [first, first]}))
        .await
        .refused(400, "WKS.00211102", "items");

    server
        .delete(&format!("{APPS}/{first}?reserve_obs_file=maybe"))
        .await
        .refused(400, "WKS.00211102", "reserve_obs_file");
    for _ in 0..2 {
        let answer = server
            .delete(&format!("{APPS}/{first}?reserve_obs_file=true"))
            .await;
        assert_eq!((answer.status, &answer.body), (200, &Value::Null));
    }
    let batch = json!({"items": ["no-such", second], "reserve_obs_file": null});
    server.post(&action("batch-delete"), batch).await.ok(200);
    assert_eq!(server.get(APPS).await.ok(200)["count"], 0);
    for gone in [
        server
            .patch(&format!("{APPS}/{first}"), json!({"name": "x"}))
            .await,
        server.get(&format!("{APPS}/{first}/authorizations")).await,
        server
            .get(&format!("/api/v1/{{p}}/apps/{first}/revisions"))
            .await,
        server
            .get(&format!("/api/v1/{{p}}/apps/{first}/detection-rule"))
            .await,
    ] {
        gone.refused(404, "WKS.00211902", "application");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_inline_icon_is_served_to_anyone_with_its_address() {
    let server = TestServer::start().await;
    let (bytes, data) = icon(7);
    let app = server
        .post(APPS, with(linked("a"), json!({"app_icon_url": data})))
        .await
        .ok(200);
    let address = app["app_icon_url"].as_str().unwrap().to_owned();
    let path = &address[address.find("/icons/").unwrap()..];

    let answer = server.anonymous(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert!(
        answer.headers()["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    let tag = answer.headers()["etag"].clone();
    assert_eq!(answer.bytes().await.unwrap(), bytes);
    let tag = tag.to_str().unwrap();
    for (known, status) in [
        (tag.to_owned(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"other\", {tag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
    ] {
        let again = server
            .anonymous(Method::GET, path)
            .header("if-none-match", &known)
            .send()
            .await
            .unwrap();
        assert_eq!(again.status(), status, "{known}");
    }

    // Sent back as it was answered, it stays; another image has another address.
    let patch = format!("{APPS}/{}", app["id"].as_str().unwrap());
    let kept = server
        .patch(&patch, json!({"app_icon_url": address, "name": "b"}))
        .await
        .ok(200);
    assert_eq!(kept["app_icon_url"], address);
    let changed = server
        .patch(&patch, json!({"app_icon_url": icon(8).1}))
        .await
        .ok(200);
    assert_ne!(changed["app_icon_url"], address);
    let old = server.anonymous(Method::GET, path).send().await.unwrap();
    assert_eq!(old.headers()["cache-control"], "no-cache");
    assert_eq!(old.bytes().await.unwrap(), icon(8).0);
    let cleared = server
        .patch(&patch, json!({"app_icon_url": ""}))
        .await
        .ok(200);
    assert!(cleared.get("app_icon_url").is_none());
    TestServer::send(server.anonymous(Method::GET, path))
        .await
        .refused(404, "WKS.00211902", "icon");

    let link = json!({"app_icon_url": "https://a.example/i.png"});
    assert_eq!(
        server.patch(&patch, link).await.ok(200)["app_icon_url"],
        "https://a.example/i.png"
    );
    server.stop().await;
}

#[tokio::test]
async fn catalogs_are_all_there_and_the_first_is_other() {
    let server = TestServer::start().await;
    let answer = server.get("/v1/{p}/app-center/app-catalogs").await.ok(200);
    assert!(answer.get("count").is_none());
    assert_eq!(answer["items"].as_array().unwrap().len(), 9);
    assert_eq!(
        answer["items"][0],
        json!({"id": "1", "catalog_zh": "其他", "catalog_en": "Other"})
    );
    server.stop().await;
}
