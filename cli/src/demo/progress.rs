//! The steps of a story, told while they happen.

use serde::Serialize;
use tokio::time::Instant;

use crate::error::CliError;
use crate::output::Output;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// What was to happen.
    pub(crate) step: String,
    /// Whether it did.
    pub(crate) ok: bool,
    /// How long it took, in milliseconds.
    pub(crate) ms: u64,
    /// What came out.
    pub(crate) detail: String,
}

/// Rooms against register.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    /// What was asked for and is in the register.
    pub(crate) effects: u64,
    /// Answers to the operator's lines.
    pub(crate) answers: u64,
    /// Answers or effects that came more often than they were asked for.
    pub(crate) duplicates: u64,
    /// Lines without an answer, or without their effect.
    pub(crate) lost: u64,
}

#[derive(Serialize)]
struct End<'a> {
    passed: usize,
    failed: usize,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// Collects the steps.
#[derive(Debug)]
pub(crate) struct Progress {
    out: Output,
    steps: Vec<Step>,
}

impl Progress {
    /// Nothing has happened.
    pub(crate) fn new(out: Output) -> Self {
        Self {
            out,
            steps: Vec::new(),
        }
    }

    /// Ends a step that began at `since`; gives back what it came to.
    pub(crate) fn step<T>(
        &mut self,
        name: &str,
        since: Instant,
        came_to: Result<(T, String), CliError>,
    ) -> Result<T, CliError> {
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (value, ok, detail) = match came_to {
            Ok((value, detail)) => (Ok(value), true, detail),
            Err(error) => {
                let detail = crate::error::chain(&error);
                (Err(error), false, detail)
            }
        };
        let step = Step {
            step: name.to_owned(),
            ok,
            ms,
            detail,
        };
        let mark = if ok { "ok    " } else { "FAILED" };
        self.out.answer(&step, || {
            format!("{mark} {name} ({ms} ms): {}", step.detail)
        })?;
        self.steps.push(step);
        value
    }

    /// A line of the transcript; with `--json` it goes to standard error.
    pub(crate) fn transcript(&self, who: &str, text: &str) -> Result<(), CliError> {
        let text = text.replace('\n', "\n           | ");
        let line = format!("{who:>10} | {text}");
        if self.out.is_json() {
            self.out.progress(&line);
            return Ok(());
        }
        self.out.line(&line)
    }

    /// Prints the summary; whether everything is as it must be.
    pub(crate) fn end(&mut self, summary: &Summary) -> Result<bool, CliError> {
        let failed = self.steps.iter().filter(|s| !s.ok).count();
        let end = End {
            passed: self.steps.len() - failed,
            failed,
            summary,
        };
        self.out.answer(&end, || {
            format!(
                "\n{} steps passed, {failed} failed; {} effects, {} answers, {} duplicates, {} lost",
                end.passed, summary.effects, summary.answers, summary.duplicates, summary.lost
            )
        })?;
        Ok(failed == 0 && summary.duplicates == 0 && summary.lost == 0 && summary.answers > 0)
    }
}
