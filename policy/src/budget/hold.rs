//! Holds in tranches, reports, and the bound that is stated in advance (budget.md, "Ledger").

use fleet_protocol::Timestamp;

use super::added;

/// Largest amount that is accepted: what every surface can carry exactly (2^53 - 1).
pub const LARGEST: u64 = (1 << 53) - 1;

/// Why an amount is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Below zero.
    #[error("an amount cannot be negative")]
    Negative,
    /// Beyond [`LARGEST`].
    #[error("the amount is beyond 2^53 - 1")]
    TooLarge,
}

/// Checks an amount from outside.
///
/// # Errors
/// When it is negative or larger than [`LARGEST`].
pub fn amount(n: i64) -> Result<u64, AmountError> {
    let n = u64::try_from(n).map_err(|_| AmountError::Negative)?;
    if n > LARGEST {
        Err(AmountError::TooLarge)
    } else {
        Ok(n)
    }
}

/// The hand-back reserve: `max(p50 / 10, one turn at the reported context use)`.
pub fn reserve(p50: u64, turn: u64) -> u64 {
    p50.div_ceil(10).max(turn)
}

/// The first tranche: `p50 + reserve`.
pub fn first_tranche(p50: u64, turn: u64) -> u64 {
    p50.saturating_add(reserve(p50, turn))
}

/// What is kept free for a running task: `max(0, p80 - granted)`.
pub fn kept_free(p80: u64, granted: u64) -> u64 {
    p80.saturating_sub(granted)
}

/// A running task that asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<Id> {
    /// The task.
    pub task: Id,
    /// When it started; the oldest is served first.
    pub started_at: Timestamp,
    /// What it asks for.
    pub amount: u64,
}

/// The answer to a top-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopUp {
    /// Granted in full.
    Granted(u64),
    /// One turn from the reserve to hand back, then the task is budget_paused.
    HandBack,
}

/// Serves top-ups from what is free, oldest task first (ties by id); each whole or not at all, so
/// that a task is never left with a part that ends within a turn. Returns what is left for
/// admissions.
pub fn top_ups<Id: Copy + Ord>(mut asks: Vec<Ask<Id>>, mut free: u64) -> (Vec<(Id, TopUp)>, u64) {
    asks.sort_by_key(|a| (a.started_at, a.task));
    let served = asks
        .into_iter()
        .map(|ask| match free.checked_sub(ask.amount) {
            Some(left) => {
                free = left;
                (ask.task, TopUp::Granted(ask.amount))
            }
            None => (ask.task, TopUp::HandBack),
        });
    let served = served.collect();
    (served, free)
}

/// Why a report is marked late. It is recorded all the same: spend is a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Late {
    /// Another holder has the task now.
    StaleEpoch,
    /// The lease had ended.
    AfterExpiry,
    /// The window it belongs to has been reset.
    AfterReset,
}

/// A cumulative report as it came, and what is known of its meter and hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Total the meter reports.
    pub total: u64,
    /// Total committed of this meter.
    pub committed: u64,
    /// What of the hold is not yet used up, presumed included.
    pub remaining: u64,
    /// When the meter says it was spent.
    pub metered_at: Option<Timestamp>,
    /// When the hold was granted.
    pub granted_at: Timestamp,
    /// When the report came.
    pub received_at: Timestamp,
    /// When the lease ended, if it did.
    pub expired_at: Option<Timestamp>,
    /// Start of the present window.
    pub window_starts_at: Timestamp,
    /// Epoch of the report.
    pub epoch: i64,
    /// Epoch of the lease.
    pub current_epoch: i64,
}

/// What is recorded of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// What it adds: `max(0, total - committed)`.
    pub added: u64,
    /// By how much it exceeds the hold.
    pub beyond: u64,
    /// By how much the total went back; worth a "difference" incident when it is not 0.
    pub backwards: u64,
    /// Why it is late, if it is.
    pub late: Option<Late>,
    /// The instant whose window it belongs to.
    pub spent_at: Timestamp,
}

/// `spent_at`: the metered time clamped to [granted, received]; without one, received. A clock that
/// went back (received before granted) counts as the instant of the grant.
pub fn spent_at(metered: Option<Timestamp>, granted: Timestamp, received: Timestamp) -> Timestamp {
    let latest = received.max(granted);
    metered.unwrap_or(latest).clamp(granted, latest)
}

/// One clear outcome for each report: whatever is wrong with it, what was spent is recorded.
pub fn receive(report: Report) -> Received {
    let at = spent_at(report.metered_at, report.granted_at, report.received_at);
    let added = added(report.total, report.committed);
    let late = if report.epoch != report.current_epoch {
        Some(Late::StaleEpoch)
    } else if report
        .expired_at
        .is_some_and(|end| report.received_at >= end)
    {
        Some(Late::AfterExpiry)
    } else if at < report.window_starts_at {
        Some(Late::AfterReset)
    } else {
        None
    };
    Received {
        added,
        beyond: added.saturating_sub(report.remaining),
        backwards: report.committed.saturating_sub(report.total),
        late,
        spent_at: at,
    }
}

/// What one running task may spend beyond its hold before it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    /// Learned maximum per second; none where there is no meter.
    pub max_per_second: Option<u64>,
    /// Seconds between two reports.
    pub interval_s: u64,
}

/// The worst case beyond the cap: the sum of `rate * interval`; none means "unbounded, advisory".
pub fn worst_case(running: &[Exposure]) -> Option<u64> {
    running.iter().try_fold(0_u64, |sum, task| {
        let most = task.max_per_second?.saturating_mul(task.interval_s);
        Some(sum.saturating_add(most))
    })
}

/// The promise: the most that may have been spent, `highest limit in force + sum of max(0, actual -
/// granted) + external`.
pub fn bound(highest_limit: u64, tasks: &[(u64, u64)], external: u64) -> u64 {
    let excess = tasks
        .iter()
        .map(|(actual, granted)| actual.saturating_sub(*granted));
    excess.fold(highest_limit.saturating_add(external), u64::saturating_add)
}
