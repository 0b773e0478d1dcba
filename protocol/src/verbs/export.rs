//! Documents made from what the register holds (doctrine 18): never kept by hand.

use super::args;
use crate::ids::MissionRef;

args! {
    /// Write the task list (TASKS.md)
    Tasks {
        /// Only this mission
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mission: Option<MissionRef>,
    }
}
args! {
    /// Write the mission manifest (MISSION-MANIFEST.md)
    Manifest {
        /// Only this mission (default: the open ones)
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mission: Option<MissionRef>,
    }
}
