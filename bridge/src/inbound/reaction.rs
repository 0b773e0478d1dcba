//! Reactions that may be ballots, or words about an alert.

use fleet_protocol::envelope::{BallotInput, Body};
use fleet_protocol::verbs::board::Verdict;
use serde_json::Value;

use super::{Incoming, Limits};

/// A ballot, a question to the board or an acknowledgement, if the key is one of the emoji that stand for one.
pub(super) fn read(incoming: &Incoming, limits: &Limits) -> Option<Body> {
    let relation = incoming.content.get("m.relates_to")?;
    let text = |key| relation.get(key).and_then(Value::as_str);
    let key = text("key").filter(|_| text("rel_type") == Some("m.annotation"))?;
    let emoji = bare(key)?;
    let meant = meant(emoji)?;
    let target = super::event_id(relation.get("event_id"))?;
    if let Some(seconds) = limits.lateness(incoming, limits.event_max_age) {
        return Some(Body::Refused(super::too_late(seconds)));
    }
    Some(match meant {
        Meant::Verdict(verdict) => Body::Ballot {
            target,
            verdict,
            reason: None,
            via: BallotInput::Reaction,
        },
        Meant::Ask => Body::Ask { target },
        Meant::Acknowledge => Body::Acknowledge { target },
    })
}

/// What an emoji stands for.
enum Meant {
    /// A vote, on a proposal's card.
    Verdict(Verdict),
    /// On an alert: the board is asked for more.
    Ask,
    /// On an alert: somebody takes care of it.
    Acknowledge,
}

/// The one emoji of a key. Presentation, skin tone, and the joined sign for man or woman do not change
/// what is meant.
fn bare(key: &str) -> Option<char> {
    let mut bare = key.chars().filter(|c| {
        !matches!(
            c,
            '\u{FE0E}' | '\u{FE0F}' | '\u{1F3FB}'
                ..='\u{1F3FF}' | '\u{200D}' | '\u{2640}' | '\u{2642}'
        )
    });
    let emoji = bare.next()?;
    bare.next().is_none().then_some(emoji)
}

fn meant(emoji: char) -> Option<Meant> {
    match emoji {
        '✅' | '👍' => Some(Meant::Verdict(Verdict::Approve)),
        '❌' | '👎' => Some(Meant::Verdict(Verdict::Reject)),
        '🤷' => Some(Meant::Verdict(Verdict::Abstain)),
        '🗳' => Some(Meant::Ask),
        '👀' => Some(Meant::Acknowledge),
        _ => None,
    }
}
