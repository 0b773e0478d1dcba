//! Alerts: incidents that people must know about (budget.md, "Alerts are incidents").

use super::args;
use crate::ids::IncidentRef;

args! {
    /// List open alerts
    List {
        /// Resolved ones too
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        all: bool,
    }
}
args! {
    /// Show an alert
    Show {
        /// The alert, for example i12
        #[arg(value_name = "ALERT")]
        alert: IncidentRef,
    }
}
args! {
    /// Say that you take care of an alert
    Ack {
        /// The alert, for example i12
        #[arg(value_name = "ALERT")]
        alert: IncidentRef,
    }
}
