//! Spend: facts about what work has cost, always recorded (budget.md, "Ledger").

use super::args;
use crate::ids::TaskRef;
use crate::scalar::{Count, Name};
use crate::time::Moment;

args! {
    /// Report what a task has cost so far: cumulative totals, not increments
    Report {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// Input tokens
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input_tokens: Option<Count>,
        /// Output tokens
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output_tokens: Option<Count>,
        /// Tokens written to the cache
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_write_tokens: Option<Count>,
        /// Tokens read from the cache; they count one tenth
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_read_tokens: Option<Count>,
        /// Money billed, in millionths of a US dollar
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cash_usd_micro: Option<Count>,
        /// The model that ran
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<Name>,
        /// The provider account that pays (default: the task's)
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<Name>,
        /// The meter's session; totals are cumulative within it
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<Name>,
        /// The attempt the spend belongs to (default: the current one)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<Count>,
        /// When it was spent (default: now)
        #[arg(long, value_name = "TIME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spent_at: Option<Moment>,
    }
}
