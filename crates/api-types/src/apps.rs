//! Applications of the catalogue: upload, change, list, enable, disable, delete; categories.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::amend::{amended, not_empty_when, requires_when, text_or_integer, unique_items};
use crate::authorizations::AssignType;
use crate::text_or_integer;
use crate::time::WireTime;

/// How a package is installed; only the first two can be installed automatically, and that
/// needs an install command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstallType {
    /// Silent installer.
    QuietInstall,
    /// Unpack.
    UnzipInstall,
    /// The user clicks through it.
    GuiInstall,
}

/// Operating system the application is for. Mixed case on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum OsTypeEnum {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// Any other; such an application fits every desktop.
    Other,
}

/// Whether users see an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AppStatusEnum {
    /// Visible.
    Normal,
    /// Hidden or disabled.
    Forbidden,
}

/// Where an application comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AppSourceType {
    /// Added by the tenant.
    Custom,
    /// Built in.
    System,
    /// From the market.
    Market,
}

/// Where a package is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FileStoreTypeEnum {
    /// Package in the project bucket.
    Obs,
    /// Package behind an http or https URL.
    Link,
}

/// Package object in the bucket of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BucketStore {
    /// Always wks-appcenter-{project_id}. The bucket must have been authorized with
    /// CreateAndAuthorizeBucket.
    #[schema(min_length = 3, max_length = 63)]
    pub bucket_name: String,
    /// Full object key, for example dir1/object1.txt; no leading slash.
    #[schema(min_length = 1, max_length = 1024, pattern = "^[^/]")]
    pub bucket_file_path: String,
}

amended! {
    /// Where the package is. store_type picks the member that counts; the other may be present
    /// and is only stored.
    pub struct FileStoreLink {
        /// Which of the two members counts.
        pub store_type: FileStoreTypeEnum,
        /// Package in the bucket.
        pub bucket_store: Option<BucketStore>,
        /// Full http or https download URL.
        #[schema(min_length = 1, max_length = 2048)]
        pub file_link: Option<String>,
    }
    with [
        requires_when("store_type", &["OBS"], "bucket_store", "object"),
        requires_when("store_type", &["LINK"], "file_link", "string"),
    ]
}

amended! {
    /// Body of `UploadApp`.
    pub struct UploadAppReq {
        /// Application name, 1 to 128 characters, not blank. None of ``^;|~`{}[]<>``.
        #[schema(min_length = 1, max_length = 128, pattern = r"^(?! *$)[^\^;|~`{}\[\]<>]{1,128}$")]
        pub name: String,
        /// Version: 1 to 128 visible characters or spaces, not blank. The provider documents a
        /// narrower set (letters, digits, dot, underscore, hyphen).
        #[schema(min_length = 1, max_length = 128, pattern = r"^(?! +$)[\S ]{1,128}$")]
        pub version: String,
        /// Free text.
        #[schema(max_length = 2048)]
        pub description: String,
        /// Who may use the application.
        pub authorization_type: AssignType,
        /// Where the package is.
        pub app_file_store: FileStoreLink,
        /// Icon: an http(s) URL, or a PNG data URI. At most 87500 characters (about 64 KB of
        /// image).
        #[schema(max_length = 87500)]
        pub app_icon_url: Option<String>,
        /// How the package is installed.
        pub install_type: InstallType,
        /// Install command; `${FILE_PATH}` stands for the package path on the desktop. May be
        /// absent or null for QUIET_INSTALL and UNZIP_INSTALL, but not empty; auto-install then
        /// needs a command from elsewhere.
        #[schema(max_length = 8191)]
        pub install_command: Option<String>,
        /// Uninstall command; `${FILE_PATH}` stands for the package path on the desktop.
        #[schema(max_length = 8191)]
        pub uninstall_command: Option<String>,
        /// Operating system the application is for.
        pub support_os: OsTypeEnum,
        /// Category ID from ListAppCatalogs. A JSON integer is accepted and turned into text;
        /// answers always carry text.
        #[serde(deserialize_with = "text_or_integer::required")]
        #[schema(min_length = 1, max_length = 128)]
        pub catalog_id: String,
        /// Installation notes.
        #[schema(max_length = 8192)]
        pub install_info: Option<String>,
    }
    with [
        not_empty_when("install_type", &["QUIET_INSTALL", "UNZIP_INSTALL"], "install_command"),
        text_or_integer("catalog_id"),
    ]
}

amended! {
    /// Partial update; absent members keep their value. A change of version, app_file_store or a
    /// command makes a new revision; see semantics.md.
    pub struct UpdateAppReq {
        /// Application name, 1 to 128 characters, not blank. Visible characters and spaces.
        #[schema(min_length = 1, max_length = 128, pattern = r"^(?! +$)[\S ]{1,128}$")]
        pub name: Option<String>,
        /// Version: 1 to 128 visible characters or spaces, not blank. The provider documents a
        /// narrower set (letters, digits, dot, underscore, hyphen).
        #[schema(min_length = 1, max_length = 128, pattern = r"^(?! +$)[\S ]{1,128}$")]
        pub version: Option<String>,
        /// Free text.
        #[schema(max_length = 2048)]
        pub description: Option<String>,
        /// Who may use the application.
        pub authorization_type: Option<AssignType>,
        /// Where the package is.
        pub app_file_store: Option<FileStoreLink>,
        /// Icon: an http(s) URL, or a PNG data URI. At most 87500 characters (about 64 KB of
        /// image).
        #[schema(max_length = 87500)]
        pub app_icon_url: Option<String>,
        /// How the package is installed.
        pub install_type: Option<InstallType>,
        /// Install command; `${FILE_PATH}` stands for the package path on the desktop. Empty
        /// clears it. A call that would leave a QUIET_INSTALL or UNZIP_INSTALL application
        /// without a command it had, or make one without, is refused.
        #[schema(max_length = 8191)]
        pub install_command: Option<String>,
        /// Uninstall command; `${FILE_PATH}` stands for the package path on the desktop.
        #[schema(max_length = 8191)]
        pub uninstall_command: Option<String>,
        /// Operating system the application is for.
        pub support_os: Option<OsTypeEnum>,
        /// Category ID from ListAppCatalogs. A JSON integer is accepted and turned into text;
        /// answers always carry text.
        #[serde(deserialize_with = "text_or_integer::optional", default)]
        #[schema(min_length = 1, max_length = 128)]
        pub catalog_id: Option<String>,
        /// Installation notes.
        #[schema(max_length = 8192)]
        pub install_info: Option<String>,
        /// Whether users see the application.
        pub status: Option<AppStatusEnum>,
    }
    with [
        text_or_integer("catalog_id"),
    ]
}

/// Answer of `UploadApp`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Application {
    /// Application ID.
    pub id: String,
    /// ID of the domain (account) that owns the project; not the project ID.
    pub tenant_id: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Free text.
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// Who may use the application.
    pub authorization_type: AssignType,
    /// Where the package is.
    pub app_file_store: FileStoreLink,
    /// Icon URL.
    #[schema(nullable = false)]
    pub app_icon_url: Option<String>,
    /// How the package is installed.
    pub install_type: InstallType,
    /// Install command.
    #[schema(nullable = false)]
    pub install_command: Option<String>,
    /// Uninstall command.
    #[schema(nullable = false)]
    pub uninstall_command: Option<String>,
    /// Operating system the application is for.
    pub support_os: OsTypeEnum,
    /// Whether users see the application.
    pub status: AppStatusEnum,
    /// Where the application comes from.
    pub application_source: AppSourceType,
    /// UTC, for example 2024-12-25T06:58:19.765Z.
    #[schema(value_type = String, format = DateTime)]
    pub create_time: WireTime,
    /// Category ID, always a string (one official example shows a number).
    pub catalog_id: String,
    /// Category name.
    #[schema(nullable = false)]
    pub catalog: Option<String>,
    /// Installation notes.
    #[schema(nullable = false)]
    pub install_info: Option<String>,
}

/// Answer of `ListApps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppsResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// Applications on this page.
    pub items: Vec<Application>,
}

/// Category of applications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Catalog {
    /// Category ID.
    pub id: String,
    /// Chinese name.
    pub catalog_zh: String,
    /// English name.
    pub catalog_en: String,
}

/// Answer of `ListAppCatalogs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppCatalogsResponse {
    /// All categories; not paged, no count.
    pub items: Vec<Catalog>,
}

amended! {
    /// Body of `BatchDisableApps`.
    pub struct BatchOperateAppsReq {
        /// Application IDs.
        #[schema(min_items = 1, max_items = 50, min_length = 1, max_length = 128)]
        pub items: Vec<String>,
    }
    with [
        unique_items("items"),
    ]
}

amended! {
    /// Body of `BatchDeleteApps`.
    pub struct BatchDeleteAppsReq {
        /// Application IDs.
        #[schema(min_items = 1, max_items = 50, min_length = 1, max_length = 128)]
        pub items: Vec<String>,
        /// True keeps the package objects in the bucket; false deletes them with the
        /// applications.
        #[schema(default = false)]
        pub reserve_obs_file: Option<bool>,
    }
    with [
        unique_items("items"),
    ]
}

/// Query parameters of `ListApps`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListAppsQuery {
    /// Index of the first record.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Page size.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
    /// Keep applications whose name contains this text.
    #[schema(max_length = 128, nullable = false)]
    pub name: Option<String>,
}

/// A boolean written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrueFalseText {
    /// `true`.
    True,
    /// `false`.
    False,
}

/// Query parameters of `DeleteApp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeleteAppQuery {
    /// true keeps the package object in the bucket.
    #[serde(default = "crate::defaults::false_text")]
    #[schema(default = "false")]
    pub reserve_obs_file: TrueFalseText,
}
