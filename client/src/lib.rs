//! The typed client of the gateway's HTTP API.
//!
//! Every call is safe to repeat: writes carry an idempotency key, envelopes carry their event id,
//! settlements and leases are idempotent by design. So one rule of retry fits all calls: the same
//! request again, and only when the gateway was not reached or said 503.

mod error;
mod gateway;
mod retry;
mod token;

pub use error::ClientError;
pub use gateway::Gateway;
pub use retry::Retry;
pub use token::Token;
