//! The one place that writes to the terminal: tables and cards, or JSON; errors with their advice apart.
//!
//! Answers go to standard output, everything said about the work to standard error. Colours only where the
//! stream is a terminal and `NO_COLOR` is not set.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};
use owo_colors::{OwoColorize as _, Style};
use serde::Serialize;

use crate::env;
use crate::outcome::CommandError;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON document on standard output.
    Json,
}

/// An answer for people.
pub(crate) enum View {
    /// Rows under a head.
    Table(TableView),
    /// One thing, member by member.
    Card(Vec<(&'static str, String)>),
    /// A sentence.
    Line(String),
    /// Text that is kept as it is.
    Block(String),
    /// One below the other.
    Several(Vec<View>),
}

/// A table.
pub(crate) struct TableView {
    /// Column names.
    pub(crate) head: Vec<String>,
    /// Cells, as many as the head has.
    pub(crate) rows: Vec<Vec<Shade>>,
    /// Said instead of a table without rows.
    pub(crate) empty: &'static str,
}

/// Text with a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shade {
    /// As it is.
    Plain(String),
    /// All is well.
    Good(String),
    /// Well, but not proven; or not over.
    Doubtful(String),
    /// Not well.
    Bad(String),
}

impl Shade {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Good(text) | Self::Doubtful(text) | Self::Bad(text) => text,
        }
    }

    fn cell(&self) -> Cell {
        let cell = Cell::new(tame(self.text()));
        match self {
            Self::Plain(_) => cell,
            Self::Good(_) => cell.fg(Color::Green),
            Self::Doubtful(_) => cell.fg(Color::Yellow),
            Self::Bad(_) => cell.fg(Color::Red),
        }
    }
}

impl<T: Into<String>> From<T> for Shade {
    fn from(text: T) -> Self {
        Self::Plain(text.into())
    }
}

/// The printer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    format: Format,
}

impl Printer {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether people read along: progress is drawn only then.
    pub(crate) fn draws(&self) -> bool {
        self.format == Format::Text && io::stderr().is_terminal()
    }

    /// Whether answers are for people.
    pub(crate) fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// Writes an answer: `value` as JSON, or the view of it.
    pub(crate) fn show(&self, value: &impl Serialize, view: impl FnOnce() -> View) {
        let text = match self.format {
            Format::Json => {
                let mut text =
                    serde_json::to_string_pretty(value).expect("answers have text for keys");
                text.push('\n');
                text
            }
            Format::Text => render(view(), colours(io::stdout().is_terminal())),
        };
        // A reader that went away (`| head`) wants no more of it.
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }

    /// Says something about the work; silent in JSON.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if self.format == Format::Text {
            say(&tame(text.as_ref()));
        }
    }

    /// Writes an error and its advice to standard error.
    pub(crate) fn error(&self, error: &CommandError) {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !message.ends_with(&text) {
                message = format!("{message}: {text}");
            }
            cause = inner.source();
        }
        let advice = error.advice();
        if self.format == Format::Json {
            let document = serde_json::json!({"error": {"message": message, "hint": advice}});
            say(&document.to_string());
            return;
        }
        let message = tame(&message);
        let on = colours(io::stderr().is_terminal());
        let label = |text: &str, style: Style| {
            if on {
                text.style(style).to_string()
            } else {
                text.to_owned()
            }
        };
        say(&format!(
            "{} {message}",
            label("error:", Style::new().red().bold())
        ));
        if let Some(advice) = advice {
            say(&format!(
                "{} {advice}",
                label("hint:", Style::new().cyan().bold())
            ));
        }
    }
}

/// The text without control characters but line ends and tabs: what an installer or a server says must not steer
/// the terminal of who reads it.
fn tame(text: &str) -> String {
    text.replace(
        |character: char| character.is_control() && !matches!(character, '\n' | '\t'),
        "\u{fffd}",
    )
}

fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn colours(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os(env::NO_COLOR).is_none_or(|value| value.is_empty())
}

fn render(view: View, colours: bool) -> String {
    match view {
        View::Line(text) => format!("{}\n", tame(&text)),
        View::Block(text) => tame(&text),
        View::Several(views) => views
            .into_iter()
            .map(|view| render(view, colours))
            .collect::<Vec<_>>()
            .join("\n"),
        View::Card(members) => {
            let width = members
                .iter()
                .map(|(name, _)| name.len())
                .max()
                .unwrap_or(0);
            members
                .into_iter()
                .map(|(name, value)| format!("{name:width$}  {}\n", tame(&value)))
                .collect()
        }
        View::Table(table) if table.rows.is_empty() => format!("{}\n", table.empty),
        View::Table(table) => {
            let mut out = Table::new();
            out.load_style(comfy_table::presets::NOTHING)
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_header(
                    table
                        .head
                        .iter()
                        .map(|name| Cell::new(name.to_uppercase()).add_attribute(Attribute::Bold)),
                );
            if colours {
                out.enforce_styling();
            } else {
                out.force_no_tty();
            }
            for row in &table.rows {
                out.add_row(row.iter().map(Shade::cell));
            }
            for column in out.column_iter_mut() {
                column.set_padding((0, 2));
            }
            out.lines()
                .map(|line| format!("{}\n", line.trim_end()))
                .collect()
        }
    }
}
