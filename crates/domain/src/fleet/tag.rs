//! Tags of desktops. Source: contract, section 11.

/// Most tags of one desktop.
pub const TAGS_PER_DESKTOP_MAX: usize = 20;

const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 43;
const RESERVED_PREFIX: &str = "_sys_";

/// Why text is no tag key or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Empty key.
    #[error("must not be empty")]
    Empty,
    /// Over 128 (key) or 43 (value) characters.
    #[error("has at most {max} characters")]
    TooLong {
        /// The limit in characters.
        max: usize,
    },
    /// A character outside the set.
    #[error("may only hold letters, digits, spaces and _ . : = + - @")]
    Character,
    /// White space at an end.
    #[error("must not begin or end with a space")]
    OuterSpace,
    /// The prefix of the system's own tags.
    #[error("must not begin with {RESERVED_PREFIX}")]
    Reserved,
}

/// Checks a tag's key.
///
/// # Errors
/// The rule it breaks.
pub fn check_tag_key(key: &str) -> Result<(), TagError> {
    if key.is_empty() {
        return Err(TagError::Empty);
    }
    check(key, KEY_MAX)?;
    if key.starts_with(RESERVED_PREFIX) {
        return Err(TagError::Reserved);
    }
    Ok(())
}

/// Checks a tag's value; the empty one is fine.
///
/// # Errors
/// The rule it breaks.
pub fn check_tag_value(value: &str) -> Result<(), TagError> {
    check(value, VALUE_MAX)
}

fn check(text: &str, max: usize) -> Result<(), TagError> {
    if text.chars().count() > max {
        return Err(TagError::TooLong { max });
    }
    let allowed = |character: char| {
        character.is_alphanumeric()
            || matches!(character, ' ' | '_' | '.' | ':' | '=' | '+' | '-' | '@')
    };
    if !text.chars().all(allowed) {
        return Err(TagError::Character);
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return Err(TagError::OuterSpace);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_follow_the_contract() {
        assert_eq!(check_tag_key("部门 a_.:=+-@1"), Ok(()));
        assert_eq!(check_tag_key(""), Err(TagError::Empty));
        assert_eq!(check_tag_key(" a"), Err(TagError::OuterSpace));
        assert_eq!(check_tag_key("a "), Err(TagError::OuterSpace));
        assert_eq!(check_tag_key("_sys_a"), Err(TagError::Reserved));
        assert_eq!(check_tag_key("a/b"), Err(TagError::Character));
        assert_eq!(check_tag_key(&"k".repeat(128)), Ok(()));
        assert_eq!(
            check_tag_key(&"k".repeat(129)),
            Err(TagError::TooLong { max: 128 })
        );
        assert_eq!(check_tag_value(""), Ok(()));
        assert_eq!(check_tag_value(&"v".repeat(43)), Ok(()));
        assert_eq!(
            check_tag_value(&"v".repeat(44)),
            Err(TagError::TooLong { max: 43 })
        );
    }
}
