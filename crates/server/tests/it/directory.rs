use reqwest::Method;
use serde_json::{Value, json};

use crate::server::TestServer;

fn user(name: &str) -> Value {
    json!({"user_name": name, "active_type": "ADMIN_ACTIVATE", "password": "Passw0rd"})
}

async fn group_id(server: &TestServer, name: &str) -> String {
    let listed = server
        .get(&format!("/v2/{{p}}/groups?keyword={name}"))
        .await
        .ok(200);
    listed["user_groups"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_user_is_created_shown_changed_and_deleted() {
    let server = TestServer::start().await;
    let made = server
        .post(
            "/v2/{p}/users",
            json!({
                "user_name": "li", "user_email": "li@example.com", "description": "Sales",
                "account_expires": "2030-01-02T03:04:05Z", "domain": null,
            }),
        )
        .await
        .ok(201);
    let path = format!("/v2/{{p}}/users/{}", made["id"].as_str().unwrap());
    let shown = server.get(&path).await.ok(200)["user_detail"].clone();
    assert_eq!(shown["user_name"], "li");
    assert_eq!(shown["active_type"], "USER_ACTIVATE");
    assert_eq!(shown["account_expires"], 1_893_553_445_000_i64);
    assert_eq!(shown["enable_change_password"], true);
    assert_eq!(shown["enabled_change_password"], true);
    assert_eq!(shown["total_desktops"], 0);

    let changed = server
        .put(
            &path,
            json!({"description": "Moved", "disabled": true, "account_expires": "0", "user_phone": null}),
        )
        .await
        .ok(200);
    assert_eq!(changed["id"], made["id"]);
    let listed = server
        .get("/v2/{p}/users?user_name=L&disabled=true")
        .await
        .ok(200);
    assert_eq!(listed["total_count"], 1);
    let listed = listed["users"][0].clone();
    assert_eq!(
        (
            &listed["description"],
            &listed["account_expires"],
            &listed["user_email"],
            &listed["domain"]
        ),
        (
            &json!("Moved"),
            &json!("0"),
            &json!("li@example.com"),
            &json!("local.com")
        )
    );

    server.delete(&path).await.ok(204);
    for answer in [
        server.get(&path).await,
        server.delete(&path).await,
        server.put(&path, json!({"description": "x"})).await,
        server.get("/v2/{p}/users/no-such").await,
    ] {
        answer.refused(400, "WKS.00170312", "user");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_user_needs_depends_on_who_activates() {
    let server = TestServer::start().await;
    let path = "/v2/{p}/users";
    for (body, code, part) in [
        (json!({"user_name": "a"}), "WKS.0001", "user_email"),
        (
            json!({"user_name": "a", "active_type": "ADMIN_ACTIVATE"}),
            "WKS.0001",
            "password",
        ),
        (
            json!({"user_name": "a", "active_type": "ADMIN_ACTIVATE", "password": "Short-1"}),
            "WKS.0001",
            "password",
        ),
        (
            json!({"user_name": "a", "active_type": "ADMIN_ACTIVATE", "password": "simple99"}),
            "WKS.00170101",
            "password",
        ),
        (
            json!({"user_name": "a b", "user_email": "a@b.c"}),
            "WKS.0001",
            "user_name",
        ),
        (
            json!({"user_name": "a", "user_email": "a@b.c", "account_expires": "soon"}),
            "WKS.0001",
            "account_expires",
        ),
        (
            json!({"user_name": "a", "user_email": "a@b.c", "group_ids": ["x"]}),
            "WKS.00170208",
            "group",
        ),
    ] {
        server.post(path, body).await.refused(400, code, part);
    }
    // A user of the company's directory has its password there.
    let of_ad =
        json!({"user_name": "a", "active_type": "ADMIN_ACTIVATE", "domain": "corp.example"});
    server.post(path, of_ad).await.ok(201);
    server.post(path, user("a")).await.ok(201);
    server
        .post(path, user("A"))
        .await
        .refused(400, "WKS.0409", "A");
    let listed = server.get("/v2/{p}/users?platform_type=AD").await.ok(200);
    assert_eq!(listed["total_count"], 1);
    server
        .get("/v2/{p}/users?limit=x")
        .await
        .refused(400, "WKS.0001", "limit");
    let page = server.get("/v2/{p}/users?limit=1&offset=1").await.ok(200);
    assert_eq!(
        (
            page["total_count"].clone(),
            page["users"].as_array().unwrap().len()
        ),
        (json!(2), 1)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_batch_is_done_whole_or_not_at_all() {
    let server = TestServer::start().await;
    server
        .post(
            "/v2/{p}/users/batch-create",
            json!({"users": [user("a"), user("A")]}),
        )
        .await
        .refused(400, "WKS.0409", "A");
    server
        .post(
            "/v2/{p}/users/batch-create",
            json!({"users": [user("a"), {"user_name": "b"}]}),
        )
        .await
        .refused(400, "WKS.0001", "users[1].user_email");
    assert_eq!(server.get("/v2/{p}/users").await.ok(200)["total_count"], 0);

    let created = server
        .post(
            "/v2/{p}/users/batch-create",
            json!({"users": [user("a"), user("b")]}),
        )
        .await;
    assert_eq!(created.ok(200), Value::Null);
    let listed = server
        .get("/v2/{p}/users?user_names=a,B&user_names=c")
        .await
        .ok(200);
    let ids: Vec<Value> = listed["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["id"].clone())
        .collect();
    assert_eq!(ids.len(), 2);
    server
        .post(
            "/v2/{p}/users/batch-delete",
            json!({"user_ids": [ids[0], "no-such"]}),
        )
        .await
        .refused(400, "WKS.00170312", "user");
    server
        .post("/v2/{p}/users/batch-delete", json!({"user_ids": ids}))
        .await
        .ok(204);
    assert_eq!(server.get("/v2/{p}/users").await.ok(200)["total_count"], 0);
    server.stop().await;
}

#[tokio::test]
async fn groups_have_members_and_names_of_their_own() {
    let server = TestServer::start().await;
    let made = server
        .post(
            "/v2/{p}/groups",
            json!({"group_name": "Staff", "platform_type": "LOCAL"}),
        )
        .await;
    assert_eq!(made.ok(201), Value::Null);
    server
        .post(
            "/v2/{p}/groups",
            json!({"group_name": "Admins", "platform_type": "AD"}),
        )
        .await
        .ok(201);
    server
        .post(
            "/v2/{p}/groups",
            json!({"group_name": "STAFF", "platform_type": "LOCAL"}),
        )
        .await
        .refused(400, "WKS.0409", "STAFF");
    server
        .post(
            "/v2/{p}/groups",
            json!({"group_name": " ", "platform_type": "LOCAL"}),
        )
        .await
        .refused(400, "WKS.0001", "group_name");
    server
        .post("/v2/{p}/groups", json!({"group_name": "x"}))
        .await
        .refused(400, "WKS.0001", "platform_type");

    let staff = group_id(&server, "staff").await;
    let li = json!({"user_name": "li", "user_email": "li@example.com", "group_ids": [staff]});
    server.post("/v2/{p}/users", li).await.ok(201);
    let wang = server.post("/v2/{p}/users", user("wang")).await.ok(201)["id"].clone();
    let actions = format!("/v2/{{p}}/groups/{staff}/actions");
    for _ in 0..2 {
        server
            .post(&actions, json!({"op_type": "ADD", "user_ids": [wang]}))
            .await
            .ok(200);
    }
    let members = server
        .get(&format!("/v2/{{p}}/groups/{staff}/users"))
        .await
        .ok(200);
    assert_eq!(members["total_count"], 2);
    let listed = server
        .get("/v2/{p}/groups?keyword=STA&platform_type=LOCAL,UOS")
        .await
        .ok(200);
    assert_eq!(
        (
            &listed["total_count"],
            &listed["user_groups"][0]["user_quantity"]
        ),
        (&json!(1), &json!(2))
    );
    let of_group = server.get("/v2/{p}/users?group_name=staff").await.ok(200);
    assert_eq!(of_group["users"][0]["group_names"], json!(["Staff"]));
    server
        .post(&actions, json!({"op_type": "DELETE", "user_ids": [wang]}))
        .await
        .ok(200);
    let members = server
        .get(&format!("/v2/{{p}}/groups/{staff}/users?user_name=L"))
        .await
        .ok(200);
    assert_eq!(members["users"][0]["user_name"], "li");
    server
        .post(&actions, json!({"op_type": "ADD", "user_ids": ["x"]}))
        .await
        .refused(400, "WKS.00170312", "user");

    let path = format!("/v2/{{p}}/groups/{staff}");
    server
        .put(&path, json!({"group_name": "Team", "description": "us"}))
        .await
        .ok(200);
    assert_eq!(group_id(&server, "team").await, staff);
    let admins = group_id(&server, "admins").await;
    server
        .put(
            &format!("/v2/{{p}}/groups/{admins}"),
            json!({"group_name": "Other"}),
        )
        .await
        .refused(400, "WKS.0001", "AD group");
    server
        .post(
            "/v2/{p}/groups/batch-delete",
            json!({"group_ids": [staff, "x"]}),
        )
        .await
        .refused(400, "WKS.00170208", "group");
    server.call(Method::DELETE, &path, None).await.ok(204);
    server
        .delete(&path)
        .await
        .refused(400, "WKS.00170208", "group");
    server
        .post(&actions, json!({"op_type": "ADD", "user_ids": [wang]}))
        .await
        .refused(400, "WKS.00170208", "group");
    server
        .post(
            "/v2/{p}/groups/batch-delete",
            json!({"group_ids": [admins]}),
        )
        .await
        .ok(204);
    assert_eq!(server.get("/v2/{p}/groups").await.ok(200)["total_count"], 0);
    server
        .get("/v2/{p}/groups?limit=101")
        .await
        .refused(400, "WKS.0001", "limit");
    server.stop().await;
}
