//! What was due and could not be done: it is tried again after a pause that doubles, so that a fault is neither logged
//! each second nor in the way of what can be done.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Due;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// How often the pause doubles at most: it ends at about five minutes.
const DOUBLED: u32 = 8;

/// Failures in a row, and the instant of the next try: of the machine's time, whatever the register's clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pause {
    failures: u32,
    until: Instant,
}

/// What is not tried at present. Holds no more than the sweep finds due.
#[derive(Debug, Default)]
pub(super) struct Withheld(BTreeMap<Due, Pause>);

impl Withheld {
    /// How many rows it may hide from a look.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Of what a look found, what is to be tried now. What is not due any more is forgotten.
    pub(super) fn tried(&mut self, found: Vec<Due>, now: Instant) -> Vec<Due> {
        self.0.retain(|due, _| found.contains(due));
        let is_held = |due: &Due| self.0.get(due).is_some_and(|p| p.until > now);
        found.into_iter().filter(|due| !is_held(due)).collect()
    }

    /// It was done.
    pub(super) fn done(&mut self, due: &Due) {
        self.0.remove(due);
    }

    /// It could not be done; the pause until it is tried again.
    pub(super) fn failed(&mut self, due: Due, now: Instant) -> Duration {
        let failures = self.0.get(&due).map_or(0, |p| p.failures);
        let pause = FIRST * 2_u32.pow(failures.min(DOUBLED));
        let next = Pause {
            failures: failures.saturating_add(1),
            until: now + pause,
        };
        self.0.insert(due, next);
        pause
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::Kind;
    use super::*;

    fn due(id: u128) -> Due {
        Due {
            tenant: "default".parse().unwrap(),
            kind: Kind::Lease,
            id: Uuid::from_u128(id),
        }
    }

    #[test]
    fn pauses_double_up_to_minutes_and_hide_nothing_else() {
        let (mut withheld, now) = (Withheld::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        let pauses: Vec<u64> = (0..11)
            .map(|_| withheld.failed(due(1), now).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256]);
        assert_eq!(withheld.tried(vec![due(1), due(2)], after(255)), [due(2)]);
        assert_eq!(withheld.tried(vec![due(1)], after(256)), [due(1)]);
    }

    #[test]
    fn what_was_done_or_is_not_due_any_more_is_forgotten() {
        let (mut withheld, now) = (Withheld::default(), Instant::now());
        withheld.failed(due(1), now);
        withheld.failed(due(2), now);
        withheld.done(&due(1));
        assert_eq!(withheld.tried(vec![due(1)], now), [due(1)]);
        assert_eq!(withheld.len(), 0);
    }
}
