//! fleet-local.
