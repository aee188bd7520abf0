//! Rules of the house that no lint knows: what must not stand in a committed file.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// A text that must not occur, in which files, and why.
struct Forbidden {
    /// The forbidden text. Written in two halves, so that this file does not break its own rule.
    halves: (&'static str, &'static str),
    applies_to: Files,
    reason: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    All,
    Rust,
    Python,
}

const FORBIDDEN: &[Forbidden] = &[
    Forbidden {
        halves: ("/wo", "rk/"),
        applies_to: Files::All,
        reason: "a path of one machine",
    },
    Forbidden {
        halves: ("/ro", "ot/"),
        applies_to: Files::All,
        reason: "a path of one machine",
    },
    Forbidden {
        halves: ("/Us", "ers/"),
        applies_to: Files::All,
        reason: "a path of one machine",
    },
    Forbidden {
        halves: ("static.crates", ".io"),
        applies_to: Files::All,
        reason: "a registry host: cargo is configured by whoever builds",
    },
    Forbidden {
        halves: ("index.crates", ".io"),
        applies_to: Files::All,
        reason: "a registry host: cargo is configured by whoever builds",
    },
    Forbidden {
        halves: ("registry.npmjs", ".org"),
        applies_to: Files::All,
        reason: "a registry host: set omit-lockfile-registry-resolved in .npmrc",
    },
    Forbidden {
        halves: ("files.python", "hosted.org"),
        applies_to: Files::All,
        reason: "a registry host: pip is configured by whoever builds",
    },
    Forbidden {
        halves: ("pypi", ".org/simple"),
        applies_to: Files::All,
        reason: "a registry host",
    },
    Forbidden {
        halves: ("#[ig", "nore"),
        applies_to: Files::Rust,
        reason: "a test that does not run: make it run, or delete it",
    },
    Forbidden {
        halves: ("expose() =", "="),
        applies_to: Files::Rust,
        reason: "a secret is compared in constant time: by its type's own equality, or `subtle`",
    },
    Forbidden {
        halves: ("expose_secret() =", "="),
        applies_to: Files::Rust,
        reason: "a secret is compared in constant time: by its type's own equality, or `subtle`",
    },
    Forbidden {
        halves: ("to", "do!("),
        applies_to: Files::Rust,
        reason: "unfinished code",
    },
    Forbidden {
        halves: ("unimple", "mented!("),
        applies_to: Files::Rust,
        reason: "unfinished code",
    },
    Forbidden {
        halves: ("pytest.", "skip"),
        applies_to: Files::Python,
        reason: "no test skips silently: need the piece with scripts/need, or fail",
    },
    Forbidden {
        halves: ("mark.", "skip"),
        applies_to: Files::Python,
        reason: "no test skips silently: need the piece with scripts/need, or fail",
    },
    Forbidden {
        halves: ("mark.", "xfail"),
        applies_to: Files::Python,
        reason: "a test that may fail shows nothing",
    },
];

/// Libraries whose behaviour must be repeatable under a given clock, random source and ids: their lib.rs switches
/// on the list in clippy.toml.
const REPEATABLE: &[&str] = &[
    "agent-protocol",
    "api-types",
    "artifacts",
    "domain",
    "ids",
    "packages",
    "server",
    "signing",
    "store",
];

/// The line that a repeatable library's lib.rs must have.
const REPEATABLE_LINE: &str = "#![cfg_attr(not(test), warn(clippy::disallowed_methods))]";

/// Longest file that is searched, in bytes. Above it lie only data and lock files of other people's making.
const LONGEST_BYTES: u64 = 4 * 1024 * 1024;

/// Checks every file that git knows below `root`. Errors with all the places that break a rule.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let mut broken = Vec::new();
    for name in committed_files(root)? {
        let path = root.join(&name);
        // Listed, but deleted in the working tree, or a link or a large file: nothing to read.
        let Ok(metadata) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        if !metadata.is_file() || metadata.len() > LONGEST_BYTES {
            continue;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            broken.extend(forbidden_in(&name, text));
        }
    }
    for library in REPEATABLE {
        let name = format!("crates/{library}/src/lib.rs");
        let text =
            std::fs::read_to_string(root.join(&name)).with_context(|| format!("read {name}"))?;
        if !text.lines().any(|line| line == REPEATABLE_LINE) {
            broken.push(format!("{name}: lacks the line {REPEATABLE_LINE}"));
        }
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    Ok(())
}

/// Every place in `text`, the content of the file `name`, that breaks a rule.
fn forbidden_in(name: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for rule in FORBIDDEN {
        let applies = match rule.applies_to {
            Files::All => true,
            Files::Rust => name.ends_with(".rs"),
            Files::Python => name.ends_with(".py"),
        };
        if !applies {
            continue;
        }
        let needle = format!("{}{}", rule.halves.0, rule.halves.1);
        for (index, line) in text.lines().enumerate() {
            if line.contains(&needle) {
                broken.push(format!("{name}:{}: `{needle}`: {}", index + 1, rule.reason));
            }
        }
    }
    broken
}

/// Files that git tracks or would add, from the root.
fn committed_files(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .context("start git ls-files")?;
    if !output.status.success() {
        bail!(
            "git ls-files ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let listing = String::from_utf8(output.stdout)
        .context("git ls-files printed a name that is not UTF-8")?;
    Ok(listing
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_forbidden_text_is_found_with_its_line() {
        for rule in FORBIDDEN {
            let name = match rule.applies_to {
                Files::All => "README.md",
                Files::Rust => "a.rs",
                Files::Python => "a.py",
            };
            let text = format!("fine\n  {}{} x", rule.halves.0, rule.halves.1);
            let broken = forbidden_in(name, &text);
            assert_eq!(broken.len(), 1, "{broken:?}");
            assert!(broken[0].starts_with(&format!("{name}:2: ")), "{broken:?}");
        }
    }

    #[test]
    fn rules_for_one_language_leave_others_alone() {
        assert!(forbidden_in("guide.md", concat!("never write to", "do!() here")).is_empty());
    }
}
