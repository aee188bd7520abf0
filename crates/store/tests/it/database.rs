//! What the tests here share.

pub(crate) use outfitter_test_support::on_both;
pub(crate) use outfitter_test_support::store::{NOW, TestStore, id};
