//! Defaults of query parameters, for serde; the schema states the same values.

use crate::apps::TrueFalseText;
use crate::desktops::SortType;

pub(crate) fn page_limit() -> i64 {
    10
}

pub(crate) fn five_hundred() -> i64 {
    500
}

pub(crate) fn thousand() -> i64 {
    1000
}

pub(crate) fn two_thousand() -> i64 {
    2000
}

pub(crate) fn yes() -> bool {
    true
}

pub(crate) fn ascending() -> SortType {
    SortType::Asc
}

pub(crate) fn false_text() -> TrueFalseText {
    TrueFalseText::False
}

pub(crate) fn part_limit() -> i64 {
    100
}
