use std::sync::Arc;

use outfitter_api_types::native::directory::{
    Directory, DirectoryKind as WireKind, SetDirectoryReq,
};
use outfitter_domain::directory::DirectoryKind;

use super::{refused, shown};
use crate::Services;
use crate::app::directory::{self, Draft};
use crate::http::{ApiError, Call, Reply};

/// Seconds between synchronisations when the request does not say.
const DEFAULT_INTERVAL_SECS: i64 = 300;

pub(super) async fn set(
    services: Arc<Services>,
    call: Call<SetDirectoryReq>,
) -> Result<Reply<Directory>, ApiError> {
    let (project, project_id) = (call.project().project, call.project().id);
    let body = call.body;
    let draft = Draft {
        kind: match body.kind {
            WireKind::Ad => DirectoryKind::Ad,
            WireKind::Ldap => DirectoryKind::Ldap,
        },
        url: body.url,
        ca_pem: body.ca_pem,
        bind_name: body.bind_user,
        bind_password: body
            .bind_password
            .map(|password| password.expose().to_owned().into()),
        base: body.base_dn,
        user_base: body.user_base_dn,
        group_base: body.group_base_dn,
        user_filter: body.user_filter,
        group_filter: body.group_filter,
        domain: body.domain,
        user_name_attribute: body.user_name_attribute,
        group_name_attribute: body.group_name_attribute,
        interval_secs: body.sync_interval_seconds.unwrap_or(DEFAULT_INTERVAL_SECS),
    };
    directory::set(&services, project, project_id.uuid(), &draft)
        .await
        .map_err(refused)?;
    shown(&services, project).await
}
