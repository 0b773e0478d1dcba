//! Items of an inbox.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::{AddressLine, Endpoint};
use crate::event::Chain;
use crate::time::Timestamp;
use crate::verbs::inbox::Class;

/// How far a causal chain goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChainLimitsView {
    /// Messages one behind the other.
    pub hops: u32,
    /// Messages in all.
    pub messages: u32,
    /// Tokens that agents spend in it.
    pub tokens: u64,
}

/// Something said to an agent, or by an agent to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemView {
    /// Short form; the same whenever it is handed out.
    pub id: String,
    /// Who said it.
    pub from: Endpoint,
    /// For whom it is.
    pub to: Endpoint,
    /// How it is meant.
    pub class: Class,
    /// What was said.
    pub text: String,
    /// Whose account said it: a Matrix user, or a token's name.
    pub sender: String,
    /// When.
    pub sent_at: Timestamp,
    /// Where in its causal chain it stands (doctrine 10).
    pub chain: Chain,
    /// The item it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The task it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// How often it was handed out.
    pub deliveries: u64,
    /// It was not acknowledged in time, and is handed out as a reminder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reminder: bool,
    /// When it was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<Timestamp>,
}

impl ItemView {
    /// The line in front of its text.
    pub fn line(&self) -> AddressLine {
        AddressLine {
            from: self.from.clone(),
            to: self.to.clone(),
            class: self.class,
        }
    }
}
