//! The agent on every desktop: channel, executor, supervisor, spool
