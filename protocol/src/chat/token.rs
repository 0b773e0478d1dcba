//! Splits a chat line into words, forgiving what phones make of quotes and dashes.

use std::ops::Range;

use crate::scalar::is_invisible;

/// One word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it means: quotes and escapes resolved, dashes and invisible characters mended.
    pub text: String,
    /// Where it stands in the line, in bytes; both ends lie on character boundaries.
    pub span: Range<usize>,
    /// Whether it is the first word of its line and starts, unquoted, with `!` and a letter.
    pub starts_command: bool,
}

/// A quote was opened and never closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a quote is opened and never closed")]
pub struct UnclosedQuote {
    /// The opening quote, in bytes of the line.
    pub span: Range<usize>,
}

/// Splits a line into words.
///
/// Words are separated by white space. Double quotes, straight or curly, keep a text together
/// anywhere in a word; single ones only at a word's start or behind `=`, because elsewhere they are
/// apostrophes. A backslash makes a quote, a space, a dash or a backslash literal. A long dash in
/// front of a letter at a word's start is `--`. Invisible characters outside quotes are dropped.
///
/// # Errors
/// When a quote is never closed.
pub fn split(line: &str) -> Result<Vec<Word>, UnclosedQuote> {
    let mut splitter = Splitter {
        chars: line.char_indices().collect(),
        end: line.len(),
        at: 0,
        words: Vec::new(),
    };
    let mut fresh_line = true;
    while let Some(c) = splitter.peek(0) {
        if c.is_whitespace() {
            fresh_line |= c == '\n';
            splitter.at += 1;
        } else if is_invisible(c) {
            splitter.at += 1;
        } else {
            splitter.word(fresh_line)?;
            fresh_line = false;
        }
    }
    Ok(splitter.words)
}

/// A text as one word of a line, quoted where it needs to be; [`split`] gives it back unchanged.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@+,#%*?&=~^$;|()[]{}<>!".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_alphanumeric() || "-@+/#".contains(c));
    if starts_well && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if c == '\\' || is_double(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

fn is_double(c: char) -> bool {
    matches!(c, '"' | '\u{201C}'..='\u{201F}')
}

fn is_single(c: char) -> bool {
    matches!(c, '\'' | '\u{2018}'..='\u{201B}')
}

/// The en dash, the em dash and the horizontal bar: what phones make of two hyphens.
fn is_long_dash(c: char) -> bool {
    matches!(c, '\u{2013}'..='\u{2015}')
}

fn is_escapable(c: char) -> bool {
    c == '\\' || is_double(c) || is_single(c)
}

struct Splitter {
    chars: Vec<(usize, char)>,
    end: usize,
    at: usize,
    words: Vec<Word>,
}

impl Splitter {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).map(|(_, c)| *c)
    }

    fn offset(&self, at: usize) -> usize {
        self.chars.get(at).map_or(self.end, |(offset, _)| *offset)
    }

    fn word(&mut self, fresh_line: bool) -> Result<(), UnclosedQuote> {
        let first = self.at;
        let letter = (first + 1..self.chars.len())
            .map(|i| self.chars[i].1)
            .find(|c| !is_invisible(*c));
        let starts_command =
            fresh_line && self.peek(0) == Some('!') && letter.is_some_and(char::is_alphabetic);
        let mut text = self.leading_dash();
        let mut last = self.at;
        while let Some(c) = self.peek(0) {
            if c.is_whitespace() {
                break;
            }
            let opens = is_double(c) || (is_single(c) && (self.at == first || text.ends_with('=')));
            if opens {
                self.quoted(&mut text)?;
            } else if c == '\\' {
                self.escape(&mut text, |c| {
                    is_escapable(c) || c.is_whitespace() || is_long_dash(c) || c == '-'
                });
            } else {
                self.at += 1;
                if is_invisible(c) {
                    continue;
                }
                text.push(c);
            }
            last = self.at;
        }
        self.words.push(Word {
            text,
            span: self.offset(first)..self.offset(last),
            starts_command,
        });
        Ok(())
    }

    /// Takes a long dash in front of a letter as `--`, together with hyphens that follow it.
    fn leading_dash(&mut self) -> String {
        if !self.peek(0).is_some_and(is_long_dash) {
            return String::new();
        }
        let skipped = |c: char| is_long_dash(c) || c == '-' || is_invisible(c);
        let dashes = self.chars[self.at..]
            .iter()
            .take_while(|(_, c)| skipped(*c))
            .count();
        if !self.peek(dashes).is_some_and(char::is_alphabetic) {
            return String::new();
        }
        self.at += dashes;
        "--".to_owned()
    }

    fn quoted(&mut self, text: &mut String) -> Result<(), UnclosedQuote> {
        let opening = self.at;
        let double = self.peek(0).is_some_and(is_double);
        self.at += 1;
        while let Some(c) = self.peek(0) {
            // Between letters a single quote is an apostrophe even here: 'it's done'.
            let closes = if double {
                is_double(c)
            } else {
                is_single(c) && !self.peek(1).is_some_and(char::is_alphanumeric)
            };
            if closes {
                self.at += 1;
                return Ok(());
            }
            if c == '\\' {
                self.escape(text, is_escapable);
            } else {
                self.at += 1;
                text.push(c);
            }
        }
        Err(UnclosedQuote {
            span: self.offset(opening)..self.offset(opening + 1),
        })
    }

    /// Takes a backslash, and the next character literally if it is one that can be escaped.
    fn escape(&mut self, text: &mut String, escapable: impl Fn(char) -> bool) {
        match self.peek(1).filter(|c| escapable(*c)) {
            Some(c) => {
                text.push(c);
                self.at += 2;
            }
            None => {
                text.push('\\');
                self.at += 1;
            }
        }
    }
}
