/// What a link's fragment begins with when it names the digest of what lies there, as `pip` writes it:
/// `https://a.example/tool.zip#sha256=` and 64 hex digits. Fragments never reach the source.
const DIGEST_FRAGMENT: &str = "sha256=";

/// The digest that a link names (lower-case hex SHA-256), if it names one; what is no digest is an error.
///
/// # Errors
/// What is wrong with it.
pub fn link_digest(link: &str) -> Result<Option<String>, &'static str> {
    let Some((_, fragment)) = link.split_once('#') else {
        return Ok(None);
    };
    let Some(digest) = fragment.strip_prefix(DIGEST_FRAGMENT) else {
        return Ok(None);
    };
    if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(Some(digest.to_ascii_lowercase()))
    } else {
        Err("#sha256= must be followed by 64 hex digits")
    }
}

/// The link with this digest instead of the one it names, or with none.
#[must_use]
pub fn with_link_digest(link: &str, sha256: Option<&str>) -> String {
    let bare = match link.split_once('#') {
        Some((bare, fragment)) if fragment.starts_with(DIGEST_FRAGMENT) => bare,
        _ => link,
    };
    match (sha256, bare.contains('#')) {
        (Some(sha256), false) => format!("{bare}#{DIGEST_FRAGMENT}{sha256}"),
        (Some(sha256), true) => {
            let (bare, _) = bare.split_once('#').unwrap_or((bare, ""));
            format!("{bare}#{DIGEST_FRAGMENT}{sha256}")
        }
        (None, _) => bare.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_stands_in_the_fragment_and_can_be_exchanged() {
        let hex = "AB".repeat(32);
        let low = "ab".repeat(32);
        assert_eq!(link_digest("https://a.example/x"), Ok(None));
        assert_eq!(link_digest("https://a.example/x#top"), Ok(None));
        assert_eq!(
            link_digest(&format!("https://a.example/x#sha256={hex}")),
            Ok(Some(low.clone()))
        );
        assert!(link_digest("https://a.example/x#sha256=ab").is_err());
        for link in [
            "https://a.example/x",
            "https://a.example/x#top",
            "https://a.example/x#sha256=00",
        ] {
            assert_eq!(
                with_link_digest(link, Some(&low)),
                format!("https://a.example/x#sha256={low}")
            );
        }
        assert_eq!(
            with_link_digest("https://a.example/x#sha256=00", None),
            "https://a.example/x"
        );
        assert_eq!(
            with_link_digest("https://a.example/x#top", None),
            "https://a.example/x#top"
        );
    }
}
