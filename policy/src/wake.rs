//! How many idle agents are told that work is ready: as many as can take some, and no more (doctrine 9 and 12).

use crate::bounds::WorkerBounds;

/// One role: its work, and its agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Tasks that anybody of the role may claim now.
    pub ready: u64,
    /// Agents of the role that hold leases.
    pub working: u64,
    /// Agents that were told of late and have not tried to claim yet.
    pub answering: u64,
    /// Agents that listen, hold nothing and can be told.
    pub idle: u64,
}

/// How many more agents of a role are told, when so many workers of the whole fleet hold leases or were told.
pub fn count(bounds: WorkerBounds, fleet_busy: u64, role: Role) -> u64 {
    let of_fleet = u64::from(bounds.fleet).saturating_sub(fleet_busy);
    let of_role =
        u64::from(bounds.role).saturating_sub(role.working.saturating_add(role.answering));
    role.ready
        .saturating_sub(role.answering)
        .min(of_fleet)
        .min(of_role)
        .min(role.idle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: WorkerBounds = WorkerBounds { fleet: 10, role: 4 };

    #[test]
    fn as_many_are_told_as_can_take_some() {
        for (ready, working, answering, idle, fleet_busy, wanted) in [
            (1, 0, 0, 5, 0, 1),
            (3, 0, 0, 5, 0, 3),
            (9, 0, 0, 5, 0, 4),
            (9, 3, 0, 5, 3, 1),
            (9, 0, 0, 2, 0, 2),
            (2, 0, 2, 5, 2, 0),
            (3, 0, 2, 5, 2, 1),
            (9, 0, 0, 5, 9, 1),
            (9, 0, 0, 5, 12, 0),
            (0, 0, 0, 5, 0, 0),
        ] {
            let role = Role {
                ready,
                working,
                answering,
                idle,
            };
            assert_eq!(
                count(BOUNDS, fleet_busy, role),
                wanted,
                "{role:?} {fleet_busy}"
            );
        }
    }

    proptest! {
        #[test]
        fn nobody_is_told_in_vain_and_nobody_is_forgotten(
            ready in 0_u64..20, working in 0_u64..6, answering in 0_u64..6, idle in 0_u64..20, others in 0_u64..12,
        ) {
            let (role, busy) = (Role { ready, working, answering, idle }, working + answering + others);
            let told = count(BOUNDS, busy, role);
            prop_assert!(told <= idle);
            if told > 0 {
                prop_assert!(told + answering <= ready);
                prop_assert!(told + working + answering <= 4 && told + busy <= 10);
            }
            // One more would be in vain, or there is nobody left.
            let more = told + 1;
            prop_assert!(more > idle || more + answering > ready || more + working + answering > 4 || more + busy > 10);
        }
    }
}
