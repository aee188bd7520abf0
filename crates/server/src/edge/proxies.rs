//! Whose address a call comes from, when proxies stand before the server.
//!
//! A proxy's word counts where its own address is among those that the operator named; what anybody else says of
//! himself is not read. `X-Forwarded-For` and `Forwarded` are read from the right: each proxy adds what it saw at
//! the end, so the first address from there that is no proxy of ours is the last one that a proxy of ours saw.
//! Everything left of it is the caller's own invention.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;
use proxy_header::{ParseConfig, ProxyHeader};
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Longest wait for a PROXY header: it is the first thing that a proxy sends.
const HEADER_LIMIT: Duration = Duration::from_secs(5);

/// Bytes of a PROXY v2 header before the part whose length it says. Source: the PROXY protocol, section 2.2.
const FIXED_BYTES: usize = 16;

/// Longest part of a PROXY header after that, in bytes; the protocol allows 65,535. Addresses and what load
/// balancers add (identifiers, TLS details) take some hundred.
const MAX_REST_BYTES: usize = 4096;

/// The header in which proxies say who is behind them. Only one is believed: a proxy that sets one passes the
/// other on as it came, written by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded`. Source: RFC 7239.
    Forwarded,
}

/// The proxies that the operator named.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Where they are.
    pub trusted: Vec<IpNet>,
    /// In which header they say who is behind them.
    pub header: ForwardedHeader,
    /// Whether their connections begin with a PROXY header, version 2.
    pub proxy_protocol: bool,
}

/// A connection of a proxy that does not begin as it must.
#[derive(Debug, Error)]
pub enum ProxyHeaderError {
    /// It ended or failed first.
    #[error("the connection failed before its PROXY header")]
    Read(#[from] std::io::Error),
    /// It took too long.
    #[error("no PROXY header within {} s", HEADER_LIMIT.as_secs())]
    Late,
    /// It begins with something else.
    #[error(
        "the connection does not begin with a PROXY v2 header of at most {MAX_REST_BYTES} bytes"
    )]
    Malformed,
}

impl Proxies {
    /// Whether an address is one of a proxy of ours.
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|net| net.contains(&address))
    }

    /// Whether a connection of this peer must begin with a PROXY header.
    pub fn must_introduce(&self, peer: IpAddr) -> bool {
        self.proxy_protocol && self.is_trusted(peer)
    }

    /// Who is behind a request of `peer`.
    pub fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let name = match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => FORWARDED,
        };
        let mut client = peer.to_canonical();
        if !self.is_trusted(client) {
            return client;
        }
        let mut values: Vec<_> = headers.get_all(name).iter().collect();
        values.reverse();
        let elements = values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.rsplit(','));
        for element in elements {
            let Some(address) = self.address_in(element) else {
                // A proxy that hides or garbles whom it saw: the proxy is all that is known.
                return client;
            };
            client = address.to_canonical();
            if !self.is_trusted(client) {
                return client;
            }
        }
        client
    }

    fn address_in(&self, element: &str) -> Option<IpAddr> {
        match self.header {
            ForwardedHeader::XForwardedFor => address(element.trim()),
            // The last element was written whole by a proxy of ours, and addresses hold neither commas nor
            // semicolons, so no quoting of the caller's, further left, can reach into it.
            ForwardedHeader::Forwarded => element.split(';').find_map(|part| {
                let (name, value) = part.split_once('=')?;
                name.trim()
                    .eq_ignore_ascii_case("for")
                    .then(|| address(value.trim().trim_matches('"')))?
            }),
        }
    }
}

/// An address with or without a port, an IPv6 one with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .or_else(|| {
            text.strip_prefix('[')?
                .strip_suffix(']')?
                .parse::<IpAddr>()
                .ok()
        })
}

/// Reads the PROXY header that a connection begins with; answers who is behind the proxy, or `None` where the proxy
/// speaks for itself (its own checks).
///
/// # Errors
/// [`ProxyHeaderError`] where there is none.
pub async fn read_proxy_header<S>(stream: &mut S) -> Result<Option<SocketAddr>, ProxyHeaderError>
where
    S: AsyncRead + Unpin,
{
    tokio::time::timeout(HEADER_LIMIT, proxy_header_of(stream))
        .await
        .unwrap_or(Err(ProxyHeaderError::Late))
}

/// The same without a clock.
///
/// # Errors
/// As [`read_proxy_header`], but for being late.
pub async fn proxy_header_of<S>(stream: &mut S) -> Result<Option<SocketAddr>, ProxyHeaderError>
where
    S: AsyncRead + Unpin,
{
    let mut bytes = vec![0; FIXED_BYTES];
    stream.read_exact(&mut bytes).await?;
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    // Whatever does not begin like one is not read on: its length would be anything.
    if rest > MAX_REST_BYTES || !bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
        return Err(ProxyHeaderError::Malformed);
    }
    bytes.resize(FIXED_BYTES + rest, 0);
    stream.read_exact(&mut bytes[FIXED_BYTES..]).await?;
    let only_v2 = ParseConfig {
        allow_v1: false,
        include_tlvs: false,
        ..ParseConfig::default()
    };
    let (header, length) =
        ProxyHeader::parse(&bytes, only_v2).map_err(|_| ProxyHeaderError::Malformed)?;
    if length != bytes.len() {
        return Err(ProxyHeaderError::Malformed);
    }
    Ok(header.proxied_address().map(|address| address.source))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn proxies(header: ForwardedHeader) -> Proxies {
        Proxies {
            trusted: ["10.0.0.0/8", "2001:db8:ffff::/48"]
                .map(|net| net.parse().unwrap())
                .into(),
            header,
            proxy_protocol: false,
        }
    }

    fn client(proxies: &Proxies, peer: &str, pairs: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        proxies
            .client_of(peer.parse().unwrap(), &headers)
            .to_string()
    }

    #[test]
    fn what_a_stranger_says_of_himself_is_not_read() {
        let ours = proxies(ForwardedHeader::XForwardedFor);
        let claims = [
            ("x-forwarded-for", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1"),
        ];
        assert_eq!(client(&ours, "203.0.113.9", &claims), "203.0.113.9");
        let none = Proxies::default();
        assert_eq!(client(&none, "10.0.0.1", &claims), "10.0.0.1");
    }

    #[test]
    fn of_a_proxy_the_last_address_that_is_no_proxy_counts() {
        let ours = proxies(ForwardedHeader::XForwardedFor);
        let of = |value: &str| client(&ours, "10.0.0.1", &[("x-forwarded-for", value)]);
        assert_eq!(of("203.0.113.5"), "203.0.113.5");
        assert_eq!(
            of("192.0.2.1, 203.0.113.5"),
            "203.0.113.5",
            "the first is invented"
        );
        assert_eq!(of("192.0.2.1, 203.0.113.5, 10.9.9.9"), "203.0.113.5");
        assert_eq!(of("203.0.113.5:4711"), "203.0.113.5");
        assert_eq!(of("[2001:db8::5]:4711"), "2001:db8::5");
        assert_eq!(of("10.2.2.2"), "10.2.2.2", "only proxies");
        assert_eq!(of("203.0.113.5, garbage"), "10.0.0.1");
        assert_eq!(of("\"203.0.113.5, 203.0.113.6"), "203.0.113.6");
        assert_eq!(
            client(
                &ours,
                "::ffff:10.0.0.1",
                &[("x-forwarded-for", "::ffff:203.0.113.5")]
            ),
            "203.0.113.5"
        );
        let two = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "203.0.113.5"),
        ];
        assert_eq!(
            client(&ours, "10.0.0.1", &two),
            "203.0.113.5",
            "headers are one list"
        );
        assert_eq!(
            client(&ours, "10.0.0.1", &[("forwarded", "for=192.0.2.1")]),
            "10.0.0.1",
            "the other header is anybody's"
        );
    }

    #[test]
    fn forwarded_is_read_from_the_right_whatever_is_quoted_on_the_left() {
        let ours = proxies(ForwardedHeader::Forwarded);
        let of = |value: &str| client(&ours, "10.0.0.1", &[("forwarded", value)]);
        assert_eq!(of("for=203.0.113.5"), "203.0.113.5");
        assert_eq!(of("For=\"[2001:db8::5]:4711\";proto=https"), "2001:db8::5");
        assert_eq!(of("for=\"[2001:db8::5]\""), "2001:db8::5");
        assert_eq!(
            of("for=\"192.0.2.1, for=203.0.113.5;by=10.0.0.1"),
            "203.0.113.5"
        );
        assert_eq!(of("for=_hidden"), "10.0.0.1");
        assert_eq!(of("proto=https"), "10.0.0.1");
        assert_eq!(
            client(&ours, "10.0.0.1", &[("x-forwarded-for", "192.0.2.1")]),
            "10.0.0.1"
        );
    }

    #[tokio::test]
    async fn a_proxy_header_is_read_to_its_last_byte_and_not_further() {
        let address = proxy_header::ProxiedAddress::stream(
            "203.0.113.5:4711".parse().unwrap(),
            "10.0.0.1:443".parse().unwrap(),
        );
        let mut bytes = vec![0; 256];
        let mut header = ProxyHeader::with_address(address);
        header.append_tlv(proxy_header::Tlv::UniqueId(b"load balancer"[..].into()));
        let length = header.encode_to_slice_v2(&mut bytes).unwrap();
        bytes.truncate(length);
        bytes.extend_from_slice(b"GET /");
        let mut stream = bytes.as_slice();
        let client = read_proxy_header(&mut stream).await.unwrap();
        assert_eq!(client, Some("203.0.113.5:4711".parse().unwrap()));
        assert_eq!(stream, b"GET /");

        let mut local = vec![0; 64];
        let length = ProxyHeader::with_local()
            .encode_to_slice_v2(&mut local)
            .unwrap();
        assert_eq!(
            read_proxy_header(&mut &local[..length]).await.unwrap(),
            None
        );

        let long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
        let short = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd".to_vec();
        for bytes in [
            b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\n".to_vec(),
            long,
            short,
        ] {
            let refused = read_proxy_header(&mut bytes.as_slice()).await;
            assert!(
                matches!(refused, Err(ProxyHeaderError::Malformed)),
                "{refused:?}"
            );
        }
        let cut = read_proxy_header(&mut &b"\r\n\r\n"[..]).await;
        assert!(matches!(cut, Err(ProxyHeaderError::Read(_))), "{cut:?}");
    }
}
