//! Vectors of amounts, prices, and what a report without a unit is charged (budget.md, "Units").

use std::collections::BTreeMap;

use super::pacing::scaled;

/// What an amount counts. Units are never added to each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Weighted tokens.
    Tokens,
    /// Millionths of a dollar that are billed.
    CashUsdMicro,
    /// Millionths of a dollar that a flat subscription would have cost.
    ApiEquivalentUsdMicro,
    /// Messages.
    Messages,
    /// Seconds of computing.
    ComputeSeconds,
    /// A provider's own unit.
    Own(String),
}

/// One amount per unit.
pub type Amounts = BTreeMap<Measure, u64>;

/// Price of a model in millionths of a dollar for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Input tokens and cache writes.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
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
        of(usage.cache_write, price.input),
        of(usage.output, price.output),
        of(usage.cache_read, price.cache_read),
    ];
    let sum = parts
        .into_iter()
        .try_fold(0_u128, |sum, part| sum.checked_add(part?));
    sum.and_then(|s| u64::try_from(s.div_ceil(1_000_000)).ok())
        .map_or(Cost::Unknown, Cost::Known)
}

/// What one unit of a task is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// As reported.
    Reported(u64),
    /// The report lacks the unit: the whole grant, marked estimated.
    Estimated(u64),
}

/// Charges every unit some window needs: the reported amount, or else the grant; never nothing.
/// A unit that was reported but that no window needs is kept as reported.
pub fn charge(reported: &Amounts, granted: &Amounts) -> BTreeMap<Measure, Charge> {
    let of_grant = granted
        .iter()
        .map(|(unit, n)| (unit.clone(), Charge::Estimated(*n)));
    let of_report = reported
        .iter()
        .map(|(unit, n)| (unit.clone(), Charge::Reported(*n)));
    of_grant.chain(of_report).collect()
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
