//! fleet-bot.
