//! Who pays, what it costs, what it came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WindowView;
use crate::scalar::Name;
use crate::time::Timestamp;

/// A provider account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionView {
    /// Its name.
    pub name: Name,
    /// The provider behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Name>,
    /// Models it serves; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Name>,
    /// Its pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Name>,
    /// Since when it gets no work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
    /// Its limits; only when one account is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowView>,
}

/// The price of a model, in millionths of a US dollar for a million tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceView {
    /// The model.
    pub model: Name,
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Cache writes.
    pub cache_write: u64,
    /// Cache reads.
    pub cache_read: u64,
    /// From when: a date.
    pub dated: String,
    /// Where it is from.
    pub source: String,
}

/// Sums of spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpendReportView {
    /// By what it is summed.
    pub by: String,
    /// The sums, the largest first.
    pub rows: Vec<SpendRow>,
    /// How well estimates held; none before anything was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationView>,
}

/// One sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpendRow {
    /// Of what.
    pub what: String,
    /// Tasks that spent something.
    pub tasks: u64,
    /// Tokens that were projected for them; none where nobody projected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_tokens: Option<u64>,
    /// Tokens spent.
    pub tokens: u64,
    /// Money billed, in millionths of a US dollar.
    pub cash_usd_micro: u64,
    /// What a flat subscription would have cost, in millionths of a US dollar.
    pub api_equivalent_usd_micro: u64,
}

/// How well estimates held over the last 100 tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CalibrationView {
    /// Tasks looked at.
    pub tasks: u64,
    /// Share of them at or under their p95, in basis points; good is 9,000 to 9,900.
    pub p95_bp: u64,
    /// Granted over actual, in basis points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_over_actual_bp: Option<u64>,
}
