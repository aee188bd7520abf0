//! What is proposed for a package: how it is called, installed and removed. A person confirms or changes it.

use std::io::{self, BufRead as _, BufReader, Read, Seek};

use crate::inspect::{InstallerFamily, PackageFacts, PackageKind};

/// How a package is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposedMethod {
    /// By a command that asks nothing.
    Command,
    /// By unpacking it.
    Unpack,
}

/// What a package is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposedSystem {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// Either.
    Any,
}

/// What the person should look at before confirming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// A script's silent switches are its own.
    ScriptMayAsk,
    /// How the program installs silently is not known.
    GiveCommand,
    /// The file is of no known kind.
    Unknown,
}

/// What is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Name, never empty.
    pub name: String,
    /// Version, where something tells it.
    pub version: Option<String>,
    /// How to install it.
    pub method: Option<ProposedMethod>,
    /// Command, `${FILE_PATH}` for the package.
    pub install_command: Option<String>,
    /// Command that removes it.
    pub uninstall_command: Option<String>,
    /// What it is for.
    pub system: Option<ProposedSystem>,
    /// What to look at.
    pub advice: Option<Advice>,
}

/// Proposes how a package, called `file_name` by whoever brought it, becomes an app.
///
/// # Errors
/// When a script cannot be read.
pub fn propose(
    package: &mut (impl Read + Seek),
    file_name: &str,
    facts: &PackageFacts,
) -> io::Result<Proposal> {
    let (name, version) = name_and_version(file_name);
    let bare = Proposal {
        name,
        version,
        method: None,
        install_command: None,
        uninstall_command: None,
        system: None,
        advice: None,
    };
    let by_command = |system, command: Option<String>, advice| Proposal {
        method: Some(ProposedMethod::Command),
        install_command: command,
        system: Some(system),
        advice,
        ..bare.clone()
    };
    let (linux, windows) = (ProposedSystem::Linux, ProposedSystem::Windows);
    Ok(match facts.kind {
        PackageKind::Deb => {
            let command = "sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -i \"$FILE_PATH\"'";
            let mut found = by_command(linux, Some(command.to_owned()), None);
            if let Some(debian) = &facts.debian {
                found.name.clone_from(&debian.name);
                found.version = Some(debian.version.clone());
                found.uninstall_command = Some(format!("dpkg -r {}", debian.name));
            }
            found
        }
        kind if kind.is_extractable() => Proposal {
            method: Some(ProposedMethod::Unpack),
            install_command: Some("unzip ${FILE_PATH}".to_owned()),
            system: Some(ProposedSystem::Any),
            ..bare
        },
        PackageKind::Script => {
            let command = format!("{} ${{FILE_PATH}}", interpreter(package)?);
            by_command(linux, Some(command), Some(Advice::ScriptMayAsk))
        }
        PackageKind::Rpm => {
            let command = "rpm -U --replacepkgs ${FILE_PATH}".to_owned();
            by_command(linux, Some(command), None)
        }
        PackageKind::Msi => {
            let command = "msiexec /i ${FILE_PATH} /qn /norestart".to_owned();
            by_command(windows, Some(command), None)
        }
        PackageKind::Exe => match facts.installer.and_then(silent_switches) {
            Some(switches) => by_command(windows, Some(format!("${{FILE_PATH}} {switches}")), None),
            None => by_command(windows, None, Some(Advice::GiveCommand)),
        },
        PackageKind::Elf | PackageKind::AppImage => {
            by_command(linux, None, Some(Advice::GiveCommand))
        }
        _ => Proposal {
            advice: Some(Advice::Unknown),
            ..bare
        },
    })
}

/// How installers of a family are told to ask nothing. Sources: Inno Setup, "Setup Command Line Parameters"; NSIS, 3.2;
/// WiX, the standard bootstrapper's command line. InstallShield's depend on how the setup was built.
fn silent_switches(family: InstallerFamily) -> Option<&'static str> {
    match family {
        InstallerFamily::Inno => Some("/VERYSILENT /SUPPRESSMSGBOXES /NORESTART /SP-"),
        InstallerFamily::Nsis => Some("/S"),
        InstallerFamily::WixBurn => Some("/quiet /norestart"),
        InstallerFamily::InstallShield => None,
    }
}

/// The interpreter that a script names, with its arguments.
fn interpreter(package: &mut (impl Read + Seek)) -> io::Result<String> {
    /// Longest first line the kernel looks at, in bytes. Source: linux/binfmts.h, BINPRM_BUF_SIZE.
    const LONGEST: u64 = 256;
    let mut line = Vec::new();
    package.rewind()?;
    BufReader::new(package.take(LONGEST)).read_until(b'\n', &mut line)?;
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
    use std::io::Cursor;

    use super::*;
    use crate::inspect::inspect_reader;

    fn proposal(file_name: &str, content: &[u8]) -> Proposal {
        let mut package = Cursor::new(content);
        let facts = inspect_reader(&mut package).unwrap();
        propose(&mut package, file_name, &facts).unwrap()
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
            found.install_command.as_deref(),
            Some("/usr/bin/env -S python3 -I ${FILE_PATH}")
        );
        assert_eq!(found.method, Some(ProposedMethod::Command));
        assert_eq!(found.system, Some(ProposedSystem::Linux));
    }

    #[test]
    fn a_known_installer_is_told_to_ask_nothing() {
        let facts = |installer| PackageFacts {
            kind: PackageKind::Exe,
            debian: None,
            installer,
        };
        let proposed = |installer| {
            propose(&mut Cursor::new(b"MZ"), "tool-1.0.exe", &facts(installer)).unwrap()
        };
        let known = proposed(Some(InstallerFamily::Nsis));
        assert_eq!(known.install_command.as_deref(), Some("${FILE_PATH} /S"));
        assert_eq!(
            (known.system, known.advice),
            (Some(ProposedSystem::Windows), None)
        );
        for unknown in [None, Some(InstallerFamily::InstallShield)] {
            let found = proposed(unknown);
            assert_eq!(
                (found.install_command, found.advice),
                (None, Some(Advice::GiveCommand))
            );
        }
    }

    #[test]
    fn an_archive_is_unpacked_and_an_unknown_file_proposes_nothing() {
        let found = proposal("tool-1.0.zip", b"PK\x05\x06");
        assert_eq!(found.method, Some(ProposedMethod::Unpack));
        assert_eq!(found.install_command.as_deref(), Some("unzip ${FILE_PATH}"));
        let unknown = proposal("tool-1.0.bin", b"data");
        assert_eq!(unknown.method, None);
        assert_eq!(unknown.advice, Some(Advice::Unknown));
    }
}
