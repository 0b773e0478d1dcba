//! What the end-to-end tests stand on: a whole fleet of real processes on a real homeserver and a
//! real PostgreSQL, and proxies that can stop the world at a chosen request.

pub mod fault;
pub mod world;
