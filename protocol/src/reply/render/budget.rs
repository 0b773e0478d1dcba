//! Budgets and spend as people read them.

use super::words::{bar, cell, spoken, subject, with_notes};
use crate::document::{Document, Span, bold, code, number, text};
use crate::reply::{Changed, GrantedView, Knowledge, SpendView, WindowView};
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
    let head = subject(changed, window.title())
        .into_iter()
        .chain([text(limit)]);
    let facts = facts(window, reader).into_iter().map(|f| vec![text(f)]);
    with_notes(Document::new().paragraph(head).list(facts), &changed.notes)
}

/// Windows that are told with every figure; more of them are a table.
const IN_FULL: usize = 8;

pub(super) fn windows(all: &[WindowView], reader: &Reader<'_>) -> Document {
    if all.is_empty() || all.len() > IN_FULL {
        return overview(all, reader);
    }
    all.iter().fold(
        Document::new().heading([text("Budgets")]),
        |document, window| {
            let reset = reset(window, reader)
                .map_or_else(|| "never resets".to_owned(), |r| format!("resets {r}"));
            document
                .paragraph([bold(window.title()), text(format!(": {reset}"))])
                .list(facts(window, reader).into_iter().map(|f| vec![text(f)]))
        },
    )
}

/// Every figure of a window, one line for each group of them.
fn facts(w: &WindowView, reader: &Reader<'_>) -> Vec<String> {
    let mut facts = vec![
        format!("Used: {}; {}", used(w), left(w)),
        format!(
            "Spent {}, held {}, presumed {}, external {}",
            number(w.spent),
            number(w.held),
            number(w.presumed),
            number(w.external)
        ),
    ];
    let expected = format!("expected by the reset {}", number(w.expected));
    facts.push(match (w.planned, w.allowance) {
        (Some(planned), Some(allowance)) => format!(
            "Planned by now {}, allowance {}, {expected}",
            number(planned),
            number(allowance)
        ),
        _ => format!("Not paced; {expected}"),
    });
    facts.push(match w.worst_beyond {
        Some(0) => "Worst case before the next reports: within the limit".to_owned(),
        Some(beyond) => format!(
            "Worst case before the next reports: {} beyond the limit",
            number(beyond)
        ),
        None => "Worst case before the next reports: unbounded, advisory".to_owned(),
    });
    if let Some(until) = w.closed_until {
        facts.push(format!("⛔ Closed until {}", reader.moment(until)));
    }
    if w.knowledge == Knowledge::Unknown {
        facts.push("⚠ Its state is unknown: one task at a time".to_owned());
    }
    let of = w
        .model
        .as_ref()
        .map_or_else(|| "A".to_owned(), |m| format!("Only {m}; a"));
    facts.push(format!(
        "{of}lert at {} %; source: {}, {}",
        w.alert_at,
        spoken(&w.source),
        reader.distance(w.checked_at)
    ));
    facts
}

/// One line for each window.
pub(super) fn overview(all: &[WindowView], reader: &Reader<'_>) -> Document {
    if all.is_empty() {
        let how = code("!budget set --provider claude --limit 2M --unit tokens --reset-at +7d");
        return Document::new().paragraph([
            text("No budget is configured, so nothing is limited. To set one: "),
            how,
        ]);
    }
    let rows = all.iter().map(|w| -> [Vec<Span>; 5] {
        let spent = w
            .spent
            .saturating_add(w.presumed)
            .saturating_add(w.external);
        let of = format!(
            "{} {} of {} {}",
            bar(percent(spent, w.limit)),
            number(spent),
            number(w.limit),
            w.unit.noun()
        );
        [
            vec![code(w.title())],
            cell(of),
            cell(number(w.held)),
            cell(left(w)),
            cell(reset(w, reader).unwrap_or_else(|| "never".to_owned())),
        ]
    });
    Document::new()
        .heading([text("Budgets")])
        .table(["Window", "Spent", "Held", "Left", "Resets"], rows)
}

pub(super) fn granted(view: &GrantedView) -> Document {
    let (mark, fact) = if view.hand_back {
        (
            "⛔ ",
            format!(
                ": no more can be granted; hand the work back within {} tokens",
                number(view.remaining_tokens)
            ),
        )
    } else {
        (
            "✅ ",
            format!(
                ": {} tokens granted; {} of the grant are left",
                number(view.added_tokens),
                number(view.remaining_tokens)
            ),
        )
    };
    with_notes(
        Document::new().paragraph([text(mark), bold(&view.task), text(fact)]),
        &view.notes,
    )
}

/// `▓▓▓░░░░░░░ 30 % (600,000 of 2,000,000)`.
fn used(window: &WindowView) -> String {
    let used = window.used();
    format!(
        "{} {} % ({} of {})",
        bar(percent(used, window.limit)),
        // Beyond the bar's end, the figure goes on.
        used.saturating_mul(100)
            .checked_div(window.limit)
            .unwrap_or(100),
        number(used),
        number(window.limit)
    )
}

/// A share of a limit, at most 100; a limit of zero is used up by anything at all.
fn percent(n: u64, limit: u64) -> u8 {
    let percent = n.saturating_mul(100).checked_div(limit).unwrap_or(100);
    u8::try_from(percent.min(100)).unwrap_or(100)
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
