//! Desktops as our own routes show them.

use std::sync::Arc;

use outfitter_api_types::apps::OsTypeEnum;
use outfitter_api_types::authorizations::{AccountInfo, AccountTypeEnum};
use outfitter_api_types::native::desktops::{
    AgentPresence, DesktopAgent, ExportDesktopsQuery, ListRegisteredDesktopsQuery,
    ListRegisteredDesktopsResponse, RegisteredDesktop,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::{Millis, OsType};
use outfitter_ids::DesktopId;
use outfitter_store::{Desktop, DesktopFilter, DesktopOrder, LeftUsers, Page, Persistence};

use super::identity;
use crate::Services;
use crate::app::desktops;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListRegisteredDesktopsQuery>,
) -> Result<Reply<ListRegisteredDesktopsResponse>, ApiError> {
    let project = call.project().project;
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let query = call.query;
    let filter = filter(
        &services,
        ExportDesktopsQuery {
            name: query.name,
            agent: query.agent,
            agent_version: query.agent_version,
            user: query.user,
            os_type: query.os_type,
            restart_needed: query.restart_needed,
            has_copy: query.has_copy,
        },
    );
    let listed = services
        .store
        .db()
        .desktop_list(project, &filter, DesktopOrder::NewestFirst, page)
        .await?;
    Ok(Reply::new(ListRegisteredDesktopsResponse {
        count: listed.total,
        items: listed
            .items
            .into_iter()
            .map(|desktop| wire(&services, desktop))
            .collect(),
    }))
}

/// What a query asks for, in the store's words.
pub(super) fn filter(services: &Services, query: ExportDesktopsQuery) -> DesktopFilter {
    let since = services
        .clock
        .now()
        .minus(desktops::presence_grace(services));
    let (agent_installed, seen) = match query.agent {
        None => (None, None),
        Some(AgentPresence::Online) => (None, Some((since, true))),
        Some(AgentPresence::Offline) => (None, Some((since, false))),
        Some(AgentPresence::None) => (Some(false), None),
    };
    DesktopFilter {
        name_part: query.name.filter(|part| !part.is_empty()),
        user_name_parts: query
            .user
            .filter(|part| !part.is_empty())
            .map(|part| vec![part]),
        agent_version: query.agent_version,
        os_type: query.os_type.map(os_type),
        restart_needed: query.restart_needed,
        has_copy: query.has_copy,
        agent_installed,
        seen,
        ..DesktopFilter::default()
    }
}

pub(super) async fn delete(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    let project = call.project().project;
    let ids: Vec<DesktopId> = DesktopId::lookup(call.path("desktop_id"))
        .into_iter()
        .collect();
    let tx = services.store.write().await?;
    let keys: Vec<_> = tx
        .desktops_lock(project, &ids)
        .await?
        .into_iter()
        .map(|(_, key)| key)
        .collect();
    if keys.is_empty() {
        return Err(ApiError::NotFound { noun: "desktop" });
    }
    desktops::delete(&services, &tx, project, &keys, LeftUsers::Keep).await?;
    tx.commit().await?;
    desktops::close_channels(&services, &keys);
    Ok(Reply::new(()))
}

pub(super) fn wire(services: &Services, desktop: Desktop) -> RegisteredDesktop {
    let time = |at: Millis| WireTime::from_unix_millis(at.get());
    let connected = desktops::is_connected(services, &desktop);
    RegisteredDesktop {
        id: desktop.id.to_string(),
        name: desktop.name,
        os_type: match desktop.os_type {
            OsType::Linux => OsTypeEnum::Linux,
            OsType::Windows => OsTypeEnum::Windows,
            OsType::Other => OsTypeEnum::Other,
        },
        persistent: desktop.persistence == Persistence::Persistent,
        users: desktop
            .users
            .into_iter()
            .map(|user| AccountInfo {
                account: user.name,
                domain: Some(user.domain),
                account_type: AccountTypeEnum::Simple,
                platform_type: None,
            })
            .collect(),
        restart_needed_since: desktop.reboot_needed_at.map(time),
        agent: desktop.agent.map(|agent| DesktopAgent {
            version: agent.version,
            connected,
            enrolled_at: time(agent.enrolled_at),
            last_seen_at: desktop.last_seen_at.map(time),
            sandbox_root: agent.sandbox_root,
            copy: agent.copy.and_then(identity::wire),
        }),
        created_at: time(desktop.created_at),
    }
}

pub(super) fn os_type(word: OsTypeEnum) -> OsType {
    match word {
        OsTypeEnum::Linux => OsType::Linux,
        OsTypeEnum::Windows => OsType::Windows,
        OsTypeEnum::Other => OsType::Other,
    }
}
