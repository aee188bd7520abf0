//! How desktops are reached over SSH, and what a push of the agent would find.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use utoipa::ToSchema;

use crate::secret::SecretText;
use crate::time::WireTime;

/// Body of setting how a desktop is reached over SSH. What is absent or null is taken from the network's entry.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SetReachReq {
    /// Host name or address. Absent: where the desktop's agent last connected from.
    #[schema(min_length = 1, max_length = 255)]
    pub address: Option<String>,
    /// Port; 22 when nobody says another.
    #[schema(minimum = 1, maximum = 65535)]
    pub port: Option<i64>,
    /// User.
    #[schema(min_length = 1, max_length = 64)]
    pub user: Option<String>,
    /// Private key (Ed25519 or ECDSA), PEM.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 16384)]
    pub key: Option<SecretText>,
    /// Its passphrase.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024)]
    pub key_passphrase: Option<SecretText>,
    /// Password of the user; a key outranks it.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024)]
    pub password: Option<SecretText>,
    /// False when the user may not use sudo.
    pub sudo: Option<bool>,
    /// What sudo asks for; absent: the user's password.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024)]
    pub sudo_password: Option<SecretText>,
    /// The one host key that is accepted: `SHA256:` and base64, as `ssh-keygen -lf` prints it. Absent: the first
    /// one that lets us in is pinned.
    #[schema(min_length = 1, max_length = 64)]
    pub host_key: Option<String>,
    /// Host name or address of the machine through which it is reached.
    #[schema(min_length = 1, max_length = 255)]
    pub jump_address: Option<String>,
    /// Its port.
    #[schema(minimum = 1, maximum = 65535)]
    pub jump_port: Option<i64>,
    /// User there; absent: as on the desktop.
    #[schema(min_length = 1, max_length = 64)]
    pub jump_user: Option<String>,
    /// Private key there; absent with `jump_password`: as on the desktop.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 16384)]
    pub jump_key: Option<SecretText>,
    /// Its passphrase.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024)]
    pub jump_key_passphrase: Option<SecretText>,
    /// Password there.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024)]
    pub jump_password: Option<SecretText>,
    /// The one host key that is accepted of it.
    #[schema(min_length = 1, max_length = 64)]
    pub jump_host_key: Option<String>,
}

/// How something is reached, without secrets.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reach {
    /// Host name or address.
    #[schema(nullable = false)]
    pub address: Option<String>,
    /// Port.
    #[schema(nullable = false)]
    pub port: Option<u16>,
    /// User.
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// Whether a key or a password is stored.
    pub has_login: bool,
    /// Whether the user may use sudo.
    #[schema(nullable = false)]
    pub sudo: Option<bool>,
    /// The one host key that is accepted.
    #[schema(nullable = false)]
    pub host_key: Option<String>,
    /// Host name or address of the jump host.
    #[schema(nullable = false)]
    pub jump_address: Option<String>,
    /// Its port.
    #[schema(nullable = false)]
    pub jump_port: Option<u16>,
    /// User there.
    #[schema(nullable = false)]
    pub jump_user: Option<String>,
    /// The one host key that is accepted of it.
    #[schema(nullable = false)]
    pub jump_host_key: Option<String>,
}

/// How a desktop is reached by its own settings.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopReach {
    /// Desktop ID.
    pub desktop_id: String,
    /// How.
    #[serde(flatten)]
    pub reach: Reach,
    /// Host key that was pinned when it first let us in.
    #[schema(nullable = false)]
    pub pinned_host_key: Option<String>,
    /// The jump host's.
    #[schema(nullable = false)]
    pub pinned_jump_host_key: Option<String>,
    /// When it was set; absent: nothing was set for the desktop itself.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub updated_at: Option<WireTime>,
}

/// Body of setting how the desktops of a network are reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetNetworkReachReq {
    /// Address and length of the prefix, bits of hosts zero. An entry of the same network is replaced.
    #[schema(min_length = 3, max_length = 64)]
    pub network: String,
    /// How its desktops are reached. An address here means nothing.
    pub reach: SetReachReq,
}

/// How the desktops of a network are reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkReach {
    /// ID.
    pub id: String,
    /// Address and length of the prefix.
    pub network: String,
    /// How.
    #[serde(flatten)]
    pub reach: Reach,
    /// When it was set.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: WireTime,
}

/// Answer of listing how networks are reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListNetworkReachesResponse {
    /// Number of entries.
    #[schema(minimum = 0)]
    pub count: i64,
    /// All of them, by network.
    pub items: Vec<NetworkReach>,
}

/// What a push of the agent would find. Nothing was changed.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbeDesktopResponse {
    /// Whether a push would go through, as far as can be seen from here.
    pub ok: bool,
    /// The step a push would not get beyond: `connect`, `host key`, `login`, `probe`.
    #[schema(nullable = false)]
    pub step: Option<String>,
    /// Stable code of what stands in the way.
    #[schema(nullable = false)]
    pub error_code: Option<String>,
    /// The far side's words.
    #[schema(nullable = false)]
    pub words: Option<String>,
    /// What to do about it.
    #[schema(nullable = false)]
    pub hint: Option<String>,
    /// The far side's own name.
    #[schema(nullable = false)]
    pub host: Option<String>,
    /// Name and version of its system.
    #[schema(nullable = false)]
    pub system: Option<String>,
    /// Its architecture.
    #[schema(nullable = false)]
    pub arch: Option<String>,
    /// Free space where the agent goes.
    #[schema(nullable = false)]
    pub free_bytes: Option<u64>,
    /// Whether systemd runs there.
    #[schema(nullable = false)]
    pub systemd: Option<bool>,
    /// Fingerprint of its host key.
    #[schema(nullable = false)]
    pub host_key: Option<String>,
    /// What a push would do, a sentence each.
    pub would: Vec<String>,
}
