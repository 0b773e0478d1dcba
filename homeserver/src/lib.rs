//! fleet-homeserver.
