//! Budgets: limits on a provider's windows (budget.md, "Series and windows").

use super::{args, words};
use crate::scalar::{Count, Name, Percent};
use crate::time::{Length, Moment};

words! {
    /// What a limit counts. Money is two units that are never added.
    Unit {
        /// Input, output and cache writes, plus a tenth of cache reads.
        Tokens = "tokens",
        /// Messages sent to the provider.
        Messages = "messages",
        /// What an API bills, in millionths of a US dollar.
        CashUsdMicro = "cash_usd_micro",
        /// What a flat subscription would have cost, in millionths of a US dollar.
        ApiEquivalentUsdMicro = "api_equivalent_usd_micro",
        /// A provider's own credits.
        Credits = "credits",
        /// Seconds of machine time.
        ComputeSeconds = "compute_seconds",
        /// Hundredths of a percent of the provider's own meter (10000 is all of it).
        BasisPoints = "basis_points",
    }
}

impl Unit {
    /// What it counts, as people say it after an amount.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Messages => "messages",
            Self::CashUsdMicro => "micro-dollars",
            Self::ApiEquivalentUsdMicro => "API-equivalent micro-dollars",
            Self::Credits => "credits",
            Self::ComputeSeconds => "compute seconds",
            Self::BasisPoints => "basis points",
        }
    }
}

args! {
    /// Set or change a limit
    Set {
        /// The provider account it limits, for example claude
        #[arg(long)]
        provider: Name,
        /// The most that may be spent in a window
        #[arg(long, value_name = "N", allow_hyphen_values = true)]
        limit: Count,
        /// What the limit counts
        #[arg(long, value_enum)]
        unit: Unit,
        /// When the window ends
        #[arg(long, value_name = "TIME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reset_at: Option<Moment>,
        /// The window's name where a provider has several, for example 5h or weekly
        #[arg(long, value_name = "NAME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Name>,
        /// Length of the windows that follow, for example 5h or 7d
        #[arg(long, value_name = "LENGTH")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<Length>,
        /// Share of the limit at which the room is alerted, in percent (default: 95)
        #[arg(long, value_name = "PERCENT")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alert_at: Option<Percent>,
    }
}
args! {
    /// Show limits, what is spent and held, and when each window resets
    Status {
        /// Only this provider
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<Name>,
    }
}
args! {
    /// Say that a window was or will be reset at an instant
    Reset {
        /// The provider account
        #[arg(long)]
        provider: Name,
        /// When the present window ends; may lie in the past, after the window's start
        #[arg(long, value_name = "TIME")]
        reset_at: Moment,
        /// The window's name where the provider has several
        #[arg(long, value_name = "NAME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Name>,
    }
}
