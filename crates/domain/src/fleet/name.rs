//! Names of desktops and of the users made along with them.

use std::fmt;

use crate::text::{fold, is_blank};

/// Longest name of a desktop, in characters. Source: contract, section 11 (the NetBIOS limit).
pub const DESKTOP_NAME_MAX: usize = 15;

/// Longest name of a user made beside a desktop, in characters. Source: `user_name` of an attached user.
pub const USER_NAME_MAX: usize = 64;

/// A checked name of a desktop: 1 to 15 letters, digits and `-`, begins with a letter, does not end with `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesktopName(String);

/// Text that is no name of a desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a desktop's name has 1 to {DESKTOP_NAME_MAX} letters, digits and `-`, begins with a letter and does not end with `-`"
)]
pub struct DesktopNameError;

impl DesktopName {
    /// Checks a name.
    ///
    /// # Errors
    /// When it breaks the rule of the type.
    pub fn parse(text: &str) -> Result<Self, DesktopNameError> {
        let fits = text.len() <= DESKTOP_NAME_MAX
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && !text.ends_with('-')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(DesktopNameError)
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes two names the same.
    pub fn folded(&self) -> String {
        fold(&self.0)
    }

    /// Names to try where this one is taken: its first ten characters, `-` and four hex digits; one for each two bytes of
    /// `chance`.
    pub fn spares(&self, chance: &[u8]) -> Vec<Self> {
        let end = DESKTOP_NAME_MAX - "-0000".len();
        let base = &self.0[..self.0.len().min(end)];
        let base = base.trim_end_matches('-');
        chance
            .chunks_exact(2)
            .map(|pair| Self(format!("{base}-{:02x}{:02x}", pair[0], pair[1])))
            .collect()
    }
}

impl fmt::Display for DesktopName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A checked name of a LOCAL user: 1 to 64 characters, none of them a control character, not blank. Wider
/// than what `CreateDesktopUser` accepts, since account names such as `li@example` occur (contract, section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalUserName(String);

/// Text that is no name of a LOCAL user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user's name has 1 to {USER_NAME_MAX} characters, no control characters, and is not blank"
)]
pub struct LocalUserNameError;

impl LocalUserName {
    /// Checks a name.
    ///
    /// # Errors
    /// When it breaks the rule of the type.
    pub fn parse(text: &str) -> Result<Self, LocalUserNameError> {
        let fits = !is_blank(text)
            && text.chars().count() <= USER_NAME_MAX
            && !text.chars().any(char::is_control);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(LocalUserNameError)
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes two names the same.
    pub fn folded(&self) -> String {
        fold(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_names_are_names_and_begin_like_the_one_that_is_taken() {
        for (name, spares) in [
            ("pc", ["pc-0a1b", "pc-ff00"]),
            ("a23456789012345", ["a234567890-0a1b", "a234567890-ff00"]),
            ("abcdefghi-jk", ["abcdefghi-0a1b", "abcdefghi-ff00"]),
        ] {
            let name = DesktopName::parse(name).expect("a name");
            let made = name.spares(&[0x0a, 0x1b, 0xff, 0, 7]);
            assert!(
                made.iter()
                    .all(|spare| DesktopName::parse(spare.as_str()).as_ref() == Ok(spare))
            );
            let texts: Vec<_> = made.iter().map(DesktopName::as_str).collect();
            assert_eq!(texts, spares);
        }
    }

    #[test]
    fn desktop_names_follow_the_contract() {
        for good in ["a", "Desk-01", "a1", "abcdefghijklmno"] {
            assert!(DesktopName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "a-", "a_b", "a b", "é", "abcdefghijklmnop"] {
            assert_eq!(DesktopName::parse(bad), Err(DesktopNameError), "{bad}");
        }
    }

    #[test]
    fn user_names_may_carry_a_domain_but_not_a_line_break() {
        assert!(LocalUserName::parse("li@example").is_ok());
        assert!(LocalUserName::parse(&"李".repeat(64)).is_ok());
        for bad in ["", "  ", "a\nb"] {
            assert!(LocalUserName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(LocalUserName::parse(&"a".repeat(65)).is_err());
    }
}
