//! Looks whether the agent of a state folder could work, and says what is wrong.

use crate::clock::Clock;
use crate::credentials::{SKEW_REPORTED_MILLIS, SharedCredentials, validity_millis};
use crate::desk;
use crate::platform;
use crate::proxy::Proxies;
use crate::server_client::chain;
use crate::state_dir::StateDir;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// What was found; `Err`: what is wrong.
    pub found: Result<String, String>,
}

/// Least free space that is no worry, in bytes. Ours: an ordinary installer and what it unpacks.
const LEAST_FREE_BYTES: u64 = 512 << 20;

/// Longest time for a name and a connection.
const NETWORK_LIMIT: Duration = Duration::from_secs(10);

/// Whether the server's host has an address and takes connections, without a proxy.
async fn network(server: &str) -> Result<String, String> {
    let addresses: Vec<_> = tokio::time::timeout(NETWORK_LIMIT, tokio::net::lookup_host(server))
        .await
        .map_err(|_| format!("no name server answers for {server}"))?
        .map_err(|error| format!("{server} has no address: {error}"))?
        .collect();
    let mut last = format!("{server} has no address");
    for address in addresses {
        match tokio::time::timeout(NETWORK_LIMIT, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(format!("{address} takes connections")),
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address} does not answer: is a firewall between?"),
        }
    }
    Err(last)
}

/// Whether this desktop's clock is right, by the server's answer, else by what the server said last.
fn clock_finding(
    now_millis: i64,
    server_time: Option<SystemTime>,
    last_server_millis: i64,
) -> Result<String, String> {
    let server_secs = server_time
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_secs()).ok());
    let now_secs = now_millis / 1000;
    let Some(server_secs) = server_secs else {
        let behind = last_server_millis / 1000 - now_secs;
        return if behind > (SKEW_REPORTED_MILLIS / 1000) {
            Err(format!(
                "{behind} s behind what the server said last: set this machine's clock"
            ))
        } else {
            Ok("the server's cannot be asked for".to_owned())
        };
    };
    let ahead = now_secs - server_secs;
    match ahead {
        ahead if ahead > (SKEW_REPORTED_MILLIS / 1000) => Err(format!(
            "{ahead} s ahead of the server: set this machine's clock"
        )),
        ahead if -ahead > (SKEW_REPORTED_MILLIS / 1000) => Err(format!(
            "{} s behind the server: set this machine's clock",
            -ahead
        )),
        ahead => Ok(format!("{} s from the server's", ahead.abs())),
    }
}

/// Looks at identity, certificate, proxy, network, clock, server, disk and cache, and whether the agent runs; what needs an
/// identity is left out without one.
pub async fn examine(state: &StateDir, clock: Arc<dyn Clock>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let identity = state.require_identity();
    let waiting = state.waiting().ok().flatten();
    findings.push(Finding {
        what: "identity",
        found: identity
            .as_ref()
            .map(|identity| format!("{} (desktop {})", identity.name, identity.desktop))
            .map_err(|error| match waiting {
                Some(waiting) => format!(
                    "{} waits for an administrator's approval (request {})",
                    waiting.name, waiting.request
                ),
                None => chain(error),
            }),
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
    let now_millis = clock.unix_millis();
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
    let mut server_time = None;
    let answer = match client {
        Ok(client) => client
            .request(reqwest::Method::GET, "/")
            .send()
            .await
            .map(|response| {
                server_time = response
                    .headers()
                    .get(reqwest::header::DATE)
                    .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
                format!("{} answers, its certificate holds", identity.server)
            })
            .map_err(|error| format!("{}: {}", identity.server, chain(&error.without_url()))),
        Err(reason) => Err(reason),
    };
    findings.push(Finding {
        what: "network",
        found: match (network(&identity.server.to_string()).await, &answer) {
            // A desktop may reach its server through a proxy alone.
            (Err(reason), Ok(_)) => Ok(format!("through the proxy alone ({reason})")),
            (found, _) => found,
        },
    });
    findings.push(Finding {
        what: "clock",
        found: clock_finding(now_millis, server_time, state.last_server_millis()),
    });
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
        what: "disk",
        found: match platform::free_bytes(state.root()) {
            Ok(bytes) if bytes < LEAST_FREE_BYTES => Err(format!(
                "{} MiB are free where {} lies: packages need more",
                bytes >> 20,
                state.root().display()
            )),
            Ok(bytes) => Ok(format!("{} MiB are free", bytes >> 20)),
            Err(error) => Err(chain(&error)),
        },
    });
    let socket = desk::socket_path(identity.sandbox_root.as_deref());
    findings.push(Finding {
        what: "people",
        // That it does not run is what somebody who is asked to look may have done on purpose.
        found: Ok(match platform::connect_desk(&socket).await {
            Ok(_) => format!("the agent runs and answers at {}", socket.display()),
            Err(error) => format!(
                "the agent does not run, or answers nobody: {}",
                chain(&error)
            ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_the_servers() {
        let server = |secs| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(secs));
        assert!(clock_finding(1_000_000_000, server(1_000_100), 0).is_ok());
        let ahead = clock_finding(1_000_400_000, server(1_000_000), 0);
        assert!(ahead.is_err_and(|text| text.starts_with("400 s ahead")));
        let behind = clock_finding(1_000_000_000, server(1_000_400), 0);
        assert!(behind.is_err_and(|text| text.starts_with("400 s behind")));
        // Without the server: by what it said last.
        assert!(clock_finding(1_000_000_000, None, 1_000_000_000).is_ok());
        assert!(clock_finding(0, None, 1_000_000_000).is_err());
    }
}
