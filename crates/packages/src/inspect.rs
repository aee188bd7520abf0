use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::archive::{Compression, is_tar_header};
use crate::debian::{self, DebianError, DebianPackage};

/// The type of a package file, by its content; the file's name plays no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageKind {
    /// A zip archive (also what builds on it, such as .msix).
    Zip,
    /// A 7z archive.
    SevenZip,
    /// A RAR archive.
    Rar,
    /// A tar archive, not compressed.
    Tar,
    /// A tar archive in gzip.
    TarGz,
    /// A tar archive in xz.
    TarXz,
    /// A tar archive in Zstandard.
    TarZst,
    /// A tar archive in bzip2.
    TarBz2,
    /// A Debian package.
    Deb,
    /// An RPM package.
    Rpm,
    /// A Windows Installer package.
    Msi,
    /// Another OLE compound file.
    Ole,
    /// A Windows program (PE).
    Exe,
    /// An AppImage.
    AppImage,
    /// A Linux program or library (ELF).
    Elf,
    /// A script that names its interpreter.
    Script,
    /// None of these.
    Unknown,
}

/// What can be told about a package file from its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFacts {
    /// The type.
    pub kind: PackageKind,
    /// The control fields when the type is [`PackageKind::Deb`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debian: Option<DebianPackage>,
    /// Who made the installer, when the type is [`PackageKind::Exe`] and it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installer: Option<InstallerFamily>,
}

/// What makes Windows installers, as far as it leaves its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallerFamily {
    /// Inno Setup.
    Inno,
    /// Nullsoft Scriptable Install System.
    Nsis,
    /// A bundle of the WiX Toolset.
    WixBurn,
    /// InstallShield.
    InstallShield,
}

/// Why a package file could not be inspected.
#[derive(Debug, Error)]
pub enum InspectError {
    /// The file cannot be opened.
    #[error("cannot open package {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Reading failed.
    #[error("cannot read the package")]
    Read(#[source] io::Error),
    /// The file begins like a Debian package and is none.
    #[error("the Debian package is damaged")]
    Debian(#[from] DebianError),
}

impl PackageKind {
    /// Tells whether [`extract`](fn@crate::extract) unpacks this type.
    pub fn is_extractable(self) -> bool {
        match self {
            Self::Zip | Self::Tar | Self::TarGz | Self::TarXz | Self::TarZst | Self::TarBz2 => true,
            Self::SevenZip
            | Self::Rar
            | Self::Deb
            | Self::Rpm
            | Self::Msi
            | Self::Ole
            | Self::Exe
            | Self::AppImage
            | Self::Elf
            | Self::Script
            | Self::Unknown => false,
        }
    }
}

/// Inspects the package file at `path`.
///
/// # Errors
/// The file cannot be opened or read, or is a damaged Debian package.
pub fn inspect(path: &Path) -> Result<PackageFacts, InspectError> {
    let file = File::open(path).map_err(|source| InspectError::Open {
        path: path.to_owned(),
        source,
    })?;
    inspect_reader(file)
}

/// Inspects a package from its first byte, wherever the reader stands; reads little of it.
///
/// # Errors
/// Reading fails, or the bytes are a damaged Debian package.
pub fn inspect_reader(mut reader: impl Read + Seek) -> Result<PackageFacts, InspectError> {
    let kind = detect(&mut reader).map_err(InspectError::Read)?;
    let installer = match kind {
        PackageKind::Exe => installer_family(&mut reader).map_err(InspectError::Read)?,
        _ => None,
    };
    let debian = if kind == PackageKind::Deb {
        reader.rewind().map_err(InspectError::Read)?;
        Some(debian::read(io::BufReader::new(reader))?)
    } else {
        None
    };
    Ok(PackageFacts {
        kind,
        debian,
        installer,
    })
}

/// Finds the type of a package.
pub(crate) fn detect(reader: &mut (impl Read + Seek)) -> io::Result<PackageKind> {
    let head = read_at(reader, 0, 512)?;
    let starts = |magic: &[u8]| head.starts_with(magic);
    Ok(if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        PackageKind::Zip
    } else if starts(b"7z\xbc\xaf\x27\x1c") {
        PackageKind::SevenZip
    } else if starts(b"Rar!\x1a\x07") {
        PackageKind::Rar
    } else if starts(b"!<arch>\ndebian-binary") {
        PackageKind::Deb
    } else if starts(b"\xed\xab\xee\xdb") {
        PackageKind::Rpm
    } else if starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        detect_ole(reader, &head)?
    } else if starts(b"MZ") {
        detect_exe(reader, &head)?
    } else if starts(b"\x7fELF") {
        // AppImage types 1 and 2 mark themselves in the padding of the ELF identification.
        match head.get(8..11) {
            Some(b"AI\x01" | b"AI\x02") => PackageKind::AppImage,
            _ => PackageKind::Elf,
        }
    } else if starts(b"#!") {
        PackageKind::Script
    } else {
        detect_tar(reader, &head)?
    })
}

fn detect_tar(reader: &mut (impl Read + Seek), head: &[u8]) -> io::Result<PackageKind> {
    let kind = match Compression::of(head) {
        Compression::None if is_tar_header(head) => return Ok(PackageKind::Tar),
        Compression::None => return Ok(PackageKind::Unknown),
        Compression::Gzip => PackageKind::TarGz,
        Compression::Xz => PackageKind::TarXz,
        Compression::Zstd => PackageKind::TarZst,
        Compression::Bzip2 => PackageKind::TarBz2,
    };
    reader.rewind()?;
    let mut block = Vec::new();
    // What does not decompress is no archive, which is an answer and not a failure; what decompresses in part is a
    // damaged one, which its reader will say.
    let _ = Compression::of(head)
        .reader(reader)
        .and_then(|unpacked| unpacked.take(512).read_to_end(&mut block));
    Ok(if is_tar_header(&block) {
        kind
    } else {
        PackageKind::Unknown
    })
}

/// Tells installer databases (and their patches and transforms) from other compound files by the class id of the
/// root entry, {000C1082..86-0000-0000-C000-000000000046}. Source: [MS-CFB] 2.2 and 2.6.
fn detect_ole(reader: &mut (impl Read + Seek), head: &[u8]) -> io::Result<PackageKind> {
    let (Some(shift), Some(first_sector)) = (number(head, 30, 2), number(head, 48, 4)) else {
        return Ok(PackageKind::Ole);
    };
    if shift != 9 && shift != 12 {
        return Ok(PackageKind::Ole);
    }
    let root_entry = read_at(reader, (first_sector + 1) << shift, 96)?;
    Ok(match root_entry.get(80..96) {
        Some(
            [
                0x82 | 0x84 | 0x86,
                0x10,
                0x0c,
                0,
                0,
                0,
                0,
                0,
                0xc0,
                0,
                0,
                0,
                0,
                0,
                0,
                0x46,
            ],
        ) => PackageKind::Msi,
        _ => PackageKind::Ole,
    })
}

fn detect_exe(reader: &mut (impl Read + Seek), head: &[u8]) -> io::Result<PackageKind> {
    let Some(offset) = number(head, 0x3c, 4) else {
        return Ok(PackageKind::Unknown);
    };
    Ok(match read_at(reader, offset, 4)?.as_slice() {
        b"PE\0\0" => PackageKind::Exe,
        _ => PackageKind::Unknown,
    })
}

/// How much of a program is searched for marks, in bytes. They stand in the program that unpacks the rest, which is
/// smaller: 0.05 MB for NSIS, 1 MB for Inno Setup and WiX, 2 MB for InstallShield.
const SEARCHED_BYTES: u64 = 4 * 1024 * 1024;

/// Tells who made an installer by the marks that the makers leave. Sources: NSIS, Source/exehead/fileform.h
/// (`FH_SIG`, `FH_INT1..3`); Inno Setup, the manifest of SetupLdr; WiX, burn/engine/section.cpp (`.wixburn`);
/// InstallShield, the description in its setup's manifest.
fn installer_family(reader: &mut (impl Read + Seek)) -> io::Result<Option<InstallerFamily>> {
    let program = read_at(reader, 0, SEARCHED_BYTES)?;
    let has = |mark: &[u8]| memchr::memmem::find(&program, mark).is_some();
    Ok(if has(b"\xef\xbe\xad\xdeNullsoftInst") {
        Some(InstallerFamily::Nsis)
    } else if has(b"JR.Inno.Setup") {
        Some(InstallerFamily::Inno)
    } else if has_section(&program, b".wixburn") {
        Some(InstallerFamily::WixBurn)
    } else if has(b"InstallShield.Setup") || has(b"InstallShield Setup") {
        Some(InstallerFamily::InstallShield)
    } else {
        None
    })
}

/// Whether a program has a section of this name. Source: Microsoft, "PE Format", section table.
fn has_section(program: &[u8], name: &[u8; 8]) -> bool {
    let found = || {
        let header = usize::try_from(number(program, 0x3c, 4)?).ok()?;
        let sections = usize::try_from(number(program, header.checked_add(6)?, 2)?).ok()?;
        let optional = usize::try_from(number(program, header.checked_add(20)?, 2)?).ok()?;
        let table = program.get(header.checked_add(24)?.checked_add(optional)?..)?;
        Some(
            table
                .chunks_exact(40)
                .take(sections)
                .any(|section| section.starts_with(name)),
        )
    };
    found().unwrap_or(false)
}

/// Reads a little-endian number of `length` bytes.
fn number(bytes: &[u8], offset: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(length)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

/// Reads up to `length` bytes from `offset`; fewer where the file ends.
fn read_at(reader: &mut (impl Read + Seek), offset: u64, length: u64) -> io::Result<Vec<u8>> {
    reader.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;
    use crate::debian::tests::{CONTROL, deb};

    fn kind(bytes: impl AsRef<[u8]>) -> PackageKind {
        inspect_reader(Cursor::new(bytes)).unwrap().kind
    }

    fn tar() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        builder.append_data(&mut header, "a", &b"x"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn ole(class: [u8; 16]) -> Vec<u8> {
        let mut file = vec![0; 2048];
        file[..8].copy_from_slice(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1");
        file[30] = 9;
        file[48] = 1;
        file[1024 + 80..1024 + 96].copy_from_slice(&class);
        file
    }

    fn portable_executable(signature: &[u8; 4]) -> Vec<u8> {
        let mut file = vec![0; 1024];
        file[..2].copy_from_slice(b"MZ");
        file[0x3c..0x3e].copy_from_slice(&600_u16.to_le_bytes());
        file[600..604].copy_from_slice(signature);
        file
    }

    #[test]
    fn every_kind_is_known_by_content() {
        let msi_class = [
            0x84, 0x10, 0x0c, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46,
        ];
        let mut xz =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        xz.write_all(&tar()).unwrap();
        let cases: Vec<(Vec<u8>, PackageKind, &str)> = vec![
            (b"PK\x03\x04rest".to_vec(), PackageKind::Zip, "zip"),
            (b"PK\x05\x06".to_vec(), PackageKind::Zip, "zip"),
            (
                b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(),
                PackageKind::SevenZip,
                "seven_zip",
            ),
            (b"Rar!\x1a\x07\x01\0".to_vec(), PackageKind::Rar, "rar"),
            (tar(), PackageKind::Tar, "tar"),
            (gzip(&tar()), PackageKind::TarGz, "tar_gz"),
            (xz.finish().unwrap(), PackageKind::TarXz, "tar_xz"),
            (
                zstd::encode_all(&tar()[..], 1).unwrap(),
                PackageKind::TarZst,
                "tar_zst",
            ),
            (bzip2(&tar()), PackageKind::TarBz2, "tar_bz2"),
            (deb(CONTROL), PackageKind::Deb, "deb"),
            (b"\xed\xab\xee\xdb\x03".to_vec(), PackageKind::Rpm, "rpm"),
            (ole(msi_class), PackageKind::Msi, "msi"),
            (ole([7; 16]), PackageKind::Ole, "ole"),
            (portable_executable(b"PE\0\0"), PackageKind::Exe, "exe"),
            (
                b"\x7fELF\x02\x01\x01\0AI\x02".to_vec(),
                PackageKind::AppImage,
                "app_image",
            ),
            (
                b"\x7fELF\x02\x01\x01\0\0\0\0".to_vec(),
                PackageKind::Elf,
                "elf",
            ),
            (b"#!/bin/sh\n".to_vec(), PackageKind::Script, "script"),
            (b"plain text".to_vec(), PackageKind::Unknown, "unknown"),
        ];
        for (bytes, expected, word) in cases {
            assert_eq!(kind(&bytes), expected);
            assert_eq!(
                serde_json::to_string(&expected).unwrap(),
                format!("\"{word}\"")
            );
        }
    }

    #[test]
    fn installers_are_told_by_the_marks_of_their_makers() {
        let family = |file: &[u8]| inspect_reader(Cursor::new(file)).unwrap().installer;
        let marked = |mark: &[u8]| {
            let mut file = portable_executable(b"PE\0\0");
            file.extend_from_slice(&[0; 5000]);
            file.extend_from_slice(mark);
            file
        };
        assert_eq!(family(&marked(b"")), None);
        assert_eq!(
            family(&marked(b"\xef\xbe\xad\xdeNullsoftInst")),
            Some(InstallerFamily::Nsis)
        );
        assert_eq!(
            family(&marked(b"<assemblyIdentity name=\"JR.Inno.Setup\"")),
            Some(InstallerFamily::Inno)
        );
        assert_eq!(
            family(&marked(b"<description>InstallShield.Setup</description>")),
            Some(InstallerFamily::InstallShield)
        );
        // The name of a section counts in the table of sections only.
        assert_eq!(family(&marked(b".wixburn")), None);
        let mut bundle = marked(b"");
        bundle[606..608].copy_from_slice(&2_u16.to_le_bytes());
        bundle[620..622].copy_from_slice(&16_u16.to_le_bytes());
        let second = 600 + 24 + 16 + 40;
        bundle[second..second + 8].copy_from_slice(b".wixburn");
        assert_eq!(family(&bundle), Some(InstallerFamily::WixBurn));
        bundle[606..608].copy_from_slice(&1_u16.to_le_bytes());
        assert_eq!(family(&bundle), None);
        // Numbers that lead nowhere are no panic.
        bundle[0x3c..0x40].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(!has_section(&bundle, b".wixburn"));
    }

    #[test]
    fn what_only_begins_alike_is_unknown() {
        assert_eq!(kind(b""), PackageKind::Unknown);
        assert_eq!(kind(gzip(b"no tar in here")), PackageKind::Unknown);
        assert_eq!(kind([0x1f, 0x8b, 0, 0]), PackageKind::Unknown);
        assert_eq!(kind(b"MZ"), PackageKind::Unknown);
        assert_eq!(kind(portable_executable(b"NE\0\0")), PackageKind::Unknown);
        assert_eq!(kind(&ole([0; 16])[..20]), PackageKind::Ole);
        assert_eq!(kind(b"!<arch>\nfoo.o/          "), PackageKind::Unknown);
        assert_eq!(kind([0; 1024]), PackageKind::Unknown);
    }

    #[test]
    fn a_debian_package_tells_its_fields_and_a_damaged_one_is_an_error() {
        let facts = inspect_reader(Cursor::new(deb(CONTROL))).unwrap();
        assert_eq!(facts.debian.unwrap().name, "demo-app");
        assert!(matches!(
            inspect_reader(Cursor::new(&deb(CONTROL)[..100])),
            Err(InspectError::Debian(_))
        ));
    }

    #[test]
    fn files_are_opened_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("misleading.zip");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert_eq!(inspect(&path).unwrap().kind, PackageKind::Script);
        let error = inspect(&folder.path().join("absent")).unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
    }
}
