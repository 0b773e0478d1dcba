//! How far causal chains go (doctrine 10).

use super::args;
use crate::scalar::Count;

args! {
    /// Set how far agents may go on because of what one message began; what is left out stays
    Set {
        /// Messages one behind the other (default: 16)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hops: Option<Count>,
        /// Messages in all (default: 200)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        messages: Option<Count>,
        /// Tokens that agents spend in it (default: 5,000,000)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<Count>,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
args! {
    /// Show how far agents may go on because of what one message began
    Show {}
}
