//! Numbers, states and lists in the words that people read.

use crate::document::{Document, Span, bold, number, text};
use crate::reply::Changed;
use crate::verbs::task::TaskStatus;

/// `1 task`, `2 tasks`.
pub(super) fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(n), if n == 1 { "" } else { "s" })
}

/// A state word as people write it: `budget_paused` is `budget paused`.
pub(super) fn spoken(word: &str) -> String {
    word.replace('_', " ")
}

/// Tasks by state: `3 pending, 1 running`.
pub(super) fn by_status(tasks: &[(TaskStatus, u64)]) -> String {
    if tasks.is_empty() {
        return "none".to_owned();
    }
    tasks
        .iter()
        .map(|(status, n)| format!("{} {}", number(*n), spoken(status.as_str())))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What was done: ` added`, ` was added already`, nothing when the thing is only shown.
pub(super) fn verb<T>(changed: &Changed<T>) -> String {
    match (&changed.change, changed.already) {
        (Some(change), true) => format!(" was {change} already"),
        (Some(change), false) => format!(" {change}"),
        (None, _) => String::new(),
    }
}

/// The mark, the thing and what was done to it: `✅ t1 added`.
pub(super) fn subject<T>(changed: &Changed<T>, name: impl ToString) -> [Span; 3] {
    let mark = mark(changed.change.as_deref(), changed.already);
    [text(mark), bold(name), text(verb(changed))]
}

/// The state in words, unless the answer's verb has just said it.
pub(super) fn state_after<T>(changed: &Changed<T>, state: &str) -> Option<String> {
    let said = changed.change.as_deref().is_some_and(|c| c == state);
    (!said || changed.already).then(|| spoken(state))
}

/// Ten cells, one for each tenth.
pub(super) fn bar(percent: u8) -> String {
    let full = usize::from(percent.min(100) / 10);
    format!("{}{}", "▓".repeat(full), "░".repeat(10 - full))
}

/// A mark for what changed, what was so already, and what is only shown.
pub(super) fn mark(change: Option<&str>, already: bool) -> &'static str {
    match (change, already) {
        (_, true) => "☑ ",
        (Some(_), false) => "✅ ",
        (None, _) => "",
    }
}

/// Adds one paragraph for each note.
pub(super) fn with_notes(document: Document, notes: &[String]) -> Document {
    notes
        .iter()
        .fold(document, |d, note| d.paragraph([text(format!("ℹ {note}"))]))
}

/// A cell of plain text.
pub(super) fn cell(content: impl ToString) -> Vec<Span> {
    vec![text(content)]
}

/// A cell for what may be absent.
pub(super) fn or_dash(content: Option<impl ToString>) -> Vec<Span> {
    content.map_or_else(|| cell("–"), cell)
}
