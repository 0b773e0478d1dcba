//! The plain-text form of a document.

use std::fmt::Write as _;

use super::{Block, Document, Span};

impl Document {
    /// The document as plain text: tables with aligned columns, lists with dashes, no trailing line
    /// break. Shells print it; Matrix messages carry it as `body`.
    pub fn plain(&self) -> String {
        let mut out = String::new();
        blocks(&mut out, &self.0);
        out.truncate(out.trim_end().len());
        out
    }
}

fn blocks(out: &mut String, all: &[Block]) {
    for (i, block) in all.iter().enumerate() {
        let apart = stands_apart(block) || matches!(block, Block::Heading(_));
        if i > 0 && (apart || stands_apart(&all[i - 1])) {
            out.push('\n');
        }
        one(out, block);
    }
}

/// What has a blank line around it; other blocks follow each other without one.
fn stands_apart(block: &Block) -> bool {
    matches!(
        block,
        Block::Table { .. } | Block::Code(_) | Block::Folded { .. }
    )
}

fn one(out: &mut String, block: &Block) {
    match block {
        Block::Heading(spans) | Block::Paragraph(spans) => line(out, &plain_spans(spans)),
        Block::List(items) => items
            .iter()
            .for_each(|item| line(out, &format!("- {}", plain_spans(item)))),
        Block::Table { head, rows } => table(out, head, rows),
        Block::Code(text) => line(out, text.trim_end()),
        Block::Quote(spans) => plain_spans(spans)
            .lines()
            .for_each(|l| line(out, &format!("> {l}"))),
        Block::Folded {
            summary,
            blocks: inner,
        } => {
            line(out, &format!("{summary}:"));
            blocks(out, inner);
        }
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

fn plain_spans(spans: &[Span]) -> String {
    spans.iter().fold(String::new(), |mut out, span| {
        match span {
            Span::Text(t) | Span::Bold(t) | Span::Italic(t) | Span::Code(t) => out.push_str(t),
            Span::User(user) => out.push_str(user.as_str()),
        }
        out
    })
}

fn table(out: &mut String, head: &[String], rows: &[Vec<Vec<Span>>]) {
    let cells: Vec<Vec<String>> = std::iter::once(head.to_vec())
        .chain(
            rows.iter()
                .map(|row| row.iter().map(|cell| plain_spans(cell)).collect()),
        )
        .collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|col| {
            cells
                .iter()
                .map(|row| row.get(col).map_or(0, |c| c.chars().count()))
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in cells {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(text, "{cell:width$}  ");
        }
        line(out, &text);
    }
}
