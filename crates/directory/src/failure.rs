//! What went wrong, and in whose words.

use ldap3::LdapError;
use ldap3::result::LdapResult;
use thiserror::Error;

/// Why a directory could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Failure {
    /// Stable code.
    pub code: FailureCode,
    /// One sentence with the far side's own words; no secret.
    pub text: String,
}

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureCode {
    /// No connection to host and port.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// TLS does not stand: another CA, another name, or no TLS there.
    Tls,
    /// Name or password of the bind account is wrong, or it may not log in.
    BindRefused,
    /// A base does not exist, or the bind account does not see it.
    BaseMissing,
    /// The directory refused a search.
    SearchRefused,
    /// The directory cut a search short.
    SearchLimited,
    /// More entries or members than are taken over.
    TooLarge,
    /// An answer that makes no sense.
    Protocol,
}

impl FailureCode {
    /// The code as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::BindRefused => "bind_refused",
            Self::BaseMissing => "base_missing",
            Self::SearchRefused => "search_refused",
            Self::SearchLimited => "search_limited",
            Self::TooLarge => "too_large",
            Self::Protocol => "protocol",
        }
    }

    /// Every code.
    pub const ALL: &[Self] = &[
        Self::Unreachable,
        Self::Timeout,
        Self::Tls,
        Self::BindRefused,
        Self::BaseMissing,
        Self::SearchRefused,
        Self::SearchLimited,
        Self::TooLarge,
        Self::Protocol,
    ];

    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        self.hints().0
    }

    /// What to do about it, in English and Chinese.
    pub const fn hints(self) -> (&'static str, &'static str) {
        match self {
            Self::Unreachable => (
                "Check host and port of the URL, and that the directory runs",
                "请检查 URL 的主机和端口，并确认目录服务正在运行。",
            ),
            Self::Timeout => (
                "Check that nothing between here and the directory swallows packets",
                "请确认服务器与目录服务之间没有丢弃数据包的设备。",
            ),
            Self::Tls => (
                "Check that the CA is the one that signed the directory's certificate, and that the certificate names the host of the URL",
                "请确认目录服务的证书由该 CA 签发，并且证书包含 URL 的主机名。",
            ),
            Self::BindRefused => (
                "Check the bind account: a DN, or with Active Directory NAME@DOMAIN or DOMAIN\\NAME, and its password",
                "请检查绑定账号（DN，Active Directory 也可用 NAME@DOMAIN 或 DOMAIN\\NAME）及其密码。",
            ),
            Self::BaseMissing => (
                "Check the base DNs, and that the bind account may read below them",
                "请检查基准 DN，并确认绑定账号可以读取其下的条目。",
            ),
            Self::SearchRefused => (
                "Check filters and the rights of the bind account",
                "请检查过滤条件和绑定账号的权限。",
            ),
            Self::SearchLimited => (
                "Raise the directory's size or time limit for the bind account, or narrow bases and filters",
                "请提高目录服务对绑定账号的数量或时间限制，或缩小基准和过滤范围。",
            ),
            Self::TooLarge => ("Narrow the bases or filters", "请缩小基准或过滤范围。"),
            Self::Protocol => (
                "Check that the URL names an LDAP directory of the kind that was set",
                "请确认 URL 指向所设类型的 LDAP 目录。",
            ),
        }
    }
}

impl Failure {
    pub(crate) fn new(code: FailureCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    /// What the library says while `doing` something.
    pub(crate) fn of(doing: &str, error: LdapError) -> Self {
        let code = match &error {
            LdapError::Io { source } => {
                let is_tls = source
                    .get_ref()
                    .is_some_and(|inner| inner.is::<rustls::Error>());
                if is_tls {
                    FailureCode::Tls
                } else {
                    FailureCode::Unreachable
                }
            }
            LdapError::Rustls { .. } | LdapError::DNSName { .. } => FailureCode::Tls,
            LdapError::Timeout { .. } => FailureCode::Timeout,
            LdapError::LdapResult { result } => return Self::refused(doing, result),
            LdapError::FilterParsing => FailureCode::SearchRefused,
            LdapError::OpSend { .. }
            | LdapError::ResultRecv { .. }
            | LdapError::IdScrubSend { .. }
            | LdapError::MiscSend { .. }
            | LdapError::EndOfStream => FailureCode::Unreachable,
            LdapError::EmptyUnixPath
            | LdapError::PortInUnixPath
            | LdapError::MismatchedStreamType
            | LdapError::UrlParsing { .. }
            | LdapError::UnknownScheme(_)
            | LdapError::AddNoValues
            | LdapError::AdapterInit(_)
            | LdapError::DecodingUTF8
            | LdapError::InvalidScopeString(_)
            | LdapError::UnrecognizedCriticalExtension(_) => FailureCode::Protocol,
        };
        let words = match &error {
            LdapError::Io { source } => source.to_string(),
            LdapError::Timeout { .. } => "no answer in time".to_owned(),
            LdapError::OpSend { .. }
            | LdapError::ResultRecv { .. }
            | LdapError::IdScrubSend { .. }
            | LdapError::EndOfStream => "the directory closed the connection".to_owned(),
            other => other.to_string(),
        };
        Self::new(code, format!("cannot {doing}: {words}"))
    }

    /// What a result code says. Source: RFC 4511, appendix A.
    pub(crate) fn refused(doing: &str, result: &LdapResult) -> Self {
        let (code, words) = match result.rc {
            3 => (FailureCode::SearchLimited, "time limit exceeded"),
            4 => (FailureCode::SearchLimited, "size limit exceeded"),
            11 => (FailureCode::SearchLimited, "administrative limit exceeded"),
            8 => (FailureCode::BindRefused, "stronger authentication required"),
            32 => (FailureCode::BaseMissing, "no such object"),
            34 => (FailureCode::BaseMissing, "invalid DN"),
            48 => (FailureCode::BindRefused, "inappropriate authentication"),
            49 => (FailureCode::BindRefused, "invalid credentials"),
            50 => (FailureCode::SearchRefused, "insufficient access rights"),
            51 | 52 => (FailureCode::Unreachable, "busy or unavailable"),
            53 => (FailureCode::BindRefused, "unwilling to perform"),
            _ => (FailureCode::SearchRefused, "refused"),
        };
        let told: String = result
            .text
            .chars()
            .filter(|character| !character.is_control())
            .take(300)
            .collect();
        let told = if told.is_empty() {
            String::new()
        } else {
            format!(" ({told})")
        };
        Self::new(
            code,
            format!("cannot {doing}: {words}, code {}{told}", result.rc),
        )
    }
}
