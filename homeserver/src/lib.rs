//! The homeserver as a process: configuration of Synapse and Conduit, a private Python
//! environment for Synapse, start and stop, accounts, health.
//!
//! Rooms, and everything the fleet says in them, are not known here.

pub mod accounts;
pub mod child;
pub mod config;
pub mod health;
pub mod process;
pub mod python;
mod secret;

pub use secret::Secret;
