//! When a vote ends: its declared end, extensions, and the early end that is announced.

use fleet_protocol::Timestamp;
use fleet_protocol::record::{Act, Content, Entry, Extension};
use jiff::SignedDuration;

/// How long before it an early end is announced, so that who changes their mind can.
pub const EARLY_NOTICE: SignedDuration = SignedDuration::from_secs(60);
/// How long the end waits for the room to be read up to it, before the vote is extended by as much.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Whether a ballot cast at an instant counts: before the end, not at it.
pub fn in_time(cast_at: Timestamp, ends_at: Timestamp) -> bool {
    cast_at < ends_at
}

/// The end of a vote with its extensions, and why it is later than declared.
pub fn end_of(content: &Content, entries: &[Entry]) -> (Timestamp, Option<Extension>) {
    let extensions = entries.iter().filter_map(|e| match &e.act {
        Act::Extend { to, why } => Some((*to, Some(*why))),
        _ => None,
    });
    extensions.fold((content.closes_at, None), |last, next| {
        if next.0 > last.0 { next } else { last }
    })
}

/// The later end of a vote whose quorum was reached at an instant in the last tenth of its time: by
/// as much, once.
pub fn late_quorum_end(content: &Content, entries: &[Entry], at: Timestamp) -> Option<Timestamp> {
    let was = |e: &Entry| {
        matches!(
            e.act,
            Act::Extend {
                why: Extension::LateQuorum,
                ..
            }
        )
    };
    let (ends_at, _) = end_of(content, entries);
    let length = ends_at.as_millis() - content.opened_at.as_millis();
    let last = length / 10;
    let is_late = at.as_millis() >= ends_at.as_millis() - last;
    (is_late && last > 0 && !entries.iter().any(was))
        .then(|| Timestamp::from_millis(ends_at.as_millis() + last))
}

/// When those who have not voted are reminded: at 80 % of the declared time.
pub fn remind_at(opened_at: Timestamp, closes_at: Timestamp) -> Timestamp {
    let (from, to) = (opened_at.as_millis(), closes_at.as_millis());
    Timestamp::from_millis(from + (to - from) / 5 * 4)
}

/// Whether a vote may end at `end`: every ballot sent before it has been read. `read_up_to` is how far
/// the card's room was read; a room that nobody reads holds nothing up (`None` inside is unread).
pub fn may_end(end: Timestamp, now: Timestamp, read_up_to: Option<Option<Timestamp>>) -> bool {
    let read = read_up_to.is_none_or(|read| read.is_some_and(|at| at >= end));
    now >= end && read
}
