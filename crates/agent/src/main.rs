//! Entry point of the agent: arguments in, one command, an exit code out.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use outfitter_agent::agent::{self, AgentEnd, AgentError};
use outfitter_agent::anew::{self, GoesOn};
use outfitter_agent::approval::{Standing, WaitError};
use outfitter_agent::clock::{Clock, SystemClock};
use outfitter_agent::desk::{self, AppCommand, DeskClient, DeskClientError, portal_page};
use outfitter_agent::enroll::{self, Answer, EnrollError, Enrollment};
use outfitter_agent::proxy::{PROXY_VARIABLE, Proxies, ProxyUrl};
use outfitter_agent::recent_log::RecentLog;
use outfitter_agent::server_client::ServerAddress;
use outfitter_agent::state_dir::{AgentSettings, StateDir, StateError};
use outfitter_agent::update::launcher::{self, Launcher, Next, Role, TrialEnd};
use outfitter_agent::{doctor, platform};
use outfitter_agent_protocol::{DeskAnswer, DeskAsk, EnrollmentToken};
use tokio::sync::watch;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Carries out what the server of this desktop asks for: installs, checks, reports.
#[derive(Parser)]
#[command(name = "outfitter-agent", version = outfitter_agent::version::version(), about)]
struct Arguments {
    /// What is logged to standard error, e.g. `info` or `outfitter_agent=debug`.
    #[arg(long, env = "OUTFITTER_LOG", default_value = "info", global = true)]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes this machine a desktop of a server.
    #[command(alias = "enrol")]
    Enroll(EnrollArguments),
    /// Runs the agent until it is asked to stop.
    Run {
        /// The agent's folder.
        #[arg(long, env = "OUTFITTER_STATE_DIR")]
        state_dir: PathBuf,
        /// Digest of this program, where it runs in the place of the installed one; given by that.
        #[arg(long, hide = true, conflicts_with = "trial")]
        chosen: Option<String>,
        /// This program has to prove itself; given by the one that watches it.
        #[arg(long, hide = true)]
        trial: bool,
    },
    /// Sets how the agent reaches its server and what it keeps; the agent reads it when it starts.
    Configure {
        /// The agent's folder.
        #[arg(long, env = "OUTFITTER_STATE_DIR")]
        state_dir: PathBuf,
        #[command(flatten)]
        settings: SettingsArguments,
    },
    /// Looks whether the agent could work, and says what is wrong.
    Doctor {
        /// The agent's folder.
        #[arg(long, env = "OUTFITTER_STATE_DIR")]
        state_dir: PathBuf,
    },
    /// Lists the applications that you may have on this desktop.
    Apps {
        #[command(flatten)]
        desk: DeskArguments,
        /// Only those whose name holds this text.
        name: Option<String>,
        /// Writes JSON.
        #[arg(long)]
        json: bool,
    },
    /// Installs an application that you may have, or its newest version, and waits for the end.
    Install {
        #[command(flatten)]
        desk: DeskArguments,
        /// Its name or id.
        app: String,
    },
    /// Removes an application that you installed, and waits for the end.
    Remove {
        #[command(flatten)]
        desk: DeskArguments,
        /// Its name or id.
        app: String,
    },
    /// Stops what you asked for.
    Cancel {
        #[command(flatten)]
        desk: DeskArguments,
        /// The application's name or id.
        app: String,
    },
    /// Opens the portal in your browser, as you.
    Portal {
        #[command(flatten)]
        desk: DeskArguments,
        /// Writes the address instead: good once, and for a minute. Whoever has it is you.
        #[arg(long)]
        print: bool,
    },
    /// Runs one installer; started by the agent.
    #[command(hide = true)]
    Supervise {
        /// The attempt's folder.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Becomes one installer; started by the supervisor.
    #[cfg(unix)]
    #[command(hide = true)]
    Launch {
        /// The attempt's folder.
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(Args)]
struct DeskArguments {
    /// The agent's local socket. Default: that of the agent that runs as a service.
    #[arg(long, env = "OUTFITTER_AGENT_SOCKET")]
    socket: Option<PathBuf>,
}

impl DeskArguments {
    async fn connect(self) -> Result<DeskClient, DeskClientError> {
        let socket = self.socket.unwrap_or_else(|| desk::socket_path(None));
        DeskClient::connect(&socket).await
    }
}

#[derive(Args)]
struct EnrollArguments {
    /// The server's agent listener, HOST:PORT.
    #[arg(long, env = "OUTFITTER_SERVER")]
    server: ServerAddress,
    /// The enrollment token. `-` reads it from standard input; the variable keeps it out of process lists.
    #[arg(long, env = "OUTFITTER_TOKEN", hide_env_values = true)]
    token: String,
    /// The agent's folder.
    #[arg(long, env = "OUTFITTER_STATE_DIR")]
    state_dir: PathBuf,
    /// Name of the desktop. Default: the host's name.
    #[arg(long)]
    name: Option<String>,
    /// Desktop user to attach (the token must allow it).
    #[arg(long)]
    user: Option<String>,
    /// Folder that plays the desktop, for demonstrations and tests: what is looked for is looked for there. Installers
    /// are told it as OUTFITTER_ROOT; those that do not heed it act on this machine.
    #[arg(long)]
    sandbox_root: Option<PathBuf>,
    /// Gives up the identity that the folder holds.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    settings: SettingsArguments,
}

#[derive(Args)]
struct SettingsArguments {
    /// Proxy for the server and for links, http://[USER@]HOST[:PORT]; empty: as the environment says. With a
    /// password it is given in the variable OUTFITTER_PROXY, which keeps it out of process lists.
    #[arg(long)]
    proxy: Option<String>,
    /// Hosts, domains and networks that are reached without the proxy, with commas between.
    #[arg(long)]
    no_proxy: Option<String>,
    /// Most bytes of packages that are kept for repairs and new installs of the same content; 0 keeps none.
    #[arg(long)]
    cache_bytes: Option<u64>,
}

impl SettingsArguments {
    /// Lays what was given over what is set.
    fn over(self, mut settings: AgentSettings) -> anyhow::Result<AgentSettings> {
        let open = self.proxy.map(|text| (text, false));
        let hidden = || {
            let text = std::env::var(PROXY_VARIABLE).ok()?;
            Some((text, true))
        };
        if let Some((text, may_have_password)) = open.or_else(hidden) {
            settings.proxy = match text.trim() {
                "" => None,
                text if may_have_password => Some(text.parse::<ProxyUrl>()?),
                text => Some(text.parse::<ProxyUrl>().with_context(|| {
                    format!(
                        "--proxy takes no password; one goes into the variable {PROXY_VARIABLE}"
                    )
                })?),
            };
            if !may_have_password && settings.proxy.as_ref().is_some_and(ProxyUrl::has_password) {
                anyhow::bail!(
                    "process lists show a password on the command line: give the proxy in the variable {PROXY_VARIABLE}"
                );
            }
        }
        if let Some(list) = self.no_proxy {
            settings.no_proxy = Some(list).filter(|list| !list.trim().is_empty());
        }
        if let Some(bytes) = self.cache_bytes {
            settings.cache_bytes = bytes;
        }
        Ok(settings)
    }
}

/// Exit codes: those of `outfitter` (docs/command-line.md).
mod code {
    pub(super) const FAILED: u8 = 1;
    pub(super) const USAGE: u8 = 2;
    pub(super) const REFUSED: u8 = 4;
    pub(super) const UNREACHABLE: u8 = 5;
    /// The desktop is no more; the unit does not start the agent again.
    pub(super) const DECOMMISSIONED: u8 = 6;
    /// `run` has no identity to run with: starting it again is no help. The unit names it. Source: sysexits.h,
    /// `EX_CONFIG`.
    pub(super) const NOT_ENROLLED: u8 = 78;
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Ok(filter) = arguments.log.parse::<Targets>() else {
        complain(&format!("{:?} is no log filter", arguments.log));
        return ExitCode::from(code::USAGE);
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let kept = tracing_subscriber::fmt::layer()
        .with_writer(RecentLog)
        .with_ansi(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(kept)
        .init();
    // Before any thread: the supervisor forks.
    match &arguments.command {
        Command::Supervise { dir } => return exit_with(platform::supervise(dir)),
        #[cfg(unix)]
        Command::Launch { dir } => return exit_with(platform::launch(dir)),
        Command::Enroll(_)
        | Command::Run { .. }
        | Command::Configure { .. }
        | Command::Apps { .. }
        | Command::Install { .. }
        | Command::Remove { .. }
        | Command::Cancel { .. }
        | Command::Portal { .. }
        | Command::Doctor { .. } => {}
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start the runtime: {error}"));
            return ExitCode::from(code::FAILED);
        }
    };
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Enroll(arguments) => Box::pin(run_enroll(arguments)).await,
            Command::Run {
                state_dir,
                chosen,
                trial,
            } => {
                let role = match (chosen, trial) {
                    (_, true) => Role::Trial,
                    (Some(sha256), false) => Role::Chosen(sha256),
                    (None, false) => Role::Base,
                };
                Box::pin(run_agent(&state_dir, role, &arguments.log)).await
            }
            Command::Configure {
                state_dir,
                settings,
            } => configure(&state_dir, settings),
            Command::Doctor { state_dir } => Box::pin(run_doctor(state_dir)).await,
            Command::Apps { desk, name, json } => list_apps(desk, name.as_deref(), json).await,
            Command::Install { desk, app } => carry_out(desk, AppCommand::Install, &app).await,
            Command::Remove { desk, app } => carry_out(desk, AppCommand::Remove, &app).await,
            Command::Cancel { desk, app } => carry_out(desk, AppCommand::Cancel, &app).await,
            Command::Portal { desk, print } => open_portal(desk, print).await,
            Command::Supervise { .. } => Ok(ExitCode::SUCCESS),
            #[cfg(unix)]
            Command::Launch { .. } => Ok(ExitCode::SUCCESS),
        }
    });
    // A thread may wait for an installer that goes on.
    runtime.shutdown_background();
    done.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::from(code_of(&error))
    })
}

fn exit_with(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(code::FAILED))
}

fn code_of(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<DeskClientError>() {
        return match error {
            DeskClientError::Unreachable(_) => code::UNREACHABLE,
            DeskClientError::Refused(refusal) if refusal.code == "server_unreachable" => {
                code::UNREACHABLE
            }
            DeskClientError::Refused(_) | DeskClientError::NoSuchApp(_) => code::REFUSED,
            DeskClientError::Broken(_)
            | DeskClientError::Failed(_)
            | DeskClientError::Output(_) => code::FAILED,
        };
    }
    if let Some(error) = error.downcast_ref::<EnrollError>() {
        return match error {
            EnrollError::Refused { .. } => code::REFUSED,
            EnrollError::PutOff { .. } | EnrollError::Unreachable { .. } => code::UNREACHABLE,
            EnrollError::NoPins
            | EnrollError::BadAnswer(_)
            | EnrollError::Key(_)
            | EnrollError::Tls(_) => code::FAILED,
        };
    }
    if let Some(WaitError::Refused(_)) = error.downcast_ref::<WaitError>() {
        return code::NOT_ENROLLED;
    }
    let state = error
        .downcast_ref::<StateError>()
        .or_else(|| match error.downcast_ref::<AgentError>() {
            Some(AgentError::State(error)) => Some(error),
            _ => None,
        })
        .or_else(|| match error.downcast_ref::<WaitError>() {
            Some(WaitError::State(error)) => Some(error),
            _ => None,
        });
    match state {
        Some(StateError::AlreadyEnrolled { .. } | StateError::InUse(_)) => code::REFUSED,
        Some(StateError::Decommissioned(_)) => code::DECOMMISSIONED,
        Some(StateError::NotEnrolled(_)) => code::NOT_ENROLLED,
        Some(StateError::File(_)) | None => code::FAILED,
    }
}

fn complain(text: &str) {
    // Nothing is left to be done when even this fails.
    let _ = writeln!(std::io::stderr(), "error: {text}");
}

async fn run_enroll(arguments: EnrollArguments) -> anyhow::Result<ExitCode> {
    let mut text = arguments.token;
    if text == "-" {
        text.clear();
        std::io::stdin()
            .take(64 * 1024)
            .read_to_string(&mut text)
            .context("cannot read the token from standard input")?;
    }
    let token = EnrollmentToken::parse(&text)?;
    let state = StateDir::open(&arguments.state_dir)?;
    let _lock = state.lock()?;
    state.finish_anew()?;
    let old = state.identity()?;
    if let Some(old) = old.as_ref().filter(|_| !arguments.replace) {
        return Err(StateError::AlreadyEnrolled {
            path: state.root().to_owned(),
            name: old.name.clone(),
        }
        .into());
    }
    let sandbox_root = arguments
        .sandbox_root
        .map(|root| {
            std::fs::create_dir_all(&root)
                .and_then(|()| platform::canonical(&root))
                .with_context(|| format!("cannot make the sandbox root {}", root.display()))
        })
        .transpose()?;
    let settings = arguments.settings.over(state.settings()?)?;
    let proxies = Proxies::of_process(&settings)?;
    let host = gethostname::gethostname();
    let enrollment = Enrollment {
        server: arguments.server,
        token,
        name: arguments
            .name
            .unwrap_or_else(|| enroll::name_of_host(&host.to_string_lossy())),
        user: arguments.user,
        machine_id: agent::machine_id(sandbox_root.as_deref()),
        sandbox_root,
        source_ip: None,
        proxies,
    };
    let answer = match asked_already(&state, &enrollment).await? {
        Some(answer) => answer,
        None => Box::pin(enroll::enroll_or_wait(&enrollment)).await?,
    };
    if let Some(old) = &old {
        state.give_up_identity(old)?;
    }
    state.keep_settings(&settings)?;
    let mut out = std::io::stdout();
    match answer {
        Answer::Enrolled(enrolled) => {
            let identity = state.keep_enrolled(
                enrollment.server,
                enrollment.name,
                enrollment.sandbox_root,
                &enrolled,
            )?;
            writeln!(
                out,
                "enrolled as {} (desktop {}, agent {})",
                identity.name, identity.desktop, identity.agent
            )?;
        }
        Answer::Waits(waiting) => {
            state.keep_waiting(&waiting)?;
            writeln!(
                out,
                "{} waits for an administrator's approval (request {}): the agent goes to work by itself once it runs and is approved",
                waiting.name, waiting.request
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of the same wish where it waits already. A wish that is over is forgotten.
async fn asked_already(
    state: &StateDir,
    enrollment: &Enrollment,
) -> anyhow::Result<Option<Answer>> {
    let Some(waiting) = state.waiting()? else {
        return Ok(None);
    };
    let is_the_same = waiting.server == enrollment.server
        && waiting.token == enrollment.token.id
        && waiting.name == enrollment.name
        && waiting.sandbox_root == enrollment.sandbox_root;
    if !is_the_same {
        return Ok(None);
    }
    Ok(match waiting.ask(&enrollment.proxies).await? {
        Standing::Enrolled(enrolled) => Some(Answer::Enrolled(enrolled)),
        Standing::Waits(_) => Some(Answer::Waits(Box::new(waiting))),
        Standing::Refused(_) => {
            state.forget_waiting()?;
            None
        }
        Standing::Busy(refusal, _) => {
            return Err(EnrollError::Refused {
                code: refusal.code,
                reason: refusal.reason,
            }
            .into());
        }
    })
}

fn configure(state_dir: &Path, arguments: SettingsArguments) -> anyhow::Result<ExitCode> {
    let state = StateDir::open(state_dir)?;
    let settings = arguments.over(state.settings()?)?;
    let proxies = Proxies::of_process(&settings)?;
    state.keep_settings(&settings)?;
    let mut out = std::io::stdout();
    writeln!(out, "proxy  {proxies}")?;
    writeln!(out, "cache  {} bytes", settings.cache_bytes)?;
    Ok(ExitCode::SUCCESS)
}

async fn run_agent(state_dir: &Path, role: Role, log: &str) -> anyhow::Result<ExitCode> {
    let (stop, shutdown) = watch::channel(false);
    tokio::spawn(async move {
        wait_for_stop_signal().await;
        stop.send_replace(true);
    });
    let state = StateDir::open(state_dir)?;
    let launcher = Launcher::new(state.clone(), role.clone());
    let arguments = |role: &Role| launcher::arguments(state.root(), log, role);
    loop {
        if anew::ready(&state, shutdown.clone()).await? == GoesOn::Stopped {
            return Ok(ExitCode::SUCCESS);
        }
        state.require_identity()?;
        // What is decided here is decided for the one agent of the folder.
        let lock = state.lock()?;
        let next = launcher.next().await?;
        drop(lock);
        match next {
            Next::RunHere => {
                let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
                let agent = agent::run(
                    state.clone(),
                    Arc::clone(&clock),
                    role.clone(),
                    shutdown.clone(),
                );
                match Box::pin(agent).await? {
                    AgentEnd::Stopped => return Ok(ExitCode::SUCCESS),
                    AgentEnd::Copy(refusal) => {
                        let asked = anew::enroll(&state, clock, &refusal, shutdown.clone());
                        if Box::pin(asked).await == GoesOn::Stopped {
                            return Ok(ExitCode::SUCCESS);
                        }
                    }
                    // Whatever it still does for attempts is the next program's: nothing of it may be left.
                    AgentEnd::TryOut => {
                        return Err(platform::restart_process(&arguments(&role)).into());
                    }
                }
            }
            Next::TryOut(trial) => {
                let arguments = arguments(&Role::Trial);
                match launcher
                    .try_out(&trial, &arguments, shutdown.clone())
                    .await?
                {
                    TrialEnd::Stopped => return Ok(ExitCode::SUCCESS),
                    TrialEnd::Settled => {}
                }
            }
            Next::Become(program) => {
                let role = Role::Chosen(program.sha256.clone());
                launcher.become_program(&program, &arguments(&role))?;
            }
        }
    }
}

#[cfg(unix)]
async fn wait_for_stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("cannot watch for signals; the agent stops only when it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Waits until somebody at its console, or the system that shuts down, wants the agent to stop.
#[cfg(windows)]
async fn wait_for_stop_signal() {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
    let (Ok(mut interrupt), Ok(mut end), Ok(mut close), Ok(mut shutdown)) =
        (ctrl_c(), ctrl_break(), ctrl_close(), ctrl_shutdown())
    else {
        tracing::error!("cannot watch for signals; the agent stops only when it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = end.recv() => {}
        _ = close.recv() => {}
        _ = shutdown.recv() => {}
    }
}

async fn list_apps(
    desk: DeskArguments,
    name: Option<&str>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (user, apps) = desk.connect().await?.apps(name).await?;
    let mut out = std::io::stdout();
    if json {
        let list = serde_json::json!({"user": user, "count": apps.len(), "items": apps});
        writeln!(out, "{list:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    if apps.is_empty() {
        writeln!(
            out,
            "there is no application that {user} may have on this desktop"
        )?;
    }
    for app in apps {
        let standing = match app.standing.as_str() {
            "absent" => "not installed",
            "update_available" => "update available",
            other => other,
        };
        writeln!(
            out,
            "{:<30} {:<14} {:<14} {standing}",
            app.name, app.version, app.category
        )?;
        for text in [Some(app.description), app.install_info]
            .into_iter()
            .flatten()
        {
            if !text.trim().is_empty() {
                writeln!(out, "    {}", text.replace('\n', "\n    "))?;
            }
        }
        if let Some(sentence) = app.job.and_then(|job| job.sentence) {
            writeln!(out, "    {sentence}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn carry_out(
    desk: DeskArguments,
    command: AppCommand,
    app: &str,
) -> anyhow::Result<ExitCode> {
    let mut client = desk.connect().await?;
    client
        .carry_out(command, app, &mut std::io::stdout())
        .await?;
    Ok(ExitCode::SUCCESS)
}

async fn open_portal(desk: DeskArguments, print: bool) -> anyhow::Result<ExitCode> {
    let DeskAnswer::Portal { address, .. } = desk.connect().await?.ask(&DeskAsk::Portal).await?
    else {
        return Err(DeskClientError::Broken("it is no address".to_owned()).into());
    };
    let mut out = std::io::stdout();
    if print {
        writeln!(out, "{address}")?;
        return Ok(ExitCode::SUCCESS);
    }
    match platform::open_in_browser(&portal_page(&address)).await {
        Ok(()) => writeln!(out, "the portal opens in your browser")?,
        Err(error) => {
            complain(&format!(
                "no browser can be opened: {:#}",
                anyhow::Error::from(error)
            ));
            writeln!(out, "{address}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_doctor(state_dir: PathBuf) -> anyhow::Result<ExitCode> {
    // Only a folder that an agent has can be looked at: one that was mistyped is not made.
    anyhow::ensure!(
        state_dir.is_dir(),
        "{} does not exist: name the agent's folder with --state-dir",
        state_dir.display()
    );
    let state = StateDir::open(&state_dir)?;
    let findings = doctor::examine(&state, Arc::new(SystemClock::default())).await;
    let mut out = std::io::stdout();
    let mut code = ExitCode::SUCCESS;
    for finding in findings {
        match finding.found {
            Ok(text) => writeln!(out, "ok    {:<12} {text}", finding.what)?,
            Err(text) => {
                code = ExitCode::from(code::FAILED);
                writeln!(out, "wrong {:<12} {text}", finding.what)?;
            }
        }
    }
    Ok(code)
}
