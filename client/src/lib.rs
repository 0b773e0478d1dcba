//! fleet-client.
