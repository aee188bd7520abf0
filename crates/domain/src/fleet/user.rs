//! What a directory user and a desktop carry besides their names.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

words! {
    /// Who activates an account.
    ActiveType {
        /// The person, from a mail or SMS.
        UserActivate = "USER_ACTIVATE",
        /// The administrator, who sets the first password.
        AdminActivate = "ADMIN_ACTIVATE",
    }
    /// How many users a desktop takes.
    DesktopType {
        /// One user.
        Dedicated = "DEDICATED",
        /// Up to 500 users.
        Shared = "SHARED",
    }
}

/// The members of the contract's user that are only stored and shown. Stored as JSON: every member has a
/// default, so that rows written before a member existed are read on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserProfile {
    /// Mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Alias shown for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Service level, operation mode and type, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_info_map: Option<String>,
    /// When the account expires; `None`: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_expires: Option<Millis>,
    /// Whether the user may change the password.
    pub enable_change_password: bool,
    /// Whether the password must change at the next sign-in.
    pub next_login_change_password: bool,
    /// Whether the password never expires.
    pub password_never_expired: bool,
}

impl Default for UserProfile {
    fn default() -> Self {
        Self {
            email: None,
            phone: None,
            alias: None,
            user_info_map: None,
            account_expires: None,
            enable_change_password: true,
            next_login_change_password: true,
            password_never_expired: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_stored_profile_reads_as_the_defaults() {
        let read: UserProfile = serde_json::from_str("{}").expect("every member has a default");
        assert_eq!(read, UserProfile::default());
    }
}
