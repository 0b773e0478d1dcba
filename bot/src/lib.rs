//! fleet-bot.
mod settings;
pub use settings::{AccountSource, Clock, Settings};
