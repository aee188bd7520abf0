//! Callers at the same time on the same things: no change is lost, nobody reads 5xx, and what conflicts is 409.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::apps::{APPS, linked, upload, with};
use crate::server::{Answer, TestServer};

/// Changes that each caller makes, one after the other.
const ROUNDS: usize = 6;

const BATCH_AUTHORIZE: &str = "/v1/{p}/app-center/apps/actions/batch-assign-authorization";
const BATCH_INSTALL: &str = "/v1/{p}/app-center/apps/actions/batch-auto-install";

/// Makes a test of each function and database.
macro_rules! on_both {
    ($(async fn $name:ident($server:ident: &TestServer) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn body($server: &TestServer) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn sqlite() {
                let server = TestServer::start().await;
                body(&server).await;
                server.stop().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn postgres() {
                let server = TestServer::start_on_postgres().await;
                body(&server).await;
                server.stop().await;
            }
        }
    )+};
}

async fn app(server: &TestServer, id: &str) -> Value {
    let page = server.get(&format!("{APPS}?limit=100")).await.ok(200);
    let items = page["items"].as_array().unwrap();
    items.iter().find(|app| app["id"] == id).unwrap().clone()
}

fn user(name: &str) -> Value {
    json!({"account": name, "account_type": "SIMPLE"})
}

/// The accounts on an app's list.
async fn authorized(server: &TestServer, id: &str) -> BTreeSet<String> {
    let page = server
        .get(&format!("{APPS}/{id}/authorizations?limit=100"))
        .await
        .ok(200);
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|account| account["account"].as_str().unwrap().to_owned())
        .collect()
}

/// How many answers are of the status; all others are refusals with this status and code.
fn won(answers: &[Answer], status: u16, lost: (u16, &str)) -> usize {
    let winners = answers
        .iter()
        .filter(|answer| answer.status == status)
        .count();
    for answer in answers.iter().filter(|answer| answer.status != status) {
        let seen = (answer.status, answer.body["error_code"].as_str().unwrap());
        assert_eq!(seen, lost, "{answer:?}");
    }
    winners
}

on_both! {
    async fn patches_of_one_app_keep_every_member_and_every_revision(server: &TestServer) {
        let id = upload(server, linked("editor")).await;
        let path = format!("{APPS}/{id}");
        // Each caller has a member of its own; two of them are installable content.
        let members = ["name", "description", "install_info", "version", "uninstall_command"];
        join_all(members.map(|member| {
            let path = &path;
            async move {
                for round in 1..=ROUNDS {
                    let body = json!({member: format!("{member} {round}")});
                    server.patch(path, body).await.ok(200);
                }
            }
        }))
        .await;
        let seen = app(server, &id).await;
        for member in members {
            assert_eq!(seen[member], format!("{member} {ROUNDS}"), "{seen}");
        }
        let revisions = server
            .get(&format!("/api/v1/{{p}}/apps/{id}/revisions?limit=100"))
            .await
            .ok(200);
        let numbers: BTreeSet<i64> = revisions["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|revision| revision["number"].as_i64().unwrap())
            .collect();
        let last = i64::try_from(1 + 2 * ROUNDS).unwrap();
        assert_eq!(numbers, (1..=last).collect(), "{revisions}");
    }

    async fn authorizations_patches_and_installs_at_once_lose_nothing(server: &TestServer) {
        let first = upload(server, linked("first")).await;
        let second = upload(server, linked("second")).await;
        for number in 0..4 {
            let name = format!("PC{number}");
            let body = json!({"name": name, "os_type": "Windows", "users": [format!("u{number}")]});
            server.post("/api/v1/{p}/desktops", body).await.ok(201);
        }
        // Both orders, so that two transactions would wait for each other if they locked as they are told.
        let both = [[&first, &second], [&second, &first]];
        let leaving: Vec<Value> = (0..4).map(|number| user(&format!("leaving{number}"))).collect();
        let body = json!({"app_ids": both[0], "authorization_type": "ASSIGN_USER", "users": leaving});
        server.post(BATCH_AUTHORIZE, body).await.ok(200);

        let authorize = async |caller: usize| {
            for round in 0..ROUNDS {
                let body = json!({
                    "app_ids": both[caller % 2], "authorization_type": "ASSIGN_USER",
                    "users": [user(&format!("a{caller}x{round}"))], "del_users": [user(&format!("leaving{caller}"))],
                });
                server.post(BATCH_AUTHORIZE, body).await.ok(200);
            }
        };
        let install = async |caller: usize| {
            for _ in 0..ROUNDS {
                let body = json!({
                    "app_ids": both[caller % 2], "assign_scope": "ASSIGN_USER",
                    "users": [user(&format!("u{caller}"))],
                });
                server.post(BATCH_INSTALL, body).await.ok(200);
            }
        };
        let change = async |id: &str| {
            for round in 1..=ROUNDS {
                let body = json!({"description": format!("round {round}"), "version": format!("2.{round}")});
                server.patch(&format!("{APPS}/{id}"), body).await.ok(200);
            }
        };
        tokio::join!(
            join_all((0..4).map(authorize)),
            join_all((0..4).map(install)),
            change(&first),
            change(&second),
        );

        let expected: BTreeSet<String> = (0..4)
            .flat_map(|caller| {
                let added = (0..ROUNDS).map(move |round| format!("a{caller}x{round}"));
                added.chain([format!("u{caller}")])
            })
            .collect();
        for id in [&first, &second] {
            assert_eq!(authorized(server, id).await, expected);
            let seen = app(server, id).await;
            assert_eq!(seen["description"], format!("round {ROUNDS}"));
            assert_eq!(seen["version"], format!("2.{ROUNDS}"));
        }
        // However many calls ask, a desktop has one open job for an app.
        let jobs = server.get("/v1/{p}/app-center/jobs?limit=100").await.ok(200);
        let pairs: Vec<(&str, &str)> = jobs["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| (job["instance_id"].as_str().unwrap(), job["app_id"].as_str().unwrap()))
            .collect();
        let distinct: BTreeSet<_> = pairs.iter().collect();
        assert_eq!((pairs.len(), distinct.len()), (8, 8), "{jobs}");
        assert_eq!(jobs["count"], 8);
    }

    async fn an_app_is_shown_hidden_and_deleted_while_others_install_it(server: &TestServer) {
        server
            .post("/api/v1/{p}/desktops", json!({"name": "PC", "os_type": "Windows", "users": ["li"]}))
            .await
            .ok(201);
        let id = upload(server, with(linked("editor"), json!({"authorization_type": "ALL_USER"}))).await;
        let ids = json!({"items": [id]});
        let switch = async |verb: &str| {
            for _ in 0..ROUNDS {
                let path = format!("{APPS}/actions/batch-{verb}");
                server.post(&path, ids.clone()).await.ok(200);
            }
        };
        let install = async || {
            let mut answers = Vec::new();
            for _ in 0..ROUNDS {
                let body = json!({"app_ids": [id], "assign_scope": "ALL_USER"});
                answers.push(server.post(BATCH_INSTALL, body).await);
            }
            answers
        };
        let (_, _, first, second) =
            tokio::join!(switch("disable"), switch("enable"), install(), install());
        for answers in [first, second] {
            won(&answers, 200, (409, "WKS.00211107"));
        }
        let delete = async || server.delete(&format!("{APPS}/{id}")).await.ok(200);
        server.post(&format!("{APPS}/actions/batch-enable"), ids.clone()).await.ok(200);
        let (installs, _, _) = tokio::join!(install(), delete(), delete());
        won(&installs, 200, (404, "WKS.00211902"));
        // What was accepted before ends: a deleted app has no open job.
        let open = server.get("/v1/{p}/app-center/jobs?job_status=INIT").await.ok(200);
        assert_eq!(open["count"], 0, "{open}");
    }

    async fn of_callers_who_want_the_same_name_one_gets_it(server: &TestServer) {
        let rule = json!({"name": "Games", "rule": {"scope": "PATH", "path_rule": {"path": "C:\\Games"}}});
        let rules = join_all((0..6).map(|_| server.post("/v1/{p}/app-center/app-rules", rule.clone()))).await;
        assert_eq!(won(&rules, 200, (409, "WKS.00211109")), 1);

        let desktop = json!({"name": "PC", "os_type": "Linux"});
        let made = join_all((0..6).map(|_| server.post("/api/v1/{p}/desktops", desktop.clone()))).await;
        assert_eq!(won(&made, 201, (409, "WKS.0409")), 1);

        // A desktop for one user takes one of those who are attached at once.
        let made = made.into_iter().find(|answer| answer.status == 201).unwrap();
        let id = made.body["id"].as_str().unwrap();
        let attached = join_all((0..6).map(|number| {
            let body = json!({"desktops": [{"desktop_id": id, "user_name": format!("u{number}")}]});
            server.post("/v2/{p}/desktops/attach", body)
        }))
        .await;
        assert_eq!(won(&attached, 200, (409, "WKS.00010032")), 1);
    }
}

#[tokio::test]
async fn a_desktop_with_work_in_progress_is_left_alone_unless_forced() {
    let server = TestServer::start().await;
    let body = json!({"name": "PC", "os_type": "Linux", "users": ["li"]});
    let made = server.post("/api/v1/{p}/desktops", body).await.ok(201);
    let id = made["id"].as_str().unwrap();
    let installing = json!({"desktop_ids": [id]});
    server
        .post("/v2/{p}/desktops/agents", installing)
        .await
        .ok(200);
    server
        .sql("UPDATE workspace_sub_job SET status = 'RUNNING', ended_at = NULL")
        .await;

    let one = json!({"desktop_ids": [id]});
    let named = json!({"desktops": [{"desktop_id": id, "is_detach_all_users": true}]});
    let another = json!({"desktops": [{"desktop_id": id, "user_name": "wang"}]});
    for (path, body) in [
        ("attach", &another),
        ("detach", &one),
        ("batch-detach", &named),
        ("batch-delete", &one),
    ] {
        let answer = server
            .post(&format!("/v2/{{p}}/desktops/{path}"), body.clone())
            .await;
        answer.refused(409, "WKS.00010032", "other work goes on on the desktop PC");
    }
    let path = format!("/v2/{{p}}/desktops/{id}");
    let answer = server.delete(&path).await;
    answer.refused(409, "WKS.00010032", "other work goes on on the desktop PC");
    let seen = server.get(&path).await.ok(200);
    assert_eq!(
        seen["desktop"]["user_list"],
        json!(["li"]),
        "nothing has changed"
    );

    server
        .delete(&format!("{path}?is_force_delete=true"))
        .await
        .ok(204);
    server.get(&path).await.refused(404, "WKS.0404", "desktop");
}
