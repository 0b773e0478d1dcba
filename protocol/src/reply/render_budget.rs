//! Budgets and spend as people read them.

use super::render_task::bar;
use super::words::{cell, mark, number, spoken, with_notes};
use super::{Changed, SpendView, WindowView};
use crate::document::{Document, Span, bold, code, text};

pub(super) fn spend(view: &SpendView) -> Document {
    let late = if view.late {
        ", after the lease had ended"
    } else {
        ""
    };
    let fact = format!(
        ": {} tokens recorded{late}; {} in all",
        number(view.added_tokens),
        number(view.total_tokens)
    );
    with_notes(
        Document::new().paragraph([text("✅ "), bold(&view.task), text(fact)]),
        &view.notes,
    )
}

pub(super) fn window(changed: &Changed<WindowView>) -> Document {
    let window = &changed.now;
    let change = changed.change.as_deref();
    let verb = match (change, changed.already) {
        (Some(change), true) => format!(" was {change} already"),
        (Some(change), false) => format!(" {change}"),
        (None, _) => String::new(),
    };
    let limit = format!(
        "{verb}: {} {}, {}",
        number(window.limit),
        spoken(window.unit.as_str()),
        reset(window)
    );
    let head = [
        text(mark(change, changed.already)),
        bold(format!("{} {}", window.provider, window.window)),
        text(limit),
    ];
    let facts = [
        vec![text(format!("Used: {}", used(window)))],
        vec![text(left(window))],
        vec![text(format!(
            "Alert at {} %; source: {}",
            window.alert_at,
            spoken(&window.source)
        ))],
    ];
    with_notes(Document::new().paragraph(head).list(facts), &changed.notes)
}

pub(super) fn windows(all: &[WindowView]) -> Document {
    if all.is_empty() {
        let how = code("!budget set --provider claude --limit 2M --unit tokens --reset-at +7d");
        return Document::new().paragraph([
            text("No budget is configured, so nothing is limited. To set one: "),
            how,
        ]);
    }
    let rows = all.iter().map(|w| -> [Vec<Span>; 6] {
        [
            vec![code(&w.provider), text(format!(" {}", w.window))],
            cell(used(w)),
            cell(number(w.held.saturating_add(w.presumed))),
            cell(left(w)),
            cell(spoken(w.unit.as_str())),
            cell(reset(w)),
        ]
    });
    Document::new().paragraph([bold("Budgets")]).table(
        ["Window", "Used", "Of it held", "Left", "Unit", "Reset"],
        rows,
    )
}

/// `▓▓▓░░░░░░░ 30 % (600,000 of 2,000,000)`.
fn used(window: &WindowView) -> String {
    // A limit of zero is used up by anything at all.
    let percent = window
        .used()
        .saturating_mul(100)
        .checked_div(window.limit)
        .unwrap_or(100);
    let shown = u8::try_from(percent.min(100)).unwrap_or(100);
    format!(
        "{} {percent} % ({} of {})",
        bar(shown),
        number(window.used()),
        number(window.limit)
    )
}

fn left(window: &WindowView) -> String {
    match window.over() {
        0 => format!("{} left", number(window.left())),
        over => format!("⚠ {} over", number(over)),
    }
}

fn reset(window: &WindowView) -> String {
    match (&window.resets_text, window.resets_at) {
        (Some(words), _) => format!("resets {words}"),
        (None, Some(at)) => format!("resets {at}"),
        (None, None) => "never resets".to_owned(),
    }
}
