//! Where in a line a word stands, as people see it.

use std::ops::Range;

use super::PREFIX;
use crate::problem::Place;
use crate::scalar::is_invisible;

/// Characters shown in front of the word when a line is too long to be shown in full.
const BEFORE: usize = 40;
/// Characters shown from the word on.
const AFTER: usize = 80;

/// The place of a span (in bytes) of a line without prefix: the one physical line it starts in, as
/// it appears on screen, cut around the word when it is long.
pub(super) fn of(line: &str, span: &Range<usize>) -> Place {
    let begin = line[..span.start].rfind('\n').map_or(0, |i| i + 1);
    let end = line[span.start..]
        .find('\n')
        .map_or(line.len(), |i| span.start + i);
    let before = visible(&line[begin..span.start]);
    let word = visible(&line[span.start..span.end.clamp(span.start, end)]);
    let after = visible(&line[span.end.clamp(span.start, end)..end]);

    let before = if begin == 0 {
        format!("{PREFIX}{before}")
    } else {
        before
    };
    let before = cut_front(&before);
    let len = word.chars().count().clamp(1, AFTER);
    let rest: String = word.chars().chain(after.chars()).collect();
    let start = before.chars().count();
    // A place behind the last word still needs something for the caret to stand under.
    let gap = if rest.is_empty() { " " } else { "" };
    Place::Word {
        line: format!("{before}{gap}{}", cut_back(&rest)),
        start: u32::try_from(start).unwrap_or(u32::MAX),
        len: u32::try_from(len).unwrap_or(u32::MAX),
    }
}

fn visible(text: &str) -> String {
    text.chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn cut_front(text: &str) -> String {
    let len = text.chars().count();
    if len <= BEFORE + AFTER {
        return text.to_owned();
    }
    std::iter::once('…')
        .chain(text.chars().skip(len - BEFORE))
        .collect()
}

fn cut_back(text: &str) -> String {
    if text.chars().count() <= AFTER * 2 {
        return text.to_owned();
    }
    text.chars()
        .take(AFTER)
        .chain(std::iter::once('…'))
        .collect()
}
