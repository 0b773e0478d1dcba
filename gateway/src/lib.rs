//! The gateway: the one door to the register. It admits events and calls, decides who may do what,
//! executes each exactly once, and keeps what is to be said about it.
//!
//! It knows SQL and HTTP, and nothing of Matrix.

mod ambient;
mod bot_lease;
mod db;
mod execute;
mod incident;
mod journal;
mod outbox;
mod rooms;
mod settings;
mod settle;

pub use ambient::{Clock, Ids, SystemClock, UuidIds};
pub use settings::{InitSettings, Scope, Secret, Settings, TokenFile};
