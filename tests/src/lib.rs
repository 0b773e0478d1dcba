//! fleet-tests.
