use std::sync::Arc;

use outfitter_api_types::desktops::{
    DesktopSortField, ListDesktopsDetailQuery, ListDesktopsDetailResponse, ListDesktopsQuery,
    ListDesktopsResponse, ShowDesktopDetailResponse, SortType,
};
use outfitter_ids::{DesktopId, UserId};
use outfitter_store::{DesktopFilter, DesktopOrder, Page, TagSearch};

use super::wire::{ACTIVE, DOMAIN_NOT_REPORTED, detail, simple, tag_filter};
use crate::Services;
use crate::http::{ApiError, Call, Reply};

/// The enterprise project that everything belongs to which nobody put into another.
const DEFAULT_ENTERPRISE_PROJECT: &str = "0";

/// Filters on what our desktops are not or do not have.
#[derive(Default)]
struct Foreign<'q> {
    status: Option<&'q str>,
    domain_status: Option<i64>,
    enterprise_project: Option<&'q str>,
    /// Ids of pools, subnets, images, zones, charges: nothing of ours has any.
    absent: [Option<&'q str>; 5],
    /// Properties that no desktop of ours has.
    never: [Option<bool>; 3],
}

impl Foreign<'_> {
    /// Whether some desktops of ours can pass.
    fn can_pass(&self) -> bool {
        let empty_or = |text: Option<&str>, pass: fn(&str) -> bool| {
            text.is_none_or(|text| text.is_empty() || pass(text))
        };
        empty_or(self.status, |words| {
            words.split(',').any(|word| word == ACTIVE)
        }) && self
            .domain_status
            .is_none_or(|status| status == DOMAIN_NOT_REPORTED)
            && empty_or(self.enterprise_project, |id| {
                id == DEFAULT_ENTERPRISE_PROJECT
            })
            && self.absent.iter().all(|text| empty_or(*text, |_| false))
            && self.never.iter().all(|wanted| *wanted != Some(true))
    }
}

pub(super) fn desktop_ids(texts: Option<Vec<String>>) -> Option<Vec<DesktopId>> {
    texts.filter(|texts| !texts.is_empty()).map(|texts| {
        texts
            .iter()
            .filter_map(|text| DesktopId::lookup(text))
            .collect()
    })
}

fn words(text: Option<String>) -> Option<Vec<String>> {
    text.filter(|text| !text.is_empty())
        .map(|text| text.split(',').map(str::to_owned).collect())
}

/// A page; a limit of 0 means the default (contract, section 1).
pub(super) fn page(offset: Option<i64>, limit: i64, default: i64) -> Page {
    Page {
        offset: offset.unwrap_or(0),
        limit: if limit == 0 { default } else { limit },
    }
}

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListDesktopsQuery>,
) -> Result<Reply<ListDesktopsResponse>, ApiError> {
    let access = call.project().clone();
    let query = call.query;
    let foreign = Foreign {
        status: query.status.as_deref(),
        domain_status: query.domain_status,
        enterprise_project: query.enterprise_project_id.as_deref(),
        absent: [
            query.pool_id.as_deref(),
            query.subnet_id.as_deref(),
            None,
            None,
            None,
        ],
        never: [query.is_share_desktop, None, None],
    };
    if !foreign.can_pass() {
        return Ok(Reply::new(ListDesktopsResponse {
            total_count: Some(0),
            desktops: Some(Vec::new()),
        }));
    }
    let page = page(query.offset, query.limit, 1000);
    let filter = DesktopFilter {
        ids: desktop_ids(query.desktop_id),
        name_part: query.computer_name,
        ip_part: query.desktop_ip,
        user_name_parts: query.user_name,
        desktop_types: words(query.desktop_type),
        tags: TagSearch {
            all: tag_filter(query.tag.as_deref()),
            ..TagSearch::default()
        },
        ..DesktopFilter::default()
    };
    let listed = services
        .store
        .db()
        .desktop_list(access.project, &filter, DesktopOrder::NewestFirst, page)
        .await?;
    Ok(Reply::new(ListDesktopsResponse {
        total_count: Some(listed.total),
        desktops: Some(
            listed
                .items
                .into_iter()
                .map(|desktop| simple(&services, &access, desktop))
                .collect(),
        ),
    }))
}

pub(super) async fn list_detail(
    services: Arc<Services>,
    call: Call<(), ListDesktopsDetailQuery>,
) -> Result<Reply<ListDesktopsDetailResponse>, ApiError> {
    let project = call.project().project;
    let query = call.query;
    let foreign = Foreign {
        status: query.status.as_deref(),
        domain_status: query.domain_status,
        enterprise_project: query.enterprise_project_id.as_deref(),
        absent: [
            query.pool_id.as_deref(),
            query.subnet_id.as_deref(),
            query.image_id.as_deref(),
            query.availability_zone.as_deref(),
            query.charge_mode.as_deref(),
        ],
        never: [
            query.is_share_desktop,
            query.in_maintenance_mode,
            query.is_support_internet,
        ],
    };
    let user = query.user_id.filter(|text| !text.is_empty());
    let known_user = user.as_deref().and_then(UserId::lookup);
    if !foreign.can_pass() || (user.is_some() && known_user.is_none()) {
        return Ok(Reply::new(ListDesktopsDetailResponse {
            desktops: Some(Vec::new()),
            total_count: Some(0),
        }));
    }
    let page = page(query.offset, query.limit, 500);
    let order = match (query.sort_field, query.sort_type) {
        (None, _) | (Some(DesktopSortField::Created), SortType::Desc) => DesktopOrder::NewestFirst,
        (Some(DesktopSortField::Created), SortType::Asc) => DesktopOrder::OldestFirst,
        (Some(DesktopSortField::ComputerName), SortType::Asc) => DesktopOrder::NameAscending,
        (Some(DesktopSortField::ComputerName), SortType::Desc) => DesktopOrder::NameDescending,
    };
    let user_names = query.user_names.filter(|names| !names.is_empty());
    let filter = DesktopFilter {
        ids: desktop_ids(query.desktop_id),
        name_part: query.computer_name,
        names: query.computer_names.filter(|names| !names.is_empty()),
        ip_part: query.desktop_ip,
        // user_names outranks user_name.
        user_name_parts: query
            .user_name
            .filter(|_| user_names.is_none())
            .map(|name| vec![name]),
        user_names,
        user: known_user,
        user_attached: query.user_attached,
        desktop_types: words(query.desktop_type),
        agent_version: query.agent_version.filter(|version| !version.is_empty()),
        agent_installed: None,
        without_any_tag: query.without_any_tag,
        tags: TagSearch {
            all: tag_filter(query.tag.as_deref()),
            ..TagSearch::default()
        },
        seen: None,
        os_type: None,
        restart_needed: None,
        has_copy: None,
        before: None,
    };
    let listed = services
        .store
        .db()
        .desktop_list(project, &filter, order, page)
        .await?;
    Ok(Reply::new(ListDesktopsDetailResponse {
        desktops: Some(
            listed
                .items
                .into_iter()
                .map(|desktop| detail(&services, desktop))
                .collect(),
        ),
        total_count: Some(listed.total),
    }))
}

pub(super) async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<ShowDesktopDetailResponse>, ApiError> {
    let unknown = ApiError::NotFound { noun: "desktop" };
    let Some(id) = DesktopId::lookup(call.path("desktop_id")) else {
        return Err(unknown);
    };
    let desktop = services
        .store
        .db()
        .desktop_find(call.project().project, id)
        .await?
        .ok_or(unknown)?;
    Ok(Reply::new(ShowDesktopDetailResponse {
        desktop: Some(detail(&services, desktop)),
    }))
}
