//! What somebody at a desktop asks for, and what they are answered: between the agent's local socket and whoever opens
//! it (one JSON line each way), and between agent and server (`POST /desk` on the agent listener, under the device
//! certificate), which adds whom the socket's peer credentials name. Members and kinds are only ever added to.

use outfitter_ids::{AppId, JobId};
use serde::{Deserialize, Serialize};

use crate::{Phase, TaskKind};

/// Path of what people at a desktop ask for, on the agent listener.
pub const DESK_PATH: &str = "/desk";

/// Largest question on the local socket, in bytes with its line end. A longer one is refused and the connection closed.
pub const MAX_DESK_ASK_BYTES: usize = 4 * 1024;

/// Largest answer, in bytes. A page of [`DESK_PAGE`] apps with the longest texts of [`MAX_DESK_TEXT_CHARS`] fits.
pub const MAX_DESK_ANSWER_BYTES: usize = 256 * 1024;

/// Apps in one answer.
pub const DESK_PAGE: u32 = 20;

/// Longest text of an app in an answer, in characters; what is longer is cut.
pub const MAX_DESK_TEXT_CHARS: usize = 500;

/// Asks for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskRequest {
    /// The account that asks, as the desktop's system names it. Comes from the kernel, never from whoever asks.
    pub account: String,
    /// What for.
    pub ask: DeskAsk,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeskAsk {
    /// The apps that the account may have on this desktop.
    Apps {
        /// Only this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        app: Option<AppId>,
        /// Only those whose name holds this text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Apps to pass over.
        #[serde(default)]
        offset: u32,
    },
    /// Put an app on, or its newest version.
    Install {
        /// Which.
        app: AppId,
    },
    /// Take an app off that the account asked for.
    Remove {
        /// Which.
        app: AppId,
    },
    /// Stop what the account asked for.
    Cancel {
        /// Which job.
        job: JobId,
    },
    /// The address under which a browser opens the portal for the account, once.
    Portal,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeskAnswer {
    /// Apps.
    Apps(DeskApps),
    /// The app after what was asked for was accepted.
    Accepted(Box<DeskApp>),
    /// Where the portal is.
    Portal {
        /// Address, good once. A secret until then.
        address: String,
        /// For how long, in seconds.
        good_for_secs: u32,
    },
    /// No.
    Refused(DeskRefusal),
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskRefusal {
    /// Stable code.
    pub code: String,
    /// A sentence for whoever asked.
    pub reason: String,
}

/// A page of apps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskApps {
    /// Who asked, as the directory names them.
    pub user: String,
    /// How many there are.
    pub total: u32,
    /// This page, by name.
    pub items: Vec<DeskApp>,
}

/// An app that the account may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskApp {
    /// The app.
    pub app: AppId,
    /// Name.
    pub name: String,
    /// Newest version.
    pub version: String,
    /// What it is.
    pub description: String,
    /// Category, in English.
    pub category: String,
    /// What to know before it is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_info: Option<String>,
    /// Where it is on this desktop: `absent`, `waiting`, `installing`, `removing`, `installed`, `update_available`, `failed`.
    pub standing: String,
    /// What the account may do now: `install`, `update`, `remove`, `cancel`, `defer`.
    pub acts: Vec<String>,
    /// Version on this desktop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_version: Option<String>,
    /// Whether more than the installer's word says that it is there.
    #[serde(default)]
    pub verified: bool,
    /// The newest job for it on this desktop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<DeskJob>,
}

/// What is or was done with an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskJob {
    /// The job.
    pub job: JobId,
    /// On or off.
    pub kind: TaskKind,
    /// How far: `waiting`, `running`, `done`, `failed`, `cancelled`.
    pub state: String,
    /// Where it is on this desktop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Share of that phase done, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Why it failed, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
}

/// Text as an answer has it: at most [`MAX_DESK_TEXT_CHARS`] characters.
pub fn desk_text(text: &str) -> String {
    let mut characters = text.chars();
    let mut kept: String = characters.by_ref().take(MAX_DESK_TEXT_CHARS - 1).collect();
    if let Some(last) = characters.next() {
        kept.push(if characters.next().is_some() {
            '\u{2026}'
        } else {
            last
        });
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_page_fits_into_an_answer() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        // Characters that take six bytes each in JSON.
        let text = desk_text(&"\u{1}".repeat(MAX_DESK_TEXT_CHARS));
        let word = "\u{1}".repeat(128);
        let app = DeskApp {
            app: AppId::lookup(id).expect("an id"),
            name: word.clone(),
            version: word.clone(),
            description: text.clone(),
            category: "Communication".to_owned(),
            install_info: Some(text.clone()),
            standing: "update_available".to_owned(),
            acts: vec!["update".to_owned(), "remove".to_owned()],
            installed_version: Some(word.clone()),
            verified: true,
            job: Some(DeskJob {
                job: JobId::lookup(id).expect("an id"),
                kind: TaskKind::Uninstall,
                state: "cancelled".to_owned(),
                phase: Some(Phase::Downloading),
                percent: Some(100),
                sentence: Some(text),
            }),
        };
        let answer = DeskAnswer::Apps(DeskApps {
            user: word,
            total: u32::MAX,
            items: vec![app; usize::try_from(DESK_PAGE).expect("a small number")],
        });
        let bytes = serde_json::to_vec(&answer).expect("JSON").len();
        assert!(bytes < MAX_DESK_ANSWER_BYTES, "{bytes}");
    }

    #[test]
    fn questions_are_externally_tagged_and_a_longer_text_is_cut() {
        let ask: DeskAsk = serde_json::from_str(r#"{"apps":{}}"#).expect("JSON");
        assert_eq!(
            ask,
            DeskAsk::Apps {
                app: None,
                name: None,
                offset: 0
            }
        );
        assert_eq!(
            serde_json::to_string(&DeskAsk::Portal).expect("JSON"),
            r#""portal""#
        );
        let exact = "x".repeat(MAX_DESK_TEXT_CHARS);
        assert_eq!(desk_text(&exact), exact);
        let cut = desk_text(&format!("{exact}y"));
        assert_eq!(cut.chars().count(), MAX_DESK_TEXT_CHARS);
        assert!(cut.ends_with('\u{2026}'));
    }
}
