use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A SHA-256 digest; its text, also in JSON, is lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Digest([u8; 32]);

/// A text that is no SHA-256 digest: not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a SHA-256 digest has 64 hexadecimal digits")]
pub struct DigestTextError;

/// What identifies the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// SHA-256 of all bytes.
    pub sha256: Sha256Digest,
    /// Number of bytes.
    pub size_bytes: u64,
}

/// Computes digest and size of bytes as they pass.
#[derive(Debug, Clone, Default)]
pub struct Digester {
    hasher: Sha256,
    size_bytes: u64,
}

/// Passes bytes on to a writer and computes digest and size of those it took.
#[derive(Debug)]
pub struct DigestWriter<W> {
    inner: W,
    digester: Digester,
}

impl Sha256Digest {
    /// Computes the digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes a digest computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sha256Digest({self})")
    }
}

impl FromStr for Sha256Digest {
    type Err = DigestTextError;

    fn from_str(text: &str) -> Result<Self, DigestTextError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestTextError)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Sha256Digest {
    type Error = DigestTextError;

    fn try_from(text: String) -> Result<Self, DigestTextError> {
        text.parse()
    }
}

impl From<Sha256Digest> for String {
    fn from(digest: Sha256Digest) -> Self {
        digest.to_string()
    }
}

impl Digester {
    /// Starts with no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
    }

    /// Returns the number of bytes taken so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns digest and size of all bytes taken.
    pub fn finish(self) -> FileDigest {
        FileDigest {
            sha256: Sha256Digest(self.hasher.finalize().into()),
            size_bytes: self.size_bytes,
        }
    }
}

impl<W> DigestWriter<W> {
    /// Wraps a writer.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            digester: Digester::new(),
        }
    }

    /// Returns the number of bytes written so far.
    pub fn size_bytes(&self) -> u64 {
        self.digester.size_bytes()
    }

    /// Returns the writer, not flushed, and digest and size of what it took.
    pub fn finish(self) -> (W, FileDigest) {
        (self.inner, self.digester.finish())
    }
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.digester.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads to the end and returns digest and size, in constant memory.
///
/// # Errors
/// Reading fails.
pub fn digest_reader(mut reader: impl Read) -> io::Result<FileDigest> {
    let mut sink = DigestWriter::new(io::sink());
    io::copy(&mut reader, &mut sink)?;
    Ok(sink.finish().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_digest_does_not_depend_on_how_bytes_arrive() {
        let mut writer = DigestWriter::new(Vec::new());
        writer.write_all(b"a").unwrap();
        writer.write_all(b"").unwrap();
        writer.write_all(b"bc").unwrap();
        assert_eq!(writer.size_bytes(), 3);
        let (bytes, digest) = writer.finish();
        assert_eq!(bytes, b"abc");
        assert_eq!(digest.sha256.to_string(), ABC);
        assert_eq!(digest, digest_reader(&b"abc"[..]).unwrap());
        assert_eq!(digest.sha256, Sha256Digest::of(b"abc"));
    }

    #[test]
    fn only_bytes_the_writer_took_count() {
        let mut buffer = [0; 2];
        let mut writer = DigestWriter::new(&mut buffer[..]);
        assert_eq!(writer.write(b"abc").unwrap(), 2);
        assert_eq!(writer.finish().1, digest_reader(&b"ab"[..]).unwrap());
    }

    #[test]
    fn digests_are_lower_case_hex_in_text_and_json() {
        let digest: Sha256Digest = ABC.to_uppercase().parse().unwrap();
        assert_eq!(digest.to_string(), ABC);
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{ABC}\""));
        assert_eq!(serde_json::from_str::<Sha256Digest>(&json).unwrap(), digest);
        for text in [
            "",
            "ab",
            &ABC[1..],
            &format!("{ABC}00"),
            &ABC.replace('b', "g"),
        ] {
            assert_eq!(text.parse::<Sha256Digest>(), Err(DigestTextError), "{text}");
        }
    }
}
