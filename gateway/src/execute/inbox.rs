//! The inbox of each agent: what is said to it is kept until it acknowledges.

mod chain;
mod delegation;
mod notify;
mod put;
mod recipient;
mod send;
mod take;
mod unanswered;
mod view;

pub(crate) use chain::{begin_anew, spent};
pub(crate) use delegation::{begun, give, reach};
pub(crate) use notify::notify;
pub(crate) use send::{broadcast, delegate, reply, send};
pub(crate) use take::{ack, list, next};
pub(crate) use unanswered::unanswered;

/// The rule of the incident that an item was not acknowledged even after a reminder.
const UNANSWERED: &str = "inbox.unanswered";
