//! What the demo shows, step by step, through the public API as a user would.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use outfitter_api_types::app_install::BatchAutoInstallAppsReq;
use outfitter_api_types::apps::{Application, InstallType, OsTypeEnum, UploadAppReq};
use outfitter_api_types::authorizations::{
    AccountInfo, AccountTypeEnum, AssignType, BatchAssignAppAuthorizationsReq,
};
use outfitter_api_types::jobs::{BatchOperateJobsReq, JobStatus};
use outfitter_api_types::native::attempts::Proof;
use outfitter_api_types::native::desktops::RegisteredDesktop;
use outfitter_api_types::native::detection::{DetectionRule, FileRule};
use outfitter_client::{Client, Credential, Endpoint, Signer, Trust};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use url::Url;

use super::machine::Machine;
use super::packages::{self, Program};
use crate::commands::{PackageFile, Session, accepted, set_detection_rule, upload};
use crate::follow::{self, EndedJob};
use crate::listing;
use crate::outcome::CommandError;
use crate::paths;
use crate::printer::Printer;

/// Longest wait for all agents to be connected, and for all installs of one round.
const LIMIT: Duration = Duration::from_secs(120);

/// dpkg into a folder, as nobody: dependencies are those of the machine, and the log must not be the machine's.
const DPKG: &str = "sh -c 'dpkg --root=\"$OUTFITTER_ROOT\" --force-not-root --force-depends \
    --log=\"$OUTFITTER_ROOT/var/log/dpkg.log\" -i \"$FILE_PATH\"'";

/// People at the desktops; further ones are numbered.
const PEOPLE: [&str; 5] = ["ana", "ben", "chloe", "dan", "eva"];

/// What the server tells about itself at its first start.
#[derive(Deserialize)]
pub(super) struct Bootstrap {
    pub(super) endpoint: String,
    agent_endpoint: String,
    pub(super) console_url: String,
    pub(super) region: String,
    pub(super) project_id: String,
    domain_name: String,
    pub(super) user_name: String,
    pub(super) password: String,
    pub(super) access_key: String,
    pub(super) secret_key: String,
    enrollment_token: String,
}

/// How an app has to end on every desktop, for the demo to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// SUCCESS with proof.
    Verified,
    /// FAIL first, SUCCESS without proof when tried again.
    UnverifiedOnRetry,
    /// FAIL: nothing was installed, whatever the installer said.
    CaughtLying,
}

/// One app of the demo.
struct Recipe {
    name: &'static str,
    version: &'static str,
    /// What it is, for the table.
    kind: &'static str,
    file_name: String,
    install_type: InstallType,
    command: String,
    /// A hand-written rule; others are derived, or there is none.
    rule: Option<DetectionRule>,
    expected: Expected,
}

/// An app of the demo in the catalogue.
pub(super) struct DemoApp {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) expected: Expected,
}

/// How it went.
pub(super) struct Told {
    pub(super) bootstrap: Bootstrap,
    /// A token of the administrator.
    pub(super) token: String,
    pub(super) desktops: Vec<String>,
    pub(super) apps: Vec<DemoApp>,
    /// How each job ended, after the second try.
    pub(super) jobs: Vec<EndedJob>,
    /// Ids of the jobs that failed at first and were tried again.
    pub(super) retried: Vec<String>,
}

/// Plays it all.
pub(super) async fn tell(
    machine: &mut Machine,
    desktop_count: u8,
    printer: Printer,
) -> Result<Told, CommandError> {
    let step = |begun: Instant, what: &str, said: &str| {
        printer.note(format!(
            "{what:12} {said} ({:.1} s)",
            begun.elapsed().as_secs_f32()
        ));
    };

    let begun = Instant::now();
    let bootstrap: Bootstrap = machine.start_server().await?;
    let session = Session {
        client: client(&bootstrap)?,
        printer,
    };
    step(
        begun,
        "server",
        &format!("listens on {}", bootstrap.endpoint),
    );

    let begun = Instant::now();
    let people: Vec<String> = (0..usize::from(desktop_count))
        .map(|index| match PEOPLE.get(index) {
            Some(name) => (*name).to_owned(),
            None => format!("user{}", index + 1),
        })
        .collect();
    let desktops: Vec<String> = people.iter().map(|user| format!("{user}-desk")).collect();
    let server = host_and_port(&bootstrap.agent_endpoint);
    for (desktop, user) in desktops.iter().zip(&people) {
        machine
            .start_desktop(desktop, user, server, &bootstrap.enrollment_token)
            .await?;
    }
    wait_until_connected(machine, &session, desktops.len()).await?;
    step(
        begun,
        "desktops",
        &format!("{} agents enrolled and connected", desktops.len()),
    );

    let begun = Instant::now();
    let folder = machine.subfolder("packages")?;
    let mut apps = Vec::new();
    let mut bytes = 0;
    for recipe in recipes(&folder)? {
        let package = PackageFile::open(&folder.join(&recipe.file_name))?;
        bytes += package.size_bytes;
        apps.push(add(&session, recipe, &package).await?);
    }
    step(
        begun,
        "packages",
        &format!(
            "{} made here and uploaded, {} KiB",
            apps.len(),
            bytes / 1024
        ),
    );

    let users: Vec<AccountInfo> = people
        .iter()
        .map(|account| AccountInfo {
            account: account.clone(),
            domain: None,
            account_type: AccountTypeEnum::Simple,
            platform_type: None,
        })
        .collect();
    let app_ids: Vec<String> = apps.iter().map(|app| app.id.clone()).collect();
    authorize(&session.client, &app_ids, &users).await?;
    let body = BatchAutoInstallAppsReq {
        app_ids,
        assign_scope: AssignType::AssignUser,
        users: Some(users),
    };
    let begun = Instant::now();
    let deployment_id = accepted(&session.client, paths::APPS_INSTALL, &body).await?;
    printer.note(format!(
        "installing   {} apps on {} desktops, one call",
        apps.len(),
        desktops.len()
    ));
    let first = follow::deployment(&session, &deployment_id, LIMIT).await?;
    step(begun, "first round", &summary(&first.jobs));

    let begun = Instant::now();
    let fails_once = |ended: &&EndedJob| {
        ended.job.job_status == JobStatus::Fail
            && apps.iter().any(|app| {
                app.id == ended.job.app_id && app.expected == Expected::UnverifiedOnRetry
            })
    };
    let retried: Vec<String> = first
        .jobs
        .iter()
        .filter(fails_once)
        .map(|ended| ended.job.id.clone())
        .collect();
    let mut jobs = first.jobs;
    if !retried.is_empty() {
        printer.note(format!(
            "trying again {} that may work the second time",
            retried.len()
        ));
        let body = BatchOperateJobsReq {
            items: retried.clone(),
        };
        let _: IgnoredAny = session.client.post(paths::JOBS_RETRY, &body).await?;
        let again = follow::jobs(&session, &retried, LIMIT).await?;
        step(begun, "second round", &summary(&again));
        jobs.retain(|ended| !retried.contains(&ended.job.id));
        jobs.extend(again);
    }

    let token = token(&session.client, &bootstrap).await?;
    Ok(Told {
        bootstrap,
        token,
        desktops,
        apps,
        jobs,
        retried,
    })
}

fn client(bootstrap: &Bootstrap) -> Result<Client, CommandError> {
    let url = Url::parse(&bootstrap.endpoint)
        .map_err(|error| CommandError::because("the server names no address", error))?;
    Ok(Client::new(
        Endpoint {
            url,
            project_id: bootstrap.project_id.clone(),
        },
        Credential::AccessKey(Signer::new(
            bootstrap.access_key.clone(),
            bootstrap.secret_key.clone(),
        )),
        Trust::Machine,
    )?)
}

/// An address without its scheme and path.
fn host_and_port(address: &str) -> &str {
    let authority = address.split("://").last().unwrap_or(address);
    authority.split('/').next().unwrap_or(authority)
}

async fn wait_until_connected(
    machine: &mut Machine,
    session: &Session,
    wanted: usize,
) -> Result<(), CommandError> {
    let begun = Instant::now();
    loop {
        machine.check()?;
        let desktops = listing::DESKTOPS
            .fetch::<RegisteredDesktop>(&session.client, &[], usize::MAX)
            .await?;
        let connected = desktops
            .items
            .iter()
            .filter(|desktop| desktop.agent.as_ref().is_some_and(|agent| agent.connected))
            .count();
        if connected == wanted {
            return Ok(());
        }
        if begun.elapsed() > LIMIT {
            return Err(CommandError::failed(format!(
                "{connected} of {wanted} agents are connected after {} s",
                LIMIT.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Makes the packages and says how each is installed and how it has to end.
fn recipes(folder: &Path) -> Result<Vec<Recipe>, CommandError> {
    let [zipped, extracted, packed] = packages::programs()?;
    let quiet = |file_name: &str, command: &str| {
        (
            file_name.to_owned(),
            InstallType::QuietInstall,
            command.to_owned(),
        )
    };
    let file_rule = |path: String, program: Option<&Program>| {
        Some(DetectionRule::File(FileRule {
            path,
            sha256: program.map(Program::sha256),
            size_bytes: None,
        }))
    };
    let mut recipes = Vec::new();

    let (file_name, install_type, command) = (
        "text-tools-1.0.zip".to_owned(),
        InstallType::UnzipInstall,
        "unzip ${FILE_PATH}".to_owned(),
    );
    made(folder, &file_name, |path| packages::zip(path, &zipped))?;
    recipes.push(Recipe {
        name: "Text Tools",
        version: "1.0",
        kind: "zip archive",
        file_name,
        install_type,
        command,
        rule: None,
        expected: Expected::Verified,
    });

    let (file_name, install_type, command) = quiet(
        "calculator-2.1.run",
        "sh -c 'sh \"$FILE_PATH\" --silent --prefix \"$OUTFITTER_ROOT\"'",
    );
    made(folder, &file_name, |path| {
        packages::self_extracting(path, &extracted, "/opt/calculator")
    })?;
    recipes.push(Recipe {
        name: "Calculator",
        version: "2.1",
        kind: "shell installer",
        file_name,
        install_type,
        command,
        rule: file_rule(
            format!("/opt/calculator/bin/{}", extracted.name),
            Some(&extracted),
        ),
        expected: Expected::Verified,
    });

    let (file_name, install_type, command) = quiet("demo-notes_3.2-1.deb", DPKG);
    made(folder, &file_name, |path| {
        packages::debian(path, "demo-notes", "3.2-1", &packed)
    })?;
    recipes.push(Recipe {
        name: "Notes",
        version: "3.2-1",
        kind: "Debian package",
        file_name,
        install_type,
        command,
        rule: None,
        expected: Expected::Verified,
    });

    let (file_name, install_type, command) = quiet("licence-1.4.run", "sh ${FILE_PATH}");
    made(folder, &file_name, |path| {
        packages::failing_once(path, "/opt/licence")
    })?;
    recipes.push(Recipe {
        name: "Licence",
        version: "1.4",
        kind: "fails once; no rule",
        file_name,
        install_type,
        command,
        rule: None,
        expected: Expected::UnverifiedOnRetry,
    });

    let (file_name, install_type, command) = quiet("report-viewer-5.0.run", "sh ${FILE_PATH}");
    made(folder, &file_name, packages::lying)?;
    recipes.push(Recipe {
        name: "Report Viewer",
        version: "5.0",
        kind: "installer that lies",
        file_name,
        install_type,
        command,
        rule: file_rule("/opt/report-viewer/bin/report-viewer".to_owned(), None),
        expected: Expected::CaughtLying,
    });
    Ok(recipes)
}

fn made(
    folder: &Path,
    file_name: &str,
    make: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<(), CommandError> {
    let path = folder.join(file_name);
    make(&path).map_err(|error| CommandError::file("make package", &path, error))?;
    // Whole, or the demo would show something else.
    fs::metadata(&path)
        .map(|_| ())
        .map_err(|error| CommandError::file("find package", &path, error))
}

async fn add(
    session: &Session,
    recipe: Recipe,
    package: &PackageFile,
) -> Result<DemoApp, CommandError> {
    let body = UploadAppReq {
        name: recipe.name.to_owned(),
        version: recipe.version.to_owned(),
        description: format!("{}, made by the demo", recipe.kind),
        authorization_type: AssignType::AssignUser,
        app_file_store: upload(session, package).await?,
        app_icon_url: None,
        install_type: recipe.install_type,
        install_command: Some(recipe.command),
        uninstall_command: None,
        support_os: OsTypeEnum::Linux,
        catalog_id: "1".to_owned(),
        install_info: None,
    };
    let app: Application = session.client.post(paths::APPS, &body).await?;
    if recipe.rule.is_some() {
        set_detection_rule(session, &app.id, recipe.rule).await?;
    }
    Ok(DemoApp {
        id: app.id,
        name: recipe.name,
        kind: recipe.kind,
        expected: recipe.expected,
    })
}

async fn authorize(
    client: &Client,
    app_ids: &[String],
    users: &[AccountInfo],
) -> Result<(), CommandError> {
    let body = BatchAssignAppAuthorizationsReq {
        app_ids: app_ids.to_vec(),
        authorization_type: AssignType::AssignUser,
        users: Some(users.to_vec()),
        del_users: None,
    };
    let _: IgnoredAny = client.post(paths::APPS_AUTHORIZE, &body).await?;
    Ok(())
}

/// `15 verified, 10 failed`.
fn summary(jobs: &[EndedJob]) -> String {
    let count = |wanted: fn(&EndedJob) -> bool| jobs.iter().filter(|job| wanted(job)).count();
    let success = |ended: &EndedJob| ended.job.job_status == JobStatus::Success;
    let proven = |ended: &EndedJob| {
        ended.job.job_status == JobStatus::Success
            && !matches!(
                ended.proof,
                None | Some(Proof::ExitCodeOnly | Proof::ReceiptInvalid)
            )
    };
    let verified = count(proven);
    let parts = [
        (verified, "verified"),
        (count(success) - verified, "unverified"),
        (
            count(|ended| ended.job.job_status == JobStatus::Fail),
            "failed",
        ),
    ];
    parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A token, as any client gets one. Source: auth.md, Keystone tokens by password.
async fn token(client: &Client, bootstrap: &Bootstrap) -> Result<String, CommandError> {
    let body = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": bootstrap.user_name,
            "password": bootstrap.password,
            "domain": {"name": bootstrap.domain_name},
        }}},
        "scope": {"project": {"name": bootstrap.region}},
    }});
    let answer = client
        .post_answer::<serde_json::Value>("/v3/auth/tokens", &body)
        .await?;
    answer
        .headers
        .get("x-subject-token")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
        .ok_or_else(|| CommandError::failed("the server issued no token"))
}
