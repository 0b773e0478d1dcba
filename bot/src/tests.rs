//! The bot against mocked endpoints of a homeserver and a gateway: one mock per endpoint, strict in
//! what it accepts; what was received is awaited, never the time.

mod living;
mod pictures;
mod reading;
mod rooms;
mod sending;
mod world;
