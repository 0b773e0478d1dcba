//! From events to envelopes: the bridge reads them, the bot adds what it knows of the room.

use std::collections::VecDeque;
use std::time::Duration;

use fleet_bridge::inbound::{Incoming, Limits, Reading, read};
use fleet_protocol::Timestamp;
use fleet_protocol::envelope::{Envelope, Mark, Provenance};
use fleet_protocol::scalar::MAX_INTEGER;
use matrix_sdk::Room;
use matrix_sdk::ruma::events::room::member::{MembershipState, RoomMemberEventContent};
use matrix_sdk::ruma::events::room::power_levels::UserPowerLevel;
use matrix_sdk::ruma::{OwnedRoomId, UserId};
use tokio::time::Instant;

use crate::BotError;
use crate::context::Context;
use crate::event::Event;
use crate::reading::New;

/// Envelopes in one submission: few, so that the first answer comes early.
const TOGETHER: usize = 20;
/// How long an event waits for its keys (architecture.md, "Way in" 5).
pub(crate) const KEYS: Duration = Duration::from_secs(10);

/// An event that is to be understood.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) new: New,
    /// When it came to the bot: keys are waited for from then on.
    pub(crate) since: Instant,
}

/// The next part of a room's events.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// What is to be submitted, in order.
    pub(crate) envelopes: Vec<Envelope>,
    /// The mark after it; none if only late events were in it.
    pub(crate) mark: Option<Mark>,
    /// Rooms that replace this one.
    pub(crate) tombstones: Vec<OwnedRoomId>,
}

/// Takes the next part from what is pending.
///
/// # Errors
/// [`BotError::Sdk`] when the SDK's store cannot be read.
pub(crate) async fn next(
    context: &Context,
    room: &Room,
    pending: &mut VecDeque<Pending>,
) -> Result<Part, BotError> {
    let mut part = Part::default();
    let mut standing: Option<(String, Standing)> = None;
    while part.envelopes.len() < TOGETHER {
        // Nothing that can be answered waits for another event's keys.
        let waits = pending
            .front()
            .is_some_and(|pending| is_locked(context, &pending.new.event));
        if waits && !part.envelopes.is_empty() {
            break;
        }
        let Some(Pending { new, since }) = pending.pop_front() else {
            break;
        };
        let New {
            mut event,
            late,
            recovered,
        } = new;
        if waits {
            unlock(context, room, &mut event, since + KEYS).await;
        }
        if !late {
            part.mark = Some(Mark {
                event_id: event.id.clone(),
                read_up_to: Timestamp::from_millis(event.ts),
            });
        }
        part.tombstones.extend(replacement(&event));
        let standing = match &standing {
            Some((sender, known)) if *sender == event.sender => *known,
            _ => {
                let known = Standing::of(room, &event.sender).await;
                standing = Some((event.sender.clone(), known));
                known
            }
        };
        let incoming = incoming(room, event, standing, recovered);
        let limits = Limits::new(context.user.clone(), context.now());
        if let Reading::Submit(envelope) = read(&incoming, &limits) {
            part.envelopes.push(*envelope);
        }
    }
    Ok(part)
}

/// What the sender is in the room, as the bot reads it at submit.
#[derive(Debug, Clone, Copy)]
struct Standing {
    joined: bool,
    power_level: i64,
}

impl Standing {
    /// Reads the SDK's store, which the last sync has brought up to date. What cannot be read is no right.
    async fn of(room: &Room, sender: &str) -> Self {
        let none = Self {
            joined: false,
            power_level: 0,
        };
        let Ok(user) = UserId::parse(sender) else {
            return none;
        };
        let member = room
            .get_state_event_static_for_key::<RoomMemberEventContent, _>(&*user)
            .await;
        let membership = match member {
            Ok(Some(raw)) => raw
                .deserialize()
                .map(|event| event.membership().clone())
                .ok(),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, room = %room.room_id(), "the membership cannot be read from the store");
                None
            }
        };
        let power_level = match room.power_levels_or_default().await.for_user(&user) {
            UserPowerLevel::Infinite => MAX_INTEGER.cast_signed(),
            UserPowerLevel::Int(level) => level.into(),
            _ => 0,
        };
        Self {
            joined: membership == Some(MembershipState::Join),
            power_level,
        }
    }
}

fn incoming(room: &Room, event: Event, standing: Standing, recovered: bool) -> Incoming {
    Incoming {
        provenance: if recovered {
            Provenance::Recovered
        } else {
            Provenance::Live
        },
        room_id: room.room_id().to_string(),
        event_id: event.id,
        sender: event.sender,
        origin_ts: event.ts,
        event_type: event.kind,
        content: event.content,
        state_key: event.state_key,
        redacts: event.redacts,
        joined: standing.joined,
        power_level: standing.power_level,
    }
}

/// Whether the event still waits for its keys; the bot's own are never read.
fn is_locked(context: &Context, event: &Event) -> bool {
    event.locked.is_some() && event.sender != context.user.as_str()
}

/// Tries to decrypt the event now and whenever keys have come, until then.
async fn unlock(context: &Context, room: &Room, event: &mut Event, until: Instant) {
    let Some(locked) = event.locked.take() else {
        return;
    };
    let mut keys = context.keys.clone();
    loop {
        keys.mark_unchanged();
        match room.decrypt_event(&locked, None).await {
            Ok(decrypted) if !decrypted.kind.is_utd() => {
                if let Some(open) = Event::of(&decrypted) {
                    *event = open;
                }
                return;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, event = event.id, "the event cannot be decrypted yet")
            }
        }
        tokio::select! {
            changed = keys.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(until) => return,
            () = context.crew.stop.cancelled() => return,
        }
    }
}

/// The room that replaces this one, when the event is its tombstone.
fn replacement(event: &Event) -> Option<OwnedRoomId> {
    if event.kind != "m.room.tombstone" || event.state_key.as_deref() != Some("") {
        return None;
    }
    let id = event.content.get("replacement_room")?.as_str()?;
    OwnedRoomId::try_from(id).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tombstone_names_the_next_room() {
        let event = |kind: &str, state_key: Option<&str>, content| Event {
            id: "$e".to_owned(),
            sender: "@a:example.org".to_owned(),
            ts: 0,
            kind: kind.to_owned(),
            state_key: state_key.map(ToOwned::to_owned),
            redacts: None,
            content,
            locked: None,
        };
        let content = json!({ "replacement_room": "!next:example.org", "body": "moved" });
        let cases = [
            ("m.room.tombstone", Some(""), content.clone(), true),
            ("m.room.tombstone", None, content.clone(), false),
            ("m.room.message", Some(""), content, false),
            (
                "m.room.tombstone",
                Some(""),
                json!({ "replacement_room": 5 }),
                false,
            ),
        ];
        for (kind, key, content, expected) in cases {
            assert_eq!(
                replacement(&event(kind, key, content.clone())).is_some(),
                expected,
                "{kind} {key:?} {content}"
            );
        }
    }
}
