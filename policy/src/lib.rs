//! Pure decisions of the fleet: who may do what, which step of a task's life is allowed, when a
//! lease has ended, what a budget admits, how a board's ballots add up.
//!
//! No clock, no I/O, no randomness, no floats: every input is a parameter, every output a value, so
//! that each rule can be tested by itself and the gateway only applies what is decided here.

pub mod alert;
pub mod authority;
pub mod board;
pub mod bounds;
pub mod budget;
pub mod chain;
pub mod drift;
pub mod gate;
pub mod hand_back;
pub mod lease;
pub mod task;
pub mod wake;
