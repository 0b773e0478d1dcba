//! Prices of models, in millionths of a US dollar for a million tokens.

use super::args;
use crate::scalar::{Count, Name, Note};

args! {
    /// List prices, each with its date and source
    List {}
}
args! {
    /// Set the price of a model, in millionths of a US dollar for a million tokens
    Set {
        /// The model
        model: Name,
        /// Input tokens
        #[arg(long, value_name = "N")]
        input: Count,
        /// Output tokens
        #[arg(long, value_name = "N")]
        output: Count,
        /// Cache writes (default: as input)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_write: Option<Count>,
        /// Cache reads (default: as input)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_read: Option<Count>,
        /// Where it is from
        #[arg(long, allow_hyphen_values = true)]
        source: Note,
        /// Say what would change, and change nothing
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    }
}
