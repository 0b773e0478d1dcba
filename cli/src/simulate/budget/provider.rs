//! Synthetic providers: their own count is the truth.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _};

/// Milliseconds since 1970.
pub(super) type Instant = i64;
/// Which attempt spent: the task's number and the attempt's.
pub(super) type Spender = (u32, u32);

/// When a provider's windows begin and end.
#[derive(Debug, Clone)]
pub(super) enum Schedule {
    /// A fixed length from an instant on.
    Fixed { from: Instant, length: Instant },
    /// A fixed length from the first use on.
    FirstUse { length: Instant },
    /// Each week at the same reading of a zone's clock; the first end.
    Weekly {
        first: jiff::Timestamp,
        zone: TimeZone,
    },
}

/// A window as the provider has it.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) starts: Instant,
    pub(super) ends: Instant,
    pub(super) spent: u64,
    pub(super) by: BTreeMap<Spender, u64>,
}

/// A limit as the provider counts it.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    pub(super) name: &'static str,
    pub(super) limit: u64,
    schedule: Schedule,
    begins: Instant,
    pub(super) windows: Vec<Window>,
}

impl Limit {
    pub(super) fn new(name: &'static str, limit: u64, schedule: Schedule, begins: Instant) -> Self {
        Self {
            name,
            limit,
            schedule,
            begins,
            windows: Vec::new(),
        }
    }

    /// Where a window begins and ends that holds an instant.
    fn around(&self, at: Instant) -> (Instant, Instant) {
        match &self.schedule {
            Schedule::Fixed { from, length } => {
                let start = from + (at - from).div_euclid(*length) * length;
                (start, start + length)
            }
            Schedule::FirstUse { length } => (at, at + length),
            Schedule::Weekly { first, zone } => {
                let mut end = jiff::ZonedDateTime::new(*first, zone.clone());
                let mut start = self.begins;
                while end.timestamp().as_millisecond() <= at {
                    start = end.timestamp().as_millisecond();
                    end = end.checked_add(7.days()).unwrap_or(end);
                }
                (start, end.timestamp().as_millisecond())
            }
        }
    }

    /// Counts spend; the end of its window when this use began it.
    pub(super) fn spend(&mut self, at: Instant, amount: u64, by: Spender) -> Option<Instant> {
        let is_new = self.windows.last().is_none_or(|w| at >= w.ends);
        if is_new {
            let (starts, ends) = self.around(at);
            self.windows.push(Window {
                starts,
                ends,
                spent: 0,
                by: BTreeMap::new(),
            });
        }
        if let Some(window) = self.windows.last_mut() {
            window.spent += amount;
            *window.by.entry(by).or_default() += amount;
        }
        let begins_with_use = matches!(self.schedule, Schedule::FirstUse { .. });
        (is_new && begins_with_use)
            .then_some(at)
            .map(|at| self.around(at).1)
    }

    /// What was spent in the window of an instant.
    pub(super) fn spent_at(&self, at: Instant) -> u64 {
        let of = self
            .windows
            .iter()
            .rev()
            .find(|w| w.starts <= at && at < w.ends);
        of.map_or(0, |w| w.spent)
    }
}

/// A provider account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) limits: Vec<Limit>,
}

impl Account {
    /// Spends in every window; the end of a window that this use began.
    pub(super) fn spend(&mut self, at: Instant, amount: u64, by: Spender) -> Option<Instant> {
        let began = self.limits.iter_mut().map(|l| l.spend(at, amount, by));
        began.fold(None, |end, began| end.or(began))
    }
}

/// A length in milliseconds.
pub(super) fn hours(n: i64) -> Instant {
    SignedDuration::from_hours(n).as_millis() as Instant
}
