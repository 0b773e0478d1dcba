//! Pinned messages: state, so it is compared before it is set.

use matrix_sdk::Room;
use matrix_sdk::ruma::api::client::state::{get_state_event_for_key, send_state_event};
use matrix_sdk::ruma::events::StateEventType;
use matrix_sdk::ruma::serde::Raw;
use serde_json::{Value, json};

use crate::refusal::{Refusal, refusal_of};

/// Pins or unpins a message; the event that says so, or the message itself if it was so already.
pub(crate) async fn set(room: &Room, event_id: &str, pinned: bool) -> Result<String, Refusal> {
    let (client, id) = (room.client(), room.room_id().to_owned());
    let read = get_state_event_for_key::v3::Request::new(
        id.clone(),
        StateEventType::RoomPinnedEvents,
        String::new(),
    );
    let now: Value = match client.send(read).await.map_err(|e| refusal_of(&e)) {
        Ok(state) => state
            .into_content()
            .deserialize_as_unchecked()
            .map_err(|e| Refusal::Passing(format!("the pinned messages cannot be read: {e}")))?,
        Err(Refusal::NotFound(_)) => Value::Null,
        Err(refusal) => return Err(refusal),
    };
    let Some(wanted) = with(&now, event_id, pinned) else {
        return Ok(event_id.to_owned());
    };
    let content = Raw::new(&wanted)
        .map_err(|e| Refusal::Final(e.to_string()))?
        .cast_unchecked();
    let set = send_state_event::v3::Request::new_raw(
        id,
        StateEventType::RoomPinnedEvents,
        String::new(),
        content,
    );
    client
        .send(set)
        .await
        .map(|set| set.event_id.to_string())
        .map_err(|e| refusal_of(&e))
}

/// The content with the message pinned or not; none if it is so already.
fn with(now: &Value, event_id: &str, pinned: bool) -> Option<Value> {
    let mut list: Vec<Value> = now
        .get("pinned")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let is_pinned = list.iter().any(|id| id.as_str() == Some(event_id));
    if is_pinned == pinned {
        return None;
    }
    if pinned {
        list.push(event_id.into());
    } else {
        list.retain(|id| id.as_str() != Some(event_id));
    }
    Some(json!({ "pinned": list }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_pins_stay_and_nothing_is_set_twice() {
        let now = json!({ "pinned": ["$a"] });
        assert_eq!(
            with(&now, "$b", true),
            Some(json!({ "pinned": ["$a", "$b"] }))
        );
        assert_eq!(with(&now, "$a", true), None);
        assert_eq!(with(&now, "$a", false), Some(json!({ "pinned": [] })));
        assert_eq!(with(&Value::Null, "$a", false), None);
        assert_eq!(
            with(&Value::Null, "$a", true),
            Some(json!({ "pinned": ["$a"] }))
        );
    }
}
