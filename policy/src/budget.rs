//! Budgets: what spend weighs, what still fits, which window an instant belongs to (budget.md).
//!
//! Integers only. Amounts are in the unit of the series they concern.

pub mod estimate;
pub mod headers;
pub mod hold;
pub mod ladder;
pub mod learn;
mod ledger;
pub mod meter;
pub mod pacing;
pub mod queue;
pub mod recurrence;
pub mod route;
pub mod source;
pub mod ticks;
pub mod watch;
mod window;

pub use ledger::{Hold, Movement, commit, presume, release, settle_unknown};
pub use window::{Window, containing};

/// What a task is granted when nobody projected its spend and nothing was learned yet.
pub const DEFAULT_ESTIMATE: u64 = 50_000;

/// Divisor of the weight of a token read from the cache: ten of them count as one.
pub const CACHE_READ_DIVISOR: u64 = 10;

/// Cumulative totals of a meter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens sent to the model.
    pub input: u64,
    /// Tokens the model wrote.
    pub output: u64,
    /// Tokens written to the provider's cache.
    pub cache_write: u64,
    /// Tokens read from the provider's cache.
    pub cache_read: u64,
}

impl Usage {
    /// Tokens as a limit counts them: input, output and cache writes, plus a tenth of cache reads,
    /// rounded down. Monotone in every field, so a growing meter never lowers it.
    pub fn tokens(self) -> u64 {
        self.input
            .saturating_add(self.output)
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_read / CACHE_READ_DIVISOR)
    }
}

/// What a cumulative reading adds to what is committed of its meter; a reading that went back or
/// came twice adds nothing.
pub fn added(reported: u64, committed: u64) -> u64 {
    reported.saturating_sub(committed)
}

/// What counts against the limit of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Spent in the window.
    pub committed: u64,
    /// Held by running tasks; belongs to the series and counts in full.
    pub held: u64,
    /// Presumed spent by leases that ended without a report.
    pub presumed: u64,
}

impl Totals {
    /// All of it.
    pub fn used(self) -> u64 {
        self.committed
            .saturating_add(self.held)
            .saturating_add(self.presumed)
    }

    /// What is known or presumed to be gone; holds may still be handed back.
    pub fn spent(self) -> u64 {
        self.committed.saturating_add(self.presumed)
    }

    /// What may still be granted.
    pub fn headroom(self, limit: u64) -> u64 {
        limit.saturating_sub(self.used())
    }

    /// By how much the limit is exceeded; a limit may be lowered below what is used.
    pub fn over(self, limit: u64) -> u64 {
        self.used().saturating_sub(limit)
    }
}

#[cfg(test)]
mod core_tests;
#[cfg(test)]
mod edge_tests;
#[cfg(test)]
mod tests;
