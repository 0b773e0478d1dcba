//! Movements of the ledger: what each kind of row changes. Sums of movements are the totals, so
//! nothing is lost or made as long as every row is a movement of this module.

/// What a row changes; each field is added to the total of that name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Movement {
    /// Change of what is spent, in the window of the row's instant.
    pub committed: i64,
    /// Change of what running tasks hold, in the series.
    pub held: i64,
    /// Change of what is presumed spent, in the window of the presumption's instant.
    pub presumed: i64,
}

/// What is left of a grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hold {
    /// Granted and not yet reported as spent.
    pub remaining: u64,
    /// Presumed spent and not yet replaced by a report.
    pub presumed: u64,
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Spend that was reported: uses up the hold first, then replaces presumed spend; what exceeds both
/// is spend beyond the grant and counts all the same.
pub fn commit(hold: Hold, added: u64) -> (Movement, Hold) {
    let from_hold = hold.remaining.min(added);
    let from_presumed = hold.presumed.min(added - from_hold);
    let moved = Movement {
        committed: signed(added),
        held: -signed(from_hold),
        presumed: -signed(from_presumed),
    };
    let left = Hold {
        remaining: hold.remaining - from_hold,
        presumed: hold.presumed - from_presumed,
    };
    (moved, left)
}

/// The attempt ended with its actual known: what is left of the hold is free again.
pub fn release(hold: Hold) -> (Movement, Hold) {
    let moved = Movement {
        held: -signed(hold.remaining),
        ..Movement::default()
    };
    (
        moved,
        Hold {
            remaining: 0,
            ..hold
        },
    )
}

/// The lease ended without a report: what the hold has not reported counts as spent until a report
/// replaces it.
pub fn presume(hold: Hold) -> (Movement, Hold) {
    let moved = Movement {
        held: -signed(hold.remaining),
        presumed: signed(hold.remaining),
        ..Movement::default()
    };
    let left = Hold {
        remaining: 0,
        presumed: hold.presumed.saturating_add(hold.remaining),
    };
    (moved, left)
}

/// The attempt ended with its actual unknown: the whole grant is charged (doctrine 7).
pub fn settle_unknown(hold: Hold) -> (Movement, Hold) {
    let moved = Movement {
        committed: signed(hold.remaining.saturating_add(hold.presumed)),
        held: -signed(hold.remaining),
        presumed: -signed(hold.presumed),
    };
    (moved, Hold::default())
}
