//! What goes with a task to whoever takes it up: all that a runtime without memory needs (doctrine 14).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TaskView;
use crate::role::Role;
use crate::time::Timestamp;
use crate::verbs::hand_back::HandBack;

/// Who the agent is, and what the whole is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dispatch {
    /// The role; none where the fleet has no file of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The mission; none for a task of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mission: Option<MissionBrief>,
}

/// What a mission is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissionBrief {
    /// Short form, `m7`.
    pub id: String,
    /// Title.
    pub title: String,
    /// The goal in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
}

/// What a holder left behind that did not finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HandedBack {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// In which attempt.
    pub attempt: u32,
    /// What there was.
    pub result: HandBack,
}

/// What the operators were asked about a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Escalation {
    /// What was asked.
    pub reason: String,
    /// What was answered; none while nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
}

impl MissionBrief {
    /// As an agent reads it.
    pub fn told(&self) -> String {
        let goal = self.goal.iter().map(|goal| format!("\n\n{goal}"));
        format!("Mission {}: {}", self.id, self.title) + &goal.collect::<String>()
    }
}

impl HandedBack {
    /// As an agent or a person reads it.
    pub fn told(&self) -> String {
        format!(
            "{} handed it back in attempt {}: {}",
            self.by, self.attempt, self.result
        )
    }
}

impl Escalation {
    /// As an agent or a person reads it.
    pub fn told(&self) -> String {
        let asked = format!("The operators were asked: {}", self.reason);
        match (&self.answer, &self.answered_by) {
            (Some(answer), Some(by)) => format!("{asked}\n{by} answered: {answer}"),
            _ => asked,
        }
    }
}

impl TaskView {
    /// What a runtime without memory must know to begin, part by part, each with what it is called: role,
    /// mission, brief, what was handed back, what the operators answered.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        let dispatch = self.dispatch.as_deref();
        let role = dispatch.and_then(|d| d.role.as_ref()).map(Role::told);
        let mission = dispatch.and_then(|d| d.mission.as_ref());
        [
            ("role", role),
            ("mission", mission.map(MissionBrief::told)),
            ("brief", self.brief.clone()),
            (
                "partial result",
                self.handed_back.as_ref().map(HandedBack::told),
            ),
            ("answer", self.escalation.as_ref().map(Escalation::told)),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)))
        .collect()
    }
}
