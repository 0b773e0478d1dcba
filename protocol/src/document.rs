//! What a person reads, as structure: paragraphs, tables, lists. The bridge renders it as HTML, so
//! escaping happens in one place; [`Document::plain`] is the form for shells and for the `body` of a
//! Matrix message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::UserId;

mod plain;

/// A text with structure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Document(pub Vec<Block>);

/// A block of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A heading (one level is enough in a chat).
    Heading(Vec<Span>),
    /// Running text.
    Paragraph(Vec<Span>),
    /// A list.
    List(Vec<Vec<Span>>),
    /// A table with a head row; every row has as many cells as the head.
    Table {
        /// Head cells.
        head: Vec<String>,
        /// Rows of cells.
        rows: Vec<Vec<Vec<Span>>>,
    },
    /// Preformatted text.
    Code(String),
    /// Words of somebody else.
    Quote(Vec<Span>),
    /// What is shown on demand.
    Folded {
        /// What is always visible.
        summary: String,
        /// The rest.
        blocks: Vec<Block>,
    },
}

/// A run of text within a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Plain text.
    Text(String),
    /// What catches the eye.
    Bold(String),
    /// Aside.
    Italic(String),
    /// Something to type or copy.
    Code(String),
    /// A user, as a pill; it notifies only if the post says so.
    User(UserId),
}

impl Document {
    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// A document of one paragraph of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new().paragraph([text.into().into()])
    }

    /// Adds a heading.
    #[must_use]
    pub fn heading(mut self, spans: impl IntoIterator<Item = Span>) -> Self {
        self.0.push(Block::Heading(spans.into_iter().collect()));
        self
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn paragraph(mut self, spans: impl IntoIterator<Item = Span>) -> Self {
        self.0.push(Block::Paragraph(spans.into_iter().collect()));
        self
    }

    /// Adds a list; an empty one adds nothing.
    #[must_use]
    pub fn list(mut self, items: impl IntoIterator<Item = Vec<Span>>) -> Self {
        let items: Vec<_> = items.into_iter().collect();
        if !items.is_empty() {
            self.0.push(Block::List(items));
        }
        self
    }

    /// Adds a table; one without rows adds nothing.
    #[must_use]
    pub fn table<const N: usize>(
        mut self,
        head: [&str; N],
        rows: impl IntoIterator<Item = [Vec<Span>; N]>,
    ) -> Self {
        let rows: Vec<Vec<Vec<Span>>> = rows.into_iter().map(Vec::from).collect();
        if !rows.is_empty() {
            self.0.push(Block::Table {
                head: head.map(str::to_owned).into(),
                rows,
            });
        }
        self
    }

    /// Adds preformatted text.
    #[must_use]
    pub fn code(mut self, text: impl Into<String>) -> Self {
        self.0.push(Block::Code(text.into()));
        self
    }

    /// Adds a quotation.
    #[must_use]
    pub fn quote(mut self, text: impl Into<String>) -> Self {
        self.0.push(Block::Quote(vec![Span::Text(text.into())]));
        self
    }

    /// Adds a folded part.
    #[must_use]
    pub fn folded(mut self, summary: impl Into<String>, inner: Self) -> Self {
        self.0.push(Block::Folded {
            summary: summary.into(),
            blocks: inner.0,
        });
        self
    }

    /// Adds the blocks of another document.
    #[must_use]
    pub fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl From<String> for Span {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Emphasised text.
pub fn bold(text: impl ToString) -> Span {
    Span::Bold(text.to_string())
}

/// Text to type or copy.
pub fn code(text: impl ToString) -> Span {
    Span::Code(text.to_string())
}

/// An aside.
pub fn italic(text: impl ToString) -> Span {
    Span::Italic(text.to_string())
}

/// Plain text.
pub fn text(text: impl ToString) -> Span {
    Span::Text(text.to_string())
}

/// A number as people read it, with thousands separators: `2,000,000`.
pub fn number(n: u64) -> String {
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
}
