//! What is printed: answers on standard output, progress and errors on standard error.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::json;

use crate::error::CliError;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    colour: bool,
}

impl Output {
    /// For this process: colour only where a person sees it, and only if `NO_COLOR` is not set.
    pub(crate) fn new(json: bool) -> Self {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, colour }
    }

    /// Whether answers are JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints an answer: its text, or its value in one line of JSON.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub(crate) fn answer(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        let text = if self.json {
            serde_json::to_string(value).map_err(|e| {
                CliError::Internal(format!("an answer cannot be written as JSON: {e}"))
            })?
        } else {
            text()
        };
        self.line(&text)
    }

    /// Prints a line to standard output.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub(crate) fn line(self, text: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")
            .and_then(|()| out.flush())
            .map_err(CliError::Output)
    }

    /// Says on standard error what is going on.
    pub(crate) fn progress(self, text: &str) {
        let (dim, plain) = if self.colour {
            ("\u{1b}[2m", "\u{1b}[0m")
        } else {
            ("", "")
        };
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "{dim}{text}{plain}");
    }

    /// Prints an error: cause and remedy on standard error, or one JSON object on standard output.
    pub(crate) fn error(self, error: &CliError) {
        if self.json {
            let problem = error.problem();
            let object = json!({
                "error": {
                    "exit": error.exit().code(),
                    "code": problem.map(|p| p.code.as_str()),
                    "detail": crate::error::chain(error),
                    "remedy": error.remedy(),
                    "reference": problem.and_then(|p| p.reference.as_deref()),
                },
            });
            // Nobody is left to tell when standard output is closed.
            let _ = self.line(&object.to_string());
            return;
        }
        let (red, plain) = if self.colour {
            ("\u{1b}[31m", "\u{1b}[0m")
        } else {
            ("", "")
        };
        let mut text = format!("{red}error:{plain} {}", crate::error::chain(error));
        if let Some(suggestion) = error.problem().and_then(|p| p.suggestion.as_deref()) {
            text.push_str(&format!("\n  try: {suggestion}"));
        }
        if let Some(remedy) = error.remedy() {
            text.push_str(&format!("\n  what to do: {remedy}"));
        }
        if let Some(reference) = error.problem().and_then(|p| p.reference.as_deref()) {
            text.push_str(&format!("\n  reference: {reference}"));
        }
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}
