//! What stands between clients and the protocol crate: their dialects in, dangers out.

use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use http::request::Parts;
use http::{HeaderValue, Method};
use outfitter_domain::Millis;
use percent_encoding::percent_decode_str;

use crate::access::{Domain, TOKEN_HEADER};
use crate::credential::Keys;
use crate::legacy;

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Code on the wire.
    pub(crate) code: &'static str,
    /// Message on the wire.
    pub(crate) message: &'static str,
}

impl Refused {
    pub(crate) fn denied(message: &'static str) -> Self {
        Self {
            code: "AccessDenied",
            message,
        }
    }
}

/// Whether a request only asks which dialect is spoken here: OBS clients do that first, unsigned.
pub(crate) fn asks_for_dialect(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    parts.method == Method::HEAD
        && query
            .split('&')
            .any(|pair| pair == "apiversion" || pair == "apiversion=")
}

/// Brings a request into the form that the protocol crate reads.
pub(crate) fn adapt(
    parts: &mut Parts,
    keys: &Keys,
    domain: &Domain,
    now: Millis,
) -> Result<(), Refused> {
    // A form is read into memory before anybody asks who sends it; no credential of ours allows one.
    let is_form = parts.headers.get(CONTENT_TYPE).is_some_and(|value| {
        let value = value.as_bytes();
        value.len() >= 10 && value[..10].eq_ignore_ascii_case(b"multipart/")
    });
    if is_form {
        return Err(Refused::denied("Uploads by form are not offered."));
    }
    legacy::translate(parts, keys, domain, now)?;
    let authorization = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .filter(|text| text.starts_with("AWS4-HMAC-SHA256"))
        .map(str::to_owned);
    let in_query = query_value(parts, "X-Amz-SignedHeaders");
    let signed = match (&authorization, in_query) {
        (_, Some(names)) => names,
        (Some(text), None) => signed_headers(text).to_owned(),
        (None, None) => return Ok(()),
    };
    refuse_unsigned(parts, &signed)?;
    if authorization.is_some() && !parts.headers.contains_key("x-amz-date") {
        // The OBS client signs with the `Date` it sends; the protocol reads it in its own header.
        let date = parts
            .headers
            .get(DATE)
            .and_then(|value| value.to_str().ok())
            .and_then(amz_date);
        if let Some(date) = date {
            parts.headers.insert("x-amz-date", date);
        }
    }
    Ok(())
}

/// A header of the protocol that is not signed could have been put in by anybody on the way.
fn refuse_unsigned(parts: &Parts, signed: &str) -> Result<(), Refused> {
    // The payload's digest is signed as such, and a token fits one secret only.
    const FREE: [&str; 2] = ["x-amz-content-sha256", TOKEN_HEADER];
    let unsigned = parts.headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("x-amz-")
            && !FREE.contains(&name)
            && !signed
                .split(';')
                .any(|signed| signed.eq_ignore_ascii_case(name))
    });
    if unsigned {
        return Err(Refused::denied(
            "There were headers present in the request which were not signed.",
        ));
    }
    Ok(())
}

fn signed_headers(authorization: &str) -> &str {
    authorization
        .split([',', ' '])
        .find_map(|part| part.trim().strip_prefix("SignedHeaders="))
        .unwrap_or_default()
}

fn query_value(parts: &Parts, name: &str) -> Option<String> {
    let value = parts
        .uri
        .query()?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)?
        .1;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// `Tue, 27 Mar 2007 19:36:42 GMT` as `20070327T193642Z`.
fn amz_date(text: &str) -> Option<HeaderValue> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    HeaderValue::from_str(&at.strftime("%Y%m%dT%H%M%SZ").to_string()).ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn adapted(request: http::request::Builder) -> Result<Parts, Refused> {
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let keys = Keys::new(vec![1; 32].into());
        adapt(&mut parts, &keys, &Domain(None), Millis::new(0)).map(|()| parts)
    }

    #[test]
    fn the_date_takes_the_place_of_the_protocols_own() {
        let parts = adapted(
            Request::put("/b/k")
                .header("date", "Tue, 27 Mar 2007 19:36:42 GMT")
                .header(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=a/20070327/r/s3/aws4_request,SignedHeaders=date;host,Signature=0",
                ),
        )
        .unwrap();
        assert_eq!(parts.headers["x-amz-date"], "20070327T193642Z");
    }

    #[test]
    fn unsigned_headers_of_the_protocol_are_refused() {
        let with = |name: &str| {
            adapted(
                Request::put("/b/k?X-Amz-SignedHeaders=host%3Bx-amz-meta-b&X-Amz-Signature=0")
                    .header(name, "x"),
            )
        };
        assert_eq!(with("x-amz-meta-a").unwrap_err().code, "AccessDenied");
        assert!(with("x-amz-meta-b").is_ok());
        assert!(with("x-amz-content-sha256").is_ok());
        assert!(with("x-other").is_ok());
    }

    #[test]
    fn forms_are_refused_before_they_are_read() {
        let form = Request::post("/b").header("content-type", "Multipart/form-data; boundary=x");
        assert_eq!(adapted(form).unwrap_err().code, "AccessDenied");
    }
}
