//! Items of inboxes as people read them.

use super::words::{counted, subject, with_notes};
use crate::document::{Document, Span, bold, code, number, text};
use crate::reply::{ChainLimitsView, Changed, ItemView};
use crate::time::Reader;

/// How far chains go.
pub(super) fn limits(changed: &Changed<ChainLimitsView>) -> Document {
    let view = &changed.now;
    let head = subject(changed, "chain limits")
        .into_iter()
        .chain([text(format!(
            ": at most {} messages one behind the other, {} in all, {} tokens",
            number(view.hops.into()),
            number(view.messages.into()),
            number(view.tokens)
        ))]);
    with_notes(Document::new().paragraph(head), &changed.notes)
}

/// Items that were taken, listed, acknowledged or sent to several.
pub(super) fn items(all: &[ItemView], reader: &Reader<'_>) -> Document {
    if all.is_empty() {
        return Document::text("The inbox is empty.");
    }
    let head = [bold(counted(all.len() as u64, "item"))];
    all.iter()
        .fold(Document::new().paragraph(head), |document, item| {
            document
                .paragraph(said(item))
                .paragraph(facts(item, reader))
        })
}

/// One item, and what was just done.
pub(super) fn item(changed: &Changed<ItemView>, reader: &Reader<'_>) -> Document {
    let document = Document::new()
        .paragraph(subject(changed, &changed.now.id))
        .paragraph(said(&changed.now))
        .paragraph(facts(&changed.now, reader));
    with_notes(document, &changed.notes)
}

fn said(item: &ItemView) -> [Span; 2] {
    [code(item.line()), text(format!(" {}", item.text))]
}

/// `n12, 5 min ago, today 14:05 CET, about t3, answers n11, handed out twice`.
fn facts(item: &ItemView, reader: &Reader<'_>) -> [Span; 2] {
    let mut facts = vec![reader.moment(item.sent_at)];
    facts.extend(item.task.as_ref().map(|task| format!("about {task}")));
    facts.extend(item.reply_to.as_ref().map(|to| format!("answers {to}")));
    if item.deliveries > 1 {
        facts.push(format!("handed out {} times", item.deliveries));
    }
    if item.reminder {
        facts.push("a reminder: it is not acknowledged yet".to_owned());
    }
    facts.extend(
        item.acknowledged_at
            .map(|at| format!("acknowledged {}", reader.moment(at))),
    );
    [code(&item.id), text(format!(", {}", facts.join(", ")))]
}
