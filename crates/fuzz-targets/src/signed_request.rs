//! A signed request as it comes off the wire: `Authorization`, target, headers, body.
//!
//! Input: the value of `Authorization`, the method, the target and headers `name: value` on lines of their own, an
//! empty line, the body.

use outfitter_signing::{
    CONTENT_SHA256_HEADER, CanonicalRequest, ParsedAuthorization, Payload, date_is_fresh,
    parse_sdk_date, payload_hash, sign, verify,
};

const SECRET: &[u8] = b"a secret of forty letters and digits 0123";

pub(crate) fn run(data: &[u8]) {
    let cut = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match cut {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut text = || String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (authorization, method, target) = (text(), text(), text());
    let headers: Vec<(String, &[u8])> = lines
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b':')?;
            let name = String::from_utf8_lossy(&line[..at]).to_ascii_lowercase();
            Some((name, line[at + 1..].trim_ascii()))
        })
        .collect();
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| *value)
    };
    let Ok(parsed) = ParsedAuthorization::parse(&authorization) else {
        return;
    };
    assert!(!parsed.access_key.is_empty() && !parsed.signature.is_empty());
    for payload in [Payload::Bytes(body), Payload::Streamed] {
        let hash = payload_hash(
            payload,
            header(CONTENT_SHA256_HEADER),
            header("content-type"),
        );
        let Ok(hash) = hash else { continue };
        let canonical = CanonicalRequest::new(
            &method,
            &target,
            headers.iter().map(|(name, value)| (name.as_str(), *value)),
            &parsed.signed_headers,
            &hash,
        );
        let Ok(canonical) = canonical else { continue };
        if let Ok(date) = parse_sdk_date(canonical.sdk_date()) {
            assert!(date_is_fresh(date, date));
        }
        let to_sign = canonical.string_to_sign();
        // Nobody who does not know the secret gets through, and who does gets through with this text alone.
        assert!(!verify(SECRET, &to_sign, &parsed.signature));
        let signature = sign(SECRET, &to_sign);
        assert!(verify(SECRET, &to_sign, &signature));
        assert!(!verify(SECRET, &format!("{to_sign} "), &signature));
        assert!(!verify(b"another", &to_sign, &signature));
    }
}
