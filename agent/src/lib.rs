//! The agents' side of the fleet: an agent speaks as its own Matrix user by plain client-server
//! requests, without an SDK and without a store of keys, or over HTTP to the gateway.
//!
//! - [`matrix`]: the requests, and a [`matrix::Follow`] that tells each event of a room once.
//! - [`meter`]: what a runtime wrote down of its own usage.
//! - [`command`]: a structured command over Matrix, and the receipt that answers it.
//! - [`connector`]: how a message reaches an agent where it sits.
//! - [`deliver`]: an inbox, by a connector, to where the agent sits.
//! - [`credentials`]: who an agent is.
//! - [`session`]: one agent at the gateway, with its leases and its unanswered writes.
//! - [`gate`]: quality gates, run where the work is.
//! - [`hook`]: what a runtime reports of an agent, without the model having to remember.
//! - [`mcp`]: the fleet's language as tools of a model.

pub mod command;
pub mod connector;
pub mod credentials;
pub mod deliver;
pub mod gate;
pub mod hook;
pub mod matrix;
pub mod mcp;
pub mod meter;
pub mod session;
