//! The tasks, a file each.

pub(super) mod agent_push;
pub(super) mod agent_update;
pub(super) mod agents_online;
pub(super) mod audit_retention;
pub(super) mod audit_seal;
pub(super) mod deployment_expand;
pub(super) mod direct_uploads;
pub(super) mod directory_sync;
pub(super) mod download_limits;
pub(super) mod enrollment_sweep;
pub(super) mod inventory_sweep;
pub(super) mod job_dispatch;
pub(super) mod job_expiry;
pub(super) mod job_sweep;
pub(super) mod package_look;
pub(super) mod package_store_sweep;
pub(super) mod presence_flush;
pub(super) mod receipt_verify;
pub(super) mod server_key;
pub(super) mod store_collect;
pub(super) mod writers;
