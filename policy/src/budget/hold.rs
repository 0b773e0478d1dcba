//! Holds in tranches, top-ups, and the bound that is stated in advance (budget.md, "Ledger").

use fleet_protocol::Timestamp;

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

/// What a top-up may draw on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The highest limit in force.
    pub limit: u64,
    /// Committed, presumed and external use in the window.
    pub spent: u64,
    /// Held by running tasks.
    pub held: u64,
    /// Kept free for running tasks that are older than the one that asks: they come first.
    pub kept_for_older: u64,
}

impl Room {
    /// Whether `amount` may be added to a running task's hold: whole or not at all, so that a task is
    /// never left with a part that ends within a turn. What is kept free for younger tasks and for the
    /// queue does not count: top-ups come before admissions, oldest task first.
    pub fn admits(self, amount: u64) -> bool {
        let used = self.spent.saturating_add(self.held);
        let left = self
            .limit
            .saturating_sub(used.saturating_add(self.kept_for_older));
        amount <= left
    }
}

/// `spent_at`: the metered time clamped to [granted, received]; without one, received. A clock that
/// went back (received before granted) counts as the instant of the grant.
pub fn spent_at(metered: Option<Timestamp>, granted: Timestamp, received: Timestamp) -> Timestamp {
    let latest = received.max(granted);
    metered.unwrap_or(latest).clamp(granted, latest)
}

/// The worst case beyond the cap: what each running task may add in one report that nobody has seen yet
/// (its learned most); none means "unbounded, advisory", because some task has no meter to learn from.
pub fn worst_case(most_per_report: &[Option<u64>]) -> Option<u64> {
    most_per_report
        .iter()
        .try_fold(0_u64, |sum, most| Some(sum.saturating_add((*most)?)))
}
