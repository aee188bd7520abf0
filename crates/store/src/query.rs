//! Lists with filters: conditions as text and values, pages, and words read back from rows.

use sea_orm::Value;
use uuid::Uuid;

use outfitter_domain::text::contains_pattern;

use crate::{Dialect, StoreError};

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Items to pass over.
    pub offset: i64,
    /// Most items to answer.
    pub limit: i64,
}

impl Page {
    /// The whole list.
    pub const ALL: Self = Self {
        offset: 0,
        limit: i64::MAX,
    };
}

/// One page of a list, and how long the whole list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// Length of the whole list.
    pub total: i64,
    /// The page.
    pub items: Vec<T>,
}

/// Conditions joined by AND, with their values.
pub(crate) struct Conditions {
    dialect: Dialect,
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            sql: "1 = 1".to_owned(),
            values: Vec::new(),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Binds a value; answers its placeholder.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    pub(crate) fn and(&mut self, condition: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
    }

    pub(crate) fn equals(&mut self, column: &str, value: impl Into<Value>) {
        let placeholder = self.bind(value);
        self.and(&format!("{column} = {placeholder}"));
    }

    /// A folded column holds the text somewhere.
    pub(crate) fn contains(&mut self, folded_column: &str, part: &str) {
        let condition = self.contains_condition(folded_column, part);
        self.and(&condition);
    }

    pub(crate) fn contains_condition(&mut self, folded_column: &str, part: &str) -> String {
        let placeholder = self.bind(contains_pattern(part));
        format!("{folded_column} LIKE {placeholder} ESCAPE '\\'")
    }

    /// A column equals one of the texts.
    pub(crate) fn one_of(&mut self, column: &str, texts: &[String]) {
        let condition = self.one_of_condition(column, texts);
        self.and(&condition);
    }

    pub(crate) fn one_of_condition(&mut self, column: &str, texts: &[String]) -> String {
        let placeholder = self.bind(text_array(texts));
        format!(
            "{column} IN (SELECT {} FROM {})",
            self.dialect.element_text(),
            self.dialect.each(&placeholder)
        )
    }

    /// A public id is one of these.
    pub(crate) fn one_of_ids(&mut self, column: &str, ids: impl IntoIterator<Item = Uuid>) {
        let placeholder = self.bind(id_array(ids));
        let condition = in_ids(self.dialect, column, &placeholder);
        self.and(&condition);
    }

    /// The values that were bound, in their order.
    pub(crate) fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// What counts and what reads one page.
    pub(crate) fn page(self, order: &str, page: Page) -> Paged {
        let count_values = self.values.clone();
        let filter = self.sql.clone();
        let mut of_page = self;
        let limit = of_page.bind(page.limit);
        let offset = of_page.bind(page.offset);
        let tail = format!("{filter} ORDER BY {order} LIMIT {limit} OFFSET {offset}");
        Paged {
            filter,
            count_values,
            tail,
            page_values: of_page.values,
        }
    }
}

/// What counts and reads one page: the same conditions twice.
pub(crate) struct Paged {
    pub(crate) filter: String,
    pub(crate) count_values: Vec<Value>,
    pub(crate) tail: String,
    pub(crate) page_values: Vec<Value>,
}

/// A JSON array of texts, to be bound for [`Dialect::each`].
pub(crate) fn text_array<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    serde_json::to_string(&texts).expect("texts are JSON")
}

/// A JSON array of keys, to be bound for [`Dialect::each`]. See [`in_keys`].
pub(crate) fn key_array(keys: impl IntoIterator<Item = i64>) -> String {
    let keys: Vec<i64> = keys.into_iter().collect();
    serde_json::to_string(&keys).expect("numbers are JSON")
}

/// `column IN (keys)` for an array of [`key_array`] bound as `placeholder`.
pub(crate) fn in_keys(dialect: Dialect, column: &str, placeholder: &str) -> String {
    format!(
        "{column} IN (SELECT CAST({} AS BIGINT) FROM {})",
        dialect.element_text(),
        dialect.each(placeholder)
    )
}

/// A JSON array of public ids, to be bound for [`in_ids`].
pub(crate) fn id_array(ids: impl IntoIterator<Item = Uuid>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| id.simple().to_string()).collect();
    text_array(&ids)
}

/// `column IN (ids)` for an array of [`id_array`] bound as `placeholder`.
pub(crate) fn in_ids(dialect: Dialect, column: &str, placeholder: &str) -> String {
    format!(
        "{column} IN (SELECT {} FROM {})",
        dialect.uuid_from_hex(dialect.element_text()),
        dialect.each(placeholder)
    )
}

/// Reads a stored word.
pub(crate) fn word<T>(
    table: &'static str,
    column: &'static str,
    row: i64,
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    parse(text).ok_or_else(|| StoreError::Inconsistent {
        table,
        column,
        row,
        value: text.to_owned(),
    })
}

/// Reads a stored JSON value.
pub(crate) fn json<T: serde::de::DeserializeOwned>(
    table: &'static str,
    column: &'static str,
    row: i64,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Inconsistent {
        table,
        column,
        row,
        value: text.to_owned(),
    })
}
