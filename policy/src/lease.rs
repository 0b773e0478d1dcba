//! Leases: who may write to a claimed task, and until when (doctrine 11).
//!
//! Each claim raises the task's epoch. A write names the epoch its claim returned; any other epoch,
//! or one whose time is over, is refused, so that a holder that was away too long cannot overwrite
//! the work of its successor. Work held by a person has an epoch and no end.

use fleet_protocol::Problem;
use fleet_protocol::Timestamp;
use fleet_protocol::problem::Code;
use jiff::SignedDuration;

/// How long a lease lasts unless it is renewed, in seconds (doctrine 11).
pub const SECONDS: i64 = 900;

/// Who holds a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A program: its lease ends by itself.
    Agent,
    /// A person: a sweep never takes their work away.
    Person,
}

/// A right to write to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Grows with every claim of the task.
    pub epoch: u64,
    /// When it ends; `None` for work held by a person.
    pub until: Option<Timestamp>,
}

impl Lease {
    /// The lease of a new claim, after all the claims up to `last_epoch` (0 before the first).
    pub fn claim(last_epoch: u64, holder: Holder, now: Timestamp) -> Self {
        Self {
            epoch: last_epoch.saturating_add(1),
            until: end(holder, now),
        }
    }

    /// The same lease, counted anew from now; never shorter than before.
    #[must_use]
    pub fn renew(self, now: Timestamp) -> Self {
        let until = self.until.map(|before| before.max(after(now)));
        Self { until, ..self }
    }

    /// Whether its time is over. At the very instant of its end it is.
    pub fn has_ended(self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Checks that a write under `epoch` still counts.
    ///
    /// # Errors
    /// [`Code::StaleEpoch`] when the task was claimed again meanwhile, or the lease has ended.
    pub fn check(self, epoch: u64, now: Timestamp) -> Result<(), Problem> {
        if epoch != self.epoch {
            return Err(stale(format!(
                "epoch {epoch} is not the current one, {}; the task was claimed again",
                self.epoch
            )));
        }
        match self.until {
            Some(until) if until <= now => Err(stale(format!("the lease ended at {until}"))),
            _ => Ok(()),
        }
    }
}

fn end(holder: Holder, now: Timestamp) -> Option<Timestamp> {
    match holder {
        Holder::Agent => Some(after(now)),
        Holder::Person => None,
    }
}

fn after(now: Timestamp) -> Timestamp {
    Timestamp(
        now.0
            .checked_add(SignedDuration::from_secs(SECONDS))
            .unwrap_or(jiff::Timestamp::MAX),
    )
}

fn stale(detail: String) -> Problem {
    Problem::new(Code::StaleEpoch, detail)
        .remedy("stop this work, report its spend, and claim again: task claim")
}

#[cfg(test)]
mod tests {
    use fleet_protocol::Timestamp;
    use fleet_protocol::problem::Code;
    use proptest::prelude::*;

    use super::{Holder, Lease, SECONDS};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    #[test]
    fn a_claim_lasts_fifteen_minutes_to_the_instant() {
        let lease = Lease::claim(6, Holder::Agent, at(1_000));
        assert_eq!(
            lease,
            Lease {
                epoch: 7,
                until: Some(at(1_900))
            }
        );
        assert!(!lease.has_ended(at(1_899)));
        assert!(lease.has_ended(at(1_900)));
        assert_eq!(lease.check(7, at(1_899)), Ok(()));
        assert_eq!(
            lease.check(7, at(1_900)).map_err(|p| p.code),
            Err(Code::StaleEpoch)
        );
    }

    #[test]
    fn a_person_is_never_timed_out() {
        let lease = Lease::claim(0, Holder::Person, at(0)).renew(at(50));
        assert_eq!(lease.until, None);
        assert!(!lease.has_ended(at(i64::from(i32::MAX))));
        assert_eq!(lease.check(1, at(i64::from(i32::MAX))), Ok(()));
    }

    proptest! {
        #[test]
        fn only_the_newest_claim_may_write(claims in 1_u64..50, old in 0_u64..50, now in 0_i64..10_000) {
            let lease = (0..claims).fold(Lease { epoch: 0, until: None }, |l, _| Lease::claim(l.epoch, Holder::Agent, at(now)));
            prop_assert_eq!(lease.epoch, claims);
            prop_assert_eq!(lease.check(old, at(now)).is_ok(), old == claims);
        }

        #[test]
        fn renewing_keeps_the_epoch_and_never_shortens(start in 0_i64..10_000, later in -2_000_i64..2_000) {
            let lease = Lease::claim(0, Holder::Agent, at(start));
            let renewed = lease.renew(at(start + later));
            prop_assert_eq!(renewed.epoch, lease.epoch);
            prop_assert!(renewed.until >= lease.until);
            prop_assert!(!renewed.has_ended(at(start + later + SECONDS - 1)) || later < 0);
        }
    }
}
