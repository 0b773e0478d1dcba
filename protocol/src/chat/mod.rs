//! The grammar of a chat line: how `!task add "..."` becomes a [`Request`].

use crate::language::Request;
use crate::problem::{Code, Problem};

/// The character that makes a message a command.
pub const PREFIX: char = '!';

/// Why a line is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.detail)]
pub struct ChatError(Problem);

impl ChatError {
    /// The problem, with the place of the wrong word.
    pub fn problem(&self) -> Problem {
        self.0.clone()
    }
}

/// Reads a line without its prefix.
///
/// # Errors
/// With the wrong word's place, what was expected and a suggestion.
pub fn parse(line: &str) -> Result<Request, ChatError> {
    Err(ChatError(Problem::new(Code::UnknownCommand, line)))
}
