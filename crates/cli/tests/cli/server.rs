//! Commands against a real server: what an administrator types, from an empty project on.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Run;

/// Longest wait for the server: hashing the first password unoptimised is slow.
const START_LIMIT: Duration = Duration::from_secs(60);

/// `outfitter serve` on SQLite, ended when dropped.
pub(crate) struct Server {
    process: Child,
    folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_outfitter"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--agent-listen",
                "127.0.0.1:0",
            ])
            .args(["--bucket-listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, folder };
        let begun = Instant::now();
        while !(server.bootstrap().exists() && server.data().join("endpoints.json").exists()) {
            assert!(begun.elapsed() < START_LIMIT, "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it; the folder stays.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn bootstrap(&self) -> PathBuf {
        self.data().join("bootstrap.json")
    }

    /// A file with this content beside the data.
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs a command; ids, times and addresses that differ from run to run are replaced.
    fn run(&self, arguments: &[&str]) -> String {
        let bootstrap = self.bootstrap();
        let mut all = vec!["--bootstrap", bootstrap.to_str().unwrap()];
        all.extend(arguments);
        steady(&Run::new(&all).filter(self.folder.path(), "[FOLDER]").end())
    }

    /// Standard output of a command that must end well.
    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let bootstrap = self.bootstrap();
        let output = Command::new(env!("CARGO_BIN_EXE_outfitter"))
            .args(["--json", "--bootstrap"])
            .arg(bootstrap)
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Replaces ids and times word by word, and the padding that depends on their length.
fn steady(text: &str) -> String {
    text.lines()
        .map(|line| {
            line.split(' ')
                .map(|word| {
                    let bare = word.trim_end_matches([',', ';', ':']);
                    let rest = &word[bare.len()..];
                    let is_id = bare.len() == 36
                        && bare.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
                    let is_time = bare.len() == 24 && bare.ends_with('Z')
                        || bare.starts_with("20") && bare.len() == 10 && bare.contains('-')
                        || bare.len() == 8 && bare.matches(':').count() == 2;
                    let is_request = word.len() == 33 && word.ends_with(')');
                    match (is_id, is_time) {
                        _ if is_request => "[REQUEST])".to_owned(),
                        _ if bare.starts_with("iam::") => "[URN]".to_owned(),
                        (true, _) => format!("[ID]{rest}"),
                        (_, true) => format!("[TIME]{rest}"),
                        _ if bare.contains("127.0.0.1:") => format!("[ADDRESS]{rest}"),
                        _ => word.to_owned(),
                    }
                })
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn imports_report_each_line_and_repeat_without_change() {
    let server = Server::start();
    // A byte order mark and CRLF, as spreadsheets write them; a quoted field with a comma in it.
    let users = server.file(
        "users.csv",
        "\u{feff}Name,Email,Description,Groups\r\n\
         ana,ana@example.com,\"Drawing, night shift\",\r\n\
         ben,ben@example.com,,\r\n"
            .as_bytes(),
    );
    let wanted = server.run(&["user", "import", &users, "--dry-run"]);
    insta::assert_snapshot!("users_dry_run", wanted);
    assert_eq!(
        server.json(&["user", "list"])["count"],
        0,
        "a dry run adds nobody"
    );
    insta::assert_snapshot!("users_imported", server.run(&["user", "import", &users]));
    insta::assert_snapshot!("users_repeated", server.run(&["user", "import", &users]));

    let groups = server.file(
        "groups.csv",
        b"name,description,members\n\nOffice,\"Every\none\",ana; ben\nDesign,,ana\nGhosts,,nobody\n",
    );
    insta::assert_snapshot!("groups_imported", server.run(&["group", "import", &groups]));
    let members = server.json(&["group", "show", "Office"]);
    assert_eq!(members["members"]["count"], 2, "{members}");

    let desktops = server.file(
        "desktops.csv",
        b"name,os,users,persistent\nDESK-1,linux,ana,\nDESK-2,Windows,ana;ben,no\n",
    );
    insta::assert_snapshot!(
        "desktops_imported",
        server.run(&["desktop", "import", &desktops])
    );
    insta::assert_snapshot!(
        "desktops_repeated",
        server.run(&["desktop", "import", &desktops])
    );
}

#[test]
fn an_import_says_how_desktops_are_reached_and_replaces_no_login() {
    let server = Server::start();
    let key = server.file("password", b"open sesame");
    server.run(&["desktop", "add", "DESK-2"]);
    server.run(&[
        "desktop",
        "reach",
        "set",
        "DESK-2",
        "--address",
        "host2.example",
        "--jump",
        "gate",
    ]);
    server.run(&["desktop", "add", "DESK-3"]);
    server.run(&[
        "desktop",
        "reach",
        "set",
        "DESK-3",
        "--address",
        "host3.example",
        "--password-file",
        &key,
    ]);
    let lines = b"name,users,address,port,ssh_user,host_key,jump\n\
          DESK-1,ana,host1.example,2222,admin,,gate\n\
          DESK-2,ana,,2222,,,\n\
          DESK-3,,host3.example,,,,\n";
    let desktops = server.file("desktops.csv", lines);
    insta::assert_snapshot!(
        "reached_imported",
        server.run(&["desktop", "import", &desktops])
    );
    insta::assert_snapshot!(
        "reached_repeated",
        server.run(&["desktop", "import", &desktops])
    );
    for name in ["DESK-1", "DESK-2"] {
        let reach = server.json(&["desktop", "reach", "show", name]);
        assert_eq!(reach["port"], 2222, "{reach}");
        assert_eq!(reach["jump_address"], "gate", "{reach}");
    }
    let bad = server.file(
        "bad.csv",
        b"name,address,port\nDESK-3,host4.example,\nDESK-4,host4.example,ssh\nDESK-5,host5.example,70000\n",
    );
    insta::assert_snapshot!("reached_bad", server.run(&["desktop", "import", &bad]));
    let reach = server.json(&["desktop", "reach", "show", "DESK-3"]);
    assert_eq!(reach["address"], "host3.example", "{reach}");
    assert_eq!(reach["has_login"], true, "{reach}");
}

#[test]
fn bad_lines_do_not_stop_the_good_ones_and_a_dry_run_foresees_them() {
    let server = Server::start();
    let users = server.file(
        "users.csv",
        b"name,email,groups\n\
          ana,ana@example.com,\n\
          nomail,,\n\
          -dash,dash@example.com,\n\
          Ana,ana2@example.com,\n\
          short,short@example.com\n\
          gr\xf6n,g@example.com,\n\
          cleo,cleo@example.com,Nowhere\n\
          ,nobody@example.com,\n",
    );
    let foreseen = server.run(&["user", "import", &users, "--dry-run"]);
    insta::assert_snapshot!("bad_users_dry_run", foreseen);
    let done = server.run(&["user", "import", &users]);
    insta::assert_snapshot!("bad_users", done);

    server.run(&["desktop", "add", "DESK-1", "--user", "ana"]);
    let desktops = server.file(
        "desktops.csv",
        b"name,os,users,persistent\n\
          DESK-1,Linux,ben,\n\
          DESK-1b,Plan9,,\n\
          1st,Linux,,\n\
          DESK-2,Linux,ana;ANA,\n\
          DESK-3,Linux,,perhaps\n",
    );
    insta::assert_snapshot!(
        "bad_desktops",
        server.run(&["desktop", "import", &desktops])
    );
    let unknown = server.file("unknown.csv", b"name,mail\nana,a@example.com\n");
    insta::assert_snapshot!("unknown_column", server.run(&["user", "import", &unknown]));
    let headless = server.file("headless.csv", b"email\na@example.com\n");
    insta::assert_snapshot!("no_name_column", server.run(&["user", "import", &headless]));
    let empty = server.file("empty.csv", b"name\n");
    insta::assert_snapshot!("empty_file", server.run(&["group", "import", &empty]));
}

#[test]
fn every_noun_of_an_administrator_has_its_verbs() {
    let server = Server::start();
    let mut story = String::new();
    let mut tell = |arguments: &[&str]| {
        story.push_str(&format!("$ outfitter {}\n", arguments.join(" ")));
        story.push_str(&server.run(arguments));
        story.push_str("\n\n");
    };
    for line in [
        "iam whoami",
        "app categories",
        "app add --link https://example.com/a.zip --name Editor --version 1.0 --install-type unzip --os linux",
        "app authorize Editor --user ana --group office",
        "app authorizations Editor",
        "app authorizations Editor --type group",
        "app authorize Editor --all-users",
        "app authorizations Editor --name an",
        "rule add Games --path C:\\Games --description No-games",
        "rule add Tool --process tool.exe --publisher Acme",
        "rule update Games --name Toys",
        "rule control Toys Tool",
        "rule list --controlled",
        "rule release Tool",
        "rule restriction enable",
        "rule restriction set --enabled true --interval 10",
        "rule restriction show --json",
        "rule delete Toys Tool",
        "rule list",
        "profile set app_center=off",
        "app install Editor --all-users",
        "profile set app_center=on app_restriction=on",
        "profile set app_center",
        "user add ana --email ana@example.com",
        "user update ana --description Draws",
        "user update ana",
        "group add office",
        "group update office --description People",
        "group add-member office ana",
        "group show office",
        "group list --name off",
        "desktop add DESK-1",
        "desktop attach DESK-1 --user ana",
        "desktop attach DESK-1 --user ben",
        "desktop tag add DESK-1 --tag floor=2 --tag lab",
        "desktop list --tag floor=2",
        "desktop list --has-copy",
        "desktop tag list",
        "desktop tag list DESK-1",
        "desktop tag remove DESK-1 --tag lab",
        "desktop show DESK-1",
        "user show ana",
        "agent status --installed false",
        "agent install DESK-1 --wait",
        "workspace-job list --type installAgents --status failed",
        "workspace-job show 0193e2a4-7c1e-7abc-8def-000000000001",
        "workspace-job delete --ended failed",
        "desktop detach DESK-1 --user nobody",
        "desktop detach DESK-1 --all-users",
        "desktop delete DESK-1",
        "group delete office",
        "user delete ana",
    ] {
        tell(&line.split(' ').collect::<Vec<_>>());
    }
    insta::assert_snapshot!("story", story);
}

#[test]
fn access_keys_are_disabled_rotated_and_a_password_is_changed_by_its_owner() {
    let server = Server::start();
    let made = server.json(&["iam", "user", "add", "ana", "--role", "app-operator"]);
    let key = made["access_key"]["access_key"].as_str().unwrap();
    let listed = || server.json(&["iam", "key", "list", "--user", "ana"]);
    let disabled = server.json(&["iam", "key", "disable", key, "--user", "ana"]);
    assert_eq!(disabled["enabled"], false);
    assert_eq!(listed()["items"][0]["enabled"], false);
    server.json(&["iam", "key", "enable", key, "--user", "ana"]);
    let rotated = server.json(&["iam", "key", "rotate", key, "--user", "ana"]);
    assert_ne!(rotated["access_key"], key);
    let keys = listed();
    assert_eq!(keys["count"], 2);
    assert_eq!(keys["items"][0]["access_key"], rotated["access_key"]);
    assert_eq!(
        (&keys["items"][0]["enabled"], &keys["items"][1]["enabled"]),
        (&true.into(), &false.into())
    );

    // The administrator of the bootstrap file changes its own password, with the key that stands there.
    let bootstrap: serde_json::Value =
        serde_json::from_slice(&fs::read(server.bootstrap()).unwrap()).unwrap();
    let old = server.file("old", bootstrap["password"].as_str().unwrap().as_bytes());
    let new = server.file("new", b"correct horse battery\n");
    let change = |original: &str, new: &str| {
        server.run(&[
            "iam",
            "password",
            "--original-file",
            original,
            "--new-file",
            new,
        ])
    };
    assert!(change(&new, &old).contains("original_password: is not the user's password"));
    assert!(change(&old, &new).starts_with("exit code: 0\n"));
    assert!(change(&new, &old).starts_with("exit code: 0\n"));
    let asked = server.run(&["iam", "password"]);
    assert!(
        asked.contains("there is no terminal to ask at") && asked.contains("hint: "),
        "{asked}"
    );
}
