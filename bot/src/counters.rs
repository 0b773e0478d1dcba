//! What the bot counts, as Prometheus text.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($variant:ident = $name:literal, $help:literal;)*) => {
        /// What is counted.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Counter {
            $(#[doc = $help] $variant,)*
        }

        const NAMES: &[(&str, &str)] = &[$(($name, $help),)*];
    };
}

counters! {
    Syncs = "fleet_bot_syncs_total", "Sync responses.";
    SyncFailures = "fleet_bot_sync_failures_total", "Sync requests without a response.";
    Events = "fleet_bot_events_total", "New events read from rooms.";
    Gaps = "fleet_bot_gaps_total", "Readings back of a room, after a gap or to reconcile.";
    Pages = "fleet_bot_history_pages_total", "Pages of history read.";
    Late = "fleet_bot_late_events_total", "Events that the homeserver's sync had left out or shown late.";
    Envelopes = "fleet_bot_envelopes_total", "Envelopes submitted.";
    SubmitFailures = "fleet_bot_submit_failures_total", "Submissions without an answer.";
    Sent = "fleet_bot_rows_sent_total", "Outbox rows sent.";
    Found = "fleet_bot_rows_found_total", "Outbox rows found in their room already.";
    Dead = "fleet_bot_rows_dead_total", "Outbox rows the homeserver will never take.";
    Parked = "fleet_bot_rows_parked_total", "Outbox rows of rooms the bot is not in.";
    Limited = "fleet_bot_rate_limited_total", "Answers 429 of the homeserver.";
}

/// All counters of one bot.
#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; NAMES.len()]);

impl Counters {
    /// Counts.
    pub(crate) fn add(&self, counter: Counter, n: u64) {
        if let Some(value) = self.0.get(counter as usize) {
            value.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// The text exposition format of Prometheus.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for ((name, help), value) in NAMES.iter().zip(&self.0) {
            let value = value.load(Ordering::Relaxed);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_appears_under_its_own_name() {
        let counters = Counters::default();
        counters.add(Counter::Dead, 2);
        let text = counters.text();
        assert!(
            text.contains("\nfleet_bot_rows_dead_total 2\n")
                && text.contains("\nfleet_bot_rows_sent_total 0\n")
        );
    }
}
