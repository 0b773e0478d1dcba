//! What the hooks of an agent remember between two of them: a small file beside the credentials.

use std::collections::BTreeMap;
use std::path::Path;

use fleet_protocol::reply::TaskView;
use fleet_protocol::scalar::Name;
use fleet_protocol::{Problem, Timestamp};
use serde::{Deserialize, Serialize};

use super::usage::{Tokens, Usage};
use crate::session::Session;

/// Attempts that are remembered at most; a worker holds one or a few.
const MOST: usize = 16;

/// An attempt at a task, and when it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    /// The task, short form.
    pub(super) task: String,
    /// The attempt.
    pub(super) attempt: u32,
    /// When it began.
    pub(super) began: Timestamp,
}

/// What was reported, and what is worked on.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// When the last report was.
    pub(super) told_at: Option<Timestamp>,
    work: Vec<Work>,
}

impl Journal {
    /// The journal in a file; an empty one when there is none or it cannot be read: what it holds can
    /// be asked for again.
    pub(super) fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Writes it whole or not at all; without it the next hook asks again.
    pub(super) fn write(&self, file: &Path) {
        let folder = file.parent().filter(|p| !p.as_os_str().is_empty());
        let written =
            tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).and_then(|new| {
                serde_json::to_writer(new.as_file(), self)?;
                new.persist(file).map_err(|e| e.error)
            });
        if let Err(error) = written {
            tracing::debug!(%error, "the hooks' journal cannot be written");
        }
    }

    /// Learns when the attempt at a held task began, if it is not known.
    pub(super) async fn begin(
        &mut self,
        session: &Session,
        task: &TaskView,
    ) -> Result<(), Problem> {
        let known = |w: &Work| w.task == task.id && w.attempt == task.attempts;
        if self.work.iter().any(known) {
            return Ok(());
        }
        if let Some(began) = super::began(session, task).await? {
            self.work.push(Work {
                task: task.id.clone(),
                attempt: task.attempts,
                began,
            });
            self.work.sort_by_key(|w| w.began);
            let over = self.work.len().saturating_sub(MOST);
            self.work.drain(..over);
        }
        Ok(())
    }

    /// What each attempt has cost, by model.
    pub(super) fn spent(&self, usage: &Usage) -> Vec<(Work, BTreeMap<Name, Tokens>)> {
        let begun: Vec<Timestamp> = self.work.iter().map(|w| w.began).collect();
        self.work
            .iter()
            .cloned()
            .zip(usage.by_span(&begun))
            .collect()
    }

    /// Forgets what is no longer held: its last report has just been made.
    pub(super) fn keep(&mut self, held: &[TaskView]) {
        self.work.retain(|w| {
            held.iter()
                .any(|t| t.id == w.task && t.attempts == w.attempt)
        });
    }
}
