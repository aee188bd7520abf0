//! The company directory of a project.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::secret::SecretText;
use crate::time::WireTime;

/// What kind of directory it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum DirectoryKind {
    /// Active Directory, or Samba in that role.
    #[serde(rename = "AD")]
    Ad,
    /// Another LDAP directory.
    #[serde(rename = "LDAP")]
    Ldap,
}

/// Body of setting the company directory of a project; what was set before is replaced.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetDirectoryReq {
    /// What kind of directory it is.
    pub kind: DirectoryKind,
    /// `ldaps://HOST[:PORT]`, or `ldap://HOST[:PORT]`, which always uses StartTLS.
    #[schema(min_length = 8, max_length = 300)]
    pub url: String,
    /// The certificate authorities that the directory's certificate must come from, PEM; no others are believed.
    #[schema(min_length = 1, max_length = 65536)]
    pub ca_pem: String,
    /// The account that reads the directory: its DN; with Active Directory also NAME@DOMAIN or DOMAIN\NAME.
    #[schema(min_length = 1, max_length = 1024)]
    pub bind_user: String,
    /// Its password. Absent: the stored one, while URL, CA and account stay as they are.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024)]
    pub bind_password: Option<SecretText>,
    /// DN below which everything stands.
    #[schema(min_length = 1, max_length = 1024)]
    pub base_dn: String,
    /// DN below which users stand; absent: the base.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1024)]
    pub user_base_dn: Option<String>,
    /// DN below which groups stand; absent: the base.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1024)]
    pub group_base_dn: Option<String>,
    /// LDAP filter that users must fit as well.
    #[serde(default)]
    #[schema(min_length = 3, max_length = 2048)]
    pub user_filter: Option<String>,
    /// LDAP filter that groups must fit as well.
    #[serde(default)]
    #[schema(min_length = 3, max_length = 2048)]
    pub group_filter: Option<String>,
    /// Domain of its users and groups in this project; absent: made of the DC parts of the base.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    pub domain: Option<String>,
    /// Attribute with a user's account name; absent: sAMAccountName, or uid with LDAP.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    pub user_name_attribute: Option<String>,
    /// Attribute with a group's account name; absent: sAMAccountName, or cn with LDAP.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    pub group_name_attribute: Option<String>,
    /// Seconds between synchronisations; absent: 300.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 86400)]
    pub sync_interval_seconds: Option<i64>,
}

/// The company directory of a project, without secrets.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Directory {
    /// What kind of directory it is.
    pub kind: DirectoryKind,
    /// Where it is.
    pub url: String,
    /// The certificate authorities that are believed, PEM.
    pub ca_pem: String,
    /// The account that reads it; its password is never shown.
    pub bind_user: String,
    /// Domain of its users and groups in this project.
    pub domain: String,
    /// DN below which users stand.
    pub user_base_dn: String,
    /// DN below which groups stand.
    pub group_base_dn: String,
    /// LDAP filter that users must fit as well.
    #[schema(nullable = false)]
    pub user_filter: Option<String>,
    /// LDAP filter that groups must fit as well.
    #[schema(nullable = false)]
    pub group_filter: Option<String>,
    /// Attribute with a user's account name.
    pub user_name_attribute: String,
    /// Attribute with a group's account name.
    pub group_name_attribute: String,
    /// Seconds between synchronisations.
    pub sync_interval_seconds: i64,
    /// When it was set.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: WireTime,
}

/// What a test of the connection found. Nothing was stored.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestDirectoryResponse {
    /// Whether a synchronisation would be able to read the directory.
    pub ok: bool,
    /// Stable code of what stands in the way.
    #[schema(nullable = false)]
    pub error_code: Option<String>,
    /// What it is, in words.
    #[schema(nullable = false)]
    pub words: Option<String>,
    /// What to do about it.
    #[schema(nullable = false)]
    pub hint: Option<String>,
    /// Users that would be taken over.
    #[schema(nullable = false)]
    pub users: Option<u64>,
    /// Groups that would be taken over.
    #[schema(nullable = false)]
    pub groups: Option<u64>,
    /// Some users' account names.
    pub sample_users: Vec<String>,
    /// Some groups' account names.
    pub sample_groups: Vec<String>,
    /// Whether the directory tells what changed; else every synchronisation reads everything.
    #[schema(nullable = false)]
    pub tells_changes: Option<bool>,
}

/// Body of asking for a synchronisation.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SyncDirectoryReq {
    /// Reads everything, not what changed alone.
    pub full: Option<bool>,
    /// Removes even most of the known users or groups, where the directory no longer has them.
    pub allow_removals: Option<bool>,
}

/// An entry that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedEntry {
    /// Its account name, or its DN when it has none.
    pub name: String,
    /// Why: `no_name`, `no_id`, `name_twice`, `name_in_use`.
    pub reason: String,
}

/// What the last successful synchronisation found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectoryReport {
    /// Users and groups that were new.
    pub added: u64,
    /// Those that changed.
    pub changed: u64,
    /// Those that were gone.
    pub removed: u64,
    /// Direct memberships that began or ended.
    pub memberships_changed: u64,
    /// Members of the groups it read that are no users or groups below the bases.
    pub members_unknown: u64,
    /// Entries that were left out.
    pub skipped_count: u64,
    /// The first of them.
    pub skipped: Vec<SkippedEntry>,
}

/// How the synchronisation fares.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectoryStatus {
    /// True when the last attempt failed: users and groups are those of `last_success_at`.
    pub stale: bool,
    /// A synchronisation runs.
    pub running: bool,
    /// A synchronisation was asked for that has not ended.
    pub pending: bool,
    /// Users that the directory keeps in this project.
    pub users: i64,
    /// Groups that the directory keeps in this project.
    pub groups: i64,
    /// When the last successful one ended.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub last_success_at: Option<WireTime>,
    /// When the last successful one that read everything ended.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub last_full_at: Option<WireTime>,
    /// When the last attempt ended.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub last_attempt_at: Option<WireTime>,
    /// When the next one is due.
    #[schema(value_type = String, format = DateTime)]
    pub next_at: WireTime,
    /// Stable code of what the last attempt failed of.
    #[schema(nullable = false)]
    pub error_code: Option<String>,
    /// What it was, in words.
    #[schema(nullable = false)]
    pub words: Option<String>,
    /// What to do about it.
    #[schema(nullable = false)]
    pub hint: Option<String>,
    /// What the last successful one found and did.
    #[schema(nullable = false)]
    pub report: Option<DirectoryReport>,
}
