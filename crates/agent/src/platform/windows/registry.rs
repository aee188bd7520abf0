//! The registry, as far as the agent reads and writes it.

use std::io;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::ERROR_SUCCESS;
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_CLASSES_ROOT, HKEY_CURRENT_USER, HKEY_LOCAL_MACHINE, HKEY_USERS, KEY_QUERY_VALUE,
    KEY_SET_VALUE, REG_DWORD, REG_EXPAND_SZ, REG_MULTI_SZ, REG_OPTION_VOLATILE, REG_QWORD, REG_SZ,
    RRF_NOEXPAND, RRF_RT_ANY, RRF_RT_REG_SZ, RegCloseKey, RegCreateKeyExW, RegGetValueW,
    RegOpenKeyExW, RegSetValueExW,
};

use super::super::RegistryEntry;
use super::wide;

/// Longest data that is looked at, in bytes: what a rule can name, in UTF-16, and more.
const MAX_DATA_BYTES: usize = 16 * 1024;

/// Longest text that is read, in UTF-16 units.
const MAX_TEXT: usize = 512;

/// A root of the registry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hive {
    /// Of the machine.
    Machine,
    /// Of the account that this runs as.
    Account,
}

impl Hive {
    const fn key(self) -> HKEY {
        match self {
            Self::Machine => HKEY_LOCAL_MACHINE,
            Self::Account => HKEY_CURRENT_USER,
        }
    }
}

/// A key that is open, closed with this.
struct Key(HKEY);

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the key was opened by us and is closed once.
        unsafe {
            RegCloseKey(self.0);
        }
    }
}

fn done(status: u32) -> io::Result<()> {
    match status {
        ERROR_SUCCESS => Ok(()),
        other => Err(io::Error::from_raw_os_error(other.cast_signed())),
    }
}

/// A text value.
///
/// # Errors
/// `NotFound` where there is none, and the system's.
pub(super) fn text(hive: Hive, path: &str, name: &str) -> io::Result<String> {
    read(hive.key(), Some(path), name)
}

fn read(key: HKEY, path: Option<&str>, name: &str) -> io::Result<String> {
    let path = path.map(wide).transpose()?;
    let name = wide(name)?;
    let mut units = [0_u16; MAX_TEXT];
    let mut bytes = 2 * MAX_TEXT as u32;
    // SAFETY: the texts end with NUL and live until the call returns; the buffer has as many bytes as are named.
    done(unsafe {
        RegGetValueW(
            key,
            path.as_ref().map_or(null(), |path| path.as_ptr()),
            name.as_ptr(),
            RRF_RT_REG_SZ,
            null_mut(),
            units.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    })?;
    // It ends with NUL, whatever was stored. Source: RegGetValue, Remarks.
    let units = &units[..bytes as usize / 2];
    let end = units.iter().position(|unit| *unit == 0);
    Ok(String::from_utf16_lossy(
        &units[..end.unwrap_or(units.len())],
    ))
}

/// A key with its root, as rules name it. Source: Microsoft, "Predefined Keys".
fn rooted(key: &str) -> Option<(HKEY, &str)> {
    let (root, path) = key.split_once('\\')?;
    let root = match root.to_ascii_uppercase().as_str() {
        "HKLM" | "HKEY_LOCAL_MACHINE" => HKEY_LOCAL_MACHINE,
        "HKCR" | "HKEY_CLASSES_ROOT" => HKEY_CLASSES_ROOT,
        "HKU" | "HKEY_USERS" => HKEY_USERS,
        _ => return None,
    };
    Some((root, path.trim_matches('\\')))
}

/// What stands under a key and a name.
///
/// # Errors
/// The system's; `InvalidInput` where the key has no root that is known.
pub(super) fn entry(key: &str, name: Option<&str>) -> io::Result<RegistryEntry> {
    let (root, path) = rooted(key).ok_or(io::ErrorKind::InvalidInput)?;
    let path = wide(path)?;
    let mut opened: HKEY = null_mut();
    // SAFETY: the text ends with NUL; `opened` takes the handle, which `Key` closes.
    let status =
        done(unsafe { RegOpenKeyExW(root, path.as_ptr(), 0, KEY_QUERY_VALUE, &raw mut opened) });
    let opened = match status {
        Ok(()) => Key(opened),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RegistryEntry::Absent),
        Err(error) => return Err(error),
    };
    let Some(name) = name else {
        return Ok(RegistryEntry::Key);
    };
    let name = wide(name)?;
    let mut data = vec![0_u8; MAX_DATA_BYTES];
    let mut bytes = MAX_DATA_BYTES as u32;
    let mut kind = 0;
    // SAFETY: the name ends with NUL; the buffer has as many bytes as are named.
    let status = done(unsafe {
        RegGetValueW(
            opened.0,
            null(),
            name.as_ptr(),
            RRF_RT_ANY | RRF_NOEXPAND,
            &raw mut kind,
            data.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    });
    match status {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RegistryEntry::Absent),
        Err(error) => return Err(error),
    }
    data.truncate(bytes as usize);
    Ok(RegistryEntry::Value(as_text(kind, &data)))
}

fn as_text(kind: u32, data: &[u8]) -> String {
    match kind {
        REG_SZ | REG_EXPAND_SZ | REG_MULTI_SZ => {
            let units: Vec<u16> = data
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect();
            String::from_utf16_lossy(&units)
                .trim_end_matches('\0')
                .replace('\0', "\n")
        }
        REG_DWORD | REG_QWORD => {
            let mut number = [0; 8];
            let length = data.len().min(8);
            number[..length].copy_from_slice(&data[..length]);
            u64::from_le_bytes(number).to_string()
        }
        _ => hex::encode(data),
    }
}

/// The text value of a volatile key, which is gone with the boot; where there is none yet, `fresh` is put there.
///
/// # Errors
/// The system's, e.g. where the account may not write there.
pub(super) fn of_this_boot(
    hive: Hive,
    path: &str,
    name: &str,
    fresh: impl FnOnce() -> String,
) -> io::Result<String> {
    let path = wide(path)?;
    let mut key: HKEY = null_mut();
    // SAFETY: the text ends with NUL; `key` takes the handle, which `Key` closes.
    done(unsafe {
        RegCreateKeyExW(
            hive.key(),
            path.as_ptr(),
            0,
            null(),
            REG_OPTION_VOLATILE,
            KEY_QUERY_VALUE | KEY_SET_VALUE,
            null(),
            &raw mut key,
            null_mut(),
        )
    })?;
    let key = Key(key);
    match read(key.0, None, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let value: Vec<u8> = wide(fresh())?
        .iter()
        .flat_map(|unit| unit.to_le_bytes())
        .collect();
    let bytes = u32::try_from(value.len()).map_err(io::Error::other)?;
    let text = wide(name)?;
    // SAFETY: name and value end with NUL, and the value has as many bytes as are named.
    done(unsafe { RegSetValueExW(key.0, text.as_ptr(), 0, REG_SZ, value.as_ptr(), bytes) })?;
    read(key.0, None, name)
}
