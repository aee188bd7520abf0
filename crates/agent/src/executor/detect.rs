//! Detection: what is on the desktop, told by rules that are evaluated here and nowhere else.

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use outfitter_agent_protocol::{DetectionRule, MAX_SCRIPT_SECS, SCRIPT_SECS};
use outfitter_packages::digest_reader;

use crate::command::on_desktop;
use crate::durable;
use crate::platform::{self, PlatformError, RegistryEntry};
use crate::server_client::chain;
use crate::supervision::{Exit, Notes, Prepared, RunEnd, SupervisionEnd, run_path};

/// What an evaluation saw. `holds` is `None` where it cannot be told: a rule that cannot be evaluated is neither true nor
/// false, and its denial is not true either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Whether the rule holds.
    pub holds: Option<bool>,
    /// What was seen, in words.
    pub seen: String,
}

/// Where rules are evaluated.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The folder that plays the desktop, where one does.
    pub sandbox_root: Option<&'a Path>,
    /// Where scripts get a folder of their own while they run.
    pub work: &'a Path,
}

impl View {
    fn told(holds: bool, seen: String) -> Self {
        Self {
            holds: Some(holds),
            seen,
        }
    }

    fn unknown(seen: impl std::fmt::Display) -> Self {
        Self {
            holds: None,
            seen: format!("cannot be evaluated on this desktop: {seen}"),
        }
    }
}

/// Evaluates a rule.
pub fn evaluate<'a>(
    rule: &'a DetectionRule,
    place: Place<'a>,
) -> Pin<Box<dyn Future<Output = View> + Send + 'a>> {
    Box::pin(async move {
        let sandbox_root = place.sandbox_root;
        match rule {
            DetectionRule::File {
                path,
                sha256,
                size_bytes,
            } => file(path, sha256.as_deref(), *size_bytes, sandbox_root).await,
            DetectionRule::DebianPackage { name, version } => {
                debian(name, version.as_deref(), sandbox_root).await
            }
            DetectionRule::RpmPackage { name, version } => {
                rpm(name, version.as_deref(), sandbox_root).await
            }
            DetectionRule::Script {
                script,
                exit_codes,
                time_limit_secs,
            } => {
                let limit = time_limit_secs.unwrap_or(SCRIPT_SECS).min(MAX_SCRIPT_SECS);
                run_script(script, exit_codes, limit, place).await
            }
            DetectionRule::RegistryValue { key, name, data } => {
                registry(key, name.as_deref(), data.as_deref())
            }
            DetectionRule::MsiProduct {
                product_code,
                version,
            } => msi(product_code, version.as_deref()),
            DetectionRule::All(rules) => {
                let all = each(rules, place).await;
                let holds = if all.iter().any(|one| one.holds == Some(false)) || all.is_empty() {
                    Some(false)
                } else {
                    all.iter()
                        .all(|one| one.holds == Some(true))
                        .then_some(true)
                };
                View {
                    holds,
                    seen: joined(&all),
                }
            }
            DetectionRule::Any(rules) => {
                let all = each(rules, place).await;
                let holds = if all.iter().any(|one| one.holds == Some(true)) {
                    Some(true)
                } else {
                    all.iter()
                        .all(|one| one.holds == Some(false))
                        .then_some(false)
                };
                View {
                    holds,
                    seen: joined(&all),
                }
            }
            DetectionRule::Not(rule) => {
                let inner = evaluate(rule, place).await;
                View {
                    holds: inner.holds.map(|holds| !holds),
                    seen: inner.seen,
                }
            }
        }
    })
}

async fn each(rules: &[DetectionRule], place: Place<'_>) -> Vec<View> {
    let mut all = Vec::with_capacity(rules.len());
    for rule in rules {
        all.push(evaluate(rule, place).await);
    }
    all
}

fn joined(all: &[View]) -> String {
    let seen: Vec<&str> = all.iter().map(|one| one.seen.as_str()).collect();
    seen.join("; ")
}

fn not(seen: String) -> View {
    View::told(false, seen)
}

/// Runs a script under a supervisor of its own: in a session and a control group of its own, ended with all it started at
/// its time limit, in the environment of installers and nothing else.
async fn run_script(script: &str, exit_codes: &[i32], limit: u32, place: Place<'_>) -> View {
    let name = format!("detect-{}", uuid::Uuid::new_v4().simple());
    let folder = place.work.join(name);
    let mut environment = platform::base_environment();
    if let Some(root) = place.sandbox_root {
        environment.insert("OUTFITTER_ROOT".to_owned(), root.display().to_string());
    }
    let prepared = Prepared {
        arguments: platform::script_arguments(script),
        environment,
        folder: place.sandbox_root.unwrap_or(&folder).to_owned(),
        run_limit_secs: limit,
        user: None,
        notes: Notes::default(),
    };
    let work = folder.clone();
    let end = tokio::task::spawn_blocking(move || {
        durable::create_private_folder(&work).map_err(|error| chain(&error))?;
        durable::write_json(&run_path(&work), &prepared).map_err(|error| chain(&error))?;
        platform::start_supervisor(&work).map_err(|error| chain(&error))?;
        platform::await_supervisor(&work, Some(&prepared)).map_err(|error| chain(&error))
    })
    .await
    .unwrap_or_else(|error| Err(error.to_string()));
    if let Some(group) = platform::control_group(&durable::SystemFiles, &folder) {
        // What a script left behind on purpose keeps its group until the next boot.
        platform::remove_control_group(&group);
    }
    let _ = durable::remove_folder(&folder);
    let (end, output_tail) = match end {
        Ok(SupervisionEnd::Ended(Exit { end, output_tail })) => (end, output_tail),
        Ok(SupervisionEnd::NotStarted) => return View::unknown("the script was not started"),
        Ok(SupervisionEnd::Interrupted { detail }) => return View::unknown(detail),
        Err(reason) => return View::unknown(reason),
    };
    match end {
        RunEnd::Exited(code) => {
            let said = crate::secrets::masked(&output_tail);
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            let words: String = last.unwrap_or_default().trim().chars().take(200).collect();
            let said = match words.as_str() {
                "" => String::new(),
                words => format!(": {words}"),
            };
            View::told(
                exit_codes.contains(&code),
                format!("the script ended with exit code {code}{said}"),
            )
        }
        RunEnd::RunLimit => View::unknown(format!("the script was ended after {limit} s")),
        RunEnd::Cancelled => View::unknown("the script was stopped"),
        RunEnd::ProgramMissing(reason) | RunEnd::StartFailed(reason) => View::unknown(reason),
    }
}

async fn rpm(name: &str, version: Option<&str>, sandbox_root: Option<&Path>) -> View {
    let mut database = None;
    if sandbox_root.is_some() {
        for path in platform::RPM_DATABASES {
            match on_desktop(sandbox_root, Path::new(path)) {
                Ok(path) if path.is_dir() => database = Some(path),
                Ok(_) => {}
                Err(reason) => return View::unknown(reason),
            }
        }
        if database.is_none() {
            return not(format!("{name} is not installed"));
        }
    }
    let found = match platform::rpm_package(database.as_deref(), name).await {
        Ok(found) => found,
        Err(error) => return View::unknown(chain(&error)),
    };
    if found.is_empty() {
        return not(format!("{name} is not installed"));
    }
    let plain = |version: &str| version.strip_prefix("0:").unwrap_or(version).to_owned();
    let is_it = |found: &String| version.is_none_or(|version| plain(version) == plain(found));
    let seen: Vec<String> = found.iter().map(|version| plain(version)).collect();
    View::told(
        found.iter().any(is_it),
        format!("{name} {} is installed", seen.join(", ")),
    )
}

fn registry(key: &str, name: Option<&str>, data: Option<&str>) -> View {
    let what = name.map_or_else(|| key.to_owned(), |name| format!("{name} of {key}"));
    match platform::registry_entry(key, name) {
        Ok(RegistryEntry::Absent) => not(format!("{what} is not in the registry")),
        Ok(RegistryEntry::Key) => View::told(true, format!("{what} is in the registry")),
        Ok(RegistryEntry::Value(found)) => {
            let shown: String = found.chars().take(200).collect();
            View::told(
                data.is_none_or(|data| data == found),
                format!("{what} is {shown:?}"),
            )
        }
        Err(PlatformError::NotSupported(_)) => {
            View::unknown(format!("{key} is of the Windows registry"))
        }
        Err(error) => View::unknown(chain(&error)),
    }
}

fn msi(product_code: &str, version: Option<&str>) -> View {
    match platform::msi_product(product_code) {
        Ok(None) => not(format!("product {product_code} is not installed")),
        Ok(Some(found)) => View::told(
            version.is_none_or(|version| version == found),
            format!("product {product_code} {found} is installed"),
        ),
        Err(PlatformError::NotSupported(_)) => {
            View::unknown(format!("product {product_code} is of Windows Installer"))
        }
        Err(error) => View::unknown(chain(&error)),
    }
}

async fn file(
    path: &str,
    sha256: Option<&str>,
    size_bytes: Option<u64>,
    sandbox_root: Option<&Path>,
) -> View {
    let real = platform::rule_path(path).and_then(|path| on_desktop(sandbox_root, &path));
    let real = match real {
        Ok(real) => real,
        Err(reason) => return View::unknown(reason),
    };
    let found = match real.metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return not(format!("{path} is missing"));
        }
        Err(error) => return View::unknown(format!("{path}: {error}")),
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
        return View::told(true, format!("{path} is there"));
    };
    match sha256_of(real).await {
        Ok(digest) if digest == expected => {
            View::told(true, format!("{path} is there with the expected content"))
        }
        Ok(digest) => not(format!("{path} has another content (SHA-256 {digest})")),
        Err(error) => View::unknown(format!("{path}: {error}")),
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

async fn debian(name: &str, version: Option<&str>, sandbox_root: Option<&Path>) -> View {
    let database = match on_desktop(sandbox_root, Path::new("/var/lib/dpkg")) {
        Ok(database) => database,
        Err(reason) => return View::unknown(reason),
    };
    match platform::debian_package(&database, name).await {
        Ok(None) => not(format!("{name} is not installed")),
        // Exit code 0 is not enough: removed and half-configured packages are known too.
        Ok(Some(state)) if state.status != "installed" => {
            not(format!("{name} {} is {}", state.version, state.status))
        }
        Ok(Some(state)) => View::told(
            version.is_none_or(|version| version == state.version),
            format!("{name} {} is installed", state.version),
        ),
        Err(error) => View::unknown(chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(root: &Path) -> Place<'_> {
        Place {
            sandbox_root: Some(root),
            work: root,
        }
    }

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
            let seen = evaluate(&rule, at(root.path())).await;
            assert_eq!(seen.holds, Some(holds), "{rule:?}");
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
                evaluate(&rule, at(root.path())).await.holds,
                Some(holds),
                "{rule:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_cannot_be_evaluated_here_is_neither_true_nor_false() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::write(root.path().join("a"), "").expect("a file");
        let registry = DetectionRule::RegistryValue {
            key: "HKLM\\Software\\X".to_owned(),
            name: None,
            data: None,
        };
        let msi = DetectionRule::MsiProduct {
            product_code: "{01234567-89ab-cdef-0123-456789abcdef}".to_owned(),
            version: None,
        };
        let (here, gone) = (rule("/a", None, None), rule("/b", None, None));
        let not = |rule: &DetectionRule| DetectionRule::Not(Box::new(rule.clone()));
        for (rule, holds) in [
            (registry.clone(), None),
            (not(&registry), None),
            (not(&not(&msi)), None),
            (
                DetectionRule::All(vec![here.clone(), registry.clone()]),
                None,
            ),
            (
                DetectionRule::All(vec![gone.clone(), msi.clone()]),
                Some(false),
            ),
            (DetectionRule::Any(vec![here, registry.clone()]), Some(true)),
            (DetectionRule::Any(vec![gone, msi]), None),
        ] {
            let seen = evaluate(&rule, at(root.path())).await;
            assert_eq!(seen.holds, holds, "{rule:?}");
            if holds.is_none() {
                assert!(seen.seen.contains("cannot be evaluated"), "{}", seen.seen);
            }
        }
    }

    #[tokio::test]
    async fn an_rpm_package_is_looked_up_by_its_very_name_and_version() {
        let root = tempfile::tempdir().expect("a folder");
        let rpm = |version: Option<&str>| DetectionRule::RpmPackage {
            name: "outfitter-probe".to_owned(),
            version: version.map(str::to_owned),
        };
        let seen = evaluate(&rpm(None), at(root.path())).await;
        assert_eq!(seen.holds, Some(false), "{}", seen.seen);
        let database = root.path().join("var/lib/rpm");
        std::fs::create_dir_all(&database).expect("a folder");
        build_and_install(root.path(), &database);
        for (version, holds) in [
            (None, true),
            (Some("1.2-3"), true),
            (Some("0:1.2-3"), true),
            (Some("1.2-4"), false),
            (Some("1:1.2-3"), false),
        ] {
            let seen = evaluate(&rpm(version), at(root.path())).await;
            assert_eq!(seen.holds, Some(holds), "{version:?}: {}", seen.seen);
        }
    }

    /// A package without files, in a database of its own.
    fn build_and_install(root: &Path, database: &Path) {
        let spec = root.join("probe.spec");
        let text = "Name: outfitter-probe\nVersion: 1.2\nRelease: 3\nSummary: probe\nLicense: none\nBuildArch: noarch\n\
                    %description\nprobe\n%files\n";
        std::fs::write(&spec, text).expect("a spec");
        let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
            let output = std::process::Command::new(program)
                .args(arguments)
                .output()
                .expect("rpm tools (scripts/need installs them)");
            assert!(output.status.success(), "{program}: {output:?}");
        };
        let top = format!("_topdir {}", root.display());
        run(
            "rpmbuild",
            &[
                "--define".as_ref(),
                top.as_ref(),
                "-bb".as_ref(),
                spec.as_os_str(),
            ],
        );
        let package = root.join("RPMS/noarch/outfitter-probe-1.2-3.noarch.rpm");
        run(
            "rpm",
            &[
                "--dbpath".as_ref(),
                database.as_os_str(),
                "-i".as_ref(),
                "--nodeps".as_ref(),
                "--justdb".as_ref(),
                package.as_os_str(),
            ],
        );
    }

    #[tokio::test]
    async fn a_package_counts_only_when_it_is_installed() {
        let root = tempfile::tempdir().expect("a folder");
        let hello = DetectionRule::DebianPackage {
            name: "hello".to_owned(),
            version: Some("2.10-3".to_owned()),
        };
        let seen = evaluate(&hello, at(root.path())).await;
        assert!(
            seen.holds == Some(false) && seen.seen.contains("not installed"),
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
            let seen = evaluate(&hello, at(root.path())).await;
            assert_eq!(seen.holds, Some(holds), "{status}: {}", seen.seen);
        }
    }
}
