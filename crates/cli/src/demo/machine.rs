//! The demo's processes: one server and the agents, in one temporary folder.
//!
//! **Guarantees.** When the value goes away, the processes and the folder go too, whatever happened, unless it was
//! [kept](Machine::keep). Supervisors leave their agent's process group on purpose; they are found by the folder's
//! name in their command line, which no other process has. **Does not do.** Nothing helps against `kill -9` of the
//! demo itself: then the server and the agents go on.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::env;
use crate::outcome::CommandError;

/// Longest wait for the server to come up or an agent to enroll. A loaded machine of two cores needs a few seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long processes get to end by themselves.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Lines of a log that are shown when something went wrong.
const TAIL_LINES: usize = 15;

/// A process of ours.
struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// The folder and what runs in it.
pub(super) struct Machine {
    folder: Option<TempDir>,
    program: PathBuf,
    agent_program: PathBuf,
    processes: Vec<Process>,
}

impl Machine {
    /// An empty folder; nothing runs yet.
    ///
    /// # Errors
    /// No temporary folder, or the agent's program is not beside this one.
    pub(super) fn new() -> Result<Self, CommandError> {
        let program = std::env::current_exe()
            .map_err(|error| CommandError::because("cannot find this program", error))?;
        let agent_program = program.with_file_name("outfitter-agent");
        if !agent_program.is_file() {
            return Err(
                CommandError::failed(format!("{} is missing", agent_program.display()))
                    .hint("`make demo` builds both programs"),
            );
        }
        let folder = tempfile::Builder::new()
            .prefix("outfitter-demo-")
            .tempdir()
            .map_err(|error| CommandError::because("cannot make a temporary folder", error))?;
        Ok(Self {
            folder: Some(folder),
            program,
            agent_program,
            processes: Vec::new(),
        })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        self.folder
            .as_ref()
            .expect("the folder is there until the machine is taken down")
            .path()
    }

    /// A folder in it, made where it is missing.
    pub(super) fn subfolder(&self, name: &str) -> Result<PathBuf, CommandError> {
        let path = self.path().join(name);
        fs::create_dir_all(&path).map_err(|error| CommandError::file("make", &path, error))?;
        Ok(path)
    }

    /// Starts the server and waits until it has written down where it is.
    ///
    /// # Errors
    /// It ended, or took too long.
    pub(super) async fn start_server<T: DeserializeOwned>(&mut self) -> Result<T, CommandError> {
        let data_dir = self.path().join("server");
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--data-dir").arg(&data_dir);
        for listener in ["--listen", "--agent-listen", "--bucket-listen"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        let server = self.start("server", command)?;
        self.processes.push(server);
        // Both are written when the listeners are bound; the bootstrap file holds the bound addresses.
        self.wait_for_file(&data_dir.join("endpoints.json")).await?;
        let text = self.wait_for_file(&data_dir.join("bootstrap.json")).await?;
        serde_json::from_str(&text)
            .map_err(|error| CommandError::file("read", &data_dir.join("bootstrap.json"), error))
    }

    async fn wait_for_file(&mut self, path: &Path) -> Result<String, CommandError> {
        let begun = Instant::now();
        loop {
            match fs::read_to_string(path) {
                Ok(text) if text.trim_end().ends_with('}') => return Ok(text),
                _ if begun.elapsed() > START_LIMIT => {
                    return Err(CommandError::failed(format!(
                        "the server did not write {} within {} s",
                        path.display(),
                        START_LIMIT.as_secs()
                    )));
                }
                _ => {}
            }
            self.check()?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Enrolls an agent whose desktop is a folder, and leaves it running. The token goes through the environment:
    /// process lists show arguments.
    ///
    /// # Errors
    /// Enrollment failed.
    pub(super) async fn start_desktop(
        &mut self,
        name: &str,
        user: &str,
        server: &str,
        token: &str,
    ) -> Result<(), CommandError> {
        let state_dir = self.subfolder("agents")?.join(name);
        let sandbox_root = self.subfolder("desktops")?.join(name);
        let mut enroll = Command::new(&self.agent_program);
        enroll
            .arg("enroll")
            .args(["--server", server, "--name", name, "--user", user])
            .args([OsStr::new("--state-dir"), state_dir.as_os_str()])
            .args([OsStr::new("--sandbox-root"), sandbox_root.as_os_str()]);
        let label = format!("agent-{name}");
        let mut enrollment = self.start_with(&label, enroll, &[("OUTFITTER_TOKEN", token)])?;
        let begun = Instant::now();
        let status = loop {
            match enrollment.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if begun.elapsed() < START_LIMIT => tokio::time::sleep(PAUSE).await,
                Ok(None) | Err(_) => {
                    self.processes.push(enrollment);
                    return Err(CommandError::failed(format!(
                        "{name} did not enroll within {} s",
                        START_LIMIT.as_secs()
                    )));
                }
            }
        };
        if !status.success() {
            return Err(CommandError::failed(format!(
                "{name} could not enroll ({status}):\n{}",
                tail(&enrollment.log)
            )));
        }
        let mut run = Command::new(&self.agent_program);
        run.arg("run").arg("--state-dir").arg(&state_dir);
        let agent = self.start(&label, run)?;
        self.processes.push(agent);
        Ok(())
    }

    fn start(&self, name: &str, command: Command) -> Result<Process, CommandError> {
        self.start_with(name, command, &[])
    }

    /// Starts a program with its output in a log file, in a process group of its own, so that Ctrl-C reaches only
    /// the demo. Our own variables are not passed on: the demo is the same for everybody.
    fn start_with(
        &self,
        name: &str,
        mut command: Command,
        variables: &[(&str, &str)],
    ) -> Result<Process, CommandError> {
        let log = self.path().join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(|error| CommandError::file("write", &log, error))?;
        let errors = output
            .try_clone()
            .map_err(|error| CommandError::file("write", &log, error))?;
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with(env::PREFIX) {
                command.env_remove(variable);
            }
        }
        let child = command
            .envs(variables.iter().copied())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| CommandError::because(format!("cannot start {name}"), error))?;
        Ok(Process {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Whether everything still runs.
    ///
    /// # Errors
    /// Names what ended, with the end of its log.
    pub(super) fn check(&mut self) -> Result<(), CommandError> {
        for process in &mut self.processes {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(CommandError::failed(format!(
                    "{} ended ({status}):\n{}",
                    process.name,
                    tail(&process.log)
                )));
            }
        }
        Ok(())
    }

    /// The end of every log.
    pub(super) fn logs(&self) -> String {
        self.processes
            .iter()
            .map(|process| format!("--- {}\n{}\n", process.name, tail(&process.log)))
            .collect()
    }

    /// Leaves everything running; answers the script that ends it.
    ///
    /// # Errors
    /// The script cannot be written; then nothing is kept.
    pub(super) fn keep(mut self) -> Result<PathBuf, CommandError> {
        let pids: Vec<String> = self
            .processes
            .iter()
            .rev()
            .map(|process| process.child.id().to_string())
            .collect();
        let script = self.path().join("stop.sh");
        // The folder is the script's own: it may have been moved to by a link.
        let text = format!(
            "#!/bin/sh\n# Ends the demo that runs in this folder, and removes the folder.\n\
             kill {pids} 2>/dev/null\nfor pid in {pids}; do\n    while kill -0 \"$pid\" 2>/dev/null; do sleep 0.1; done\ndone\n\
             rm -rf '{folder}'\n",
            pids = pids.join(" "),
            folder = self.path().display(),
        );
        fs::write(&script, text).map_err(|error| CommandError::file("write", &script, error))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
            .map_err(|error| CommandError::file("write", &script, error))?;
        self.processes.clear();
        if let Some(folder) = self.folder.take() {
            // The path is known to whoever stops it.
            let _ = folder.keep();
        }
        Ok(script)
    }

    /// Ends everything, agents first, so that no job is cut by a server that is gone.
    fn take_down(&mut self) {
        for process in self.processes.iter().rev() {
            signal(&process.child, Signal::SIGTERM);
        }
        let begun = Instant::now();
        for process in self.processes.iter_mut().rev() {
            while matches!(process.child.try_wait(), Ok(None)) && begun.elapsed() < STOP_LIMIT {
                std::thread::sleep(PAUSE);
            }
            signal(&process.child, Signal::SIGKILL);
            let _ = process.child.wait();
        }
        self.processes.clear();
        if let Some(folder) = self.folder.take() {
            kill_leftovers(folder.path());
            // What a dying installer still writes makes the first attempt fail.
            let path = folder.path().to_owned();
            if folder.close().is_err() {
                std::thread::sleep(PAUSE);
                let _ = fs::remove_dir_all(path);
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.take_down();
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It may have ended already.
        let _ = killpg(Pid::from_raw(pid), signal);
    }
}

/// Ends what has the folder in its command line: supervisors and their installers.
fn kill_leftovers(folder: &Path) {
    let needle = folder.as_os_str().as_encoded_bytes();
    let Ok(entries) = fs::read_dir("/proc") else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(command) = fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        if command.windows(needle.len()).any(|part| part == needle) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
