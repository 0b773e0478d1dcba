//! Alerts as people read them.

use super::words::{cell, counted, subject, with_notes};
use crate::document::{Document, code, text};
use crate::reply::{AlertView, Changed};
use crate::time::Reader;

pub(super) fn alert(changed: &Changed<AlertView>, reader: &Reader<'_>) -> Document {
    let alert = &changed.now;
    let head = subject(changed, &alert.id)
        .into_iter()
        .chain([text(format!(": {} {}", alert.rule, alert.subject))]);
    let facts = [
        alert.detail.clone(),
        format!("Since {}", reader.clock(alert.since)),
        state(alert, reader),
    ];
    let facts = facts.into_iter().map(|f| vec![text(f)]);
    with_notes(Document::new().paragraph(head).list(facts), &changed.notes)
}

pub(super) fn alerts(all: &[AlertView], reader: &Reader<'_>) -> Document {
    if all.is_empty() {
        return Document::text("✅ There is no alert.");
    }
    let rows = all.iter().map(|a| {
        [
            vec![code(&a.id)],
            cell(format!("{} {}", a.rule, a.subject)),
            cell(&a.detail),
            cell(reader.clock(a.since)),
            cell(state(a, reader)),
        ]
    });
    Document::new()
        .paragraph([text(counted(all.len() as u64, "alert"))])
        .table(["Alert", "Rule", "What", "Since", "State"], rows)
}

fn state(alert: &AlertView, reader: &Reader<'_>) -> String {
    match (&alert.resolved_at, &alert.acknowledged_by) {
        (Some(at), _) => format!("resolved {}", reader.clock(*at)),
        (None, Some(by)) => format!("{by} takes care of it"),
        (None, None) => format!("nobody takes care of it; to do so: !alert ack {}", alert.id),
    }
}
