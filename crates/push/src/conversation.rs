//! Lines and bytes to and from the one shell on the far side.
//!
//! Lines that begin with [`MARK`] are ours; what start-up files print is passed over. Buffers are bounded: a line
//! without end ends the conversation.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use crate::failure::{Failure, Step};
use crate::session::Session;
use crate::target::Sudo;

/// What the far side's lines begin with.
const MARK: &str = "@outfitter ";

/// What sudo prints when it asks.
const PASSWORD_PROMPT: &str = "@outfitter-password:";

/// Longest line, in bytes. A longer one ends the conversation.
const LINE_MAX: usize = 16 * 1024;

/// Most of the far side's standard error that is kept, in bytes: the newest.
const WORDS_KEPT: usize = 2 * 1024;

/// Bytes handed to the channel at once; each must be taken within the limit.
const CHUNK: usize = 256 * 1024;

/// Becomes root, then runs the script. `$1` is the script, `$2` how.
const BECOME_ROOT: &str = r#"
if [ "$(id -u)" = 0 ]; then exec /bin/sh -c "$1" outfitter; fi
case $2 in
never) echo "@outfitter failed not_root the user $(id -un) is not root and may not use sudo"; exit 1 ;;
esac
command -v sudo >/dev/null 2>&1 || { echo "@outfitter failed no_sudo there is no sudo, and $(id -un) is not root"; exit 1; }
case $2 in
silent) exec sudo -n /bin/sh -c "$1" outfitter ;;
*) exec sudo -S -p "@outfitter-password:" /bin/sh -c "$1" outfitter ;;
esac
"#;

/// The script; see there.
pub(crate) const FAR_SIDE: &str = include_str!("far_side.sh");

enum Event {
    Line(String),
    PasswordPrompt,
    End,
}

pub(crate) struct Conversation {
    reader: ChannelReadHalf,
    writer: ChannelWriteHalf<Msg>,
    lines: VecDeque<String>,
    line: Vec<u8>,
    words: Vec<u8>,
    prompts_answered: usize,
    ended: bool,
    /// Kept: the channel runs inside it.
    session: Session,
}

/// `failed CODE WORDS` is a failure, anything else an answer.
fn judged(step: Step, line: String) -> Result<String, Failure> {
    match line.strip_prefix("failed ") {
        None => Ok(line),
        Some(failed) => {
            let (code, words) = failed.split_once(' ').unwrap_or((failed, ""));
            Err(Failure::new(step, code, words))
        }
    }
}

fn keep_newest(words: &mut Vec<u8>, data: &[u8]) {
    words.extend_from_slice(data);
    let surplus = words.len().saturating_sub(WORDS_KEPT);
    words.drain(..surplus);
}

/// A shell word that stands for itself.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Conversation {
    /// Starts the shell.
    pub(crate) async fn start(
        session: Session,
        sudo: &Sudo,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let mode = match sudo {
            Sudo::Never => "never",
            Sudo::Silent => "silent",
            Sudo::Password(_) => "password",
        };
        let command = format!(
            "exec /bin/sh -c {} outfitter {} {mode}",
            quoted(BECOME_ROOT),
            quoted(FAR_SIDE)
        );
        let opening = async {
            let channel = session.handle.channel_open_session().await?;
            channel.exec(true, command).await?;
            Ok::<_, russh::Error>(channel.split())
        };
        let (reader, writer) = timeout(limit, opening)
            .await
            .map_err(|_| Failure::timed_out(Step::Probe, limit))?
            .map_err(|error| Failure::new(Step::Probe, "no_shell", error.to_string()))?;
        Ok(Self {
            reader,
            writer,
            lines: VecDeque::new(),
            line: Vec::new(),
            words: Vec::new(),
            prompts_answered: 0,
            ended: false,
            session,
        })
    }

    /// Host keys that were accepted on the way.
    pub(crate) fn host_keys(&self) -> &[crate::target::SeenHostKey] {
        &self.session.host_keys
    }

    async fn event(&mut self) -> Event {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Event::Line(line);
            }
            if self.ended {
                return Event::End;
            }
            match self.reader.wait().await {
                None | Some(ChannelMsg::Close | ChannelMsg::Eof | ChannelMsg::Failure) => {
                    self.ended = true;
                }
                Some(ChannelMsg::Data { data }) => self.take_output(&data),
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    keep_newest(&mut self.words, &data);
                    if self.words.ends_with(PASSWORD_PROMPT.as_bytes()) {
                        let end = self.words.len() - PASSWORD_PROMPT.len();
                        self.words.truncate(end);
                        return Event::PasswordPrompt;
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn take_output(&mut self, data: &[u8]) {
        for &byte in data {
            if byte == b'\n' {
                let line = String::from_utf8_lossy(&self.line).into_owned();
                if let Some(ours) = line.trim_end_matches('\r').strip_prefix(MARK) {
                    self.lines.push_back(ours.to_owned());
                }
                self.line.clear();
            } else if self.line.len() < LINE_MAX {
                self.line.push(byte);
            } else {
                self.ended = true;
                return;
            }
        }
    }

    /// What the far side wrote to its standard error last.
    fn last_words(&self) -> String {
        String::from_utf8_lossy(&self.words).into_owned()
    }

    fn end(&self, step: Step) -> Failure {
        let words = self.last_words();
        if step == Step::Probe {
            // Nothing of ours ran yet: sudo or the login shell said no.
            let code = if words.contains("sudo") {
                "sudo_refused"
            } else {
                "no_shell"
            };
            let words = if words.trim().is_empty() {
                "the host ended the session without a word".to_owned()
            } else {
                words
            };
            return Failure::new(step, code, words);
        }
        let words = if words.trim().is_empty() {
            "the connection ended".to_owned()
        } else {
            format!("the connection ended: {words}")
        };
        Failure::new(step, "dropped", words)
    }

    /// The next line of ours, within the limit. `failed CODE WORDS` is the failure.
    pub(crate) async fn line(
        &mut self,
        step: Step,
        limit: Duration,
        sudo: &Sudo,
    ) -> Result<String, Failure> {
        let next = async {
            loop {
                match self.event().await {
                    Event::Line(line) => return judged(step, line),
                    Event::End => return Err(self.end(step)),
                    Event::PasswordPrompt => {
                        let Sudo::Password(password) = sudo else {
                            return Err(self.end(step));
                        };
                        self.prompts_answered += 1;
                        if self.prompts_answered > 1 {
                            return Err(Failure::new(
                                Step::Probe,
                                "sudo_refused",
                                format!("sudo does not accept the password: {}", self.last_words()),
                            ));
                        }
                        let line = format!("{}\n", password.expose_secret());
                        self.say(step, line.into_bytes()).await?;
                    }
                }
            }
        };
        let outcome = timeout(limit, next).await;
        outcome.unwrap_or_else(|_| Err(Failure::timed_out(step, limit)))
    }

    async fn say(&self, step: Step, bytes: Vec<u8>) -> Result<(), Failure> {
        self.writer.data_bytes(bytes).await.map_err(|error| {
            Failure::new(step, "dropped", format!("the connection ended: {error}"))
        })
    }

    /// Says a line; bytes follow it.
    pub(crate) async fn tell(&self, step: Step, line: &str) -> Result<(), Failure> {
        self.say(step, format!("{line}\n").into_bytes()).await
    }

    /// Awaits the answer.
    pub(crate) async fn answer(&mut self, step: Step, limit: Duration) -> Result<String, Failure> {
        self.line(step, limit, &Sudo::Never).await
    }

    /// Says a line and awaits the answer.
    pub(crate) async fn ask(
        &mut self,
        step: Step,
        limit: Duration,
        line: &str,
    ) -> Result<String, Failure> {
        self.tell(step, line).await?;
        self.answer(step, limit).await
    }

    /// Like [`Conversation::ask`], with a secret at the line's end.
    pub(crate) async fn ask_with_secret(
        &mut self,
        step: Step,
        limit: Duration,
        line: &str,
        secret: &SecretString,
    ) -> Result<String, Failure> {
        let line = format!("{line} {}\n", secret.expose_secret());
        self.say(step, line.into_bytes()).await?;
        self.line(step, limit, &Sudo::Never).await
    }

    /// Sends bytes; each chunk must be taken within the limit. A far side that speaks or ends meanwhile stops it.
    pub(crate) async fn send(
        &mut self,
        step: Step,
        stall: Duration,
        mut bytes: Bytes,
        mut on_sent: impl FnMut(usize),
    ) -> Result<(), Failure> {
        let mut sent = 0;
        while !bytes.is_empty() {
            let chunk = bytes.split_to(CHUNK.min(bytes.len()));
            let length = chunk.len();
            let (taken, heard) = {
                let Self {
                    reader,
                    writer,
                    words,
                    ..
                } = self;
                let sending = timeout(stall, writer.data_bytes(chunk));
                tokio::pin!(sending);
                loop {
                    tokio::select! {
                        taken = &mut sending => break (Some(taken), None),
                        message = reader.wait() => match message {
                            None | Some(ChannelMsg::Close | ChannelMsg::Eof) => break (None, None),
                            // It speaks before it has everything: it failed.
                            Some(ChannelMsg::Data { data }) => break (None, Some(data)),
                            Some(ChannelMsg::ExtendedData { data, .. }) => keep_newest(words, &data),
                            Some(_) => {}
                        },
                    }
                }
            };
            if let Some(data) = heard {
                self.take_output(&data);
            }
            match taken {
                Some(Ok(Ok(()))) => {
                    sent += length;
                    on_sent(sent);
                }
                Some(Err(_)) => return Err(Failure::timed_out(step, stall)),
                Some(Ok(Err(_))) | None => {
                    // Its own words, if it has any, say more than the broken channel.
                    return match self.line(step, stall, &Sudo::Never).await {
                        Ok(line) => Err(Failure::new(step, "not_understood", line)),
                        Err(failure) => Err(failure),
                    };
                }
            }
        }
        Ok(())
    }

    /// Ends the conversation in order; an error is of no interest any more.
    pub(crate) async fn close(self) {
        let farewell = async {
            let _ = self.writer.data_bytes(&b"quit\n"[..]).await;
            let _ = self
                .session
                .handle
                .disconnect(russh::Disconnect::ByApplication, "", "en")
                .await;
        };
        let _ = timeout(Duration::from_secs(2), farewell).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_stands_for_itself_in_a_command() {
        assert_eq!(quoted("a'b"), r"'a'\''b'");
    }
}
