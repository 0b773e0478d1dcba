//! The grammar of a chat line: how `!task add "..."` becomes a [`Request`], and back.
//!
//! A line is split into words with their places ([`token`]); its first one or two words name the
//! verb; the rest is read by the verb's own clap arguments, the same that a shell uses. What clap
//! refuses becomes a [`Problem`] that names the wrong word, its place, and a line that works.

mod fault;
mod help;
mod line;
mod mend;
mod place;
mod read;
pub mod token;

use crate::language::Request;
use crate::problem::Problem;
use crate::reply::HelpView;

/// The character that makes a message a command.
pub const PREFIX: char = '!';
/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 16 * 1024;

/// Why a line is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.detail)]
pub struct ChatError(Box<Problem>);

impl ChatError {
    /// The problem, with the place of the wrong word.
    pub fn problem(&self) -> Problem {
        (*self.0).clone()
    }
}

impl From<ChatError> for Problem {
    fn from(error: ChatError) -> Self {
        *error.0
    }
}

/// Reads a line without its prefix; one leading [`PREFIX`] is tolerated.
///
/// # Errors
/// With the wrong word's place, what was expected, and a line that works where one can be guessed.
pub fn parse(line: &str) -> Result<Request, ChatError> {
    read::line(line, read::Suggest::Yes).map_err(|p| ChatError(Box::new(p)))
}

/// Reads a line that stands inside another one; without suggestions, so that lines nested in lines
/// cost no more than their length.
///
/// # Errors
/// As [`parse`], without a suggestion.
pub(crate) fn parse_inner(line: &str) -> Result<Request, ChatError> {
    read::line(line, read::Suggest::No).map_err(|p| ChatError(Box::new(p)))
}

/// Explains one command or one group of commands; an empty topic lists all of them.
///
/// # Errors
/// [`crate::problem::Code::UnknownCommand`] with the nearest topic.
pub fn help(topic: &[String]) -> Result<HelpView, Problem> {
    help::view(topic)
}

/// The chat line, with its prefix, that says exactly this request: [`parse`] gives it back.
pub fn line(request: &Request) -> String {
    line::of(request)
}
