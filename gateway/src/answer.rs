//! The one answer that an event gets in its room.

use fleet_protocol::envelope::{BallotInput, Body, Envelope, Receipt};
use fleet_protocol::event::{ReceiptContent, VERSION};
use fleet_protocol::outbox::{Attention, Message, Picture, Post, Relation, Target};
use fleet_protocol::{Document, Reader, Reply};
use serde_json::json;
use uuid::Uuid;

use crate::execute::{NewRow, Room};
use crate::run::Ended;

/// The answer to an envelope; none where there is nothing to say.
pub(crate) fn to(
    envelope: &Envelope,
    receipt: &Receipt,
    ended: &Ended,
    reader: &Reader<'_>,
    id: Uuid,
) -> Option<NewRow> {
    let event = Target::Event(shown(envelope).to_owned());
    let (post, relation) = match &envelope.body {
        Body::Event { id, .. } => (
            Post::Receipt(Box::new(content(receipt, Some(id.clone())))),
            Relation::References(event),
        ),
        Body::RefusedEvent { id, .. } => (
            Post::Receipt(Box::new(content(receipt, id.clone()))),
            Relation::References(event),
        ),
        // What a redaction does is acknowledged beside what it redacted.
        Body::Redaction { .. } if ended.reply.is_some() => return None,
        // Who takes care of an alert is said in its thread, with the name.
        Body::Acknowledge { .. } if is_news(receipt) => return None,
        Body::Ask { .. }
        | Body::Acknowledge { .. }
        | Body::Ballot {
            via: BallotInput::Reaction,
            ..
        } => (
            // Nobody can see a reply to a reaction: it stands in the thread of the message.
            Post::Message(message(receipt, reader)?),
            Relation::Thread { root: event },
        ),
        _ => {
            let thread_root = envelope.context.thread_root.clone().map(Target::Event);
            (
                shown_as(receipt, message(receipt, reader)?),
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
        is_detail: false,
    })
}

/// Charts are a picture with the answer as its caption; all else is a message.
fn shown_as(receipt: &Receipt, message: Message) -> Post {
    match &receipt.reply {
        Some(Reply::Charts(charts)) if !charts.is_empty() => Post::Picture(Box::new(Picture {
            message: Message {
                // The figures are in the row once.
                twin: json!({ "receipt": receipt.id, "outcome": receipt.outcome }),
                ..message
            },
            charts: charts.clone(),
        })),
        _ => Post::Message(message),
    }
}

/// Whether an alert was nobody's before.
fn is_news(receipt: &Receipt) -> bool {
    matches!(&receipt.reply, Some(Reply::Alert(alert)) if !alert.already)
}

/// The event that an answer relates to, as people see it: clients show no edit, redaction or reaction as
/// a message of its own, only what it points at.
fn shown(envelope: &Envelope) -> &str {
    match &envelope.body {
        Body::Edit { target }
        | Body::Redaction { target }
        | Body::Ask { target }
        | Body::Acknowledge { target }
        | Body::Ballot {
            target,
            via: BallotInput::Reaction,
            ..
        } => target,
        _ => &envelope.key,
    }
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

fn message(receipt: &Receipt, reader: &Reader<'_>) -> Option<Message> {
    let (document, twin) = match (&receipt.reply, &receipt.problem) {
        (Some(reply), _) => (
            reply.document(reader),
            json!({ "receipt": receipt.id, "outcome": receipt.outcome, "reply": reply }),
        ),
        (None, Some(problem)) => (
            problem.document(),
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
            to: Target::Event(shown(envelope).to_owned()),
            thread_root,
        }),
        subject: None,
        is_detail: false,
    }
}
