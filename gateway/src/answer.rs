//! The one answer that an event gets in its room.

use fleet_protocol::document::{bold, code, text};
use fleet_protocol::envelope::{Body, Envelope, Receipt};
use fleet_protocol::event::{ReceiptContent, VERSION};
use fleet_protocol::outbox::{Attention, Message, Post, Relation, Target};
use fleet_protocol::problem::Place;
use fleet_protocol::{Document, Problem};
use serde_json::json;
use uuid::Uuid;

use crate::execute::{NewRow, Room};
use crate::run::Ended;

/// The answer to an envelope; none where there is nothing to say.
pub(crate) fn to(
    envelope: &Envelope,
    receipt: &Receipt,
    ended: &Ended,
    id: Uuid,
) -> Option<NewRow> {
    let event = Target::Event(envelope.key.clone());
    let (post, relation) = match &envelope.body {
        Body::Event { id, .. } => (
            Post::Receipt(Box::new(content(receipt, Some(id.clone())))),
            Relation::References(event),
        ),
        Body::RefusedEvent { id, .. } => (
            Post::Receipt(Box::new(content(receipt, id.clone()))),
            Relation::References(event),
        ),
        _ => {
            let thread_root = envelope.context.thread_root.clone().map(Target::Event);
            (
                Post::Message(message(receipt)?),
                Relation::Reply {
                    to: event,
                    thread_root,
                },
            )
        }
    };
    Some(NewRow {
        id,
        room: Room::Here,
        post,
        relation: Some(relation),
        subject: ended.subject,
    })
}

fn content(receipt: &Receipt, id: Option<String>) -> ReceiptContent {
    ReceiptContent {
        v: VERSION,
        receipt: receipt.id,
        id,
        outcome: receipt.outcome,
        reply: receipt.reply.clone(),
        error: receipt.problem.clone(),
    }
}

fn message(receipt: &Receipt) -> Option<Message> {
    let (document, twin) = match (&receipt.reply, &receipt.problem) {
        (Some(reply), _) => (
            reply.document(),
            json!({ "receipt": receipt.id, "outcome": receipt.outcome, "reply": reply }),
        ),
        (None, Some(problem)) => (
            refusal(problem),
            json!({ "receipt": receipt.id, "outcome": receipt.outcome, "error": problem }),
        ),
        (None, None) => return None,
    };
    Some(Message {
        attention: Attention::Quiet,
        document,
        mentions: Vec::new(),
        twin,
    })
}

/// A message that is no reply of a verb, in answer to an event.
pub(crate) fn note(envelope: &Envelope, document: Document, id: Uuid) -> NewRow {
    let thread_root = envelope.context.thread_root.clone().map(Target::Event);
    NewRow {
        id,
        room: Room::Here,
        post: Post::Message(Message {
            attention: Attention::Quiet,
            document,
            mentions: Vec::new(),
            twin: json!({}),
        }),
        relation: Some(Relation::Reply {
            to: Target::Event(envelope.key.clone()),
            thread_root,
        }),
        subject: None,
    }
}

/// A problem as people read it: the cause, the place under a caret, what to do, a line to copy, and
/// what finds the log line.
pub(crate) fn refusal(problem: &Problem) -> Document {
    let mut document = Document::new().paragraph([text("✗ "), text(&problem.detail)]);
    match &problem.at {
        Some(Place::Word { line, start, len }) => {
            let caret = format!(
                "{}{}",
                " ".repeat(*start as usize),
                "^".repeat(*len as usize)
            );
            document = document.code(format!("{line}\n{caret}"));
        }
        Some(Place::Path(path)) => document = document.paragraph([text("at "), code(path)]),
        None => {}
    }
    if let Some(remedy) = &problem.remedy {
        document = document.paragraph([text(remedy)]);
    }
    if let Some(line) = &problem.suggestion {
        document = document.paragraph([text("try: "), code(line)]);
    }
    match &problem.reference {
        Some(reference) => document.paragraph([text("reference "), bold(reference)]),
        None => document,
    }
}
