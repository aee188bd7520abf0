//! Files that are made from others and committed, so that they can be read and reviewed without a build.
//!
//! Each is what a command prints. `write_all` writes them, `compare_all` says which are out of date and changes nothing.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::check::cargo;

/// A committed file and the cargo arguments that print its content.
struct Generated {
    /// Where it lies, from the root of the repository.
    path: &'static str,
    /// `cargo` with these arguments prints the content to its standard output.
    cargo_arguments: &'static [&'static str],
}

/// Everything generated. A new entry needs nothing else: `gen` writes it and `check` compares it.
const GENERATED: &[Generated] = &[
    Generated {
        path: "api/openapi.json",
        cargo_arguments: &[
            "run",
            "--locked",
            "--quiet",
            "--package",
            "outfitter-server",
            "--example",
            "generate",
            "--",
            "openapi",
        ],
    },
    Generated {
        path: "docs/compatibility.md",
        cargo_arguments: &[
            "run",
            "--locked",
            "--quiet",
            "--package",
            "outfitter-server",
            "--example",
            "generate",
            "--",
            "compatibility",
        ],
    },
];

/// Writes every generated file below `root`. Errors when a generator fails or a file cannot be written.
#[expect(clippy::print_stdout, reason = "the answer of a command-line tool")]
pub(crate) fn write_all(root: &Path) -> anyhow::Result<()> {
    for file in GENERATED {
        let path = root.join(file.path);
        let content = content_of(root, file)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("make {}", folder.display()))?;
        }
        std::fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        println!("wrote {}", file.path);
    }
    Ok(())
}

/// Compares every generated file with what its generator prints now. Errors naming those that differ.
pub(crate) fn compare_all(root: &Path) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for file in GENERATED {
        let path = root.join(file.path);
        if std::fs::read(&path).ok().as_deref() != Some(content_of(root, file)?.as_slice()) {
            stale.push(file.path);
        }
    }
    if !stale.is_empty() {
        bail!("out of date, run `cargo xtask gen`: {}", stale.join(", "));
    }
    Ok(())
}

fn content_of(root: &Path, file: &Generated) -> anyhow::Result<Vec<u8>> {
    let mut command = cargo(root);
    command.args(file.cargo_arguments);
    let output = command
        .output()
        .with_context(|| format!("start {command:?} for {}", file.path))?;
    if !output.status.success() {
        bail!(
            "{command:?} for {} ended with {}: {}",
            file.path,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}
