//! Spend and limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Name;
use crate::time::Timestamp;
use crate::verbs::budget::Unit;

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
