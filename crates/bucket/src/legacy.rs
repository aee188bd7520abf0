//! The older signatures: S3's version 2 (`AWS key:signature`), OBS (`OBS key:signature`), and both as a query.
//!
//! They are checked here, and the request is signed again in the one form of them that the protocol crate reads:
//! version 2, in a header, path style. That makes up for what the crate does not do: OBS names, tokens in a query,
//! a slash after a lone bucket. Such a signature does not say when it was made; the credential's own end, fifteen
//! minutes at most, bounds how long it can be repeated. Sources: AWS "Signing and authenticating REST requests"
//! and the signing code of esdk-obs-python 3.26 and botocore 1.44.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use outfitter_domain::Millis;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret as _;
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use crate::access::{Domain, TOKEN_HEADER};
use crate::adapt::Refused;
use crate::credential::Keys;

const OBS_PREFIX: &str = "x-obs-";
const AMZ_PREFIX: &str = "x-amz-";

/// Parameters of a query that are part of what is signed, beside those with a vendor's prefix.
const SIGNED_PARAMETERS: &[&str] = &[
    "acl",
    "append",
    "backtosource",
    "cors",
    "delete",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "partNumber",
    "policy",
    "position",
    "quota",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "storageClass",
    "storageinfo",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// One parameter of a query, as sent and decoded.
#[derive(Clone)]
struct Parameter {
    raw: String,
    name: String,
    value: Option<String>,
}

/// A signature as it came.
struct Signed {
    access: String,
    signature: String,
    /// When the query says until when it holds, seconds since 1970: that text takes the place of the date.
    expires: Option<String>,
}

/// Whether this module is the one for a request; with what it claims.
fn claims(parts: &Parts, parameters: &[Parameter]) -> Option<Signed> {
    let parameter = |names: &[&str]| {
        parameters
            .iter()
            .find(|parameter| names.contains(&parameter.name.as_str()))
            .and_then(|parameter| parameter.value.clone())
    };
    if let Some(signature) = parameter(&["Signature"]) {
        return Some(Signed {
            access: parameter(&["AWSAccessKeyId", "AccessKeyId"]).unwrap_or_default(),
            signature,
            expires: Some(parameter(&["Expires"]).unwrap_or_default()),
        });
    }
    let header = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let text = header
        .strip_prefix("AWS ")
        .or_else(|| header.strip_prefix("OBS "))?;
    let (access, signature) = text.split_once(':')?;
    Some(Signed {
        access: access.trim().to_owned(),
        signature: signature.trim().to_owned(),
        expires: None,
    })
}

/// Checks an older signature and signs anew; leaves requests without one alone.
pub(crate) fn translate(
    parts: &mut Parts,
    keys: &Keys,
    domain: &Domain,
    now: Millis,
) -> Result<(), Refused> {
    let parameters = parse_query(parts.uri.query().unwrap_or_default());
    let Some(signed) = claims(parts, &parameters) else {
        return Ok(());
    };
    if let Some(expires) = &signed.expires {
        let until: i64 = expires
            .parse()
            .map_err(|_| Refused::denied("The query has no valid Expires."))?;
        if now.get() / 1000 > until {
            return Err(Refused::denied("Request has expired."));
        }
    }
    let secret = keys.secret_of(&signed.access).ok_or(Refused {
        code: "InvalidAccessKeyId",
        message: "The access key does not exist.",
    })?;

    let obs = is_obs(parts, &parameters);
    let host = host_of(parts);
    let bucket = host.as_deref().and_then(|host| domain.bucket_of(host));
    let path = match bucket {
        None => parts.uri.path().to_owned(),
        Some(bucket) => format!("/{bucket}{}", parts.uri.path()),
    };
    let prefix = if obs { OBS_PREFIX } else { AMZ_PREFIX };
    let matches = candidates(parts, &parameters, &signed, &path, prefix)
        .iter()
        .any(|text| {
            let expected = sign(secret.expose_secret(), text);
            bool::from(expected.as_bytes().ct_eq(signed.signature.as_bytes()))
        });
    if !matches {
        return Err(Refused {
            code: "SignatureDoesNotMatch",
            message: "The request signature we calculated does not match the signature you provided.",
        });
    }

    // From here on the request is trusted to be its uploader's: what follows only changes its form.
    let mut kept = Vec::new();
    let mut token = None;
    for parameter in &parameters {
        let name = amz_name(&parameter.name);
        if let Some(value) = parameter.value.as_ref().filter(|_| name == TOKEN_HEADER) {
            token = Some(header_value(value)?);
        } else if !["Signature", "AWSAccessKeyId", "AccessKeyId", "Expires"]
            .contains(&&*parameter.name)
        {
            kept.push(parameter.clone());
        }
    }
    // Headers of the other vendor are in no signature: anybody on the way could have put them in.
    let foreign = if obs { AMZ_PREFIX } else { OBS_PREFIX };
    let unsigned: Vec<HeaderName> = parts
        .headers
        .keys()
        .filter(|name| name.as_str().starts_with(foreign))
        .cloned()
        .collect();
    for name in unsigned {
        parts.headers.remove(&name);
    }
    rename_obs_headers(&mut parts.headers)?;
    if let Some(token) = token {
        parts.headers.insert(TOKEN_HEADER, token);
    }
    if !parts.headers.contains_key(DATE) {
        parts.headers.insert(DATE, date_text(now));
    }
    let query: Vec<&str> = kept.iter().map(|parameter| &*parameter.raw).collect();
    let target = if query.is_empty() {
        path.clone()
    } else {
        format!("{path}?{}", query.join("&"))
    };
    parts.uri = target
        .parse::<Uri>()
        .map_err(|_| Refused::denied("The address cannot be read."))?;
    // An address of digits is never a bucket's: the path names the bucket now.
    parts
        .headers
        .insert(HOST, HeaderValue::from_static("127.0.0.1"));
    let date = if parts.headers.contains_key("x-amz-date") {
        String::new()
    } else {
        header(&parts.headers, DATE.as_str())
    };
    let text = string_to_sign(
        parts,
        &date,
        &vendor_headers(&parts.headers, AMZ_PREFIX),
        &resource(&path, &kept, false),
    );
    let authorization = format!(
        "AWS {}:{}",
        signed.access,
        sign(secret.expose_secret(), &text)
    );
    parts
        .headers
        .insert(AUTHORIZATION, header_value(&authorization)?);
    Ok(())
}

/// The texts that the uploader may have signed: clients disagree in small things.
fn candidates(
    parts: &Parts,
    parameters: &[Parameter],
    signed: &Signed,
    path: &str,
    prefix: &str,
) -> Vec<String> {
    let own_headers = vendor_headers(&parts.headers, prefix);
    let date = match &signed.expires {
        Some(expires) => expires.clone(),
        None if parts.headers.contains_key(format!("{prefix}date")) => String::new(),
        None => header(&parts.headers, DATE.as_str()),
    };
    // botocore signs the token as a header and sends it in the query, esdk signs it as part of the query.
    let mut moved = own_headers.clone();
    moved.extend(parameters.iter().filter_map(|parameter| {
        let name = parameter.name.to_ascii_lowercase();
        let value = parameter.value.clone()?;
        name.starts_with(prefix).then_some((name, value))
    }));
    moved.sort();
    // A lone bucket is signed with a slash behind it by some, and sent without.
    let lone = path.len() > 1 && path[1..].split('/').count() == 1;
    let mut paths = vec![path.to_owned()];
    if lone {
        paths.push(format!("{path}/"));
    }
    paths
        .iter()
        .flat_map(|path| {
            [
                string_to_sign(
                    parts,
                    &date,
                    &own_headers,
                    &resource(path, parameters, true),
                ),
                string_to_sign(parts, &date, &moved, &resource(path, parameters, false)),
            ]
        })
        .collect()
}

fn is_obs(parts: &Parts, parameters: &[Parameter]) -> bool {
    let header = parts
        .headers
        .get(AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().starts_with(b"OBS "));
    header
        || parameters
            .iter()
            .any(|parameter| parameter.name == "AccessKeyId")
}

fn string_to_sign(
    parts: &Parts,
    date: &str,
    vendor_headers: &[(String, String)],
    resource: &str,
) -> String {
    let mut text = format!(
        "{}\n{}\n{}\n{date}\n",
        parts.method,
        header(&parts.headers, "content-md5"),
        header(&parts.headers, CONTENT_TYPE.as_str()),
    );
    for (name, value) in vendor_headers {
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        text.push('\n');
    }
    text.push_str(resource);
    text
}

/// The path, and what of the query is signed.
fn resource(path: &str, parameters: &[Parameter], with_vendor: bool) -> String {
    let mut signed: Vec<&Parameter> = parameters
        .iter()
        .filter(|parameter| {
            let lower = parameter.name.to_ascii_lowercase();
            SIGNED_PARAMETERS.contains(&&*parameter.name)
                || (with_vendor && (lower.starts_with(AMZ_PREFIX) || lower.starts_with(OBS_PREFIX)))
        })
        .collect();
    signed.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = path.to_owned();
    for (index, parameter) in signed.into_iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(&parameter.name);
        if let Some(value) = parameter.value.as_ref().filter(|value| !value.is_empty()) {
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

/// Headers with a prefix, by name; several of one name are one, joined by commas.
fn vendor_headers(headers: &HeaderMap, prefix: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(prefix))
        .map(|name| {
            let values: Vec<String> = headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
                .collect();
            (name.as_str().to_owned(), values.join(","))
        })
        .collect();
    found.sort();
    found
}

fn rename_obs_headers(headers: &mut HeaderMap) -> Result<(), Refused> {
    let renamed: Vec<(HeaderName, HeaderName)> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(OBS_PREFIX))
        .map(|name| {
            let amz = amz_name(name.as_str());
            HeaderName::from_bytes(amz.as_bytes())
                .map(|amz| (name.clone(), amz))
                .map_err(|_| Refused::denied("A header cannot be read."))
        })
        .collect::<Result<_, _>>()?;
    for (obs, amz) in renamed {
        if let Some(value) = headers.remove(&obs) {
            headers.insert(amz, value);
        }
    }
    Ok(())
}

/// A name in S3's words, lower case.
fn amz_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.strip_prefix(OBS_PREFIX) {
        Some(rest) => format!("{AMZ_PREFIX}{rest}"),
        None => lower,
    }
}

fn parse_query(query: &str) -> Vec<Parameter> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => Parameter {
                raw: pair.to_owned(),
                name: decoded(name),
                value: Some(decoded(value)),
            },
            None => Parameter {
                raw: pair.to_owned(),
                name: decoded(pair),
                value: None,
            },
        })
        .collect()
}

/// The name by which the request addressed us.
fn host_of(parts: &Parts) -> Option<String> {
    parts
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .map(str::to_owned)
        .or_else(|| parts.uri.authority().map(|authority| authority.to_string()))
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        .unwrap_or_default()
}

fn header_value(text: &str) -> Result<HeaderValue, Refused> {
    HeaderValue::from_str(text).map_err(|_| Refused::denied("A value cannot be read."))
}

fn date_text(now: Millis) -> HeaderValue {
    jiff::Timestamp::from_millisecond(now.get())
        .ok()
        .and_then(|now| jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC)).ok())
        .and_then(|text| HeaderValue::from_str(&text).ok())
        .unwrap_or_else(|| HeaderValue::from_static("Thu, 1 Jan 1970 00:00:00 +0000"))
}

fn sign(secret: &str, text: &str) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// The example "Object PUT" of AWS "Signing and authenticating REST requests".
    #[test]
    fn the_published_example_is_signed_alike() {
        let (parts, ()) = Request::put("/photos/puppy.jpg")
            .header("content-type", "image/jpeg")
            .header("date", "Tue, 27 Mar 2007 21:15:45 +0000")
            .body(())
            .unwrap()
            .into_parts();
        let text = string_to_sign(
            &parts,
            &header(&parts.headers, "date"),
            &vendor_headers(&parts.headers, AMZ_PREFIX),
            &resource("/awsexamplebucket1/photos/puppy.jpg", &[], false),
        );
        assert_eq!(
            sign("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &text),
            "iqRzw+ileNPu1fhspnRs8nOjjIA="
        );
    }

    #[test]
    fn the_query_is_signed_by_name_and_only_in_part() {
        let parameters =
            parse_query("uploadId=a%2Bb&x-id=1&partNumber=2&uploads&x-amz-security-token=t");
        assert_eq!(
            resource("/b/k", &parameters, false),
            "/b/k?partNumber=2&uploadId=a+b&uploads"
        );
        assert_eq!(
            resource("/b/k", &parameters, true),
            "/b/k?partNumber=2&uploadId=a+b&uploads&x-amz-security-token=t"
        );
    }
}
