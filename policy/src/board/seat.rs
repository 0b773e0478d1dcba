//! Which seats a voter may vote for.

use fleet_protocol::record::FrozenSeat;
use fleet_protocol::scalar::Name;
use fleet_protocol::verbs::board::Holder;

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
pub fn eligible(seats: &[FrozenSeat], voter: &[Holder], named: Option<&Name>) -> Eligibility {
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
