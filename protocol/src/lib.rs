//! fleet-protocol.
