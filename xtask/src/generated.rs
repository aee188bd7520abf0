//! Files that are made from others and committed, so that they can be read and reviewed without a build.
//!
//! Each is what a command prints. `write_all` writes them, `compare_all` says which are out of date and changes nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::check::cargo;

/// A committed file and what prints its content.
struct Generated {
    /// Where it lies, from the root of the repository.
    path: &'static str,
    /// The example `generate` of outfitter-server prints the content when asked for this.
    subject: &'static str,
}

/// Everything generated. A new entry needs nothing else: `gen` writes it and `check` compares it.
const GENERATED: &[Generated] = &[
    Generated {
        path: "api/openapi.json",
        subject: "openapi",
    },
    Generated {
        path: "docs/compatibility.md",
        subject: "compatibility",
    },
    Generated {
        path: "docs/security/operations.md",
        subject: "operations",
    },
    Generated {
        path: "console/src/i18n/sentences.json",
        subject: "sentences",
    },
];

/// Writes every generated file below `root`. Errors when a generator fails or a file cannot be written.
#[expect(clippy::print_stdout, reason = "the answer of a command-line tool")]
pub(crate) fn write_all(root: &Path) -> anyhow::Result<()> {
    let generator = generator(root)?;
    for file in GENERATED {
        let path = root.join(file.path);
        let content = content_of(root, &generator, file)?;
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
    let generator = generator(root)?;
    let mut stale = Vec::new();
    for file in GENERATED {
        let path = root.join(file.path);
        if std::fs::read(&path).ok().as_deref()
            != Some(content_of(root, &generator, file)?.as_slice())
        {
            stale.push(file.path);
        }
    }
    if !stale.is_empty() {
        bail!("out of date, run `cargo xtask gen`: {}", stale.join(", "));
    }
    Ok(())
}

/// Builds the generator and says where it lies. The whole workspace is named, so that its features, and with them
/// what is compiled already, are those of every other build here; `--package` alone would compile the server anew.
fn generator(root: &Path) -> anyhow::Result<PathBuf> {
    let built = cargo(root)
        .args(["build", "--locked", "--quiet", "--workspace"])
        .args(["--example", "generate"])
        .status()
        .context("start cargo to build the generator")?;
    if !built.success() {
        bail!("building the generator ended with {built}");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(root.join(target).join("debug/examples/generate"))
}

fn content_of(root: &Path, generator: &Path, file: &Generated) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(generator)
        .arg(file.subject)
        .current_dir(root)
        .output()
        .with_context(|| format!("start {} for {}", generator.display(), file.path))?;
    if !output.status.success() {
        bail!(
            "{} {} ended with {}: {}",
            generator.display(),
            file.subject,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}
