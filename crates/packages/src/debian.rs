use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::archive::Compression;

/// Longest control file, in bytes; real ones have a few KiB.
const CONTROL_MAX_BYTES: u64 = 1024 * 1024;

/// Most bytes of the unpacked control archive that are read to find the control file: large packages carry
/// megabytes of checksums beside it.
const CONTROL_TAR_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Longest of the fields kept, in bytes.
const FIELD_MAX_BYTES: usize = 255;

/// What a Debian package says about itself; each field holds only letters, digits and `+ - . ~ :`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebianPackage {
    /// `Package`.
    pub name: String,
    /// `Version`.
    pub version: String,
    /// `Architecture`.
    pub architecture: String,
}

/// Why a file that begins like a Debian package is none that can be read.
#[derive(Debug, Error)]
pub enum DebianError {
    /// A member does not follow the format.
    #[error("the outer archive is damaged")]
    Outer,
    /// The control archive is not where it belongs or cannot be unpacked.
    #[error("the control archive cannot be read")]
    ControlArchive(#[source] io::Error),
    /// The control archive holds no control file within the first 64 MiB, or one above 1 MiB or not UTF-8.
    #[error("the control file is missing, too long or not text")]
    ControlFile,
    /// A field is absent or has characters that it must not have.
    #[error("control field {field} is missing or malformed")]
    Field {
        /// The field's name.
        field: &'static str,
    },
}

/// Reads the control fields from a .deb that is positioned at its start.
pub(crate) fn read(mut reader: impl Read) -> Result<DebianPackage, DebianError> {
    let mut magic = [0; 8];
    reader
        .read_exact(&mut magic)
        .map_err(|_| DebianError::Outer)?;
    loop {
        let (name, size_bytes) = read_member_header(&mut reader)?;
        if name.starts_with(b"control.tar") {
            return read_control_archive(reader.take(size_bytes));
        }
        // deb(5): `debian-binary`, then the control archive; members between them begin with `_`.
        if name != b"debian-binary" && !name.starts_with(b"_") {
            return Err(DebianError::Outer);
        }
        let padded = size_bytes + size_bytes % 2;
        let skipped = io::copy(&mut reader.by_ref().take(padded), &mut io::sink());
        if skipped.ok() != Some(padded) {
            return Err(DebianError::Outer);
        }
    }
}

/// Reads the 60 bytes before each member of an `ar` archive: name in 0..16, decimal size in 48..58, then "`\n".
fn read_member_header(reader: &mut impl Read) -> Result<(Vec<u8>, u64), DebianError> {
    let mut header = [0; 60];
    reader
        .read_exact(&mut header)
        .map_err(|_| DebianError::Outer)?;
    let size_bytes: u64 = str::from_utf8(header[48..58].trim_ascii())
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(DebianError::Outer)?;
    if header[58..] != *b"`\n" {
        return Err(DebianError::Outer);
    }
    let name = header[..16].trim_ascii_end();
    Ok((name.strip_suffix(b"/").unwrap_or(name).to_vec(), size_bytes))
}

fn read_control_archive(mut member: impl Read) -> Result<DebianPackage, DebianError> {
    let mut head = [0; 6];
    member
        .read_exact(&mut head)
        .map_err(DebianError::ControlArchive)?;
    let unpacked = Compression::of(&head)
        .reader(head.chain(member))
        .map_err(DebianError::ControlArchive)?;
    let mut archive = tar::Archive::new(unpacked.take(CONTROL_TAR_MAX_BYTES));
    for entry in archive.entries().map_err(DebianError::ControlArchive)? {
        let entry = entry.map_err(DebianError::ControlArchive)?;
        if !matches!(&*entry.path_bytes(), b"./control" | b"control") {
            continue;
        }
        if entry.size() > CONTROL_MAX_BYTES {
            return Err(DebianError::ControlFile);
        }
        let mut text = String::new();
        entry
            .take(CONTROL_MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(|_| DebianError::ControlFile)?;
        return parse_control(&text);
    }
    Err(DebianError::ControlFile)
}

fn parse_control(text: &str) -> Result<DebianPackage, DebianError> {
    let field = |field: &'static str, punctuation: &str| {
        text.lines()
            .skip_while(|line| line.trim().is_empty())
            .take_while(|line| !line.trim().is_empty())
            .filter(|line| !line.starts_with([' ', '\t', '#']))
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim_end().eq_ignore_ascii_case(field))
            .map(|(_, value)| value.trim())
            .filter(|value| value.len() <= FIELD_MAX_BYTES)
            .filter(|value| value.starts_with(|first: char| first.is_ascii_alphanumeric()))
            .filter(|value| {
                value
                    .chars()
                    .all(|each| each.is_ascii_alphanumeric() || punctuation.contains(each))
            })
            .map(str::to_owned)
            .ok_or(DebianError::Field { field })
    };
    Ok(DebianPackage {
        name: field("Package", "+-.")?,
        version: field("Version", "+-.~:")?,
        architecture: field("Architecture", "-")?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;

    pub(crate) const CONTROL: &str = "Package: demo-app\nVersion: 1:2.0~rc1-3\nArchitecture: amd64\n\
        Description: a demo\n Package: not this one\n";

    fn member(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut member = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            0,
            0,
            0,
            100644,
            bytes.len()
        )
        .into_bytes();
        member.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            member.push(b'\n');
        }
        member
    }

    fn control_tar(control: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in [("./md5sums", &b"0 x"[..]), ("./control", control)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            builder.append_data(&mut header, path, bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deb_of(control_name: &str, control_archive: &[u8]) -> Vec<u8> {
        [
            b"!<arch>\n".to_vec(),
            member("debian-binary", b"2.0\n"),
            member("_extra", b"odd"),
            member(control_name, control_archive),
            member("data.tar.gz", &gzip(b"")),
        ]
        .concat()
    }

    pub(crate) fn deb(control: &str) -> Vec<u8> {
        deb_of("control.tar.gz", &gzip(&control_tar(control.as_bytes())))
    }

    #[test]
    fn fields_are_read_from_every_compression() {
        let tar = control_tar(CONTROL.as_bytes());
        let mut xz =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        xz.write_all(&tar).unwrap();
        let packed = [
            ("control.tar", tar.clone()),
            ("control.tar.gz", gzip(&tar)),
            ("control.tar.gz/", gzip(&tar)),
            ("control.tar.xz", xz.finish().unwrap()),
            ("control.tar.zst", zstd::encode_all(&tar[..], 1).unwrap()),
        ];
        for (name, archive) in packed {
            let package = read(&deb_of(name, &archive)[..]).unwrap();
            assert_eq!(package.name, "demo-app", "{name}");
            assert_eq!(package.version, "1:2.0~rc1-3");
            assert_eq!(package.architecture, "amd64");
        }
    }

    #[test]
    fn missing_and_malformed_fields_are_named() {
        for (control, expected) in [
            ("", "Package"),
            ("Version: 1\nArchitecture: all\n", "Package"),
            ("Package: a b\nVersion: 1\nArchitecture: all\n", "Package"),
            ("Package: -a\nVersion: 1\nArchitecture: all\n", "Package"),
            ("Package: a\nArchitecture: all\n\nVersion: 1\n", "Version"),
            ("Package: a\nVersion: 1;rm\nArchitecture: all\n", "Version"),
            ("Package: a\nVersion: 1\nArchitecture:\n", "Architecture"),
        ] {
            match read(&deb(control)[..]) {
                Err(DebianError::Field { field }) => assert_eq!(field, expected, "{control}"),
                other => panic!("{control}: {other:?}"),
            }
        }
        let long = format!(
            "Package: {}\nVersion: 1\nArchitecture: all\n",
            "a".repeat(256)
        );
        assert!(matches!(
            read(&deb(&long)[..]),
            Err(DebianError::Field { field: "Package" })
        ));
    }

    #[test]
    fn damaged_outer_archives_are_refused() {
        let whole = deb(CONTROL);
        for length in [0, 8, 40, 68, 71, 75] {
            assert!(
                matches!(read(&whole[..length]), Err(DebianError::Outer)),
                "{length}"
            );
        }
        let data_first = [b"!<arch>\n".to_vec(), member("data.tar.gz", b"x")].concat();
        assert!(matches!(read(&data_first[..]), Err(DebianError::Outer)));
        // A declared size of 9.9 GB costs no memory and ends in an error.
        let mut huge = b"!<arch>\n".to_vec();
        huge.extend_from_slice(&member("_huge", b""));
        huge[8 + 48..8 + 58].copy_from_slice(b"9999999999");
        assert!(matches!(read(&huge[..]), Err(DebianError::Outer)));
    }

    #[test]
    fn control_files_are_capped() {
        let long = vec![b'x'; CONTROL_MAX_BYTES as usize + 1];
        let deb = deb_of("control.tar.gz", &gzip(&control_tar(&long)));
        assert!(matches!(read(&deb[..]), Err(DebianError::ControlFile)));

        let deb = deb_of("control.tar.gz", &gzip(&control_tar(b"Package: \xff")));
        assert!(matches!(read(&deb[..]), Err(DebianError::ControlFile)));

        // 65 MiB before the control file: given up, not unpacked.
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(65 << 20);
        header.set_entry_type(tar::EntryType::Regular);
        builder
            .append_data(&mut header, "./bomb", io::repeat(0).take(65 << 20))
            .unwrap();
        let mut bytes = builder.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        bytes.extend(control_tar(CONTROL.as_bytes()));
        let deb = deb_of("control.tar.gz", &gzip(&bytes));
        assert!(read(&deb[..]).is_err());
    }

    #[test]
    fn garbage_in_place_of_the_control_archive_is_refused() {
        assert!(read(&deb_of("control.tar.gz", b"not compressed at all")[..]).is_err());
        assert!(read(&deb_of("control.tar.gz", b"")[..]).is_err());
    }
}
