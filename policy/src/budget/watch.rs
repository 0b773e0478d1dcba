//! Which alerts a window raises (budget.md, "Alerts are incidents"). What becomes of the one
//! incident per series and rule is [`crate::alert::act`]'s to say.

use fleet_protocol::Timestamp;

use super::pacing::{Pace, burst, planned, scaled};
use super::window::Window;

/// What is watched of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// The present window.
    pub window: Window,
    /// The limit in force.
    pub limit: u64,
    /// Committed, presumed and external.
    pub spent: u64,
    /// p90 of the window's total at the reset, where one is known.
    pub forecast_p90: Option<u64>,
    /// p50 of the tasks that wait for the series, and their number.
    pub waiting: (u64, u64),
    /// Whether the limit is a hard cap; otherwise advisory.
    pub capped: bool,
    /// Spent in the short window, and its length in milliseconds.
    pub short: (u64, i64),
    /// Data of the pacing rule.
    pub pace: Pace,
}

/// A rule with what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The percent of the limit that was reached: 50, 80, 95 or 100.
    Reached(u8),
    /// An advisory limit will be crossed; the p90 of the total.
    WillCross(u64),
    /// On a capped series about so many tasks will not run before the reset.
    WillNotRun(u64),
    /// At the present rate the limit is reached at that instant, before the reset.
    BurnRate(Timestamp),
}

/// 24 hours: burn rates are for longer series only.
const DAY_MS: i64 = 86_400_000;
/// The short window of a burn rate is at least an hour.
const HOUR_MS: i64 = 3_600_000;

/// Every rule that holds now: the highest percent reached, forecast, burn rate.
pub fn alarms(w: Watched, now: Timestamp) -> Vec<Alarm> {
    [percent(w, now), forecast(w), burn_rate(w, now)]
        .into_iter()
        .flatten()
        .collect()
}

/// 95 and 100 % always; 50 and 80 % only when `spent > planned + burst`.
fn percent(w: Watched, now: Timestamp) -> Option<Alarm> {
    let plan = planned(w.limit, w.window, w.pace, now);
    let ahead = plan.is_some_and(|p| w.spent > p.saturating_add(burst(w.limit, w.pace)));
    let reached =
        |p: &u8| w.spent > 0 && u128::from(w.spent) * 100 >= u128::from(w.limit) * u128::from(*p);
    let rules = [100_u8, 95, 80, 50].into_iter();
    rules
        .filter(|p| *p >= 95 || ahead)
        .find(reached)
        .map(Alarm::Reached)
}

/// Advisory: the p90 crosses the limit. Capped: `ceil((p90 - limit) / p50)` tasks will not run, at
/// most those that wait.
fn forecast(w: Watched) -> Option<Alarm> {
    let p90 = w.forecast_p90.filter(|p| *p > w.limit)?;
    if !w.capped {
        return Some(Alarm::WillCross(p90));
    }
    let (p50, tasks) = w.waiting;
    let late = (p90 - w.limit).div_ceil(p50.max(1)).min(tasks);
    (late > 0).then_some(Alarm::WillNotRun(late))
}

/// `left * short length / short spend` from now, when that is before the reset; only for series of
/// 24 hours and more with a short window of an hour and more.
fn burn_rate(w: Watched, now: Timestamp) -> Option<Alarm> {
    let reset = w.window.resets_at?;
    let length = reset
        .as_millis()
        .saturating_sub(w.window.starts_at.as_millis());
    let (spent, over) = w.short;
    if length < DAY_MS || over < HOUR_MS || spent == 0 || w.spent >= w.limit {
        return None;
    }
    let wait = scaled(w.limit - w.spent, over.unsigned_abs(), spent);
    let at = now.as_millis().checked_add(i64::try_from(wait).ok()?)?;
    (at < reset.as_millis()).then(|| Alarm::BurnRate(Timestamp::from_millis(at)))
}

/// The part of a commit that falls into [from, to) when it is spread evenly over the time it
/// covers; a commit that covers no time counts at its end.
pub fn spread(n: u64, covers: (Timestamp, Timestamp), from: Timestamp, to: Timestamp) -> u64 {
    let (start, end) = (covers.0.as_millis(), covers.1.as_millis());
    if end <= start {
        return if (from.as_millis()..to.as_millis()).contains(&end) {
            n
        } else {
            0
        };
    }
    let before = |at: Timestamp| {
        let gone = at.as_millis().clamp(start, end).saturating_sub(start);
        scaled(
            n,
            gone.unsigned_abs(),
            end.saturating_sub(start).unsigned_abs(),
        )
    };
    before(to).saturating_sub(before(from))
}
