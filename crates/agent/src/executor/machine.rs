//! What an attempt asks of the machine it runs on, behind one set of names: the machine itself, or a simulated one.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use outfitter_agent_protocol::{DetectionRule, InventoryFacts, InventorySoftware, PackageRef};
use outfitter_packages::{FileDigest, PackageKind, inspect};

use super::Sources;
use super::detect::{self, Place, View};
use super::download::{Fetcher, Report};
use crate::cache::PackageCache;
use crate::clock::Clock;
use crate::command;
use crate::credentials::SharedCredentials;
use crate::durable;
use crate::evidence::Stop;
use crate::inventory;
use crate::platform::{self, PlatformError};
use crate::programs::{EndBy, Notice, ProgramNames, RunningProgram};
use crate::proxy::Proxies;
use crate::spool::AttemptFolder;
use crate::supervision::{Prepared, SupervisionEnd};

/// An answer that takes its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The machine. A seam: a simulator has one whose installers, downloads and detections are made up.
pub trait Machine: Send + Sync {
    /// Fetches and verifies the package of an attempt into its folder.
    fn fetch<'a>(
        &'a self,
        folder: &'a AttemptFolder,
        package: &'a PackageRef,
        sources: &'a mut Sources,
        report: Report<'a>,
    ) -> Answer<'a, Result<FileDigest, Stop>>;

    /// Puts what was fetched under its own name, where it can be run; answers where.
    ///
    /// # Errors
    /// The disk's.
    fn unwrap_package(
        &self,
        folder: &AttemptFolder,
        package: &PackageRef,
        found: &FileDigest,
    ) -> Result<PathBuf, Stop>;

    /// A rule that a verified package tells by itself.
    fn rule_of_package<'a>(
        &'a self,
        package: &'a Path,
    ) -> Answer<'a, Result<Option<DetectionRule>, Stop>>;

    /// Evaluates a rule.
    fn evaluate<'a>(&'a self, rule: &'a DetectionRule, place: Place<'a>) -> Answer<'a, View>;

    /// Programs of those names that run and may be ended; `sandbox_root`: the folder that plays the desktop.
    fn running_programs<'a>(
        &'a self,
        names: &'a ProgramNames,
        sandbox_root: Option<&'a Path>,
    ) -> Answer<'a, Result<Vec<RunningProgram>, PlatformError>>;

    /// Ends one of them, unless it has ended.
    fn end_program(&self, program: &RunningProgram, by: EndBy);

    /// Tells somebody something in their session.
    fn notify_user<'a>(
        &'a self,
        user: u32,
        sandbox_root: Option<&'a Path>,
        notice: &'a Notice,
    ) -> Answer<'a, Result<(), PlatformError>>;

    /// Starts the supervisor of what is prepared in the attempt's folder.
    fn start_supervisor<'a>(
        &'a self,
        folder: &'a AttemptFolder,
    ) -> Answer<'a, Result<(), PlatformError>>;

    /// Waits until no supervisor holds the attempt and says what it left.
    fn await_supervisor<'a>(
        &'a self,
        folder: &'a AttemptFolder,
        prepared: Option<Prepared>,
    ) -> Answer<'a, Result<SupervisionEnd, PlatformError>>;

    /// What the desktop is and has; `state`: a folder of the agent's own. A simulated machine does not tell.
    fn inventory<'a>(
        &'a self,
        _sandbox_root: Option<&'a Path>,
        _state: &'a Path,
    ) -> Answer<'a, Result<(InventoryFacts, InventorySoftware), PlatformError>> {
        Box::pin(std::future::ready(Err(PlatformError::NotSupported(
            "an inventory",
        ))))
    }
}

/// This machine.
pub struct SystemMachine {
    /// For packages of the server's own store.
    pub credentials: SharedCredentials,
    /// The way to packages from elsewhere.
    pub proxies: Proxies,
    /// Packages that were fetched before.
    pub cache: PackageCache,
    /// Measures rates.
    pub clock: std::sync::Arc<dyn Clock>,
    /// Draws a wait between nothing and the given one.
    pub jitter: fn(Duration) -> Duration,
}

impl Machine for SystemMachine {
    fn fetch<'a>(
        &'a self,
        folder: &'a AttemptFolder,
        package: &'a PackageRef,
        sources: &'a mut Sources,
        report: Report<'a>,
    ) -> Answer<'a, Result<FileDigest, Stop>> {
        Box::pin(async move {
            // A run that was cut off after the rename: back to where verification begins.
            let part = folder.partial_path();
            let path = package_path(folder, package);
            if path.exists() {
                std::fs::rename(&path, &part).map_err(|error| file_stop("move", &path, &error))?;
            }
            let fetcher = Fetcher {
                credentials: &self.credentials,
                proxies: &self.proxies,
                folder,
                cache: &self.cache,
                clock: &*self.clock,
                jitter: self.jitter,
            };
            fetcher.fetch(package, sources, report).await
        })
    }

    fn unwrap_package(
        &self,
        folder: &AttemptFolder,
        package: &PackageRef,
        found: &FileDigest,
    ) -> Result<PathBuf, Stop> {
        let part = folder.partial_path();
        let path = package_path(folder, package);
        durable::create_private_folder(&folder.package_folder())
            .map_err(|error| Stop::agent(&error))?;
        if found.size_bytes == 0 {
            durable::write(&part, b"").map_err(|error| Stop::agent(&error))?;
        }
        std::fs::rename(&part, &path).map_err(|error| file_stop("name", &path, &error))?;
        // A package may be the installer itself.
        platform::make_runnable(&path)
            .map_err(|error| file_stop("make runnable", &path, &error))?;
        Ok(path)
    }

    fn rule_of_package<'a>(
        &'a self,
        package: &'a Path,
    ) -> Answer<'a, Result<Option<DetectionRule>, Stop>> {
        let path = package.to_owned();
        Box::pin(async move {
            let facts = blocking(move || inspect(&path)).await?;
            match facts {
                Ok(facts) if facts.kind == PackageKind::Rpm => {
                    Ok(match platform::rpm_file(package).await {
                        Ok(found) => found.map(|(name, version)| DetectionRule::RpmPackage {
                            name,
                            version: Some(version),
                        }),
                        Err(error) => {
                            tracing::warn!(
                                "no rule from the package: {}",
                                crate::server_client::chain(&error)
                            );
                            None
                        }
                    })
                }
                Ok(facts) => Ok(facts.debian.map(|package| DetectionRule::DebianPackage {
                    name: package.name,
                    version: Some(package.version),
                })),
                Err(error) => {
                    tracing::warn!(
                        "no rule from the package: {}",
                        crate::server_client::chain(&error)
                    );
                    Ok(None)
                }
            }
        })
    }

    fn evaluate<'a>(&'a self, rule: &'a DetectionRule, place: Place<'a>) -> Answer<'a, View> {
        detect::evaluate(rule, place)
    }

    fn running_programs<'a>(
        &'a self,
        names: &'a ProgramNames,
        sandbox_root: Option<&'a Path>,
    ) -> Answer<'a, Result<Vec<RunningProgram>, PlatformError>> {
        let (names, root) = (names.clone(), sandbox_root.map(Path::to_owned));
        Box::pin(async move {
            tokio::task::spawn_blocking(move || platform::running_programs(&names, root.as_deref()))
                .await
                .map_err(|error| PlatformError::system("list the processes", error.into()))?
        })
    }

    fn end_program(&self, program: &RunningProgram, by: EndBy) {
        platform::end_program(program, by);
    }

    fn notify_user<'a>(
        &'a self,
        user: u32,
        sandbox_root: Option<&'a Path>,
        notice: &'a Notice,
    ) -> Answer<'a, Result<(), PlatformError>> {
        Box::pin(platform::notify_user(user, sandbox_root, notice))
    }

    fn start_supervisor<'a>(
        &'a self,
        folder: &'a AttemptFolder,
    ) -> Answer<'a, Result<(), PlatformError>> {
        let path = folder.path().to_owned();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || platform::start_supervisor(&path))
                .await
                .map_err(|error| PlatformError::system("start the supervisor", error.into()))?
        })
    }

    fn await_supervisor<'a>(
        &'a self,
        folder: &'a AttemptFolder,
        prepared: Option<Prepared>,
    ) -> Answer<'a, Result<SupervisionEnd, PlatformError>> {
        let path = folder.path().to_owned();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || {
                platform::await_supervisor(&path, prepared.as_ref())
            })
            .await
            .map_err(|error| PlatformError::system("wait for the supervisor", error.into()))?
        })
    }

    fn inventory<'a>(
        &'a self,
        sandbox_root: Option<&'a Path>,
        state: &'a Path,
    ) -> Answer<'a, Result<(InventoryFacts, InventorySoftware), PlatformError>> {
        Box::pin(inventory::look(sandbox_root, state))
    }
}

fn package_path(folder: &AttemptFolder, package: &PackageRef) -> PathBuf {
    let name = platform::file_name(command::safe_file_name(&package.file_name));
    folder.package_folder().join(name)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Stop::new(
            outfitter_agent_protocol::FailureCode::AgentFailure,
            error.to_string(),
        )
    })
}

fn file_stop(action: &str, path: &Path, error: &std::io::Error) -> Stop {
    Stop::new(
        outfitter_agent_protocol::FailureCode::AgentFailure,
        format!("cannot {action} {}: {error}", path.display()),
    )
}
