//! `/api/v1/{project_id}/directory`: the company directory of a project.

mod set;
mod status;
mod sync;
mod test;

use std::sync::Arc;

use outfitter_api_types::native::directory::{Directory, DirectoryKind as WireKind};
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_domain::directory::DirectoryKind;
use outfitter_store::ProjectKey;

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;
use crate::app::directory::{self, DirectoryError};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    const DIRECTORY: &str = "/api/v1/{project_id}/directory";
    routes
        .add(
            Operation::put(DIRECTORY, "SetDirectory")
                .action("outfitter:directory:set")
                .summary("Set how the company directory is reached; it is synchronised at once."),
            set::set,
        )
        .add(
            Operation::get(DIRECTORY, "ShowDirectory")
                .action("outfitter:directory:get")
                .codes(&[404])
                .summary("Show how the company directory is reached, without secrets."),
            show,
        )
        .add(
            Operation::delete(DIRECTORY, "RemoveDirectory")
                .action("outfitter:directory:delete")
                .status(204)
                .codes(&[404])
                .summary(
                    "Forget the company directory; its users and groups stay as they are known.",
                ),
            remove,
        )
        .add(
            Operation::post("/api/v1/{project_id}/directory/test", "TestDirectory")
                .action("outfitter:directory:test")
                .codes(&[404])
                .summary(
                    "Connect to the company directory and count what is there; nothing is stored.",
                ),
            test::test,
        )
        .add(
            Operation::post("/api/v1/{project_id}/directory/sync", "SyncDirectory")
                .action("outfitter:directory:sync")
                .optional_body()
                .status(202)
                .codes(&[404])
                .summary("Ask for a synchronisation; its status tells when it ended."),
            sync::sync,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/directory/status",
                "ShowDirectoryStatus",
            )
            .action("outfitter:directory:getStatus")
            .codes(&[404])
            .summary("Show how the synchronisation of the company directory fares."),
            status::status,
        );
}

async fn show(services: Arc<Services>, call: Call) -> Result<Reply<Directory>, ApiError> {
    shown(&services, call.project().project).await
}

async fn remove(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    directory::remove(&services, call.project().project)
        .await
        .map_err(refused)?;
    Ok(Reply::empty())
}

async fn shown(services: &Services, project: ProjectKey) -> Result<Reply<Directory>, ApiError> {
    let stored = services
        .store
        .db()
        .directory(project)
        .await?
        .ok_or(UNKNOWN)?;
    let settings = directory::read_settings(&stored).map_err(refused)?;
    Ok(Reply::new(Directory {
        kind: match settings.kind {
            DirectoryKind::Ad => WireKind::Ad,
            DirectoryKind::Ldap => WireKind::Ldap,
        },
        url: settings.url,
        ca_pem: settings.ca_pem,
        bind_user: settings.bind_name,
        domain: settings.domain,
        user_base_dn: settings.user_base,
        group_base_dn: settings.group_base,
        user_filter: settings.user_filter,
        group_filter: settings.group_filter,
        user_name_attribute: settings.user_name_attribute,
        group_name_attribute: settings.group_name_attribute,
        sync_interval_seconds: stored.interval_secs,
        updated_at: time(stored.updated_at),
    }))
}

const UNKNOWN: ApiError = ApiError::NotFound { noun: "directory" };

fn time(at: Millis) -> WireTime {
    WireTime::from_unix_millis(at.get())
}

fn refused(error: DirectoryError) -> ApiError {
    match error {
        DirectoryError::Invalid { member, reason } => ApiError::invalid(member, reason),
        DirectoryError::Unknown => UNKNOWN,
        DirectoryError::Store(source) => source.into(),
        DirectoryError::Sealed(_) | DirectoryError::Stored(_) => {
            ApiError::internal("read how the directory is reached", error)
        }
    }
}
