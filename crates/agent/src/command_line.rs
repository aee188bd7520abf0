//! From the text of a command to the command line of a process, on Windows.
//!
//! There a process gets one line, which it splits itself: the text is passed on as it is written. `%NAME%` is replaced from
//! the installer's environment, then `${FILE_PATH}` by the path, in quotes unless it stands in some. Nothing in the path is
//! looked at again: it cannot become a variable or a second argument. Files that are no programs are run by their host.

use std::collections::BTreeMap;

use crate::command::{CommandError, FILE_PATH_MARK};

/// The line for a command: variables and the package's path put in, and its host before it where it needs one.
///
/// # Errors
/// See [`CommandError`].
pub fn command_line(
    command: &str,
    file_path: &str,
    environment: &BTreeMap<String, String>,
) -> Result<String, CommandError> {
    let line = with_path(expanded(checked(command)?, environment).trim(), file_path);
    let (program, rest) = first_argument(&line);
    if program.is_empty() {
        return Err(CommandError::Empty);
    }
    Ok(hosted(program, rest.trim_start()).unwrap_or(line))
}

/// The arguments of a command, as a program would split them; `%NAME%` is replaced before.
///
/// # Errors
/// See [`CommandError`].
pub fn arguments(
    command: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<String>, CommandError> {
    let line = expanded(checked(command)?, environment);
    if !quotes(&line).is_multiple_of(2) {
        return Err(CommandError::OpenQuote);
    }
    let arguments = split(&line);
    if arguments.first().is_none_or(String::is_empty) {
        return Err(CommandError::Empty);
    }
    Ok(arguments)
}

fn checked(command: &str) -> Result<&str, CommandError> {
    if command.contains('\0') {
        return Err(CommandError::Nul);
    }
    Ok(command)
}

/// Number of quotes in a text that are no letters: those without an odd number of backslashes before them.
fn quotes(text: &str) -> usize {
    let mut count = 0;
    let mut is_letter = false;
    for character in text.chars() {
        count += usize::from(character == '"' && !is_letter);
        is_letter = character == '\\' && !is_letter;
    }
    count
}

/// Replaces `%NAME%` by the variable of that name, in any case; what is no variable stays as it is written. Source: what
/// `ExpandEnvironmentStrings` does.
pub fn expanded(text: &str, environment: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find('%') {
        let after = &rest[begin + 1..];
        let value = after.find('%').and_then(|end| {
            let name = after[..end].to_lowercase();
            let (_, value) = environment
                .iter()
                .find(|(known, _)| known.to_lowercase() == name)?;
            Some((value, &after[end + 1..]))
        });
        out.push_str(&rest[..begin]);
        if let Some((value, behind)) = value {
            out.push_str(value);
            rest = behind;
        } else {
            out.push('%');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// Puts the path in, in quotes where it does not stand in some.
fn with_path(text: &str, file_path: &str) -> String {
    let mut out = String::with_capacity(text.len() + file_path.len());
    let mut pieces = text.split(FILE_PATH_MARK);
    let mut in_quotes = false;
    let mut add = |out: &mut String, piece: &str| {
        in_quotes ^= !quotes(piece).is_multiple_of(2);
        out.push_str(piece);
        in_quotes
    };
    let mut quoted = add(&mut out, pieces.next().unwrap_or_default());
    for piece in pieces {
        if quoted {
            out.push_str(file_path);
        } else {
            out.push('"');
            out.push_str(file_path);
            out.push('"');
        }
        quoted = add(&mut out, piece);
    }
    out
}

/// The program of a line, without its quotes, and what follows it. Source: how `CreateProcess` finds the program.
fn first_argument(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    let (program, rest) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => line.split_at(line.find([' ', '\t']).unwrap_or(line.len())),
    };
    (program, rest)
}

/// The line with its host, for a file that `CreateProcess` does not start. Sources: Microsoft's documentation of msiexec,
/// `cmd /?`, about_PowerShell_exe, and of DISM for app packages.
fn hosted(program: &str, rest: &str) -> Option<String> {
    let name = program.rsplit(['\\', '/']).next()?;
    let (_, extension) = name.rsplit_once('.')?;
    let line = match extension.to_ascii_lowercase().as_str() {
        "msi" => format!("msiexec.exe /i \"{program}\" {rest}"),
        "msix" | "msixbundle" | "appx" | "appxbundle" => format!(
            "dism.exe /Online /Add-ProvisionedAppxPackage /SkipLicense /PackagePath:\"{program}\" {rest}"
        ),
        "ps1" => format!(
            "powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File \"{program}\" {rest}"
        ),
        // The outer quotes are taken off by /s, and nothing else is.
        "cmd" | "bat" => match rest {
            "" => format!("cmd.exe /d /s /c \"\"{program}\"\""),
            rest => format!("cmd.exe /d /s /c \"\"{program}\" {rest}\""),
        },
        _ => return None,
    };
    Some(line.trim_end().to_owned())
}

/// Splits a line as programs do. Source: Microsoft, "Parsing C command-line arguments".
fn split(line: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut in_quotes = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' if !in_quotes => arguments.extend(current.take()),
            '"' => {
                let argument = current.get_or_insert_default();
                if in_quotes && characters.next_if_eq(&'"').is_some() {
                    argument.push('"');
                } else {
                    in_quotes = !in_quotes;
                }
            }
            '\\' => {
                let mut count = 1;
                while characters.next_if_eq(&'\\').is_some() {
                    count += 1;
                }
                let argument = current.get_or_insert_default();
                // Backslashes mean something before a quote alone: two are one, and one that is left makes it a letter.
                if characters.peek() == Some(&'"') {
                    argument.extend(std::iter::repeat_n('\\', count / 2));
                    if count % 2 == 1 {
                        argument.extend(characters.next());
                    }
                } else {
                    argument.extend(std::iter::repeat_n('\\', count));
                }
            }
            other => current.get_or_insert_default().push(other),
        }
    }
    arguments.extend(current);
    arguments
}

/// An argument as it has to stand in a line so that programs take it for that one argument.
pub fn quoted(argument: &str) -> String {
    if !argument.is_empty() && !argument.contains([' ', '\t', '\n', '"']) {
        return argument.to_owned();
    }
    let mut out = String::from('"');
    let mut backslashes = 0;
    for character in argument.chars() {
        match character {
            '\\' => backslashes += 1,
            '"' => {
                // Those before a quote are doubled, and the quote gets one of its own.
                out.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        out.push(character);
    }
    out.extend(std::iter::repeat_n('\\', backslashes));
    out.push('"');
    out
}

/// A name that a file can have, and that no shell takes apart. Source: Microsoft, "Naming Files, Paths, and Namespaces".
pub fn file_name(name: &str) -> String {
    let clean: String = name
        .chars()
        .map(|character| match character {
            // `%` is a variable to cmd.exe, in quotes too.
            '<' | '>' | ':' | '"' | '/' | '\\' | '|' | '?' | '*' | '%' => '_',
            control if control.is_control() => '_',
            other => other,
        })
        .collect();
    let clean = clean.trim_end_matches(['.', ' ']);
    let stem = clean.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_ascii_uppercase();
    let is_device = matches!(
        stem.as_str(),
        "" | "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || ["COM", "LPT"].iter().any(|port| {
        stem.strip_prefix(port)
            .is_some_and(|number| number.chars().count() == 1)
    });
    if is_device {
        format!("_{clean}")
    } else {
        clean.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r"C:\ProgramData\Outfitter\a b\100% $(x)&y.exe";

    fn environment() -> BTreeMap<String, String> {
        [
            ("ProgramFiles", r"C:\Program Files"),
            ("y", "not in the path"),
            ("FILE_PATH", FILE),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn the_line_is_passed_on_as_written_with_path_and_variables_in_it() {
        for (command, line) in [
            ("${FILE_PATH} /S", format!("\"{FILE}\" /S")),
            ("\"${FILE_PATH}\" /S", format!("\"{FILE}\" /S")),
            (
                "  msiexec /i ${FILE_PATH} /qn  ",
                format!("msiexec /i \"{FILE}\" /qn"),
            ),
            (
                "setup.exe /LOG=\"a b\" /D=\"${FILE_PATH}\\x\" ${FILE_PATH}",
                format!("setup.exe /LOG=\"a b\" /D=\"{FILE}\\x\" \"{FILE}\""),
            ),
            (
                "\"%programfiles%\\App\\un.exe\" /x a^&b '1 2'",
                r#""C:\Program Files\App\un.exe" /x a^&b '1 2'"#.to_owned(),
            ),
            (
                "x.exe 50% %unknown% %%",
                "x.exe 50% %unknown% %%".to_owned(),
            ),
            (
                r#"x.exe "say \"hi\"" ${FILE_PATH}"#,
                format!(r#"x.exe "say \"hi\"" "{FILE}""#),
            ),
        ] {
            assert_eq!(
                command_line(command, FILE, &environment()).as_deref(),
                Ok(line.as_str()),
                "{command}"
            );
        }
    }

    #[test]
    fn files_that_are_no_programs_are_run_by_their_host() {
        let none = BTreeMap::new();
        for (command, file, line) in [
            (
                "${FILE_PATH} /qn",
                r"C:\a b\x.MSI",
                r#"msiexec.exe /i "C:\a b\x.MSI" /qn"#,
            ),
            (
                "${FILE_PATH}",
                r"C:\x.msix",
                r#"dism.exe /Online /Add-ProvisionedAppxPackage /SkipLicense /PackagePath:"C:\x.msix""#,
            ),
            (
                "\"${FILE_PATH}\" -Quiet",
                r"C:\x.ps1",
                r#"powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "C:\x.ps1" -Quiet"#,
            ),
            (
                "${FILE_PATH} \"a b\"",
                r"C:\a b\x.cmd",
                r#"cmd.exe /d /s /c ""C:\a b\x.cmd" "a b"""#,
            ),
            (
                "${FILE_PATH}",
                r"C:\x.bat",
                r#"cmd.exe /d /s /c ""C:\x.bat"""#,
            ),
            ("${FILE_PATH} x.msi", r"C:\x.exe", r#""C:\x.exe" x.msi"#),
        ] {
            assert_eq!(
                command_line(command, file, &none).as_deref(),
                Ok(line),
                "{command}"
            );
        }
    }

    #[test]
    fn what_is_no_line_is_refused() {
        let none = BTreeMap::new();
        let line = |command| command_line(command, FILE, &none);
        assert_eq!(line("  "), Err(CommandError::Empty));
        assert_eq!(line("\"\" x"), Err(CommandError::Empty));
        assert_eq!(line("x \0"), Err(CommandError::Nul));
        assert_eq!(
            arguments("unzip -d \"C:\\a b\\\"", &none),
            Err(CommandError::OpenQuote)
        );
    }

    #[test]
    fn a_line_is_split_as_programs_split_it() {
        // The first five are the examples of Microsoft's page.
        for (line, arguments) in [
            (r#""abc" d e"#, vec!["abc", "d", "e"]),
            (r#"a\\b d"e f"g h"#, vec![r"a\\b", "de fg", "h"]),
            (r#"a\\\"b c d"#, vec![r#"a\"b"#, "c", "d"]),
            (r#"a\\\\"b c" d e"#, vec![r"a\\b c", "d", "e"]),
            (r#"a"b"" c d"#, vec![r#"ab" c d"#]),
            (r"x -d C:\a\ ", vec!["x", "-d", r"C:\a\"]),
            (r#""a""b c" d"#, vec![r#"a"b c"#, "d"]),
            (r#""" x"#, vec!["", "x"]),
        ] {
            assert_eq!(split(line), arguments, "{line}");
        }
    }

    #[test]
    fn a_quoted_argument_comes_back_as_it_was() {
        for argument in [
            "",
            "a",
            "a b",
            r"C:\x y\",
            r#"say "a\b\\" now"#,
            "\\\"",
            "a\nb",
        ] {
            let line = format!("x {} y", quoted(argument));
            assert_eq!(split(&line), ["x", argument, "y"], "{line}");
        }
    }

    #[test]
    fn file_names_are_such_that_windows_takes_and_no_shell_reads_them() {
        for (name, clean) in [
            ("setup 1.0.exe", "setup 1.0.exe"),
            ("a%PATH%<b>.msi. ", "a_PATH__b_.msi"),
            ("nul.exe", "_nul.exe"),
            ("COM1", "_COM1"),
            ("common.exe", "common.exe"),
            ("...", "_"),
        ] {
            assert_eq!(file_name(name), clean);
        }
    }
}
