//! The real agent as a process, with a folder as its desktop.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use outfitter_agent_protocol::{DetectionRule, Method, PackageRef, Task, TaskKind};
use outfitter_ids::{AppId, AttemptId, JobId, RevisionId};
use uuid::Uuid;

use crate::server::TestServer;

const AGENT: &str = env!("CARGO_BIN_EXE_outfitter-agent");

pub(crate) struct TestDesktop {
    folder: tempfile::TempDir,
    agent: Option<Child>,
    variables: BTreeMap<String, String>,
}

impl TestDesktop {
    /// A desktop that is enrolled; its agent does not run yet.
    pub(crate) async fn enrolled(server: &TestServer) -> Self {
        let desktop = Self {
            folder: tempfile::tempdir().unwrap(),
            agent: None,
            variables: BTreeMap::new(),
        };
        let output = desktop.enroll(server, &["--token", &server.token()]).await;
        assert!(output.status.success(), "{output:?}");
        desktop
    }

    pub(crate) async fn started(server: &TestServer) -> Self {
        let mut desktop = Self::enrolled(server).await;
        desktop.start();
        desktop
    }

    /// Runs `enroll` with the token given by these arguments.
    pub(crate) async fn enroll(&self, server: &TestServer, more: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(AGENT);
        command
            .args([
                "enroll",
                "--server",
                &server.address.to_string(),
                "--name",
                "test",
            ])
            .arg("--state-dir")
            .arg(self.state())
            .arg("--sandbox-root")
            .arg(self.root())
            .args(more)
            .envs(&self.variables);
        command.output().await.unwrap()
    }

    /// A desktop nobody has enrolled.
    pub(crate) fn blank() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            agent: None,
            variables: BTreeMap::new(),
        }
    }

    /// Gives a variable to whatever is started from now on.
    pub(crate) fn set_variable(&mut self, name: &str, value: String) {
        self.variables.insert(name.to_owned(), value);
    }

    /// Starts the agent with a small disk of its own for its attempts, which goes with it.
    pub(crate) fn start_on_small_disk(&mut self, size: &str) {
        std::fs::create_dir_all(self.state().join("attempts")).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={size} tmpfs '{}/attempts' && exec \"$@\"",
            self.state().display()
        );
        let mut command = Command::new("unshare");
        command.args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            &script,
            "sh",
            AGENT,
        ]);
        self.start_by(command);
    }

    pub(crate) fn start(&mut self) {
        self.start_by(Command::new(AGENT));
    }

    fn start_by(&mut self, mut command: Command) {
        assert!(self.agent.is_none());
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        let agent = command
            .args(["run", "--log", "debug", "--state-dir"])
            .arg(self.state())
            .envs(&self.variables)
            .env("OUTFITTER_TEST_CANARY", "not for installers")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.agent = Some(agent);
    }

    /// Starts the agent unless it runs, and writes its process id where installers find it.
    pub(crate) fn revive(&mut self) {
        if let Some(agent) = &mut self.agent {
            if agent.try_wait().unwrap().is_none() {
                return;
            }
            self.agent = None;
        }
        self.start();
        let pid = self.agent.as_ref().map_or(0, Child::id);
        std::fs::create_dir_all(self.root()).unwrap();
        self.write("agent.pid", &pid.to_string());
    }

    /// `kill -9` of the agent, and of nothing else.
    pub(crate) fn kill_agent(&mut self) {
        let mut agent = self.agent.take().expect("the agent runs");
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Waits until the agent ends by itself; gives its exit code.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let mut agent = self.agent.take().expect("the agent runs");
        let limit = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = agent.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > limit {
                self.agent = Some(agent);
                panic!("the agent does not end");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn command(&self, arguments: &[&str]) -> Output {
        tokio::process::Command::new(AGENT)
            .args(arguments)
            .arg("--state-dir")
            .arg(self.state())
            .envs(&self.variables)
            .output()
            .await
            .unwrap()
    }

    /// What lies on the desktop's disk now.
    pub(crate) fn snapshot(&self) -> tempfile::TempDir {
        let snapshot = tempfile::tempdir().unwrap();
        copy(&self.state(), snapshot.path());
        snapshot
    }

    /// Sets the desktop back to what lay on its disk; its agent is not running.
    pub(crate) fn restore(&self, snapshot: &Path) {
        assert!(self.agent.is_none());
        std::fs::remove_dir_all(self.state()).unwrap();
        copy(snapshot, &self.state());
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The folder that plays the desktop.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Where people at the desktop ask.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root().join("run/outfitter-agent/desk.sock")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).unwrap_or_default()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        std::fs::write(self.root().join(path), text).unwrap();
    }

    /// The only attempt's folder.
    pub(crate) fn attempt_folder(&self) -> PathBuf {
        let mut folders = self.attempt_folders();
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders.remove(0)
    }

    pub(crate) fn attempt_folders(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.state().join("attempts"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    /// Reads a number out of one of the attempt's JSON files.
    pub(crate) fn pid_in(&self, file: &str, pointer: &str) -> i32 {
        let text = std::fs::read(self.attempt_folder().join(file)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        i32::try_from(value.pointer(pointer).unwrap().as_i64().unwrap()).unwrap()
    }

    pub(crate) async fn wait_for_file(&self, path: &str) {
        let path = self.root().join(path);
        wait_until(&format!("{} is there", path.display()), || {
            std::fs::metadata(&path).is_ok_and(|found| found.len() > 0)
        })
        .await;
    }
}

impl Drop for TestDesktop {
    fn drop(&mut self) {
        if self.agent.is_some() {
            self.kill_agent();
        }
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-aT").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

pub(crate) async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < limit, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process lives, zombies not counted.
pub(crate) fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

pub(crate) fn kill_9(pid: i32) {
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
}

/// A task that runs a command on a package.
pub(crate) fn quiet(package: PackageRef, command: &str) -> Task {
    Task {
        attempt: AttemptId::new(Uuid::new_v4()),
        job: JobId::new(Uuid::new_v4()),
        project: None,
        kind: TaskKind::Install,
        app: AppId::new(Uuid::new_v4()),
        app_name: "Test app".to_owned(),
        app_version: "1.0".to_owned(),
        revision: RevisionId::new(Uuid::new_v4()),
        method: Method::Quiet,
        command: command.to_owned(),
        package,
        detection: None,
        success_exit_codes: vec![0],
        run_limit_secs: 60,
        approach: outfitter_agent_protocol::Approach::Ordinary,
        exit_codes: std::collections::BTreeMap::new(),
        running_programs: None,
        session: None,
    }
}

/// The same work once more.
pub(crate) fn again(task: &Task) -> Task {
    Task {
        attempt: AttemptId::new(Uuid::new_v4()),
        ..task.clone()
    }
}

pub(crate) fn file_rule(path: &str, sha256: Option<String>) -> Option<DetectionRule> {
    Some(DetectionRule::File {
        path: path.to_owned(),
        sha256,
        size_bytes: None,
    })
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
