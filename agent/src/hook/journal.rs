//! What the hooks of an agent remember between two of them: a small file beside the credentials.

use std::collections::BTreeMap;
use std::path::Path;

use fleet_protocol::reply::TaskView;
use fleet_protocol::scalar::Name;
use fleet_protocol::{Problem, Timestamp};
use serde::{Deserialize, Serialize};

use super::usage::by_span;
use crate::meter::Usage;
use crate::meter::claude::Messages;
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
    /// Why the last report was refused, as it was said.
    #[serde(default)]
    refused: Option<String>,
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

    /// What each attempt has cost, by model. The clock of the messages is `ahead` of the gateway's, in
    /// milliseconds, by which the attempts began.
    pub(super) fn spent(
        &self,
        messages: &Messages,
        ahead: i64,
    ) -> Vec<(Work, BTreeMap<Name, Usage>)> {
        let here = |began: Timestamp| Timestamp::from_millis(began.as_millis() + ahead);
        let begun: Vec<Timestamp> = self.work.iter().map(|w| here(w.began)).collect();
        self.work
            .iter()
            .cloned()
            .zip(by_span(messages, &begun))
            .collect()
    }

    /// Notes how a report went; whether it was refused for the same reason as the one before.
    pub(super) fn knows(&mut self, refused: Option<&Problem>) -> bool {
        let refused = refused.map(|problem| problem.detail.clone());
        let is_known = refused.is_some() && refused == self.refused;
        self.refused = refused;
        is_known
    }

    /// Forgets what is no longer held: its last report has just been made.
    pub(super) fn keep(&mut self, held: &[TaskView]) {
        self.work.retain(|w| {
            held.iter()
                .any(|t| t.id == w.task && t.attempts == w.attempt)
        });
    }
}
