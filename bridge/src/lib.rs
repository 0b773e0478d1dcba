//! fleet-bridge.
