//! What a package file is: type by content, digest, Debian control fields, safe extraction
