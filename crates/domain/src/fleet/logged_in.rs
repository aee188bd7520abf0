//! Whoever is logged in at a desktop may become its user.

/// What a project does about whoever is logged in at a single-user desktop that has no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedInUsers {
    /// Nothing.
    Ignore,
    /// A user of the directory becomes the desktop's.
    Known,
    /// So does anybody else, as a LOCAL user that is made.
    Any,
}

impl LoggedInUsers {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Known => "known",
            Self::Any => "any",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ignore, Self::Known, Self::Any]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }
}

/// The account that came to a desktop and is alone there; `before` and `now` are who is logged in at it.
///
/// Of several nobody is meant, whoever was there before was looked at then, and the superuser uses no desktop.
pub fn newcomer<'a>(before: &[String], now: &'a [String]) -> Option<&'a str> {
    match now {
        [account] if account != "root" && !before.contains(account) => Some(account),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_alone_is_a_newcomer_once() {
        let list = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        for (before, now, expected) in [
            (&[][..], &["ana"][..], Some("ana")),
            (&["bo"], &["ana"], Some("ana")),
            (&["ana"], &["ana"], None),
            // She was there when somebody else was, and was looked at then.
            (&["ana", "bo"], &["ana"], None),
            (&[], &["ana", "bo"], None),
            (&[], &["root"], None),
            (&["ana"], &[], None),
        ] {
            assert_eq!(
                newcomer(&list(before), &list(now)),
                expected,
                "{before:?} {now:?}"
            );
        }
    }

    #[test]
    fn a_mode_reads_back() {
        for mode in [
            LoggedInUsers::Ignore,
            LoggedInUsers::Known,
            LoggedInUsers::Any,
        ] {
            assert_eq!(LoggedInUsers::parse(mode.as_str()), Some(mode));
        }
        assert_eq!(LoggedInUsers::parse("KNOWN"), None);
    }
}
