//! Subscriptions: provider accounts that pay for work (doctrine 6).

use super::args;
use crate::scalar::Name;

args! {
    /// Add a provider account, or say more about one
    Add {
        /// Its name, for example claude-max-1
        name: Name,
        /// The provider behind it, for example claude
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<Name>,
        /// Models it serves; repeat, or separate by commas (default: all)
        #[arg(long = "model", value_name = "MODEL", value_delimiter = ',')]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        models: Vec<Name>,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
args! {
    /// List provider accounts
    List {
        /// Retired ones too
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        all: bool,
    }
}
args! {
    /// Show a provider account and its limits
    Show {
        /// Its name
        name: Name,
    }
}
args! {
    /// Let work move between accounts, or stop it (the providers' terms are yours to keep)
    Pool {
        /// The accounts
        #[arg(required = true, value_name = "NAME")]
        names: Vec<Name>,
        /// The pool they share; tasks may name it as their provider
        #[arg(long, value_name = "POOL", conflicts_with = "none", required_unless_present = "none")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pool: Option<Name>,
        /// Take them out of their pool
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        none: bool,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
args! {
    /// Give no more work to a provider account; what runs goes on
    Retire {
        /// Its name
        name: Name,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
