//! Rows of the outbox, as events to send. The same row always gives the same event.

use fleet_protocol::outbox::{OutboxRow, Post, Relation, Target};
use serde_json::Value;
use uuid::Uuid;

mod content;
mod cut;
pub mod html;

/// The type of messages.
pub const MESSAGE: &str = "m.room.message";

/// What to do in the room.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// Send an event; the transaction id is the row's id.
    Send {
        /// Its type.
        event_type: String,
        /// Its content, with the row's id under the fleet's key.
        content: Value,
    },
    /// Upload a file, name it in a message's content, and send that as [`Self::Send`].
    Upload {
        /// The file's type.
        content_type: &'static str,
        /// The file.
        file: Vec<u8>,
        /// The message's content, but for where the file is.
        content: Value,
    },
    /// Redact an event.
    Redact {
        /// The event.
        event_id: String,
        /// Why.
        reason: Option<String>,
    },
    /// Pin or unpin an event.
    Pin {
        /// The event.
        event_id: String,
        /// Whether it shall be pinned.
        pinned: bool,
    },
}

/// Why a row cannot be rendered; such a row is dead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The row refers to a row that was not sent.
    #[error("refers to outbox row {0}, which has no event yet")]
    Unresolved(Uuid),
    /// The post's kind needs another relation.
    #[error("a {0} has no relation that says which event it is about")]
    WrongRelation(&'static str),
    /// The picture cannot be drawn.
    #[error("{0}")]
    Picture(String),
    /// The value has no JSON form.
    #[error("cannot be written as JSON: {0}")]
    Json(String),
}

/// Renders a row.
///
/// # Errors
/// When the relation does not fit the kind of post, or refers to a row without an event.
pub fn render(row: &OutboxRow) -> Result<Outgoing, RenderError> {
    let target = |fits: fn(&Relation) -> bool, kind| match row.relation.as_ref().filter(|r| fits(r))
    {
        Some(relation) => event_id(relation.target()),
        None => Err(RenderError::WrongRelation(kind)),
    };
    match &row.post {
        Post::Message(message) => {
            let relation = relation(row)?;
            Ok(send(
                MESSAGE,
                content::message(row.id, message, relation.as_ref()),
            ))
        }
        Post::Picture(picture) => {
            let drawn = fleet_chart::picture(&picture.charts)
                .map_err(|e| RenderError::Picture(e.to_string()))?;
            let relation = relation(row)?;
            let content = content::picture(row.id, &picture.message, &drawn, relation.as_ref());
            Ok(Outgoing::Upload {
                content_type: content::PNG,
                file: drawn.png,
                content,
            })
        }
        Post::Edit(message) => {
            let target = target(|r| matches!(r, Relation::Replaces(_)), "edit")?;
            Ok(send(MESSAGE, content::edit(row.id, message, target)))
        }
        Post::Receipt(receipt) => {
            let target = target(|r| matches!(r, Relation::References(_)), "receipt")?;
            Ok(send(
                fleet_protocol::event::RECEIPT,
                content::receipt(row.id, receipt, target)?,
            ))
        }
        Post::Reaction { key } => {
            let target = target(|r| matches!(r, Relation::Annotates(_)), "reaction")?;
            Ok(send("m.reaction", content::reaction(row.id, key, target)))
        }
        Post::Redaction { reason } => {
            let target = target(|r| matches!(r, Relation::Redacts(_)), "redaction")?;
            Ok(Outgoing::Redact {
                event_id: target.to_owned(),
                reason: reason.clone(),
            })
        }
        Post::Pin { pinned } => {
            let target = target(|r| matches!(r, Relation::Pins(_)), "pin")?;
            Ok(Outgoing::Pin {
                event_id: target.to_owned(),
                pinned: *pinned,
            })
        }
    }
}

/// `m.relates_to` of a message; none without one.
fn relation(row: &OutboxRow) -> Result<Option<Value>, RenderError> {
    let relation = row.relation.as_ref().map(content::relation);
    Ok(relation.transpose()?.flatten())
}

fn send(event_type: &str, content: Value) -> Outgoing {
    Outgoing::Send {
        event_type: event_type.to_owned(),
        content,
    }
}

fn event_id(target: &Target) -> Result<&str, RenderError> {
    match target {
        Target::Event(id) => Ok(id),
        Target::Row(row) => Err(RenderError::Unresolved(*row)),
    }
}
