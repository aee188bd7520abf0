use outfitter_api_types::apps::{Application, InstallType, OsTypeEnum, UploadAppReq};
use outfitter_api_types::authorizations::AssignType;
use outfitter_packages::{Advice, ProposedMethod, ProposedSystem};

use super::upload::{PackageFile, upload};
use super::{icon, link_store};
use crate::args::app::AddArgs;
use crate::commands::Session;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::View;

/// What a package says about how to install it, as far as it does.
#[derive(Debug, Default, PartialEq, Eq)]
struct Proposal {
    name: Option<String>,
    version: Option<String>,
    install_type: Option<InstallType>,
    command: Option<String>,
    uninstall_command: Option<String>,
    os: Option<OsTypeEnum>,
    /// What the person should know about it.
    note: Option<&'static str>,
}

pub(super) async fn run(args: AddArgs, session: &Session) -> Result<Outcome, CommandError> {
    let package = args.file.as_deref().map(PackageFile::open).transpose()?;
    let proposal = match &package {
        Some(package) => propose(package)?,
        None => Proposal::default(),
    };
    // A command of the person's own makes the proposal's advice moot.
    if args.command.is_none()
        && let Some(note) = proposal.note
    {
        session.printer.note(note);
    }
    let missing = |what: &str, option: &'static str| {
        CommandError::usage(format!("the package does not say its {what}")).hint(option)
    };
    let mut body = UploadAppReq {
        name: args
            .name
            .or(proposal.name)
            .ok_or_else(|| missing("name", "give --name NAME"))?,
        version: args
            .version
            .or(proposal.version)
            .ok_or_else(|| missing("version", "give --version VERSION"))?,
        description: args.description,
        authorization_type: if args.all_users {
            AssignType::AllUser
        } else {
            AssignType::AssignUser
        },
        app_file_store: match (&package, args.link) {
            (Some(_), _) => super::FileStoreLink {
                store_type: super::FileStoreTypeEnum::Obs,
                bucket_store: None,
                file_link: None,
            },
            (None, Some(link)) => link_store(link),
            (None, None) => return Err(CommandError::usage("give a FILE or --link URL")),
        },
        app_icon_url: args.icon.as_deref().map(icon::read).transpose()?,
        install_type: args
            .install_type
            .map(InstallType::from)
            .or(proposal.install_type)
            .ok_or_else(|| {
                CommandError::usage("this kind of package does not say how it is installed")
                    .hint("give --install-type and --command")
            })?,
        install_command: args.command.or(proposal.command),
        uninstall_command: args.uninstall_command.or(proposal.uninstall_command),
        support_os: args
            .os
            .map(OsTypeEnum::from)
            .or(proposal.os)
            .unwrap_or(OsTypeEnum::Other),
        catalog_id: args.catalog,
        install_info: None,
    };
    if let Some(package) = &package {
        body.app_file_store = upload(session, package).await?;
    }
    let app: Application = session.client.post(paths::APPS, &body).await?;
    session.printer.show(&app, || {
        View::Line(format!("{} {} is added: {}", app.name, app.version, app.id))
    });
    if let Some(command) = &app.install_command {
        session
            .printer
            .note(format!("it is installed by: {command}"));
    } else if app.install_type != InstallType::GuiInstall {
        session
            .printer
            .note("it has no install command yet; `outfitter app update --command` sets it");
    }
    if app.authorization_type == AssignType::AssignUser {
        session.printer.note(
            "nobody may have it yet: `outfitter app install --user NAME` authorizes and installs, \
             `outfitter app authorize` authorizes alone",
        );
    }
    Ok(Outcome::Done)
}

/// What to propose for a package, in the words of the API.
fn propose(package: &PackageFile) -> Result<Proposal, CommandError> {
    let found = std::fs::File::open(&package.path)
        .and_then(|mut file| {
            outfitter_packages::propose(&mut file, &package.file_name, &package.facts)
        })
        .map_err(|error| CommandError::file("read script", &package.path, error))?;
    Ok(Proposal {
        name: Some(found.name),
        version: found.version,
        install_type: found.method.map(|method| match method {
            ProposedMethod::Command => InstallType::QuietInstall,
            ProposedMethod::Unpack => InstallType::UnzipInstall,
        }),
        command: found.install_command,
        uninstall_command: found.uninstall_command,
        os: found.system.map(|system| match system {
            ProposedSystem::Linux => OsTypeEnum::Linux,
            ProposedSystem::Windows => OsTypeEnum::Windows,
            ProposedSystem::Any => OsTypeEnum::Other,
        }),
        note: found.advice.and_then(|advice| match advice {
            Advice::ScriptMayAsk => Some(
                "a script's silent switches are its own: give --command if it asks questions",
            ),
            Advice::GiveCommand => Some(
                "how this program installs silently is not known (often /S or /quiet): give --command",
            ),
            Advice::Unknown => None,
        }),
    })
}
