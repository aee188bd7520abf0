//! HTTP proxies on the way to the server and to packages elsewhere.
//!
//! What the agent's own settings say holds; without it the environment: `HTTPS_PROXY` for the server and for HTTPS
//! links, `HTTP_PROXY` for HTTP links, `NO_PROXY`, each in lower case too (lower case last, as curl reads them).
//! TLS passes through a proxy (CONNECT) and ends at the server: pins and certificates are judged as ever.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use reqwest::{ClientBuilder, NoProxy, Proxy, Url};
use serde::{Deserialize, Serialize};

use crate::state_dir::AgentSettings;

/// A variable that gives the proxy to commands without showing a password in process lists.
pub const PROXY_VARIABLE: &str = "OUTFITTER_PROXY";

/// `http://[USER:PASSWORD@]HOST[:PORT]` of a proxy. Shown without its password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProxyUrl(Url);

/// Text that names no proxy that can be used. The text itself is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is written http://[USER:PASSWORD@]HOST[:PORT]: {0}")]
pub struct ProxyUrlError(&'static str);

impl FromStr for ProxyUrl {
    type Err = ProxyUrlError;

    fn from_str(text: &str) -> Result<Self, ProxyUrlError> {
        let text = text.trim();
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let url = Url::parse(&whole).map_err(|_| ProxyUrlError("this is no address"))?;
        if url.scheme() != "http" {
            return Err(ProxyUrlError(
                "only proxies that are spoken to in plain HTTP can be used",
            ));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(ProxyUrlError("the host is missing"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyUrlError("nothing may follow host and port"));
        }
        Ok(Self(url))
    }
}

impl TryFrom<String> for ProxyUrl {
    type Error = ProxyUrlError;

    fn try_from(text: String) -> Result<Self, ProxyUrlError> {
        text.parse()
    }
}

impl From<ProxyUrl> for String {
    /// With the password: for the settings file alone.
    fn from(proxy: ProxyUrl) -> Self {
        proxy.0.into()
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "http://{}:{}",
            self.0.host_str().unwrap_or_default(),
            self.0.port_or_known_default().unwrap_or(80)
        )?;
        match self.0.username() {
            "" => Ok(()),
            user => write!(f, " as {}", decoded(user)),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl ProxyUrl {
    /// Whether a password is part of it.
    pub fn has_password(&self) -> bool {
        self.0.password().is_some()
    }

    fn rule(&self, make: fn(Url) -> reqwest::Result<Proxy>) -> reqwest::Result<Proxy> {
        let mut bare = self.0.clone();
        // Both only fail for addresses without a host.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        let proxy = make(bare)?;
        Ok(match (self.0.username(), self.0.password()) {
            ("", None) => proxy,
            (user, password) => {
                proxy.basic_auth(&decoded(user), &decoded(password.unwrap_or_default()))
            }
        })
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A variable whose value is no proxy that can be used.
#[derive(Debug, thiserror::Error)]
#[error("the variable {variable} cannot be used")]
pub struct ProxyError {
    variable: &'static str,
    #[source]
    source: ProxyUrlError,
}

/// The proxies in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Chosen>,
    http: Option<Chosen>,
    not_for: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Chosen {
    url: ProxyUrl,
    said_by: &'static str,
}

impl Proxies {
    /// What the settings say, else the environment.
    ///
    /// # Errors
    /// When a variable that would be used names no proxy.
    pub fn choose(
        settings: &AgentSettings,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ProxyError> {
        if let Some(url) = &settings.proxy {
            let chosen = Chosen {
                url: url.clone(),
                said_by: "the agent's settings",
            };
            return Ok(Self {
                https: Some(chosen.clone()),
                http: Some(chosen),
                not_for: settings.no_proxy.clone().unwrap_or_default(),
            });
        }
        let said = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                environment(name)
                    .filter(|text| !text.trim().is_empty())
                    .map(|text| (name, text))
            })
        };
        let chosen = |names| -> Result<Option<Chosen>, ProxyError> {
            said(names)
                .map(|(variable, text)| {
                    let url = text
                        .parse()
                        .map_err(|source| ProxyError { variable, source })?;
                    Ok(Chosen {
                        url,
                        said_by: variable,
                    })
                })
                .transpose()
        };
        Ok(Self {
            https: chosen(["HTTPS_PROXY", "https_proxy"])?,
            http: chosen(["HTTP_PROXY", "http_proxy"])?,
            not_for: said(["NO_PROXY", "no_proxy"]).map_or_else(String::new, |(_, text)| text),
        })
    }

    /// As [`Self::choose`], with the environment of this process.
    ///
    /// # Errors
    /// As there.
    pub fn of_process(settings: &AgentSettings) -> Result<Self, ProxyError> {
        Self::choose(settings, |name| std::env::var(name).ok())
    }

    /// Tells a client about them, and about nothing else that the environment may say.
    ///
    /// # Errors
    /// When the HTTP library refuses an address.
    pub fn apply(&self, builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        let mut builder = builder.no_proxy();
        let rules = [
            (&self.https, Proxy::https as fn(Url) -> _),
            (&self.http, Proxy::http as fn(Url) -> _),
        ];
        for (chosen, make) in rules {
            if let Some(Chosen { url, .. }) = chosen {
                let exempt = NoProxy::from_string(&self.not_for);
                builder = builder.proxy(url.rule(make)?.no_proxy(exempt));
            }
        }
        Ok(builder)
    }
}

impl fmt::Display for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.https {
            None => f.write_str("none: the server is called directly")?,
            Some(Chosen { url, said_by }) => {
                write!(f, "{url} for the server and HTTPS links (by {said_by})")?;
            }
        }
        if let Some(Chosen { url, said_by }) = &self.http {
            write!(f, "; {url} for HTTP links (by {said_by})")?;
        }
        if !self.not_for.is_empty() && (self.https.is_some() || self.http.is_some()) {
            write!(f, "; not for {}", self.not_for)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(settings: &AgentSettings, variables: &[(&str, &str)]) -> Result<String, ProxyError> {
        let look = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Proxies::choose(settings, look).map(|proxies| proxies.to_string())
    }

    #[test]
    fn settings_come_before_the_environment_and_passwords_are_never_shown() {
        let environment = [
            ("https_proxy", "http://ann:s%40cret@proxy.example.org:3128"),
            ("HTTP_PROXY", "proxy.example.org"),
            ("NO_PROXY", "localhost,.example.net"),
        ];
        let mut settings = AgentSettings::default();
        assert_eq!(
            chosen(&settings, &environment).expect("proxies"),
            "http://proxy.example.org:3128 as ann for the server and HTTPS links (by https_proxy); \
             http://proxy.example.org:80 for HTTP links (by HTTP_PROXY); not for localhost,.example.net"
        );
        settings.proxy = Some("http://bob:secret@other:1".parse().expect("a proxy"));
        let shown = chosen(&settings, &environment).expect("proxies");
        assert!(
            shown.contains("other:1 as bob") && !shown.contains("example"),
            "{shown}"
        );
        assert!(!format!("{settings:?}{shown}").contains("secret"));
        assert_eq!(
            chosen(&AgentSettings::default(), &[("HTTPS_PROXY", "")]).expect("none"),
            "none: the server is called directly"
        );
    }

    #[test]
    fn what_is_no_plain_http_proxy_is_refused_without_repeating_it() {
        for bad in [
            "https://a:pw1@h",
            "socks5://a:pw1@h",
            "http://a:pw1@h/path",
            "http://",
            "a b",
        ] {
            let error = bad.parse::<ProxyUrl>().expect_err(bad).to_string();
            assert!(!error.contains("pw1"), "{error}");
        }
        let error = chosen(
            &AgentSettings::default(),
            &[("HTTPS_PROXY", "socks5://a:pw1@h")],
        )
        .expect_err("refused");
        let words = crate::server_client::chain(&error);
        assert!(
            words.contains("HTTPS_PROXY") && !words.contains("pw1"),
            "{words}"
        );
    }
}
