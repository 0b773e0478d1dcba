//! The agents' side of the fleet: an agent speaks as its own Matrix user by plain client-server
//! requests, without an SDK and without a store of keys.
//!
//! - [`matrix`]: the requests, and a [`matrix::Follow`] that tells each event of a room once.
//! - [`meter`]: what a runtime wrote down of its own usage.
//! - [`command`]: a structured command, and the receipt that answers it.

pub mod command;
pub mod matrix;
pub mod meter;
