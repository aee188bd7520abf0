//! How desktops are reached over SSH: set one by one or for a network, secrets sealed, host keys pinned.
//!
//! What a desktop says outranks what its network says, member by member; of the networks that hold the desktop's
//! address the narrowest counts. Host keys that were not given are trusted on first use: the key of the host that
//! first lets us in is pinned, and from then on no other is accepted.

use std::net::IpAddr;

use outfitter_domain::Millis;
use outfitter_domain::fleet::{Network, NetworkError};
use outfitter_ids::NetworkReachId;
use outfitter_push::{Credential, Hop, HostKeyRule, KeyError, Sudo, Target, check_key};
use outfitter_store::{
    Db, Desktop, DesktopKey, HostKeyOf, NetworkReach, PinnedHostKey, ProjectKey, StoreError,
    StoredReach,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Services;
use crate::secrets::SealError;

/// Purposes under which secrets are sealed; the identity is the public id of desktop or entry.
const DESKTOP_PURPOSE: &str = "desktop_reach.secrets_sealed";
const NETWORK_PURPOSE: &str = "network_reach.secrets_sealed";

/// The port of SSH. Source: RFC 4253.
const SSH_PORT: u16 = 22;

/// What may be shown of a reach. Absent members are taken from the network's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReachSettings {
    /// Host name or address; absent: where the desktop's agent last connected from.
    pub address: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// User.
    pub user: Option<String>,
    /// False: the user may not use sudo.
    pub sudo: Option<bool>,
    /// Fingerprint of the one host key that is accepted.
    pub host_key: Option<String>,
    /// Host name or address of the jump host.
    pub jump_address: Option<String>,
    /// Its port.
    pub jump_port: Option<u16>,
    /// User there.
    pub jump_user: Option<String>,
    /// Fingerprint of its host key.
    pub jump_host_key: Option<String>,
}

/// Keys and passwords of a reach. Shows nothing in `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReachSecrets {
    /// Private key.
    pub key: Option<String>,
    /// Its passphrase.
    pub key_passphrase: Option<String>,
    /// Password of the user.
    pub password: Option<String>,
    /// What sudo asks for; absent: the user's password.
    pub sudo_password: Option<String>,
    /// Private key for the jump host; absent with `jump_password`: as for the desktop.
    pub jump_key: Option<String>,
    /// Its passphrase.
    pub jump_key_passphrase: Option<String>,
    /// Password on the jump host.
    pub jump_password: Option<String>,
}

impl std::fmt::Debug for ReachSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReachSecrets(..)")
    }
}

/// A reach with its secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// What may be shown.
    pub settings: ReachSettings,
    /// What may not.
    pub secrets: ReachSecrets,
}

/// Why a reach cannot be set or read.
#[derive(Debug, Error)]
pub enum ReachError {
    /// A key that cannot be used.
    #[error("{member}")]
    Key {
        /// Which member.
        member: &'static str,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// No network.
    #[error("{text:?} {}", NetworkError)]
    Network {
        /// What was given.
        text: String,
    },
    /// What is sealed does not open.
    #[error("the stored secrets do not open")]
    Sealed(#[from] SealError),
    /// What is stored cannot be read.
    #[error("the stored reach cannot be read")]
    Stored(#[source] serde_json::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks the keys of a reach.
///
/// # Errors
/// [`ReachError::Key`] with the member's name.
pub fn check(reach: &Reach) -> Result<(), ReachError> {
    let secrets = &reach.secrets;
    for (member, key, passphrase) in [
        ("key", &secrets.key, &secrets.key_passphrase),
        ("jump_key", &secrets.jump_key, &secrets.jump_key_passphrase),
    ] {
        if let Some(key) = key {
            let passphrase = passphrase.clone().map(SecretString::from);
            check_key(&SecretString::from(key.clone()), passphrase.as_ref())
                .map_err(|source| ReachError::Key { member, source })?;
        }
    }
    Ok(())
}

fn sealed(services: &Services, purpose: &str, identity: &str, reach: &Reach) -> StoredReach {
    let secrets = serde_json::to_vec(&reach.secrets).expect("a struct of texts is JSON");
    StoredReach {
        settings: serde_json::to_string(&reach.settings).expect("a struct of texts is JSON"),
        secrets_sealed: services.auth.sealer().seal(purpose, identity, &secrets),
        updated_at: services.clock.now(),
    }
}

fn opened(
    services: &Services,
    purpose: &str,
    identity: &str,
    stored: &StoredReach,
) -> Result<Reach, ReachError> {
    let secrets = services
        .auth
        .sealer()
        .open(purpose, identity, &stored.secrets_sealed)?;
    Ok(Reach {
        settings: serde_json::from_str(&stored.settings).map_err(ReachError::Stored)?,
        secrets: serde_json::from_slice(secrets.expose_secret()).map_err(ReachError::Stored)?,
    })
}

/// Sets how a desktop is reached; what was set before is replaced, pinned host keys stay.
///
/// # Errors
/// See [`ReachError`].
pub async fn set_of_desktop(
    services: &Services,
    desktop: &Desktop,
    reach: &Reach,
) -> Result<Millis, ReachError> {
    check(reach)?;
    let stored = sealed(services, DESKTOP_PURPOSE, &desktop.id.to_string(), reach);
    let tx = services.store.write().await?;
    tx.desktop_reach_set(desktop.key, &stored).await?;
    tx.commit().await?;
    Ok(stored.updated_at)
}

/// How a desktop is reached by its own settings, and since when.
///
/// # Errors
/// See [`ReachError`].
pub async fn of_desktop(
    services: &Services,
    db: Db<'_>,
    desktop: &Desktop,
) -> Result<Option<(Reach, Millis)>, ReachError> {
    let Some(stored) = db.desktop_reach(desktop.key).await? else {
        return Ok(None);
    };
    let reach = opened(services, DESKTOP_PURPOSE, &desktop.id.to_string(), &stored)?;
    Ok(Some((reach, stored.updated_at)))
}

/// Sets how the desktops of a network are reached.
///
/// # Errors
/// See [`ReachError`].
pub async fn set_of_network(
    services: &Services,
    project: ProjectKey,
    network: &str,
    reach: &Reach,
) -> Result<(NetworkReachId, Millis), ReachError> {
    if network.parse::<Network>().is_err() {
        return Err(ReachError::Network {
            text: network.to_owned(),
        });
    }
    check(reach)?;
    // Sealed for the network, not for the entry: the id is known only after it was stored.
    let stored = sealed(services, NETWORK_PURPOSE, network, reach);
    let updated_at = stored.updated_at;
    let entry = NetworkReach {
        id: NetworkReachId::new(services.ids.uuid(updated_at.get())),
        network: network.to_owned(),
        reach: stored,
    };
    let tx = services.store.write().await?;
    let id = tx.network_reach_set(project, &entry).await?;
    tx.commit().await?;
    Ok((id, updated_at))
}

/// How the networks of a project are reached.
///
/// # Errors
/// See [`ReachError`].
pub async fn of_networks(
    services: &Services,
    db: Db<'_>,
    project: ProjectKey,
) -> Result<Vec<(NetworkReach, Reach)>, ReachError> {
    db.network_reach_list(project)
        .await?
        .into_iter()
        .map(|entry| {
            let reach = opened(services, NETWORK_PURPOSE, &entry.network, &entry.reach)?;
            Ok((entry, reach))
        })
        .collect()
}

/// How a desktop is reached, all in all. `None`: nobody said how.
///
/// # Errors
/// See [`ReachError`].
pub async fn effective(
    services: &Services,
    db: Db<'_>,
    project: ProjectKey,
    desktop: &Desktop,
) -> Result<Option<Target>, ReachError> {
    let own = of_desktop(services, db, desktop)
        .await?
        .map(|(reach, _)| reach)
        .unwrap_or_default();
    let address = own
        .settings
        .address
        .clone()
        .or_else(|| desktop.ip_address.clone());
    let Some(address) = address else {
        return Ok(None);
    };
    let networks = of_networks(services, db, project).await?;
    let of_network = address
        .parse::<IpAddr>()
        .ok()
        .and_then(|address| narrowest(networks, address))
        .unwrap_or_default();
    let pins = db.host_keys(desktop.key).await?;
    Ok(target(address, over(own, of_network), &pins))
}

fn narrowest(networks: Vec<(NetworkReach, Reach)>, address: IpAddr) -> Option<Reach> {
    networks
        .into_iter()
        .filter_map(|(entry, reach)| Some((entry.network.parse::<Network>().ok()?, reach)))
        .filter(|(network, _)| network.holds(address))
        .max_by_key(|(network, _)| network.prefix_bits())
        .map(|(_, reach)| reach)
}

/// One reach over another. Who says how to log in says it whole: a key of one is not mixed with a password of another.
/// So does who says the jump host.
fn over(own: Reach, below: Reach) -> Reach {
    let (own, below) = (with_jump_login(own), with_jump_login(below));
    let says_login = own.secrets.key.is_some() || own.secrets.password.is_some();
    let login = if says_login {
        own.secrets.clone()
    } else {
        below.secrets.clone()
    };
    let sudo_password = own
        .secrets
        .sudo_password
        .clone()
        .or_else(|| below.secrets.sudo_password.clone());
    let (upper, lower) = (own.settings.clone(), below.settings.clone());
    let jump = if upper.jump_address.is_some() {
        own
    } else {
        below
    };
    Reach {
        settings: ReachSettings {
            address: upper.address.or(lower.address),
            port: upper.port.or(lower.port),
            user: upper.user.or(lower.user),
            sudo: upper.sudo.or(lower.sudo),
            host_key: upper.host_key.or(lower.host_key),
            jump_address: jump.settings.jump_address,
            jump_port: jump.settings.jump_port,
            jump_user: jump.settings.jump_user,
            jump_host_key: jump.settings.jump_host_key,
        },
        secrets: ReachSecrets {
            key: login.key,
            key_passphrase: login.key_passphrase,
            password: login.password,
            sudo_password,
            jump_key: jump.secrets.jump_key,
            jump_key_passphrase: jump.secrets.jump_key_passphrase,
            jump_password: jump.secrets.jump_password,
        },
    }
}

/// A jump host without a login of its own takes the one that stands beside it.
fn with_jump_login(mut reach: Reach) -> Reach {
    let (settings, secrets) = (&mut reach.settings, &mut reach.secrets);
    let has_login = secrets.jump_key.is_some() || secrets.jump_password.is_some();
    if settings.jump_address.is_some() && !has_login {
        secrets.jump_key.clone_from(&secrets.key);
        secrets
            .jump_key_passphrase
            .clone_from(&secrets.key_passphrase);
        secrets.jump_password.clone_from(&secrets.password);
        settings.jump_user = settings.jump_user.take().or_else(|| settings.user.clone());
    }
    reach
}

fn target(address: String, reach: Reach, pins: &[PinnedHostKey]) -> Option<Target> {
    let (settings, secrets) = (reach.settings, reach.secrets);
    let user = settings.user?;
    let credential = credential(secrets.key, secrets.key_passphrase, &secrets.password)?;
    let rule = |given: Option<String>, of: HostKeyOf| {
        let pinned = pins.iter().find(|pin| pin.of == of);
        given
            .or_else(|| pinned.map(|pin| pin.fingerprint.clone()))
            .map_or(HostKeyRule::FirstUse, HostKeyRule::Pinned)
    };
    let sudo = match (settings.sudo, secrets.sudo_password.or(secrets.password)) {
        (Some(false), _) => Sudo::Never,
        (_, Some(password)) => Sudo::Password(password.into()),
        (_, None) => Sudo::Silent,
    };
    let jump = settings.jump_address.map(|jump_address| Hop {
        address: jump_address,
        port: settings.jump_port.unwrap_or(SSH_PORT),
        user: settings.jump_user.unwrap_or_else(|| user.clone()),
        credential: self::credential(
            secrets.jump_key,
            secrets.jump_key_passphrase,
            &secrets.jump_password,
        )
        .unwrap_or_else(|| credential.clone()),
        host_key: rule(settings.jump_host_key, HostKeyOf::Jump),
    });
    Some(Target {
        desktop: Hop {
            address,
            port: settings.port.unwrap_or(SSH_PORT),
            user,
            credential,
            host_key: rule(settings.host_key, HostKeyOf::Desktop),
        },
        jump,
        sudo,
    })
}

/// A key outranks a password.
fn credential(
    key: Option<String>,
    passphrase: Option<String>,
    password: &Option<String>,
) -> Option<Credential> {
    match key {
        Some(pem) => Some(Credential::Key {
            pem: pem.into(),
            passphrase: passphrase.map(SecretString::from),
        }),
        None => password
            .clone()
            .map(|text| Credential::Password(text.into())),
    }
}

/// Forgets how a desktop is reached; `false` when nothing was known.
///
/// # Errors
/// The database's.
pub async fn forget(services: &Services, desktop: DesktopKey) -> Result<bool, StoreError> {
    let tx = services.store.write().await?;
    let known = tx.desktop_reach_delete(desktop).await?;
    tx.commit().await?;
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(user: Option<&str>, key: Option<&str>, password: Option<&str>) -> Reach {
        Reach {
            settings: ReachSettings {
                user: user.map(str::to_owned),
                ..ReachSettings::default()
            },
            secrets: ReachSecrets {
                key: key.map(str::to_owned),
                password: password.map(str::to_owned),
                ..ReachSecrets::default()
            },
        }
    }

    #[test]
    fn a_desktop_outranks_its_network_and_says_its_login_whole() {
        let network = reach(Some("ops"), Some("KEY"), None);
        let merged = over(reach(None, None, Some("secret")), network.clone());
        assert_eq!(merged.settings.user.as_deref(), Some("ops"));
        assert_eq!(merged.secrets.key, None);
        assert_eq!(merged.secrets.password.as_deref(), Some("secret"));
        assert_eq!(over(Reach::default(), network.clone()), network);
    }

    #[test]
    fn nothing_is_tried_without_a_user_and_what_the_user_shows() {
        let make = |reach| target("192.0.2.1".to_owned(), reach, &[]);
        assert!(make(reach(None, Some("KEY"), None)).is_none());
        assert!(make(reach(Some("root"), None, None)).is_none());
        let target = make(reach(Some("root"), None, Some("secret"))).unwrap();
        assert_eq!(target.desktop.port, 22);
        assert!(matches!(target.sudo, Sudo::Password(_)));
        assert!(!format!("{target:?}").contains("secret"));
    }
}
