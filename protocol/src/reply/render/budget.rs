//! Budgets and spend as people read them.

use super::words::{bar, cell, spoken, subject, with_notes};
use crate::document::{Document, Span, bold, code, number, text};
use crate::reply::{Changed, SpendView, WindowView};
use crate::time::Reader;

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

pub(super) fn window(changed: &Changed<WindowView>, reader: &Reader<'_>) -> Document {
    let window = &changed.now;
    let limit = format!(
        ": {} {}, {}",
        number(window.limit),
        window.unit.noun(),
        reset(window, reader).map_or_else(|| "never resets".to_owned(), |r| format!("resets {r}"))
    );
    let name = format!("{} {}", window.provider, window.window);
    let head = subject(changed, name).into_iter().chain([text(limit)]);
    let mut facts = vec![vec![text(format!(
        "Used: {}; {}",
        used(window),
        left(window)
    ))]];
    let held = window.held.saturating_add(window.presumed);
    if held > 0 {
        let of_it = format!("Of it held by running tasks: {}", number(held));
        facts.push(vec![text(of_it)]);
    }
    facts.push(vec![text(format!(
        "Alert at {} %; source: {}",
        window.alert_at,
        spoken(&window.source)
    ))]);
    with_notes(Document::new().paragraph(head).list(facts), &changed.notes)
}

pub(super) fn windows(all: &[WindowView], reader: &Reader<'_>) -> Document {
    if all.is_empty() {
        let how = code("!budget set --provider claude --limit 2M --unit tokens --reset-at +7d");
        return Document::new().paragraph([
            text("No budget is configured, so nothing is limited. To set one: "),
            how,
        ]);
    }
    let rows = all.iter().map(|w| -> [Vec<Span>; 5] {
        [
            vec![code(&w.provider), text(format!(" {}", w.window))],
            cell(format!("{} {}", used(w), w.unit.noun())),
            cell(number(w.held.saturating_add(w.presumed))),
            cell(left(w)),
            cell(reset(w, reader).unwrap_or_else(|| "never".to_owned())),
        ]
    });
    Document::new()
        .heading([text("Budgets")])
        .table(["Window", "Used", "Of it held", "Left", "Resets"], rows)
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

fn reset(window: &WindowView, reader: &Reader<'_>) -> Option<String> {
    window.resets_at.map(|at| reader.moment(at))
}
