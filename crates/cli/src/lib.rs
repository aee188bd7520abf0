//! The outfitter command: server and client commands
