use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use outfitter_api_types::apps::{Application, InstallType, OsTypeEnum, UploadAppReq};
use outfitter_api_types::authorizations::AssignType;
use outfitter_packages::PackageKind;

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
    Ok(Outcome::Done)
}

/// What to propose for a package.
fn propose(package: &PackageFile) -> Result<Proposal, CommandError> {
    let (name, version) = name_and_version(&package.file_name);
    let named = Proposal {
        name: Some(name),
        version,
        ..Proposal::default()
    };
    let installer = |os, command: Option<String>, note| Proposal {
        install_type: Some(InstallType::QuietInstall),
        command,
        os: Some(os),
        note,
        ..Proposal::default()
    };
    let found = match package.facts.kind {
        PackageKind::Deb => {
            let debian = package.facts.debian.as_ref();
            let mut found = installer(
                OsTypeEnum::Linux,
                Some("sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -i \"$FILE_PATH\"'".to_owned()),
                None,
            );
            if let Some(debian) = debian {
                found.name = Some(debian.name.clone());
                found.version = Some(debian.version.clone());
                found.uninstall_command = Some(format!("dpkg -r {}", debian.name));
            }
            found
        }
        kind if kind.is_extractable() => Proposal {
            install_type: Some(InstallType::UnzipInstall),
            command: Some("unzip ${FILE_PATH}".to_owned()),
            os: Some(OsTypeEnum::Other),
            ..Proposal::default()
        },
        PackageKind::Script => installer(
            OsTypeEnum::Linux,
            Some(format!("{} ${{FILE_PATH}}", interpreter(&package.path)?)),
            Some("a script's silent switches are its own: give --command if it asks questions"),
        ),
        PackageKind::Rpm => installer(
            OsTypeEnum::Linux,
            Some("rpm -U --replacepkgs ${FILE_PATH}".to_owned()),
            None,
        ),
        PackageKind::Msi => installer(
            OsTypeEnum::Windows,
            Some("msiexec /i ${FILE_PATH} /qn /norestart".to_owned()),
            None,
        ),
        PackageKind::Exe => installer(
            OsTypeEnum::Windows,
            None,
            Some("a program's silent switches are its own (often /S or /quiet): give --command"),
        ),
        PackageKind::Elf | PackageKind::AppImage => installer(
            OsTypeEnum::Linux,
            None,
            Some("how this program is installed is not known: give --command"),
        ),
        _ => Proposal::default(),
    };
    Ok(Proposal {
        name: found.name.or(named.name),
        version: found.version.or(named.version),
        ..found
    })
}

/// The interpreter that a script names, with its arguments.
fn interpreter(path: &Path) -> Result<String, CommandError> {
    /// Longest first line the kernel looks at, in bytes. Source: linux/binfmts.h, BINPRM_BUF_SIZE.
    const LONGEST: u64 = 256;
    let mut line = Vec::new();
    File::open(path)
        .and_then(|file| BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut line))
        .map_err(|error| CommandError::file("read script", path, error))?;
    let text = String::from_utf8_lossy(&line);
    let named = text.trim_start_matches("#!").trim();
    Ok(if named.is_empty() { "/bin/sh" } else { named }.to_owned())
}

/// `editor-1.2.3.zip` is editor 1.2.3; without a number at the end only the name is known.
fn name_and_version(file_name: &str) -> (String, Option<String>) {
    const ENDINGS: [&str; 12] = [
        ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2", ".tgz", ".tar", ".zip", ".run", ".sh",
        ".msi", ".exe", ".deb",
    ];
    let lower = file_name.to_ascii_lowercase();
    let stem = ENDINGS
        .iter()
        .find(|ending| lower.ends_with(**ending))
        .and_then(|ending| file_name.get(..file_name.len() - ending.len()))
        .filter(|stem| !stem.is_empty())
        .unwrap_or(file_name);
    let cut = stem.char_indices().find_map(|(at, mark)| {
        let rest = stem.get(at + 1..)?;
        let number = rest.strip_prefix('v').unwrap_or(rest);
        let separates = matches!(mark, '-' | '_') && at > 0;
        (separates && number.starts_with(|c: char| c.is_ascii_digit())).then_some((at, number))
    });
    match cut {
        Some((at, version)) => (stem[..at].to_owned(), Some(version.to_owned())),
        None => (stem.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn proposal(file_name: &str, content: &[u8]) -> Proposal {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file_name);
        File::create(&path).unwrap().write_all(content).unwrap();
        propose(&PackageFile::open(&path).unwrap()).unwrap()
    }

    #[test]
    fn names_and_versions_come_from_file_names() {
        let some = |version: &str| Some(version.to_owned());
        for (file_name, name, version) in [
            ("editor-1.2.3.zip", "editor", some("1.2.3")),
            ("my-editor_v2.tar.gz", "my-editor", some("2")),
            ("editor.zip", "editor", None),
            ("-1.zip", "-1", None),
            (".zip", ".zip", None),
            ("größe-1.run", "größe", some("1")),
        ] {
            assert_eq!(name_and_version(file_name), (name.to_owned(), version));
        }
    }

    #[test]
    fn a_script_is_run_by_the_interpreter_it_names() {
        let found = proposal("tool-1.0.run", b"#!/usr/bin/env -S python3 -I\nprint()\n");
        assert_eq!(
            found.command.as_deref(),
            Some("/usr/bin/env -S python3 -I ${FILE_PATH}")
        );
        assert_eq!(found.install_type, Some(InstallType::QuietInstall));
        assert_eq!(found.os, Some(OsTypeEnum::Linux));
    }

    #[test]
    fn an_archive_is_unpacked_and_an_unknown_file_proposes_nothing() {
        let found = proposal("tool-1.0.zip", b"PK\x05\x06");
        assert_eq!(found.install_type, Some(InstallType::UnzipInstall));
        assert_eq!(found.command.as_deref(), Some("unzip ${FILE_PATH}"));
        assert_eq!(proposal("tool-1.0.bin", b"data").install_type, None);
    }
}
