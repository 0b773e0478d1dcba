//! The board: who counts, what a tally means, when it is settled (board.md).
//!
//! The register hands in every version of every ballot; only the latest of a seat counts.

use std::collections::BTreeMap;

use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::board::{Effect, ProposalKind, Verdict};
use fleet_protocol::verbs::board::{Holder, Seat};
use fleet_protocol::{Command, Timestamp};

mod canonical;
mod chain;

pub use canonical::{Content, canonical_form, hash};
pub use chain::{Link, link};

/// How a proposal is decided; data, stored with the proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Share of the weight that must be cast, in percent; abstentions and vetoes count.
    pub quorum: u8,
    /// Share of the weight for and against that must be for it.
    pub threshold: Threshold,
}

/// The share that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// Strictly more than half.
    Majority,
    /// At least this share, for example two of three.
    AtLeast {
        /// Numerator.
        of: u32,
        /// Denominator, at least 1.
        out_of: u32,
    },
}

impl Threshold {
    /// Whether the weight for it suffices. Nothing for or against passes nothing: the default holds.
    fn passes(self, in_favour: u32, against: u32) -> bool {
        let (yes, all) = (
            u64::from(in_favour),
            u64::from(in_favour) + u64::from(against),
        );
        match self {
            _ if all == 0 => false,
            Self::Majority => yes * 2 > all,
            Self::AtLeast { of, out_of } => {
                u128::from(yes) * u128::from(out_of) >= u128::from(all) * u128::from(of)
            }
        }
    }
}

/// What a seat counts, in the order of the frozen seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatWeight {
    /// Weight of its ballot.
    pub weight: u16,
    /// Whether its veto blocks.
    pub may_veto: bool,
}

/// One version of a seat's ballot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Index of the seat.
    pub seat: usize,
    /// Place in the proposal's sequence of ballots; unique.
    pub sequence: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether a reason was given.
    pub reasoned: bool,
}

/// How a proposal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It passed; its effect runs.
    Approved,
    /// It passed only with conditional ballots; its effect does not run.
    ApprovedWithConditions,
    /// It did not pass, or the quorum was missed and the default holds.
    Rejected,
}

impl Outcome {
    /// The word the register stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::ApprovedWithConditions => "approved_with_conditions",
            Self::Rejected => "rejected",
        }
    }
}

/// Weights by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
}

impl Tally {
    /// All that was cast.
    pub fn cast(self) -> u32 {
        self.approve + self.reject + self.abstain + self.conditional
    }

    /// Whether enough of the weight was cast.
    pub fn has_quorum(self, rule: &Rule) -> bool {
        u64::from(self.cast()) * 100 >= u64::from(self.total) * u64::from(rule.quorum)
    }
}

/// Weighs the latest ballot of each seat. The order of `versions` does not matter; versions of seats
/// that do not exist count nothing.
pub fn tally(seats: &[SeatWeight], versions: &[Version]) -> Tally {
    let mut latest: BTreeMap<usize, Version> = BTreeMap::new();
    for version in versions {
        let kept = latest.entry(version.seat).or_insert(*version);
        if version.sequence > kept.sequence {
            *kept = *version;
        }
    }
    let mut tally = Tally::default();
    for (index, seat) in seats.iter().enumerate() {
        let weight = u32::from(seat.weight);
        tally.total += weight;
        let Some(ballot) = latest.get(&index) else {
            tally.veto_open |= seat.may_veto;
            continue;
        };
        match ballot.verdict {
            Verdict::Approve => tally.approve += weight,
            Verdict::Conditional => tally.conditional += weight,
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

/// The outcome with the ballots as they stand.
pub fn outcome(tally: Tally, rule: &Rule) -> Outcome {
    let in_favour = tally.approve + tally.conditional;
    if tally.blocked || !tally.has_quorum(rule) || !rule.threshold.passes(in_favour, tally.reject) {
        Outcome::Rejected
    } else if rule.threshold.passes(tally.approve, tally.reject) {
        Outcome::Approved
    } else {
        Outcome::ApprovedWithConditions
    }
}

/// The outcome, if nothing that is still to be cast can change it. Ballots cast are taken as final
/// and the uncast weight as free; a seat that may veto and has not voted keeps an approval open.
pub fn settled(tally: Tally, rule: &Rule) -> Option<Outcome> {
    let open = tally.total - tally.cast();
    let in_favour = tally.approve + tally.conditional;
    if tally.blocked || !rule.threshold.passes(in_favour + open, tally.reject) {
        return Some(Outcome::Rejected);
    }
    let may_still_fail = tally.veto_open
        || !tally.has_quorum(rule)
        || !rule.threshold.passes(in_favour, tally.reject + open);
    if may_still_fail {
        return None;
    }
    if rule.threshold.passes(tally.approve, tally.reject + open) {
        Some(Outcome::Approved)
    } else if !rule.threshold.passes(tally.approve + open, tally.reject) {
        Some(Outcome::ApprovedWithConditions)
    } else {
        None
    }
}

/// Which seats a voter may vote for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eligibility {
    /// For this one, by index.
    Seat(usize),
    /// Holds none, or not the one named.
    None,
    /// Holds these and named none.
    Several(Vec<usize>),
}

/// Finds the seat of a voter, who may be a user, an agent, or an agent with its user.
pub fn eligible(seats: &[Seat], voter: &[Holder], named: Option<&Name>) -> Eligibility {
    let held = seats
        .iter()
        .enumerate()
        .filter(|(_, seat)| voter.contains(&seat.holder))
        .filter(|(_, seat)| named.is_none_or(|title| *title == seat.title))
        .map(|(index, _)| index);
    match held.collect::<Vec<_>>().as_slice() {
        [] => Eligibility::None,
        [one] => Eligibility::Seat(*one),
        several => Eligibility::Several(several.to_vec()),
    }
}

/// The kind a proposal has when none was given: the one its effect belongs to.
pub fn kind_of(effect: Option<&Effect>) -> ProposalKind {
    match effect.map(|e| e.0.as_ref()) {
        Some(Command::Pause(_) | Command::Resume(_)) => ProposalKind::Pause,
        Some(Command::BudgetSet(_)) => ProposalKind::BudgetLift,
        Some(Command::BudgetReset(_)) => ProposalKind::WindowChange,
        Some(Command::MemberAdd(_) | Command::MemberGrant(_) | Command::MemberRevoke(_)) => {
            ProposalKind::RoleChange
        }
        Some(Command::MissionNew(_) | Command::MissionClose(_)) => ProposalKind::Goal,
        Some(Command::TaskAdd(_)) => ProposalKind::Brief,
        _ => ProposalKind::FreeText,
    }
}

/// Whether a kind of proposal may run an effect: the kind's whitelist.
pub fn may_run(kind: ProposalKind, effect: &Effect) -> bool {
    let also_window =
        kind == ProposalKind::WindowChange && matches!(*effect.0, Command::BudgetSet(_));
    kind != ProposalKind::FreeText && (also_window || kind_of(Some(effect)) == kind)
}

/// Whether a ballot cast at an instant counts: before the end, not at it.
pub fn in_time(cast_at: Timestamp, closes_at: Timestamp) -> bool {
    cast_at < closes_at
}

#[cfg(test)]
mod tests;
