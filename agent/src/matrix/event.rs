//! What the homeserver tells.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// An event of a room, as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RoomEvent {
    /// Its id.
    pub event_id: String,
    /// Who sent it.
    pub sender: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The server's clock when it was sent, ms since 1970.
    #[serde(default)]
    pub origin_server_ts: i64,
    /// Its content.
    #[serde(default)]
    pub content: Value,
    /// Its state key, when it is state.
    #[serde(default)]
    pub state_key: Option<String>,
}

impl RoomEvent {
    /// The text that people read, when it is a message.
    pub fn body(&self) -> Option<&str> {
        if self.event_type == "m.room.message" {
            self.content.get("body").and_then(Value::as_str)
        } else {
            None
        }
    }

    /// The event it replies to; not the fallback that a thread message carries for old clients.
    pub fn reply_to(&self) -> Option<&str> {
        let relation = self.content.get("m.relates_to")?;
        if relation.get("is_falling_back").and_then(Value::as_bool) == Some(true) {
            return None;
        }
        relation
            .pointer("/m.in_reply_to/event_id")
            .and_then(Value::as_str)
    }

    /// The event it relates to with `rel_type`: `m.replace`, `m.annotation`, `m.reference`.
    pub fn relates_to(&self, rel_type: &str) -> Option<&str> {
        let relation = self.content.get("m.relates_to")?;
        (relation.get("rel_type").and_then(Value::as_str) == Some(rel_type)).then_some(())?;
        relation.get("event_id").and_then(Value::as_str)
    }

    /// The users it mentions.
    pub fn mentions(&self) -> Vec<&str> {
        let ids = self
            .content
            .pointer("/m.mentions/user_ids")
            .and_then(Value::as_array);
        ids.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }
}

/// Answer of `/messages`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Messages {
    /// The page.
    #[serde(default)]
    pub chunk: Vec<RoomEvent>,
    /// Where the next page begins; absent at the end.
    #[serde(default)]
    pub end: Option<String>,
}

/// Answer of `/sync`, as far as it is used.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Sync {
    /// Where the next sync goes on.
    pub next_batch: String,
    /// Rooms.
    #[serde(default)]
    pub rooms: SyncRooms,
}

/// Rooms of a sync.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SyncRooms {
    /// Joined ones.
    #[serde(default)]
    pub join: BTreeMap<String, JoinedRoom>,
    /// Those the account is invited to.
    #[serde(default)]
    pub invite: BTreeMap<String, Value>,
}

/// News of a joined room.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct JoinedRoom {
    /// New events.
    #[serde(default)]
    pub timeline: Timeline,
}

/// New events of a room.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Timeline {
    /// The events, oldest first.
    #[serde(default)]
    pub events: Vec<RoomEvent>,
    /// Whether events are missing before them.
    #[serde(default)]
    pub limited: bool,
}
