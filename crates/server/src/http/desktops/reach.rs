//! How desktops are reached over SSH, and what a push would find.

use std::sync::Arc;

use outfitter_api_types::native::reach::{
    DesktopReach, ListNetworkReachesResponse, NetworkReach, ProbeDesktopResponse,
    Reach as WireReach, SetNetworkReachReq, SetReachReq,
};
use outfitter_api_types::secret::SecretText;
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_ids::NetworkReachId;
use outfitter_push::{AgentBinary, Identity, KeyOwner, Probed};
use outfitter_store::{Desktop, HostKeyOf, ProjectKey};

use crate::Services;
use crate::app::desktops;
use crate::app::push::{self, Probe};
use crate::app::reach::{self, Reach, ReachError, ReachSecrets, ReachSettings};
use crate::http::{ApiError, Call, Reply};

const UNKNOWN: ApiError = ApiError::NotFound { noun: "desktop" };

async fn desktop(services: &Services, project: ProjectKey, id: &str) -> Result<Desktop, ApiError> {
    desktops::find(services, project, id).await?.ok_or(UNKNOWN)
}

pub(super) async fn set(
    services: Arc<Services>,
    call: Call<SetReachReq>,
) -> Result<Reply<DesktopReach>, ApiError> {
    let desktop = desktop(&services, call.project().project, call.path("desktop_id")).await?;
    let reach = read(call.body)?;
    reach::set_of_desktop(&services, &desktop, &reach)
        .await
        .map_err(refused)?;
    shown(&services, &desktop).await
}

pub(super) async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<DesktopReach>, ApiError> {
    let desktop = desktop(&services, call.project().project, call.path("desktop_id")).await?;
    shown(&services, &desktop).await
}

pub(super) async fn forget(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    let desktop = desktop(&services, call.project().project, call.path("desktop_id")).await?;
    reach::forget(&services, desktop.key).await?;
    Ok(Reply::empty())
}

async fn shown(services: &Services, desktop: &Desktop) -> Result<Reply<DesktopReach>, ApiError> {
    let db = services.store.db();
    let own = reach::of_desktop(services, db, desktop)
        .await
        .map_err(refused)?;
    let pins = db.host_keys(desktop.key).await?;
    let pin = |of| {
        pins.iter()
            .find(|pin| pin.of == of)
            .map(|pin| pin.fingerprint.clone())
    };
    let (reach, updated_at) = own.map_or_else(
        || (Reach::default(), None),
        |(reach, updated_at)| (reach, Some(updated_at)),
    );
    Ok(Reply::new(DesktopReach {
        desktop_id: desktop.id.to_string(),
        reach: wire(&reach),
        pinned_host_key: pin(HostKeyOf::Desktop),
        pinned_jump_host_key: pin(HostKeyOf::Jump),
        updated_at: updated_at.map(time),
    }))
}

pub(super) async fn set_network(
    services: Arc<Services>,
    call: Call<SetNetworkReachReq>,
) -> Result<Reply<NetworkReach>, ApiError> {
    let project = call.project().project;
    let network = call.body.network;
    let reach = read(call.body.reach)?;
    let (id, updated_at) = reach::set_of_network(&services, project, &network, &reach)
        .await
        .map_err(refused)?;
    Ok(Reply::new(NetworkReach {
        id: id.to_string(),
        network,
        reach: wire(&reach),
        updated_at: time(updated_at),
    }))
}

pub(super) async fn list_networks(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<ListNetworkReachesResponse>, ApiError> {
    let entries = reach::of_networks(&services, services.store.db(), call.project().project)
        .await
        .map_err(refused)?;
    let items: Vec<_> = entries
        .into_iter()
        .map(|(entry, reach)| NetworkReach {
            id: entry.id.to_string(),
            network: entry.network,
            reach: wire(&reach),
            updated_at: time(entry.reach.updated_at),
        })
        .collect();
    Ok(Reply::new(ListNetworkReachesResponse {
        count: i64::try_from(items.len()).unwrap_or(i64::MAX),
        items,
    }))
}

pub(super) async fn forget_network(services: Arc<Services>, call: Call) -> Result<Reply, ApiError> {
    let unknown = || ApiError::NotFound {
        noun: "network reach",
    };
    let id = NetworkReachId::lookup(call.path("network_reach_id")).ok_or_else(unknown)?;
    let tx = services.store.write().await?;
    if !tx.network_reach_delete(call.project().project, id).await? {
        return Err(unknown());
    }
    tx.commit().await?;
    Ok(Reply::empty())
}

/// What is wrong with a desktop without a reach, in English and Chinese.
pub(crate) const NO_WAY_IN: (&str, &str) = (
    "no way to reach this desktop is configured",
    "未设置此桌面的连接方式。",
);

/// What to do about it.
pub(crate) const SET_REACH: (&str, &str) = (
    "Set its reach: address, user, and key or password",
    "请设置连接方式：地址、用户，以及密钥或密码。",
);

pub(super) async fn probe(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<ProbeDesktopResponse>, ApiError> {
    let project = call.project().project;
    let desktop = desktop(&services, project, call.path("desktop_id")).await?;
    let probed = Box::pin(push::probe(&services, project, &desktop))
        .await
        .map_err(refused)?;
    Ok(Reply::new(match probed {
        Probe::NoWayIn => ProbeDesktopResponse {
            error_code: Some("no_way_in".to_owned()),
            words: Some(NO_WAY_IN.0.to_owned()),
            hint: Some(SET_REACH.0.to_owned()),
            ..ProbeDesktopResponse::default()
        },
        Probe::Stopped(failure) => ProbeDesktopResponse {
            step: Some(failure.step.as_str().to_owned()),
            error_code: Some(failure.code.to_owned()),
            words: Some(failure.words),
            hint: (!failure.hint.is_empty()).then(|| failure.hint.to_owned()),
            ..ProbeDesktopResponse::default()
        },
        Probe::Open {
            found,
            binary,
            is_own_agent,
        } => ProbeDesktopResponse {
            ok: true,
            would: would(&found, &binary, is_own_agent),
            host_key: found
                .host_keys
                .into_iter()
                .find(|key| key.on == KeyOwner::Desktop)
                .map(|key| key.fingerprint),
            host: Some(found.host),
            system: Some(found.system),
            arch: Some(found.arch),
            free_bytes: found.free_bytes,
            systemd: Some(found.systemd),
            ..ProbeDesktopResponse::default()
        },
    }))
}

fn would(found: &Probed, binary: &AgentBinary, is_own_agent: bool) -> Vec<String> {
    let upload = if found.program_sha256.as_ref() == Some(&binary.sha256) {
        "keep the agent's program, which is there already".to_owned()
    } else {
        format!("upload {} MB", binary.bytes.len().div_ceil(1_000_000))
    };
    let enroll = match (&found.identity, is_own_agent) {
        (_, true) => "keep the enrollment of this desktop's agent",
        (Identity::Agent(_), false) => "replace the enrollment of another agent that is there",
        (Identity::None, false) => "enroll with a token for this desktop alone",
    };
    let start = if found.systemd {
        "start it as the systemd unit outfitter-agent"
    } else {
        "start it detached, because systemd does not run there"
    };
    vec![upload, enroll.to_owned(), start.to_owned()]
}

fn read(body: SetReachReq) -> Result<Reach, ApiError> {
    let port = |member: &str, port: Option<i64>| {
        port.map(|port| {
            u16::try_from(port).map_err(|_| ApiError::invalid(member, "must be 1 to 65535"))
        })
        .transpose()
    };
    // A user or an address that begins with a dash, or holds a blank, is a mistake in every case.
    for (member, text) in [
        ("address", &body.address),
        ("user", &body.user),
        ("jump_address", &body.jump_address),
        ("jump_user", &body.jump_user),
    ] {
        let wrong = |text: &String| text.starts_with('-') || text.contains(char::is_whitespace);
        if text.as_ref().is_some_and(wrong) {
            return Err(ApiError::invalid(member, "is no name or address"));
        }
    }
    for (member, text) in [
        ("host_key", &body.host_key),
        ("jump_host_key", &body.jump_host_key),
    ] {
        if text.as_deref().is_some_and(|text| !is_fingerprint(text)) {
            return Err(ApiError::invalid(
                member,
                "is no fingerprint: SHA256: and 43 characters, as `ssh-keygen -lf` prints it",
            ));
        }
    }
    let secret = |text: Option<SecretText>| text.map(|text| text.expose().to_owned());
    Ok(Reach {
        settings: ReachSettings {
            address: body.address,
            port: port("port", body.port)?,
            user: body.user,
            sudo: body.sudo,
            host_key: body.host_key,
            jump_address: body.jump_address,
            jump_port: port("jump_port", body.jump_port)?,
            jump_user: body.jump_user,
            jump_host_key: body.jump_host_key,
        },
        secrets: ReachSecrets {
            key: secret(body.key),
            key_passphrase: secret(body.key_passphrase),
            password: secret(body.password),
            sudo_password: secret(body.sudo_password),
            jump_key: secret(body.jump_key),
            jump_key_passphrase: secret(body.jump_key_passphrase),
            jump_password: secret(body.jump_password),
        },
    })
}

/// Source: OpenSSH prints the digest in base64 without padding.
fn is_fingerprint(text: &str) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    text.strip_prefix("SHA256:")
        .is_some_and(|digest| digest.len() == 43 && digest.chars().all(is_base64))
}

fn wire(reach: &Reach) -> WireReach {
    let settings = reach.settings.clone();
    WireReach {
        address: settings.address,
        port: settings.port,
        user: settings.user,
        has_login: reach.secrets.key.is_some() || reach.secrets.password.is_some(),
        sudo: settings.sudo,
        host_key: settings.host_key,
        jump_address: settings.jump_address,
        jump_port: settings.jump_port,
        jump_user: settings.jump_user,
        jump_host_key: settings.jump_host_key,
    }
}

fn time(at: Millis) -> WireTime {
    WireTime::from_unix_millis(at.get())
}

fn refused(error: ReachError) -> ApiError {
    match error {
        ReachError::Key { member, source } => ApiError::invalid(member, source.to_string()),
        ReachError::Network { .. } => ApiError::invalid("network", error.to_string()),
        ReachError::Store(source) => source.into(),
        ReachError::Sealed(_) | ReachError::Stored(_) => {
            ApiError::internal("read how a desktop is reached", error)
        }
    }
}
