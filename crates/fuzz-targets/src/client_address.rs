//! What proxies say about who is behind them: PROXY v2 headers and the headers of requests.
//!
//! Input: which header, one byte; then bytes that are read as both.

use std::future::Future as _;
use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Waker};

use http::{HeaderMap, HeaderValue};
use outfitter_server::edge::proxies::proxy_header_of;
use outfitter_server::edge::{ForwardedHeader, Proxies};

pub(crate) fn run(data: &[u8]) {
    let [which, rest @ ..] = data else {
        return;
    };
    let (header, name) = match which % 2 {
        0 => (ForwardedHeader::XForwardedFor, "x-forwarded-for"),
        _ => (ForwardedHeader::Forwarded, "forwarded"),
    };
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let stranger = IpAddr::from([203, 0, 113, 9]);
    let proxies = Proxies {
        trusted: vec![proxy.into()],
        header,
        proxy_protocol: true,
    };
    if let Some(headers) = header_map_of(name, rest) {
        assert_eq!(proxies.client_of(stranger, &headers), stranger);
        // A proxy of ours adds whom it saw at the end: whatever stands before changes nothing.
        let seen = match header {
            ForwardedHeader::XForwardedFor => b", 198.51.100.7".to_vec(),
            ForwardedHeader::Forwarded => b", for=198.51.100.7;proto=https".to_vec(),
        };
        if let Some(added) = header_map_of(name, &[rest, &seen].concat())
            && added[name].to_str().is_ok()
        {
            let client = proxies.client_of(proxy, &added);
            assert_eq!(client, IpAddr::from([198, 51, 100, 7]));
        }
    }
    // All the bytes are there, so the answer is as well.
    let mut stream = rest;
    let mut context = Context::from_waker(Waker::noop());
    let outcome = pin!(proxy_header_of(&mut stream)).poll(&mut context);
    assert!(outcome.is_ready(), "bytes that are there were waited for");
}

fn header_map_of(name: &'static str, value: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(HeaderMap::from_iter([(name.parse().ok()?, value)]))
}
