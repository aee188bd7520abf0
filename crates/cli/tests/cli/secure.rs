//! A server with a certificate of its own making, and clients that trust it or do not.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Run;

/// Longest wait for the first start: hashing the first password unoptimised is slow.
const START_LIMIT: Duration = Duration::from_secs(60);

struct Server(Child);

impl Server {
    fn start(data_dir: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_outfitter"))
            .args(["serve", "--tls-self-signed", "--log", "error"])
            .args(["--listen", "127.0.0.1:0"])
            .args(["--agent-listen", "127.0.0.1:0"])
            .args(["--bucket-listen", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data_dir)
            .env_clear()
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self(child);
        let begun = Instant::now();
        while !data_dir.join("bootstrap.json").exists() {
            assert_eq!(server.0.try_wait().unwrap(), None, "the server ended");
            assert!(begun.elapsed() < START_LIMIT, "the server did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_self_signed_server_is_trusted_by_its_own_folder_or_by_name_only() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let _server = Server::start(&data_dir);
    let list = |arguments: &[&str]| {
        let mut all = vec!["app", "list"];
        all.extend(arguments);
        Run::new(&all).end()
    };
    let text = |path: &Path| path.to_str().unwrap().to_owned();

    // The certificate lies beside the file.
    let own = text(&data_dir.join("bootstrap.json"));
    let end = list(&["--bootstrap", &own]);
    assert!(end.starts_with("exit code: 0\n"), "{end}");

    // Elsewhere it does not: nothing is sent, and the advice is the way out.
    let bootstrap = fs::read_to_string(&own).unwrap();
    let copy = folder.path().join("copy.json");
    fs::write(&copy, &bootstrap).unwrap();
    let copy = text(&copy);
    let end = list(&["--bootstrap", &copy]);
    assert!(end.starts_with("exit code: 5\n"), "{end}");
    assert!(end.contains("hint: a self-signed certificate"), "{end}");
    assert!(end.contains("--ca FILE"), "{end}");
    let certificate = text(&data_dir.join("tls.crt"));
    let end = list(&["--bootstrap", &copy, "--ca", &certificate]);
    assert!(end.starts_with("exit code: 0\n"), "{end}");

    // Named in the file itself, from where the file is.
    let named = bootstrap.replacen('{', r#"{"ca": "data/tls.crt","#, 1);
    fs::write(&copy, named).unwrap();
    let end = list(&["--bootstrap", &copy]);
    assert!(end.starts_with("exit code: 0\n"), "{end}");

    let end = list(&["--bootstrap", &copy, "--ca", &copy]);
    assert!(end.starts_with("exit code: 1\n"), "{end}");
    assert!(
        end.contains(&format!("error: cannot trust {copy}: ")),
        "{end}"
    );
    let end = list(&["--bootstrap", &copy, "--ca", "/nowhere/ca.pem"]);
    assert!(end.starts_with("exit code: 1\n"), "{end}");
    assert!(end.contains("cannot read /nowhere/ca.pem"), "{end}");
}
