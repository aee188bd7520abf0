use std::fs;

use crate::Run;

#[test]
fn file_environment_and_flags_are_laid_over_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outfitter.toml");
    fs::write(
        &file,
        "data_dir = '/srv/outfitter'\nregion = 'file-1'\nagent_heartbeat_secs = 10\ntls_self_signed = true\n\
         agent_binaries = '/usr/lib/outfitter'\n",
    )
    .unwrap();
    let run = |last: &[&str]| {
        let mut arguments = vec!["config", "check", "--agent-heartbeat-secs", "30"];
        arguments.extend(last);
        Run::new(&arguments)
            .env("OUTFITTER_CONFIG", file.to_str().unwrap())
            .env("OUTFITTER_REGION", "environment-1")
            .env("OUTFITTER_AGENT_HEARTBEAT_SECS", "20")
            .env(
                "OUTFITTER_DATABASE_URL",
                "postgres://admin:hunter2@db.example:6000/outfitter?sslpassword=hunter3",
            )
            .end()
    };
    insta::assert_snapshot!("config_check", run(&[]));
    insta::assert_snapshot!("config_check_json", run(&["--json"]));
}

#[test]
fn the_package_store_is_shown_without_its_keys() {
    let run = |more: &[&str]| {
        let mut arguments = vec!["config", "check", "--data-dir", "/srv", "--json"];
        arguments.extend(["--package-store", "s3://packages/out/fitter"]);
        arguments.extend(more);
        Run::new(&arguments).env("OUTFITTER_PACKAGE_STORE_ACCESS_KEY", "ACCESS")
    };
    let endpoint = ["--package-store-endpoint", "https://s3.example.com"];
    let whole = run(&endpoint).env("OUTFITTER_PACKAGE_STORE_SECRET_KEY", "hunter2");
    let shown = whole.end();
    assert!(
        shown.contains("s3://packages/out/fitter at https://s3.example.com"),
        "{shown}"
    );
    assert!(shown.contains("at addresses that hold 3600 s"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let half = run(&endpoint).end();
    assert!(half.contains("go together"), "{half}");
    let nowhere = run(&[]).env("OUTFITTER_PACKAGE_STORE_SECRET_KEY", "hunter2");
    let nowhere = nowhere.end();
    assert!(nowhere.contains("--package-store-region"), "{nowhere}");
}

#[test]
fn unknown_keys_in_the_file_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outfitter.toml");
    fs::write(&file, "data_dir = '/srv'\nlisten_on = '127.0.0.1:1'\n").unwrap();
    insta::assert_snapshot!(
        Run::new(&["config", "check", "--config", file.to_str().unwrap()])
            .filter(folder.path(), "[FOLDER]")
            .end()
    );
}

#[test]
fn a_broken_file_names_the_line_and_keeps_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outfitter.toml");
    fs::write(
        &file,
        "data_dir = '/srv'\ndatabase_url = postgres://u:hunter2@db/x\n",
    )
    .unwrap();
    let end = Run::new(&["config", "check", "--config", file.to_str().unwrap()]).end();
    assert!(end.contains("line 2: "), "{end}");
    assert!(!end.contains("hunter2"), "{end}");
}

#[test]
fn public_addresses_that_nobody_could_reach_are_refused() {
    for (option, wrong, right) in [
        (
            "--agent-public",
            "https://agents.example.org",
            "agents.example.org:7443",
        ),
        ("--agent-public", "agents.example.org", "[2001:db8::7]:7443"),
        (
            "--public-url",
            "outfitter.example.org",
            "https://outfitter.example.org/",
        ),
        (
            "--bucket-public",
            "https://example.org/bucket",
            "http://bucket.example.org:8081",
        ),
    ] {
        let check = |value: &str| {
            Run::new(&[
                "config",
                "check",
                "--data-dir",
                "/srv/outfitter",
                option,
                value,
            ])
            .end()
        };
        assert!(check(wrong).contains(option), "{}", check(wrong));
        assert!(!check(right).contains("error"), "{}", check(right));
    }
}

#[test]
fn plain_http_off_loopback_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    insta::assert_snapshot!(
        Run::new(&[
            "serve",
            "--data-dir",
            data.to_str().unwrap(),
            "--listen",
            "0.0.0.0:0"
        ])
        .end()
    );
    assert!(!data.exists(), "nothing may be made");
}

#[test]
fn serve_without_a_data_folder_is_a_usage_error() {
    insta::assert_snapshot!(Run::new(&["serve"]).end());
}

#[test]
fn the_doctor_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens on these: port 1 needs rights that tests do not use.
    insta::assert_snapshot!(
        Run::new(&[
            "doctor",
            "--data-dir",
            folder.path().to_str().unwrap(),
            "--listen",
            "127.0.0.1:1",
            "--agent-listen",
            "127.0.0.1:1",
            "--bucket-listen",
            "127.0.0.1:1",
        ])
        .filter(folder.path(), "[FOLDER]")
        .end()
    );
}
