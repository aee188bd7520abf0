//! Desktops as the contract shows them.

use std::collections::BTreeMap;

use outfitter_api_types::desktops::{
    AddressInfo, AttachInstancesUserInfoOut, AttachState, AttachUserType, DesktopDetailInfo,
    SimpleDesktopInfo,
};
use outfitter_api_types::tags::TagOut;
use outfitter_api_types::time::WireTime;
use outfitter_store::{Desktop, DesktopTag, TagMatch};

use crate::Services;
use crate::app::desktops::is_connected;
use crate::auth::ProjectAccess;

/// The one run status of our desktops: we do not start or stop machines.
pub(super) const ACTIVE: &str = "ACTIVE";

/// `domain_status` of our desktops: not reported.
pub(super) const DOMAIN_NOT_REPORTED: i64 = 3;

/// `login_status` and `connect_status`: whether the agent is connected.
fn login_status(services: &Services, desktop: &Desktop) -> String {
    if is_connected(services, desktop) {
        "REGISTERED".to_owned()
    } else {
        "UNREGISTER".to_owned()
    }
}

fn users(desktop: &Desktop) -> Vec<AttachInstancesUserInfoOut> {
    desktop
        .users
        .iter()
        .map(|user| AttachInstancesUserInfoOut {
            user_id: Some(user.id.to_string()),
            user_name: Some(user.name.clone()),
            domain: Some(user.domain.clone()),
            user_group: user.user_group.clone(),
            account_type: Some(AttachUserType::User),
        })
        .collect()
}

pub(in crate::http) fn tags(tags: Vec<DesktopTag>) -> Vec<TagOut> {
    tags.into_iter()
        .map(|tag| TagOut {
            key: Some(tag.key),
            value: Some(tag.value),
        })
        .collect()
}

pub(super) fn simple(
    services: &Services,
    project: &ProjectAccess,
    desktop: Desktop,
) -> SimpleDesktopInfo {
    let first = desktop.users.first();
    SimpleDesktopInfo {
        project_id: Some(project.id.to_string()),
        desktop_id: Some(desktop.id.to_string()),
        computer_name: Some(desktop.name.clone()),
        os_host_name: Some(desktop.name.clone()),
        created: Some(WireTime::from_unix_millis(desktop.created_at.get())),
        ip_address: desktop.ip_address.clone(),
        user_name: first.map(|user| user.name.clone()),
        user_group: first.and_then(|user| user.user_group.clone()),
        attach_user_infos: Some(users(&desktop)),
        in_maintenance_mode: Some(false),
        desktop_type: Some(desktop.desktop_type.as_str().to_owned()),
        status: Some(ACTIVE.to_owned()),
        task_status: Some(String::new()),
        connect_status: Some(login_status(services, &desktop)),
        domain_status: Some(DOMAIN_NOT_REPORTED),
        tags: Some(tags(desktop.tags)),
        ..SimpleDesktopInfo::default()
    }
}

pub(super) fn detail(services: &Services, desktop: Desktop) -> DesktopDetailInfo {
    let first = desktop.users.first();
    let addresses = desktop.ip_address.as_ref().map(|address| {
        let version = if address.contains(':') { "6" } else { "4" };
        let info = AddressInfo {
            addr: Some(address.clone()),
            version: Some(version.to_owned()),
            os_ext_ips_type: Some("fixed".to_owned()),
            ..AddressInfo::default()
        };
        BTreeMap::from([("default".to_owned(), vec![info])])
    });
    DesktopDetailInfo {
        desktop_id: Some(desktop.id.to_string()),
        computer_name: Some(desktop.name.clone()),
        os_host_name: Some(desktop.name.clone()),
        addresses,
        ip_addresses: Some(desktop.ip_address.iter().cloned().collect()),
        ipv4: desktop
            .ip_address
            .clone()
            .filter(|address| !address.contains(':')),
        ipv6: desktop
            .ip_address
            .clone()
            .filter(|address| address.contains(':')),
        user_list: Some(desktop.users.iter().map(|user| user.name.clone()).collect()),
        user_group_list: Some(
            desktop
                .users
                .iter()
                .filter_map(|user| user.user_group.clone())
                .collect(),
        ),
        desktop_type: Some(desktop.desktop_type.as_str().to_owned()),
        metadata: Some(BTreeMap::from([(
            "os_type".to_owned(),
            desktop.os_type.as_str().to_owned(),
        )])),
        status: Some(ACTIVE.to_owned()),
        task_status: Some(String::new()),
        domain_status: Some(DOMAIN_NOT_REPORTED),
        in_maintenance_mode: Some(false),
        created: Some(WireTime::from_unix_millis(desktop.created_at.get())),
        login_status: Some(login_status(services, &desktop)),
        user_name: first.map(|user| user.name.clone()),
        user_group: first.and_then(|user| user.user_group.clone()),
        domain: first.map(|user| user.domain.clone()),
        attach_user_infos: Some(users(&desktop)),
        attach_state: Some(if desktop.users.is_empty() {
            AttachState::Unattach
        } else {
            AttachState::Attached
        }),
        is_freeze: Some(false),
        process: None,
        agent_version: desktop.agent.map(|agent| agent.version),
        tags: Some(tags(desktop.tags)),
        ..DesktopDetailInfo::default()
    }
}

/// The tag filter of a list: `key1=value1,key2=value2`, all of which must hold; a key alone: any value.
pub(super) fn tag_filter(text: Option<&str>) -> Vec<TagMatch> {
    text.unwrap_or_default()
        .split(',')
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('=') {
            Some((key, value)) => TagMatch {
                key: key.to_owned(),
                values: vec![value.to_owned()],
            },
            None => TagMatch {
                key: part.to_owned(),
                values: Vec::new(),
            },
        })
        .collect()
}
