//! Messages between server and agent, their version and size limits
