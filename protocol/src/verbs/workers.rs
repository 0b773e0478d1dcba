//! How many worker agents hold leases at the same time (doctrine 9).

use super::args;

args! {
    /// Set how many worker agents may hold leases at the same time; what is left out stays
    Set {
        /// In the whole fleet (default: 10)
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fleet: Option<u16>,
        /// Of one role (default: 2)
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<u16>,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
args! {
    /// Show how many worker agents may hold leases at the same time, and how many do
    Show {}
}
