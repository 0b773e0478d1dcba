//! HTML for messages. There is no way to put text into it without escaping: the only constructors
//! are those that escape, and tags come from a closed list of what clients render.

use fleet_protocol::document::{Block, Document, Span};
use fleet_protocol::scalar::UserId;

/// HTML, escaped by construction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

/// The tags that are used.
#[derive(Debug, Clone, Copy)]
enum Tag {
    Heading,
    Paragraph,
    List,
    Item,
    Table,
    Head,
    Body,
    Row,
    HeadCell,
    Cell,
    Preformatted,
    Code,
    Quote,
    Details,
    Summary,
    Bold,
    Italic,
}

impl Tag {
    const fn name(self) -> &'static str {
        match self {
            Self::Heading => "h4",
            Self::Paragraph => "p",
            Self::List => "ul",
            Self::Item => "li",
            Self::Table => "table",
            Self::Head => "thead",
            Self::Body => "tbody",
            Self::Row => "tr",
            Self::HeadCell => "th",
            Self::Cell => "td",
            Self::Preformatted => "pre",
            Self::Code => "code",
            Self::Quote => "blockquote",
            Self::Details => "details",
            Self::Summary => "summary",
            Self::Bold => "b",
            Self::Italic => "i",
        }
    }
}

impl Tag {
    /// Whether text behind it stands apart from the text in it.
    const fn is_block(self) -> bool {
        !matches!(self, Self::Code | Self::Bold | Self::Italic)
    }
}

impl Html {
    /// A document as HTML.
    pub fn of(document: &Document) -> Self {
        let mut html = Self::default();
        document.0.iter().for_each(|block| html.block(block));
        html
    }

    /// The HTML as text.
    pub fn into_string(mut self) -> String {
        self.0.truncate(self.0.trim_end().len());
        self.0
    }

    fn within(&mut self, tag: Tag, fill: impl FnOnce(&mut Self)) {
        self.0.extend(["<", tag.name(), ">"]);
        fill(self);
        self.0.extend(["</", tag.name(), ">"]);
        if tag.is_block() {
            // Nobody sees it in the message; previews, which leave the tags out, need it between words.
            self.0.push('\n');
        }
    }

    /// Text, escaped.
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
    }

    /// Text whose line breaks shall be seen.
    fn lines(&mut self, text: &str) {
        for (i, line) in text.split('\n').enumerate() {
            if i > 0 {
                self.0.push_str("<br>");
            }
            self.text(line);
        }
    }

    /// A link to a user, which clients show as a pill (Matrix spec, "matrix.to navigation").
    fn user(&mut self, user: &UserId) {
        self.0.push_str("<a href=\"https://matrix.to/#/");
        for byte in user.as_str().bytes() {
            if byte.is_ascii_alphanumeric() || b"@:.-_~".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                self.0.push_str(&format!("%{byte:02X}"));
            }
        }
        self.0.push_str("\">");
        self.text(user.as_str());
        self.0.push_str("</a>");
    }

    fn span(&mut self, span: &Span) {
        match span {
            Span::Text(text) => self.lines(text),
            Span::Bold(text) => self.within(Tag::Bold, |h| h.lines(text)),
            Span::Italic(text) => self.within(Tag::Italic, |h| h.lines(text)),
            Span::Code(text) => self.within(Tag::Code, |h| h.text(text)),
            Span::User(user) => self.user(user),
        }
    }

    fn spans(&mut self, tag: Tag, spans: &[Span]) {
        self.within(tag, |h| spans.iter().for_each(|span| h.span(span)));
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Heading(spans) => self.spans(Tag::Heading, spans),
            Block::Paragraph(spans) => self.spans(Tag::Paragraph, spans),
            Block::Quote(spans) => self.spans(Tag::Quote, spans),
            Block::List(items) => self.within(Tag::List, |h| {
                items.iter().for_each(|item| h.spans(Tag::Item, item))
            }),
            Block::Code(code) => {
                self.within(Tag::Preformatted, |h| h.within(Tag::Code, |h| h.text(code)))
            }
            Block::Table { head, rows } => self.table(head, rows),
            Block::Folded { summary, blocks } => self.within(Tag::Details, |h| {
                h.within(Tag::Summary, |h| h.text(summary));
                blocks.iter().for_each(|block| h.block(block));
            }),
        }
    }

    fn table(&mut self, head: &[String], rows: &[Vec<Vec<Span>>]) {
        self.within(Tag::Table, |h| {
            h.within(Tag::Head, |h| {
                h.within(Tag::Row, |h| {
                    head.iter()
                        .for_each(|cell| h.within(Tag::HeadCell, |h| h.text(cell)))
                });
            });
            h.within(Tag::Body, |h| {
                for row in rows {
                    h.within(Tag::Row, |h| {
                        row.iter().for_each(|cell| h.spans(Tag::Cell, cell))
                    });
                }
            });
        });
    }
}
