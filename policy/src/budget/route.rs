//! Which subscription runs a task (doctrine 6; budget.md, "Routing over subscriptions").

use fleet_protocol::Timestamp;

use super::ladder::{Candidate, planned_now};

/// Advantage of the subscription that has the context in its cache, in basis points.
pub const STICKINESS_BP: i128 = 200;

/// `max over windows of (used + held + estimate - planned(now)) * 10,000 / limit`; the lowest wins,
/// which spends expiring headroom first. A limit of 0 is the worst there is; no window scores 0.
pub fn score(candidate: &Candidate, now: Timestamp) -> i128 {
    let of_series = candidate.series.iter().map(|(gauge, need)| {
        let ahead = i128::from(gauge.spent) + i128::from(gauge.held) + i128::from(need.p50)
            - i128::from(planned_now(gauge, now));
        (ahead * 10_000)
            .checked_div(i128::from(gauge.limit))
            .unwrap_or(i128::MAX / 2)
    });
    of_series.max().unwrap_or(0)
}

/// The sort key of a candidate: its score, less the stickiness if it ran the task's context
/// before; ties by name.
pub fn key(candidate: &Candidate, now: Timestamp) -> (i128, &str) {
    let bonus = if candidate.sticky { STICKINESS_BP } else { 0 };
    (score(candidate, now) - bonus, &candidate.subscription)
}
