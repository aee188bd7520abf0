//! A type per identifier, so that no id is ever a bare string
