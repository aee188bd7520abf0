//! `agent install-command`: what an administrator pastes at a desktop, or bakes into an image.

use std::path::Path;

use outfitter_api_types::native::enrollment_tokens::AgentInstaller;
use outfitter_api_types::secret::SecretText;
use serde_json::{Value, json};

use super::{Session, reach, token};
use crate::args::agent::InstallCommandArgs;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::View;

/// Where cloud-init leaves the token until it was read; gone at the next boot at the latest.
const TOKEN_FILE: &str = "/run/outfitter-enrollment-token";

pub(super) async fn run(
    args: InstallCommandArgs,
    session: &Session,
) -> Result<Outcome, CommandError> {
    let installer: AgentInstaller = session.client.get(paths::AGENT_INSTALLER, &[]).await?;
    if installer.programs.is_empty() {
        return Err(CommandError::failed("the server has no agent to give out")
            .hint("start it with --agent-binaries, or roll a release out to every desktop"));
    }
    if args.new_token.is_none() && args.scope.is_given() {
        return Err(CommandError::usage(
            "what a token allows is said of a new one: give --new-token NAME",
        ));
    }
    let token = match (args.new_token, args.token) {
        (Some(name), _) => Some(token::create(name, args.scope, session).await?.token),
        (None, Some(_)) => reach::secret(Some(Path::new("-")))?,
        (None, None) => None,
    };
    let (what, text) = match (&token, args.cloud_init) {
        (Some(token), true) => ("cloud_config", cloud_config(&installer, token)),
        (None, true) => {
            return Err(CommandError::usage(
                "nobody can be asked for a token at a first boot: give --new-token NAME or --token -",
            ));
        }
        (Some(token), false) => ("command", with_token(&installer, token)),
        (None, false) => ("command", installer.command.clone()),
    };
    let shown = json!({what: text, "script_sha256": installer.sha256});
    session
        .printer
        .show(&shown, || View::Line(text.trim_end().to_owned()));
    session.printer.note(if token.is_some() {
        "this holds the token: whoever has it can enroll a desktop. It is good until another agent is given out"
    } else {
        "it holds no secret. It is good until another agent is given out"
    });
    Ok(Outcome::Done)
}

/// The line with the token in it: by a command that is part of the shell, so that it is in no list of processes.
fn with_token(installer: &AgentInstaller, token: &SecretText) -> String {
    // Tokens have letters, digits, `.`, `_` and `-`.
    format!(
        "printf '%s\\n' '{}' | {}",
        token.expose(),
        installer.command
    )
}

/// The same for cloud-init. Source: cloud-init, modules `write_files` and `runcmd`; what JSON says, YAML says too.
fn cloud_config(installer: &AgentInstaller, token: &SecretText) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let command = format!(
        "{} <{TOKEN_FILE}; s=$?; rm -f {TOKEN_FILE}; exit $s",
        installer.command
    );
    format!(
        "#cloud-config\nwrite_files:\n  - path: {TOKEN_FILE}\n    permissions: \"0600\"\n    content: {}\nruncmd:\n  - [sh, -c, {}]\n",
        text(&format!("{}\n", token.expose())),
        text(&command)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installer() -> AgentInstaller {
        AgentInstaller {
            url: "https://desks.example.org:7443/install.sh".to_owned(),
            sha256: "ab".repeat(32),
            command: "(sh install.sh --token -)".to_owned(),
            programs: Vec::new(),
        }
    }

    #[test]
    fn the_token_comes_over_standard_input() {
        assert_eq!(
            with_token(&installer(), &SecretText::new("oft1.abc")),
            "printf '%s\\n' 'oft1.abc' | (sh install.sh --token -)"
        );
    }

    #[test]
    fn the_cloud_config_keeps_the_token_out_of_the_command() {
        let token = SecretText::new("oft1.abc");
        let config = cloud_config(&installer(), &token);
        assert!(config.starts_with("#cloud-config\n"), "{config}");
        let (files, command) = config.split_once("runcmd:").unwrap();
        assert!(
            files.contains("oft1.abc") && files.contains("0600"),
            "{config}"
        );
        assert!(!command.contains("oft1.abc"), "{config}");
        assert!(
            command.contains("(sh install.sh --token -) </run/outfitter-enrollment-token; s=$?; rm -f /run/outfitter-enrollment-token; exit $s"),
            "{command}"
        );
    }
}
