//! The inbox of each agent: what is said to it is kept until it acknowledges.

mod chain;
mod delegation;
pub(crate) mod limits;
mod notify;
mod put;
mod recipient;
mod send;
mod take;
mod tell;
mod unanswered;
mod view;
mod wake;

pub(crate) use chain::spent;
pub(crate) use delegation::{begun, give, reach};
pub(crate) use notify::notify;
pub(crate) use send::{broadcast, delegate, reply, send};
pub(crate) use take::{ack, list, next};
pub(crate) use tell::tell;
pub(crate) use unanswered::unanswered;
pub(crate) use wake::{again_before, begin_anew, listening_since, tried, wake};

/// The rule of the incident that an item was not acknowledged even after a reminder.
const UNANSWERED: &str = "inbox.unanswered";
