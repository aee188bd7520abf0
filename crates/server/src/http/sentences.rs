//! What the server says in English wherever the contract or a stored row wants one text, with the same in Chinese: the
//! console tells it to who reads Chinese (ADR 32).

use std::collections::BTreeMap;

use outfitter_domain::job;

use super::{desktops, login_provider};
use crate::app::{directory, push};

/// Every such sentence.
pub fn in_chinese() -> BTreeMap<&'static str, &'static str> {
    job::Failure::sentences()
        .into_iter()
        .chain(outfitter_push::hints())
        .chain(push::SENTENCES)
        .chain(directory::hints())
        .chain([desktops::NO_WAY_IN, desktops::SET_REACH])
        .chain([login_provider::UNREADABLE])
        .collect()
}
