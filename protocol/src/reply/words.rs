//! Numbers, states and lists in the words that people read.

use crate::document::{Document, Span, text};
use crate::verbs::task::TaskStatus;

/// A number with thousands separators: `2,000,000`.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    digits
        .char_indices()
        .fold(String::new(), |mut out, (i, digit)| {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
            out
        })
}

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
        return "no tasks".to_owned();
    }
    tasks
        .iter()
        .map(|(status, n)| format!("{} {}", number(*n), spoken(status.as_str())))
        .collect::<Vec<_>>()
        .join(", ")
}

/// How long ago or how long a time is: `45 s`, `12 min`, `3 h`, `2 d`.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_between_thousands() {
        for (n, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (9_007_199_254_740_991, "9,007,199,254,740,991"),
        ] {
            assert_eq!(number(n), shown);
        }
    }

    #[test]
    fn spans_use_the_largest_unit_that_says_enough() {
        for (seconds, shown) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(span(seconds), shown);
        }
    }
}
