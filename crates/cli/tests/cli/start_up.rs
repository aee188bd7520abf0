//! What keeps a server from starting: one sentence, and what to do about it.

use std::fs;
use std::net::TcpListener;

use crate::Run;
use crate::server::Server;

/// Starts a server that cannot start; the addresses and folders given are replaced.
fn refused(arguments: &[&str], filters: &[(&str, &'static str)]) -> String {
    let mut all = vec!["serve", "--log", "off"];
    all.extend(arguments);
    for option in ["--listen", "--agent-listen", "--bucket-listen"] {
        if !arguments.contains(&option) {
            all.extend([option, "127.0.0.1:0"]);
        }
    }
    let mut run = Run::new(&all);
    for (text, stands_for) in filters {
        run = run.filter(text.as_ref(), stands_for);
    }
    run.end()
}

#[test]
fn a_folder_that_another_server_works_in_is_refused_and_left_alone() {
    let mut server = Server::start();
    let data = server.data();
    let endpoints = fs::read(data.join("endpoints.json")).unwrap();
    let id = format!("process {}", server.id());
    let end = refused(
        &["--data-dir", data.to_str().unwrap()],
        &[(data.to_str().unwrap(), "[DATA]"), (&id, "process [ID]")],
    );
    insta::assert_snapshot!("second_server", end);
    assert_eq!(fs::read(data.join("endpoints.json")).unwrap(), endpoints);

    // Killed as hard as can be: the folder is free again, and wants its own key.
    server.kill();
    let key = data.join("server.key");
    fs::write(&key, format!("{}\n", "ab".repeat(32))).unwrap();
    let end = refused(
        &["--data-dir", data.to_str().unwrap()],
        &[(data.to_str().unwrap(), "[DATA]")],
    );
    insta::assert_snapshot!("other_key", end);
    fs::remove_file(&key).unwrap();
    let end = refused(
        &["--data-dir", data.to_str().unwrap()],
        &[(data.to_str().unwrap(), "[DATA]")],
    );
    insta::assert_snapshot!("no_key", end);
}

#[test]
fn a_port_in_use_a_folder_that_cannot_be_and_an_absent_database_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let folder_text = folder.path().to_str().unwrap();
    let filters = [(folder_text, "[FOLDER]")];
    let data = format!("{folder_text}/data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let end = refused(
        &["--data-dir", &data, "--listen", &address],
        &[(folder_text, "[FOLDER]"), (&address, "[ADDRESS]")],
    );
    insta::assert_snapshot!("port_in_use", end);

    fs::write(folder.path().join("file"), "").unwrap();
    let below_a_file = format!("{folder_text}/file/data");
    insta::assert_snapshot!(
        "no_folder",
        refused(&["--data-dir", &below_a_file], &filters)
    );

    let data = format!("{folder_text}/other");
    let end = refused(
        &[
            "--data-dir",
            &data,
            "--database-url",
            "postgres://ana:hunter2@127.0.0.1:1/outfitter",
        ],
        &filters,
    );
    assert!(!end.contains("hunter2"), "{end}");
    insta::assert_snapshot!("no_database", end);
}
