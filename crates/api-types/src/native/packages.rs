//! Packages uploaded through our own route.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::apps::{BucketStore, InstallType, OsTypeEnum};
use crate::native::revisions::PackageCondition;
use crate::time::WireTime;

/// What an uploaded file is, judged by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PackageKind {
    /// Debian package.
    Deb,
    /// RPM package.
    Rpm,
    /// Windows Installer package.
    Msi,
    /// Windows app package.
    Msix,
    /// Windows program.
    Exe,
    /// ZIP archive.
    Zip,
    /// Tar archive, compressed or not.
    Tar,
    /// 7z archive.
    SevenZip,
    /// RAR archive.
    Rar,
    /// Script.
    Script,
    /// AppImage.
    AppImage,
    /// Anything else.
    Other,
}

/// What made a Windows installer, as far as it leaves its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstallerFamily {
    /// Inno Setup.
    Inno,
    /// Nullsoft Scriptable Install System.
    Nsis,
    /// A bundle of the WiX Toolset.
    WixBurn,
    /// InstallShield.
    InstallShield,
}

/// What a person should look at before confirming a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PackageAdvice {
    /// A script's silent switches are its own.
    ScriptMayAsk,
    /// How the program installs silently is not known.
    GiveCommand,
    /// The file is of no known kind.
    Unknown,
}

/// What the package proposes for its application.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageProposal {
    /// Name.
    pub name: String,
    /// Version.
    #[schema(nullable = false)]
    pub version: Option<String>,
    /// How it is installed.
    #[schema(nullable = false)]
    pub install_type: Option<InstallType>,
    /// Command that installs it.
    #[schema(nullable = false)]
    pub install_command: Option<String>,
    /// Command that removes it.
    #[schema(nullable = false)]
    pub uninstall_command: Option<String>,
    /// What it is for.
    #[schema(nullable = false)]
    pub support_os: Option<OsTypeEnum>,
    /// What to look at before confirming; left out when nothing is missing.
    #[schema(nullable = false)]
    pub advice: Option<PackageAdvice>,
}

/// Answer of a package upload.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageUploadResponse {
    /// What `app_file_store.bucket_store` of an application takes.
    pub bucket_store: BucketStore,
    /// Lower-case hex SHA-256 of the bytes received.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// Number of bytes received.
    #[schema(minimum = 0)]
    pub size_bytes: i64,
    /// What the file is.
    pub kind: PackageKind,
    /// What made the installer, where that can be told.
    #[schema(nullable = false)]
    pub installer: Option<InstallerFamily>,
    /// What to make of it.
    pub proposal: PackageProposal,
}

/// What became of an upload into the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// It is an object of the bucket.
    Ready,
    /// It lies in the object store, and the server still reads it.
    Pending,
    /// It became no object: the server read other bytes than its uploader announced, too many, or nothing that was
    /// put with this entity tag. The server's log says which.
    Refused,
}

/// An upload into the bucket.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowUploadResponse {
    /// What became of it.
    pub state: UploadState,
    /// What was recognised; there when the upload is ready.
    #[schema(nullable = false)]
    pub package: Option<PackageUploadResponse>,
}

/// Query parameters of showing an upload.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowUploadQuery {
    /// Key of the object, as CreateBucketCredential named it.
    #[schema(min_length = 1, max_length = 1024)]
    pub object_path: String,
    /// Entity tag that the bucket answered to the upload, without quotes: an object that was put otherwise is not
    /// taken for it.
    #[schema(min_length = 1, max_length = 256, nullable = false)]
    pub etag: Option<String>,
}

/// Query parameters of a package upload.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadPackageQuery {
    /// Name of the file; the object's key is app-file/{file_name}.
    #[schema(min_length = 1, max_length = 256)]
    pub file_name: String,
    /// Lower-case hex SHA-256 the bytes must have; others are refused.
    #[schema(pattern = "^[0-9a-f]{64}$", nullable = false)]
    pub sha256: Option<String>,
}

/// What is asked of a project's packages, how much they may take, and how much they take.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageSettings {
    /// Whether a link must come with the digest of what lies there.
    pub require_link_digest: bool,
    /// Most bytes that the packages may take; left out without a limit.
    #[schema(minimum = 1, nullable = false)]
    pub quota_bytes: Option<i64>,
    /// Bytes they take: objects of the bucket, what applications need, deleted ones that can be restored included, and
    /// parts of unfinished uploads.
    #[schema(minimum = 0)]
    pub used_bytes: i64,
}

/// Body of setting what is asked of a project's packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetPackageSettingsReq {
    /// Whether a link must come with the digest of what lies there. Links that are there already stay.
    pub require_link_digest: bool,
}

/// Body of setting the quota of a project.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetQuotaReq {
    /// Most bytes that its packages may take. Absent or null: no limit.
    #[schema(minimum = 1)]
    pub quota_bytes: Option<i64>,
}

/// An application whose package cannot be had as it came.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DamagedPackage {
    /// Application ID.
    pub app_id: String,
    /// Name of the application.
    pub app_name: String,
    /// Lower-case hex SHA-256 that the bytes should have.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// Size in bytes that they should have.
    #[schema(minimum = 0)]
    pub size_bytes: i64,
    /// What was found.
    pub condition: PackageCondition,
    /// When they were last looked at.
    #[schema(value_type = String, format = DateTime, nullable = false)]
    pub looked_at: Option<WireTime>,
}

/// Answer of listing damaged packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDamagedPackagesResponse {
    /// Number of matching records, regardless of paging.
    #[schema(minimum = 0)]
    pub count: i64,
    /// This page, newest application first.
    pub items: Vec<DamagedPackage>,
}

/// Query parameters of listing damaged packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDamagedPackagesQuery {
    /// Records to skip.
    #[serde(default)]
    #[schema(default = 0, minimum = 0)]
    pub offset: i64,
    /// Largest number of records to answer.
    #[serde(default = "crate::defaults::page_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: i64,
}
