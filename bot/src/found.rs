//! Looks for a row in its room, when the homeserver may have forgotten its transaction id.

use fleet_bridge::outbound::Outgoing;
use fleet_protocol::event::TWIN;
use fleet_protocol::outbox::OutboxRow;
use matrix_sdk::Room;
use serde_json::Value;
use uuid::Uuid;

use crate::BotError;
use crate::context::Context;
use crate::event::Event;
use crate::history::{History, read_back};

/// Pages searched at most; 100 events each.
const PAGES: usize = 20;
/// How far the homeserver's clock may differ from the gateway's.
const SKEW_MS: i64 = 10 * 60 * 1_000;

/// The event that the row has become, if it is in the room.
///
/// # Errors
/// [`BotError::SignedOut`].
pub(crate) async fn find(
    context: &Context,
    room: &Room,
    row: &OutboxRow,
    outgoing: &Outgoing,
) -> Result<Option<String>, BotError> {
    if matches!(outgoing, Outgoing::Pin { .. }) {
        // State is compared before it is set.
        return Ok(None);
    }
    let own = context.user.as_str();
    let oldest = row.created_at.as_millis().saturating_sub(SKEW_MS);
    let read = read_back(context, room, PAGES, |event| {
        event.ts < oldest || (event.sender == own && is(event, row.id, outgoing))
    });
    let events = match read.await? {
        History::Reached(events) | History::Lost(events) => events,
        History::Denied => Vec::new(),
    };
    Ok(events
        .into_iter()
        .find(|event| event.sender == own && is(event, row.id, outgoing))
        .map(|event| event.id))
}

/// Whether the bot's event is the row.
fn is(event: &Event, row: Uuid, outgoing: &Outgoing) -> bool {
    match outgoing {
        Outgoing::Redact { event_id, .. } => event.redacts.as_deref() == Some(event_id),
        Outgoing::Send { .. } | Outgoing::Pin { .. } => row_of(&event.content) == Some(row),
    }
}

/// The row named in a content; an edit may carry it inside.
fn row_of(content: &Value) -> Option<Uuid> {
    let named = |content: &Value| content.get(TWIN)?.get("row")?.as_str()?.parse().ok();
    named(content).or_else(|| named(content.get("m.new_content")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_recognised_by_its_id_in_any_form() {
        let row = Uuid::from_u128(7);
        let cases = [
            (json!({ TWIN: { "row": row.to_string() } }), true),
            (json!({ TWIN: { "row": row.simple().to_string() } }), true),
            (
                json!({ "m.new_content": { TWIN: { "row": row.to_string() } } }),
                true,
            ),
            (
                json!({ TWIN: { "row": Uuid::from_u128(8).to_string() } }),
                false,
            ),
            (json!({ TWIN: 5 }), false),
            (json!({ "body": row.to_string() }), false),
        ];
        for (content, expected) in cases {
            assert_eq!(row_of(&content) == Some(row), expected, "{content}");
        }
    }
}
