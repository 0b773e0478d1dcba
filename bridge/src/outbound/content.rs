//! Contents of events, kept below the size that homeservers take.

use fleet_chart::Picture;
use fleet_protocol::document::Document;
use fleet_protocol::event::{ReceiptContent, TWIN};
use fleet_protocol::outbox::{Attention, Message, Relation};
use fleet_protocol::problem::{Code, Problem};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::html::Html;
use super::{RenderError, cut, event_id};

/// The type of pictures.
pub(super) const PNG: &str = "image/png";
/// The largest message, in bytes of JSON; beyond it the text is cut (architecture, "Way out").
const MAX_MESSAGE: usize = 40 * 1024;
/// The largest receipt, in bytes of JSON; a Matrix event has at most 64 KiB with its envelope.
const MAX_RECEIPT: usize = 56 * 1024;
/// The largest machine-readable twin; a larger one is left out, as the register has it.
const MAX_TWIN: usize = 8 * 1024;
/// Users that one message mentions at most.
const MAX_MENTIONS: usize = 20;
/// Characters of text that are tried, one after the other, when a message is too large.
const STEPS: [usize; 6] = [16_000, 8_000, 4_000, 2_000, 1_000, 500];

/// A message, with the relation that [`relation`] made.
pub(super) fn message(row: Uuid, message: &Message, relation: Option<&Value>) -> Value {
    fitted(&message.document, |document| {
        let mut content = text(row, message, document);
        if let Some(relation) = relation {
            content.insert("m.relates_to".to_owned(), relation.clone());
        }
        content.into()
    })
}

/// A message that shows a picture, but for where that is (Matrix spec, "m.image"); its words are the caption.
pub(super) fn picture(
    row: Uuid,
    message: &Message,
    picture: &Picture,
    relation: Option<&Value>,
) -> Value {
    let mut content = self::message(row, message, relation);
    content["msgtype"] = "m.image".into();
    content["filename"] = "budget.png".into();
    content["info"] = json!({
        "mimetype": PNG, "size": picture.png.len(), "w": picture.width, "h": picture.height,
    });
    content
}

/// New content for a message (Matrix spec, "Event replacements").
pub(super) fn edit(row: Uuid, message: &Message, target: &str) -> Value {
    fitted(&message.document, |document| {
        let new = text(row, message, document);
        let field = |key: &str| new.get(key).and_then(Value::as_str).unwrap_or_default();
        json!({
            "msgtype": field("msgtype"),
            "body": format!("* {}", field("body")),
            "format": "org.matrix.custom.html",
            "formatted_body": format!("* {}", field("formatted_body")),
            // Whom the message mentions has been told when it was first sent.
            "m.mentions": {},
            "m.relates_to": { "rel_type": "m.replace", "event_id": target },
            TWIN: { "row": row },
            "m.new_content": new,
        })
    })
}

/// A receipt; a reply too large for an event is left out, and the receipt says so.
pub(super) fn receipt(
    row: Uuid,
    receipt: &ReceiptContent,
    target: &str,
) -> Result<Value, RenderError> {
    let full = receipt_content(row, receipt, target)?;
    if full.to_string().len() <= MAX_RECEIPT {
        return Ok(full);
    }
    let problem = Problem::new(Code::TooLarge, "the answer is too large for a Matrix event")
        .remedy("ask the gateway by HTTP");
    let short = ReceiptContent {
        reply: None,
        error: Some(problem),
        ..receipt.clone()
    };
    receipt_content(row, &short, target)
}

fn receipt_content(
    row: Uuid,
    receipt: &ReceiptContent,
    target: &str,
) -> Result<Value, RenderError> {
    let mut content =
        serde_json::to_value(receipt).map_err(|e| RenderError::Json(e.to_string()))?;
    content["m.relates_to"] = json!({ "rel_type": "m.reference", "event_id": target });
    content[TWIN] = json!({ "row": row });
    Ok(content)
}

/// A reaction.
pub(super) fn reaction(row: Uuid, key: &str, target: &str) -> Value {
    json!({
        "m.relates_to": { "rel_type": "m.annotation", "event_id": target, "key": key },
        TWIN: { "row": row },
    })
}

/// `m.relates_to` of a message; none for relations that messages do not have.
pub(super) fn relation(relation: &Relation) -> Result<Option<Value>, RenderError> {
    let in_reply_to = |id: &str| json!({ "event_id": id });
    Ok(match relation {
        Relation::Reply {
            to,
            thread_root: None,
        } => Some(json!({ "m.in_reply_to": in_reply_to(event_id(to)?) })),
        Relation::Reply {
            to,
            thread_root: Some(root),
        } => Some(json!({
            "rel_type": "m.thread",
            "event_id": event_id(root)?,
            "is_falling_back": false,
            "m.in_reply_to": in_reply_to(event_id(to)?),
        })),
        Relation::Thread { root } => Some(json!({
            "rel_type": "m.thread",
            "event_id": event_id(root)?,
            "is_falling_back": true,
            "m.in_reply_to": in_reply_to(event_id(root)?),
        })),
        Relation::References(to) => {
            Some(json!({ "rel_type": "m.reference", "event_id": event_id(to)? }))
        }
        Relation::Replaces(_)
        | Relation::Annotates(_)
        | Relation::Redacts(_)
        | Relation::Pins(_) => None,
    })
}

/// The content made of the whole document or, when that is too large, of as much as fits.
fn fitted(document: &Document, make: impl Fn(&Document) -> Value) -> Value {
    let mut content = make(document);
    for step in STEPS {
        if content.to_string().len() <= MAX_MESSAGE {
            break;
        }
        content = make(&cut::to(document, step));
    }
    content
}

fn text(row: Uuid, message: &Message, document: &Document) -> Map<String, Value> {
    let msgtype = match message.attention {
        Attention::Quiet => "m.notice",
        Attention::Loud => "m.text",
    };
    let users: Vec<&str> = message
        .mentions
        .iter()
        .take(MAX_MENTIONS)
        .map(fleet_protocol::scalar::UserId::as_str)
        .collect();
    // An empty object says that nobody is mentioned, whatever names the text holds.
    let mentions = if users.is_empty() {
        json!({})
    } else {
        json!({ "user_ids": users })
    };
    let entries = [
        ("msgtype", msgtype.into()),
        ("body", document.plain().into()),
        ("format", "org.matrix.custom.html".into()),
        ("formatted_body", Html::of(document).into_string().into()),
        ("m.mentions", mentions),
        (TWIN, twin(row, &message.twin)),
    ];
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// The twin with the row that it came from.
fn twin(row: Uuid, twin: &Value) -> Value {
    let fits = twin.to_string().len() <= MAX_TWIN;
    let mut entries = twin
        .as_object()
        .filter(|_| fits)
        .cloned()
        .unwrap_or_default();
    if !fits {
        entries.insert("left_out".to_owned(), true.into());
    }
    entries.insert("row".to_owned(), json!(row));
    entries.into()
}
