//! The bot: the fleet's Matrix account.
//!
//! It reads rooms and submits what people and agents write, and it sends what the gateway wants
//! said. It knows rooms, events, devices and rate limits; it knows no SQL and not what a budget is.
//! Both ways survive the loss of this process at any moment: what was read is a mark per room in the
//! register, what was sent is settled there (architecture.md, "Way in" and "Way out").
#![recursion_limit = "256"]

mod claims;
mod context;
mod counters;
mod crew;
mod cut;
mod device_rule;
mod dispatch;
mod echo;
mod error;
mod event;
mod found;
mod health;
mod history;
mod lease;
mod media;
mod pace;
mod pins;
mod poll;
mod reading;
mod refusal;
mod reports;
mod rooms;
mod run;
mod sender;
mod session;
mod settings;
mod settle;
mod store;
mod submission;
mod sync;
#[cfg(test)]
mod tests;
mod understanding;
mod verdict;
mod worker;

pub use echo::echo;
pub use error::BotError;
pub use run::run;
pub use settings::{AccountSource, Clock, Settings};
