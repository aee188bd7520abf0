//! Automatic installation: one application or a batch of them.

use crate::amend::{amended, requires_when, unique_items};
use crate::authorizations::{AccountInfo, AssignType};

amended! {
    /// ASSIGN_USER: missing authorizations of the listed users are added. ALL_USER: every listed
    /// application becomes authorized to all users.
    pub struct BatchAutoInstallAppsReq {
        /// Applications to install.
        #[schema(min_items = 1, max_items = 50, min_length = 1, max_length = 128)]
        pub app_ids: Vec<String>,
        /// Whom the installation reaches.
        pub assign_scope: AssignType,
        /// Who gets them. Must be present and non-empty for ASSIGN_USER.
        #[schema(min_items = 1, max_items = 50)]
        pub users: Option<Vec<AccountInfo>>,
    }
    with [
        requires_when("assign_scope", &["ASSIGN_USER"], "users", "array"),
        unique_items("app_ids"),
        unique_items("users"),
    ]
}

amended! {
    /// Body of `InstallApp`.
    pub struct AutoInstallAppReq {
        /// Command for this run. `${FILE_PATH}` stands for the package path on the desktop.
        #[schema(max_length = 8191)]
        pub install_command: Option<String>,
        /// Uninstall command for this run. `${FILE_PATH}` stands for the package path on the
        /// desktop.
        #[schema(max_length = 8191)]
        pub uninstall_command: Option<String>,
        /// Who gets the application. Absent or null: everyone the application is authorized to.
        /// An empty array is refused.
        #[schema(min_items = 1, max_items = 50)]
        pub users: Option<Vec<AccountInfo>>,
    }
    with [
        unique_items("users"),
    ]
}
