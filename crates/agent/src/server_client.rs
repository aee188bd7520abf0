//! HTTP towards the server's agent listener: enrollment, the upgrade, packages.

use std::net::IpAddr;
use std::time::Duration;

use outfitter_agent_protocol::EnrollRefusal;

use crate::channel::LinkTrust;
use crate::proxy::Proxies;
use crate::tls::ServerTls;

/// Longest time to connect and shake hands, in seconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// Longest silence in an answer, in seconds.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// Largest answer that is read as a refusal, in bytes.
const REFUSAL_LIMIT: usize = 16 * 1024;

/// `HOST:PORT` of the server's agent listener.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerAddress {
    host: String,
    port: u16,
}

/// Text that is no address.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no server address: it is written HOST:PORT, e.g. outfitter.example.org:7443")]
pub struct AddressError(String);

impl std::str::FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(error)?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let port: u16 = port.parse().map_err(|_| error())?;
        let plain = |c: char| !(c.is_whitespace() || "/@?#[]".contains(c));
        if host.is_empty() || port == 0 || !host.chars().all(plain) {
            return Err(error());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl TryFrom<String> for ServerAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<ServerAddress> for String {
    fn from(address: ServerAddress) -> Self {
        address.to_string()
    }
}

impl std::fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A client for one server, under one certificate.
#[derive(Clone)]
pub struct ServerClient {
    http: reqwest::Client,
    tls: ServerTls,
    address: ServerAddress,
}

/// No client.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTP towards {address}: {reason}")]
pub struct ClientError {
    address: String,
    reason: String,
}

impl ServerClient {
    /// A client for the server at `address`, through a proxy where one is for it (CONNECT: TLS ends at the server).
    /// `source_ip` picks the local address (simulated fleets need more ports than one address has).
    ///
    /// # Errors
    /// When the HTTP library refuses the TLS configuration or the proxy.
    pub fn new(
        address: &ServerAddress,
        tls: ServerTls,
        source_ip: Option<IpAddr>,
        proxies: &Proxies,
    ) -> Result<Self, ClientError> {
        let failed = |error: reqwest::Error| ClientError {
            address: address.to_string(),
            reason: chain(&error),
        };
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.config.clone())
            .http1_only()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            // Each request its own handshake: it is judged then, and an idle agent holds one socket.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(READ_LIMIT)
            .local_address(source_ip);
        let http = proxies
            .apply(builder)
            .and_then(reqwest::ClientBuilder::build)
            .map_err(failed)?;
        Ok(Self {
            http,
            tls,
            address: address.clone(),
        })
    }

    /// What the last handshake was worth.
    pub fn trust(&self) -> LinkTrust {
        self.tls.trust()
    }

    /// A request for a path on the listener.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("https://{}{path}", self.address))
    }
}

/// Reads a refusal of the listener: its code and sentence, or what stands for them.
pub async fn read_refusal(mut response: reqwest::Response) -> EnrollRefusal {
    let status = response.status();
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        if body.len() + piece.len() > REFUSAL_LIMIT {
            break;
        }
        body.extend_from_slice(&piece);
    }
    serde_json::from_slice(&body).unwrap_or_else(|_| EnrollRefusal {
        code: format!("http_{}", status.as_u16()),
        reason: format!("the server answered {status} without a reason"),
    })
}

/// `Retry-After` in seconds, where the answer has one in that form.
pub fn retry_after_secs(response: &reqwest::Response) -> Option<u32> {
    response
        .headers()
        .get(reqwest::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// An error with its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port() {
        for good in ["127.0.0.1:7443", "outfitter.example.org:1", "[::1]:7443"] {
            let address: ServerAddress = good.parse().expect("an address");
            assert_eq!(address.to_string(), good);
        }
        for bad in [
            "",
            "host",
            "host:0",
            "host:99999",
            ":7443",
            "https://host:1",
            "a b:1",
        ] {
            assert!(bad.parse::<ServerAddress>().is_err(), "{bad}");
        }
    }
}
