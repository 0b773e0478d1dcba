//! Weights, and what they come to.

use std::collections::BTreeSet;

use fleet_protocol::record::{Default as ByDefault, FrozenSeat, Outcome, Rule, Threshold};
use fleet_protocol::verbs::board::{Holder, Verdict};

use super::Standing;

/// Weights by verdict, and who stands behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// For it.
    pub approve: u32,
    /// Against it, vetoes included.
    pub reject: u32,
    /// Counts for the quorum only.
    pub abstain: u32,
    /// For it, with conditions.
    pub conditional: u32,
    /// All there is.
    pub total: u32,
    /// Whether a valid veto blocks it.
    pub blocked: bool,
    /// Whether a seat that may veto has not voted.
    pub veto_open: bool,
    /// Who approves.
    pub approving: Backing,
    /// Who approves or would with conditions.
    pub backing: Backing,
    /// Who could still approve.
    pub open: Backing,
}

/// Principals who stand behind a proposal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backing {
    /// All of them: one who holds several seats counts once.
    pub principals: BTreeSet<Holder>,
    /// Those who are not the proposer.
    pub keys: BTreeSet<Holder>,
    /// Whether a person is among them.
    pub human: bool,
}

impl Backing {
    fn add(&mut self, seat: &FrozenSeat) {
        self.principals.insert(seat.holder.clone());
        if !seat.proposer {
            self.keys.insert(seat.holder.clone());
        }
        self.human |= seat.human;
    }

    fn with(&self, other: &Self) -> Self {
        Self {
            principals: self.principals.union(&other.principals).cloned().collect(),
            keys: self.keys.union(&other.keys).cloned().collect(),
            human: self.human || other.human,
        }
    }
}

impl Tally {
    /// All that was cast.
    pub fn cast(&self) -> u32 {
        self.approve + self.reject + self.abstain + self.conditional
    }

    /// Whether enough of the weight was cast.
    pub fn has_quorum(&self, rule: &Rule) -> bool {
        u64::from(self.cast()) * 100 >= u64::from(self.total) * u64::from(rule.quorum)
    }
}

/// Weighs the ballots as the seats stand.
pub fn tally(seats: &[FrozenSeat], standing: &[Standing<'_>]) -> Tally {
    let mut tally = Tally::default();
    for (index, seat) in seats.iter().enumerate() {
        let weight = u32::from(seat.weight);
        tally.total += weight;
        let Some((_, ballot)) = standing.get(index).and_then(|s| s.ballot) else {
            tally.veto_open |= seat.may_veto;
            tally.open.add(seat);
            continue;
        };
        match ballot.verdict {
            Verdict::Approve => {
                tally.approve += weight;
                tally.approving.add(seat);
                tally.backing.add(seat);
            }
            Verdict::Conditional => {
                tally.conditional += weight;
                tally.backing.add(seat);
            }
            Verdict::Abstain => tally.abstain += weight,
            Verdict::Reject => tally.reject += weight,
            Verdict::Veto => {
                tally.reject += weight;
                tally.blocked |= seat.may_veto && ballot.reasoned;
            }
        }
    }
    tally
}

/// How a vote ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The outcome.
    pub outcome: Outcome,
    /// Whether the default decided.
    pub by_default: bool,
}

/// The outcome with the ballots as they stand. `human` says whether a person must approve.
pub fn outcome(tally: &Tally, rule: &Rule, human: bool) -> Ended {
    let ended = |outcome| Ended {
        outcome,
        by_default: false,
    };
    if tally.blocked {
        return ended(Outcome::Rejected);
    }
    if !tally.has_quorum(rule) || tally.approve + tally.conditional + tally.reject == 0 {
        return Ended {
            outcome: defaulted(tally, rule),
            by_default: true,
        };
    }
    // Only a person's own approval is one: conditions do not stand in for it.
    if human && !tally.approving.human {
        return ended(Outcome::Rejected);
    }
    let favour = tally.approve + tally.conditional;
    if carries(rule, tally.approve, tally.reject, &tally.approving) {
        ended(Outcome::Approved)
    } else if carries(rule, favour, tally.reject, &tally.backing) {
        ended(Outcome::ApprovedWithConditions)
    } else {
        ended(Outcome::Rejected)
    }
}

/// The outcome, if nothing that is still to be cast can change it. Ballots cast are taken as final
/// and the uncast weight as free: each bound takes the free weight as the rule likes it least or best.
/// A default that approves holds at the end of the time only, however little the ballots could change.
pub fn settled(tally: &Tally, rule: &Rule, human: bool) -> Option<Outcome> {
    if tally.blocked {
        return Some(Outcome::Rejected);
    }
    let open = tally.total - tally.cast();
    if open == 0 {
        return Some(outcome(tally, rule, human).outcome);
    }
    let favour = tally.approve + tally.conditional;
    let (all_approving, all_backing) = (
        tally.approving.with(&tally.open),
        tally.backing.with(&tally.open),
    );
    let has_human = !human || tally.approving.human;
    let can_approve = !human || all_approving.human;
    let approvable =
        can_approve && carries(rule, tally.approve + open, tally.reject, &all_approving);
    let passable = can_approve && carries(rule, favour + open, tally.reject, &all_backing);
    if !passable && !may_default(tally, rule) {
        return Some(Outcome::Rejected);
    }
    if tally.veto_open || !tally.has_quorum(rule) || !has_human {
        return None;
    }
    if carries(rule, tally.approve, tally.reject + open, &tally.approving) {
        Some(Outcome::Approved)
    } else if !approvable && carries(rule, favour, tally.reject + open, &tally.backing) {
        Some(Outcome::ApprovedWithConditions)
    } else {
        None
    }
}

/// Whether these seats could carry a proposal at all, if every one of them approved.
pub fn can_pass(seats: &[FrozenSeat], rule: &Rule, human: bool) -> bool {
    let mut all = Backing::default();
    seats.iter().for_each(|seat| all.add(seat));
    carries(rule, 1, 0, &all) && (!human || all.human)
}

/// What holds without a quorum. An objection outweighs the consent of those who say nothing.
fn defaulted(tally: &Tally, rule: &Rule) -> Outcome {
    let objected = tally.reject + tally.conditional > 0;
    match rule.default {
        ByDefault::Approved if !objected => Outcome::Approved,
        ByDefault::Approved | ByDefault::Rejected => Outcome::Rejected,
    }
}

/// Whether the default can still approve.
fn may_default(tally: &Tally, rule: &Rule) -> bool {
    let decides = !tally.has_quorum(rule) || tally.approve + tally.conditional + tally.reject == 0;
    decides && defaulted(tally, rule) == Outcome::Approved
}

fn carries(rule: &Rule, favour: u32, against: u32, who: &Backing) -> bool {
    passes(rule.threshold, favour, against)
        && who.principals.len() >= usize::from(rule.principals)
        && (!rule.two_keys || who.keys.len() >= 2)
}

/// Whether the weight for it suffices; nothing for or against passes nothing.
fn passes(threshold: Threshold, favour: u32, against: u32) -> bool {
    let (yes, all) = (u64::from(favour), u64::from(favour) + u64::from(against));
    match threshold {
        _ if all == 0 => false,
        Threshold::Majority => yes * 2 > all,
        Threshold::AtLeast { of, out_of } => yes * u64::from(out_of) >= all * u64::from(of),
    }
}
