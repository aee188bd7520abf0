//! The rules: job states, install planning, access. No I/O, no clock, no async
