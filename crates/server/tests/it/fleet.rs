use serde_json::{Value, json};

use crate::server::TestServer;

async fn register(server: &TestServer, name: &str, users: &[&str]) -> String {
    let made = server
        .post(
            "/api/v1/{p}/desktops",
            json!({"name": name, "os_type": "Linux", "users": users}),
        )
        .await
        .ok(201);
    made["id"].as_str().unwrap().to_owned()
}

async fn users_of(server: &TestServer, desktop: &str) -> Value {
    let shown = server
        .get(&format!("/v2/{{p}}/desktops/{desktop}"))
        .await
        .ok(200);
    shown["desktop"]["user_list"].clone()
}

#[tokio::test]
async fn desktops_are_listed_by_each_filter() {
    let server = TestServer::start().await;
    let alpha = register(&server, "alpha", &["li"]).await;
    let beta = register(&server, "beta", &["li", "wang"]).await;
    register(&server, "gamma", &[]).await;

    let listed = server.get("/v2/{p}/desktops").await.ok(200);
    assert_eq!(listed["total_count"], 3);
    assert_eq!(listed["desktops"][0]["computer_name"], "gamma");
    assert_eq!(listed["desktops"][2]["user_name"], "li");
    assert_eq!(listed["desktops"][1]["desktop_type"], "SHARED");
    for (filter, count) in [
        ("user_name=W", 1),
        ("user_name=w&user_name=li", 2),
        ("computer_name=ALPH", 1),
        ("status=ACTIVE", 3),
        ("status=SHUTOFF", 0),
        ("desktop_type=SHARED,POOLED", 1),
        ("pool_id=x", 0),
        ("domain_status=3", 3),
        ("domain_status=1", 0),
        ("is_share_desktop=false", 3),
        ("limit=0", 3),
        ("desktop_id=nobody", 0),
    ] {
        let listed = server
            .get(&format!("/v2/{{p}}/desktops?{filter}"))
            .await
            .ok(200);
        assert_eq!(listed["total_count"], count, "{filter}");
    }
    for (filter, names) in [
        (
            "sort_field=computer_name",
            json!(["alpha", "beta", "gamma"]),
        ),
        (
            "sort_field=computer_name&sort_type=DESC&limit=1",
            json!(["gamma"]),
        ),
        ("sort_field=created&offset=1", json!(["beta", "gamma"])),
        ("user_names=LI&user_name=wang", json!(["beta", "alpha"])),
        ("user_attached=false", json!(["gamma"])),
        ("computer_names=alpha,GAMMA", json!(["gamma", "alpha"])),
        ("user_id=nobody", json!([])),
        ("image_id=x", json!([])),
    ] {
        let listed = server
            .get(&format!("/v2/{{p}}/desktops/detail?{filter}"))
            .await
            .ok(200);
        let found: Value = listed["desktops"]
            .as_array()
            .unwrap()
            .iter()
            .map(|desktop| desktop["computer_name"].clone())
            .collect();
        assert_eq!(found, names, "{filter}");
    }
    let shown = server
        .get(&format!("/v2/{{p}}/desktops/{alpha}"))
        .await
        .ok(200)["desktop"]
        .clone();
    assert_eq!(shown["attach_state"], "ATTACHED");
    assert_eq!(shown["login_status"], "UNREGISTER");
    assert_eq!(shown["metadata"]["os_type"], "Linux");
    assert!(
        shown.as_object().unwrap().contains_key("process"),
        "null, not absent"
    );
    server
        .get("/v2/{p}/desktops/nobody")
        .await
        .refused(404, "WKS.0404", "desktop");

    server
        .post(
            "/v2/{p}/desktops/batch-delete",
            json!({"desktop_ids": [alpha, "nobody"]}),
        )
        .await
        .refused(404, "WKS.0404", "desktop");
    let job = server
        .post(
            "/v2/{p}/desktops/batch-delete",
            json!({"desktop_ids": [alpha], "delete_users": true}),
        )
        .await
        .ok(202);
    let job = server
        .get(&format!(
            "/v2/{{p}}/workspace-jobs/{}",
            job["job_id"].as_str().unwrap()
        ))
        .await
        .ok(200);
    assert_eq!(
        (&job["status"], &job["sub_jobs_total"]),
        (&json!("SUCCESS"), &json!(1))
    );
    server
        .delete(&format!("/v2/{{p}}/desktops/{beta}?delete_users=true"))
        .await
        .ok(204);
    server
        .delete(&format!("/v2/{{p}}/desktops/{beta}"))
        .await
        .refused(404, "WKS.0404", "desktop");
    assert_eq!(server.get("/v2/{p}/users").await.ok(200)["total_count"], 0);
    server.stop().await;
}

#[tokio::test]
async fn users_are_attached_and_detached() {
    let server = TestServer::start().await;
    let single = register(&server, "single", &[]).await;
    let shared = register(&server, "shared", &["a", "b"]).await;
    let attach = |body: Value| {
        let server = &server;
        async move {
            server
                .post("/v2/{p}/desktops/attach", json!({"desktops": [body]}))
                .await
        }
    };
    let job = attach(json!({"desktop_id": single, "user_name": "li", "user_group": "sudo", "computer_name": "renamed"}))
        .await
        .ok(200);
    assert!(job["job_id"].is_string());
    assert_eq!(users_of(&server, &single).await, json!(["li"]));
    // Again the same user: nothing new. Another one: the desktop is taken.
    attach(json!({"desktop_id": single, "user_name": "LI"}))
        .await
        .ok(200);
    attach(json!({"desktop_id": single, "user_name": "wang"}))
        .await
        .refused(409, "WKS.00010032", "renamed");
    attach(json!({"desktop_id": single}))
        .await
        .refused(400, "WKS.0001", "desktops[0].user_name");
    attach(json!({"desktop_id": "nobody", "user_name": "li"}))
        .await
        .refused(404, "WKS.0404", "desktop");
    attach(json!({"desktop_id": shared, "user_id": "nobody"}))
        .await
        .refused(400, "WKS.00170312", "user");
    attach(json!({"desktop_id": single, "user_name": "li", "computer_name": "SHARED"}))
        .await
        .refused(409, "WKS.0409", "SHARED");
    attach(json!({"desktop_id": shared, "attach_user_infos": [
            {"user_name": "x", "user_group": "sudo", "domain": "corp.example"}]}))
    .await
    .refused(400, "WKS.00170312", "user");
    attach(json!({"desktop_id": shared, "attach_user_infos": [
            {"user_name": "Staff", "user_group": "sudo", "type": "GROUP"}]}))
    .await
    .refused(400, "WKS.0001", "attach_user_infos[0].type");
    let batch = json!({
        "desktops": [{"desktop_id": shared}],
        "users": [{"user_name": "c", "user_group": "default"}, {"user_name": "d", "user_group": "default"}],
        "assign_model": {"priority_strategy": "DESKTOP_ASSIGN_USERS_OR_GROUPS"},
    });
    server
        .post("/v2/{p}/desktops/batch-attach", batch)
        .await
        .ok(200);
    assert_eq!(
        users_of(&server, &shared).await,
        json!(["a", "b", "c", "d"])
    );

    let detached = server
        .post("/v2/{p}/desktops/batch-detach", json!({"desktops": [
            {"desktop_id": shared, "detach_user_infos": [{"user_name": "A"}]},
            {"desktop_id": single, "detach_user_infos": [{"user_name": "li"}, {"user_name": "nobody"}]},
        ]}))
        .await
        .ok(200);
    assert_eq!(
        detached["failed_operation_list"][0]["desktop_id"],
        json!(single)
    );
    assert_eq!(
        detached["failed_operation_list"].as_array().unwrap().len(),
        1
    );
    assert_eq!(users_of(&server, &shared).await, json!(["b", "c", "d"]));
    assert_eq!(users_of(&server, &single).await, json!(["li"]));
    let detached = server
        .post(
            "/v2/{p}/desktops/detach",
            json!({"desktop_ids": [shared, single]}),
        )
        .await
        .ok(200);
    assert_eq!(detached, json!({"failed_operation_list": []}));
    assert_eq!(users_of(&server, &shared).await, json!([]));
    server
        .post(
            "/v2/{p}/desktops/detach",
            json!({"desktop_ids": ["nobody"]}),
        )
        .await
        .refused(404, "WKS.0404", "desktop");
    server.stop().await;
}

#[tokio::test]
async fn desktops_are_tagged_and_found_by_their_tags() {
    let server = TestServer::start().await;
    let one = register(&server, "one", &[]).await;
    let two = register(&server, "two", &[]).await;
    let tags = format!("/v2/{{p}}/desktops/{one}/tags");
    let set = |key: &str, value: &str| json!({"tag": {"key": key, "value": value}});
    server.post(&tags, set("team", "red")).await.ok(204);
    server.post(&tags, set("team", "blue")).await.ok(204);
    for (body, field) in [
        (set("_sys_x", ""), "tag.key"),
        (set(" x", ""), "tag.key"),
        (set("x", "a/b"), "tag.value"),
        (set("x", &"v".repeat(44)), "tag.value"),
    ] {
        server
            .post(&tags, body)
            .await
            .refused(400, "WKS.0001", field);
    }
    server
        .post("/v2/{p}/desktops/nobody/tags", set("a", "b"))
        .await
        .refused(404, "WKS.0404", "desktop");
    let many: Vec<Value> = (0..20).map(|n| json!({"key": format!("k{n}")})).collect();
    server
        .post(
            &format!("{tags}/action"),
            json!({"action": "create", "tags": many}),
        )
        .await
        .refused(400, "WKS.0001", "tags");
    assert_eq!(
        server.get(&tags).await.ok(200),
        json!({"tags": [{"key": "team", "value": "blue"}]})
    );
    server
        .post("/v2/{p}/desktops/batch-tags", json!({"desktops": [
            {"desktop_id": two, "tags": [{"key": "team", "value": "red"}, {"key": "floor", "value": "2"}]},
            {"desktop_id": "nobody", "tags": [{"key": "team"}]}]}))
        .await
        .ok(204);
    let in_use = server.get("/v2/{p}/desktops/tags").await.ok(200);
    assert_eq!(
        in_use["tags"],
        json!([
        {"key": "floor", "values": ["2"]}, {"key": "team", "values": ["blue", "red"]}])
    );
    for (body, count) in [
        (
            json!({"action": "filter", "tags": [{"key": "team", "values": ["red"]}]}),
            1,
        ),
        (
            json!({"action": "count", "tags_any": [{"key": "team", "values": []}]}),
            2,
        ),
        (
            json!({"not_tags_any": [{"key": "floor"}], "offset": "0", "limit": "1"}),
            1,
        ),
        (
            json!({"matches": [{"key": "resource_name", "value": "TW"}]}),
            1,
        ),
        (json!({"without_any_tag": true}), 0),
    ] {
        for path in ["resource_instances", "resource-instances"] {
            let found = server
                .post(&format!("/v2/{{p}}/desktops/{path}/action"), body.clone())
                .await
                .ok(200);
            assert_eq!(found["total_count"], count, "{body}");
            assert_eq!(
                found.get("resources").is_none(),
                body["action"] == "count",
                "{body}"
            );
        }
    }
    let listed = server
        .get("/v2/{p}/desktops?tag=team=red,floor=2")
        .await
        .ok(200);
    assert_eq!(listed["total_count"], 1);
    server.delete(&format!("{tags}/team")).await.ok(204);
    server.delete(&format!("{tags}/team")).await.ok(204);
    server
        .call(
            reqwest::Method::DELETE,
            "/v2/{p}/desktops/batch-tags",
            Some(json!({"desktops": [{"desktop_id": two, "tags": [{"key": "floor"}]}]})),
        )
        .await
        .ok(204);
    server
        .post(
            &format!("/v2/{{p}}/desktops/{two}/tags/action"),
            json!({"action": "delete", "tags": [{"key": "team"}, {"key": "none"}]}),
        )
        .await
        .ok(204);
    assert_eq!(
        server.get("/v2/{p}/desktops/tags").await.ok(200)["tags"],
        json!([])
    );
    server.stop().await;
}

#[tokio::test]
async fn a_push_that_cannot_reach_a_desktop_says_what_to_run_there() {
    let server = TestServer::start().await;
    let one = register(&server, "one", &[]).await;
    let path = "/v2/{p}/desktops/agents";
    let listed = server
        .get(&format!("{path}?is_installed=false"))
        .await
        .ok(200);
    assert_eq!(
        listed["agents_condition"][0]["agent_info"],
        json!([
        {"agent_name": "outfitter-agent", "is_installed": false}])
    );
    assert_eq!(
        server
            .get(&format!("{path}?is_installed=true"))
            .await
            .ok(200)["total_count"],
        0
    );
    server
        .post(path, json!({"desktop_ids": [one, "nobody"]}))
        .await
        .refused(400, "WKS.0001", "desktop_ids[1]");
    let job = server
        .post(path, json!({"desktop_ids": [one, one]}))
        .await
        .ok(200)["job_id"]
        .clone();
    let job = format!("/v2/{{p}}/workspace-jobs/{}", job.as_str().unwrap());
    let shown = server.get(&job).await.ok(200);
    assert_eq!(
        (
            &shown["job_type"],
            &shown["status"],
            &shown["sub_jobs_total"]
        ),
        (&json!("installAgents"), &json!("FAILED"), &json!(1))
    );
    let sub_job = &shown["sub_jobs"][0];
    let reason = sub_job["fail_reason"].as_str().unwrap();
    assert!(
        reason.starts_with("no way to reach this desktop is configured"),
        "{reason}"
    );
    assert!(
        reason.contains("--token TOKEN") && reason.contains("--name one"),
        "{reason}"
    );
    assert!(!reason.contains('\n'), "{reason}");

    let retried = server
        .post(&format!("{job}/actions"), json!({"op_type": "retry"}))
        .await
        .ok(200);
    assert_eq!(retried["job_id"], shown["id"]);
    server
        .post(
            "/v2/{p}/workspace-jobs/nobody/actions",
            json!({"op_type": "retry"}),
        )
        .await
        .refused(404, "WKS.0404", "job");
    let subs = "/v2/{p}/workspace-sub-jobs";
    for (filter, count) in [
        ("job_type=installAgents&status=FAILED", 1),
        ("job_type=other", 0),
        ("job_id=nobody", 0),
        ("desktop_pool_id=x", 0),
    ] {
        let listed = server.get(&format!("{subs}?{filter}")).await.ok(200);
        assert_eq!(listed["total_count"], count, "{filter}");
    }
    server
        .post(
            &format!("{subs}/batch-delete"),
            json!({"job_ids": [sub_job["id"], "nobody"], "delete_by_status": null}),
        )
        .await
        .ok(200);
    assert_eq!(server.get(subs).await.ok(200)["total_count"], 0);
    assert_eq!(server.get(&job).await.ok(200)["status"], "FAILED");
    server
        .get("/v2/{p}/workspace-jobs/nobody")
        .await
        .refused(404, "WKS.0404", "job");
    server.stop().await;
}

#[tokio::test]
async fn app_rules_come_under_control_and_leave_it() {
    let server = TestServer::start().await;
    let rules = "/v1/{p}/app-center/app-rules";
    let restricted = "/v1/{p}/app-center/app-restricted-rules";
    let path_rule = json!({"scope": "PATH", "path_rule": {"path": "C:\\Games"}, "product_rule": {"publisher": ""}});
    let made = server
        .post(
            rules,
            json!({"name": "Games", "description": null, "rule": path_rule}),
        )
        .await
        .ok(200);
    assert_eq!(made["rule"], path_rule, "stored and served exactly");
    assert_eq!(made["rule_source"], "CUSTOM");
    for (rule, field) in [
        (json!({"scope": "PATH"}), "rule.path_rule.path"),
        (
            json!({"scope": "PATH", "path_rule": {"path": "a*"}}),
            "path",
        ),
        (
            json!({"scope": "PRODUCT", "product_rule": {"publisher": "*"}}),
            "rule.product_rule",
        ),
        (json!({"scope": "OTHER"}), "rule.scope"),
    ] {
        server
            .post(rules, json!({"name": "x", "rule": rule}))
            .await
            .refused(400, "WKS.00211102", field);
    }
    server
        .post(rules, json!({"name": "Games", "rule": path_rule}))
        .await
        .refused(409, "WKS.00211109", "name");
    let id = made["id"].as_str().unwrap();
    let one = format!("{rules}/{id}");
    let patched = server
        .call(
            reqwest::Method::PATCH,
            &one,
            Some(json!({"description": "all", "name": null})),
        )
        .await
        .ok(200);
    assert_eq!(
        (&patched["name"], &patched["description"]),
        (&json!("Games"), &json!("all"))
    );
    for _ in 0..2 {
        server
            .post(restricted, json!({"items": [id]}))
            .await
            .ok(200);
    }
    server
        .post(restricted, json!({"items": [id, "nobody"]}))
        .await
        .refused(404, "WKS.00211902", "rule");
    assert_eq!(server.get(restricted).await.ok(200)["items"][0]["id"], *id);
    server
        .post(
            &format!("{restricted}/actions/batch-delete"),
            json!({"items": [id, "nobody"]}),
        )
        .await
        .ok(200);
    assert_eq!(server.get(restricted).await.ok(200)["count"], 0);
    assert_eq!(
        server.get(&format!("{rules}?name=GAME")).await.ok(200)["count"],
        1
    );
    server.delete(&one).await.ok(200);
    server
        .delete(&one)
        .await
        .refused(404, "WKS.00211902", "rule");
    server
        .post(
            &format!("{rules}/batch-delete"),
            json!({"items": ["nobody"]}),
        )
        .await
        .ok(200);

    let action = |name: &str| format!("{rules}/actions/{name}-rule-restriction");
    let shown = server.get(&action("get")).await.ok(200);
    assert_eq!(
        shown,
        json!({"app_restrict_rule_switch": false, "app_control_mode": 0,
        "app_periodic_switch": false, "app_periodic_interval": 5, "app_force_kill_proc_switch": false})
    );
    server
        .post(
            &action("set"),
            json!({"app_restrict_rule_switch": false, "app_periodic_interval": 30}),
        )
        .await
        .ok(200);
    server
        .post(
            &action("set"),
            json!({"app_restrict_rule_switch": true, "app_periodic_interval": 4}),
        )
        .await
        .refused(400, "WKS.00211102", "app_periodic_interval");
    server
        .call(reqwest::Method::POST, &action("enable"), None)
        .await
        .ok(200);
    let shown = server.get(&action("get")).await.ok(200);
    assert_eq!(
        (
            &shown["app_restrict_rule_switch"],
            &shown["app_periodic_interval"]
        ),
        (&json!(true), &json!(30))
    );
    server
        .call(reqwest::Method::POST, &action("disable"), None)
        .await
        .ok(200);
    assert_eq!(
        server.get(&action("get")).await.ok(200)["app_restrict_rule_switch"],
        false
    );
    server.stop().await;
}

#[tokio::test]
async fn profiles_are_merged() {
    let server = TestServer::start().await;
    let path = "/v1/{p}/app-center/profiles";
    assert_eq!(
        server.get(path).await.ok(200),
        json!({"app_center": true, "app_restriction": true})
    );
    let patch = |body: Value| {
        let server = &server;
        async move { server.call(reqwest::Method::PATCH, path, Some(body)).await }
    };
    assert_eq!(
        patch(json!({"app_center": false, "x.y-z": true}))
            .await
            .ok(200),
        Value::Null
    );
    assert_eq!(
        server.get(path).await.ok(200),
        json!({"app_center": false, "app_restriction": true, "x.y-z": true})
    );
    patch(json!({"a b": true}))
        .await
        .refused(400, "WKS.00211102", "a b");
    patch(json!({"a": 1}))
        .await
        .refused(400, "WKS.00211102", "a");
    let many: Value = (0..62)
        .map(|n| (format!("f{n}"), json!(true)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    patch(many).await.refused(400, "WKS.00211102", "64");
    assert_eq!(server.get(path).await.ok(200).as_object().unwrap().len(), 3);
    server.stop().await;
}
