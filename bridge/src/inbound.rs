//! Events of a room, read: which of them are said to the fleet, and what they say.

use std::time::Duration;

use fleet_protocol::envelope::{Body, Context, Envelope, Provenance};
use fleet_protocol::event;
use fleet_protocol::problem::{Code, Problem};
use fleet_protocol::scalar::UserId;
use fleet_protocol::time::Timestamp;
use serde_json::Value;

mod digest;
mod message;
mod reaction;
mod said;
mod structured;

/// An event as the bot has it: decrypted if it could be, with the sender's standing in the room.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// The room.
    pub room_id: String,
    /// The event.
    pub event_id: String,
    /// Who sent it.
    pub sender: String,
    /// `origin_server_ts`, milliseconds since 1970.
    pub origin_ts: i64,
    /// Its type; `m.room.encrypted` if it could not be decrypted.
    pub event_type: String,
    /// Its content.
    pub content: Value,
    /// Present on state events.
    pub state_key: Option<String>,
    /// What a redaction redacts, where room versions before 11 have it.
    pub redacts: Option<String>,
    /// Whether the sender is joined.
    pub joined: bool,
    /// The sender's power level.
    pub power_level: i64,
    /// How the event came.
    pub provenance: Provenance,
}

/// What reading depends on besides the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The bot, whose own events are never read.
    pub bot: UserId,
    /// The present.
    pub now: Timestamp,
    /// How old a recovered chat line may be.
    pub chat_max_age: Duration,
    /// How old a recovered structured command, reaction or ballot may be.
    pub event_max_age: Duration,
}

impl Limits {
    /// The limits unless told otherwise: an hour for chat lines, a day for the rest.
    pub fn new(bot: UserId, now: Timestamp) -> Self {
        Self {
            bot,
            now,
            chat_max_age: Duration::from_hours(1),
            event_max_age: Duration::from_hours(24),
        }
    }

    /// Seconds by which a recovered event is older than it may be at most; none when it is not.
    fn lateness(&self, incoming: &Incoming, max_age: Duration) -> Option<u64> {
        let age = self.now.as_millis().saturating_sub(incoming.origin_ts);
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        (incoming.provenance == Provenance::Recovered && age > max_age).then_some(age.as_secs())
    }
}

/// What an event is to the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Something said to the fleet.
    Submit(Box<Envelope>),
    /// Nothing; the room's mark moves on.
    Skip,
}

/// Reads an event. What is not said to the fleet is told by its first characters and skipped.
pub fn read(incoming: &Incoming, limits: &Limits) -> Reading {
    if incoming.state_key.is_some() || incoming.sender == limits.bot.as_str() {
        return Reading::Skip;
    }
    let is_redaction = incoming.event_type == "m.room.redaction";
    // The content of a redacted event is empty: there is nothing left to run.
    if !is_redaction
        && incoming
            .content
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
    {
        return Reading::Skip;
    }
    let body = match incoming.event_type.as_str() {
        "m.room.message" => message::read(incoming, limits),
        "m.reaction" => reaction::read(incoming, limits),
        "m.room.redaction" => redaction(incoming),
        "m.room.encrypted" => Some(Body::Refused(undecryptable())),
        event::COMMAND => Some(structured::read(incoming, limits)),
        _ => None,
    };
    match body.and_then(|body| envelope(incoming, body)) {
        Some(envelope) => Reading::Submit(Box::new(envelope)),
        None => Reading::Skip,
    }
}

fn envelope(incoming: &Incoming, body: Body) -> Option<Envelope> {
    Some(Envelope {
        key: incoming.event_id.clone(),
        // A homeserver sends no other sender than a user id; if it did, nobody could be answered.
        sender: incoming.sender.parse().ok()?,
        joined: incoming.joined,
        power_level: incoming.power_level,
        origin_ts: Timestamp::from_millis(incoming.origin_ts),
        provenance: incoming.provenance,
        digest: digest::of(incoming),
        context: context(&incoming.content),
        body,
    })
}

/// What a message replies to and stands under (Matrix spec, "Rich replies" and "Threading").
fn context(content: &Value) -> Context {
    let relation = content.get("m.relates_to");
    let event = |pointer| event_id(relation.and_then(|r: &Value| r.pointer(pointer)));
    let in_thread = relation
        .and_then(|r| r.get("rel_type"))
        .and_then(Value::as_str)
        == Some("m.thread");
    let falls_back = relation
        .and_then(|r| r.get("is_falling_back"))
        .and_then(Value::as_bool)
        .unwrap_or(false);
    Context {
        reply_to: if in_thread && falls_back {
            None
        } else {
            event("/m.in_reply_to/event_id")
        },
        thread_root: if in_thread { event("/event_id") } else { None },
    }
}

/// The redacted event: in the content since room version 11, beside it before.
fn redaction(incoming: &Incoming) -> Option<Body> {
    let beside = incoming.redacts.as_deref().filter(|id| is_event_id(id));
    let target = event_id(incoming.content.get("redacts")).or_else(|| beside.map(str::to_owned))?;
    Some(Body::Redaction { target })
}

/// The event that a content names; none if it is no event id. Homeservers pass contents on unread.
fn event_id(value: Option<&Value>) -> Option<String> {
    let id = value?.as_str()?;
    is_event_id(id).then(|| id.to_owned())
}

/// `$`, and at most 255 bytes in all (Matrix spec, "Event IDs").
fn is_event_id(id: &str) -> bool {
    id.starts_with('$') && id.len() <= 255 && !id.chars().any(char::is_control)
}

fn undecryptable() -> Problem {
    Problem::new(Code::Undecryptable, "this message could not be decrypted, so it was not run")
        .remedy("send it again; if that does not help, verify this session or leave the room and join it again")
}

/// Refuses what came too late.
fn too_late(seconds: u64) -> Problem {
    let late = match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    };
    Problem::new(Code::TooLate, format!("not run, arrived {late} late"))
        .remedy("send it again if it is still wanted")
}

#[cfg(test)]
mod tests {
    use fleet_protocol::chat;
    use serde_json::json;

    use super::*;

    fn said(event_type: &str, content: Value) -> Reading {
        let limits = Limits::new(
            "@fleet:example.org".parse().unwrap(),
            Timestamp::from_millis(0),
        );
        let incoming = Incoming {
            room_id: "!room:example.org".into(),
            event_id: "$event".into(),
            sender: "@dana:example.org".into(),
            origin_ts: 0,
            event_type: event_type.into(),
            content,
            state_key: None,
            redacts: Some("$\0".into()),
            joined: true,
            power_level: 50,
            provenance: Provenance::Live,
        };
        read(&incoming, &limits)
    }

    #[test]
    fn what_is_no_event_id_is_no_relation() {
        for (value, is_one) in [
            (json!("$abc"), true),
            (json!("$abc:example.org"), true),
            (json!("abc"), false),
            (json!("$a\0b"), false),
            (json!(format!("${}", "x".repeat(255))), false),
            (json!(7), false),
        ] {
            assert_eq!(event_id(Some(&value)).is_some(), is_one, "{value}");
        }
        let redaction = json!({ "redacts": "$\0" });
        assert_eq!(said("m.room.redaction", redaction), Reading::Skip);
    }

    #[test]
    fn what_no_register_holds_is_read_without_it_or_refused() {
        let line = json!({ "msgtype": "m.text", "body": "!sta\0tus \0" });
        let Reading::Submit(envelope) = said("m.room.message", line) else {
            panic!("a command is submitted")
        };
        let request = chat::parse("status").unwrap();
        assert_eq!(
            envelope.body,
            Body::Line {
                line: "!status".into(),
                request
            }
        );

        let command = json!({
            "v": 1, "id": "k\0", "command": { "task.claim": {} },
            "agent": { "name": "code-1", "host": "h1", "incarnation": 2 }
        });
        let Reading::Submit(envelope) = said(event::COMMAND, command) else {
            panic!("an event of the fleet is answered")
        };
        let Body::RefusedEvent { id, problem } = envelope.body else {
            panic!("refused, {:?}", envelope.body)
        };
        assert_eq!((id, problem.code), (None, Code::Malformed));
    }
}
