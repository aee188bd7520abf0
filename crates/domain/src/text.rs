//! Folding text for comparison, the same on both databases because it is done here.

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

/// Folds text so that equal-looking names of any script and case become equal: NFKC and full case
/// folding, normalised again (Unicode, section 3.13, "compatibility caseless match").
pub fn fold(text: &str) -> String {
    text.nfkc().default_case_fold().nfkc().collect()
}

/// Makes a `LIKE ... ESCAPE '\'` pattern that finds the folded `part` anywhere in a folded column.
pub fn contains_pattern(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for character in fold(part).chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// The same for a folded column that begins with the folded `begin`.
pub fn begins_pattern(begin: &str) -> String {
    // Without the first sign, which is the `%` before it.
    contains_pattern(begin)[1..].to_owned()
}

/// Whether text consists of nothing but white space (the empty text included).
pub fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_script_fold_alike() {
        assert_eq!(fold("STRASSE"), fold("straße"));
        assert_eq!(fold("ΣΊΣΥΦΟΣ"), fold("σίσυφος"));
        assert_eq!(fold("Ｆｉｒｅｆｏｘ"), "firefox");
        assert_eq!(fold("É"), fold("e\u{301}"));
    }

    #[test]
    fn wildcards_in_a_search_stand_for_themselves() {
        assert_eq!(contains_pattern("50%_\\A"), "%50\\%\\_\\\\a%");
        assert_eq!(begins_pattern("%A"), "\\%a%");
        assert_eq!(begins_pattern(""), "%");
    }
}
