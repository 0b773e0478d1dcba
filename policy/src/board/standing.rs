//! Where every seat stands after what happened so far.

use std::collections::BTreeSet;

use fleet_protocol::record::{Act, Ballot, Entry, FrozenSeat};

/// A seat as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing<'e> {
    /// The version of its ballot that counts, and its sequence.
    pub ballot: Option<(u64, &'e Ballot)>,
    /// Whether it may not vote at present.
    pub suspended: bool,
}

/// Where every seat stands, in the order of the seats: its latest version that was neither withdrawn
/// nor retracted. The order of `entries` does not matter, only their sequence; an entry that names no
/// seat of these counts nothing.
pub fn stand<'e>(seats: &[FrozenSeat], entries: &'e [Entry]) -> Vec<Standing<'e>> {
    let retracted: BTreeSet<u64> = entries
        .iter()
        .filter_map(|e| match &e.act {
            Act::Retract { of } => Some(*of),
            _ => None,
        })
        .collect();
    seats
        .iter()
        .map(|seat| one(seat, entries, &retracted))
        .collect()
}

fn one<'e>(seat: &FrozenSeat, entries: &'e [Entry], retracted: &BTreeSet<u64>) -> Standing<'e> {
    let mut withdrawn = 0;
    let mut latest: Option<(u64, &Ballot)> = None;
    let mut suspended = (0, false);
    for entry in entries {
        let n = entry.sequence;
        match &entry.act {
            Act::Cast(ballot)
                if ballot.seat == seat.title
                    && !retracted.contains(&n)
                    && latest.is_none_or(|(kept, _)| n > kept) =>
            {
                latest = Some((n, ballot));
            }
            Act::Withdraw { seat: title } if *title == seat.title => withdrawn = withdrawn.max(n),
            Act::Suspend { seat: title } if *title == seat.title => {
                suspended = suspended.max((n, true));
            }
            Act::Restore { seat: title } if *title == seat.title => {
                suspended = suspended.max((n, false));
            }
            _ => {}
        }
    }
    Standing {
        ballot: latest.filter(|(n, _)| *n > withdrawn),
        suspended: suspended.1,
    }
}
