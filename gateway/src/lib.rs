//! fleet-gateway.
