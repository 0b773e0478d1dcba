//! What was due and could not be done: it is tried again after a pause that doubles, so that a fault is neither logged
//! each second nor in the way of what can be done.

use std::collections::BTreeMap;

use fleet_protocol::Timestamp;
use jiff::SignedDuration;

use super::Due;

/// The first pause.
const FIRST: SignedDuration = SignedDuration::from_secs(1);
/// How often the pause doubles at most: it ends at about five minutes.
const DOUBLED: u32 = 8;

/// Failures in a row, and the instant of the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pause {
    failures: u32,
    until: Timestamp,
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
    pub(super) fn tried(&mut self, found: Vec<Due>, now: Timestamp) -> Vec<Due> {
        self.0.retain(|due, _| found.contains(due));
        let is_held = |due: &Due| self.0.get(due).is_some_and(|p| p.until > now);
        found.into_iter().filter(|due| !is_held(due)).collect()
    }

    /// It was done.
    pub(super) fn done(&mut self, due: &Due) {
        self.0.remove(due);
    }

    /// It could not be done; the pause until it is tried again.
    pub(super) fn failed(&mut self, due: Due, now: Timestamp) -> SignedDuration {
        let failures = self.0.get(&due).map_or(0, |p| p.failures);
        let pause = FIRST * 2_i32.pow(failures.min(DOUBLED));
        let until = now.0.checked_add(pause).map_or(now, Timestamp);
        let failures = failures.saturating_add(1);
        self.0.insert(due, Pause { failures, until });
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

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn pauses_double_up_to_minutes_and_hide_nothing_else() {
        let mut withheld = Withheld::default();
        let pauses: Vec<i64> = (0..11)
            .map(|_| withheld.failed(due(1), at(0)).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256]);
        assert_eq!(withheld.tried(vec![due(1), due(2)], at(255)), [due(2)]);
        assert_eq!(withheld.tried(vec![due(1)], at(256)), [due(1)]);
    }

    #[test]
    fn what_was_done_or_is_not_due_any_more_is_forgotten() {
        let mut withheld = Withheld::default();
        withheld.failed(due(1), at(0));
        withheld.failed(due(2), at(0));
        withheld.done(&due(1));
        assert_eq!(withheld.tried(vec![due(1)], at(0)), [due(1)]);
        assert_eq!(withheld.len(), 0);
    }
}
