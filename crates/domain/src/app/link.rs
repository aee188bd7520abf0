use std::fmt;
use std::str::FromStr;

use url::Url;

/// What a link's fragment begins with when it names the digest of what lies there, as `pip` writes it:
/// `https://a.example/tool.zip#sha256=` and 64 hex digits. Fragments never reach the source.
const DIGEST_FRAGMENT: &str = "sha256=";

/// The digest that a link names (lower-case hex SHA-256), if it names one; what is no digest is an error.
///
/// # Errors
/// What is wrong with it.
pub fn link_digest(link: &str) -> Result<Option<String>, &'static str> {
    let Some((_, fragment)) = link.split_once('#') else {
        return Ok(None);
    };
    let Some(digest) = fragment.strip_prefix(DIGEST_FRAGMENT) else {
        return Ok(None);
    };
    if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(Some(digest.to_ascii_lowercase()))
    } else {
        Err("#sha256= must be followed by 64 hex digits")
    }
}

/// The link with this digest instead of the one it names, or with none.
#[must_use]
pub fn with_link_digest(link: &str, sha256: Option<&str>) -> String {
    let bare = match link.split_once('#') {
        Some((bare, fragment)) if fragment.starts_with(DIGEST_FRAGMENT) => bare,
        _ => link,
    };
    match (sha256, bare.contains('#')) {
        (Some(sha256), false) => format!("{bare}#{DIGEST_FRAGMENT}{sha256}"),
        (Some(sha256), true) => {
            let (bare, _) = bare.split_once('#').unwrap_or((bare, ""));
            format!("{bare}#{DIGEST_FRAGMENT}{sha256}")
        }
        (None, _) => bare.to_owned(),
    }
}

/// Where the operator lets desktops fetch packages from: patterns such as `https://*`, `https://*.example.com`,
/// `http://mirror.lan:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAllowList {
    patterns: Vec<LinkPattern>,
}

/// One of its patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPattern {
    text: String,
    scheme: String,
    host: HostPattern,
    /// `None`: any.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Any,
    /// Every name that ends so, dot included.
    Below(String),
    Exactly(String),
}

impl LinkAllowList {
    /// Every http and https link.
    #[must_use]
    pub fn everything() -> Self {
        let any = |scheme: &str| LinkPattern {
            text: format!("{scheme}://*"),
            scheme: scheme.to_owned(),
            host: HostPattern::Any,
            port: None,
        };
        Self {
            patterns: vec![any("http"), any("https")],
        }
    }

    /// Links that one of the patterns fits; none where there is none.
    #[must_use]
    pub fn new(patterns: Vec<LinkPattern>) -> Self {
        Self { patterns }
    }

    /// Whether desktops may fetch from there.
    #[must_use]
    pub fn allows(&self, link: &str) -> bool {
        Url::parse(link).is_ok_and(|url| self.patterns.iter().any(|pattern| pattern.fits(&url)))
    }
}

impl fmt::Display for LinkAllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self
            .patterns
            .iter()
            .map(|pattern| pattern.text.as_str())
            .collect();
        f.write_str(&texts.join(", "))
    }
}

impl LinkPattern {
    fn fits(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        let host_fits = match &self.host {
            HostPattern::Any => true,
            HostPattern::Below(end) => host.len() > end.len() && host.ends_with(end),
            HostPattern::Exactly(name) => host == name,
        };
        url.scheme() == self.scheme
            && host_fits
            && self
                .port
                .is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

impl FromStr for LinkPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text}: {why}");
        let (scheme, place) = text
            .split_once("://")
            .ok_or_else(|| wrong("must be http:// or https:// and a host"))?;
        if !matches!(scheme, "http" | "https") {
            return Err(wrong("only http and https links exist"));
        }
        // The name's first label may be a star; the rest is read as every link is.
        let (below, rest) = match place.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, place),
        };
        if rest == "*" && !below {
            return Ok(Self {
                text: text.to_owned(),
                scheme: scheme.to_owned(),
                host: HostPattern::Any,
                port: None,
            });
        }
        let url = Url::parse(&format!("{scheme}://{rest}/"))
            .map_err(|error| wrong(&error.to_string()))?;
        let host = url
            .host_str()
            .filter(|host| !host.contains('*'))
            .ok_or_else(|| wrong("a star stands for a whole host, or before its first dot"))?;
        if url.path() != "/"
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
        {
            return Err(wrong("names scheme, host and port alone"));
        }
        Ok(Self {
            text: text.to_owned(),
            scheme: scheme.to_owned(),
            host: if below {
                HostPattern::Below(format!(".{host}"))
            } else {
                HostPattern::Exactly(host.to_owned())
            },
            port: url.port_or_known_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_stands_in_the_fragment_and_can_be_exchanged() {
        let hex = "AB".repeat(32);
        let low = "ab".repeat(32);
        assert_eq!(link_digest("https://a.example/x"), Ok(None));
        assert_eq!(link_digest("https://a.example/x#top"), Ok(None));
        assert_eq!(
            link_digest(&format!("https://a.example/x#sha256={hex}")),
            Ok(Some(low.clone()))
        );
        assert!(link_digest("https://a.example/x#sha256=ab").is_err());
        for link in [
            "https://a.example/x",
            "https://a.example/x#top",
            "https://a.example/x#sha256=00",
        ] {
            assert_eq!(
                with_link_digest(link, Some(&low)),
                format!("https://a.example/x#sha256={low}")
            );
        }
        assert_eq!(
            with_link_digest("https://a.example/x#sha256=00", None),
            "https://a.example/x"
        );
        assert_eq!(
            with_link_digest("https://a.example/x#top", None),
            "https://a.example/x#top"
        );
    }

    #[test]
    fn patterns_fit_scheme_host_and_port() {
        for (pattern, link, fits) in [
            ("https://*", "https://a.example:9/x", true),
            ("https://*", "http://a.example/x", false),
            ("https://a.example", "https://A.example/x", true),
            ("https://a.example", "https://a.example:8443/x", false),
            ("https://a.example", "https://b.a.example/x", false),
            (
                "https://a.example",
                "https://a.example@evil.example/x",
                false,
            ),
            ("https://a.example:8443", "https://a.example:8443/x", true),
            ("https://*.example", "https://b.a.example/x", true),
            ("https://*.a.example", "https://a.example/x", false),
            ("https://*.a.example", "https://eviла.example/x", false),
            ("https://*.a.example", "https://xa.example/x", false),
            ("http://10.0.0.5:8080", "http://10.0.0.5:8080/x", true),
            ("http://10.0.0.5:8080", "http://0xa000005:8080/x", true),
            ("http://[::1]:80", "http://[0:0::1]/x", true),
        ] {
            let list = LinkAllowList::new(vec![pattern.parse().expect(pattern)]);
            assert_eq!(list.allows(link), fits, "{pattern} {link}");
        }
        for pattern in [
            "",
            "a.example",
            "ftp://*",
            "https://",
            "https://a.*",
            "https://a*b.example",
            "https://a.example/x",
            "https://u@a.example",
            "https://*.*",
        ] {
            assert!(pattern.parse::<LinkPattern>().is_err(), "{pattern}");
        }
        assert!(!LinkAllowList::new(Vec::new()).allows("https://a.example"));
        assert!(LinkAllowList::everything().allows("http://a.example:1/x"));
        assert_eq!(
            LinkAllowList::everything().to_string(),
            "http://*, https://*"
        );
    }
}
