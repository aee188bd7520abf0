use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::outcome::CommandError;

/// Begin of every PNG file. Source: ISO/IEC 15948, 5.2.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The icon as the wire wants it: an address as it is, a PNG file as a data URI.
pub(super) fn read(given: &str) -> Result<String, CommandError> {
    if given.starts_with("http://") || given.starts_with("https://") {
        return Ok(given.to_owned());
    }
    let path = Path::new(given);
    let bytes =
        std::fs::read(path).map_err(|error| CommandError::file("read icon", path, error))?;
    if !bytes.starts_with(PNG) {
        return Err(CommandError::usage(format!("icon {given} is no PNG image")));
    }
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
}
