//! Answers, as typed values. [`Reply::document`] is what people read of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Name, UserId};
use crate::time::Timestamp;
use crate::verbs::board::{Effect, ProposalKind, Seat, Verdict};
use crate::verbs::budget::Unit;
use crate::verbs::fleet::VerbosityLevel;
use crate::verbs::member::GrantRole;
use crate::verbs::task::{TaskStatus, TaskType};

mod render;
mod render_agent;
mod render_board;
mod render_budget;
mod render_task;
mod words;

/// What a command or a query answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What can be said.
    Help(HelpView),
    /// Who is asking.
    WhoAmI(WhoAmIView),
    /// The fleet at a glance.
    Status(StatusView),
    /// The agents.
    Agents(Vec<AgentView>),
    /// One agent, shown or changed.
    Agent(Changed<AgentView>),
    /// The register's health.
    Doctor(DoctorView),
    /// The pause switch after a change.
    Pause(PauseView),
    /// How much the room hears now.
    Verbosity(VerbosityLevel),
    /// Grants of a user after a change.
    Member(Changed<MemberView>),
    /// All grants.
    Members(Vec<MemberView>),
    /// One mission, shown or changed.
    Mission(Changed<MissionView>),
    /// Missions.
    Missions(Vec<MissionView>),
    /// One task, shown or changed.
    Task(Changed<TaskView>),
    /// Tasks.
    Tasks(TaskList),
    /// Spend that was recorded.
    Spend(SpendView),
    /// A limit that was set or reset.
    Budget(Changed<WindowView>),
    /// Limits and what is left.
    Budgets(Vec<WindowView>),
    /// One proposal, shown or changed.
    Proposal(Changed<ProposalView>),
    /// Proposals.
    Proposals(Vec<ProposalView>),
    /// A ballot that was recorded.
    Ballot(BallotView),
}

/// A thing, and what was just done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed<T> {
    /// What was done, as a past participle: `added`, `claimed`; none when it was only shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Whether it already was as asked, so that nothing changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub already: bool,
    /// The thing as it is now.
    pub now: T,
    /// What the reader should know besides, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl<T> Changed<T> {
    /// A thing that was only shown.
    pub fn shown(now: T) -> Self {
        Self {
            change: None,
            already: false,
            now,
            notes: Vec::new(),
        }
    }

    /// A thing that was changed.
    pub fn to(change: &str, now: T) -> Self {
        Self {
            change: Some(change.to_owned()),
            already: false,
            now,
            notes: Vec::new(),
        }
    }
}

/// Help: usage of one command, or the list of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HelpView {
    /// The command explained; none for the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The text, preformatted.
    pub text: String,
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

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskView {
    /// Short form, `t142`.
    pub id: String,
    /// Title.
    pub title: String,
    /// The brief in full; only when one task is shown.
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
    /// Tokens granted to the current attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_tokens: Option<u64>,
    /// Actual tokens so far.
    pub actual_tokens: u64,
    /// History, oldest first; only when one task is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<TaskEventView>,
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

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentView {
    /// Name.
    pub name: Name,
    /// Role.
    pub role: Name,
    /// Machine.
    pub host: Name,
    /// What runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Name>,
    /// Highest model it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Its Matrix user.
    pub user: UserId,
    /// Which life of that name.
    pub incarnation: u64,
    /// `idle`, `working`, `silent` (no heartbeat for five minutes) or `retired`.
    pub state: String,
    /// The task it holds, short form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// When its lease ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Tokens in its context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_at: Option<Timestamp>,
    /// Seconds since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_age: Option<u64>,
}

/// Spend that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpendView {
    /// Short form of the task.
    pub task: String,
    /// Tokens this report added.
    pub added_tokens: u64,
    /// Tokens of the task in all.
    pub total_tokens: u64,
    /// Whether it came after the lease had ended.
    pub late: bool,
    /// What the reader should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A window of a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WindowView {
    /// Provider account.
    pub provider: Name,
    /// Name of the series, for example `weekly`.
    pub window: Name,
    /// What it counts.
    pub unit: Unit,
    /// The limit.
    pub limit: u64,
    /// Spent in this window.
    pub spent: u64,
    /// Held by running tasks.
    pub held: u64,
    /// Presumed spent by leases that ended without a report.
    pub presumed: u64,
    /// When it began.
    pub starts_at: Timestamp,
    /// When it resets; none for a cap without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// The reset in the tenant's zone, with the distance from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_text: Option<String>,
    /// Share of the limit at which an alert is raised, percent.
    pub alert_at: u8,
    /// Where the limit comes from.
    pub source: String,
}

impl WindowView {
    /// Spent, held and presumed together.
    pub fn used(&self) -> u64 {
        self.spent
            .saturating_add(self.held)
            .saturating_add(self.presumed)
    }

    /// What is left of the limit.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used())
    }

    /// By how much the limit is exceeded.
    pub fn over(&self) -> u64 {
        self.used().saturating_sub(self.limit)
    }
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalView {
    /// Short form, `p12`.
    pub id: String,
    /// Title.
    pub title: String,
    /// Text in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What it is about.
    pub kind: ProposalKind,
    /// Who proposed it.
    pub proposer: String,
    /// What runs when it passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// The effect in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_text: Option<String>,
    /// The frozen seats.
    pub seats: Vec<SeatView>,
    /// Share of the weight that must be cast, percent.
    pub quorum: u8,
    /// When voting ends.
    pub closes_at: Timestamp,
    /// The end in the tenant's zone, with the distance from now.
    pub closes_text: String,
    /// `open`, or the outcome: `approved`, `approved_with_conditions`, `rejected`, `superseded`.
    pub state: String,
    /// Weights cast.
    pub tally: TallyView,
    /// What became of the effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_outcome: Option<String>,
    /// SHA-256 over the canonical form, hex.
    pub hash: String,
    /// Head of the chain of ballots, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_head: Option<String>,
}

/// A seat and its ballot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeatView {
    /// The seat.
    pub seat: Seat,
    /// Its ballot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The reason given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Weights by verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TallyView {
    /// For it.
    pub approve: u32,
    /// Against it, vetoes included.
    pub reject: u32,
    /// Abstained.
    pub abstain: u32,
    /// For it with conditions.
    pub conditional: u32,
    /// All that was cast.
    pub cast: u32,
    /// All there is.
    pub total: u32,
}

/// A ballot that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BallotView {
    /// Short form of the proposal.
    pub proposal: String,
    /// Its title.
    pub title: String,
    /// The seat.
    pub seat: Name,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Verdict>,
    /// Number in the proposal's chain.
    pub sequence: u64,
}
