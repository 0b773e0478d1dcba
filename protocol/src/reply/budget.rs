//! Spend and limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Name;
use crate::time::Timestamp;
use crate::verbs::budget::{Scope, Unit};

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

/// How much of a series is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// Every spend.
    Known,
    /// Configured, but unread, stale, or without a conversion.
    Unknown,
}

/// A window of a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WindowView {
    /// What it limits.
    pub scope: Scope,
    /// Whose it is: an account, a role, an agent, a mission (`m7`).
    pub key: Name,
    /// Name of the series, for example `weekly`.
    pub window: Name,
    /// What it counts.
    pub unit: Unit,
    /// Only spend of this model counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// The limit in force, lifts included.
    pub limit: u64,
    /// Spent in this window.
    pub spent: u64,
    /// Held by running tasks.
    pub held: u64,
    /// Presumed spent by leases that ended without a report.
    pub presumed: u64,
    /// Use that the provider's meter shows and our ledger does not explain.
    #[serde(default)]
    pub external: u64,
    /// Planned to be spent by now; none where there is no pacing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
    /// Planned, and the burst; none where there is no pacing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<u64>,
    /// Expected to be spent by the reset: with what runs and what waits, at most the limit.
    pub expected: u64,
    /// Beyond the limit at worst, before the next reports; none: unbounded, because some running task has
    /// no meter to learn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_beyond: Option<u64>,
    /// When it began.
    pub starts_at: Timestamp,
    /// When it resets; none for a cap without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// The provider closed it until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_until: Option<Timestamp>,
    /// Whether the figures can be relied on.
    pub knowledge: Knowledge,
    /// Share of the limit at which an alert is raised, percent.
    pub alert_at: u8,
    /// Where the limit comes from.
    pub source: String,
    /// When that was last looked at.
    pub checked_at: Timestamp,
}

impl WindowView {
    /// Spent, held, presumed and external together.
    pub fn used(&self) -> u64 {
        self.spent
            .saturating_add(self.held)
            .saturating_add(self.presumed)
            .saturating_add(self.external)
    }

    /// What is left of the limit.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used())
    }

    /// By how much the limit is exceeded.
    pub fn over(&self) -> u64 {
        self.used().saturating_sub(self.limit)
    }

    /// Whose it is and which, as people name it: `claude weekly`, `role code daily`.
    pub fn title(&self) -> String {
        match self.scope {
            Scope::Subscription => format!("{} {}", self.key, self.window),
            scope => format!("{scope} {} {}", self.key, self.window),
        }
    }
}

/// The grant of a running task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantedView {
    /// Short form of the task.
    pub task: String,
    /// Tokens it may still spend of its grant.
    pub remaining_tokens: u64,
    /// Tokens this added to the grant; 0 when it was refused or handed back.
    pub added_tokens: u64,
    /// Refused: one turn is left to hand the work back.
    #[serde(default)]
    pub hand_back: bool,
    /// What the reader should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What a provider's meter said, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MeterView {
    /// The provider account.
    pub provider: Name,
    /// What was understood and done, one sentence each; empty: nothing was understood.
    pub understood: Vec<String>,
}

/// A decision about a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdmissionView {
    /// When.
    pub at: Timestamp,
    /// What: admitted, downgraded, queued, refused and so on.
    pub outcome: String,
    /// Account it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Model it runs with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// No later than, on the numbers of then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<Timestamp>,
    /// All that it was decided on.
    pub inputs: serde_json::Value,
    /// By whom.
    pub by: String,
}

/// Decisions about a task, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainView {
    /// Short form of the task.
    pub task: String,
    /// The decisions.
    pub decisions: Vec<AdmissionView>,
}

/// A limit or a lift that was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitView {
    /// The series.
    pub series: String,
    /// The limit, or the amount of a lift.
    pub amount: u64,
    /// What it counts.
    pub unit: Unit,
    /// From when on.
    pub from: Timestamp,
    /// Until when; none for a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// By whom.
    pub by: String,
}

/// A window that a series had or has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PastWindowView {
    /// The series.
    pub series: String,
    /// What it counts.
    pub unit: Unit,
    /// When it began.
    pub starts_at: Timestamp,
    /// When it resets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// Spent in it.
    pub spent: u64,
    /// Presumed spent in it.
    pub presumed: u64,
}

/// Totals compared with the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditView {
    /// Series that were looked at.
    pub series: u64,
    /// Windows.
    pub windows: u64,
    /// Holds.
    pub holds: u64,
    /// Rows of the ledger.
    pub rows: u64,
    /// What differs, one sentence each; empty: clean.
    pub differences: Vec<String>,
}

/// What a document of budgets changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportView {
    /// Whether nothing was changed, only told.
    pub dry_run: bool,
    /// One line for each thing that differs; empty: nothing.
    pub changes: Vec<String>,
}

/// A task that waits for budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingView {
    /// Short form of the task.
    pub task: String,
    /// Its title.
    pub title: String,
    /// Its place, from 1.
    pub place: u64,
    /// Since when it waits.
    pub since: Timestamp,
    /// Whose claim waits with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<String>,
    /// The series that binds it.
    pub binding: String,
    /// Why, as a word: `cap`, `pacing`, `behind`, `closed`, `unknown`.
    pub because: String,
    /// What binds it, in words.
    pub reason: String,
    /// No later than, on present numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<Timestamp>,
    /// What would free it.
    pub remedy: String,
}

/// The burn-down of a window: all that a picture of it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChartView {
    /// Whose it is and which, as people name it.
    pub title: String,
    /// What it counts.
    pub unit: Unit,
    /// The limit in force, lifts included.
    pub limit: u64,
    /// Spent, presumed and external together.
    pub spent: u64,
    /// Held by running tasks.
    pub held: u64,
    /// Planned to be spent by now; none where there is no pacing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
    /// When the window began.
    pub starts_at: Timestamp,
    /// When it resets; none for a cap without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
    /// The instant of the figures.
    pub at: Timestamp,
    /// Marks of the time axis, in the tenant's zone.
    pub ticks: Vec<ChartTick>,
    /// What was spent by when, oldest first.
    pub points: Vec<ChartPoint>,
}

/// A mark of a time axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChartTick {
    /// Where.
    pub at: Timestamp,
    /// Its words.
    pub label: String,
}

/// What was spent in a window by an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChartPoint {
    /// The instant.
    pub at: Timestamp,
    /// Spent by then.
    pub spent: u64,
}
