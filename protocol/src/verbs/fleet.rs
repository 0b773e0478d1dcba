//! The fleet as a whole: help, who am I, status, pause.

use super::{args, words};
use crate::scalar::{Brief, Note};
use crate::time::Length;

args! {
    /// Show what can be said, or how one command is used
    Help {
        /// The command to explain, for example: task add
        #[arg(value_name = "COMMAND", num_args = 0..=4)]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        topic: Vec<String>,
    }
}
args! {
    /// Show who you are to the fleet and what you may do here
    WhoAmI {}
}
args! {
    /// Show the fleet at a glance: work, agents, budgets, votes
    Status {}
}
args! {
    /// List the agents: role, incarnation, machine, state, task, lease left, context use, spend, inbox, last heartbeat
    Ps {}
}
args! {
    /// Check the register's side of the fleet and name what is broken
    Doctor {}
}
args! {
    /// Stop new claims and dispatches everywhere; votes, reads and heartbeats go on
    Pause {
        /// Why, shown to everyone who is refused meanwhile
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Note>,
    }
}
args! {
    /// Let work go on after a pause
    Resume {}
}
args! {
    /// Let agents say nothing to each other in this room for a time
    Hush {
        /// For how long (default: 30m, at most 7d)
        #[arg(value_name = "LENGTH")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<Length>,
        /// Let them speak again
        #[arg(long, conflicts_with = "time")]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        off: bool,
    }
}
args! {
    /// Set how much this room hears
    Verbosity {
        /// quiet: only what needs a person; normal: replies and results; verbose: everything
        #[arg(value_enum)]
        level: VerbosityLevel,
    }
}

args! {
    /// Bring rooms, agents, grants, seats and budgets to what a roster says; what it does not name stays
    Provision {
        /// The roster (YAML)
        #[arg(allow_hyphen_values = true)]
        document: Brief,
        /// Take away what the roster does not name: its agents and seats; rooms, grants and budgets stay
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        prune: bool,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}

words! {
    /// How much a room hears.
    VerbosityLevel {
        /// Only what needs a person.
        Quiet = "quiet",
        /// Replies and results.
        Normal = "normal",
        /// Everything.
        Verbose = "verbose",
    }
}
