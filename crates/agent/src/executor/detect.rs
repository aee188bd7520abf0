//! Detection: what is on the desktop, told by rules that are evaluated here and nowhere else.

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use outfitter_agent_protocol::{Detection, DetectionRule};
use outfitter_packages::digest_reader;

use crate::command::on_desktop;
use crate::platform;

/// Evaluates a rule below the folder that plays the desktop, where one does. What cannot be looked at
/// does not hold, and the view says why.
pub fn evaluate<'a>(
    rule: &'a DetectionRule,
    sandbox_root: Option<&'a Path>,
) -> Pin<Box<dyn Future<Output = Detection> + Send + 'a>> {
    Box::pin(async move {
        match rule {
            DetectionRule::File {
                path,
                sha256,
                size_bytes,
            } => file(path, sha256.as_deref(), *size_bytes, sandbox_root).await,
            DetectionRule::DebianPackage { name, version } => {
                debian(name, version.as_deref(), sandbox_root).await
            }
            DetectionRule::All(rules) => {
                let all = each(rules, sandbox_root).await;
                Detection {
                    holds: !all.is_empty() && all.iter().all(|one| one.holds),
                    seen: joined(&all),
                }
            }
            DetectionRule::Any(rules) => {
                let all = each(rules, sandbox_root).await;
                Detection {
                    holds: all.iter().any(|one| one.holds),
                    seen: joined(&all),
                }
            }
            DetectionRule::Not(rule) => {
                let inner = evaluate(rule, sandbox_root).await;
                Detection {
                    holds: !inner.holds,
                    seen: inner.seen,
                }
            }
        }
    })
}

async fn each(rules: &[DetectionRule], sandbox_root: Option<&Path>) -> Vec<Detection> {
    let mut all = Vec::with_capacity(rules.len());
    for rule in rules {
        all.push(evaluate(rule, sandbox_root).await);
    }
    all
}

/// Several views as one.
pub(super) fn joined(all: &[Detection]) -> String {
    let seen: Vec<&str> = all.iter().map(|one| one.seen.as_str()).collect();
    seen.join("; ")
}

fn not(seen: String) -> Detection {
    Detection { holds: false, seen }
}

async fn file(
    path: &str,
    sha256: Option<&str>,
    size_bytes: Option<u64>,
    sandbox_root: Option<&Path>,
) -> Detection {
    let real = match on_desktop(sandbox_root, Path::new(path)) {
        Ok(real) => real,
        Err(reason) => return not(reason),
    };
    let found = match real.metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return not(format!("{path} is missing"));
        }
        Err(error) => return not(format!("{path} cannot be looked at: {error}")),
    };
    if !found.is_file() {
        return not(format!("{path} is no file"));
    }
    if let Some(expected) = size_bytes
        && found.len() != expected
    {
        return not(format!("{path} has {} bytes, not {expected}", found.len()));
    }
    let Some(expected) = sha256 else {
        return Detection {
            holds: true,
            seen: format!("{path} is there"),
        };
    };
    match sha256_of(real).await {
        Ok(digest) if digest == expected => Detection {
            holds: true,
            seen: format!("{path} is there with the expected content"),
        },
        Ok(digest) => not(format!("{path} has another content (SHA-256 {digest})")),
        Err(error) => not(format!("{path} cannot be read: {error}")),
    }
}

/// SHA-256 of a file, lower-case hex.
///
/// # Errors
/// When it cannot be read.
async fn sha256_of(path: PathBuf) -> std::io::Result<String> {
    tokio::task::spawn_blocking(move || Ok(digest_reader(File::open(path)?)?.sha256.to_string()))
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
}

async fn debian(name: &str, version: Option<&str>, sandbox_root: Option<&Path>) -> Detection {
    let database = match on_desktop(sandbox_root, Path::new("/var/lib/dpkg")) {
        Ok(database) => database,
        Err(reason) => return not(reason),
    };
    match platform::debian_package(&database, name).await {
        Ok(None) => not(format!("{name} is not installed")),
        // Exit code 0 is not enough: removed and half-configured packages are known too.
        Ok(Some(state)) if state.status != "installed" => {
            not(format!("{name} {} is {}", state.version, state.status))
        }
        Ok(Some(state)) => Detection {
            holds: version.is_none_or(|version| version == state.version),
            seen: format!("{name} {} is installed", state.version),
        },
        Err(error) => not(crate::server_client::chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str, sha256: Option<&str>, size_bytes: Option<u64>) -> DetectionRule {
        DetectionRule::File {
            path: path.to_owned(),
            sha256: sha256.map(str::to_owned),
            size_bytes,
        }
    }

    #[tokio::test]
    async fn file_rules_look_below_the_sandbox_only() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::write(root.path().join("app"), "abc").expect("a file");
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let table = [
            (rule("/app", None, None), true, "is there"),
            (
                rule("/app", Some(digest), Some(3)),
                true,
                "expected content",
            ),
            (
                rule("/app", Some(&"0".repeat(64)), None),
                false,
                "another content",
            ),
            (rule("/app", None, Some(4)), false, "has 3 bytes"),
            (rule("/", None, None), false, "no file"),
            (rule("/etc/passwd", None, None), false, "is missing"),
        ];
        for (rule, holds, words) in table {
            let seen = evaluate(&rule, Some(root.path())).await;
            assert_eq!(seen.holds, holds, "{rule:?}");
            assert!(seen.seen.contains(words), "{}", seen.seen);
        }
    }

    #[tokio::test]
    async fn rules_combine() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::write(root.path().join("a"), "").expect("a file");
        let (here, gone) = (rule("/a", None, None), rule("/b", None, None));
        let all = DetectionRule::All(vec![here.clone(), gone.clone()]);
        let any = DetectionRule::Any(vec![here, gone.clone()]);
        let not = DetectionRule::Not(Box::new(gone));
        for (rule, holds) in [
            (all, false),
            (any, true),
            (not, true),
            (DetectionRule::All(vec![]), false),
        ] {
            assert_eq!(
                evaluate(&rule, Some(root.path())).await.holds,
                holds,
                "{rule:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_package_counts_only_when_it_is_installed() {
        let root = tempfile::tempdir().expect("a folder");
        let hello = DetectionRule::DebianPackage {
            name: "hello".to_owned(),
            version: Some("2.10-3".to_owned()),
        };
        let seen = evaluate(&hello, Some(root.path())).await;
        assert!(
            !seen.holds && seen.seen.contains("not installed"),
            "{}",
            seen.seen
        );
        let database = root.path().join("var/lib/dpkg");
        std::fs::create_dir_all(&database).expect("a folder");
        for (status, holds) in [
            ("install ok installed", true),
            ("deinstall ok config-files", false),
            ("install ok half-configured", false),
        ] {
            let text = format!(
                "Package: hello\nStatus: {status}\nArchitecture: amd64\nVersion: 2.10-3\nMaintainer: x\nDescription: x\n\n"
            );
            std::fs::write(database.join("status"), text).expect("a status file");
            let seen = evaluate(&hello, Some(root.path())).await;
            assert_eq!(seen.holds, holds, "{status}: {}", seen.seen);
        }
    }
}
