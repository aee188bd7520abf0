//! From the text of a command to program and arguments, on Linux, and what commands and names are on every system. On
//! Windows: [`crate::command_line`].
//!
//! The text is split like a shell would split it, and nothing else of a shell happens. `${FILE_PATH}`
//! becomes part of one argument, whatever is in the path. Only where the command itself names a shell
//! with `-c`, the script is left as written: the shell finds `FILE_PATH` in its environment, so the path
//! is never pasted into a script.

use std::path::{Path, PathBuf};

use crate::platform;

/// What stands for the package in a command.
pub const FILE_PATH_MARK: &str = "${FILE_PATH}";

const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "ksh", "zsh"];

/// Why a command cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nothing in it.
    #[error("the command is empty")]
    Empty,
    /// A quote is open, or a lone backslash ends it.
    #[error("the command has an open quote or ends with a backslash")]
    OpenQuote,
    /// Arguments cannot hold that.
    #[error("the command holds a NUL character")]
    Nul,
    /// `unzip -d` needs a whole path.
    #[error("unzip -d wants an absolute folder without `..`, not {0:?}")]
    Folder(String),
}

/// Splits a command and puts the package's path in.
///
/// # Errors
/// See [`CommandError`].
pub fn arguments(command: &str, file_path: &str) -> Result<Vec<String>, CommandError> {
    let mut arguments = split(command)?;
    let scripts = scripts(&arguments);
    for (index, argument) in arguments.iter_mut().enumerate() {
        if !scripts.contains(&index) {
            *argument = argument.replace(FILE_PATH_MARK, file_path);
        }
    }
    Ok(arguments)
}

/// The arguments as one line that a person can read and a shell would split the same way.
pub fn display(arguments: &[String]) -> String {
    shlex::try_join(arguments.iter().map(String::as_str)).unwrap_or_else(|_| arguments.join(" "))
}

/// Whether the command needs the package's bytes.
pub fn names_package(command: &str) -> bool {
    command.contains("FILE_PATH")
}

/// Splits a command like a shell would.
///
/// # Errors
/// See [`CommandError`].
pub fn split(command: &str) -> Result<Vec<String>, CommandError> {
    if command.contains('\0') {
        return Err(CommandError::Nul);
    }
    let arguments = shlex::split(command).ok_or(CommandError::OpenQuote)?;
    if arguments.first().is_none_or(String::is_empty) {
        return Err(CommandError::Empty);
    }
    Ok(arguments)
}

/// Which arguments are scripts of a named shell: the first that is no option after `-c` (or `-ec`, ...).
fn scripts(arguments: &[String]) -> Vec<usize> {
    let mut found = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let name = argument.rsplit('/').next().unwrap_or_default();
        if !SHELLS.contains(&name) {
            continue;
        }
        let mut takes_script = false;
        for (offset, option) in arguments[index + 1..].iter().enumerate() {
            let options = option.strip_prefix('-').filter(|rest| !rest.is_empty());
            match options {
                Some(letters) => takes_script |= !letters.starts_with('-') && letters.contains('c'),
                None => {
                    if takes_script {
                        found.push(index + 1 + offset);
                    }
                    break;
                }
            }
        }
    }
    found
}

/// What `unzip ${FILE_PATH} [-d DIR]` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unzip {
    /// Where to; `None`: the app's own folder.
    pub folder: Option<PathBuf>,
}

/// Understands `unzip ${FILE_PATH} [-d DIR]`, with `-o` and `-q` anywhere (they ask for what is done
/// anyway). `None`: another command, to be run as it is.
///
/// # Errors
/// When the command cannot be split or its folder is not absolute.
pub fn unzip(command: &str) -> Result<Option<Unzip>, CommandError> {
    let arguments = platform::words(command)?;
    let mut rest = arguments.iter().map(String::as_str);
    let program = rest.next().unwrap_or_default();
    if program.rsplit('/').next() != Some("unzip") {
        return Ok(None);
    }
    let (mut package, mut folder) = (false, None);
    while let Some(argument) = rest.next() {
        match argument {
            FILE_PATH_MARK if !package => package = true,
            "-o" | "-q" | "-qq" | "-oq" | "-qo" => {}
            "-d" if folder.is_none() => match rest.next() {
                Some(text) => folder = Some(text.to_owned()),
                None => return Ok(None),
            },
            _ => return Ok(None),
        }
    }
    if !package {
        return Ok(None);
    }
    let folder = folder
        .map(|text| {
            let path = PathBuf::from(&text);
            let climbs = path
                .components()
                .any(|part| part == std::path::Component::ParentDir);
            if platform::is_whole(&path) && !climbs {
                Ok(path)
            } else {
                Err(CommandError::Folder(text))
            }
        })
        .transpose()?;
    Ok(Some(Unzip { folder }))
}

/// An app's name as that of a folder. Source: contract, semantics §5, On the desktop.
pub fn folder_name(app_name: &str) -> String {
    let name: String = app_name
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_') {
                c
            } else {
                '_'
            }
        })
        .collect();
    if name.chars().all(|c| c == '.') {
        "_".to_owned()
    } else {
        name
    }
}

/// A package's file name without anything that would lead out of its folder.
pub fn safe_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    match clean.as_str() {
        "" | "." | ".." => "package".to_owned(),
        // 255 bytes is the limit of the usual file systems; the end has the extension.
        long if long.len() > 255 => {
            let mut from = long.len() - 255;
            while !long.is_char_boundary(from) {
                from += 1;
            }
            long[from..].to_owned()
        }
        _ => clean,
    }
}

/// Whether output and exit code tell that another installer held the package system's lock.
pub fn says_busy(output: &str) -> bool {
    // dpkg: "dpkg frontend lock was locked by another process"; apt: "Could not get lock /var/lib/...";
    // rpm: "can't create transaction lock on /var/lib/rpm/.rpm.lock".
    ["frontend lock", "Could not get lock", "transaction lock"]
        .iter()
        .any(|words| output.contains(words))
}

/// Resolves a path of the desktop below the folder that plays it, where one does.
///
/// # Errors
/// In words, when links below the root lead out of it.
pub fn on_desktop(sandbox_root: Option<&Path>, path: &Path) -> Result<PathBuf, String> {
    let Some(root) = sandbox_root else {
        return Ok(path.to_owned());
    };
    if path
        .components()
        .any(|part| part == std::path::Component::ParentDir)
    {
        return Err(format!("{} climbs with `..`", path.display()));
    }
    let whole = root.join(platform::below_sandbox(path)?);
    let real_root = root
        .canonicalize()
        .map_err(|error| format!("{} cannot be found: {error}", root.display()))?;
    // What is there already decides where the rest would be made.
    let mut existing = whole.as_path();
    let real = loop {
        match existing.symlink_metadata() {
            Ok(_) => {
                break existing.canonicalize().map_err(|error| {
                    format!("{} cannot be followed: {error}", existing.display())
                })?;
            }
            Err(_) => match existing.parent() {
                Some(above) => existing = above,
                None => return Err(format!("{} has no root", whole.display())),
            },
        }
    };
    if real.starts_with(&real_root) {
        Ok(whole)
    } else {
        Err(format!("{} leads out of the sandbox", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/var/lib/a b/it's $(x).run";

    #[test]
    fn the_path_is_one_argument_whatever_is_in_it() {
        let cases: [(&str, &[&str]); 6] = [
            ("${FILE_PATH} --silent", &[FILE, "--silent"]),
            ("sh ${FILE_PATH} --silent", &["sh", FILE, "--silent"]),
            ("dpkg -i \"${FILE_PATH}\"", &["dpkg", "-i", FILE]),
            (
                "x --from=${FILE_PATH} 'a b'",
                &["x", "--from=/var/lib/a b/it's $(x).run", "a b"],
            ),
            ("/bin/bash -e ${FILE_PATH}", &["/bin/bash", "-e", FILE]),
            (
                "env sh -ec 'run \"${FILE_PATH}\" && y' ${FILE_PATH}",
                &["env", "sh", "-ec", "run \"${FILE_PATH}\" && y", FILE],
            ),
        ];
        for (command, expected) in cases {
            assert_eq!(
                arguments(command, FILE).expect(command),
                expected,
                "{command}"
            );
        }
    }

    #[test]
    fn what_cannot_be_split_is_no_command() {
        assert_eq!(arguments("   ", FILE), Err(CommandError::Empty));
        assert_eq!(arguments("'' x", FILE), Err(CommandError::Empty));
        assert_eq!(arguments("sh 'x", FILE), Err(CommandError::OpenQuote));
        assert_eq!(arguments("sh \0", FILE), Err(CommandError::Nul));
    }

    #[test]
    fn unzip_is_understood_in_its_documented_forms_only() {
        let to = |folder: Option<&str>| {
            Ok(Some(Unzip {
                folder: folder.map(PathBuf::from),
            }))
        };
        assert_eq!(unzip("unzip ${FILE_PATH}"), to(None));
        assert_eq!(
            unzip("unzip -o -q ${FILE_PATH} -d /opt/x"),
            to(Some("/opt/x"))
        );
        assert_eq!(
            unzip("unzip -d '/opt/a b' \"${FILE_PATH}\""),
            to(Some("/opt/a b"))
        );
        assert_eq!(unzip("unzip ${FILE_PATH} -x '*.txt'"), Ok(None));
        assert_eq!(unzip("unzip other.zip"), Ok(None));
        assert_eq!(unzip("tar xf ${FILE_PATH}"), Ok(None));
        assert!(unzip("unzip ${FILE_PATH} -d relative").is_err());
        assert!(unzip("unzip ${FILE_PATH} -d /opt/../etc").is_err());
    }

    #[test]
    fn names_become_safe() {
        assert_eq!(folder_name("Büro 2.0: a/b"), "Büro 2.0_ a_b");
        assert_eq!(folder_name(".."), "_");
        assert_eq!(safe_file_name("../../etc/passwd"), "passwd");
        assert_eq!(safe_file_name(".."), "package");
        assert_eq!(safe_file_name("setup\n.run"), "setup.run");
        let long = "ä".repeat(200) + ".deb";
        let short = safe_file_name(&long);
        assert!(short.len() <= 255 && short.ends_with(".deb"));
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_lead_out_of_the_sandbox() {
        let outside = tempfile::tempdir().expect("a folder");
        let root = tempfile::tempdir().expect("a folder");
        let resolve = |path: &str| on_desktop(Some(root.path()), Path::new(path));
        assert_eq!(resolve("/opt/new"), Ok(root.path().join("opt/new")));
        std::os::unix::fs::symlink(outside.path(), root.path().join("opt")).expect("a link");
        assert!(resolve("/opt/new").is_err());
        std::fs::create_dir(root.path().join("real")).expect("a folder");
        std::os::unix::fs::symlink("real", root.path().join("inside")).expect("a link");
        assert_eq!(resolve("/inside/x"), Ok(root.path().join("inside/x")));
        std::os::unix::fs::symlink("nowhere", root.path().join("dangling")).expect("a link");
        assert!(resolve("/dangling/x").is_err());
        assert!(resolve("/missing/../../x").is_err());
    }
}
