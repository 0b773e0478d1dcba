//! Agents: named after their role, one incarnation at a time.

use super::args;
use crate::scalar::{Count, Name, Sha256, UserId};

args! {
    /// Register an agent, or a new incarnation of it
    Register {
        /// Its name: role and number, for example code-1
        name: Name,
        /// Its role
        #[arg(long)]
        role: Name,
        /// The machine it runs on
        #[arg(long)]
        host: Name,
        /// What runs it, for example claude-code, codex, script
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runtime: Option<Name>,
        /// The highest model it may use; pacing may lower it, never raise it (doctrine 5)
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<Name>,
        /// Its Matrix user (default: the sender)
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    }
}
args! {
    /// List agents
    List {
        /// Include retired ones
        #[arg(long)]
        #[serde(default)]
        all: bool,
    }
}
args! {
    /// Show an agent
    Show {
        /// Its name
        name: Name,
    }
}
args! {
    /// Say that an agent is alive and how full its context is
    Heartbeat {
        /// Tokens in its context now (doctrine 8)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context_tokens: Option<Count>,
    }
}
args! {
    /// Retire an agent; its leases end
    Retire {
        /// Its name
        name: Name,
    }
}
args! {
    /// Give an agent a token, known to the fleet by its SHA-256 alone; those it had stop working
    Token {
        /// Its name
        name: Name,
        /// SHA-256 of the new token, 64 hex digits
        #[arg(long, value_name = "HEX")]
        sha256: Sha256,
    }
}
args! {
    /// Take everything from an agent: leases, tokens, its place in the rooms
    Revoke {
        /// Its name
        name: Name,
    }
}
