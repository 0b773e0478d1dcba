//! Proposals and ballots.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Name;
use crate::time::Timestamp;
use crate::verbs::board::{Effect, ProposalKind, Seat, Verdict};

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalView {
    /// Short form, `p12`.
    pub id: String,
    /// Title.
    pub title: String,
    /// Text in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What it is about.
    pub kind: ProposalKind,
    /// Who proposed it.
    pub proposer: String,
    /// What runs when it passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// The effect in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_text: Option<String>,
    /// The frozen seats.
    pub seats: Vec<SeatView>,
    /// Share of the weight that must be cast, percent.
    pub quorum: u8,
    /// When voting ends.
    pub closes_at: Timestamp,
    /// `open`, or the outcome: `approved`, `approved_with_conditions`, `rejected`, `superseded`.
    pub state: String,
    /// Weights cast.
    pub tally: TallyView,
    /// What became of the effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_outcome: Option<String>,
    /// SHA-256 over the canonical form, hex.
    pub hash: String,
    /// Head of the chain of ballots, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_head: Option<String>,
}

/// A seat and its ballot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeatView {
    /// The seat.
    pub seat: Seat,
    /// Its ballot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The reason given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Weights by verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TallyView {
    /// For it.
    pub approve: u32,
    /// Against it, vetoes included.
    pub reject: u32,
    /// Abstained.
    pub abstain: u32,
    /// For it with conditions.
    pub conditional: u32,
    /// All that was cast.
    pub cast: u32,
    /// All there is.
    pub total: u32,
}

/// A ballot that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BallotView {
    /// Short form of the proposal.
    pub proposal: String,
    /// Its title.
    pub title: String,
    /// The seat.
    pub seat: Name,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Verdict>,
    /// Number in the proposal's chain.
    pub sequence: u64,
}
