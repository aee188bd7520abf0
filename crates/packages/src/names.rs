//! Which names an archive may use.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::extract::Refusal;

/// Folder inside the target that holds files until all of them are known to be good.
pub(crate) const STAGING_FOLDER: &str = ".outfitter-staging";

/// Longest path inside an archive and longest part of one, in bytes. Source: well below PATH_MAX, and NAME_MAX.
const PATH_MAX_BYTES: usize = 1024;
const PART_MAX_BYTES: usize = 255;

/// The system whose file names count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameRules {
    /// Names differ by case; every character but `/` and control characters may occur.
    Unix,
    /// Names that differ by case only are the same; device names and some characters are forbidden.
    Windows,
}

/// All paths of one archive, checked against each other.
#[derive(Debug)]
pub(crate) struct Names {
    rules: NameRules,
    files: HashSet<String>,
    folders: BTreeSet<String>,
    by_folded: HashMap<String, String>,
    case_collisions: Vec<(String, String)>,
}

impl NameRules {
    /// The rules of the system this runs on.
    pub(crate) const fn native() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else {
            Self::Unix
        }
    }

    /// The form under which two spellings of one file are equal.
    pub(crate) fn key(self, path: &str) -> String {
        match self {
            Self::Unix => path.to_owned(),
            Self::Windows => path.to_lowercase(),
        }
    }

    /// Checks a path from an archive, parts separated by `/`, and drops empty and `.` parts. Empty: the target itself.
    pub(crate) fn clean(self, raw: &str) -> Result<String, Refusal> {
        let name = || raw.escape_debug().to_string();
        let has_drive =
            matches!(raw.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
        if raw.starts_with('/') || has_drive {
            return Err(Refusal::AbsolutePath { name: name() });
        }
        let mut parts = Vec::new();
        for part in raw.split('/') {
            match part {
                "" | "." => continue,
                ".." => return Err(Refusal::ParentPath { name: name() }),
                part if !self.allows(part) => return Err(Refusal::ForbiddenName { name: name() }),
                part => parts.push(part),
            }
        }
        let path = parts.join("/");
        if path.len() > PATH_MAX_BYTES {
            return Err(Refusal::ForbiddenName { name: name() });
        }
        let first = parts.first().copied().unwrap_or_default();
        if first.eq_ignore_ascii_case(STAGING_FOLDER) {
            return Err(Refusal::ForbiddenName { name: name() });
        }
        Ok(path)
    }

    fn allows(self, part: &str) -> bool {
        let portable = part.len() <= PART_MAX_BYTES && !part.contains(char::is_control);
        match self {
            Self::Unix => portable,
            Self::Windows => {
                portable
                    && !part.contains(['<', '>', ':', '"', '|', '?', '*', '\\'])
                    && !part.ends_with(['.', ' '])
                    && !is_device(part)
            }
        }
    }
}

/// Names that Windows keeps for devices, with any extension. Source: Microsoft, "Naming Files, Paths, and Namespaces".
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end();
    let stem = stem.to_ascii_uppercase();
    matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || ["COM", "LPT"]
        .into_iter()
        .filter_map(|port| stem.strip_prefix(port))
        .any(|number| {
            let mut digits = number.chars();
            matches!(digits.next(), Some('0'..='9' | '¹' | '²' | '³')) && digits.next().is_none()
        })
}

impl Names {
    pub(crate) fn new(rules: NameRules) -> Self {
        Self {
            rules,
            files: HashSet::new(),
            folders: BTreeSet::new(),
            by_folded: HashMap::new(),
            case_collisions: Vec::new(),
        }
    }

    /// Number of files and folders, implied folders included.
    pub(crate) fn len(&self) -> usize {
        self.files.len() + self.folders.len()
    }

    /// Adds a cleaned file path and the folders above it.
    pub(crate) fn add_file(&mut self, path: &str) -> Result<(), Refusal> {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.add_folder(parent)?;
        }
        if self.folders.contains(path) {
            return Err(Refusal::FileAndFolder {
                name: path.escape_debug().to_string(),
            });
        }
        if !self.files.insert(path.to_owned()) {
            return Err(Refusal::DuplicateName {
                name: path.escape_debug().to_string(),
            });
        }
        self.note_case(path)
    }

    /// Adds a cleaned folder path and the folders above it.
    pub(crate) fn add_folder(&mut self, path: &str) -> Result<(), Refusal> {
        let ends = path
            .match_indices('/')
            .map(|(end, _)| end)
            .chain([path.len()]);
        for folder in ends.map(|end| &path[..end]) {
            if self.folders.contains(folder) {
                continue;
            }
            if self.files.contains(folder) {
                return Err(Refusal::FileAndFolder {
                    name: folder.escape_debug().to_string(),
                });
            }
            self.folders.insert(folder.to_owned());
            self.note_case(folder)?;
        }
        Ok(())
    }

    /// Consumes the set: all folders, parents before children, and pairs of names that differ by case only.
    pub(crate) fn into_parts(self) -> (Vec<String>, Vec<(String, String)>) {
        (self.folders.into_iter().collect(), self.case_collisions)
    }

    fn note_case(&mut self, path: &str) -> Result<(), Refusal> {
        let Some(other) = self.by_folded.insert(path.to_lowercase(), path.to_owned()) else {
            return Ok(());
        };
        let both_folders = self.folders.contains(path) && self.folders.contains(&other);
        if self.rules == NameRules::Windows && !both_folders {
            return Err(Refusal::DuplicateName {
                name: path.escape_debug().to_string(),
            });
        }
        self.case_collisions.push((other, path.to_owned()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_cleaned() {
        for rules in [NameRules::Unix, NameRules::Windows] {
            for (raw, clean) in [
                ("a", "a"),
                ("./a//b/./c", "a/b/c"),
                ("a/", "a"),
                ("", ""),
                ("./", ""),
                ("..a/b..c", "..a/b..c"),
                ("Grüße/区域 1.txt", "Grüße/区域 1.txt"),
            ] {
                assert_eq!(rules.clean(raw).as_deref(), Ok(clean));
            }
        }
        assert_eq!(
            NameRules::Unix.clean("dev-sda\\x2d1.mount").as_deref(),
            Ok("dev-sda\\x2d1.mount")
        );
        assert_eq!(
            NameRules::Windows.clean("console/com10.txt").as_deref(),
            Ok("console/com10.txt")
        );
    }

    #[test]
    fn names_that_leave_the_target_are_refused() {
        for rules in [NameRules::Unix, NameRules::Windows] {
            for raw in ["/etc/passwd", "//host/share", "C:/x", "c:x"] {
                assert!(
                    matches!(rules.clean(raw), Err(Refusal::AbsolutePath { .. })),
                    "{raw}"
                );
            }
            for raw in ["..", "../a", "a/../../b", "a/.."] {
                assert!(
                    matches!(rules.clean(raw), Err(Refusal::ParentPath { .. })),
                    "{raw}"
                );
            }
            let long_part = "a".repeat(256);
            let long_path = "a/".repeat(513);
            for raw in [
                "a\0b",
                "a\nb",
                ".outfitter-staging/0",
                ".OUTFITTER-staging",
                &long_part,
                &long_path,
            ] {
                assert!(
                    matches!(rules.clean(raw), Err(Refusal::ForbiddenName { .. })),
                    "{raw}"
                );
            }
        }
    }

    #[test]
    fn windows_refuses_its_own_special_names() {
        for raw in [
            "ab:c",
            "dir/a?",
            "a*",
            "a\\..\\b",
            "a.",
            "a ",
            "NUL",
            "x/con.txt",
            "Com1",
            "lpt9.a.b",
            "COM¹",
            "aux .c",
        ] {
            assert!(
                matches!(
                    NameRules::Windows.clean(raw),
                    Err(Refusal::ForbiddenName { .. })
                ),
                "{raw}"
            );
        }
    }

    #[test]
    fn paths_are_checked_against_each_other() {
        let mut names = Names::new(NameRules::Unix);
        names.add_file("a/b").unwrap();
        assert!(matches!(
            names.add_file("a/b"),
            Err(Refusal::DuplicateName { .. })
        ));
        assert!(matches!(
            names.add_file("a/b/c"),
            Err(Refusal::FileAndFolder { .. })
        ));
        assert!(matches!(
            names.add_folder("a/b"),
            Err(Refusal::FileAndFolder { .. })
        ));
        assert!(matches!(
            names.add_file("a"),
            Err(Refusal::FileAndFolder { .. })
        ));
        names.add_folder("a").unwrap();
        names.add_folder("d/e").unwrap();
        assert_eq!(names.len(), 4);
        assert_eq!(names.into_parts().0, ["a", "d", "d/e"]);
    }

    #[test]
    fn names_that_differ_by_case_are_noted_or_refused() {
        let mut unix = Names::new(NameRules::Unix);
        unix.add_file("Readme").unwrap();
        unix.add_file("README").unwrap();
        assert_eq!(unix.into_parts().1, [("Readme".into(), "README".into())]);

        let mut windows = Names::new(NameRules::Windows);
        windows.add_file("Readme").unwrap();
        assert!(matches!(
            windows.add_file("README"),
            Err(Refusal::DuplicateName { .. })
        ));
        let mut windows = Names::new(NameRules::Windows);
        windows.add_file("Lib/a").unwrap();
        windows.add_file("lib/b").unwrap();
        assert!(matches!(
            windows.add_file("LIB"),
            Err(Refusal::DuplicateName { .. })
        ));
        assert!(matches!(
            windows.add_file("lib/A"),
            Err(Refusal::DuplicateName { .. })
        ));
    }
}
