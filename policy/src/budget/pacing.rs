//! Even-spread pacing (doctrine 4; budget.md, "Even-spread pacing").

use fleet_protocol::Timestamp;

use super::window::Window;

/// Data of the pacing rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Part of the limit that may be ahead of plan, in basis points (default 500).
    pub burst_bp: u32,
    /// One median task, in the unit of the series.
    pub median_task: u64,
    /// Shorter windows, in milliseconds, are capped only (default 15 minutes).
    pub shortest_ms: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            burst_bp: 500,
            median_task: 0,
            shortest_ms: 900_000,
        }
    }
}

/// Parts of a window over which catching up is bounded.
pub const CATCH_UP_PARTS: u64 = 24;
/// Even shares that one such part may take.
pub const CATCH_UP_SHARES: u64 = 4;

/// `a * b / c` without overflow, rounded down; saturates; `a` when `c` is 0.
pub(super) fn scaled(a: u64, b: u64, c: u64) -> u64 {
    if c == 0 {
        return a;
    }
    u64::try_from(u128::from(a) * u128::from(b) / u128::from(c)).unwrap_or(u64::MAX)
}

/// Start and length in milliseconds of a window that is paced; none for one without an end, or
/// shorter than the shortest.
fn span(window: Window, pace: Pace) -> Option<(i64, u64)> {
    let start = window.starts_at.as_millis();
    let length = window.resets_at?.as_millis().checked_sub(start)?;
    (length > 0 && length >= pace.shortest_ms).then_some((start, length.unsigned_abs()))
}

/// `planned(t) = limit * (t - t0) / (t1 - t0)`, rounded down, 0 before and the limit after the
/// window; none where there is no pacing.
pub fn planned(limit: u64, window: Window, pace: Pace, now: Timestamp) -> Option<u64> {
    let (start, length) = span(window, pace)?;
    let gone = u64::try_from(now.as_millis().saturating_sub(start)).unwrap_or(0);
    Some(scaled(limit, gone.min(length), length))
}

/// `burst = max(one median task, burst_bp of the limit)`.
pub fn burst(limit: u64, pace: Pace) -> u64 {
    pace.median_task
        .max(scaled(limit, u64::from(pace.burst_bp), 10_000))
}

/// What pacing compares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paced {
    /// Committed and presumed in the window.
    pub spent: u64,
    /// Sum of the p50 still to come of what is in flight.
    pub in_flight: u64,
    /// p50 of the new task.
    pub new: u64,
    /// Spent in the last 1/24 of the window's length.
    pub recent: u64,
    /// Tasks running in the series.
    pub running: u64,
}

/// What pacing says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// The window is not paced.
    Unpaced,
    /// Within the allowance.
    Within,
    /// Nothing runs and spend is not ahead of plan: one task goes.
    Idle,
    /// Not before this instant, on present numbers.
    Wait(Timestamp),
}

/// Compares `spent + in_flight + new` with `planned(now) + burst`, and what the last 1/24 of the
/// window took, with the new, with `4 * limit / 24 + burst`.
pub fn pacing(limit: u64, window: Window, pace: Pace, paced: Paced, now: Timestamp) -> Pacing {
    let (Some(plan), Some((start, length))) =
        (planned(limit, window, pace, now), span(window, pace))
    else {
        return Pacing::Unpaced;
    };
    if paced.running == 0 && paced.spent <= plan {
        return Pacing::Idle;
    }
    let burst = burst(limit, pace);
    let coming = paced.in_flight.saturating_add(paced.new);
    let needed = paced.spent.saturating_add(coming);
    let share = scaled(limit, CATCH_UP_SHARES, CATCH_UP_PARTS).saturating_add(burst);
    let hurried = paced.recent.saturating_add(coming) > share;
    if needed <= plan.saturating_add(burst) && !hurried {
        return Pacing::Within;
    }
    let mut wait = ahead_until(limit, start, length, needed.saturating_sub(burst));
    if hurried {
        let part = i64::try_from(length / CATCH_UP_PARTS).unwrap_or(i64::MAX);
        wait = wait.max(now.as_millis().saturating_add(part.max(1)));
    }
    let end = window.resets_at.map_or(wait, Timestamp::as_millis);
    Pacing::Wait(Timestamp::from_millis(wait.min(end)))
}

/// First millisecond at which `planned >= needed`: `t0 + ceil(needed * (t1 - t0) / limit)`, at
/// most the reset.
fn ahead_until(limit: u64, start: i64, length: u64, needed: u64) -> i64 {
    let whole = u128::from(needed.min(limit)) * u128::from(length);
    let wait = if limit == 0 {
        u128::from(length)
    } else {
        whole.div_ceil(u128::from(limit))
    };
    start.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX))
}
