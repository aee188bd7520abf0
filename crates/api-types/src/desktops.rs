//! Desktops: attach and detach users, list, show, delete.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::tags::TagOut;
use crate::time::WireTime;

/// Body of `AttachInstances`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachInstancesReq {
    /// Desktops.
    #[schema(min_items = 1, max_items = 50)]
    pub desktops: Vec<AttachInstancesDesktopInfo>,
    /// Image type, when the image changes.
    #[schema(max_length = 255)]
    pub image_type: Option<String>,
    /// Image ID.
    #[schema(min_length = 1, max_length = 255)]
    pub image_id: Option<String>,
    /// Naming policy used to generate desktop names; an explicit name wins.
    #[schema(max_length = 36)]
    pub desktop_name_policy_id: Option<String>,
    /// Disk encryption choice when the image changes.
    #[schema(default = "KEEP")]
    pub encrypt_type: Option<EncryptType>,
    /// Encryption key ID; needed when encrypt_type is ENCRYPTED.
    pub kms_id: Option<String>,
}

/// Desktop to attach, with its users.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachInstancesDesktopInfo {
    /// Desktop ID.
    #[schema(max_length = 255)]
    pub desktop_id: String,
    /// User name; the group name when type is GROUP.
    #[schema(min_length = 1, max_length = 64)]
    pub user_name: Option<String>,
    /// User ID; the group ID when type is GROUP.
    #[schema(min_length = 1, max_length = 255)]
    pub user_id: Option<String>,
    /// Mail address.
    #[schema(max_length = 255)]
    pub user_email: Option<String>,
    /// Privilege group on the desktop: sudo or default (Linux), administrators or users
    /// (Windows).
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^(sudo|default|administrators|users)?$"
    )]
    pub user_group: Option<String>,
    /// Desktop name, unique in the project: letters, digits, hyphen and underscore, starts
    /// with a letter, does not end with a hyphen, 1 to 15 characters.
    #[schema(min_length = 1, max_length = 15)]
    pub computer_name: Option<String>,
    /// Wipe desktop data on attach. Only matters when the desktop goes back to the user it
    /// was detached from. Default true.
    #[schema(default = true)]
    pub is_clear_data: Option<bool>,
    /// Users or groups the desktop is (to be) assigned to. In a request only multi-user
    /// desktops may list more than one; it takes precedence over user_name and user_group.
    #[schema(max_items = 500)]
    pub attach_user_infos: Option<Vec<AttachInstancesUserInfo>>,
}

/// Whether an attached account is a user or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AttachUserType {
    /// A user.
    User,
    /// A group.
    Group,
}

/// User or group to attach.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachInstancesUserInfo {
    /// User ID; the group ID when type is GROUP.
    #[schema(min_length = 1, max_length = 255)]
    pub user_id: Option<String>,
    /// User name; the group name when type is GROUP.
    #[schema(min_length = 1, max_length = 64)]
    pub user_name: String,
    /// Domain of the user; empty means the primary domain.
    pub domain: Option<String>,
    /// Privilege group on the desktop: sudo or default (Linux), administrators or users
    /// (Windows).
    #[schema(min_length = 1, max_length = 255)]
    pub user_group: String,
    /// USER or GROUP; default USER.
    #[serde(rename = "type")]
    #[schema(default = "USER")]
    pub account_type: Option<AttachUserType>,
}

/// Encryption of the system disk when a desktop is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EncryptType {
    /// As it is.
    Keep,
    /// Not encrypted.
    Unencrypted,
    /// Encrypted.
    Encrypted,
}

/// Body of `BatchAttachInstances`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchAttachInstancesReq {
    /// Desktops.
    #[schema(min_items = 1, max_items = 100)]
    pub desktops: Vec<AttachInstancesDesktopInfo>,
    /// Users.
    #[schema(max_items = 100)]
    pub users: Option<Vec<AttachInstancesUserInfo>>,
    /// How users and desktops are paired in this batch.
    pub assign_model: Option<AssignModelInfo>,
}

/// Whether a batch is assigned by user or by desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AssignDimension {
    /// A user.
    User,
    /// A desktop.
    Desktop,
}

/// How a batch of desktops is spread over users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PriorityStrategy {
    /// Users without a desktop first.
    UserNoDesktop,
    /// A fixed number of desktops for each user.
    UserFixedDesktopNum,
    /// Users in order of priority.
    DesktopAssignUserPriority,
    /// A fixed number of users for each desktop.
    DesktopAssignFixedUser,
    /// The listed users or groups.
    DesktopAssignUsersOrGroups,
    /// The listed pairs of desktop and users.
    FixedRelation,
}

/// How a batch of desktops is spread over users.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssignModelInfo {
    /// Whether the batch is distributed per user (USER) or per desktop (DESKTOP).
    pub assign_dimension: Option<AssignDimension>,
    /// Pairing strategy.
    pub priority_strategy: Option<PriorityStrategy>,
    /// Users per desktop for the DESKTOP_ASSIGN_FIXED_USER strategy. The misspelt name is the
    /// wire name.
    #[schema(default = 1, minimum = 0, maximum = 100)]
    pub desktop_assigin_user_num: Option<i64>,
    /// Desktops per user for the USER_NO_DESKTOP and USER_FIXED_DESKTOP_NUM strategies. The
    /// misspelt name is the wire name.
    #[schema(default = 1, minimum = 0, maximum = 100)]
    pub user_assigin_desktop_num: Option<i64>,
    /// Naming policy used to generate desktop names; an explicit name wins.
    #[schema(max_length = 36)]
    pub desktop_name_policy_id: Option<String>,
}

/// Body of `DetachInstances`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetachInstancesReq {
    /// Desktop IDs to act on.
    #[schema(min_items = 1, max_length = 255)]
    pub desktop_ids: Vec<String>,
    /// Power the desktop off afterwards.
    pub shutoff_after_detach: Option<bool>,
}

/// Body of `BatchDetachInstances`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchDetachInstancesReq {
    /// Desktops.
    #[schema(min_items = 1, max_items = 100)]
    pub desktops: Vec<DetachInstancesDesktopInfo>,
}

/// Desktop to detach, with the users to take off.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetachInstancesDesktopInfo {
    /// Desktop ID.
    #[schema(min_length = 1, max_length = 255)]
    pub desktop_id: String,
    /// True removes every user and makes detach_user_infos irrelevant. Default false.
    #[schema(default = false)]
    pub is_detach_all_users: Option<bool>,
    /// Users or groups to remove from the desktop.
    #[schema(max_items = 500)]
    pub detach_user_infos: Option<Vec<DetachInstancesUserInfo>>,
}

/// User or group to detach.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetachInstancesUserInfo {
    /// User ID; the group ID when type is GROUP.
    #[schema(min_length = 1, max_length = 255)]
    pub user_id: Option<String>,
    /// User name; the group name when type is GROUP.
    #[schema(min_length = 1, max_length = 64)]
    pub user_name: String,
    /// Domain of the user; empty means the primary domain.
    pub domain: Option<String>,
    /// Privilege group on the desktop: sudo or default (Linux), administrators or users
    /// (Windows).
    #[schema(min_length = 1, max_length = 255)]
    pub user_group: Option<String>,
    /// USER or GROUP; default USER.
    #[serde(rename = "type")]
    #[schema(default = "USER")]
    pub account_type: Option<AttachUserType>,
}

/// Body of `BatchDeleteDesktops`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeleteDesktopsReq {
    /// Desktop IDs to act on.
    #[schema(min_items = 1, max_items = 100, max_length = 255)]
    pub desktop_ids: Vec<String>,
    /// Also delete users left without any desktop. Default false.
    #[schema(default = false)]
    pub delete_users: Option<bool>,
    /// Mail the users of the desktop after deletion. Default true.
    #[schema(default = true)]
    pub email_notification: Option<bool>,
    /// Force deletion. Default false.
    #[schema(default = false)]
    pub is_force_delete: Option<bool>,
}

/// Answer of `ListDesktops`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDesktopsResponse {
    /// Number of matching records.
    #[schema(nullable = false)]
    pub total_count: Option<i64>,
    /// Desktops.
    #[schema(nullable = false)]
    pub desktops: Option<Vec<SimpleDesktopInfo>>,
}

/// Desktop in a list.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SimpleDesktopInfo {
    /// Domain (account) ID.
    #[schema(nullable = false)]
    pub domain_id: Option<String>,
    /// Project ID.
    #[schema(nullable = false)]
    pub project_id: Option<String>,
    /// Desktop ID.
    #[schema(nullable = false)]
    pub desktop_id: Option<String>,
    /// Desktop name.
    #[schema(nullable = false)]
    pub computer_name: Option<String>,
    /// Host name inside the system.
    #[schema(nullable = false)]
    pub os_host_name: Option<String>,
    /// Creation time of the desktop.
    #[schema(value_type = Option<String>, nullable = false)]
    pub created: Option<WireTime>,
    /// IP address.
    #[schema(nullable = false)]
    pub ip_address: Option<String>,
    /// User name; the group name when type is GROUP.
    #[schema(nullable = false)]
    pub user_name: Option<String>,
    /// Users or groups the desktop is (to be) assigned to. In a request only multi-user
    /// desktops may list more than one; it takes precedence over user_name and user_group.
    #[schema(nullable = false)]
    pub attach_user_infos: Option<Vec<AttachInstancesUserInfoOut>>,
    /// Privilege group on the desktop: sudo or default (Linux), administrators or users
    /// (Windows).
    #[schema(nullable = false)]
    pub user_group: Option<String>,
    /// Security identifier.
    #[schema(nullable = false)]
    pub sid: Option<String>,
    /// Organisational unit.
    #[schema(nullable = false)]
    pub ou_name: Option<String>,
    /// Enterprise project ID.
    #[schema(nullable = false)]
    pub enterprise_project_id: Option<String>,
    /// Tags.
    #[schema(nullable = false)]
    pub tags: Option<Vec<TagOut>>,
    /// True while the desktop is in administrator maintenance mode.
    #[schema(nullable = false)]
    pub in_maintenance_mode: Option<bool>,
    /// Collaboration SKU.
    #[schema(nullable = false)]
    pub share_resource_sku: Option<String>,
    /// DEDICATED, POOLED or SHARED.
    #[schema(nullable = false)]
    pub desktop_type: Option<String>,
    /// Finer desktop type.
    #[schema(nullable = false)]
    pub desktop_detail_type: Option<String>,
    /// Subnet ID.
    #[schema(nullable = false)]
    pub subnet_id: Option<String>,
    /// Billing resource ID.
    #[schema(nullable = false)]
    pub bill_resource_id: Option<String>,
    /// Status.
    #[schema(nullable = false)]
    pub status: Option<String>,
    /// Task in progress on the desktop (for example scheduling, spawning, rebooting,
    /// rebuilding, powering-off, powering-on, deleting, deleteFailed, updating,
    /// desktopNetworkChanging); empty when idle.
    #[schema(nullable = false)]
    pub task_status: Option<String>,
    /// Availability zone.
    #[schema(nullable = false)]
    pub availability_zone: Option<String>,
    /// Connection status of the desktop.
    #[schema(nullable = false)]
    pub connect_status: Option<String>,
    /// Desktop pool ID; several may be comma separated in a query.
    #[schema(nullable = false)]
    pub pool_id: Option<String>,
    /// Domain join state: 1 joined, 2 left, 3 not reported.
    #[schema(nullable = false)]
    pub domain_status: Option<i64>,
}

/// User or group attached to a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachInstancesUserInfoOut {
    /// User ID; the group ID when type is GROUP.
    #[schema(nullable = false)]
    pub user_id: Option<String>,
    /// User name; the group name when type is GROUP.
    #[schema(nullable = false)]
    pub user_name: Option<String>,
    /// Domain of the user; empty means the primary domain.
    #[schema(nullable = false)]
    pub domain: Option<String>,
    /// Privilege group on the desktop: sudo or default (Linux), administrators or users
    /// (Windows).
    #[schema(nullable = false)]
    pub user_group: Option<String>,
    /// USER or GROUP; default USER.
    #[serde(rename = "type")]
    #[schema(nullable = false)]
    pub account_type: Option<AttachUserType>,
}

/// Answer of `ListDesktopsDetail`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDesktopsDetailResponse {
    /// Desktops.
    #[schema(nullable = false)]
    pub desktops: Option<Vec<DesktopDetailInfo>>,
    /// Number of matching records.
    #[schema(nullable = false)]
    pub total_count: Option<i64>,
}

/// How a desktop reaches the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InternetMode {
    /// Through a NAT gateway.
    Nat,
    /// By an elastic address.
    Eip,
    /// Both ways.
    Both,
}

/// How far a desktop is attached; the spelling is the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AttachState {
    /// Attached.
    Attached,
    /// Never attached.
    Unattach,
    /// Detached.
    Deattached,
    /// Being attached.
    Attaching,
    /// Being detached.
    Deattaching,
    /// Attaching failed.
    Attachfail,
    /// Detaching failed.
    Deattachfail,
    /// Waiting.
    Waiting,
    /// Attaching failed and may be tried again.
    AttachFailCanAttachAgain,
    /// Detaching failed and may be tried again.
    DeattachFailCanDeattachAgain,
}

/// Desktop in full.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopDetailInfo {
    /// Desktop ID.
    #[schema(nullable = false)]
    pub desktop_id: Option<String>,
    /// Desktop name.
    #[schema(nullable = false)]
    pub computer_name: Option<String>,
    /// Host name inside the system.
    #[schema(nullable = false)]
    pub os_host_name: Option<String>,
    /// Addresses of the desktop, keyed by network.
    #[schema(nullable = false)]
    pub addresses: Option<BTreeMap<String, Vec<AddressInfo>>>,
    /// IP addresses.
    #[schema(nullable = false)]
    pub ip_addresses: Option<Vec<String>>,
    /// IPv4 address reported by the system.
    #[schema(nullable = false)]
    pub ipv4: Option<String>,
    /// IPv6 address reported by the system.
    #[schema(nullable = false)]
    pub ipv6: Option<String>,
    /// Users of the desktop.
    #[schema(nullable = false)]
    pub user_list: Option<Vec<String>>,
    /// User groups of the desktop.
    #[schema(nullable = false)]
    pub user_group_list: Option<Vec<String>>,
    /// DEDICATED, POOLED or SHARED.
    #[schema(nullable = false)]
    pub desktop_type: Option<String>,
    /// String map with image_name, os_type, os_bit, desktop_os_version, metering.* and the
    /// like.
    #[schema(nullable = false)]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Flavor of the desktop.
    #[schema(nullable = false)]
    pub flavor: Option<FlavorInfo>,
    /// ACTIVE, SHUTOFF, ERROR or HIBERNATED.
    #[schema(nullable = false)]
    pub status: Option<String>,
    /// Task in progress on the desktop (for example scheduling, spawning, rebooting,
    /// rebuilding, powering-off, powering-on, deleting, deleteFailed, updating,
    /// desktopNetworkChanging); empty when idle.
    #[schema(nullable = false)]
    pub task_status: Option<String>,
    /// Domain join state: 1 joined, 2 left, 3 not reported.
    #[schema(nullable = false)]
    pub domain_status: Option<i64>,
    /// True while the desktop is in administrator maintenance mode.
    #[schema(nullable = false)]
    pub in_maintenance_mode: Option<bool>,
    /// Creation time of the desktop.
    #[schema(value_type = Option<String>, nullable = false)]
    pub created: Option<WireTime>,
    /// Security groups; only filled by the single-desktop query.
    #[schema(nullable = false)]
    pub security_groups: Option<Vec<SecurityGroupInfo>>,
    /// UNREGISTER, REGISTERED, CONNECTED or DISCONNECTED.
    #[schema(nullable = false)]
    pub login_status: Option<String>,
    /// User name; the group name when type is GROUP.
    #[schema(nullable = false)]
    pub user_name: Option<String>,
    /// Users or groups the desktop is (to be) assigned to. In a request only multi-user
    /// desktops may list more than one; it takes precedence over user_name and user_group.
    #[schema(nullable = false)]
    pub attach_user_infos: Option<Vec<AttachInstancesUserInfoOut>>,
    /// Product ID.
    #[schema(nullable = false)]
    pub product_id: Option<String>,
    /// Collaboration SKU.
    #[schema(nullable = false)]
    pub share_resource_sku: Option<String>,
    /// System disk.
    #[schema(nullable = false)]
    pub root_volume: Option<VolumeDetail>,
    /// Data disks.
    #[schema(nullable = false)]
    pub data_volumes: Option<Vec<VolumeDetail>>,
    /// Privilege group on the desktop: sudo or default (Linux), administrators or users
    /// (Windows).
    #[schema(nullable = false)]
    pub user_group: Option<String>,
    /// Availability zone.
    #[schema(nullable = false)]
    pub availability_zone: Option<String>,
    /// Site type.
    #[schema(nullable = false)]
    pub site_type: Option<String>,
    /// Site name.
    #[schema(nullable = false)]
    pub site_name: Option<String>,
    /// Product of the desktop.
    #[schema(nullable = false)]
    pub product: Option<ProductInfo>,
    /// Organisational unit.
    #[schema(nullable = false)]
    pub ou_name: Option<String>,
    /// Operating system version.
    #[schema(nullable = false)]
    pub os_version: Option<String>,
    /// Security identifier.
    #[schema(nullable = false)]
    pub sid: Option<String>,
    /// Order ID of a prepaid product.
    #[schema(nullable = false)]
    pub order_id: Option<String>,
    /// Tags.
    #[schema(nullable = false)]
    pub tags: Option<Vec<TagOut>>,
    /// Whether internet access is on.
    #[schema(nullable = false)]
    pub is_support_internet: Option<bool>,
    /// NAT, EIP or BOTH.
    #[schema(nullable = false)]
    pub internet_mode: Option<InternetMode>,
    /// Internet access modes in use.
    #[schema(nullable = false)]
    pub internet_mode_list: Option<Vec<String>>,
    /// True while an elastic IP is being bound.
    #[schema(nullable = false)]
    pub is_attaching_eip: Option<bool>,
    /// Assignment state of the desktop.
    #[schema(nullable = false)]
    pub attach_state: Option<AttachState>,
    /// Enterprise project ID.
    #[schema(nullable = false)]
    pub enterprise_project_id: Option<String>,
    /// Subnet ID.
    #[schema(nullable = false)]
    pub subnet_id: Option<String>,
    /// Billing resource ID.
    #[schema(nullable = false)]
    pub bill_resource_id: Option<String>,
    /// Progress 0 to 100; null when the desktop has no task.
    #[serialize_always]
    pub process: Option<i64>,
    /// Root resource ID.
    #[schema(nullable = false)]
    pub root_resource_id: Option<String>,
    /// Hour package of the desktop.
    #[schema(nullable = false)]
    pub hour_package_info: Option<HourPackageInfo>,
    /// True when the desktop is frozen.
    #[schema(nullable = false)]
    pub is_freeze: Option<bool>,
    /// Isolation state of a dynamic pool desktop.
    #[schema(nullable = false)]
    pub isolated: Option<bool>,
    /// Domain the desktop was assigned in.
    #[schema(nullable = false)]
    pub domain: Option<String>,
    /// Agent version.
    #[schema(nullable = false)]
    pub agent_version: Option<String>,
}

/// Network address of a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddressInfo {
    /// IP address.
    #[schema(nullable = false)]
    pub addr: Option<String>,
    /// 4 or 6.
    #[schema(nullable = false)]
    pub version: Option<String>,
    /// MAC address of the interface that carries the address.
    #[serde(rename = "OS-EXT-IPS-MAC:mac_addr")]
    #[schema(nullable = false)]
    pub os_ext_ips_mac_mac_addr: Option<String>,
    /// How the address was allocated: fixed (private) or floating.
    #[serde(rename = "OS-EXT-IPS:type")]
    #[schema(nullable = false)]
    pub os_ext_ips_type: Option<String>,
}

/// Size of a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlavorInfo {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Links.
    #[schema(nullable = false)]
    pub links: Option<Vec<FlavorLinkInfo>>,
}

/// Link of a flavor; the spelling is the wire's.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlavorLinkInfo {
    /// Link name.
    #[schema(nullable = false)]
    pub rel: Option<String>,
    /// Link target. The wire name is hrel.
    #[schema(nullable = false)]
    pub hrel: Option<String>,
}

/// Security group of a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecurityGroupInfo {
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Name.
    #[schema(nullable = false)]
    pub name: Option<String>,
}

/// Disk of a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeDetail {
    /// Encryption key ID; needed when encrypt_type is ENCRYPTED.
    #[schema(nullable = false)]
    pub kms_id: Option<String>,
    /// Disk type, for example SAS or SSD.
    #[serde(rename = "type")]
    #[schema(nullable = false)]
    pub volume_type: Option<String>,
    /// Disk size in GB.
    #[schema(nullable = false)]
    pub size: Option<i64>,
    /// Disk IOPS.
    #[schema(nullable = false)]
    pub iops: Option<i64>,
    /// Disk throughput.
    #[schema(nullable = false)]
    pub throughput: Option<i64>,
    /// Mount device.
    #[schema(nullable = false)]
    pub device: Option<String>,
    /// ID.
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// Disk ID.
    #[schema(nullable = false)]
    pub volume_id: Option<String>,
    /// Billing resource ID.
    #[schema(nullable = false)]
    pub bill_resource_id: Option<String>,
    /// Desktop pool disk ID.
    #[schema(nullable = false)]
    pub desktop_pool_disk_id: Option<String>,
    /// Creation time.
    #[schema(value_type = Option<String>, nullable = false)]
    pub create_time: Option<WireTime>,
    /// Disk name.
    #[schema(nullable = false)]
    pub display_name: Option<String>,
    /// Spec code.
    #[schema(nullable = false)]
    pub resource_spec_code: Option<String>,
}

/// Product a desktop was bought as.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductInfo {
    /// Product ID.
    #[schema(nullable = false)]
    pub product_id: Option<String>,
    /// Flavor ID.
    #[schema(nullable = false)]
    pub flavor_id: Option<String>,
    /// Product type, for example BASE.
    #[serde(rename = "type")]
    #[schema(nullable = false)]
    pub product_type: Option<String>,
    /// vCPU count of the product, as text.
    #[schema(nullable = false)]
    pub cpu: Option<String>,
    /// Memory of the product, as text.
    #[schema(nullable = false)]
    pub memory: Option<String>,
    /// Product description.
    #[schema(nullable = false)]
    pub descriptions: Option<String>,
    /// 0 prepaid period, 1 pay per use.
    #[schema(nullable = false)]
    pub charge_mode: Option<String>,
    /// CPU architecture of the product.
    #[schema(nullable = false)]
    pub architecture: Option<String>,
    /// True for GPU products.
    #[schema(nullable = false)]
    pub is_gpu: Option<bool>,
    /// Package type.
    #[schema(nullable = false)]
    pub package_type: Option<String>,
    /// System disk type.
    #[schema(nullable = false)]
    pub system_disk_type: Option<String>,
    /// System disk size, as text.
    #[schema(nullable = false)]
    pub system_disk_size: Option<String>,
    /// Whether the product price includes data disks.
    #[schema(nullable = false)]
    pub contain_data_disk: Option<bool>,
    /// Resource type code.
    #[schema(nullable = false)]
    pub resource_type: Option<String>,
    /// Cloud service type code.
    #[schema(nullable = false)]
    pub cloud_service_type: Option<String>,
    /// Disk product type.
    #[schema(nullable = false)]
    pub volume_product_type: Option<String>,
    /// Status.
    #[schema(nullable = false)]
    pub status: Option<String>,
}

/// Hour package of a desktop.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HourPackageInfo {
    /// Root order ID.
    #[schema(nullable = false)]
    pub root_order_id: Option<String>,
    /// Hour package resource ID.
    #[schema(nullable = false)]
    pub package_resource_id: Option<String>,
    /// Hour package instance ID.
    #[schema(nullable = false)]
    pub package_instance_id: Option<String>,
    /// Hour package spec code.
    #[schema(nullable = false)]
    pub package_spec_code: Option<String>,
    /// Resource type code of the bundled product.
    #[schema(nullable = false)]
    pub combined_product_type_code: Option<String>,
    /// SHUTDOWN_OR_HIBERNATE or PAY_PER_USE once the package is used up.
    #[schema(nullable = false)]
    pub use_up_policy: Option<String>,
    /// Hours in the package.
    #[schema(nullable = false)]
    pub package_duration: Option<i64>,
    /// Hours used.
    #[schema(nullable = false)]
    pub use_duration: Option<i64>,
}

/// Answer of `ShowDesktopDetail`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShowDesktopDetailResponse {
    /// The desktop.
    #[schema(nullable = false)]
    pub desktop: Option<DesktopDetailInfo>,
}

/// Answer of `AttachInstances`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachInstancesResponse {
    /// Job ID.
    #[schema(nullable = false)]
    pub job_id: Option<String>,
}

/// Answer of `BatchAttachInstances`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchAttachInstancesResponse {
    /// Job ID.
    #[schema(nullable = false)]
    pub job_id: Option<String>,
}

/// Answer of `DetachInstances`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetachInstancesResponse {
    /// Desktops the operation failed for.
    #[schema(nullable = false)]
    pub failed_operation_list: Option<Vec<VmOperateResult>>,
    /// Job ID. Filled for pool desktops, empty for ordinary ones.
    #[schema(nullable = false)]
    pub job_id: Option<String>,
    /// IDs of jobs already accepted.
    #[schema(nullable = false)]
    pub success_job_ids: Option<Vec<String>>,
}

/// Desktop on which an operation failed, with the reason.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VmOperateResult {
    /// Desktop ID.
    #[schema(nullable = false)]
    pub desktop_id: Option<String>,
    /// Desktop name.
    #[schema(nullable = false)]
    pub desktop_name: Option<String>,
    /// Error code of the failure.
    #[schema(nullable = false)]
    pub error_code: Option<String>,
    /// Reason of the failure.
    #[schema(nullable = false)]
    pub error_msg: Option<String>,
}

/// Answer of `BatchDetachInstances`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchDetachInstancesResponse {
    /// Desktops the operation failed for.
    #[schema(nullable = false)]
    pub failed_operation_list: Option<Vec<VmOperateResult>>,
    /// Job ID. Filled for pool desktops, empty for ordinary ones.
    #[schema(nullable = false)]
    pub job_id: Option<String>,
    /// IDs of jobs already accepted.
    #[schema(nullable = false)]
    pub success_job_ids: Option<Vec<String>>,
}

/// Answer of `BatchDeleteDesktops`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchDeleteDesktopsResponse {
    /// Job ID.
    #[schema(nullable = false)]
    pub job_id: Option<String>,
}

/// Query parameters of `ListDesktops`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDesktopsQuery {
    /// Users of the desktop (fuzzy match), comma separated or repeated. Accept both one comma
    /// separated value and repeated parameters.
    #[schema(nullable = false)]
    pub user_name: Option<Vec<String>>,
    /// Desktop name.
    #[schema(max_length = 255, nullable = false)]
    pub computer_name: Option<String>,
    /// Desktop IP address.
    #[schema(max_length = 255, nullable = false)]
    pub desktop_ip: Option<String>,
    /// Index of the first record, from 0.
    #[schema(minimum = 0, nullable = false)]
    pub offset: Option<i64>,
    /// Page size, 0 to 1000, default 1000.
    #[serde(default = "crate::defaults::thousand")]
    #[schema(default = 1000, minimum = 0, maximum = 1000)]
    pub limit: i64,
    /// Domain join state: 1 joined, 2 left, 3 not reported.
    #[schema(schema_with = domain_status, required = false)]
    pub domain_status: Option<i64>,
    /// Desktop pool ID; several may be comma separated in a query.
    #[schema(max_length = 255, nullable = false)]
    pub pool_id: Option<String>,
    /// Enterprise project ID.
    #[schema(max_length = 36, pattern = "^[a-zA-Z0-9_-]+$", nullable = false)]
    pub enterprise_project_id: Option<String>,
    /// DEDICATED or SHARED, comma separated; empty means all.
    #[schema(max_length = 255, nullable = false)]
    pub desktop_type: Option<String>,
    /// Keep collaboration desktops.
    #[schema(nullable = false)]
    pub is_share_desktop: Option<bool>,
    /// Subnet ID.
    #[schema(max_length = 255, nullable = false)]
    pub subnet_id: Option<String>,
    /// Run status of the desktop.
    #[schema(nullable = false)]
    pub status: Option<String>,
    /// Desktop ID. Accept both one comma separated value and repeated parameters.
    #[schema(max_items = 100, nullable = false)]
    pub desktop_id: Option<Vec<String>>,
    /// Tag filter: key1=value1 or key1=value1,key2=value2 (all must match).
    #[schema(nullable = false)]
    pub tag: Option<String>,
}

/// What desktops are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DesktopSortField {
    /// Creation time.
    Created,
    /// Computer name.
    ComputerName,
}

/// Direction of a sorted list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SortType {
    /// Ascending.
    Asc,
    /// Descending.
    Desc,
}

/// Query parameters of `ListDesktopsDetail`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListDesktopsDetailQuery {
    /// ACTIVE, SHUTOFF, ERROR or HIBERNATED.
    #[schema(max_length = 255, nullable = false)]
    pub status: Option<String>,
    /// User of the desktop; ignored when user_names is given.
    #[schema(max_length = 255, nullable = false)]
    pub user_name: Option<String>,
    /// User ID; the group ID when type is GROUP.
    #[schema(nullable = false)]
    pub user_id: Option<String>,
    /// User names, comma separated or repeated. Accept both one comma separated value and
    /// repeated parameters.
    #[schema(max_items = 100, max_length = 36, nullable = false)]
    pub user_names: Option<Vec<String>>,
    /// Sort key; used with sort_type.
    #[schema(nullable = false)]
    pub sort_field: Option<DesktopSortField>,
    /// ASC (default) or DESC; used with sort_field.
    #[serde(default = "crate::defaults::ascending")]
    #[schema(default = "ASC")]
    pub sort_type: SortType,
    /// Desktop name.
    #[schema(max_length = 255, nullable = false)]
    pub computer_name: Option<String>,
    /// Desktop names to match. Accept both one comma separated value and repeated parameters.
    #[schema(nullable = false)]
    pub computer_names: Option<Vec<String>>,
    /// Desktop IP address.
    #[schema(max_length = 255, nullable = false)]
    pub desktop_ip: Option<String>,
    /// Index of the first record, from 0.
    #[schema(minimum = 0, nullable = false)]
    pub offset: Option<i64>,
    /// Page size. The text says 0 to 500 with default 500, the schema says 1000; see
    /// semantics.md.
    #[serde(default = "crate::defaults::five_hundred")]
    #[schema(default = 500, minimum = 0, maximum = 1000)]
    pub limit: i64,
    /// Desktop ID. Accept both one comma separated value and repeated parameters.
    #[schema(max_items = 100, max_length = 255, nullable = false)]
    pub desktop_id: Option<Vec<String>>,
    /// DEDICATED, POOLED or SHARED; empty means all.
    #[schema(max_length = 255, nullable = false)]
    pub desktop_type: Option<String>,
    /// Domain join state: 1 joined, 2 left, 3 not reported.
    #[schema(schema_with = domain_status, required = false)]
    pub domain_status: Option<i64>,
    /// Tag filter: key1=value1 or key1=value1,key2=value2 (all must match).
    #[schema(max_length = 255, nullable = false)]
    pub tag: Option<String>,
    /// Desktop pool ID; several may be comma separated in a query.
    #[schema(max_length = 255, nullable = false)]
    pub pool_id: Option<String>,
    /// Keep desktops that have (true) or lack (false) a user.
    #[schema(nullable = false)]
    pub user_attached: Option<bool>,
    /// Enterprise project ID.
    #[schema(max_length = 36, nullable = false)]
    pub enterprise_project_id: Option<String>,
    /// Image ID.
    #[schema(max_length = 255, nullable = false)]
    pub image_id: Option<String>,
    /// 0 prepaid period, 1 pay per use.
    #[schema(nullable = false)]
    pub charge_mode: Option<String>,
    /// True while the desktop is in administrator maintenance mode.
    #[schema(nullable = false)]
    pub in_maintenance_mode: Option<bool>,
    /// Keep collaboration desktops.
    #[schema(nullable = false)]
    pub is_share_desktop: Option<bool>,
    /// Subnet ID.
    #[schema(max_length = 255, nullable = false)]
    pub subnet_id: Option<String>,
    /// Whether internet access is on.
    #[schema(nullable = false)]
    pub is_support_internet: Option<bool>,
    /// Availability zone.
    #[schema(nullable = false)]
    pub availability_zone: Option<String>,
    /// True selects only desktops without any tag.
    #[schema(nullable = false)]
    pub without_any_tag: Option<bool>,
    /// Agent version.
    #[schema(nullable = false)]
    pub agent_version: Option<String>,
}

/// Query parameters of `DeleteDesktop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeleteDesktopQuery {
    /// Also delete users left without any desktop. Default false.
    #[serde(default)]
    #[schema(default = false)]
    pub delete_users: bool,
    /// Mail the users of the desktop after deletion. Default true.
    #[serde(default = "crate::defaults::yes")]
    #[schema(default = true)]
    pub email_notification: bool,
    /// Force deletion. Default false.
    #[serde(default)]
    #[schema(default = false)]
    pub is_force_delete: bool,
}

fn domain_status() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .enum_values(Some([1, 2, 3]))
        .description(Some("Whether the desktop has joined a domain."))
        .build()
}
