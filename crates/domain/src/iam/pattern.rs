//! Wildcards of actions and resources: `*` stands for any text, `?` for any one character.

/// Whether `pattern` covers all of `text`; `same` compares single characters.
///
/// Runs in `O(pattern × text)` without recursion: on a mismatch only the last `*` is widened, since an
/// earlier one could not do better.
fn covers(pattern: &str, text: &str, same: fn(char, char) -> bool) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Pattern behind the last `*`, and the text that `*` has not swallowed yet.
    let mut widen = None;
    loop {
        let before = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = before;
                widen = Some((pattern.clone(), text.clone()));
                continue;
            }
            (Some('?'), Some(_)) => continue,
            (Some(wanted), Some(found)) if same(wanted, found) => continue,
            // The text is at its end, so that no `*` can be widened any more.
            (Some(_), None) => return false,
            (_, Some(_)) => {}
        }
        let Some((after_star, left)) = &mut widen else {
            return false;
        };
        if left.next().is_none() {
            return false;
        }
        (pattern, text) = (after_star.clone(), left.clone());
    }
}

/// Whether a pattern covers an action. ASCII case does not matter, so that no Deny misses by a capital.
pub(super) fn covers_action(pattern: &str, action: &str) -> bool {
    covers(pattern, action, |a, b| a.eq_ignore_ascii_case(&b))
}

/// Whether a pattern covers a resource; ids keep their case.
pub(super) fn covers_resource(pattern: &str, resource: &str) -> bool {
    covers(pattern, resource, |a, b| a == b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_cover_what_they_should() {
        for (pattern, text, covered) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a:b", true),
            ("?", "", false),
            ("?", "é", true),
            ("a*", "a", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("a*b?d*", "axxbxbcd", true),
            ("**", "x", true),
            ("*?", "", false),
            ("ab", "a", false),
        ] {
            assert_eq!(covers_resource(pattern, text), covered, "{pattern} {text}");
        }
        assert!(covers_action("Workspace:*:GET*", "workspace:desktops:get"));
        assert!(!covers_resource("desktop:A", "desktop:a"));
    }

    #[test]
    fn hostile_patterns_end_quickly() {
        let text = "a".repeat(2_000);
        assert!(!covers_resource(&format!("{}b", "*a".repeat(100)), &text));
    }

    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((&'*', pattern)), rest) => {
                naive(pattern, text)
                    || rest.is_some_and(|(_, text)| naive(&[&['*'], pattern].concat(), text))
            }
            (Some((wanted, pattern)), Some((found, text))) => {
                (*wanted == '?' || wanted == found) && naive(pattern, text)
            }
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                covers_resource(&pattern, &text),
                naive(&characters(&pattern), &characters(&text))
            );
        }
    }
}
