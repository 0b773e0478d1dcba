//! fleet-policy.
