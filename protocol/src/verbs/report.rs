//! Reports over what the register holds.

use super::{args, words};
use crate::ids::MissionRef;
use crate::time::Moment;

words! {
    /// By what spend is summed.
    By {
        /// Mission.
        Mission = "mission",
        /// Task.
        Task = "task",
        /// Role.
        Role = "role",
        /// Model.
        Model = "model",
        /// Provider account.
        Subscription = "subscription",
        /// Day in the fleet's zone.
        Day = "day",
    }
}

args! {
    /// Sum spend: projected against actual, and how well estimates held
    Spend {
        /// By what (default: mission)
        #[arg(long, value_enum)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
        /// Only spend since then
        #[arg(long, value_name = "TIME")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Moment>,
        /// Only this mission
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mission: Option<MissionRef>,
    }
}
args! {
    /// Compare projected and actual spend of a mission and of each of its tasks
    Mission {
        /// The mission, for example m7
        #[arg(value_name = "MISSION")]
        mission: MissionRef,
    }
}
