//! Budgets: limits on a series of windows (budget.md, "Series and windows").

use super::{args, words};
use crate::ids::{MissionRef, TaskRef};
use crate::scalar::{BasisPoints, Brief, Count, Name, Note, Percent, Title};
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

words! {
    /// What a series limits.
    Scope {
        /// A provider account.
        Subscription = "subscription",
        /// All work of a role.
        Role = "role",
        /// All work of an agent.
        Agent = "agent",
        /// All work of a mission.
        Mission = "mission",
    }
}

words! {
    /// How a window is spent over its life.
    Pace {
        /// Evenly (doctrine 4).
        Even = "even",
        /// As it comes: the cap alone counts.
        None = "none",
    }
}

words! {
    /// What an unknown state admits.
    Unknown {
        /// One task at a time.
        One = "one",
        /// Nothing.
        Refuse = "refuse",
    }
}

/// Declares arguments that name a series: whose it is, and its window's name where there are several.
macro_rules! of_series {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* }) => {
        args! {
            $(#[$meta])*
            $name {
                /// The provider account it limits, for example claude
                #[arg(long, group = "scope")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                provider: Option<Name>,
                /// The role it limits
                #[arg(long, group = "scope")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                role: Option<Name>,
                /// The agent it limits
                #[arg(long, group = "scope")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                agent: Option<Name>,
                /// The mission it limits
                #[arg(long, group = "scope")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                mission: Option<MissionRef>,
                /// The window's name where there are several, for example 5h or weekly
                #[arg(long, value_name = "NAME")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                window: Option<Name>,
                $($(#[$field_meta])* $field: $ty,)*
            }
        }

        impl $name {
            /// The series it names.
            pub fn series(&self) -> SeriesRef<'_> {
                SeriesRef {
                    provider: self.provider.as_ref(),
                    role: self.role.as_ref(),
                    agent: self.agent.as_ref(),
                    mission: self.mission,
                    window: self.window.as_ref(),
                }
            }
        }
    };
}

/// A series as a command names it; exactly one scope must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesRef<'a> {
    /// A provider account.
    pub provider: Option<&'a Name>,
    /// A role.
    pub role: Option<&'a Name>,
    /// An agent.
    pub agent: Option<&'a Name>,
    /// A mission.
    pub mission: Option<MissionRef>,
    /// The window's name.
    pub window: Option<&'a Name>,
}

impl std::fmt::Display for SeriesRef<'_> {
    /// Whose it is, without the window: `claude`, `role code`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.provider, self.role, self.agent, self.mission) {
            (Some(provider), ..) => provider.fmt(f),
            (_, Some(role), ..) => write!(f, "role {role}"),
            (_, _, Some(agent), _) => write!(f, "agent {agent}"),
            (.., Some(mission)) => write!(f, "mission {mission}"),
            _ => f.write_str("nobody"),
        }
    }
}

of_series! {
    /// Set or change a limit
    Set {
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
        /// Length of the windows that follow, for example 5h or 7d
        #[arg(long, value_name = "LENGTH")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<Length>,
        /// A window begins with the first use after the last one
        #[arg(long, requires = "every")]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        after_first_use: bool,
        /// When windows end, as a recurrence rule on the wall clock of --zone; its first reading is --reset-at
        #[arg(long, value_name = "RRULE", conflicts_with = "every", requires = "reset_at")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<Note>,
        /// Time zone of the rule (default: the fleet's), for example Europe/Berlin
        #[arg(long, value_name = "ZONE", requires = "rule")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<Title>,
        /// Only spend of this model counts
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<Name>,
        /// How a window is spent over its life (default: even)
        #[arg(long, value_enum)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pace: Option<Pace>,
        /// Share of the limit that may be ahead of plan, in percent (default: 5)
        #[arg(long, value_name = "PERCENT")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burst: Option<Percent>,
        /// What an unknown state admits (default: one task at a time)
        #[arg(long, value_enum)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unknown: Option<Unknown>,
        /// Share of the limit at which the room is alerted, in percent (default: 95)
        #[arg(long, value_name = "PERCENT")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alert_at: Option<Percent>,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
args! {
    /// Show limits, what is spent and held, the plan, the worst case, and when each window resets
    Status {
        /// Only this provider
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<Name>,
    }
}
of_series! {
    /// Say that a window was or will be reset at an instant
    Reset {
        /// When the present window ends; may lie in the past, after the window's start
        #[arg(long, value_name = "TIME")]
        reset_at: Moment,
        /// Later windows end as they were going to (default for rules)
        #[arg(long, conflicts_with = "re_anchor")]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keep_schedule: bool,
        /// Later windows are counted from this instant (default for lengths)
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        re_anchor: bool,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
of_series! {
    /// Raise a limit for a time, or lift its pacing
    Lift {
        /// By how much
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Count>,
        /// Spend as it comes meanwhile
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        no_pacing: bool,
        /// Until when
        #[arg(long, value_name = "TIME")]
        until: Moment,
        /// Why
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Note>,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
of_series! {
    /// Close a window until an instant, whatever is left of it: the provider said "limit reached"
    Close {
        /// Until when (default: the window's reset)
        #[arg(long, value_name = "TIME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Moment>,
        /// Why
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Note>,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
of_series! {
    /// Open a window that was closed
    Reopen {
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
of_series! {
    /// Report the level that a provider's own meter shows
    Reading {
        /// How much of the limit is used, in percent with up to two digits behind the point
        #[arg(long, value_name = "PERCENT")]
        used: BasisPoints,
        /// When the window resets, if the meter says so
        #[arg(long, value_name = "TIME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resets_at: Option<Moment>,
    }
}
args! {
    /// Report the rate-limit headers of a provider's answer, one name: value each
    Headers {
        /// The provider account
        #[arg(long)]
        provider: Name,
        /// A header; repeat for each
        #[arg(long = "header", value_name = "NAME: VALUE", required = true, allow_hyphen_values = true)]
        headers: Vec<Note>,
    }
}
args! {
    /// Explain in words why a task was admitted, lowered, queued or refused
    Explain {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
    }
}
of_series! {
    /// Show the limits and lifts a series had, and who set them
    History {
        /// At most this many (default: 20, at most 200)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Count>,
    }
}
of_series! {
    /// Show the windows a series had, the newest first
    Windows {
        /// At most this many (default: 20, at most 200)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Count>,
    }
}
of_series! {
    /// Draw the burn-down of windows: what was planned, spent and held, and the cap
    Chart {}
}
args! {
    /// Recompute every total from the ledger and compare
    Audit {}
}
args! {
    /// Show the model ladder
    LadderShow {}
}
args! {
    /// Set the model ladder, highest first
    LadderSet {
        /// The models
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<Name>,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
args! {
    /// Write down every subscription and limit as TOML
    Export {}
}
args! {
    /// Bring subscriptions and limits to what a TOML document says; what it does not name stays
    Import {
        /// The document, as budget export writes it
        #[arg(allow_hyphen_values = true)]
        document: Brief,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
args! {
    /// Show every task that waits for budget: its place, what binds it, when, and what would free it
    Queue {}
}
