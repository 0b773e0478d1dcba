//! An event of a room as the bot handles it, whatever way it came.

use matrix_sdk::deserialized_responses::{TimelineEvent, TimelineEventKind};
use matrix_sdk::ruma::events::room::encrypted::OriginalSyncRoomEncryptedEvent;
use matrix_sdk::ruma::serde::Raw;
use serde::Deserialize;
use serde_json::Value;

/// An event, decrypted if it could be.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) sender: String,
    /// The homeserver's clock, in milliseconds.
    pub(crate) ts: i64,
    pub(crate) kind: String,
    pub(crate) state_key: Option<String>,
    pub(crate) redacts: Option<String>,
    pub(crate) content: Value,
    /// The event as it came, when its keys are missing.
    pub(crate) locked: Option<Raw<OriginalSyncRoomEncryptedEvent>>,
}

/// The fields of an event that are the same in every room version; `redacts` moved into the content
/// in version 11.
#[derive(Deserialize)]
struct Fields {
    event_id: String,
    sender: String,
    origin_server_ts: i64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    state_key: Option<String>,
    #[serde(default)]
    redacts: Option<String>,
    #[serde(default)]
    content: Value,
}

impl Event {
    /// Reads an event; none if it lacks what every event has, which no homeserver sends.
    pub(crate) fn of(event: &TimelineEvent) -> Option<Self> {
        let fields: Fields = match event.raw().deserialize_as_unchecked() {
            Ok(fields) => fields,
            Err(error) => {
                tracing::warn!(%error, event_id = ?event.event_id(), "an event without its basic fields is left out");
                return None;
            }
        };
        let locked = match &event.kind {
            TimelineEventKind::UnableToDecrypt { event, .. } => {
                Some(event.clone().cast_unchecked())
            }
            _ => None,
        };
        let inner = fields
            .content
            .get("redacts")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned);
        Some(Self {
            id: fields.event_id,
            sender: fields.sender,
            ts: fields.origin_server_ts,
            redacts: (fields.kind == "m.room.redaction")
                .then(|| fields.redacts.or(inner))
                .flatten(),
            kind: fields.kind,
            state_key: fields.state_key,
            content: fields.content,
            locked,
        })
    }

    /// Whether this is a membership event of `user`: nothing before it is the bot's to run.
    pub(crate) fn is_membership_of(&self, user: &str) -> bool {
        self.kind == "m.room.member" && self.state_key.as_deref() == Some(user)
    }
}

/// Reads all events of a batch.
pub(crate) fn events<'a>(batch: impl IntoIterator<Item = &'a TimelineEvent>) -> Vec<Event> {
    batch.into_iter().filter_map(Event::of).collect()
}
