//! The gateway: the one door to the register. It admits events and calls, decides who may do what,
//! executes each exactly once, and keeps what is to be said about it.
//!
//! It knows SQL and HTTP, and nothing of Matrix.

mod ambient;
mod execute;

pub use ambient::{Clock, Ids, SystemClock, UuidIds};
