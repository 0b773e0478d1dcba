//! The fleet as a whole: help, who asks, status, the pause switch, health, members.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WindowView;
use crate::scalar::{Name, UserId};
use crate::time::Timestamp;
use crate::verbs::member::GrantRole;
use crate::verbs::task::TaskStatus;

/// Help on everything, a group of commands, or one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HelpView {
    /// What is explained; none for the overview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// What it is for, one sentence.
    pub about: String,
    /// How it is typed; one command only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// What belongs to it: commands of a group, arguments of a command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<HelpGroup>,
    /// What the reader should know besides, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// A line that explains more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<String>,
}

/// Lines of help that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HelpGroup {
    /// What they have in common.
    pub title: String,
    /// The lines.
    pub lines: Vec<HelpLine>,
}

/// What can be typed, and what that means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HelpLine {
    /// A command, an option or an argument.
    pub what: String,
    /// What it means.
    pub about: String,
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmIView {
    /// The principal: a Matrix user, or a token's name.
    pub principal: String,
    /// The tenant.
    pub tenant: Name,
    /// Roles held here.
    pub roles: Vec<GrantRole>,
    /// The agent whose account this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Name>,
    /// The power level in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_level: Option<i64>,
    /// The tenant's time zone.
    pub zone: String,
}

/// The fleet at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    /// The tenant.
    pub tenant: Name,
    /// The pause switch.
    pub pause: PauseView,
    /// Tasks by status, only those that occur.
    pub tasks: Vec<(TaskStatus, u64)>,
    /// Tasks that may be claimed now.
    pub ready: u64,
    /// Tasks that wait for budget.
    #[serde(default)]
    pub waiting: u64,
    /// Agents that are not retired.
    pub agents: u64,
    /// Of those, agents with a heartbeat in the last five minutes.
    pub alive: u64,
    /// Open proposals.
    pub open_proposals: u64,
    /// Open incidents, newest first, at most 5.
    pub incidents: Vec<IncidentView>,
    /// Limits.
    pub budgets: Vec<WindowView>,
}

/// Something a person must know about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentView {
    /// Which rule raised it.
    pub rule: Name,
    /// What it is about.
    pub subject: String,
    /// What happened and what to do.
    pub detail: String,
    /// Since when.
    pub since: Timestamp,
}

/// The pause switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseView {
    /// Whether the fleet is paused.
    pub paused: bool,
    /// Whether it already was as asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub already: bool,
    /// Who paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// The register's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorView {
    /// The checks.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// How it is.
    pub state: CheckState,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How a checked thing is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Works, but somebody should look.
    Warning,
    /// Broken.
    Broken,
}

/// How many worker agents hold leases at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkersView {
    /// The most in the whole fleet.
    pub fleet: u32,
    /// The most of one role.
    pub role: u32,
    /// How many do now.
    pub working: u64,
}

/// What a roster changed, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProvisionView {
    /// Whether nothing was changed, only told.
    pub dry_run: bool,
    /// One line for each thing that differs; empty: nothing.
    pub changes: Vec<String>,
    /// What exists and is not in the roster; it stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// What needs a look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A user's grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberView {
    /// The user.
    pub user: UserId,
    /// Roles in the whole fleet, and in single rooms.
    pub grants: Vec<GrantView>,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantView {
    /// The role.
    pub role: GrantRole,
    /// The room's key, when it counts in one room only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Name>,
}

/// A room in which agents say nothing to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HushView {
    /// Until when; none when they may speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}
