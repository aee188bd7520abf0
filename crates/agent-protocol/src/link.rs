use std::fmt;
use std::str::FromStr;

use url::Url;

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

    /// Patterns as a message brings them. One that this version cannot read fits nothing.
    #[must_use]
    pub fn of_message(patterns: &[String]) -> Self {
        Self {
            patterns: patterns
                .iter()
                .filter_map(|pattern| pattern.parse().ok())
                .collect(),
        }
    }

    /// Its patterns as they were written.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.patterns
            .iter()
            .map(|pattern| pattern.text.clone())
            .collect()
    }

    /// Whether desktops may fetch from there.
    #[must_use]
    pub fn allows(&self, link: &str) -> bool {
        Url::parse(link).is_ok_and(|url| self.allows_url(&url))
    }

    /// Whether desktops may fetch from there.
    #[must_use]
    pub fn allows_url(&self, url: &Url) -> bool {
        self.patterns.iter().any(|pattern| pattern.fits(url))
    }
}

impl fmt::Display for LinkAllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(", "))
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
        // What a later server may say is no way in.
        let later = ["https://a.example".to_owned(), "later:*".to_owned()];
        let list = LinkAllowList::of_message(&later);
        assert!(list.allows("https://a.example/x") && !list.allows("later:x"));
        assert_eq!(list.texts(), ["https://a.example"]);
    }
}
