//! Whether a row may be sent at once, or must first be looked for in its room (architecture.md,
//! "Way out" 3): a homeserver knows a transaction id only from the same device, and only for a day.

use fleet_protocol::Timestamp;
use fleet_protocol::outbox::Attempt;
use jiff::SignedDuration;

/// For how long the homeserver surely remembers a transaction id.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(12);

/// What to do with a row before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing: this device tried it not long ago, so the homeserver knows its transaction id.
    Nothing,
    /// Note this device as the one that tries.
    Note,
    /// Look for it in the room; if it is not there, note this device, then send.
    Look,
}

/// The rule.
pub(crate) fn before(attempt: Option<&Attempt>, device: &str, now: Timestamp) -> Before {
    match attempt {
        None => Before::Note,
        Some(attempt)
            if attempt.device == device && now.0.duration_since(attempt.at.0) <= REMEMBERED =>
        {
            Before::Nothing
        }
        Some(_) => Before::Look,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_looked_for_when_its_transaction_id_may_be_unknown() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let ago = |minutes: i64| Timestamp(now.0 - SignedDuration::from_mins(minutes));
        let by = |device: &str, minutes| Attempt {
            device: device.to_owned(),
            at: ago(minutes),
        };
        let cases = [
            (None, Before::Note),
            (Some(by("MINE", 0)), Before::Nothing),
            (Some(by("MINE", 12 * 60)), Before::Nothing),
            (Some(by("MINE", 12 * 60 + 1)), Before::Look),
            (Some(by("OTHER", 0)), Before::Look),
            (Some(by("OTHER", 24 * 60)), Before::Look),
            // The gateway's clock runs ahead of ours.
            (Some(by("MINE", -5)), Before::Nothing),
        ];
        for (attempt, expected) in cases {
            assert_eq!(
                before(attempt.as_ref(), "MINE", now),
                expected,
                "{attempt:?}"
            );
        }
    }
}
