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
use crate::history::{Page, Walk};

/// Pages searched at most; 100 events each.
const PAGES: usize = 100;
/// How far the homeserver's clock may differ from the gateway's.
const SKEW_MS: i64 = 10 * 60 * 1_000;

/// What the room knows of a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is there, under this event id.
    There(String),
    /// The room was read back to before the row was written, and it is not there.
    Absent,
    /// More was said since than is searched: it may be there or not.
    TooFar,
    /// The homeserver does not let the bot look; its reason.
    Denied(String),
    /// Asked to stop before it was known.
    Stopped,
}

/// Looks for the event that the row has become.
///
/// # Errors
/// [`BotError::SignedOut`].
pub(crate) async fn find(
    context: &Context,
    room: &Room,
    row: &OutboxRow,
    outgoing: &Outgoing,
) -> Result<Found, BotError> {
    if matches!(outgoing, Outgoing::Pin { .. }) {
        // State is compared before it is set.
        return Ok(Found::Absent);
    }
    let own = context.user.as_str();
    let oldest = row.created_at.as_millis().saturating_sub(SKEW_MS);
    let mut walk = Walk::back(context, room);
    for _ in 0..PAGES {
        let page = match walk.next().await? {
            Page::Events(page) => page,
            Page::Over => return Ok(Found::Absent),
            Page::Denied(why) => return Ok(Found::Denied(why)),
            Page::Stopped => return Ok(Found::Stopped),
        };
        let is_row = |event: &&Event| event.sender == own && is(event, row.id, outgoing);
        if let Some(event) = page.iter().find(is_row) {
            return Ok(Found::There(event.id.clone()));
        }
        if page.iter().any(|event| event.ts < oldest) {
            return Ok(Found::Absent);
        }
    }
    Ok(Found::TooFar)
}

/// Whether the bot's event is the row.
fn is(event: &Event, row: Uuid, outgoing: &Outgoing) -> bool {
    match outgoing {
        Outgoing::Redact { event_id, .. } => event.redacts.as_deref() == Some(event_id),
        Outgoing::Send { .. } | Outgoing::Upload { .. } | Outgoing::Pin { .. } => {
            row_of(&event.content) == Some(row)
        }
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
