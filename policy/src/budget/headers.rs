//! Rate-limit headers of a provider's answer: `anthropic-ratelimit-*`, `x-ratelimit-*`, `retry-after`.
//!
//! Read defensively: what is not understood is left out, never taken for zero.

use std::collections::BTreeMap;

use fleet_protocol::Timestamp;
use jiff::SignedDuration;

/// The longest wait that is believed: 31 days.
const LONGEST_WAIT: u32 = 31 * 86_400;

/// What the headers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// The provider asks not to come back for so many seconds.
    pub retry_after_seconds: Option<u32>,
    /// Limits of which both the amount and what is left are told, by name.
    pub limits: Vec<Limit>,
}

/// A limit as a provider tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What it counts, for example `input-tokens` or `requests`.
    pub name: String,
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// When it is whole again.
    pub resets_at: Option<Timestamp>,
}

impl Limit {
    /// What is used of it, in basis points.
    pub fn used_bp(&self) -> u16 {
        let used = self.limit.saturating_sub(self.remaining);
        let bp = super::pacing::scaled(used, 10_000, self.limit.max(1));
        u16::try_from(bp.min(10_000)).unwrap_or(10_000)
    }
}

#[derive(Default)]
struct Parts {
    limit: Option<u64>,
    remaining: Option<u64>,
    resets_at: Option<Timestamp>,
}

/// Reads `name: value` lines, in any case and order.
pub fn read(lines: &[&str], now: Timestamp) -> Read {
    let mut wait = None;
    let mut parts: BTreeMap<String, Parts> = BTreeMap::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "retry-after" {
            wait = value.parse().ok().filter(|s| *s <= LONGEST_WAIT).or(wait);
            continue;
        }
        let Some((kind, what)) = split(&name) else {
            continue;
        };
        let part = parts.entry(what).or_default();
        match kind {
            Kind::Limit => part.limit = value.parse().ok(),
            Kind::Remaining => part.remaining = value.parse().ok(),
            Kind::Reset => part.resets_at = reset(value, now),
        }
    }
    let limits = parts.into_iter().filter_map(|(name, p)| {
        let (limit, remaining) = (p.limit?, p.remaining?);
        (remaining <= limit && limit > 0).then_some(Limit {
            name,
            limit,
            remaining,
            resets_at: p.resets_at,
        })
    });
    Read {
        retry_after_seconds: wait,
        limits: limits.collect(),
    }
}

enum Kind {
    Limit,
    Remaining,
    Reset,
}

/// `anthropic-ratelimit-tokens-remaining` and `x-ratelimit-remaining-tokens` alike.
fn split(name: &str) -> Option<(Kind, String)> {
    if let Some(rest) = name.strip_prefix("anthropic-ratelimit-") {
        let (what, kind) = rest.rsplit_once('-')?;
        return Some((kind_of(kind)?, what.to_owned()));
    }
    let (kind, what) = name.strip_prefix("x-ratelimit-")?.split_once('-')?;
    Some((kind_of(kind)?, what.to_owned()))
}

fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "limit" => Some(Kind::Limit),
        "remaining" => Some(Kind::Remaining),
        "reset" => Some(Kind::Reset),
        _ => None,
    }
}

/// An instant (`2026-11-30T09:00:00Z`) or a distance (`6m0s`, `1.5s`, `20ms`).
fn reset(value: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(at) = value.parse::<jiff::Timestamp>() {
        return Some(Timestamp(at));
    }
    let distance: SignedDuration = value.parse().ok()?;
    now.0.checked_add(distance).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(0)
    }

    #[test]
    fn both_families_are_read_and_nonsense_is_left_out() {
        let read = read(
            &[
                "Anthropic-RateLimit-Input-Tokens-Limit: 1000",
                "anthropic-ratelimit-input-tokens-remaining: 250",
                "anthropic-ratelimit-input-tokens-reset: 1970-01-01T00:01:00Z",
                "x-ratelimit-limit-requests: 60",
                "x-ratelimit-remaining-requests: 59",
                "x-ratelimit-reset-requests: 1m30s",
                "x-ratelimit-limit-tokens: many",
                "x-ratelimit-remaining-tokens: 7",
                "retry-after: 30",
                "retry-after: soon",
                "no header",
            ],
            now(),
        );
        assert_eq!(read.retry_after_seconds, Some(30));
        let told: Vec<_> = read
            .limits
            .iter()
            .map(|l| {
                (
                    l.name.as_str(),
                    l.used_bp(),
                    l.resets_at.map(Timestamp::as_millis),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("input-tokens", 7_500, Some(60_000)),
                ("requests", 166, Some(90_000))
            ]
        );
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_harm(lines in prop::collection::vec(".{0,80}", 0..8)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let read = read(&lines, now());
            prop_assert!(read.limits.iter().all(|l| l.used_bp() <= 10_000));
        }
    }
}
