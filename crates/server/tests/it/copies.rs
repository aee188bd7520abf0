//! Copies of enrolled machines: real agents, and what a project lets become of them.

use std::time::Duration;

use outfitter_agent::enroll::EnrollError;
use outfitter_test_support::postgres::TestDatabase;
use outfitter_test_support::store::empty_postgres;
use serde_json::{Value, json};

use crate::absence::{Desk, installs, runs_a_job};
use crate::server::{SetClock, TestServer};

const COPIES: &str = "/api/v1/{p}/copies";

async fn token(server: &TestServer, body: Value) -> String {
    let made = server
        .post("/api/v1/{p}/enrollment-tokens", body)
        .await
        .ok(201);
    made["enrollment_token"]["id"].as_str().unwrap().to_owned()
}

/// Waits until the server's answer is as wanted.
async fn answer(server: &TestServer, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1200 {
        let answer = server.get(path).await.ok(200);
        if holds(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never so: {}", server.get(path).await.ok(200));
}

async fn desktops(server: &TestServer, count: i64) -> Vec<Value> {
    let listed = answer(server, "/api/v1/{p}/desktops", |it| it["count"] == count).await;
    listed["items"].as_array().unwrap().clone()
}

/// Waits until an app is on a desktop.
async fn has(desk: &Desk, name: &str) {
    let file = desk.root().join("opt").join(name).join("file");
    for _ in 0..1200 {
        if std::fs::read_to_string(&file).is_ok_and(|text| text == name) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no {}", file.display());
}

fn is_seen(desktops: &Value) -> bool {
    let mut items = desktops["items"].as_array().unwrap().iter();
    items.any(|desktop| desktop["agent"]["copy"].is_object())
}

async fn enroll_anew(database: Option<TestDatabase>) {
    let server = TestServer::start_by(&SetClock::right(), database).await;
    let id = token(
        &server,
        json!({"name": "copies", "max_uses": 1, "tags": [{"key": "kind", "value": "copy"}]}),
    )
    .await;
    let set = server.put(COPIES, json!({ "token_id": id })).await.ok(200);
    assert_eq!(set, json!({"token_id": id, "token_name": "copies"}));
    let mut first = Desk::enrolled(&server, "desk").await;
    first.start();
    runs_a_job(&server, &first, "one").await;
    let mut copy = first.copied();
    copy.start();
    let both = desktops(&server, 2).await;
    let own = both
        .iter()
        .find(|desktop| desktop["name"] != "desk")
        .unwrap();
    assert!(own["name"].as_str().unwrap().starts_with("desk-"), "{own}");
    let tags = format!("/v2/{{p}}/desktops/{}/tags", own["id"].as_str().unwrap());
    assert_eq!(
        server.get(&tags).await.ok(200)["tags"],
        json!([{"key": "kind", "value": "copy"}])
    );
    // Both work, each for itself, and nobody is left that an administrator has to settle.
    installs(&server, "two").await;
    has(&first, "two").await;
    has(&copy, "two").await;
    let listed = server.get("/api/v1/{p}/desktops").await.ok(200);
    assert!(!is_seen(&listed), "{listed}");
    let audit = server.get("/api/v1/{p}/audit?limit=100").await.ok(200);
    let entries = audit["items"].as_array().unwrap();
    let entry = entries
        .iter()
        .find(|entry| entry["operation"] == "EnrollCopy")
        .unwrap();
    let original = both.iter().find(|desktop| desktop["name"] == "desk");
    let original = format!("desktop:{}", original.unwrap()["id"].as_str().unwrap());
    assert!(
        entry["resources"]
            .as_array()
            .unwrap()
            .contains(&json!(original)),
        "{entry}"
    );
    assert!(
        entry["detail"].to_string().contains(r#""copy_of":"desk""#),
        "{entry}"
    );
    copy.restart().await;
    installs(&server, "three").await;
    has(&copy, "three").await;

    // The token's bounds hold: this one has no use left.
    let mut third = first.copied();
    third.start();
    answer(&server, "/api/v1/{p}/desktops", is_seen).await;
    installs(&server, "four").await;
    has(&first, "four").await;
    has(&copy, "four").await;
    assert!(!third.root().join("opt").exists());
    desktops(&server, 2).await;
    for desk in [&mut first, &mut copy, &mut third] {
        desk.stop().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_copy_becomes_a_desktop_of_its_own_within_the_bounds_of_the_projects_token() {
    enroll_anew(None).await;
    enroll_anew(Some(empty_postgres().await)).await;
}

#[tokio::test]
async fn a_copy_waits_for_approval_where_the_projects_token_demands_it() {
    let server = TestServer::start().await;
    let id = token(&server, json!({"name": "copies", "needs_approval": true})).await;
    server.put(COPIES, json!({ "token_id": id })).await.ok(200);
    let mut first = Desk::enrolled(&server, "desk").await;
    first.start();
    runs_a_job(&server, &first, "one").await;
    let mut copy = first.copied();
    copy.start();
    let requests = "/api/v1/{p}/enrollment-requests?state=WAITING";
    let waiting = answer(&server, requests, |it| it["count"] == 1).await;
    let request = &waiting["items"][0];
    assert_eq!(request["copy_of"]["desktop_name"], "desk");
    let name = request["name"].as_str().unwrap();
    assert!(name.starts_with("desk-"), "{name}");
    desktops(&server, 1).await;
    server
        .post(
            "/api/v1/{p}/enrollment-requests/actions/approve",
            json!({"items": [request["id"]]}),
        )
        .await
        .ok(204);
    // It would ask in ten seconds; started again it asks at once.
    copy.restart().await;
    let both = desktops(&server, 2).await;
    assert!(
        both.iter().any(|desktop| desktop["name"] == *name),
        "{both:?}"
    );
    installs(&server, "two").await;
    has(&first, "two").await;
    has(&copy, "two").await;
    first.stop().await;
    copy.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_becomes_of_copies_is_set_with_a_token_of_the_project_and_is_on_record() {
    let server = TestServer::start().await;
    assert_eq!(server.get(COPIES).await.ok(200), json!({}));
    for unknown in ["x", "01890a5d-ac96-774b-bcce-b302099a8057"] {
        server
            .put(COPIES, json!({ "token_id": unknown }))
            .await
            .refused(400, "WKS.00211102", "token_id");
    }
    let id = token(&server, json!({"name": "copies"})).await;
    server.put(COPIES, json!({ "token_id": id })).await.ok(200);
    assert_eq!(server.get(COPIES).await.ok(200)["token_name"], "copies");
    server
        .put(COPIES, json!({ "token_id": null }))
        .await
        .ok(200);
    assert_eq!(server.get(COPIES).await.ok(200), json!({}));
    let audit = server.get("/api/v1/{p}/audit?limit=100").await.ok(200);
    let entries = audit["items"].as_array().unwrap();
    let set = entries
        .iter()
        .filter(|entry| entry["operation"] == "SetCopies");
    assert!(set.count() >= 2, "{audit}");
    server.stop().await;
}

/// Why a machine does not become the desktop `desk`.
async fn refusal(server: &TestServer, machine: &Desk) -> String {
    match machine.enroll(server, "desk").await {
        Err(EnrollError::Refused { code, .. } | EnrollError::PutOff { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn of_two_machines_with_the_same_marks_an_administrator_says_which_is_the_copy() {
    let server = TestServer::start().await;
    let id = token(&server, json!({"name": "copies"})).await;
    server.put(COPIES, json!({ "token_id": id })).await.ok(200);
    let mut first = Desk::enrolled(&server, "desk").await;
    first.start();
    runs_a_job(&server, &first, "one").await;
    first.stop().await;
    let mut twin = first.twin();
    // The copy is started first, and is the one that is known from then on.
    twin.start();
    runs_a_job(&server, &first, "two").await;
    first.start();
    answer(&server, "/api/v1/{p}/desktops", is_seen).await;
    let listed = desktops(&server, 1).await;
    assert_eq!(listed[0]["agent"]["copy"]["sign"], "both_alive");
    first.stop().await;
    twin.stop().await;
    server.stop().await;
}

async fn taken_back(database: Option<TestDatabase>) {
    let clock = SetClock::right();
    let mut server = TestServer::start_by(&clock, database).await;
    let mut desk = Desk::enrolled(&server, "desk").await;
    // As if the answer had been lost.
    desk.enroll(&server, "desk").await.unwrap();
    desk.start();
    runs_a_job(&server, &desk, "one").await;
    let before = desktops(&server, 1).await[0]["id"].clone();
    // A second machine with the same mark, while the first one lives.
    assert_eq!(refusal(&server, &desk).await, "name_taken");
    desk.stop().await;
    desk.recompose();
    // Another server might have its channel, as far as this one knows.
    server.restart().await;
    assert_eq!(refusal(&server, &desk).await, "still_seen");
    clock.set_days_ahead(1);
    // Its token of the interface has ended by then.
    server.restart().await;
    let other = Desk::blank();
    assert_eq!(
        refusal(&server, &other).await,
        "name_taken",
        "another machine"
    );

    desk.clock.set_days_ahead(1);
    desk.enroll(&server, "desk").await.unwrap();
    desk.start();
    runs_a_job(&server, &desk, "two").await;
    assert_eq!(desktops(&server, 1).await[0]["id"], before);
    let audit = server.get("/api/v1/{p}/audit?limit=100").await.ok(200);
    assert!(audit.to_string().contains("TakeDesktopBack"), "{audit}");
    desk.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_recomposed_desktop_takes_its_identity_back_by_the_mark_of_its_machine() {
    taken_back(None).await;
    taken_back(Some(empty_postgres().await)).await;
}
