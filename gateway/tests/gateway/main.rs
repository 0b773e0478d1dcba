//! The gateway over HTTP on a real PostgreSQL: a database per test, reached as `fleet_app`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy knows this of functions marked as tests only, not of what they call"
)]

mod api;
mod follow;
mod incidents;
mod outbox;
mod quiet;
mod register;
mod rooms;
mod stage;
mod stop;
mod submit;
mod tokens;
mod told;
mod wire;
