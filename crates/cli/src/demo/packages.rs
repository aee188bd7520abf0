//! The demo's packages: real ones, made on the spot from programs of this machine.

use std::fs;
use std::io::{self, Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use outfitter_packages::{Digester, PackageKind, inspect};
use zip::write::SimpleFileOptions;

use crate::outcome::CommandError;

/// Programs worth packing: small, and on every Linux. The first that are there are taken.
const CANDIDATES: [&str; 8] = ["wc", "sort", "factor", "cut", "cat", "head", "ls", "env"];

/// Largest program that is packed, in bytes: the demo shows installing, not copying.
const LARGEST_BYTES: u64 = 4 * 1024 * 1024;

/// A program of this machine.
pub(super) struct Program {
    /// What it is called.
    pub(super) name: &'static str,
    content: Vec<u8>,
}

impl Program {
    /// Lower-case hex SHA-256 of it.
    pub(super) fn sha256(&self) -> String {
        let mut digester = Digester::new();
        digester.update(&self.content);
        digester.finish().sha256.to_string()
    }
}

/// Three different programs of this machine.
///
/// # Errors
/// There are not that many.
pub(super) fn programs() -> Result<[Program; 3], CommandError> {
    let folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mut found = CANDIDATES.iter().filter_map(|name| {
        let path = folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| is_program(path))?;
        let content = fs::read(path).ok()?;
        Some(Program { name, content })
    });
    match (found.next(), found.next(), found.next()) {
        (Some(first), Some(second), Some(third)) => Ok([first, second, third]),
        _ => Err(CommandError::failed(format!(
            "three of {} are needed for the demo's packages and are not in PATH",
            CANDIDATES.join(", ")
        ))),
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() < LARGEST_BYTES)
        && inspect(path).is_ok_and(|facts| facts.kind == PackageKind::Elf)
}

/// A zip archive with the program and a text.
pub(super) fn zip(path: &Path, program: &Program) -> io::Result<()> {
    let mut archive = zip::ZipWriter::new(fs::File::create(path)?);
    let options = SimpleFileOptions::default();
    archive.start_file(
        format!("bin/{}", program.name),
        options.unix_permissions(0o755),
    )?;
    archive.write_all(&program.content)?;
    archive.start_file("README.txt", options.unix_permissions(0o644))?;
    archive.write_all(b"Packed by the demo from a program of this machine.\n")?;
    archive.finish()?;
    Ok(())
}

/// A self-extracting installer: a script with an archive behind it, which asks unless it is told not to.
pub(super) fn self_extracting(path: &Path, program: &Program, folder: &str) -> io::Result<()> {
    let script = format!(
        r#"#!/bin/sh
# Self-extracting installer. Switches: --silent asks nothing, --prefix DIR installs below DIR.
set -eu
prefix=/ silent=no
while [ $# -gt 0 ]; do
    case $1 in
        --silent) silent=yes ;;
        --prefix) prefix=$2; shift ;;
        *) echo "unknown switch $1" >&2; exit 64 ;;
    esac
    shift
done
if [ $silent = no ]; then
    printf 'Install into %s{folder}? [y/N] ' "$prefix"
    read -r answer && [ "$answer" = y ]
fi
mkdir -p "$prefix{folder}"
begin=$(($(grep -an '^--archive--$' "$0" | head -n 1 | cut -d: -f1) + 1))
tail -n "+$begin" "$0" | tar xzf - -C "$prefix{folder}"
"$prefix{folder}/bin/{name}" --version >/dev/null
echo "installed into {folder}"
exit 0
--archive--
"#,
        name = program.name
    );
    let mut bytes = script.into_bytes();
    bytes.extend(tar_gz(&[(
        &format!("./bin/{}", program.name),
        &program.content,
        0o755,
    )])?);
    write_executable(path, &bytes)
}

/// An installer that says all is well and installs nothing.
pub(super) fn lying(path: &Path) -> io::Result<()> {
    write_executable(
        path,
        b"#!/bin/sh\n\
          echo 'Copying files ...'\n\
          echo 'Installation completed successfully.'\n\
          exit 0\n",
    )
}

/// An installer that fails once on each desktop and works from then on.
pub(super) fn failing_once(path: &Path, folder: &str) -> io::Result<()> {
    let script = format!(
        r#"#!/bin/sh
set -eu
tried="$OUTFITTER_ROOT/var/tmp/{marker}.tried"
if [ ! -e "$tried" ]; then
    mkdir -p "$OUTFITTER_ROOT/var/tmp"
    : > "$tried"
    echo 'the licence server does not answer, try again later' >&2
    exit 75
fi
mkdir -p "$OUTFITTER_ROOT{folder}"
echo licensed > "$OUTFITTER_ROOT{folder}/licence"
echo 'licence installed'
"#,
        marker = folder.rsplit('/').next().unwrap_or(folder)
    );
    write_executable(path, script.as_bytes())
}

/// A Debian package without maintainer scripts: those would need a whole system below the desktop's folder.
/// Written here and not by dpkg-deb, so that it is the same on every machine; dpkg installs it.
/// Source of the format: deb(5).
pub(super) fn debian(
    path: &Path,
    package: &str,
    version: &str,
    program: &Program,
) -> io::Result<()> {
    let control = format!(
        "Package: {package}\nVersion: {version}\nArchitecture: {}\nMaintainer: Outfitter demo <demo@localhost>\n\
         Description: packed by the demo from a program of this machine\n",
        debian_architecture()
    );
    let mut archive = ar::Builder::new(fs::File::create(path)?);
    let mut member = |name: &str, content: &[u8]| {
        let mut header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
        header.set_mode(0o100_644);
        archive.append(&header, Cursor::new(content))
    };
    member("debian-binary", b"2.0\n")?;
    member(
        "control.tar.gz",
        &tar_gz(&[("./control", control.as_bytes(), 0o644)])?,
    )?;
    member(
        "data.tar.gz",
        &tar_gz(&[(
            &format!("./usr/lib/{package}/{}", program.name),
            &program.content,
            0o755,
        )])?,
    )
}

/// dpkg's name of this machine's architecture; `all` where dpkg does not say.
fn debian_architecture() -> String {
    Command::new("dpkg")
        .arg("--print-architecture")
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "all".to_owned())
}

/// A tar archive of these files (path, content, mode) and the folders above them, in gzip.
fn tar_gz(files: &[(&str, &[u8], u32)]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content, mode) in files {
        let mut folders: Vec<&Path> = Path::new(path)
            .ancestors()
            .skip(1)
            .filter(|folder| !folder.as_os_str().is_empty())
            .collect();
        folders.reverse();
        for folder in folders {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            archive.append_data(&mut header, format!("{}/", folder.display()), io::empty())?;
        }
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, *content)?;
    }
    archive.into_inner()?.finish()
}

fn write_executable(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debian_package_is_read_back_and_by_dpkg() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.deb");
        let [program, ..] = programs().unwrap();
        debian(&path, "demo-notes", "3.2-1", &program).unwrap();
        let facts = inspect(&path).unwrap();
        let read = facts.debian.unwrap();
        assert_eq!(
            (read.name.as_str(), read.version.as_str()),
            ("demo-notes", "3.2-1")
        );
        // Where there is a dpkg it has to agree.
        if let Ok(output) = Command::new("dpkg-deb")
            .arg("--contents")
            .arg(&path)
            .output()
        {
            let listed = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{output:?}");
            assert!(
                listed.contains(&format!("usr/lib/demo-notes/{}", program.name)),
                "{listed}"
            );
        }
    }

    #[test]
    fn the_self_extracting_installer_unpacks_the_program_and_refuses_unknown_switches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tool.run");
        let [_, program, _] = programs().unwrap();
        self_extracting(&path, &program, "/opt/tool").unwrap();
        let root = folder.path().join("root");
        let run = |switches: &[&str]| {
            Command::new("sh")
                .arg(&path)
                .args(switches)
                .output()
                .unwrap()
        };
        assert_eq!(run(&["--loud"]).status.code(), Some(64));
        let output = run(&["--silent", "--prefix", root.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        let installed = root.join("opt/tool/bin").join(program.name);
        let mut digester = Digester::new();
        digester.update(&fs::read(installed).unwrap());
        assert_eq!(digester.finish().sha256.to_string(), program.sha256());
    }

    #[test]
    fn the_failing_installer_fails_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.run");
        failing_once(&path, "/opt/client").unwrap();
        let run = || {
            Command::new("sh")
                .arg(&path)
                .env("OUTFITTER_ROOT", folder.path())
                .output()
                .unwrap()
        };
        assert_eq!(run().status.code(), Some(75));
        assert_eq!(run().status.code(), Some(0));
        assert!(folder.path().join("opt/client/licence").exists());
    }
}
