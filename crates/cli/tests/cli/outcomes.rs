use std::fs;

use serde_json::json;

use crate::Run;
use crate::canned::Canned;

const APP: &str = "0193e2a4-7c1e-7abc-8def-000000000001";
const DEPLOYMENT: &str = "0193e2a4-7c1e-7abc-8def-0000000000d1";

fn app(id: &str, name: &str) -> serde_json::Value {
    json!({
        "id": id, "tenant_id": "T1", "name": name, "version": "1.2", "authorization_type": "ASSIGN_USER",
        "app_file_store": {"store_type": "LINK", "file_link": "http://127.0.0.1:9/a.zip"},
        "install_type": "UNZIP_INSTALL", "install_command": "unzip ${FILE_PATH}", "support_os": "Linux",
        "status": "NORMAL", "application_source": "CUSTOM", "create_time": "2026-11-21T10:00:00.000Z",
        "catalog_id": "1",
    })
}

fn job(number: u8, desktop: &str, status: &str, error: Option<&str>) -> serde_json::Value {
    json!({
        "id": format!("0193e2a4-7c1e-7abc-8def-0000000000a{number}"), "app_id": APP, "app_name": "Editor",
        "app_version": "1.2", "instance_id": desktop, "instance_name": desktop, "operator": "admin",
        "target": "ana", "job_status": status, "error_message": error,
        "create_time": "2026-11-21T10:00:01.000Z",
    })
}

fn list(items: &[serde_json::Value]) -> String {
    json!({"count": items.len(), "items": items}).to_string()
}

#[test]
fn a_list_is_a_table_or_json() {
    let server = || {
        Canned::start(vec![
            (
                "GET /v1/P1/app-center/apps?limit=100&offset=0",
                200,
                "",
                list(&[
                    app(APP, "Editor"),
                    app("0193e2a4-7c1e-7abc-8def-000000000002", "Viewer"),
                ]),
            ),
            (
                "GET /api/v1/P1/damaged-packages?limit=100&offset=0",
                200,
                "",
                list(&[json!({
                    "app_id": APP, "app_name": "Editor", "sha256": "5".repeat(64), "size_bytes": 5,
                    "condition": "altered",
                })]),
            ),
        ])
    };
    let one = server();
    insta::assert_snapshot!(
        "app_list",
        Run::new(&["app", "list"]).against(&one.endpoint).end()
    );
    let two = server();
    insta::assert_snapshot!(
        "app_list_json",
        Run::new(&["app", "list", "--json"])
            .against(&two.endpoint)
            .end()
    );
    assert_eq!(
        one.asked(),
        [
            "GET /v1/P1/app-center/apps?limit=100&offset=0 ",
            "GET /api/v1/P1/damaged-packages?limit=100&offset=0 "
        ]
    );
}

#[test]
fn an_empty_list_says_so_and_a_cut_one_too() {
    let server = Canned::start(vec![
        (
            "GET /v1/P1/app-center/jobs?limit=100&offset=0",
            200,
            "",
            list(&[]),
        ),
        (
            "GET /v1/P1/app-center/jobs?limit=1&offset=0",
            200,
            "",
            json!({"count": 7, "items": [job(1, "desk-1", "FAIL", Some("the disk is full"))]})
                .to_string(),
        ),
    ]);
    insta::assert_snapshot!(
        "job_list_empty",
        Run::new(&["job", "list"]).against(&server.endpoint).end()
    );
    insta::assert_snapshot!(
        "job_list_cut",
        Run::new(&["job", "list", "--limit", "1"])
            .against(&server.endpoint)
            .end()
    );
}

#[test]
fn a_refusal_is_exit_4_with_a_hint_apart() {
    let refusal = json!({
        "error_code": "WKS.00081102",
        "error_msg": "User does not have permission to access this resource.",
    });
    let server = Canned::start(vec![
        (
            "GET /v1/P1/app-center/apps?limit=100&offset=0",
            403,
            "",
            refusal.to_string(),
        ),
        (
            "GET /v1/P1/app-center/jobs?limit=100&offset=0",
            500,
            "",
            "{}".to_owned(),
        ),
    ]);
    insta::assert_snapshot!(
        "refused",
        Run::new(&["app", "list"]).against(&server.endpoint).end()
    );
    insta::assert_snapshot!(
        "refused_json",
        Run::new(&["app", "list", "--json"])
            .against(&server.endpoint)
            .end()
    );
    insta::assert_snapshot!(
        "server_failed",
        Run::new(&["job", "list"]).against(&server.endpoint).end()
    );
}

#[test]
fn an_unreachable_server_is_exit_5() {
    // Bound and dropped: nobody listens there any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let end = Run::new(&["app", "list"])
        .against(&format!("http://{address}"))
        .end();
    let head: Vec<&str> = end.lines().take(4).collect();
    assert_eq!(head[0], "exit code: 5", "{end}");
    assert!(
        head[3].starts_with("error: cannot reach [ENDPOINT]"),
        "{end}"
    );
    assert!(
        end.contains("\nhint: is `outfitter serve` running there?"),
        "{end}"
    );
    assert!(!end.contains("SK"), "{end}");
}

#[test]
fn usage_errors_are_exit_2() {
    insta::assert_snapshot!("no_command", Run::new(&[]).end());
    insta::assert_snapshot!("unknown_verb", Run::new(&["app", "instal"]).end());
    insta::assert_snapshot!("no_connection", Run::new(&["app", "list"]).end());
    insta::assert_snapshot!("add_nothing", Run::new(&["app", "add"]).end());
    let nowhere = "http://127.0.0.1:9";
    insta::assert_snapshot!(
        "authorize_nobody",
        Run::new(&["app", "authorize", APP]).against(nowhere).end()
    );
    insta::assert_snapshot!(
        "update_nothing",
        Run::new(&["app", "update", APP]).against(nowhere).end()
    );
    insta::assert_snapshot!(
        "detection_nothing",
        Run::new(&["app", "detection", APP]).end()
    );
    insta::assert_snapshot!(
        "too_many_desktops",
        Run::new(&["demo", "--desktops", "51"]).end()
    );
}

#[test]
fn an_ambiguous_name_is_not_guessed() {
    let server = Canned::start(vec![(
        "GET /v1/P1/app-center/apps?limit=100&offset=0&name=Editor",
        200,
        "",
        list(&[
            app(APP, "Editor"),
            app("0193e2a4-7c1e-7abc-8def-000000000002", "Editor"),
            app("0193e2a4-7c1e-7abc-8def-000000000003", "Editor Pro"),
        ]),
    )]);
    insta::assert_snapshot!(
        Run::new(&["app", "delete", "Editor"])
            .against(&server.endpoint)
            .end()
    );
    assert_eq!(server.asked().len(), 1, "nothing may be deleted");
}

#[test]
fn connections_come_from_bootstrap_profile_or_environment_in_this_order() {
    let answers = || {
        vec![(
            "GET /v1/P2/app-center/apps?limit=100&offset=0",
            200,
            "",
            list(&[]),
        )]
    };
    let (first, second) = (Canned::start(answers()), Canned::start(answers()));
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = folder.path().join("bootstrap.json");
    fs::write(
        &bootstrap,
        json!({
            "endpoint": "http://127.0.0.1:9", "access_key": "AK", "secret_key": "SK", "project_id": "P2",
            "region": "local-1",
        })
        .to_string(),
    )
    .unwrap();
    // Where the server listens since its last start outranks where it did at its first.
    fs::write(
        folder.path().join("endpoints.json"),
        json!({"endpoint": first.endpoint}).to_string(),
    )
    .unwrap();
    fs::create_dir(folder.path().join("outfitter")).unwrap();
    fs::write(
        folder.path().join("outfitter/profiles.toml"),
        format!(
            "[default]\nendpoint = '{}'\naccess_key = 'AK'\nsecret_key = 'SK'\nproject_id = 'P2'\n",
            second.endpoint
        ),
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        Run::new(arguments)
            .against("http://127.0.0.1:9")
            .env("XDG_CONFIG_HOME", folder.path().to_str().unwrap())
            .end()
    };
    let end = run(&["app", "list", "--bootstrap", bootstrap.to_str().unwrap()]);
    assert!(end.starts_with("exit code: 0\n"), "{end}");
    let end = run(&["app", "list"]);
    assert!(end.starts_with("exit code: 0\n"), "{end}");
    // The list, and what is damaged of it.
    assert_eq!((first.asked().len(), second.asked().len()), (2, 2));
    insta::assert_snapshot!(
        "missing_profile",
        Run::new(&["app", "list", "--profile", "other"])
            .env("XDG_CONFIG_HOME", folder.path().to_str().unwrap())
            .filter(folder.path(), "[CONFIG]")
            .end()
    );
}

#[test]
fn a_broken_profile_does_not_show_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("outfitter")).unwrap();
    fs::write(
        folder.path().join("outfitter/profiles.toml"),
        "[default]\nendpoint = 'http://127.0.0.1:9'\nsecret_key = 'hunter2' oops\n",
    )
    .unwrap();
    let end = Run::new(&["app", "list"])
        .env("XDG_CONFIG_HOME", folder.path().to_str().unwrap())
        .end();
    assert!(end.starts_with("exit code: 1\n"), "{end}");
    assert!(!end.contains("hunter2"), "{end}");
}

/// A server on which an install of one app ends on three desktops as given.
fn installs(ends: [(&str, Option<&str>); 3]) -> Canned {
    let jobs = |ends: &[(&str, Option<&str>)]| {
        let jobs: Vec<_> = ends
            .iter()
            .zip(1..)
            .map(|((status, error), number)| job(number, &format!("desk-{number}"), status, *error))
            .collect();
        list(&jobs)
    };
    let deployment = |state: &str, counts: [i64; 4]| {
        let desktops: Vec<_> = (1..=3)
            .map(|number| {
                let name = format!("desk-{number}");
                json!({"desktop_id": name, "desktop_name": name, "jobs": 1, "other_users": 0})
            })
            .collect();
        json!({
            "id": DEPLOYMENT, "kind": "install", "state": state, "assign_scope": "ASSIGN_USER",
            "app_ids": [APP], "operator": "admin", "created_at": "2026-11-21T10:00:00.500Z",
            "expires_at": "2026-12-21T10:00:00.500Z",
            "repair": false,
            "counts": {
                "jobs_init": counts[0], "jobs_waiting": counts[1], "jobs_success": counts[2], "jobs_unverified": 0,
                "jobs_fail": counts[3], "desktops_reached": 3, "desktops_skipped": 1,
                "accounts_unknown": 1, "authorizations_widened": 1,
            },
            "desktops_reached": {"count": 3, "items": desktops},
            "desktops_skipped": {"count": 1, "items": [{
                "desktop_id": "desk-4", "desktop_name": "desk-4", "app_id": APP, "reason": "os_mismatch",
            }]},
            "accounts_unknown": {"count": 1, "items": [{"account": "nobody", "account_type": "SIMPLE"}]},
            "authorizations_widened": {"count": 1, "items": [{
                "app_id": APP, "account": {"account": "ana", "account_type": "SIMPLE"},
            }]},
        })
        .to_string()
    };
    let successes = ends
        .iter()
        .filter(|(status, _)| *status == "SUCCESS")
        .count() as i64;
    let attempt = |proof: Option<&str>| {
        let receipt = json!({
            "proof": proof, "signature": "valid", "already_installed": false, "already_absent": false, "wants_restart": false, "agent_version": "0.1.0", "phases": [],
            "ended_at": "2026-11-21T10:00:03.000Z", "received_at": "2026-11-21T10:00:03.000Z",
        });
        list(&[json!({
            "id": "A1", "number": 1, "state": "ended", "app_revision_id": "R1", "app_version": "1.2",
            "leased_at": "2026-11-21T10:00:02.000Z", "seen_at": "2026-11-21T10:00:03.000Z",
            "receipt": receipt,
        })])
    };
    const SHOW: &str = "GET /api/v1/P1/deployments/0193e2a4-7c1e-7abc-8def-0000000000d1?limit=1000";
    const JOBS: &str =
        "GET /api/v1/P1/deployments/0193e2a4-7c1e-7abc-8def-0000000000d1/jobs?limit=100&offset=0";
    const ATTEMPTS: [&str; 3] = [
        "GET /api/v1/P1/jobs/0193e2a4-7c1e-7abc-8def-0000000000a1/attempts?limit=1",
        "GET /api/v1/P1/jobs/0193e2a4-7c1e-7abc-8def-0000000000a2/attempts?limit=1",
        "GET /api/v1/P1/jobs/0193e2a4-7c1e-7abc-8def-0000000000a3/attempts?limit=1",
    ];
    Canned::start(vec![
        (
            "POST /api/v1/P1/deployments",
            201,
            "",
            json!({"id": DEPLOYMENT}).to_string(),
        ),
        (SHOW, 200, "", deployment("expanding", [0, 0, 0, 0])),
        (SHOW, 200, "", deployment("running", [2, 1, 0, 0])),
        (
            SHOW,
            200,
            "",
            deployment("ended", [0, 0, successes, 3 - successes]),
        ),
        (
            JOBS,
            200,
            "",
            jobs(&[("INIT", None), ("WAITING", None), ("INIT", None)]),
        ),
        (JOBS, 200, "", jobs(&ends)),
        (
            "GET /v1/P1/app-center/apps?limit=100&offset=0",
            200,
            "",
            list(&[app(APP, "Editor")]),
        ),
        (ATTEMPTS[0], 200, "", attempt(Some("detection_rule"))),
        (ATTEMPTS[1], 200, "", attempt(Some("exit_code_only"))),
        (ATTEMPTS[2], 200, "", attempt(None)),
    ])
}

fn install(server: &Canned, last: &[&str]) -> String {
    let mut arguments = vec!["app", "install", APP, "--user", "ana", "--group", "office"];
    arguments.extend(last);
    Run::new(&arguments).against(&server.endpoint).end()
}

#[test]
fn an_install_that_partly_fails_is_exit_3_and_tells_proof_from_hope() {
    let server = installs([
        ("SUCCESS", None),
        ("SUCCESS", None),
        ("FAIL", Some("nothing was found afterwards")),
    ]);
    insta::assert_snapshot!(install(&server, &["--wait"]));
    assert_eq!(
        server.asked()[0],
        format!(
            "POST /api/v1/P1/deployments {{\"app_ids\":[\"{APP}\"],\"users\":[\
             {{\"account\":\"ana\",\"account_type\":\"SIMPLE\"}},\
             {{\"account\":\"office\",\"account_type\":\"USER_GROUP\"}}]}}"
        )
    );
}

#[test]
fn an_install_is_exit_0_when_all_succeed_and_1_when_none_does() {
    let all = installs([("SUCCESS", None), ("SUCCESS", None), ("SUCCESS", None)]);
    let end = install(&all, &["--wait"]);
    assert!(end.starts_with("exit code: 0\n"), "{end}");
    let why = Some("the disk is full");
    let none = installs([("FAIL", why), ("FAIL", why), ("FAIL", why)]);
    let end = install(&none, &["--wait", "--json"]);
    assert!(end.starts_with("exit code: 1\n"), "{end}");
    assert!(
        end.contains("\"error_message\": \"the disk is full\""),
        "{end}"
    );
}

#[test]
fn a_reason_is_told_once_and_cannot_steer_the_terminal() {
    let why = Some("the disk is full\u{1b}[2J");
    let server = installs([("FAIL", why), ("FAIL", why), ("SUCCESS", None)]);
    let end = install(&server, &["--wait"]);
    for line in [
        "Editor failed on desk-1, desk-2: the disk is full\u{fffd}[2J",
        "  desk-1  Editor  FAIL: the disk is full\u{fffd}[2J",
        "  desk-2  Editor  FAIL, as on desk-1",
    ] {
        assert_eq!(end.matches(line).count(), 1, "{line}: {end}");
    }
    assert_eq!(end.matches("the disk is full").count(), 2, "{end}");
}

#[test]
fn an_install_without_waiting_prints_the_deployment() {
    let server = installs([("SUCCESS", None), ("SUCCESS", None), ("SUCCESS", None)]);
    insta::assert_snapshot!(install(&server, &[]));
}

#[test]
fn waiting_gives_up_and_leaves_the_jobs_alone() {
    let server = installs([("WAITING", None), ("INIT", None), ("INIT", None)]);
    let end = install(&server, &["--wait", "--timeout", "0"]);
    assert!(end.starts_with("exit code: 1\n"), "{end}");
    assert!(end.contains("has not ended within 0 s"), "{end}");
    assert!(end.contains("hint: the jobs go on"), "{end}");
    assert!(
        !server
            .asked()
            .iter()
            .any(|asked| asked.contains("batch-delete")),
        "{:?}",
        server.asked()
    );
}

#[test]
fn a_package_is_streamed_and_becomes_an_app_with_a_proposed_command() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("editor-1.2.sh");
    fs::write(&package, "#!/bin/bash\necho installing\n").unwrap();
    let server = Canned::start(vec![
        (
            "POST /api/v1/P1/packages?file_name=editor-1.2.sh",
            201,
            "",
            json!({
                "bucket_store": {"bucket_name": "wks-appcenter-P1", "bucket_file_path": "packages/x/editor-1.2.sh"},
                "sha256": "00", "size_bytes": 29, "kind": "script", "proposal": {"name": "tool"},
            })
            .to_string(),
        ),
        ("POST /v1/P1/app-center/apps", 201, "", app(APP, "editor").to_string()),
    ]);
    insta::assert_snapshot!(
        Run::new(&["app", "add", package.to_str().unwrap()])
            .against(&server.endpoint)
            .end()
    );
    let asked = server.asked();
    assert_eq!(
        asked[0],
        "POST /api/v1/P1/packages?file_name=editor-1.2.sh #!/bin/bash\necho installing\n"
    );
    let body = asked[1]
        .strip_prefix("POST /v1/P1/app-center/apps ")
        .unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    insta::assert_json_snapshot!("upload_app_body", body);
}

#[test]
fn authorizing_one_more_user_takes_an_app_from_nobody() {
    let mut everyone = app(APP, "Editor");
    everyone["authorization_type"] = json!("ALL_USER");
    const ASSIGN: &str = "POST /v1/P1/app-center/apps/actions/batch-assign-authorization";
    let server = Canned::start(vec![
        (
            "GET /v1/P1/app-center/apps?limit=100&offset=0&name=Editor",
            200,
            "",
            list(&[everyone]),
        ),
        (
            "GET /v1/P1/app-center/apps?limit=100&offset=0&name=Viewer",
            200,
            "",
            list(&[app("0193e2a4-7c1e-7abc-8def-000000000002", "Viewer")]),
        ),
        (ASSIGN, 200, "", String::new()),
    ]);
    let end = Run::new(&["app", "authorize", "Editor", "Viewer", "--user", "ana"])
        .against(&server.endpoint)
        .end();
    assert!(end.starts_with("exit code: 0\n"), "{end}");
    let assigned: Vec<serde_json::Value> = server
        .asked()
        .iter()
        .filter_map(|asked| asked.strip_prefix(ASSIGN))
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    let types: Vec<_> = assigned
        .iter()
        .map(|body| {
            (
                body["authorization_type"].as_str().unwrap(),
                body["app_ids"].clone(),
            )
        })
        .collect();
    assert_eq!(
        types,
        [
            ("ALL_USER", json!([APP])),
            (
                "ASSIGN_USER",
                json!(["0193e2a4-7c1e-7abc-8def-000000000002"])
            ),
        ]
    );
}

#[test]
fn an_uninstall_names_whose_desktops_and_can_be_looked_at_first() {
    insta::assert_snapshot!(
        "uninstall_nobody",
        Run::new(&["app", "uninstall", APP])
            .against("http://127.0.0.1:9")
            .end()
    );
    let page = |items: serde_json::Value| json!({"count": 1, "items": items});
    let server = Canned::start(vec![
        (
            "POST /api/v1/P1/deployments/uninstall/preview",
            200,
            "",
            json!({
                "complete": true, "jobs": 1,
                "desktops_reached": page(json!([
                    {"desktop_id": "D1", "desktop_name": "desk-1", "jobs": 1, "other_users": 0}])),
                "desktops_skipped": page(json!([
                    {"desktop_id": "D2", "desktop_name": "desk-2", "app_id": APP, "reason": "opposite_in_progress"}])),
                "accounts_unknown": {"count": 0, "items": []},
                "authorizations_widened": {"count": 0, "items": []},
            })
            .to_string(),
        ),
        (
            "POST /api/v1/P1/deployments/uninstall",
            201,
            "",
            json!({"id": DEPLOYMENT}).to_string(),
        ),
    ]);
    let run = |last: &[&str]| {
        let mut arguments = vec!["app", "uninstall", APP];
        arguments.extend(last);
        Run::new(&arguments).against(&server.endpoint).end()
    };
    insta::assert_snapshot!("uninstall_preview", run(&["--user", "ana", "--preview"]));
    let end = run(&["--everyone", "--halt-after", "5%", "--command", "remove it"]);
    assert!(end.contains(DEPLOYMENT), "{end}");
    assert_eq!(
        server.asked()[1],
        format!(
            "POST /api/v1/P1/deployments/uninstall {{\"app_ids\":[\"{APP}\"],\"assign_scope\":\"ALL_USER\",\
             \"fail_limit\":{{\"percent\":5}},\"uninstall_command\":\"remove it\"}}"
        )
    );
    let end = run(&["--everyone", "--halt-after", "101%"]);
    assert!(end.starts_with("exit code: 2\n"), "{end}");
}

#[test]
fn hand_outs_are_frozen_and_jobs_cancelled() {
    let since = "2026-11-21T10:00:00.000Z";
    let frozen = json!({
        "frozen": true, "project": {"operator": "admin", "reason": "audit week", "since": since},
    });
    let answer = json!({"cancelled": 2, "stopping": 1, "ended": 0}).to_string();
    let server = Canned::start(vec![
        ("PUT /api/v1/P1/freeze", 200, "", frozen.to_string()),
        (
            "PUT /api/v1/freeze",
            200,
            "",
            json!({"frozen": false}).to_string(),
        ),
        (
            "POST /api/v1/P1/jobs/actions/cancel",
            200,
            "",
            answer.clone(),
        ),
        (
            "POST /api/v1/P1/deployments/0193e2a4-7c1e-7abc-8def-0000000000d1/actions/cancel",
            200,
            "",
            answer,
        ),
    ]);
    let run = |arguments: &[&str]| Run::new(arguments).against(&server.endpoint).end();
    let all = [
        run(&["freeze", "on", "--reason", "audit week"]),
        run(&["freeze", "off", "--server"]),
        run(&["job", "cancel", "J1", "J2"]),
        run(&["deployment", "cancel", DEPLOYMENT]),
    ];
    insta::assert_snapshot!("freeze_and_cancel", all.join("\n"));
    assert_eq!(
        server.asked()[0],
        "PUT /api/v1/P1/freeze {\"frozen\":true,\"reason\":\"audit week\"}"
    );
}

#[test]
fn why_is_an_answer_and_its_steps() {
    let step = |step: &str, result: &str, text: &str, hint: Option<&str>| json!({"step": step, "result": result, "text": text, "hint": hint});
    let server = Canned::start(vec![
        (
            "GET /api/v1/P1/why?app=0193e2a4-7c1e-7abc-8def-000000000001&desktop=0193e2a4-7c1e-7abc-8def-0000000000d1",
            200,
            "",
            json!({
                "app_id": APP, "desktop_id": DEPLOYMENT,
                "answer": "Editor waits to be installed on desk-1. Its agent is not connected.",
                "steps": [
                    step("authorization", "fine", "ana may have it by name.", None),
                    step("agent", "blocks", "Its agent is not connected.", Some("Start the desktop.")),
                ],
            })
            .to_string(),
        ),
        (
            "GET /api/v1/P1/apps/0193e2a4-7c1e-7abc-8def-000000000001/outdated-desktops?limit=100&offset=0",
            200,
            "",
            list(&[json!({
                "desktop_id": "D1", "desktop_name": "desk-1", "app_revision_id": "R1", "app_version": "1.1",
                "installed_at": "2026-11-21T10:00:00.000Z",
            })]),
        ),
    ]);
    let run = |arguments: &[&str]| Run::new(arguments).against(&server.endpoint).end();
    let all = [
        run(&["why", APP, DEPLOYMENT]),
        run(&["app", "outdated", APP]),
    ];
    insta::assert_snapshot!("why_and_outdated", all.join("\n"));
    for bad in ["x=success", "5=maybe", "5"] {
        let end = run(&["app", "exit-codes", APP, bad]);
        assert!(end.starts_with("exit code: 2\n"), "{end}");
    }
}
