//! Learning from actuals, and its calibration (budget.md, "Learning").

use super::estimate::Estimate;

/// Samples below which nothing is refused on an estimate, and the weight of the parent group.
pub const ENOUGH: usize = 20;
/// Samples a group keeps; the oldest goes first.
pub const KEPT: usize = 256;
/// Actuals a calibration looks at.
pub const CALIBRATED: usize = 100;

/// The actuals of one (task type, role, model) or of its parent group, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples(Vec<u64>);

impl Samples {
    /// From rows, oldest first; only the last [`KEPT`] count.
    pub fn from_rows(rows: impl IntoIterator<Item = u64>) -> Self {
        let mut samples = Self::default();
        rows.into_iter().for_each(|n| samples.push(n));
        samples
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in the actual of a task that ended by itself.
    pub fn push(&mut self, actual: u64) {
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(actual);
    }

    /// Takes in the actual of a run that was cut short: counted only when above the present p95,
    /// because all that is known is that the task needs at least that much.
    pub fn push_censored(&mut self, actual: u64) -> bool {
        let counts = self.quantile(95).is_some_and(|p95| actual > p95);
        if counts {
            self.push(actual);
        }
        counts
    }

    /// The sample of rank `ceil(percent * (n + 1) / 100)`, at most n: an unseen task stays within
    /// it with that share.
    pub fn quantile(&self, percent: u8) -> Option<u64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (usize::from(percent) * (sorted.len() + 1)).div_ceil(100);
        sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
    }
}

/// A quantile shrunk to the parent's: `(n * own + 20 * parent) / (n + 20)`, rounded up; either
/// alone when the other is missing.
pub fn shrunk(own: &Samples, parent: &Samples, percent: u8) -> Option<u64> {
    match (own.quantile(percent), parent.quantile(percent)) {
        (Some(own_q), Some(parent_q)) => {
            let (n, k) = (own.len() as u128, ENOUGH as u128);
            let sum = u128::from(own_q) * n + u128::from(parent_q) * k;
            u64::try_from(sum.div_ceil(n + k)).ok()
        }
        (own_q, parent_q) => own_q.or(parent_q),
    }
}

/// The estimate of a task: learned from [`ENOUGH`] samples on (own and parent's together), and a
/// guess below.
pub fn estimate(own: &Samples, parent: &Samples, default: u64, limit: u64) -> Estimate {
    let q = |percent| shrunk(own, parent, percent);
    match (q(50), q(80), q(95)) {
        (Some(p50), Some(p80), Some(p95)) if own.len().max(parent.len()) >= ENOUGH => Estimate {
            p50,
            p80,
            p95,
            learned: true,
        },
        _ => Estimate::guess(default, limit),
    }
}

/// How well estimates held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calibration {
    /// Actuals that were looked at.
    pub tasks: usize,
    /// Share of them at or under their p95, in basis points; good is 9,000 to 9,900.
    pub p95_bp: u64,
    /// Granted over actual, in basis points; none when nothing was spent.
    pub granted_over_actual_bp: Option<u64>,
}

/// A task that is done: what was expected, granted and spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Its p95 when it was admitted.
    pub p95: u64,
    /// Granted in all.
    pub granted: u64,
    /// Spent in all.
    pub actual: u64,
}

/// Calibration over the last 100 outcomes, oldest first; none without any.
pub fn calibration(outcomes: &[Outcome]) -> Option<Calibration> {
    let last = &outcomes[outcomes.len().saturating_sub(CALIBRATED)..];
    let tasks = last.len();
    let within = last.iter().filter(|o| o.actual <= o.p95).count();
    let sum = |of: fn(&Outcome) -> u64| last.iter().map(|o| u128::from(of(o))).sum::<u128>();
    let (granted, actual) = (sum(|o| o.granted), sum(|o| o.actual));
    (tasks > 0).then(|| Calibration {
        tasks,
        p95_bp: (within * 10_000 / tasks) as u64,
        granted_over_actual_bp: (granted * 10_000)
            .checked_div(actual)
            .and_then(|bp| u64::try_from(bp).ok()),
    })
}
