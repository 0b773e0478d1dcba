//! Shortens a document that is too large for a message.

use fleet_protocol::document::{Block, Document, Span, text};

/// The document's first `limit` characters or so, and how much more there is.
pub(super) fn to(document: &Document, limit: usize) -> Document {
    let mut room = limit;
    let mut more = More::default();
    let kept = blocks(&document.0, &mut room, &mut more);
    let mut words = Vec::new();
    if more.lines > 0 {
        words.push(format!("{} more lines", more.lines));
    }
    if more.chars > 0 {
        words.push(format!("{} more characters", more.chars));
    }
    let note = format!(
        "… {}, use a narrower question or the shell: fleet ... --json",
        words.join(" and ")
    );
    Document(kept).paragraph([text(note)])
}

/// What was left out.
#[derive(Default)]
struct More {
    lines: usize,
    chars: usize,
}

fn blocks(all: &[Block], room: &mut usize, more: &mut More) -> Vec<Block> {
    all.iter()
        .map(|block| one(block, room, more))
        .filter(|block| !is_empty(block))
        .collect()
}

fn one(block: &Block, room: &mut usize, more: &mut More) -> Block {
    match block {
        Block::Heading(s) => Block::Heading(spans(s, room, more)),
        Block::Paragraph(s) => Block::Paragraph(spans(s, room, more)),
        Block::Quote(s) => Block::Quote(spans(s, room, more)),
        Block::Code(code) => Block::Code(take(code, room, more)),
        Block::List(items) => Block::List(whole(items, room, more, |item| length(item))),
        Block::Table { head, rows } => {
            let rows = whole(rows, room, more, |row| {
                row.iter().map(|cell| length(cell)).sum()
            });
            Block::Table {
                head: head.clone(),
                rows,
            }
        }
        Block::Folded {
            summary,
            blocks: inner,
        } => Block::Folded {
            summary: take(summary, room, more),
            blocks: blocks(inner, room, more),
        },
    }
}

fn is_empty(block: &Block) -> bool {
    match block {
        Block::Heading(s) | Block::Paragraph(s) | Block::Quote(s) => s.is_empty(),
        Block::Code(code) => code.is_empty(),
        Block::List(items) => items.is_empty(),
        Block::Table { rows, .. } => rows.is_empty(),
        Block::Folded { blocks, .. } => blocks.is_empty(),
    }
}

/// The first items that fit, each whole.
fn whole<T: Clone>(
    items: &[T],
    room: &mut usize,
    more: &mut More,
    length: impl Fn(&T) -> usize,
) -> Vec<T> {
    // Each item also costs its tags.
    const TAGS: usize = 10;
    let fitting = items
        .iter()
        .take_while(|item| match room.checked_sub(length(item) + TAGS) {
            Some(left) => {
                *room = left;
                true
            }
            None => false,
        })
        .count();
    if fitting < items.len() {
        *room = 0;
        more.lines += items.len() - fitting;
    }
    items[..fitting].to_vec()
}

fn length(spans: &[Span]) -> usize {
    spans
        .iter()
        .map(|span| content(span).chars().count() + 5)
        .sum()
}

fn content(span: &Span) -> &str {
    match span {
        Span::Text(t) | Span::Bold(t) | Span::Italic(t) | Span::Code(t) => t,
        Span::User(user) => user.as_str(),
    }
}

fn spans(all: &[Span], room: &mut usize, more: &mut More) -> Vec<Span> {
    all.iter()
        .map(|span| match span {
            Span::Text(t) => Span::Text(take(t, room, more)),
            Span::Bold(t) => Span::Bold(take(t, room, more)),
            Span::Italic(t) => Span::Italic(take(t, room, more)),
            Span::Code(t) => Span::Code(take(t, room, more)),
            // A user id cut short would name somebody else, so it becomes text.
            Span::User(user) if user.as_str().len() <= *room => {
                *room -= user.as_str().len();
                span.clone()
            }
            Span::User(user) => Span::Text(take(user.as_str(), room, more)),
        })
        .filter(|span| !content(span).is_empty())
        .collect()
}

fn take(text: &str, room: &mut usize, more: &mut More) -> String {
    let len = text.chars().count();
    let kept = len.min(*room);
    *room -= kept;
    more.chars += len - kept;
    text.chars().take(kept).collect()
}
