//! Prices, and what a task is expected to need (budget.md, "Units").

use super::pacing::scaled;

/// Price of a model in millionths of a dollar for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Cache writes.
    pub cache_write: u64,
    /// Cache reads.
    pub cache_read: u64,
}

/// What something costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// In millionths of a dollar; 0 is a price that is known to be nothing.
    Known(u64),
    /// Above every limit that needs it, and visible.
    Unknown,
}

/// `sum of tokens * price / 1,000,000`, rounded up once; no price is [`Cost::Unknown`], a price
/// of zero is [`Cost::Known`] of 0, an overflow is unknown.
pub fn cost(usage: super::Usage, price: Option<Price>) -> Cost {
    let Some(price) = price else {
        return Cost::Unknown;
    };
    let of = |tokens: u64, price: u64| u128::from(tokens).checked_mul(u128::from(price));
    let parts = [
        of(usage.input, price.input),
        of(usage.cache_write, price.cache_write),
        of(usage.output, price.output),
        of(usage.cache_read, price.cache_read),
    ];
    let sum = parts
        .into_iter()
        .try_fold(0_u128, |sum, part| sum.checked_add(part?));
    sum.and_then(|s| u64::try_from(s.div_ceil(1_000_000)).ok())
        .map_or(Cost::Unknown, Cost::Known)
}

/// The estimate of one unit of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Median.
    pub p50: u64,
    /// Four of five tasks stay within.
    pub p80: u64,
    /// Nineteen of twenty tasks stay within.
    pub p95: u64,
    /// Whether it rests on enough samples; no refusal rests on one that does not.
    pub learned: bool,
}

impl Estimate {
    /// A promise of the task's author: granted whole.
    pub fn promised(n: u64) -> Self {
        Self {
            p50: n,
            p80: n,
            p95: n,
            learned: true,
        }
    }

    /// What is still to come of a task that has spent `spent` already: at least a tenth of the
    /// median, because a task that goes on needs something.
    #[must_use]
    pub fn after(self, spent: u64) -> Self {
        let least = self.p50.div_ceil(10);
        let left = |n: u64| n.saturating_sub(spent).max(least);
        Self {
            p50: left(self.p50),
            p80: left(self.p80),
            p95: left(self.p95),
            learned: self.learned,
        }
    }

    /// Without enough samples: `min(default, limit / 10)`, at least 1.
    pub fn guess(default: u64, limit: u64) -> Self {
        let n = default.min(scaled(limit, 1, 10)).max(1);
        Self {
            p50: n,
            p80: n,
            p95: n,
            learned: false,
        }
    }
}
