use std::fmt;

/// An app's icon, as far as lists need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Icon {
    /// None.
    Absent,
    /// An address that clients fetch; the server never does.
    Link(String),
    /// A PNG that the server keeps and serves.
    Png {
        /// Lower-case hex SHA-256 of the image.
        sha256: String,
    },
}

/// What a call does to the icon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IconChange {
    /// Takes it away.
    Clear,
    /// Sets an address.
    Link(String),
    /// Sets an image.
    Png(PngIcon),
}

/// A PNG that was decoded without complaint.
#[derive(Clone, PartialEq, Eq)]
pub struct PngIcon {
    /// Lower-case hex SHA-256 of the image.
    pub sha256: String,
    /// The image.
    pub bytes: Vec<u8>,
}

impl IconChange {
    /// The icon after the change.
    pub fn icon(&self) -> Icon {
        match self {
            Self::Clear => Icon::Absent,
            Self::Link(address) => Icon::Link(address.clone()),
            Self::Png(png) => Icon::Png {
                sha256: png.sha256.clone(),
            },
        }
    }
}

impl fmt::Debug for PngIcon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PngIcon({}, {} bytes)", self.sha256, self.bytes.len())
    }
}
