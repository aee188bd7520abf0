//! Secrets in what installers print: they must not be stored, shown and signed with the rest.

/// What stands in a secret's place.
const MASK: &str = "******";

/// Words after which a value is a secret, in lower case; the longer ones first.
const WORDS: &[&str] = &[
    "authorization",
    "access_key",
    "accesskey",
    "secret_key",
    "secretkey",
    "private_key",
    "api_key",
    "apikey",
    "api-key",
    "client_secret",
    "passphrase",
    "password",
    "passwd",
    "secret",
    "token",
    "pwd",
];

/// The text with every value masked that follows a word like `password`, with the user and password of addresses masked,
/// and what stands between the marks of a private key. What has no such mark cannot be told from other text.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_key = false;
    for line in text.split_inclusive('\n') {
        if line.contains("-----BEGIN") && line.contains("PRIVATE KEY") {
            in_key = true;
            out.push_str(line);
            continue;
        }
        if in_key {
            if line.contains("-----END") {
                in_key = false;
                out.push_str(line);
            } else {
                out.push_str(MASK);
                out.push('\n');
            }
            continue;
        }
        out.push_str(&without_userinfo(&without_values(line)));
    }
    out
}

/// Masks what follows `WORD=`, `WORD: ` and `--WORD `, quoted or not.
fn without_values(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut out = String::with_capacity(line.len());
    let mut at = 0;
    while at < line.len() {
        let Some((from, word)) = next_word(&lower, at) else {
            break;
        };
        let after = from + word.len();
        out.push_str(&line[at..after]);
        at = after;
        let rest = &line[after..];
        let quote_end = usize::from(rest.starts_with(['"', '\'']));
        let gap = rest[quote_end..].len() - rest[quote_end..].trim_start_matches([' ', '\t']).len();
        let sign = quote_end + gap;
        let is_flag = lower[..from].ends_with("--") && gap > 0;
        let begin = match rest[sign..].chars().next() {
            Some('=' | ':') => {
                let value = &rest[sign + 1..];
                sign + 1 + (value.len() - value.trim_start_matches([' ', '\t']).len())
            }
            Some(_) if is_flag => sign,
            _ => continue,
        };
        let value = &rest[begin..];
        let length = if word == "authorization" {
            value.trim_end_matches(['\r', '\n']).len()
        } else {
            match value.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    value[1..].find(quote).map_or(value.len(), |end| end + 2)
                }
                _ => value
                    .find(|c: char| c.is_whitespace() || matches!(c, '&' | ',' | ';'))
                    .unwrap_or(value.len()),
            }
        };
        out.push_str(&rest[..begin]);
        if length > 0 {
            out.push_str(MASK);
        }
        at = after + begin + length;
    }
    out.push_str(&line[at.min(line.len())..]);
    out
}

/// The next of the words that is no part of a longer one to its right.
fn next_word(lower: &str, from: usize) -> Option<(usize, &'static str)> {
    WORDS
        .iter()
        .filter_map(|word| {
            lower[from..]
                .match_indices(word)
                .map(|(at, _)| from + at)
                .find(|at| {
                    !lower[at + word.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
                })
                .map(|at| (at, *word))
        })
        .min_by_key(|(at, word)| (*at, usize::MAX - word.len()))
}

/// Masks `user:password` of `scheme://user:password@host`.
fn without_userinfo(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''))
            .unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(sign) => {
                out.push_str(MASK);
                rest = &after[sign..];
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_of_secret_words_are_masked_and_the_rest_stays() {
        for (text, expected) in [
            ("password=hunter2 ok\n", "password=****** ok\n"),
            ("DB_PASSWORD: hunter2\n", "DB_PASSWORD: ******\n"),
            (
                "{\"token\": \"abc def\", \"n\": 1}",
                "{\"token\": ******, \"n\": 1}",
            ),
            (
                "setup --password hunter2 --quiet",
                "setup --password ****** --quiet",
            ),
            (
                "Authorization: Bearer abc.def\r\n",
                "Authorization: ******\r\n",
            ),
            (
                "https://me:pw@a.example/x?token=abc&b=1",
                "https://******@a.example/x?token=******&b=1",
            ),
            (
                "fetching https://a.example/x",
                "fetching https://a.example/x",
            ),
            ("the password was changed", "the password was changed"),
            ("tokens: 5", "tokens: 5"),
            (
                "a\n-----BEGIN PRIVATE KEY-----\nMIIE\nabc\n-----END PRIVATE KEY-----\nb",
                "a\n-----BEGIN PRIVATE KEY-----\n******\n******\n-----END PRIVATE KEY-----\nb",
            ),
            ("pwd=", "pwd="),
            ("", ""),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_masked_without_harm(text in "(\\PC|password|token|=|://|@|\n|\"| ){0,40}") {
            let masked = masked(&format!("{text}\npassword=hunter2\n"));
            prop_assert!(!masked.contains("hunter2"), "{masked}");
        }
    }
}
