//! The Outfitter server as a library
