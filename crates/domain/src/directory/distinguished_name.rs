//! Distinguished names as keys: two spellings of one name are one key.

use thiserror::Error;

/// A distinguished name that compares as directories compare: types and values without regard to case, without
/// the spaces around separators, escapes resolved. Source: RFC 4514, sections 2.3 and 3.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnKey(String);

/// Why a text is no distinguished name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DnError {
    /// A part is not `type=value`.
    #[error("a part of the name is not TYPE=VALUE")]
    NoType,
    /// A backslash without what it escapes.
    #[error("an escape in the name is cut short")]
    CutEscape,
    /// Escaped bytes that are no UTF-8.
    #[error("the name holds bytes that are no text")]
    NoText,
}

impl DnKey {
    /// Reads a name; the empty text is the root.
    ///
    /// # Errors
    /// [`DnError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        if text.trim().is_empty() {
            return Ok(Self(String::new()));
        }
        let mut key = Vec::with_capacity(text.len());
        let mut part = Vec::new();
        // Length of the part up to its last character that is not a bare space.
        let mut kept = 0;
        let mut is_value = false;
        let mut rest = text.bytes();
        let end = |key: &mut Vec<u8>, part: &mut Vec<u8>, kept: &mut usize| {
            part.truncate(*kept);
            let text = std::str::from_utf8(part).map_err(|_| DnError::NoText)?;
            for character in text.to_lowercase().chars() {
                if matches!(character, ',' | '+' | '=' | '\\' | ';') {
                    key.push(b'\\');
                }
                let mut bytes = [0; 4];
                key.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
            }
            part.clear();
            *kept = 0;
            Ok(())
        };
        while let Some(byte) = rest.next() {
            match byte {
                b'\\' => {
                    part.push(escaped(&mut rest)?);
                    kept = part.len();
                }
                b' ' if part.is_empty() => {}
                b' ' => part.push(byte),
                b'=' if !is_value => {
                    if kept == 0 {
                        return Err(DnError::NoType);
                    }
                    end(&mut key, &mut part, &mut kept)?;
                    key.push(b'=');
                    is_value = true;
                }
                b',' | b';' | b'+' => {
                    if !is_value {
                        return Err(DnError::NoType);
                    }
                    end(&mut key, &mut part, &mut kept)?;
                    key.push(if byte == b'+' { b'+' } else { b',' });
                    is_value = false;
                }
                _ => {
                    part.push(byte);
                    kept = part.len();
                }
            }
        }
        if !is_value {
            return Err(DnError::NoType);
        }
        end(&mut key, &mut part, &mut kept)?;
        String::from_utf8(key)
            .map(Self)
            .map_err(|_| DnError::NoText)
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn escaped(rest: &mut std::str::Bytes<'_>) -> Result<u8, DnError> {
    let first = rest.next().ok_or(DnError::CutEscape)?;
    let Some(high) = char::from(first).to_digit(16) else {
        return Ok(first);
    };
    let low = rest
        .next()
        .and_then(|byte| char::from(byte).to_digit(16))
        .ok_or(DnError::CutEscape)?;
    u8::try_from(high * 16 + low).map_err(|_| DnError::CutEscape)
}

/// The DNS name that the `dc` parts at the end of a name spell: `dc=corp,dc=example` is `corp.example`. `None`
/// without any. Source: RFC 2247.
pub fn domain_of_base(base: &DnKey) -> Option<String> {
    let labels: Vec<&str> = base
        .as_str()
        .split(',')
        .filter_map(|part| part.strip_prefix("dc="))
        .collect();
    (!labels.is_empty()).then(|| labels.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        DnKey::parse(text).unwrap().as_str().to_owned()
    }

    #[test]
    fn spellings_of_one_name_are_one_key() {
        let plain = key("CN=Ana Li,OU=Staff,DC=corp,DC=example");
        for other in [
            "cn=ana li,ou=staff,dc=corp,dc=example",
            " CN = Ana Li , OU=Staff;DC=corp,  DC=example ",
            "CN=Ana\\20Li,OU=Staff,DC=corp,DC=example",
        ] {
            assert_eq!(key(other), plain, "{other}");
        }
        assert_eq!(key("CN=Zoë"), key("cn=zo\\C3\\AB"));
        assert_eq!(key("CN=Li\\, Ana"), key("CN=Li\\2c Ana"));
        assert_eq!(key("CN=a=b"), key("CN=a\\3Db"));
        assert_eq!(key(""), "");
    }

    #[test]
    fn different_names_are_different_keys() {
        assert_ne!(key("CN=Li\\,OU=Staff"), key("CN=Li,OU=Staff"));
        assert_ne!(key("CN=ana\\ "), key("CN=ana"));
        assert_ne!(key("CN=a+UID=b"), key("CN=a,UID=b"));
    }

    #[test]
    fn what_is_no_name_is_told() {
        assert_eq!(DnKey::parse("staff"), Err(DnError::NoType));
        assert_eq!(DnKey::parse("CN=a,b"), Err(DnError::NoType));
        assert_eq!(DnKey::parse("=a"), Err(DnError::NoType));
        assert_eq!(DnKey::parse("CN=a,"), Err(DnError::NoType));
        assert_eq!(DnKey::parse("CN=a\\"), Err(DnError::CutEscape));
        assert_eq!(DnKey::parse("CN=a\\4"), Err(DnError::CutEscape));
        assert_eq!(DnKey::parse("CN=\\ff"), Err(DnError::NoText));
    }

    #[test]
    fn the_domain_is_spelt_by_the_base() {
        let domain = |text| domain_of_base(&DnKey::parse(text).unwrap());
        assert_eq!(
            domain("OU=Staff,DC=Corp,DC=Example").as_deref(),
            Some("corp.example")
        );
        assert_eq!(domain("o=company,c=de"), None);
    }
}
