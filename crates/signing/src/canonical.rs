use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{ALGORITHM, DATE_HEADER};

/// Everything but the unreserved characters of RFC 3986 is escaped.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A request in canonical form, ready to be signed or compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalRequest {
    bytes: Vec<u8>,
    sdk_date: String,
}

/// Why a request has no canonical form; to a caller each of these is a wrong signature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CanonicalError {
    /// The list of signed headers lacks `x-sdk-date`.
    #[error("the signature does not cover {DATE_HEADER}")]
    DateNotSigned,
    /// A header is in the list of signed headers and not in the request.
    #[error("signed header {name} is not in the request")]
    HeaderMissing {
        /// The header's name.
        name: String,
    },
    /// A signed header is in the request twice, so that the signature would not say which one counts.
    #[error("signed header {name} is in the request more than once")]
    HeaderRepeated {
        /// The header's name.
        name: String,
    },
    /// The date header holds bytes that are no text.
    #[error("the {DATE_HEADER} header is not text")]
    DateNotText,
}

impl CanonicalRequest {
    /// Builds the canonical form.
    ///
    /// `target` is the path and query as they are on the wire, escapes untouched, without scheme and host.
    /// `headers` are those of the request in any order and case, with the value bytes as sent; over HTTP/2 the
    /// caller adds `host` from `:authority`. `signed_headers` are lower-case names in the order to be used.
    /// `payload_hash` comes from [`payload_hash`](crate::payload_hash).
    ///
    /// # Errors
    /// `x-sdk-date` is not signed, or a signed header is absent, repeated or (the date) not text.
    pub fn new<'a>(
        method: &str,
        target: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        signed_headers: &[String],
        payload_hash: &str,
    ) -> Result<Self, CanonicalError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<_> = headers.into_iter().collect();

        let mut bytes = format!(
            "{}\n{}\n{}\n",
            method.to_ascii_uppercase(),
            canonical_path(path),
            canonical_query(query)
        )
        .into_bytes();
        let mut sdk_date = None;
        for name in signed_headers {
            let value = only_value(&headers, name)?.trim_ascii();
            if name == DATE_HEADER {
                let text = str::from_utf8(value).map_err(|_| CanonicalError::DateNotText)?;
                sdk_date = Some(text.to_owned());
            }
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        bytes.push(b'\n');
        bytes.extend_from_slice(signed_headers.join(";").as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(payload_hash.as_bytes());

        let sdk_date = sdk_date.ok_or(CanonicalError::DateNotSigned)?;
        Ok(Self { bytes, sdk_date })
    }

    /// Returns the canonical request itself, the bytes that are hashed into the string to sign.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the signed value of `X-Sdk-Date`; read it with [`parse_sdk_date`](crate::parse_sdk_date).
    pub fn sdk_date(&self) -> &str {
        &self.sdk_date
    }

    /// Returns the text over which the signature is computed.
    pub fn string_to_sign(&self) -> String {
        let hash = hex::encode(Sha256::digest(&self.bytes));
        format!("{ALGORITHM}\n{}\n{hash}", self.sdk_date)
    }
}

fn only_value<'a>(headers: &[(&str, &'a [u8])], name: &str) -> Result<&'a [u8], CanonicalError> {
    let mut values = headers
        .iter()
        .filter(|(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| *value);
    let name = || name.to_owned();
    let value = values
        .next()
        .ok_or_else(|| CanonicalError::HeaderMissing { name: name() })?;
    match values.next() {
        Some(_) => Err(CanonicalError::HeaderRepeated { name: name() }),
        None => Ok(value),
    }
}

/// Decodes once, then escapes every piece between slashes; an escaped slash becomes a plain one.
fn canonical_path(path: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut canonical = decoded
        .split(|byte| *byte == b'/')
        .map(encode)
        .collect::<Vec<_>>()
        .join("/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

fn canonical_query(query: &str) -> String {
    let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let mut parameters: Vec<_> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    parameters.sort();
    parameters
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: (&str, &[u8]) = ("X-Sdk-Date", b"20260110T083015Z");

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn text(headers: &[(&str, &[u8])], signed: &[&str]) -> Result<String, CanonicalError> {
        CanonicalRequest::new("get", "/", headers.iter().copied(), &names(signed), "HASH")
            .map(|request| String::from_utf8_lossy(request.as_bytes()).into_owned())
    }

    #[test]
    fn paths_are_decoded_once_and_end_in_a_slash() {
        for (path, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("/a", "/a/"),
            ("/a/", "/a/"),
            ("/a//b", "/a//b/"),
            ("/a%2Fb", "/a/b/"),
            ("/a%2fb", "/a/b/"),
            ("/a%252Fb", "/a%252Fb/"),
            ("/a%2F", "/a/"),
            ("/a+b", "/a%2Bb/"),
            ("/a%20b", "/a%20b/"),
            ("/a*~b", "/a%2A~b/"),
            ("/%c3%a9", "/%C3%A9/"),
            ("/é", "/%C3%A9/"),
            ("/%ff", "/%FF/"),
            ("/100%", "/100%25/"),
            ("/%zz", "/%25zz/"),
            ("/v1/%7Bproject_id%7D/x", "/v1/%7Bproject_id%7D/x/"),
        ] {
            assert_eq!(canonical_path(path), canonical, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_by_decoded_name_then_value() {
        for (query, canonical) in [
            ("", ""),
            ("b=1&a=2", "a=2&b=1"),
            ("a=2&a=10&a=1", "a=1&a=10&a=2"),
            ("a=1&a=1", "a=1&a=1"),
            ("a", "a="),
            ("a=", "a="),
            ("a&a=", "a=&a="),
            ("=v", "=v"),
            ("&&a=1&", "a=1"),
            ("a=b=c", "a=b%3Dc"),
            ("a=b+c", "a=b%2Bc"),
            ("a=b%2Bc", "a=b%2Bc"),
            ("a=b%20c", "a=b%20c"),
            ("a=%252F", "a=%252F"),
            ("a=/?*", "a=%2F%3F%2A"),
            ("%61=1&B=2", "B=2&a=1"),
            // '~' sorts before 'é' decoded, though "%C3" would sort before "~" escaped.
            ("%C3%A9=1&~=2", "~=2&%C3%A9=1"),
        ] {
            assert_eq!(canonical_query(query), canonical, "{query}");
        }
    }

    #[test]
    fn a_question_mark_in_the_query_stays_in_the_query() {
        let request =
            CanonicalRequest::new("GET", "/p?a=b?c", [DATE], &names(&["x-sdk-date"]), "H").unwrap();
        assert!(request.as_bytes().starts_with(b"GET\n/p/\na=b%3Fc\n"));
    }

    #[test]
    fn headers_keep_the_order_of_the_list_and_their_inner_space() {
        let headers: &[(&str, &[u8])] = &[DATE, ("Accept", b" \t a  b \t"), ("Unsigned", b"x")];
        assert_eq!(
            text(headers, &["x-sdk-date", "accept"]).unwrap(),
            "GET\n/\n\nx-sdk-date:20260110T083015Z\naccept:a  b\n\nx-sdk-date;accept\nHASH"
        );
    }

    #[test]
    fn header_values_are_bytes() {
        let request = CanonicalRequest::new(
            "GET",
            "/",
            [DATE, ("a", &[0xe9, 0xff][..])],
            &names(&["a", "x-sdk-date"]),
            "H",
        )
        .unwrap();
        assert!(
            request
                .as_bytes()
                .windows(4)
                .any(|window| window == b"a:\xe9\xff")
        );
    }

    #[test]
    fn missing_repeated_and_unsigned_headers_are_refused() {
        assert_eq!(
            text(&[DATE], &["host", "x-sdk-date"]),
            Err(CanonicalError::HeaderMissing {
                name: "host".into()
            })
        );
        assert_eq!(
            text(&[DATE, ("A", b"1"), ("a", b"2")], &["a", "x-sdk-date"]),
            Err(CanonicalError::HeaderRepeated { name: "a".into() })
        );
        assert_eq!(
            text(&[DATE, ("a", b"1")], &["a"]),
            Err(CanonicalError::DateNotSigned)
        );
        assert_eq!(text(&[DATE], &[]), Err(CanonicalError::DateNotSigned));
        assert_eq!(
            text(&[("x-sdk-date", b"\xff")], &["x-sdk-date"]),
            Err(CanonicalError::DateNotText)
        );
        // Repeated but unsigned does not matter, nor does an unsigned host.
        assert!(
            text(
                &[DATE, ("A", b"1"), ("a", b"2"), ("host", b"h")],
                &["x-sdk-date"]
            )
            .is_ok()
        );
    }
}
