//! Reading a CSV file whose first line names the columns (RFC 4180; UTF-8 with or without a byte order mark; lines
//! that end in CRLF or LF).

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::outcome::CommandError;

/// What separates several names within a field.
const SEPARATOR: char = ';';

/// A file, read.
pub(super) struct Table {
    pub(super) lines: Vec<Line>,
}

/// A line below the header.
pub(super) struct Line {
    /// Its number in the file, from 1; the header is line 1.
    pub(super) number: u64,
    fields: HashMap<&'static str, String>,
    /// Why it cannot be read.
    pub(super) wrong: Option<String>,
}

impl Line {
    /// A field; `None` when it is empty or the file has no such column.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        self.fields
            .get(column)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// The names in a field.
    pub(super) fn names(&self, column: &str) -> Vec<String> {
        self.get(column)
            .unwrap_or_default()
            .split(SEPARATOR)
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// Reads a file; `-` is standard input.
///
/// # Errors
/// When it cannot be read, or its header is not made of `columns`, the first of which must be there.
pub(super) fn read(path: &Path, columns: &'static [&'static str]) -> Result<Table, CommandError> {
    let mut content = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .read_to_end(&mut content)
            .map_err(|error| CommandError::because("cannot read standard input", error))?;
    } else {
        content = std::fs::read(path).map_err(|error| CommandError::file("read", path, error))?;
    }
    parse(&content, columns)
}

fn parse(content: &[u8], columns: &'static [&'static str]) -> Result<Table, CommandError> {
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .trim(Trim::All)
        .from_reader(content);
    let header = header(&mut reader, columns)?;
    let mut lines = Vec::new();
    let (mut number, mut counted) = (1, 0);
    for record in reader.byte_records() {
        let record =
            record.map_err(|error| CommandError::because("cannot read the file", error))?;
        // The position of a record is that of the line end before it when lines end in CRLF.
        let at = record
            .position()
            .and_then(|position| usize::try_from(position.byte()).ok())
            .unwrap_or(counted);
        let ends = content[at..]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let begins = at + ends.count();
        let passed = content[counted..begins]
            .iter()
            .filter(|byte| **byte == b'\n');
        number += u64::try_from(passed.count()).expect("lines are fewer than bytes");
        counted = begins;
        let mut line = Line {
            number,
            fields: HashMap::new(),
            wrong: None,
        };
        match StringRecord::from_byte_record(record) {
            Err(_) => line.wrong = Some("the line is not UTF-8".to_owned()),
            Ok(record) => {
                line.fields
                    .extend(header.iter().copied().zip(record.iter().map(str::to_owned)));
                if record.len() != header.len() {
                    line.wrong = Some(format!(
                        "the line has {} fields, the header {}",
                        record.len(),
                        header.len()
                    ));
                }
            }
        }
        lines.push(line);
    }
    Ok(Table { lines })
}

fn header(
    reader: &mut csv::Reader<&[u8]>,
    columns: &'static [&'static str],
) -> Result<Vec<&'static str>, CommandError> {
    let known = columns.join(", ");
    let usage = |what: String| CommandError::usage(format!("{what}; the columns are {known}"));
    let first = reader
        .headers()
        .map_err(|_| usage("the header of the file is not UTF-8".to_owned()))?;
    let mut header = Vec::with_capacity(first.len());
    for name in first {
        let column = columns
            .iter()
            .copied()
            .find(|column| column.eq_ignore_ascii_case(name))
            .ok_or_else(|| usage(format!("the header names an unknown column {name:?}")))?;
        if header.contains(&column) {
            return Err(usage(format!("the header names {column} twice")));
        }
        header.push(column);
    }
    if !header.contains(&columns[0]) {
        return Err(usage(format!(
            "the first line is a header and must name the column {}",
            columns[0]
        )));
    }
    Ok(header)
}
