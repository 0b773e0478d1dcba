//! The board: who counts, what a tally means, when a vote is settled, what its record proves
//! (board.md). Functions of a proposal's content and of the entries that followed it.

mod canonical;
mod chain;
mod deadline;
mod effect;
mod seat;
mod standing;
mod tally;
mod verify;

#[cfg(test)]
mod tests;

pub use canonical::{canonical_form, digest, hash, hex};
pub use chain::{link, statement_hash};
pub use deadline::{EARLY_NOTICE, PATIENCE, end_of, in_time, late_quorum_end, may_end, remind_at};
pub use effect::{Money, human_required, kind_of, may_run, runs_by_default};
pub use seat::{Eligibility, eligible};
pub use standing::{Standing, stand};
pub use tally::{Backing, Ended, Tally, can_pass, outcome, settled, tally};
pub use verify::{Fault, Verified, verify};
