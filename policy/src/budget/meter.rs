//! What is known of a series: ledger, readings, closures (budget.md, "Series and windows").

use fleet_protocol::Timestamp;

use super::pacing::scaled;

/// A level in basis points is learned per this many tokens.
pub const RATE_TOKENS: u64 = 1_000_000;

/// The last level a provider told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Used, in basis points of the provider's limit.
    pub used_bp: u64,
    /// When it was read.
    pub read_at: Timestamp,
    /// Tokens our ledger committed since.
    pub since: u64,
    /// Tokens our ledger committed in the window up to the reading.
    pub before: u64,
}

/// How much of a series is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// Every spend is known.
    Known,
    /// Configured, but stale, unread, or without a conversion.
    Unknown,
    /// The check itself failed: nothing is admitted.
    Failed,
}

/// Where a series with a reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// `last reading + rate * tokens since`, in basis points.
    pub used_bp: u64,
    /// `max(0, reading - rate * our tokens before it)`: use that we did not cause.
    pub external_bp: u64,
    /// Whether it can be relied on.
    pub knowledge: Knowledge,
}

/// The level now. `rate` is in basis points per [`RATE_TOKENS`]. No reading, a reading of the
/// future or one older than `stale_ms`, or no rate: unknown, with what is known of it; never zero
/// in place of a reading.
pub fn level(reading: Option<Reading>, rate: Option<u64>, stale_ms: i64, now: Timestamp) -> Level {
    let Some(reading) = reading else {
        return Level {
            used_bp: 0,
            external_bp: 0,
            knowledge: Knowledge::Unknown,
        };
    };
    let of = |tokens| rate.map_or(0, |rate| scaled(rate, tokens, RATE_TOKENS));
    let age = now.as_millis().saturating_sub(reading.read_at.as_millis());
    let fresh = rate.is_some() && (0..=stale_ms).contains(&age);
    Level {
        used_bp: reading.used_bp.saturating_add(of(reading.since)),
        external_bp: rate.map_or(0, |_| reading.used_bp.saturating_sub(of(reading.before))),
        knowledge: if fresh {
            Knowledge::Known
        } else {
            Knowledge::Unknown
        },
    }
}

/// The conversion from pairs (basis points gained, tokens spent) between two readings of a window:
/// the median of `gained * RATE_TOKENS / tokens`, so that one burst of foreign use moves it
/// little. Pairs without tokens teach nothing.
pub fn rate(pairs: &[(u64, u64)]) -> Option<u64> {
    let told = pairs.iter().filter(|(_, tokens)| *tokens > 0);
    let mut rates: Vec<_> = told
        .map(|(bp, tokens)| scaled(*bp, RATE_TOKENS, *tokens))
        .collect();
    rates.sort_unstable();
    rates.get(rates.len() / 2).copied()
}
