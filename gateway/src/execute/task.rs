//! The verbs of `task`: the life of a unit of work, under leases with an epoch (doctrine 11, 12).
//!
//! Lock order of every verb here: the switch row of the settings (claims only), the task, then what
//! the budget locks.

mod add;
mod claim;
mod dispatch;
mod finish;
mod fit;
mod gate;
mod hand_back;
mod hold;
mod look;
mod priority;
mod read;
mod replan;
mod reserve;
mod row;
mod start;
mod write;

pub(crate) use add::{add, depend};
pub(crate) use claim::{Asking, claim, claim_all};
pub(super) use finish::lose_leases;
pub(crate) use finish::{block, cancel, complete, expire, fail, retry, unblock};
pub(crate) use fit::take_turn;
pub(crate) use gate::check;
pub(crate) use hand_back::{answer, escalate, release};
pub(crate) use hold::{Running, progress, renew, running};
pub(crate) use look::look;
pub(crate) use priority::set_priority;
pub(super) use read::views_with_results;
pub(crate) use read::{list, show};
pub(super) use reserve::{free_all, offer};
pub(crate) use reserve::{lost, lost_before};
pub(super) use row::known;
pub(crate) use start::start;
