//! Feature switches of a project. Source: contract, section 8.

/// Most features stored for one project.
pub const FEATURES_MAX: usize = 64;

const NAME_MAX: usize = 64;

/// The features we act on. Others are stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// The app center; off: auto-install calls are refused.
    AppCenter,
    /// App control.
    AppRestriction,
}

impl Feature {
    /// Every feature we act on. All are on until somebody turns them off.
    pub const ALL: &[Self] = &[Self::AppCenter, Self::AppRestriction];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AppCenter => "app_center",
            Self::AppRestriction => "app_restriction",
        }
    }
}

/// Whether text may name a feature: 1 to 64 of `A-Z a-z 0-9 _ . -`.
pub fn is_feature_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_names_follow_the_contract() {
        assert!(is_feature_name("app_center"));
        assert!(is_feature_name(&"a".repeat(64)));
        for bad in ["", "a b", "é"] {
            assert!(!is_feature_name(bad), "{bad}");
        }
        assert!(!is_feature_name(&"a".repeat(65)));
    }
}
