//! The rules of an app: what its members may say, what a change to it does, who it is for.
//!
//! Bounds, enums and patterns are checked against the schema before anything here runs; this is what no
//! schema states (contract, semantics sections 2 to 4 and 6).

mod accounts;
mod bucket;
mod catalog;
mod content;
mod field;
mod icon;
mod link;
mod patch;
mod retention;
mod rule;

pub use accounts::{AuthorizationChange, distinct};
pub use bucket::{APP_FILE_FOLDER, app_file_key, bucket_name, file_name_problem, is_bucket_name};
pub use catalog::{CATALOGS, Catalog};
pub use content::{BucketPlace, FileStore, RevisionContent, SUCCESS_EXIT_CODES, is_web_address};
pub use field::{FieldProblem, text_problem};
pub use icon::{Icon, IconChange, PngIcon};
pub use link::{link_digest, with_link_digest};
pub use patch::{AppMembers, AppPatch, PatchRefusal, command_given};
pub use retention::{RESTORE_PERIOD, ROLL_BACK_PACKAGES};
pub use rule::{AppRule, RuleOrigin, rule_of_new_revision};
