//! Desktops as CSV, read and sent a page at a time: memory does not grow with the fleet.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use outfitter_api_types::native::desktops::{ExportDesktopsQuery, RegisteredDesktop};
use outfitter_store::{DesktopFilter, ProjectKey, StoreError};

use super::registered::{filter, wire};
use crate::Services;
use crate::http::{ApiError, Call};

/// Source: RFC 4180, section 3.
pub(super) const MEDIA: &str = "text/csv";

/// Desktops read at once.
const PAGE: i64 = 500;

const HEAD: [&str; 9] = [
    "id",
    "name",
    "os_type",
    "users",
    "agent",
    "agent_version",
    "last_seen_at",
    "restart_needed_since",
    "created_at",
];

struct Export {
    services: Arc<Services>,
    project: ProjectKey,
    filter: DesktopFilter,
    place: Place,
}

enum Place {
    Head,
    Rows,
    End,
}

pub(super) async fn export(
    services: Arc<Services>,
    call: Call<(), ExportDesktopsQuery>,
) -> Result<Response, ApiError> {
    let project = call.project().project;
    let export = Export {
        filter: filter(&services, call.query),
        services,
        project,
        place: Place::Head,
    };
    // A failure ends the answer in the middle: whoever reads it sees that it was cut.
    let lines = stream::try_unfold(export, |mut export| async move {
        let page = export.page().await?;
        Ok::<_, StoreError>(page.map(|page| (page, export)))
    });
    let headers = [
        (CONTENT_TYPE, MEDIA),
        (CONTENT_DISPOSITION, "attachment; filename=\"desktops.csv\""),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

impl Export {
    async fn page(&mut self) -> Result<Option<Bytes>, StoreError> {
        let rows = match self.place {
            Place::Head => {
                self.place = Place::Rows;
                vec![HEAD.map(str::to_owned)]
            }
            Place::Rows => {
                let db = self.services.store.db();
                let desktops = db.desktop_next(self.project, &self.filter, PAGE).await?;
                match desktops.last() {
                    Some(last) => self.filter.before = Some(last.key),
                    None => self.place = Place::End,
                }
                desktops
                    .into_iter()
                    .map(|desktop| row(wire(&self.services, desktop)))
                    .collect()
            }
            Place::End => Vec::new(),
        };
        Ok((!rows.is_empty()).then(|| lines(&rows).into()))
    }
}

fn row(desktop: RegisteredDesktop) -> [String; 9] {
    let users: Vec<String> = desktop.users.into_iter().map(|user| user.account).collect();
    let (state, version, seen) = match desktop.agent {
        None => ("none", String::new(), None),
        Some(agent) if agent.connected => ("online", agent.version, agent.last_seen_at),
        Some(agent) => ("offline", agent.version, agent.last_seen_at),
    };
    let time = |at: Option<outfitter_api_types::time::WireTime>| {
        at.map_or_else(String::new, |at| at.to_string())
    };
    [
        desktop.id,
        desktop.name,
        format!("{:?}", desktop.os_type),
        users.join(" "),
        state.to_owned(),
        version,
        time(seen),
        time(desktop.restart_needed_since),
        desktop.created_at.to_string(),
    ]
}

fn lines(rows: &[[String; 9]]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    for row in rows {
        // Rows are of one length and go to memory: neither of the writer's errors can be.
        let _ = writer.write_record(row.iter().map(|cell| plain(cell)));
    }
    writer.into_inner().unwrap_or_default()
}

/// A cell that begins like a formula is made text, so that a spreadsheet does not run it.
/// Source: OWASP, CSV Injection.
fn plain(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_made_text() {
        let mut row = HEAD.map(|_| String::new());
        row[0] = "=1+1".to_owned();
        row[1] = "a,\"b\"".to_owned();
        assert_eq!(lines(&[row]), b"'=1+1,\"a,\"\"b\"\"\",,,,,,,\r\n");
    }

    #[test]
    fn no_name_begins_a_row_or_a_cell() {
        for name in ["a\r\nb,c", "a\rb", "a\nb", "a,b", "a\"b", "\"", "\r=cmd"] {
            let row = |name: &str| {
                let mut row = HEAD.map(|_| String::new());
                row[1] = name.to_owned();
                row
            };
            let text = lines(&[row(name), row("next")]);
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(text.as_slice());
            let names: Vec<String> = reader
                .records()
                .map(|record| record.unwrap()[1].to_owned())
                .collect();
            assert_eq!(names, [plain(name), "next".to_owned()], "{name:?}");
        }
    }
}
