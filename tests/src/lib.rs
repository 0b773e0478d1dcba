//! What the end-to-end tests stand on: a proxy that can stop the world at a chosen request.

pub mod fault;
