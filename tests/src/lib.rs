//! What the end-to-end tests stand on: a whole fleet of real processes on a real homeserver and a
//! real PostgreSQL, proxies that can stop the world at a chosen request, TLS in front of it, and a real terminal.

pub mod fault;
pub mod terminal;
pub mod tls;
pub mod world;
