//! The ladder: admit, downgrade, queue, refuse (doctrine 5; budget.md, "The ladder").

use fleet_protocol::Timestamp;

use super::meter::Knowledge;
use super::pacing::{Pace, Paced, Pacing, pacing, planned};
use super::window::Window;

/// One series as an admission sees it, in its own unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauge {
    /// Key of the series; windows are locked in its order.
    pub series: String,
    /// The present window.
    pub window: Window,
    /// The highest limit in force.
    pub limit: u64,
    /// Committed in the window, with presumed and external use.
    pub spent: u64,
    /// Held by running tasks.
    pub held: u64,
    /// Kept free for running tasks up to their p80.
    pub kept_free: u64,
    /// p50 still to come of what is in flight.
    pub in_flight: u64,
    /// Spent in the last 1/24 of the window.
    pub recent: u64,
    /// Tasks running in the series.
    pub running: u64,
    /// How much is known.
    pub knowledge: Knowledge,
    /// Closed by the provider until then, whatever the ledger says.
    pub closed_until: Option<Timestamp>,
    /// Data of the pacing rule; none when pacing is lifted.
    pub pace: Option<Pace>,
    /// Whether an unknown state refuses instead of admitting one at a time.
    pub strict: bool,
    /// What waits in front of the task for this series.
    pub ahead: Ahead,
}

/// What the head of a series' queue reserves there for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Median of the heads that wait for pacing: counts as if it were in flight.
    pub for_pacing: u64,
    /// Needs of the heads that wait for the cap: must fit after the reset beside what is held then.
    pub for_cap: u64,
}

/// What a task needs in one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// To be held; none when the unit or the price is unknown: above every limit.
    pub grant: Option<u64>,
    /// Median.
    pub p50: u64,
    /// Whether the median is learned: only then may it refuse.
    pub learned: bool,
}

/// What keeps a task from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The hard cap.
    Cap,
    /// Even-spread pacing.
    Pacing,
    /// The provider closed the series.
    Closed,
    /// State unknown, and one task runs already.
    Unknown,
    /// State unknown under a strict policy.
    StrictUnknown,
    /// The unit cannot be computed (no price, no conversion).
    Unpriced,
    /// The learned median is above the whole limit.
    NeverFits,
    /// The check failed.
    CheckFailed,
    /// It fits, but would move the ETA of who waits in front of it.
    Behind,
}

impl Reason {
    /// The word the register stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cap => "cap",
            Self::Pacing => "pacing",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
            Self::StrictUnknown => "strict_unknown",
            Self::Unpriced => "unpriced",
            Self::NeverFits => "never_fits",
            Self::CheckFailed => "check_failed",
            Self::Behind => "behind",
        }
    }

    /// The reason of a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Cap,
            Self::Pacing,
            Self::Closed,
            Self::Unknown,
            Self::StrictUnknown,
            Self::Unpriced,
            Self::NeverFits,
            Self::CheckFailed,
            Self::Behind,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == word)
    }
}

/// Whether a task fits a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Fits,
    /// Not now; no later than the instant, where one can be named.
    Wait(Reason, Option<Timestamp>),
    /// No reset can help.
    Never(Reason),
}

/// Whether a task fits one series now. `start_now` is an operator's override: past pacing, never
/// past the cap. Order: failed check, unpriced, never fits, closed, unknown, cap, pacing, queue. An
/// unknown series admits one task at a time, within what is left.
pub fn fit(gauge: &Gauge, need: Need, start_now: bool, now: Timestamp) -> Fit {
    let reset = gauge.window.resets_at;
    if gauge.knowledge == Knowledge::Failed {
        return Fit::Wait(Reason::CheckFailed, None);
    }
    let unknown = gauge.knowledge == Knowledge::Unknown;
    if need.grant.is_none() && !unknown {
        return Fit::Never(Reason::Unpriced);
    }
    if need.learned && need.p50 > gauge.limit {
        return Fit::Never(Reason::NeverFits);
    }
    if let Some(until) = gauge.closed_until.filter(|until| now < *until) {
        return Fit::Wait(Reason::Closed, Some(until));
    }
    if unknown && gauge.strict {
        return Fit::Never(Reason::StrictUnknown);
    }
    if unknown && gauge.running > 0 {
        return Fit::Wait(Reason::Unknown, None);
    }
    // Without a conversion the one task of an unknown series only needs that something is left.
    if need.grant.unwrap_or(1).max(1) > headroom(gauge) {
        return Fit::Wait(Reason::Cap, reset);
    }
    if unknown {
        return Fit::Fits;
    }
    if start_now {
        return Fit::Fits;
    }
    match paced(gauge, need, 0, now) {
        Pacing::Wait(at) => return Fit::Wait(Reason::Pacing, Some(at)),
        Pacing::Unpaced | Pacing::Within | Pacing::Idle => {}
    }
    behind(gauge, need, now)
}

/// What pacing says of a task with `ahead` counted as in flight.
fn paced(gauge: &Gauge, need: Need, ahead: u64, now: Timestamp) -> Pacing {
    let Some(pace) = gauge.pace else {
        return Pacing::Unpaced;
    };
    let paced = Paced {
        spent: gauge.spent,
        in_flight: gauge.in_flight.saturating_add(ahead),
        new: need.p50,
        recent: gauge.recent,
        running: gauge.running,
    };
    pacing(gauge.limit, gauge.window, pace, paced, now)
}

/// A task that starts now is expected to be over this much later, in milliseconds.
const OVER_AFTER_MS: i64 = 3_600_000;

/// Whether the task leaves the heads of the queue their ETA: for pacing they count as in flight; for the
/// cap they must fit after the reset beside what is still held then, which is what runs now if the reset
/// is near; where no reset is known nobody passes.
fn behind(gauge: &Gauge, need: Need, now: Timestamp) -> Fit {
    let reset = gauge.window.resets_at;
    let Ahead {
        for_pacing,
        for_cap,
    } = gauge.ahead;
    if for_pacing > 0
        && let Pacing::Wait(at) = paced(gauge, need, for_pacing, now)
    {
        return Fit::Wait(Reason::Behind, Some(at));
    }
    let held = gauge.held.saturating_add(need.grant.unwrap_or(0));
    let is_near = reset.is_none_or(|at| at.as_millis() - now.as_millis() < OVER_AFTER_MS);
    let moves = reset.is_none() || held.saturating_add(for_cap) > gauge.limit;
    if for_cap > 0 && is_near && moves {
        return Fit::Wait(Reason::Behind, reset);
    }
    Fit::Fits
}

/// `limit - spent - held - kept free`, not below 0.
pub fn headroom(gauge: &Gauge) -> u64 {
    let used = gauge
        .spent
        .saturating_add(gauge.held)
        .saturating_add(gauge.kept_free);
    gauge.limit.saturating_sub(used)
}

/// One way to run a task: a subscription and a model, and every series that governs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The subscription.
    pub subscription: String,
    /// Place of the model on the ladder; 0 is the highest.
    pub rung: usize,
    /// Whether it ran this work before, so that its context may be in a cache there.
    pub sticky: bool,
    /// The series with what the task needs there.
    pub series: Vec<(Gauge, Need)>,
}

/// What the task and its operator allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The rung that was asked for.
    pub asked: usize,
    /// The operator's ceiling: no rung above (below in number) it.
    pub ceiling: usize,
    /// The task pins its model.
    pub pinned: bool,
    /// `task start --now`.
    pub start_now: bool,
    /// Pacing waits longer than this, in milliseconds, may downgrade (default 30 minutes).
    pub max_wait_ms: i64,
}

/// What binds a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The series.
    pub series: String,
    /// Why.
    pub reason: Reason,
    /// No later than, on present numbers.
    pub eta: Option<Timestamp>,
}

/// The decision; to be written as a row with its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// No series governs any candidate: admitted, spend recorded, one hint.
    Ungoverned,
    /// On the candidate of this index.
    Admit(usize),
    /// On the candidate of this index, below the model that was asked for.
    Downgrade(usize, Reason),
    /// Not now.
    Queue(Binding),
    /// No reset can help.
    Refuse(Binding),
    /// No subscription serves the model.
    NoCandidate,
}

/// The whole fit of a candidate: never beats wait; of waits, the latest (without an instant: last).
fn binding(candidate: &Candidate, start_now: bool, now: Timestamp) -> (Fit, String) {
    let rank = |fit: &Fit| match fit {
        Fit::Fits => (0, now),
        Fit::Wait(_, Some(at)) => (1, *at),
        Fit::Wait(_, None) => (2, now),
        Fit::Never(_) => (3, now),
    };
    let fits = candidate
        .series
        .iter()
        .map(|(gauge, need)| (fit(gauge, *need, start_now, now), gauge.series.clone()));
    fits.max_by_key(|(fit, _)| rank(fit))
        .unwrap_or((Fit::Fits, String::new()))
}

/// Goes down the ladder. Of several candidates that fit on a rung the lowest [`super::route`] score
/// is taken. Downgrades only for the cap or a pacing ETA beyond the task's patience.
pub fn decide(candidates: &[Candidate], terms: Terms, now: Timestamp) -> Decision {
    let top = terms.asked.max(terms.ceiling);
    let fits: Vec<_> = candidates
        .iter()
        .map(|c| binding(c, terms.start_now, now))
        .collect();
    let best = |rung: usize| {
        let on = (0..candidates.len()).filter(|i| {
            let c = &candidates[*i];
            c.rung == rung && fits[*i].0 == Fit::Fits
        });
        on.min_by_key(|i| super::route::key(&candidates[*i], now))
    };
    if let Some(index) = best(top) {
        let governed = !candidates[index].series.is_empty();
        return if governed {
            Decision::Admit(index)
        } else {
            Decision::Ungoverned
        };
    }
    let asked = (0..candidates.len()).filter(|i| candidates[*i].rung == top);
    let soonest = asked.min_by_key(|i| match fits[*i].0 {
        Fit::Wait(_, Some(at)) => (0, at),
        Fit::Fits | Fit::Wait(_, None) => (1, now),
        Fit::Never(_) => (2, now),
    });
    let Some(soonest) = soonest else {
        return Decision::NoCandidate;
    };
    let (fit, series) = fits[soonest].clone();
    if let Some(why) = lowering(fit, terms, now) {
        let mut rungs: Vec<_> = candidates
            .iter()
            .map(|c| c.rung)
            .filter(|r| *r > top)
            .collect();
        rungs.sort_unstable();
        if let Some(index) = rungs.into_iter().find_map(best) {
            return Decision::Downgrade(index, why);
        }
    }
    match fit {
        Fit::Never(reason) => Decision::Refuse(Binding {
            series,
            reason,
            eta: None,
        }),
        Fit::Wait(reason, eta) => Decision::Queue(Binding {
            series,
            reason,
            eta,
        }),
        Fit::Fits => Decision::Admit(soonest),
    }
}

/// Why a task may be downgraded, if it may.
fn lowering(fit: Fit, terms: Terms, now: Timestamp) -> Option<Reason> {
    let patience = now.as_millis().saturating_add(terms.max_wait_ms);
    match fit {
        _ if terms.pinned => None,
        Fit::Wait(Reason::Cap, _) => Some(Reason::Cap),
        Fit::Never(Reason::NeverFits) => Some(Reason::Cap),
        Fit::Wait(Reason::Pacing, Some(at)) if at.as_millis() > patience => Some(Reason::Pacing),
        _ => None,
    }
}

/// `planned(now)` of a gauge; 0 where there is no pacing.
pub(super) fn planned_now(gauge: &Gauge, now: Timestamp) -> u64 {
    let pace = gauge.pace.unwrap_or_default();
    planned(gauge.limit, gauge.window, pace, now).unwrap_or(0)
}
