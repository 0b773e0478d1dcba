//! Missions: goals that group tasks and carry a projected and an actual spend (doctrine 7).

use super::args;
use crate::ids::MissionRef;
use crate::scalar::{Brief, Count, Note, Title};

args! {
    /// Open a mission
    New {
        /// What is to be reached, in one line
        #[arg(allow_hyphen_values = true)]
        title: Title,
        /// The goal in full
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        goal: Option<Brief>,
        /// Projected spend in tokens
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        projected_tokens: Option<Count>,
    }
}
args! {
    /// List missions
    List {
        /// Include closed ones
        #[arg(long)]
        #[serde(default)]
        all: bool,
    }
}
args! {
    /// Show a mission, its tasks and its spend
    Show {
        /// The mission, for example m7
        #[arg(value_name = "MISSION")]
        mission: MissionRef,
    }
}
args! {
    /// Close a mission; its actual spend is the sum over its tasks
    Close {
        /// The mission, for example m7
        #[arg(value_name = "MISSION")]
        mission: MissionRef,
        /// How it ended
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<Note>,
    }
}
