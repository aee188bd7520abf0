//! Typed HTTP client of the server, used by the command line and by tests
