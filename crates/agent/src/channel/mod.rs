//! The channel to the server: [`machine`] decides, [`driver`] does, [`websocket`] carries.

pub mod driver;
pub mod machine;
mod telling;
pub mod websocket;

pub use driver::{
    Channel, ChannelError, ConnectError, Desktop, DesktopEvent, Dial, Opened, OwnIdentity, Parts,
    Renewals, RunEnd, TimeLearned, Transport, run,
};
pub use machine::{
    CopyRefusal, Effect, Ending, Input, Introduction, LinkTrust, Machine, Moment, Pace,
    SourceRefusal,
};
pub use telling::InventoryDigests;
pub use websocket::WebSocketTransport;
