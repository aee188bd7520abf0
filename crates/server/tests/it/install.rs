use reqwest::Method;
use serde_json::{Value, json};

use crate::apps::{APPS, linked, upload, with};
use crate::server::TestServer;

const JOBS: &str = "/v1/{p}/app-center/jobs";
const BATCH: &str = "/v1/{p}/app-center/apps/actions/batch-auto-install";
const RETRY: &str = "/v1/{p}/app-center/jobs/actions/retry";
const DELETE: &str = "/v1/{p}/app-center/jobs/actions/batch-delete";

async fn desktop(server: &TestServer, name: &str, users: &[&str]) -> String {
    let body = json!({"name": name, "os_type": "Windows", "users": users});
    let made = server.post("/api/v1/{p}/desktops", body).await.ok(201);
    made["id"].as_str().unwrap().to_owned()
}

/// Posts an install call; answers the id of its deployment.
async fn accepted(server: &TestServer, path: &str, body: Value) -> String {
    let answer = server
        .request(Method::POST, path)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-length"], "0");
    let id = answer.headers()["x-deployment-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(answer.bytes().await.unwrap().len(), 0);
    id
}

async fn deployment(server: &TestServer, id: &str) -> Value {
    server
        .get(&format!("/api/v1/{{p}}/deployments/{id}"))
        .await
        .ok(200)
}

async fn jobs(server: &TestServer, query: &str) -> Value {
    server
        .get(&format!("{JOBS}?limit=100&{query}"))
        .await
        .ok(200)
}

fn user(name: &str) -> Value {
    json!({"account": name, "account_type": "SIMPLE"})
}

#[tokio::test]
async fn a_batch_for_users_widens_opens_jobs_and_says_what_it_did() {
    let server = TestServer::start().await;
    let first = desktop(&server, "d1", &["li", "zoe"]).await;
    desktop(&server, "d2", &["wang"]).await;
    desktop(&server, "d3", &[]).await;
    let windows = upload(&server, linked("a")).await;
    let linux = upload(&server, with(linked("b"), json!({"support_os": "Linux"}))).await;
    let body = json!({"app_ids": [windows, linux], "assign_scope": "ASSIGN_USER",
        "users": [user("LI"), user("nobody")]});
    let id = accepted(&server, BATCH, body.clone()).await;

    // Whoever lists right after the call sees the jobs.
    let listed = jobs(&server, "").await;
    assert_eq!(listed["count"], 1, "{listed}");
    let job = &listed["items"][0];
    assert_eq!(job["app_id"], windows.as_str());
    assert_eq!(job["instance_id"], first.as_str());
    for (member, value) in [
        ("job_status", "INIT"),
        ("target", "li"),
        ("app_name", "a"),
        ("app_version", "1.0"),
        ("instance_name", "d1"),
    ] {
        assert_eq!(job[member], value);
    }
    assert!(job.get("error_message").is_none());
    assert_eq!(job["create_time"], job["update_time"]);

    let shown = deployment(&server, &id).await;
    assert_eq!(shown["state"], "running");
    assert_eq!(shown["counts"]["jobs_init"], 1);
    assert_eq!(shown["desktops_reached"]["items"][0]["other_users"], 1);
    assert_eq!(
        shown["desktops_skipped"]["items"][0]["reason"],
        "os_mismatch"
    );
    assert_eq!(shown["accounts_unknown"]["items"][0]["account"], "nobody");
    assert_eq!(shown["authorizations_widened"]["count"], 4);
    let accounts = server
        .get(&format!("{APPS}/{windows}/authorizations"))
        .await
        .ok(200);
    assert_eq!(accounts["count"], 2);

    // The same again opens nothing.
    let again = accepted(&server, BATCH, body).await;
    assert_eq!(jobs(&server, "").await["count"], 1);
    let shown = deployment(&server, &again).await;
    assert_eq!(shown["state"], "ended");
    assert_eq!(shown["authorizations_widened"]["count"], 0);
    let reasons: Vec<_> = shown["desktops_skipped"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skipped| skipped["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["job_in_progress", "os_mismatch"]);
    let listed = server
        .get(&format!("/api/v1/{{p}}/deployments?app_id={linux}"))
        .await
        .ok(200);
    assert_eq!(listed["count"], 2);
    assert_eq!(listed["items"][0]["id"], again.as_str());
    server.stop().await;
}

#[tokio::test]
async fn a_batch_for_everyone_opens_the_app_to_everyone() {
    let server = TestServer::start().await;
    for name in ["d1", "d2"] {
        desktop(&server, name, &[]).await;
    }
    let app = upload(&server, linked("a")).await;
    let body = json!({"app_ids": [app], "assign_scope": "ALL_USER", "users": [user("ignored")]});
    let id = accepted(&server, BATCH, body).await;
    let listed = jobs(&server, "").await;
    assert_eq!(listed["count"], 2);
    assert!(listed["items"][0].get("target").is_none());
    let shown = deployment(&server, &id).await;
    assert_eq!(shown["assign_scope"], "ALL_USER");
    assert_eq!(shown["accounts_unknown"]["count"], 0);
    let apps = server.get(APPS).await.ok(200);
    assert_eq!(apps["items"][0]["authorization_type"], "ALL_USER");
    server.stop().await;
}

#[tokio::test]
async fn one_app_goes_to_whoever_is_authorized_unless_users_are_named() {
    let server = TestServer::start().await;
    desktop(&server, "d1", &["li"]).await;
    desktop(&server, "d2", &["wang"]).await;
    let app = upload(&server, linked("a")).await;
    let path = format!("{APPS}/{app}/actions/auto-install");
    // Nobody is authorized: accepted, and nobody is reached.
    accepted(&server, &path, json!({})).await;
    assert_eq!(jobs(&server, "").await["count"], 0);
    server
        .post(
            &format!("{APPS}/{app}/actions/assign-authorizations"),
            json!({"authorization_type": "ASSIGN_USER", "users": [user("li")]}),
        )
        .await
        .ok(200);
    let id = accepted(&server, &path, json!({"users": null})).await;
    assert_eq!(jobs(&server, "target=li").await["count"], 1);
    assert_eq!(jobs(&server, "").await["count"], 1);
    let shown = deployment(&server, &id).await;
    assert_eq!(shown["authorizations_widened"]["count"], 0);
    accepted(&server, &path, json!({"users": [user("wang")]})).await;
    assert_eq!(jobs(&server, "target=wang").await["count"], 1);
    let accounts = server
        .get(&format!("{APPS}/{app}/authorizations"))
        .await
        .ok(200);
    assert_eq!(accounts["count"], 2);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_installed_refuses_the_whole_call() {
    let server = TestServer::start().await;
    desktop(&server, "d1", &["li"]).await;
    let good = upload(&server, linked("good")).await;
    let person = upload(
        &server,
        with(linked("gui"), json!({"install_type": "GUI_INSTALL"})),
    )
    .await;
    let silent = upload(
        &server,
        with(linked("mute"), json!({"install_command": null})),
    )
    .await;
    let hidden = upload(&server, linked("hidden")).await;
    server
        .post(
            &format!("{APPS}/actions/batch-disable"),
            json!({"items": [hidden]}),
        )
        .await
        .ok(200);
    let bucket = format!("wks-appcenter-{}", server.project);
    let absent = upload(
        &server,
        with(
            linked("absent"),
            json!({"app_file_store": {"store_type": "OBS", "bucket_store":
                {"bucket_name": bucket, "bucket_file_path": "app-file/none.exe"}}}),
        ),
    )
    .await;
    let batch = |apps: &[&str]| json!({"app_ids": apps, "assign_scope": "ALL_USER"});
    for (app, status, code, part) in [
        (person.as_str(), 400, "WKS.00211102", "GUI_INSTALL"),
        (&silent, 400, "WKS.00211102", "install_command"),
        (&hidden, 409, "WKS.00211107", "hidden"),
        (&absent, 409, "WKS.00211106", "download link"),
        ("no-such-app", 404, "WKS.00211902", "application"),
        (
            "00000000-0000-7000-8000-000000000000",
            404,
            "WKS.00211902",
            "application",
        ),
    ] {
        server
            .post(BATCH, batch(&[&good, app]))
            .await
            .refused(status, code, part);
    }
    for (body, part) in [
        (
            json!({"app_ids": [good], "assign_scope": "ASSIGN_USER"}),
            "users",
        ),
        (
            json!({"app_ids": [good], "assign_scope": "ASSIGN_USER", "users": []}),
            "users",
        ),
        (
            json!({"app_ids": [good], "assign_scope": "ASSIGN_USER", "users": [user("li"), user("LI")]}),
            "users",
        ),
        (
            json!({"app_ids": [good, good], "assign_scope": "ALL_USER"}),
            "app_ids",
        ),
    ] {
        server
            .post(BATCH, body)
            .await
            .refused(400, "WKS.00211102", part);
    }
    let one = |app: &str| format!("{APPS}/{app}/actions/auto-install");
    for (app, body, part) in [
        (&good, json!({"users": []}), "users"),
        (&silent, json!({}), "install_command"),
        (
            &good,
            json!({"install_command": "a\u{0}b"}),
            "install_command",
        ),
    ] {
        server
            .post(&one(app), body)
            .await
            .refused(400, "WKS.00211102", part);
    }
    assert_eq!(jobs(&server, "").await["count"], 0);
    let apps = server.get(&format!("{APPS}?name=good")).await.ok(200);
    assert_eq!(apps["items"][0]["authorization_type"], "ASSIGN_USER");
    // A command for this run makes up for the stored one.
    accepted(
        &server,
        &one(&silent),
        json!({"install_command": "${FILE_PATH} /S", "users": [user("li")]}),
    )
    .await;
    assert_eq!(jobs(&server, "").await["count"], 1);
    server.stop().await;
}

#[tokio::test]
async fn jobs_are_filtered_retried_and_deleted() {
    let server = TestServer::start().await;
    let first = desktop(&server, "d1", &["li"]).await;
    desktop(&server, "d2", &[]).await;
    let app = upload(&server, linked("a")).await;
    let other = upload(&server, linked("b")).await;
    let body = json!({"app_ids": [app, other], "assign_scope": "ALL_USER"});
    accepted(&server, BATCH, body).await;
    for (query, count) in [
        (String::new(), 4),
        (format!("app_id={app}"), 2),
        (format!("instance_id={first}"), 2),
        (
            format!("app_id={app}&instance_id={first}&target=li&job_status=INIT"),
            1,
        ),
        ("job_status=FAIL".to_owned(), 0),
        ("app_id=nothing".to_owned(), 0),
        ("instance_id=nothing".to_owned(), 0),
        ("target=LI".to_owned(), 0),
    ] {
        assert_eq!(jobs(&server, &query).await["count"], count, "{query}");
    }
    server
        .get(&format!("{JOBS}?limit=101"))
        .await
        .refused(400, "WKS.00211102", "limit");
    let page = server
        .get(&format!("{JOBS}?limit=3&offset=3"))
        .await
        .ok(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 1);

    let listed = jobs(&server, &format!("app_id={app}")).await;
    let ids: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["id"].clone())
        .collect();
    server.post(RETRY, json!({"items": ids})).await.refused(
        409,
        "WKS.00211202",
        "Retry not supported",
    );
    server
        .post(RETRY, json!({"items": [ids[0], "nothing"]}))
        .await
        .refused(404, "WKS.00211902", "job");
    // The deleted app's jobs FAIL with the reason; they cannot be retried.
    server.delete(&format!("{APPS}/{app}")).await.ok(200);
    let failed = jobs(&server, "job_status=FAIL").await;
    assert_eq!(failed["count"], 2);
    assert_eq!(
        failed["items"][0]["error_message"],
        "The application was deleted."
    );
    assert_eq!(failed["items"][0]["app_name"], "a");
    server
        .post(RETRY, json!({"items": ids}))
        .await
        .refused(404, "WKS.00211902", "application");
    let attempts = format!("/api/v1/{{p}}/jobs/{}/attempts", ids[0].as_str().unwrap());
    assert_eq!(server.get(&attempts).await.ok(200)["count"], 0);
    server
        .get("/api/v1/{p}/jobs/nothing/attempts")
        .await
        .refused(404, "WKS.00211902", "job");
    server
        .get("/api/v1/{p}/deployments/nothing")
        .await
        .refused(404, "WKS.00211902", "deployment");
    server
        .post(DELETE, json!({"items": [ids[0], ids[1], "nothing"]}))
        .await
        .ok(200);
    assert_eq!(jobs(&server, "").await["count"], 2);
    assert_eq!(jobs(&server, &format!("app_id={app}")).await["count"], 0);
    server.stop().await;
}

#[tokio::test]
async fn installs_are_refused_while_the_app_center_is_off_and_nothing_else_is() {
    let server = TestServer::start().await;
    let desktop_id = desktop(&server, "d1", &["li"]).await;
    let body = with(linked("a"), json!({"authorization_type": "ALL_USER"}));
    let app = upload(&server, body).await;
    let one = format!("{APPS}/{app}/actions/auto-install");
    accepted(&server, &one, json!({})).await;
    let open = jobs(&server, "").await;
    let profiles = "/v1/{p}/app-center/profiles";
    server
        .patch(profiles, json!({"app_center": false}))
        .await
        .ok(200);

    // Contract, semantics, section 8: auto-install calls answer 403. A body that breaks a rule comes first.
    let batch = json!({"app_ids": [app], "assign_scope": "ASSIGN_USER", "users": [user("wang")]});
    for (path, body) in [(one.as_str(), json!({})), (BATCH, batch.clone())] {
        server
            .post(path, body)
            .await
            .refused(403, "WKS.00081102", "permission");
    }
    // Nor is it told whether an app exists.
    server
        .post(&format!("{APPS}/nobody/actions/auto-install"), json!({}))
        .await
        .refused(403, "WKS.00081102", "permission");
    server
        .post(BATCH, json!({"app_ids": [], "assign_scope": "ALL_USER"}))
        .await
        .refused(400, "WKS.00211102", "app_ids");
    assert_eq!(jobs(&server, "").await, open, "no job was opened");
    let authorizations = server
        .get(&format!("{APPS}/{app}/authorizations"))
        .await
        .ok(200);
    assert_eq!(authorizations["count"], 0, "nobody was authorized");

    // Retry is no auto-install call: what was accepted before goes on.
    let job = open["items"][0]["id"].clone();
    assert_eq!(open["items"][0]["instance_id"], desktop_id.as_str());
    server.post(RETRY, json!({"items": [job]})).await.refused(
        409,
        "WKS.00211202",
        "Retry not supported",
    );

    server
        .patch(profiles, json!({"app_center": true}))
        .await
        .ok(200);
    accepted(&server, BATCH, batch).await;
    server.stop().await;
}

#[tokio::test]
async fn an_uninstall_is_a_deployment_of_its_own_and_no_install_job() {
    let server = TestServer::start().await;
    let one = desktop(&server, "d1", &["li"]).await;
    desktop(&server, "d2", &[]).await;
    let bare = upload(&server, linked("bare")).await;
    let app = upload(
        &server,
        with(linked("a"), json!({"uninstall_command": "${FILE_PATH} /U"})),
    )
    .await;
    const UNINSTALL: &str = "/api/v1/{p}/deployments/uninstall";
    // Nothing tells how, nobody is named, or too much is.
    for (body, status, code, word) in [
        (
            json!({"app_ids": [bare], "assign_scope": "ALL_USER"}),
            400,
            "WKS.00211102",
            "uninstall_command",
        ),
        (
            json!({"app_ids": [app]}),
            400,
            "WKS.00211102",
            "assign_scope",
        ),
        (
            json!({"app_ids": [app], "assign_scope": "ASSIGN_USER"}),
            400,
            "WKS.00211102",
            "users",
        ),
        (
            json!({"app_ids": [app], "users": [user("li")], "desktop_ids": [one]}),
            400,
            "WKS.00211102",
            "desktop_ids",
        ),
        (
            json!({"app_ids": ["nobody"], "assign_scope": "ALL_USER"}),
            404,
            "WKS.00211902",
            "application",
        ),
        (
            json!({"app_ids": [app], "desktop_ids": ["nobody"]}),
            404,
            "WKS.00211902",
            "desktop",
        ),
    ] {
        server
            .post(UNINSTALL, body)
            .await
            .refused(status, code, word);
    }
    let preview = server
        .post(
            &format!("{UNINSTALL}/preview"),
            json!({"app_ids": [bare], "assign_scope": "ALL_USER", "uninstall_command": "x"}),
        )
        .await
        .ok(200);
    assert_eq!(
        (&preview["jobs"], &preview["complete"]),
        (&json!(2), &json!(true))
    );
    let made = server
        .post(UNINSTALL, json!({"app_ids": [app], "users": [user("li")]}))
        .await
        .ok(201);
    let shown = deployment(&server, made["id"].as_str().unwrap()).await;
    assert_eq!(shown["kind"], "uninstall");
    assert_eq!(shown["counts"]["jobs_init"], 1);
    assert_eq!(shown["authorizations_widened"]["count"], 0);
    // The contract's list does not speak of it; ours does.
    assert_eq!(jobs(&server, "").await["count"], 0);
    assert_eq!(jobs(&server, &format!("app_id={app}")).await["count"], 0);
    let own = "/api/v1/{p}/jobs";
    let listed = server.get(&format!("{own}?kind=uninstall")).await.ok(200);
    assert_eq!(
        (&listed["count"], &listed["items"][0]["kind"]),
        (&json!(1), &json!("uninstall"))
    );
    assert_eq!(
        server.get(&format!("{own}?kind=install")).await.ok(200)["count"],
        0
    );
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    let job = server.get(&format!("{own}/{id}")).await.ok(200);
    assert_eq!(job, listed["items"][0]);
    // So does its deployment, in the same words.
    let deployment_jobs = format!(
        "/api/v1/{{p}}/deployments/{}/jobs",
        made["id"].as_str().unwrap()
    );
    assert_eq!(
        server.get(&deployment_jobs).await.ok(200)["items"],
        json!([job])
    );
    server
        .get(&format!("{own}/nobody"))
        .await
        .refused(404, "WKS.00211902", "job");

    // Installing the same meanwhile is skipped, with the reason.
    let on = accepted(
        &server,
        BATCH,
        json!({"app_ids": [app], "assign_scope": "ALL_USER"}),
    )
    .await;
    let shown = deployment(&server, &on).await;
    assert_eq!(shown["counts"]["jobs_init"], 1);
    assert_eq!(
        shown["desktops_skipped"]["items"][0]["reason"],
        "opposite_in_progress"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_native_install_names_its_audience_limit_and_key() {
    let server = TestServer::start().await;
    let one = desktop(&server, "d1", &["li"]).await;
    let two = desktop(&server, "d2", &[]).await;
    let (app, other) = (
        upload(&server, linked("a")).await,
        upload(&server, linked("b")).await,
    );
    const CREATE: &str = "/api/v1/{p}/deployments";
    server
        .post(CREATE, json!({"app_ids": [app, other]}))
        .await
        .refused(400, "WKS.00211102", "app_ids");
    server
        .post(
            CREATE,
            json!({"app_ids": [app], "users": [user("li")], "expires_in_secs": 5}),
        )
        .await
        .refused(400, "WKS.00211102", "expires_in_secs");
    let call = async |key: &str, body: &Value| {
        let request = server
            .request(Method::POST, CREATE)
            .header("Idempotency-Key", key)
            .json(body);
        TestServer::send(request).await
    };
    let body = json!({"app_ids": [app, other], "users": [user("li")], "repair": true,
        "fail_limit": {"percent": 5}, "expires_in_secs": 3600});
    let made = call("once", &body).await.ok(201);
    assert_eq!(
        call("once", &body).await.ok(201),
        made,
        "the same call is made once"
    );
    assert_eq!(jobs(&server, "").await["count"], 2);
    call("once", &json!({"app_ids": [app], "users": [user("li")]}))
        .await
        .refused(409, "WKS.0409", "Idempotency-Key");
    call(&"k".repeat(256), &body)
        .await
        .refused(400, "WKS.00211102", "Idempotency-Key");
    // A refused call holds no key.
    call(
        "later",
        &json!({"app_ids": ["nobody"], "users": [user("li")]}),
    )
    .await
    .refused(404, "WKS.00211902", "application");
    call("later", &body).await.ok(201);
    let shown = deployment(&server, made["id"].as_str().unwrap()).await;
    assert_eq!(
        (&shown["repair"], &shown["fail_limit"]),
        (&json!(true), &json!({"percent": 5}))
    );
    assert_eq!(shown["authorizations_widened"]["count"], 2);

    // Desktops are named for whoever may have it there.
    let made = server
        .post(CREATE, json!({"app_ids": [app], "desktop_ids": [one, two]}))
        .await
        .ok(201);
    let shown = deployment(&server, made["id"].as_str().unwrap()).await;
    let reasons: Vec<_> = shown["desktops_skipped"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skip| skip["reason"].clone())
        .collect();
    assert_eq!(reasons, ["job_in_progress", "not_authorized"]);
    server.stop().await;
}

#[tokio::test]
async fn why_is_answered_in_words() {
    let server = TestServer::start().await;
    let one = desktop(&server, "d1", &["li"]).await;
    let app = upload(&server, linked("a")).await;
    let why = async || {
        server
            .get(&format!("/api/v1/{{p}}/why?app={app}&desktop={one}"))
            .await
            .ok(200)
    };
    let answer = why().await;
    assert!(
        answer["answer"]
            .as_str()
            .unwrap()
            .contains("No deployment of the application has reached"),
        "{answer}"
    );
    let results = |answer: &Value| -> Vec<(String, String)> {
        let steps = answer["steps"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        steps
            .iter()
            .map(|step| (text(&step["step"]), text(&step["result"])))
            .collect()
    };
    assert!(results(&answer).contains(&("authorization".to_owned(), "blocks".to_owned())));
    accepted(
        &server,
        BATCH,
        json!({"app_ids": [app], "assign_scope": "ASSIGN_USER", "users": [user("li")]}),
    )
    .await;
    let answer = why().await;
    assert_eq!(
        answer["answer"],
        "a waits to be installed on d1. The desktop has no agent."
    );
    assert!(results(&answer).contains(&("authorization".to_owned(), "fine".to_owned())));
    let frozen = server
        .request(Method::PUT, "/api/v1/{p}/freeze")
        .json(&json!({"frozen": true, "reason": "audit"}));
    TestServer::send(frozen).await.ok(200);
    let answer = why().await;
    assert!(
        answer["answer"]
            .as_str()
            .unwrap()
            .contains("The project is frozen by"),
        "{answer}"
    );
    let chinese = server
        .get(&format!(
            "/api/v1/{{p}}/why?app={app}&desktop={one}&language=zh"
        ))
        .await
        .ok(200);
    let text = chinese["answer"].as_str().unwrap();
    assert!(text.starts_with("a 等待安装到 d1。项目已被 "), "{text}");
    assert_eq!(results(&chinese), results(&answer));
    for (query, code, word) in [
        (format!("app=nobody&desktop={one}"), 404, "application"),
        (format!("app={app}&desktop=nobody"), 404, "desktop"),
    ] {
        server
            .get(&format!("/api/v1/{{p}}/why?{query}"))
            .await
            .refused(code, "WKS.00211902", word);
    }
    server
        .get(&format!("/api/v1/{{p}}/why?app={app}"))
        .await
        .refused(400, "WKS.00211102", "desktop");
    server
        .get(&format!(
            "/api/v1/{{p}}/why?app={app}&desktop={one}&language=fr"
        ))
        .await
        .refused(400, "WKS.00211102", "language");
    let outdated = server
        .get(&format!("/api/v1/{{p}}/apps/{app}/outdated-desktops"))
        .await
        .ok(200);
    assert_eq!(outdated, json!({"count": 0, "items": []}));
    server.stop().await;
}

#[tokio::test]
async fn exit_codes_are_said_once_each_and_carried_over() {
    let server = TestServer::start().await;
    let app = upload(&server, linked("a")).await;
    let path = format!("/api/v1/{{p}}/apps/{app}/exit-codes");
    let set = async |body: Value| {
        let request = server.request(Method::PUT, &path).json(&body);
        TestServer::send(request).await
    };
    let codes = json!([
        {"code": -5, "outcome": "failure", "text": "the licence server is away"},
        {"code": 7, "outcome": "retry"},
    ]);
    let made = set(json!({"exit_codes": codes})).await.ok(200);
    assert_eq!((&made["exit_codes"], &made["number"]), (&codes, &json!(2)));
    // The same again is no new revision; a new version keeps them.
    assert_eq!(set(json!({"exit_codes": codes})).await.ok(200)["number"], 2);
    server
        .call(
            Method::PATCH,
            &format!("{APPS}/{app}"),
            Some(json!({"version": "2.0"})),
        )
        .await
        .ok(200);
    let revisions = server
        .get(&format!("/api/v1/{{p}}/apps/{app}/revisions"))
        .await
        .ok(200);
    assert_eq!(revisions["items"][0]["exit_codes"], codes);
    assert_eq!(revisions["items"][2]["exit_codes"], json!([]));
    for (bad, field) in [
        (
            json!([{"code": 1, "outcome": "success"}, {"code": 1, "outcome": "retry"}]),
            "exit_codes[1].code",
        ),
        (json!([{"code": 1, "outcome": "maybe"}]), "outcome"),
        (
            json!([{"code": 4_294_967_296_i64, "outcome": "success"}]),
            "code",
        ),
    ] {
        set(json!({"exit_codes": bad}))
            .await
            .refused(400, "WKS.00211102", field);
    }
    server.stop().await;
}
