//! Missions and tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dispatch::{Dispatch, Escalation, HandedBack};
use crate::scalar::Name;
use crate::time::Timestamp;
use crate::verbs::gate::{Gate, GateResult};
use crate::verbs::task::{TaskStatus, TaskType};

/// A mission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissionView {
    /// Short form, `m7`.
    pub id: String,
    /// Title.
    pub title: String,
    /// The goal in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// Whether it is open.
    pub open: bool,
    /// Its tasks by status.
    pub tasks: Vec<(TaskStatus, u64)>,
    /// Projected tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_tokens: Option<u64>,
    /// Actual tokens so far.
    pub actual_tokens: u64,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// A mission with all its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissionReport {
    /// The mission.
    pub mission: MissionView,
    /// Its tasks: those that are not done first, the most urgent in front.
    pub tasks: Vec<TaskView>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskView {
    /// Short form, `t142`.
    pub id: String,
    /// Title.
    pub title: String,
    /// The brief in full; only when one task is shown or claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brief: Option<String>,
    /// State.
    pub status: TaskStatus,
    /// Kind of work.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// The role that may claim it.
    pub role: Name,
    /// Higher is sooner.
    pub priority: u8,
    /// Short form of its mission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mission: Option<String>,
    /// The agent that alone may claim it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_for: Option<Name>,
    /// What it waits for, short forms, only those not done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Epoch of the lease, for the holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// When the lease ends; none for work held by a person (doctrine 11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Why it is blocked, failed, cancelled, or what was last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Attempts begun.
    pub attempts: u32,
    /// Attempts allowed.
    pub max_attempts: u32,
    /// Provider account that pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Name>,
    /// Projected tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_tokens: Option<u64>,
    /// The account that its attempt runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Name>,
    /// The model that its attempt runs with, or that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Tokens granted to the current attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_tokens: Option<u64>,
    /// Actual tokens so far.
    pub actual_tokens: u64,
    /// Checks that must pass before it is completed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality_gates: Vec<Gate>,
    /// What they came to under the newest lease.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gate_results: Vec<GateResult>,
    /// What its last holder without an end left behind; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_back: Option<HandedBack>,
    /// What the operators were asked, and answered; only when one task is shown or claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// Who the agent is and what the whole is for; only when an agent claims or looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<Box<Dispatch>>,
    /// History, oldest first; only when one task is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<TaskEventView>,
}

impl TaskView {
    /// Its gates, each with what it came to under the newest lease; none when it has not run.
    pub fn gates(&self) -> impl Iterator<Item = (&Gate, Option<&GateResult>)> {
        let result = |gate: &Gate| self.gate_results.iter().find(|r| r.name == gate.name);
        self.quality_gates
            .iter()
            .map(move |gate| (gate, result(gate)))
    }
}

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskEventView {
    /// When.
    pub at: Timestamp,
    /// What, for example `task.started`.
    pub event: String,
    /// Who did it.
    pub by: String,
    /// What was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Tasks, possibly not all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskList {
    /// Those shown.
    pub tasks: Vec<TaskView>,
    /// How many there are in all.
    pub total: u64,
}
