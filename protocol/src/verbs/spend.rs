//! Spend: facts about what work has cost, always recorded (budget.md, "Ledger").

use super::{args, words};
use crate::ids::TaskRef;
use crate::scalar::{Count, Name, Note};
use crate::time::Moment;

words! {
    /// What counted a spend, the most trusted first. Of several that tell of one attempt the first one counts;
    /// the others are compared with it (budget.md, "Ledger")
    Meter {
        /// The usage that the runtime wrote into its transcript
        Transcript = "transcript",
        /// A hook of the runtime
        Hook = "hook",
        /// The agent's own word
        Agent = "agent",
    }
}
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
        /// Messages sent to the provider
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        messages: Option<Count>,
        /// The provider's own credits
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credits: Option<Count>,
        /// Seconds of machine time
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compute_seconds: Option<Count>,
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
        /// What counted it (default: agent)
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meter: Option<Meter>,
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
args! {
    /// Take a grant for work that runs without one
    Hold {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
    }
}
args! {
    /// Ask for more for a running task; refused, it gets one turn to hand back
    TopUp {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// How many tokens more (default: half the task's median)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<Count>,
    }
}
args! {
    /// Commit what a task has spent so far by your own word: totals, not increments
    Commit {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// Tokens in all
        #[arg(long, value_name = "N")]
        tokens: Count,
        /// The attempt it belongs to (default: the current one)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<Count>,
    }
}
args! {
    /// Hand back what is left of a grant; the work goes on without
    Release {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
    }
}
args! {
    /// Settle what a lost attempt was presumed to have spent
    Settle {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// The attempt (default: the current one)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<Count>,
        /// What it spent in tokens, in all
        #[arg(long, value_name = "N", conflicts_with = "unknown", required_unless_present = "unknown")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<Count>,
        /// Why that will never be known; the presumption becomes final
        #[arg(long, value_name = "REASON", allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unknown: Option<Note>,
    }
}
