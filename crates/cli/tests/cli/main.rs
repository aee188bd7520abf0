//! Whole commands: standard output, standard error and exit code as snapshots. No server takes part; where one has
//! to answer, a canned one does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod canned;
mod help;
mod outcomes;
mod secure;
mod server;
mod server_options;
mod start_up;

use std::path::Path;
use std::process::Command;

/// A run of the command in a clean environment.
struct Run {
    command: Command,
    /// Texts that differ from run to run, and what stands for them.
    filters: Vec<(String, &'static str)>,
    _home: tempfile::TempDir,
}

impl Run {
    fn new(arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_outfitter"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path().join("config"))
            .stdin(std::process::Stdio::null());
        let filters = vec![
            (home.path().to_str().unwrap().to_owned(), "[HOME]"),
            (env!("CARGO_PKG_VERSION").to_owned(), "[VERSION]"),
        ];
        Self {
            command,
            filters,
            _home: home,
        }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Connects to a server through the environment.
    fn against(self, endpoint: &str) -> Self {
        let mut run = self
            .env("OUTFITTER_ENDPOINT", endpoint)
            .env("OUTFITTER_ACCESS_KEY", "AK")
            .env("OUTFITTER_SECRET_KEY", "SK")
            .env("OUTFITTER_PROJECT_ID", "P1");
        run.filters.push((endpoint.to_owned(), "[ENDPOINT]"));
        run
    }

    fn filter(mut self, text: &Path, stands_for: &'static str) -> Self {
        self.filters
            .push((text.to_str().unwrap().to_owned(), stands_for));
        self
    }

    /// Exit code, standard output and standard error in one text.
    fn end(mut self) -> String {
        let output = self.command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut all = format!(
            "exit code: {}\n----- stdout\n{}----- stderr\n{}",
            output
                .status
                .code()
                .map_or("none".to_owned(), |code| code.to_string()),
            text(&output.stdout),
            text(&output.stderr)
        );
        for (text, stands_for) in &self.filters {
            all = all.replace(text, stands_for);
        }
        assert!(
            !all.contains('\u{1b}'),
            "colours belong on a terminal only: {all:?}"
        );
        all
    }
}
