//! Decompression with bounded memory.

use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;

/// Most memory that an .xz file may ask for, in KiB: `xz -9` needs 65 MiB, twice that is allowed.
const XZ_MEMORY_KIB: u32 = 130 * 1024;

/// Largest window that a .zst file may ask for, as a power of two: 128 MiB, what `zstd` itself allows unasked.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A stream compression, known by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
    Bzip2,
}

impl Compression {
    /// Recognises a compression; `None` when the bytes begin none.
    pub(crate) fn of(head: &[u8]) -> Self {
        if head.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if head.starts_with(b"\xfd7zXZ\0") {
            Self::Xz
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else if head.starts_with(b"BZh") {
            Self::Bzip2
        } else {
            Self::None
        }
    }

    /// Wraps a reader into the decompressor; several streams in a row read as one.
    pub(crate) fn reader<'a>(self, inner: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let inner = BufReader::new(inner);
        Ok(match self {
            Self::None => Box::new(inner),
            Self::Gzip => Box::new(MultiGzDecoder::new(inner)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
                inner,
                true,
                XZ_MEMORY_KIB,
            )),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(inner)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(inner)),
        })
    }
}

/// Tells whether a block is the header of a tar entry, by its checksum.
pub(crate) fn is_tar_header(block: &[u8]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    if block.len() < 512 || block[0] == 0 {
        return false;
    }
    let sum: u32 = block[..512]
        .iter()
        .enumerate()
        .map(|(position, byte)| match CHECKSUM.contains(&position) {
            true => u32::from(b' '),
            false => u32::from(*byte),
        })
        .sum();
    let stored = block[CHECKSUM]
        .split(|byte| matches!(byte, 0 | b' '))
        .find(|digits| !digits.is_empty())
        .and_then(|digits| str::from_utf8(digits).ok())
        .and_then(|digits| u32::from_str_radix(digits, 8).ok());
    stored == Some(sum)
}
