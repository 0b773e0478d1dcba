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
    /// Sum of the medians still to come of running tasks.
    pub in_flight: u64,
    /// Sum of the medians of the tasks that wait for the series, and their number.
    pub waiting: (u64, u64),
    /// `sqrt(sum((p80 - p50)^2))` over running tasks: how far they may lie from their medians together.
    pub spread: u64,
    /// Whether work runs that no meter bounds: then the limit is advisory.
    pub is_advisory: bool,
    /// Of a provider's meter: when it was last read, and after how many milliseconds that is too long ago.
    pub read: Option<(Timestamp, i64)>,
    /// Spent in the short window, and its length in milliseconds.
    pub short: (u64, i64),
    /// Data of the pacing rule.
    pub pace: Pace,
    /// Whether pacing is in force; then it, and not an alarm, bounds the rate.
    pub is_paced: bool,
    /// Share of the limit that is always told, in percent (default 95).
    pub alert_at: u8,
}

/// A rule with what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The percent of the limit that was reached: 50, 80, the alert's own, or 100.
    Reached(u8),
    /// About so many of the tasks that wait will not run before the reset.
    WillNotRun(u64),
    /// Nine times in ten the window ends at this or below, which is above its advisory limit.
    WillCross(u64),
    /// At the present rate the limit is reached at that instant, before the reset.
    BurnRate(Timestamp),
    /// Its meter was last read then, which is too long ago.
    Stale(Timestamp),
}

/// 24 hours: burn rates are for longer series only.
const DAY_MS: i64 = 86_400_000;
/// The short window of a burn rate is at least an hour.
const HOUR_MS: i64 = 3_600_000;

/// `z(0.9) / z(0.8)` of the normal distribution, in thousandths.
const P90_OVER_P80: u64 = 1_523;

/// Every rule that holds now: the highest percent reached, forecast, burn rate, a stale source.
pub fn alarms(w: Watched, now: Timestamp) -> Vec<Alarm> {
    let forecast = forecast(w).or_else(|| advisory(w));
    [percent(w, now), forecast, burn_rate(w, now), stale(w, now)]
        .into_iter()
        .flatten()
        .collect()
}

/// Whether `spent` has reached a percentage of the limit; without a limit to speak of (0), the first token
/// has.
pub fn has_reached(spent: u64, limit: u64, percent: u8) -> bool {
    spent > 0 && u128::from(spent) * 100 >= u128::from(limit) * u128::from(percent)
}

/// The alert's own percentage and 100 % always; 50 and 80 % only when `spent > planned + burst`.
fn percent(w: Watched, now: Timestamp) -> Option<Alarm> {
    let plan = planned(w.limit, w.window, w.pace, now);
    let ahead = plan.is_some_and(|p| w.spent > p.saturating_add(burst(w.limit, w.pace)));
    let mut rules = [100, w.alert_at, 80, 50];
    rules.sort_unstable_by_key(|p| std::cmp::Reverse(*p));
    rules
        .into_iter()
        .filter(|p| *p >= w.alert_at || ahead)
        .find(|p| has_reached(w.spent, w.limit, *p))
        .map(Alarm::Reached)
}

/// `spent + in flight + waiting > limit`: `ceil(the excess / their mean median)` tasks will not run, at
/// most those that wait.
fn forecast(w: Watched) -> Option<Alarm> {
    w.window.resets_at?;
    let (medians, tasks) = w.waiting;
    let total = w.spent.saturating_add(w.in_flight).saturating_add(medians);
    let excess = total.checked_sub(w.limit).filter(|n| *n > 0)?;
    let mean = medians.checked_div(tasks)?.max(1);
    let late = excess.div_ceil(mean).min(tasks);
    (late > 0).then_some(Alarm::WillNotRun(late))
}

/// `p90 = spent + in flight + waiting + spread * z(0.9) / z(0.8) > limit`, where no meter bounds what runs.
fn advisory(w: Watched) -> Option<Alarm> {
    if !w.is_advisory || w.spent >= w.limit {
        return None;
    }
    let p90 = w
        .spent
        .saturating_add(w.in_flight)
        .saturating_add(w.waiting.0)
        .saturating_add(scaled(w.spread, P90_OVER_P80, 1_000));
    (p90 > w.limit).then_some(Alarm::WillCross(p90))
}

/// `now - last read > the longest a reading is relied on`.
fn stale(w: Watched, now: Timestamp) -> Option<Alarm> {
    let (at, most) = w.read?;
    (now.as_millis().saturating_sub(at.as_millis()) > most).then_some(Alarm::Stale(at))
}

/// `left * short length / short spend` from now, when that is before the reset; only for series of
/// 24 hours and more with a short window of an hour and more, and only where pacing does not bound the rate.
fn burn_rate(w: Watched, now: Timestamp) -> Option<Alarm> {
    let reset = w.window.resets_at?;
    let length = reset
        .as_millis()
        .saturating_sub(w.window.starts_at.as_millis());
    let (spent, over) = w.short;
    if w.is_paced || length < DAY_MS || over < HOUR_MS || spent == 0 || w.spent >= w.limit {
        return None;
    }
    let wait = scaled(w.limit - w.spent, over.unsigned_abs(), spent);
    let at = now.as_millis().checked_add(i64::try_from(wait).ok()?)?;
    (at < reset.as_millis()).then(|| Alarm::BurnRate(Timestamp::from_millis(at)))
}
