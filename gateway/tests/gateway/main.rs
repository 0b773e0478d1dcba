//! The gateway over HTTP on a real PostgreSQL: a database per test, reached as `fleet_app`.

mod api;
mod outbox;
mod register;
mod stage;
mod submit;
