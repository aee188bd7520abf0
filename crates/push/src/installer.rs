//! The script that an administrator runs on a desktop, where the server cannot reach it: the steps of a push, told by
//! the desktop itself.

use std::fmt::Write as _;

use crate::conversation::{FAR_SIDE, quoted};
use crate::install::UNIT;

const TEMPLATE: &str = include_str!("installer.sh");

/// A program of the agent, as the script fetches and checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallerProgram {
    /// The architecture, as `uname -m` says it.
    pub arch: String,
    /// Lower-case hex SHA-256 of it.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
}

/// The script: POSIX shell, without a secret. The same arguments give the same text, so that it can be known by its
/// digest. `server` is the agent listener as desktops reach it, `HOST:PORT`.
pub fn installer(server: &str, programs: &[InstallerProgram]) -> String {
    let mut cases = String::new();
    for program in programs {
        let _ = writeln!(
            cases,
            "{}) digest={} size={} ;;",
            quoted(&program.arch),
            quoted(&program.sha256),
            program.size_bytes
        );
    }
    // A comment ends with its line, whatever the server is called.
    let told = server.replace(|c: char| c.is_control(), " ");
    TEMPLATE
        .replacen("@SERVER@", &told, 1)
        .replacen("@SERVER@", &quoted(server), 1)
        .replacen("@PROGRAMS@\n", &cases, 1)
        .replacen("@FAR_SIDE@", FAR_SIDE, 1)
        .replacen("@UNIT@", UNIT, 1)
}

/// One line for a POSIX shell: fetches the script at `url`, compares its digest (lower-case hex SHA-256), and only then
/// runs it. The token is read from the line's standard input, where no list of processes shows it.
pub fn install_command(url: &str, sha256: &str) -> String {
    let url = quoted(url);
    format!(
        "(d=$(mktemp -d) && cd \"$d\" && {{ curl -fsSk -o install.sh {url} || wget -q --no-check-certificate -O install.sh {url}; }} \
         && echo '{sha256}  install.sh' | sha256sum -c && sh install.sh --token -; s=$?; rm -rf \"$d\"; exit $s)"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use sha2::{Digest as _, Sha256};

    use super::*;

    /// Runs the line in a shell, where `script` lies at its address.
    fn run(script: &str, sha256: &str) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's here.sh");
        fs::write(&path, script).unwrap();
        let url = format!("file://{}", path.display()).replace(' ', "%20");
        let mut shell = Command::new("sh")
            .args(["-c", &install_command(&url, sha256)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // A line that ends before it reads closes the pipe.
        let _ = shell.stdin.take().unwrap().write_all(b"oft1.a-b_c\n");
        let ended = shell.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        (ended.status.success(), said)
    }

    #[test]
    fn the_line_runs_the_script_of_that_digest_alone_with_the_token_on_standard_input() {
        let script = "read -r token\necho \"got $token with $*\"\n";
        let sha256 = hex::encode(Sha256::digest(script));
        assert!(!install_command("https://a:7443/install.sh", &sha256).contains('\n'));
        let (ended_well, said) = run(script, &sha256);
        assert!(
            ended_well && said.contains("got oft1.a-b_c with --token -"),
            "{said}"
        );
        let (ended_well, said) = run(&format!("{script}echo more\n"), &sha256);
        assert!(!ended_well && !said.contains("got"), "{said}");
    }

    #[test]
    fn the_script_is_shell_and_holds_the_steps_and_the_unit_of_a_push() {
        let program = InstallerProgram {
            arch: "x86_64".to_owned(),
            sha256: "ab".repeat(32),
            size_bytes: 5,
        };
        let script = installer("desks.example.org:7443", std::slice::from_ref(&program));
        for part in [
            FAR_SIDE,
            UNIT,
            "server='desks.example.org:7443'\n",
            &format!("'x86_64') digest='{}' size=5 ;;\n", program.sha256),
        ] {
            assert!(script.contains(part), "{part}");
        }
        for left in ["@SERVER@", "@PROGRAMS@", "@FAR_SIDE@", "@UNIT@"] {
            assert!(!script.contains(left), "{left}");
        }
        let mut shell = Command::new("sh")
            .arg("-n")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        assert!(shell.wait().unwrap().success());
    }
}
