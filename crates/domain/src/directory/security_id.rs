//! Security identifiers of Windows domains.

use std::fmt;

use thiserror::Error;

/// An `objectSid`. Written as `S-1-5-21-...`. Source: \[MS-DTYP\], sections 2.4.2.1 and 2.4.2.2.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecurityId {
    authority: u64,
    sub_authorities: Vec<u32>,
}

/// The bytes are no security identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the bytes are no security identifier")]
pub struct SecurityIdError;

impl SecurityId {
    /// Reads the binary form.
    ///
    /// # Errors
    /// Another revision than 1, or a length that does not fit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SecurityIdError> {
        let [1, count, authority @ ..] = bytes else {
            return Err(SecurityIdError);
        };
        let (authority, rest) = authority.split_at_checked(6).ok_or(SecurityIdError)?;
        if *count == 0 || rest.len() != usize::from(*count) * 4 {
            return Err(SecurityIdError);
        }
        Ok(Self {
            authority: authority
                .iter()
                .fold(0, |number, byte| (number << 8) | u64::from(*byte)),
            sub_authorities: rest
                .chunks_exact(4)
                .map(|part| u32::from_le_bytes([part[0], part[1], part[2], part[3]]))
                .collect(),
        })
    }

    /// The identifier of another object of the same domain: the last number replaced.
    #[must_use]
    pub fn with_relative_id(mut self, relative_id: u32) -> Self {
        if let Some(last) = self.sub_authorities.last_mut() {
            *last = relative_id;
        }
        self
    }
}

impl fmt::Display for SecurityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S-1-{}", self.authority)?;
        for part in &self.sub_authorities {
            write!(f, "-{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_form_is_read() {
        let bytes = [
            1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 0x15, 0xcd, 0x5b, 0x07, 1, 0, 0, 0x80, 2, 0, 0, 0,
            0x51, 4, 0, 0,
        ];
        let id = SecurityId::from_bytes(&bytes).unwrap();
        assert_eq!(id.to_string(), "S-1-5-21-123456789-2147483649-2-1105");
        assert_eq!(
            id.with_relative_id(513).to_string(),
            "S-1-5-21-123456789-2147483649-2-513"
        );
        for wrong in [
            &bytes[..27],
            &[],
            &[2, 0, 0, 0, 0, 0, 0, 5],
            &[1, 0, 0, 0, 0, 0, 0, 5],
        ] {
            assert_eq!(SecurityId::from_bytes(wrong), Err(SecurityIdError));
        }
    }
}
