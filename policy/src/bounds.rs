//! Bounds on concurrent workers (doctrine 9) and on an agent's context (doctrine 8).

use fleet_protocol::Problem;
use fleet_protocol::problem::Code;

/// How many worker agents may hold leases at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerBounds {
    /// In the whole fleet.
    pub fleet: u32,
    /// Of one role.
    pub role: u32,
}

impl Default for WorkerBounds {
    /// Ten in the fleet, two of a role.
    fn default() -> Self {
        Self { fleet: 10, role: 2 }
    }
}

/// How many worker agents hold leases now, without the one that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Working {
    /// In the whole fleet.
    pub fleet: u64,
    /// Of the role of the one that asks.
    pub role: u64,
}

impl WorkerBounds {
    /// Decides whether one more worker of a role may hold a lease.
    ///
    /// # Errors
    /// [`Code::WorkerBound`]; the task stays ready, so that the claim can be made again.
    pub fn admit(self, working: Working, role: &str) -> Result<(), Problem> {
        let reached = if working.fleet >= u64::from(self.fleet) {
            format!(
                "{} of {} workers of the fleet hold leases",
                working.fleet, self.fleet
            )
        } else if working.role >= u64::from(self.role) {
            format!(
                "{} of {} workers of the role {role} hold leases",
                working.role, self.role
            )
        } else {
            return Ok(());
        };
        Err(Problem::new(Code::WorkerBound, reached)
            .remedy("the task stays ready; claim again when one of them is done (see: !ps), or an operator raises the bound: !workers set --fleet 20 --role 4"))
    }
}

/// Tokens an agent's context may reach (doctrine 8).
pub const CONTEXT_CAP: u64 = 200_000;
/// Tokens at which the room is told: 80 % of [`CONTEXT_CAP`].
pub const CONTEXT_TOLD: u64 = 160_000;

/// How full an agent's context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// There is room, or the agent has not said.
    Roomy,
    /// People are told.
    NearlyFull,
    /// No new task until a fresh incarnation.
    Full,
}

impl Context {
    /// The state at a reported use in tokens.
    pub fn of(tokens: Option<u64>) -> Self {
        match tokens {
            Some(n) if n >= CONTEXT_CAP => Self::Full,
            Some(n) if n >= CONTEXT_TOLD => Self::NearlyFull,
            _ => Self::Roomy,
        }
    }

    /// Whether going from this state to `now` is worth a message: only upwards, once per state.
    pub fn worth_telling(self, now: Self) -> bool {
        now > self
    }

    /// Decides whether an agent in this state may take a new task.
    ///
    /// # Errors
    /// [`Code::ContextFull`].
    pub fn admit(self) -> Result<(), Problem> {
        match self {
            Self::Roomy | Self::NearlyFull => Ok(()),
            Self::Full => Err(Problem::new(
                Code::ContextFull,
                format!("the context has reached {CONTEXT_CAP} tokens"),
            )
            .remedy(
                "reset the agent's context and register it again: a fresh incarnation may claim",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use fleet_protocol::problem::Code;
    use proptest::prelude::*;

    use super::{CONTEXT_CAP, CONTEXT_TOLD, Context, WorkerBounds, Working};

    #[test]
    fn the_bounds_are_reached_exactly() {
        let bounds = WorkerBounds::default();
        let table = [
            (0, 0, true),
            (9, 1, true),
            (9, 2, false),
            (2, 2, false),
            (10, 0, false),
            (10, 2, false),
        ];
        for (fleet, role, admitted) in table {
            let decided = bounds
                .admit(Working { fleet, role }, "code")
                .map_err(|p| p.code);
            assert_eq!(
                decided,
                if admitted {
                    Ok(())
                } else {
                    Err(Code::WorkerBound)
                },
                "{fleet} in the fleet, {role} of the role"
            );
        }
    }

    #[test]
    fn the_refusal_names_the_bound_that_binds() {
        let of_role = WorkerBounds::default()
            .admit(Working { fleet: 2, role: 2 }, "code")
            .expect_err("two of a role");
        assert_eq!(
            of_role.detail,
            "2 of 2 workers of the role code hold leases"
        );
        let of_fleet = WorkerBounds::default()
            .admit(Working { fleet: 10, role: 0 }, "code")
            .expect_err("ten in the fleet");
        assert_eq!(of_fleet.detail, "10 of 10 workers of the fleet hold leases");
    }

    #[test]
    fn context_is_told_at_eighty_percent_and_stops_work_at_the_cap() {
        assert_eq!(CONTEXT_TOLD * 100, CONTEXT_CAP * 80);
        let table = [
            (None, Context::Roomy),
            (Some(0), Context::Roomy),
            (Some(159_999), Context::Roomy),
            (Some(160_000), Context::NearlyFull),
            (Some(199_999), Context::NearlyFull),
            (Some(200_000), Context::Full),
            (Some(u64::MAX), Context::Full),
        ];
        for (tokens, state) in table {
            assert_eq!(Context::of(tokens), state, "{tokens:?}");
            assert_eq!(state.admit().is_err(), state == Context::Full);
        }
        assert!(Context::Roomy.worth_telling(Context::Full));
        assert!(!Context::NearlyFull.worth_telling(Context::NearlyFull));
        assert!(!Context::Full.worth_telling(Context::Roomy));
    }

    proptest! {
        #[test]
        fn who_is_refused_stays_refused_with_more_at_work(fleet in 0_u64..20, role in 0_u64..20, more in 0_u64..5) {
            let bounds = WorkerBounds::default();
            if bounds.admit(Working { fleet, role }, "code").is_err() {
                let busier = Working { fleet: fleet + more, role: role + more };
                prop_assert!(bounds.admit(busier, "code").is_err());
            }
        }
    }
}
