//! The fleet's rules: names, networks, tags, who may enroll, who is a copy, what a directory user carries, app control, features.

pub mod app_control;
pub mod approval;
pub mod enrollment;
pub mod feature;
pub mod identity;
pub mod logged_in;
pub mod name;
pub mod network;
pub mod password;
pub mod tag;
pub mod user;
pub mod work;

pub use app_control::{AppRuleBody, AppRuleError, PathRule, ProductRule, Restriction, RuleScope};
pub use approval::{
    REQUEST_LIFE, REQUESTS_UNDECIDED_MAX, RequestState, request_state, waiting_pause,
};
pub use enrollment::{EnrollmentRefusal, TokenFacts, decide_token};
pub use feature::{FEATURES_MAX, Feature, is_feature_name};
pub use identity::{
    CopySign, IdentityVerdict, NotedIdentity, Other, Presence, SeenCopy, Takeover, decide_identity,
    decide_takeover, is_same_hardware,
};
pub use logged_in::{LoggedInUsers, newcomer};
pub use name::{DesktopName, DesktopNameError, LocalUserName, LocalUserNameError};
pub use network::{Network, NetworkError};
pub use password::is_password_strong;
pub use tag::{TAGS_PER_DESKTOP_MAX, TagError, check_tag_key, check_tag_value};
pub use user::{ActiveType, DesktopType, UserProfile};
pub use work::{SubJobStatus, fold_sub_jobs};
