//! Looks whether the agent of a state folder could work, and says what is wrong.

use crate::clock::Clock;
use crate::credentials::{SharedCredentials, validity_millis};
use crate::proxy::Proxies;
use crate::server_client::chain;
use crate::state_dir::StateDir;
use std::sync::Arc;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// What was found; `Err`: what is wrong.
    pub found: Result<String, String>,
}

/// Looks at identity, certificate and server, in this order; what needs an identity is left out without one.
pub async fn examine(state: &StateDir, clock: Arc<dyn Clock>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let identity = state.require_identity();
    findings.push(Finding {
        what: "identity",
        found: identity
            .as_ref()
            .map(|identity| format!("{} (desktop {})", identity.name, identity.desktop))
            .map_err(|error| chain(error)),
    });
    let Ok(identity) = identity else {
        return findings;
    };
    findings.push(Finding {
        what: "certificate",
        found: state
            .chain_pem()
            .map_err(|error| chain(&error))
            .and_then(|pem| validity_millis(&pem))
            .and_then(|(not_before, not_after)| {
                let now = clock.unix_millis();
                let days = (not_after - now) / 86_400_000;
                if now > not_after {
                    Err(format!("expired {} days ago", -days))
                } else if now < not_before {
                    Err("not valid yet: look at this machine's clock".to_owned())
                } else {
                    Ok(format!("valid for {days} more days"))
                }
            }),
    });
    let settings = state.settings().map_err(|error| chain(&error));
    let proxies = settings
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|settings| Proxies::of_process(settings).map_err(|error| chain(&error)));
    findings.push(Finding {
        what: "proxy",
        found: proxies
            .as_ref()
            .map(Proxies::to_string)
            .map_err(Clone::clone),
    });
    let client = proxies.and_then(|proxies| {
        SharedCredentials::load(state.clone(), clock, proxies)
            .map_err(|error| chain(&error))
            .and_then(|credentials| credentials.client())
    });
    let answer = match client {
        Ok(client) => client
            .request(reqwest::Method::GET, "/")
            .send()
            .await
            .map(|_| format!("{} answers, its certificate holds", identity.server))
            .map_err(|error| format!("{}: {}", identity.server, chain(&error.without_url()))),
        Err(reason) => Err(reason),
    };
    findings.push(Finding {
        what: "server",
        found: answer.map_err(|reason| match () {
            () if reason.contains("proxy authorization required") => {
                format!("{reason}: the proxy wants another user or password")
            }
            () => reason,
        }),
    });
    findings.push(Finding {
        what: "cache",
        found: settings.map(|settings| match settings.cache_bytes {
            0 => "off".to_owned(),
            bytes => format!("at most {bytes} bytes of packages are kept"),
        }),
    });
    findings
}
