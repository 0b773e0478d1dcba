//! Transcripts as meters: what Claude Code and Codex write down of their own usage, on the agent's host.
//!
//! A transcript is another program's file. It is read defensively: a half line at its end is not yet written, a
//! line that is no JSON or has unknown fields is passed over and counted, and a file in which nothing is understood
//! is unknown, never zero. What comes out are cumulative totals per session and model, as `spend report` takes them.

pub(crate) mod claude;
mod codex;

use std::collections::BTreeMap;
use std::io::{BufRead, ErrorKind, Read as _};

use fleet_protocol::scalar::Name;
use serde_json::Value;

/// The longest line that is read, in bytes; a longer one is passed over, as no usage is that long.
const LONGEST: usize = 16 * 1024 * 1024;

/// Whose transcript it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Claude Code: `~/.claude/projects/.../SESSION.jsonl`.
    ClaudeCode,
    /// Codex: `~/.codex/sessions/.../rollout-....jsonl`.
    Codex,
}

/// Totals of one session and model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens sent to the model, without those of the cache.
    pub input: u64,
    /// Tokens the model wrote.
    pub output: u64,
    /// Tokens written to the provider's cache.
    pub cache_write: u64,
    /// Tokens read from the provider's cache.
    pub cache_read: u64,
}

impl Usage {
    /// All tokens: what the model had before it, and what it added.
    pub(crate) fn all(self) -> u64 {
        [self.output, self.cache_write, self.cache_read]
            .into_iter()
            .fold(self.input, u64::saturating_add)
    }

    /// Adds another usage.
    pub fn add(&mut self, more: Self) {
        self.input = self.input.saturating_add(more.input);
        self.output = self.output.saturating_add(more.output);
        self.cache_write = self.cache_write.saturating_add(more.cache_write);
        self.cache_read = self.cache_read.saturating_add(more.cache_read);
    }

    /// What this has more than `before`, field by field; nothing where it has less.
    fn beyond(self, before: Self) -> Self {
        Self {
            input: self.input.saturating_sub(before.input),
            output: self.output.saturating_sub(before.output),
            cache_write: self.cache_write.saturating_sub(before.cache_write),
            cache_read: self.cache_read.saturating_sub(before.cache_read),
        }
    }

    /// The greater of each field.
    fn most(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            cache_write: self.cache_write.max(other.cache_write),
            cache_read: self.cache_read.max(other.cache_read),
        }
    }
}

/// What a transcript says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    /// Totals by session and model.
    pub totals: BTreeMap<(Name, Name), Usage>,
    /// When the last of it was spent, as the transcript writes it.
    pub last: Option<String>,
    /// Lines that were not understood: the totals are a lower bound when there are any.
    pub passed_over: u64,
    /// Whether the last line is not finished: it is read when it is.
    pub is_half: bool,
}

/// Why a transcript says nothing.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// It cannot be read.
    #[error("the transcript cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Something is written there, and none of it is usage that this version knows: what was spent is unknown.
    #[error(
        "no usage of {runtime} is understood in its {lines} lines: what it spent is unknown, not zero"
    )]
    Unknown {
        /// The runtime it should be of.
        runtime: &'static str,
        /// Lines with something on them.
        lines: u64,
    },
}

/// Takes in the lines of one runtime, in order.
pub(crate) trait Reader {
    /// One line, which is JSON. Whether it was understood, also as one that says nothing of usage.
    fn line(&mut self, line: &Value) -> bool;
    /// The totals of all lines.
    fn totals(self: Box<Self>) -> BTreeMap<(Name, Name), Usage>;
}

/// Reads a transcript from its beginning; `fallback` names a session that the lines do not name.
///
/// # Errors
/// [`MeterError`]. A transcript without a line is known: nothing was spent yet, and no total comes out.
pub fn read(
    runtime: Runtime,
    fallback: &Name,
    mut transcript: impl BufRead,
) -> Result<Transcript, MeterError> {
    let mut reader: Box<dyn Reader> = match runtime {
        Runtime::ClaudeCode => Box::new(claude::Messages::new(fallback.clone())),
        Runtime::Codex => Box::new(codex::Counts::new(fallback.clone())),
    };
    let mut read = Transcript::default();
    let mut lines = 0;
    loop {
        let line = match next(&mut transcript)? {
            Line::Whole(line) => line,
            Line::Half => {
                read.is_half = true;
                break;
            }
            Line::TooLong => {
                (lines, read.passed_over) = (lines + 1, read.passed_over + 1);
                continue;
            }
            Line::End => break,
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        lines += 1;
        let Ok(value) = serde_json::from_slice::<Value>(&line) else {
            read.passed_over += 1;
            continue;
        };
        if !reader.line(&value) {
            read.passed_over += 1;
        }
        if let Some(at) = value.get("timestamp").and_then(Value::as_str) {
            read.last = Some(at.to_owned());
        }
    }
    read.totals = reader.totals();
    if read.totals.is_empty() && read.passed_over > 0 {
        let runtime = runtime.as_str();
        return Err(MeterError::Unknown { runtime, lines });
    }
    Ok(read)
}

impl Runtime {
    /// Its name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::Codex => "Codex",
        }
    }
}

enum Line {
    Whole(Vec<u8>),
    /// Without an end: its writer is at it.
    Half,
    TooLong,
    End,
}

/// The next line that has its end; none when there is no further one. What is too long for usage is passed over.
pub(crate) fn whole_line(transcript: &mut impl BufRead) -> Result<Option<Vec<u8>>, std::io::Error> {
    loop {
        match next(transcript)? {
            Line::Whole(line) => return Ok(Some(line)),
            Line::TooLong => {}
            Line::Half | Line::End => return Ok(None),
        }
    }
}

fn next(transcript: &mut impl BufRead) -> Result<Line, std::io::Error> {
    let mut line = Vec::new();
    let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    transcript
        .by_ref()
        .take(most)
        .read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        return Ok(Line::Whole(line));
    }
    match line.len() {
        0 => Ok(Line::End),
        LONGEST => rest(transcript),
        _ => Ok(Line::Half),
    }
}

/// Passes over the rest of a line that is too long.
fn rest(transcript: &mut impl BufRead) -> Result<Line, std::io::Error> {
    loop {
        let seen = match transcript.fill_buf() {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            seen => seen?,
        };
        if seen.is_empty() {
            return Ok(Line::Half);
        }
        let end = seen.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(seen.len(), |at| at + 1);
        transcript.consume(taken);
        if end.is_some() {
            return Ok(Line::TooLong);
        }
    }
}

/// A word of a transcript as a name of ours: lower case, and what no name holds as a dash.
pub fn name(word: &str) -> Option<Name> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let word: String = word
        .trim()
        .chars()
        .map(|c| if fits(c) { c.to_ascii_lowercase() } else { '-' })
        .take(64)
        .collect();
    word.trim_start_matches(['-', '_', '.']).parse().ok()
}

/// A count; none for what is missing, negative or no number: that is unknown, not zero.
fn count(of: &Value, key: &str) -> Option<u64> {
    of.get(key).and_then(Value::as_u64)
}

#[cfg(test)]
mod tests;
