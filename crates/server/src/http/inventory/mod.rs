//! What desktops are and have: of one, and which ones fit.

use std::sync::Arc;

use outfitter_agent_protocol::InventoryFacts;
use outfitter_api_types::native::inventory::{
    DesktopAddress, DesktopDisk, DesktopFacts, DesktopInventory, FoundInventory, InstalledSoftware,
    ListDesktopSoftwareQuery, ListDesktopSoftwareResponse, SearchInventoryQuery,
    SearchInventoryResponse,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_store::{
    Desktop, FoundDesktop, Installed, InventoryFilter, NameSearch, Page, ProjectKey,
};

use super::{ApiError, Call, Operation, Reply, Routes};
use crate::Services;
use crate::app::desktops;

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::get(
                "/api/v1/{project_id}/desktops/{desktop_id}/inventory",
                "ShowDesktopInventory",
            )
            .action("outfitter:desktopInventories:get")
            .codes(&[404])
            .summary("Show what a desktop is, as its agent told last."),
            show,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/desktops/{desktop_id}/software",
                "ListDesktopSoftware",
            )
            .action("outfitter:desktopInventories:listSoftware")
            .codes(&[404])
            .summary("List what is installed on a desktop, by name."),
            list_software,
        )
        .add(
            Operation::get("/api/v1/{project_id}/inventory", "SearchInventory")
                .action("outfitter:desktopInventories:list")
                .summary("Find desktops by what they are and what is installed on them."),
            search,
        );
}

async fn show(services: Arc<Services>, call: Call) -> Result<Reply<DesktopInventory>, ApiError> {
    let desktop = desktop(&services, call.project().project, call.path("desktop_id")).await?;
    let known = services.store.db().inventory_find(desktop.key).await?;
    let (facts_at, software_at, software_left_off) = known.as_ref().map_or((None, None, 0), |it| {
        (it.facts_at, it.software_at, it.software_left_off)
    });
    Ok(Reply::new(DesktopInventory {
        desktop_id: desktop.id.to_string(),
        desktop_name: desktop.name,
        facts: known.map(|it| facts(it.facts)).unwrap_or_default(),
        facts_at: facts_at.map(time),
        software_at: software_at.map(time),
        software_left_off,
    }))
}

async fn list_software(
    services: Arc<Services>,
    call: Call<(), ListDesktopSoftwareQuery>,
) -> Result<Reply<ListDesktopSoftwareResponse>, ApiError> {
    let desktop = desktop(&services, call.project().project, call.path("desktop_id")).await?;
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let name = call.query.name.as_deref().filter(|part| !part.is_empty());
    let listed = services
        .store
        .db()
        .inventory_software(desktop.key, name, page)
        .await?;
    Ok(Reply::new(ListDesktopSoftwareResponse {
        count: listed.total,
        items: listed.items.into_iter().map(software).collect(),
    }))
}

async fn search(
    services: Arc<Services>,
    call: Call<(), SearchInventoryQuery>,
) -> Result<Reply<SearchInventoryResponse>, ApiError> {
    let project = call.project().project;
    let query = call.query;
    let page = Page {
        offset: query.offset,
        limit: query.limit,
    };
    let software = match (query.software, query.version) {
        (Some(name), version) => Some((name_search(name), version)),
        (None, None) => None,
        (None, Some(_)) => {
            return Err(ApiError::invalid("version", "needs software beside it"));
        }
    };
    let filter = InventoryFilter {
        software,
        os_part: query.os,
        user: query.user,
        reboot_pending: query.reboot_pending,
        disk_free_below: query.disk_free_below,
    };
    let listed = services
        .store
        .db()
        .inventory_search(project, &filter, page)
        .await?;
    Ok(Reply::new(SearchInventoryResponse {
        count: listed.total,
        items: listed.items.into_iter().map(found).collect(),
    }))
}

fn name_search(name: String) -> NameSearch {
    match name.strip_suffix('*') {
        Some(begin) => NameSearch::BeginsWith(begin.to_owned()),
        None => NameSearch::Is(name),
    }
}

async fn desktop(
    services: &Services,
    project: ProjectKey,
    text: &str,
) -> Result<Desktop, ApiError> {
    desktops::find(services, project, text)
        .await?
        .ok_or(ApiError::NotFound { noun: "desktop" })
}

fn time(at: Millis) -> WireTime {
    WireTime::from_unix_millis(at.get())
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn software(it: Installed) -> InstalledSoftware {
    InstalledSoftware {
        source: it.source,
        name: it.name,
        version: it.version,
    }
}

fn facts(facts: InventoryFacts) -> DesktopFacts {
    DesktopFacts {
        os_name: facts.os_name,
        os_version: facts.os_version,
        kernel: facts.kernel,
        architecture: facts.architecture,
        host_name: facts.host_name,
        vendor: facts.vendor,
        model: facts.model,
        processors: facts.processors.map(i64::from),
        memory_bytes: facts.memory_bytes.map(number),
        addresses: facts
            .addresses
            .into_iter()
            .map(|it| DesktopAddress {
                interface: it.interface,
                address: it.address,
            })
            .collect(),
        users: facts.users,
        users_at_desktop: facts.at_desktop,
        disks: facts
            .disks
            .into_iter()
            .map(|disk| DesktopDisk {
                path: disk.path,
                total_bytes: number(disk.total_bytes),
                free_bytes: number(disk.free_bytes),
            })
            .collect(),
        reboot_pending: facts.reboot_pending,
        agent_version: facts.agent_version,
    }
}

fn found(desktop: FoundDesktop) -> FoundInventory {
    let told_at = desktop
        .inventory
        .as_ref()
        .and_then(|it| it.facts_at.max(it.software_at));
    let facts = desktop.inventory.map(|it| it.facts).unwrap_or_default();
    FoundInventory {
        desktop_id: desktop.id.to_string(),
        desktop_name: desktop.name,
        os_name: facts.os_name,
        users: facts.users,
        reboot_pending: facts.reboot_pending,
        disk_free_bytes: facts.disks.iter().map(|disk| number(disk.free_bytes)).min(),
        software: desktop.software.into_iter().map(software).collect(),
        told_at: told_at.map(time),
    }
}
