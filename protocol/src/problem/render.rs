//! What people read of a problem.

use super::{Code, Place, Problem};
use crate::document::{Document, Span, code, italic, text};

impl Problem {
    /// The problem as people read it: cause, the line with carets under the wrong word, a line that
    /// works, what to do, and what finds the log line.
    pub fn document(&self) -> Document {
        let mut document =
            Document::new().paragraph([text(format!("{} {}", self.mark(), self.detail))]);
        document = match &self.at {
            Some(Place::Word { line, start, len }) => document.code(carets(line, *start, *len)),
            Some(Place::Path(path)) if !path.is_empty() => {
                document.paragraph([text("At: "), code(path)])
            }
            _ => document,
        };
        if let Some(suggestion) = &self.suggestion {
            let lead = if self.code == Code::TooLate {
                "To send it again: "
            } else {
                "Did you mean: "
            };
            document = document.paragraph([text(lead), code(suggestion)]);
        }
        if let Some(remedy) = &self.remedy {
            document = document.paragraph(advice(remedy));
        }
        if let Some(reference) = &self.reference {
            document = document.paragraph([italic(format!("Reference: {reference}"))]);
        }
        document
    }

    /// What waits is no failure: it starts by itself.
    fn mark(&self) -> &'static str {
        match self.code {
            Code::BudgetCap | Code::BudgetWait => "⏳",
            _ => "❌",
        }
    }
}

/// What to do; a command at its end is set so that it can be copied.
pub(crate) fn advice(remedy: &str) -> Vec<Span> {
    match remedy.rsplit_once(": !") {
        Some((lead, command)) => vec![text(format!("→ {lead}: ")), code(format!("!{command}"))],
        None => vec![text(format!("→ {remedy}"))],
    }
}

/// The line, and carets under the word.
fn carets(line: &str, start: u32, len: u32) -> String {
    let width = line.chars().count();
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(width);
    let len = usize::try_from(len)
        .unwrap_or(usize::MAX)
        .min(width - start)
        .max(1);
    format!("{line}\n{}{}", " ".repeat(start), "^".repeat(len))
}
