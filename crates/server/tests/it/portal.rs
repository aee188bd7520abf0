//! End users: who comes in, what their session is good for, what they may have and do.

use outfitter_server::http::operation::Access;
use outfitter_server::http::routes;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::coverage::path_of;
use crate::server::TestServer;

const SESSION: &str = "/api/v1/portal/session";
const GUARD: &str = "x-outfitter-console";

/// A desktop of somebody's, and a ticket as the agent there would get.
struct Person {
    user: String,
    desktop: String,
}

async fn person(server: &TestServer, name: &str, desktop: &str) -> Person {
    let made = server
        .post(
            "/api/v1/{p}/desktops",
            json!({"name": desktop, "os_type": "Linux", "users": [name]}),
        )
        .await
        .ok(201);
    let users = server
        .get(&format!("/v2/{{p}}/users?user_name={name}"))
        .await
        .ok(200);
    Person {
        user: users["users"][0]["id"].as_str().unwrap().to_owned(),
        desktop: made["id"].as_str().unwrap().to_owned(),
    }
}

/// Puts a ticket into the database, as the agent's listener does; answers its text.
async fn ticket(server: &TestServer, person: &Person, text: &str) {
    use sha2::{Digest as _, Sha256};
    let hex = |uuid: &str| uuid.replace('-', "");
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    server
        .sql(&format!(
            "INSERT INTO portal_ticket (ticket_digest, user_id, desktop_id, expires_at) SELECT x'{digest}', u.id, k.id, \
             9999999999999 FROM directory_user u, desktop k WHERE u.public_id = x'{}' AND k.public_id = x'{}'",
            hex(&person.user),
            hex(&person.desktop)
        ))
        .await;
}

async fn enter(server: &TestServer, body: Value) -> Response {
    server
        .anonymous(Method::POST, SESSION)
        .header(GUARD, "1")
        .json(&body)
        .send()
        .await
        .unwrap()
}

fn cookie(response: &Response) -> String {
    let text = response.headers()["set-cookie"].to_str().unwrap();
    assert!(
        text.contains("; Path=/api/v1/; HttpOnly; SameSite=Strict; Max-Age="),
        "{text}"
    );
    text.split_once(';').unwrap().0.to_owned()
}

/// The session of a person, by a ticket.
async fn session(server: &TestServer, person: &Person) -> String {
    let text = format!("ticket-of-{}", person.user);
    ticket(server, person, &text).await;
    let response = enter(server, json!({"ticket": text})).await;
    assert_eq!(response.status(), 201);
    cookie(&response)
}

fn by(server: &TestServer, cookie: &str, method: Method, path: &str) -> RequestBuilder {
    server
        .anonymous(method, path)
        .header("cookie", cookie)
        .header(GUARD, "1")
}

async fn app(server: &TestServer, name: &str, fields: Value) -> String {
    let mut body = json!({"name": name, "version": "1.0", "description": "d", "authorization_type": "ASSIGN_USER",
        "install_type": "QUIET_INSTALL", "install_command": "/bin/sh ${FILE_PATH}", "support_os": "Linux",
        "catalog_id": "2", "install_info": "Close your documents.",
        "app_file_store": {"store_type": "LINK", "file_link": "https://packages.example/a.sh"}});
    for (member, value) in fields.as_object().unwrap() {
        body[member] = value.clone();
    }
    let made = server.post("/v1/{p}/app-center/apps", body).await.ok(200);
    made["id"].as_str().unwrap().to_owned()
}

async fn authorize(server: &TestServer, app: &str, name: &str) {
    let body = json!({"app_ids": [app], "authorization_type": "ASSIGN_USER",
        "users": [{"account": name, "account_type": "SIMPLE"}]});
    server
        .post(
            "/v1/{p}/app-center/apps/actions/batch-assign-authorization",
            body,
        )
        .await;
}

async fn apps(server: &TestServer, cookie: &str, desktop: &str) -> Value {
    let path = format!("/api/v1/{{p}}/portal/apps?desktop_id={desktop}&limit=100");
    TestServer::send(by(server, cookie, Method::GET, &path))
        .await
        .ok(200)["items"]
        .clone()
}

#[tokio::test]
async fn a_session_of_an_end_user_is_good_for_the_portal_alone() {
    let server = TestServer::start().await;
    let ana = person(&server, "ana", "ANA-DESK").await;
    let cookie = session(&server, &ana).await;
    let text = cookie.split_once('=').unwrap().1.to_owned();
    let (mut refused, mut own, mut wrong) = (0, 0, Vec::new());
    for entry in routes().entries() {
        let operation = &entry.operation;
        if matches!(operation.access, Access::Open | Access::TokenInBody) {
            continue;
        }
        let path = path_of(operation);
        // However it is shown: in its cookie, in the console's, or as a token.
        let ways = [
            ("cookie", cookie.clone()),
            ("cookie", format!("outfitter_session={text}")),
            ("x-auth-token", text.clone()),
        ];
        for (at, (header, value)) in ways.into_iter().enumerate() {
            let request = server
                .anonymous(operation.method.clone(), &path)
                .header(header, value)
                .header(GUARD, "1");
            let mut response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let is_portal = operation.access == Access::EndUser;
            let is_right = match (is_portal, at) {
                (true, 0) => !matches!(status, 401 | 403 | 500..),
                (true, _) => status == 403,
                (false, _) => status == 401,
            };
            own += usize::from(is_portal && at == 0);
            refused += usize::from(!is_portal || at > 0);
            if !is_right {
                wrong.push(format!(
                    "{} {at}: {status} {:?}",
                    operation.id,
                    response.chunk().await
                ));
            }
        }
    }
    println!("{refused} ways refused, {own} routes of their own");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(own >= 8 && refused > 300, "{own} {refused}");

    // Nor for another project, nor for a page of another origin.
    let elsewhere = "/api/v1/5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10/portal/apps?desktop_id=x";
    TestServer::send(by(&server, &cookie, Method::GET, elsewhere))
        .await
        .refused(403, "WKS.00081102", "permission");
    let foreign = server
        .anonymous(Method::DELETE, SESSION)
        .header("cookie", &cookie);
    TestServer::send(foreign)
        .await
        .refused(403, "APIGW.0302", "not made by the console");
    server.stop().await;
}

#[tokio::test]
async fn a_ticket_lets_its_user_in_once_and_on_its_desktop_alone() {
    let server = TestServer::start().await;
    let ana = person(&server, "ana", "ANA-DESK").await;
    let other = person(&server, "ana", "ANA-LAPTOP").await;
    ticket(&server, &ana, "first").await;
    let response = enter(&server, json!({"ticket": "first"})).await;
    assert_eq!(response.status(), 201);
    let cookie = cookie(&response);
    let shown: Value = response.json().await.unwrap();
    assert_eq!(
        (
            &shown["user_name"],
            &shown["is_of_desktop"],
            &shown["desktops"].as_array().unwrap().len().into()
        ),
        (&json!("ana"), &json!(true), &json!(1))
    );
    assert_eq!(shown["desktops"][0]["name"], "ANA-DESK");
    let again = TestServer::send(
        server
            .anonymous(Method::POST, SESSION)
            .header(GUARD, "1")
            .json(&json!({"ticket": "first"})),
    )
    .await;
    again.refused(401, "APIGW.0301", "ticket");
    // What counted for nothing is no deed in the audit log.
    let listed = server
        .in_domain(Method::GET, "/api/v1/audit?limit=100&outcome=done", None)
        .await
        .ok(200);
    let items = listed["items"].as_array().unwrap().iter();
    let entries = items.filter(|it| it["operation"] == "CreatePortalSession");
    assert_eq!(entries.count(), 1, "{listed}");
    // Her other desktop is hers, and not this session's.
    let path = format!("/api/v1/{{p}}/portal/apps?desktop_id={}", other.desktop);
    TestServer::send(by(&server, &cookie, Method::GET, &path))
        .await
        .refused(404, "WKS.00211902", "desktop");
    for (body, field) in [
        (json!({}), "user_name"),
        (json!({"user_name": "ana"}), "password"),
        (json!({"ticket": "x", "user_name": "ana"}), "ticket"),
        (json!({"user_name": "ana", "password": "x"}), "project_id"),
    ] {
        let request = server
            .anonymous(Method::POST, SESSION)
            .header(GUARD, "1")
            .json(&body);
        TestServer::send(request)
            .await
            .refused(400, "WKS.00211102", field);
    }
    // Whoever is disabled is out with the next call.
    server.sql("UPDATE directory_user SET disabled = 1").await;
    TestServer::send(by(&server, &cookie, Method::GET, SESSION))
        .await
        .refused(403, "APIGW.0302", "not authorized");
    server.sql("UPDATE directory_user SET disabled = 0").await;
    let left = by(&server, &cookie, Method::DELETE, SESSION)
        .send()
        .await
        .unwrap();
    assert_eq!(left.status(), 204);
    assert!(
        left.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .starts_with("outfitter_portal=;")
    );
    server.stop().await;
}

async fn a_user_installs_defers_and_cancels(server: TestServer) {
    let ana = person(&server, "ana", "ANA-DESK").await;
    let ben = person(&server, "ben", "BEN-DESK").await;
    let hers = session(&server, &ana).await;
    let his = session(&server, &ben).await;
    let app_id = app(&server, "Notes", json!({})).await;
    let gui = app(
        &server,
        "Wizard",
        json!({"install_type": "GUI_INSTALL", "authorization_type": "ALL_USER"}),
    )
    .await;
    assert_eq!(
        apps(&server, &hers, &ana.desktop).await[0]["name"],
        "Wizard"
    );
    authorize(&server, &app_id, "ana").await;

    let seen = apps(&server, &hers, &ana.desktop).await;
    assert_eq!(seen[0]["name"], "Notes");
    assert_eq!(
        (
            &seen[0]["standing"],
            &seen[0]["acts"],
            &seen[0]["install_info"]
        ),
        (
            &json!("absent"),
            &json!(["install"]),
            &json!("Close your documents.")
        )
    );
    assert_eq!(
        (&seen[1]["standing"], &seen[1]["acts"]),
        (&json!("absent"), &json!(["install"]))
    );
    assert_eq!(
        apps(&server, &his, &ben.desktop)
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let install = |cookie: &str, app: &str, desktop: &str| {
        by(
            &server,
            cookie,
            Method::POST,
            &format!("/api/v1/{{p}}/portal/apps/{app}/actions/install"),
        )
        .json(&json!({"desktop_id": desktop}))
    };
    // Not his app, not his desktop.
    TestServer::send(install(&his, &app_id, &ben.desktop))
        .await
        .refused(404, "WKS.00211902", "application");
    TestServer::send(install(&his, &app_id, &ana.desktop))
        .await
        .refused(404, "WKS.00211902", "desktop");
    // It asks questions: opened at her desktop, in her session.
    let opened = TestServer::send(install(&hers, &gui, &ana.desktop))
        .await
        .ok(200);
    assert_eq!(
        (&opened["standing"], &opened["job"]["by_user"]),
        (&json!("waiting"), &json!(true))
    );
    let accepted = TestServer::send(install(&hers, &app_id, &ana.desktop))
        .await
        .ok(200);
    assert_eq!(
        (
            &accepted["standing"],
            &accepted["acts"],
            &accepted["job"]["by_user"],
            &accepted["job"]["state"]
        ),
        (
            &json!("waiting"),
            &json!(["cancel"]),
            &json!(true),
            &json!("waiting")
        )
    );
    TestServer::send(install(&hers, &app_id, &ana.desktop))
        .await
        .refused(409, "WKS.0409", "already");
    // An administrator sees it as any deployment, and who asked.
    let deployments = server.get("/api/v1/{p}/deployments").await.ok(200);
    assert_eq!(
        (&deployments["count"], &deployments["items"][0]["operator"]),
        (&json!(2), &json!("ana"))
    );
    let audit = server
        .get("/api/v1/{p}/audit?action=outfitter:operations:InstallPortalApp")
        .await
        .ok(200);
    let entry = &audit["items"][0];
    assert_eq!(
        (&entry["actor"]["kind"], &entry["actor"]["name"]),
        (&json!("endUser"), &json!("ana")),
        "{audit}"
    );

    let job = accepted["job"]["id"].as_str().unwrap().to_owned();
    let act = |cookie: &str, job: &str, act: &str, body: Value| {
        by(
            &server,
            cookie,
            Method::POST,
            &format!("/api/v1/{{p}}/portal/jobs/{job}/actions/{act}"),
        )
        .json(&body)
    };
    TestServer::send(act(&his, &job, "cancel", json!({})))
        .await
        .refused(404, "WKS.00211902", "job");
    TestServer::send(act(&hers, &job, "defer", json!({"minutes": 60})))
        .await
        .refused(409, "WKS.0409", "administrator sent");
    let stopped = TestServer::send(act(&hers, &job, "cancel", json!({})))
        .await
        .ok(200);
    assert_eq!(stopped["state"], "cancelled");
    TestServer::send(act(&hers, &job, "cancel", json!({})))
        .await
        .refused(409, "WKS.0409", "ended");

    // What an administrator sends is put off, not stopped, and not removed.
    let push = json!({"app_ids": [app_id], "desktop_ids": [ana.desktop]});
    server.post("/api/v1/{p}/deployments", push).await.ok(201);
    let sent = apps(&server, &hers, &ana.desktop).await[0].clone();
    assert_eq!(
        (&sent["acts"], &sent["job"]["by_user"]),
        (&json!(["defer"]), &json!(false))
    );
    let sent = sent["job"]["id"].as_str().unwrap().to_owned();
    TestServer::send(act(&hers, &sent, "cancel", json!({})))
        .await
        .refused(409, "WKS.0409", "did not ask");
    let put_off = TestServer::send(act(&hers, &sent, "defer", json!({"minutes": 60})))
        .await
        .ok(200);
    assert!(put_off["waits_until"].is_string(), "{put_off}");
    TestServer::send(act(&hers, &sent, "defer", json!({"minutes": 1441})))
        .await
        .refused(400, "WKS.00211102", "minutes");
    let remove = by(
        &server,
        &hers,
        Method::POST,
        &format!("/api/v1/{{p}}/portal/apps/{app_id}/actions/remove"),
    )
    .json(&json!({"desktop_id": ana.desktop}));
    TestServer::send(remove)
        .await
        .refused(409, "WKS.0409", "already");
    let history = format!("/api/v1/{{p}}/portal/history?desktop_id={}", ana.desktop);
    let history = TestServer::send(by(&server, &hers, Method::GET, &history))
        .await
        .ok(200);
    assert_eq!(
        (&history["count"], &history["items"][1]["state"]),
        (&json!(3), &json!("cancelled"))
    );

    // An app that is revoked is not seen any more, nor is what was done with it.
    server.sql("DELETE FROM app_authorization").await;
    let left = apps(&server, &hers, &ana.desktop).await;
    assert_eq!(left.as_array().unwrap().len(), 1);
    TestServer::send(install(&hers, &app_id, &ana.desktop))
        .await
        .refused(404, "WKS.00211902", "application");
    TestServer::send(act(&hers, &sent, "defer", json!({"minutes": 60})))
        .await
        .refused(404, "WKS.00211902", "job");
    server.stop().await;
}

#[tokio::test]
async fn a_user_installs_defers_and_cancels_what_is_theirs_on_sqlite() {
    a_user_installs_defers_and_cancels(TestServer::start().await).await;
}

#[tokio::test]
async fn nobody_logs_in_with_a_password_where_no_directory_is_connected() {
    let server = TestServer::start().await;
    let methods = server.anonymous(Method::GET, "/api/v1/portal/login-methods");
    assert_eq!(
        TestServer::send(methods).await.ok(200),
        json!({"password": false})
    );
    server.stop().await;
}
