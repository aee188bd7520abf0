//! The product in a simulator: the server's core and hundreds of agents under virtual time.
//!
//! **Real**: the server's planner, dispatcher, judge, reaper, channels, grouped writers and background tasks of jobs over
//! the real store on SQLite; the agent's driver, state machine, journal and executor. **Replaced**: TLS and sockets
//! (`net`), the agent's disk (`disk`), its supervisor, installers, downloads and detection (`desktop`), clocks, ids and
//! randomness. Why so: `docs/adr/0023-simulator.md`.
//!
//! One seed is one schedule: a single-threaded runtime whose time stands still while anything can go on, every call of the
//! database carried out to its end before anything else moves, all chance drawn from the seed. [`run()`] runs one and answers
//! what it was like, or which invariant broke, with the trace that led there.

mod desktop;
mod disk;
mod net;
mod oracle;
mod run;
mod server;
mod world;

pub use run::{Failure, Report, Shape, run};
pub use server::Workshop;
