//! Proposals, ballots and the board itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record::{EndedBy, Extension, Outcome, Rule, Statement};
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
    /// How it is decided.
    pub rule: Rule,
    /// Whether a person must approve, as the money at stake is now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub human_required: bool,
    /// When voting began.
    pub opened_at: Timestamp,
    /// When voting was declared to end.
    pub closes_at: Timestamp,
    /// When voting ends, with its extensions.
    pub ends_at: Timestamp,
    /// Why it ends later than declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended: Option<Extension>,
    /// When it ends before its time, as nothing can change the outcome any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_early_at: Option<Timestamp>,
    /// `open`, or the outcome: `approved`, `approved_with_conditions`, `rejected`, `superseded`.
    pub state: String,
    /// The proposal it takes the place of, short form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    /// The proposal that takes its place, short form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
    /// How it ends if nothing more is cast; none when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_nothing: Option<Outcome>,
    /// Weights cast.
    pub tally: TallyView,
    /// How it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionView>,
    /// What became of the effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_outcome: Option<String>,
    /// SHA-256 over the canonical form, hex.
    pub hash: String,
    /// Head of the chain of entries, hex; the proposal's hash while there is none.
    pub head: String,
}

/// How a proposal was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionView {
    /// Id of the decision.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Why it ended.
    pub ended_by: EndedBy,
    /// The operator who ended it, or who amended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// The reason given for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the default decided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_default: bool,
}

/// A seat and its ballot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeatView {
    /// The seat.
    pub seat: Seat,
    /// Whether it may not vote at present.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// Its ballot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// How sure its voter is, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u8>,
    /// What its voter wrote.
    #[serde(default, skip_serializing_if = "Statement::is_empty")]
    pub statement: Statement,
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

/// A ballot that was recorded or taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BallotView {
    /// Short form of the proposal.
    pub proposal: String,
    /// Its title.
    pub title: String,
    /// The seat.
    pub seat: Name,
    /// The verdict; none when the ballot was taken back and no version of it is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The verdict before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Verdict>,
    /// Number in the proposal's chain.
    pub sequence: u64,
}

/// A seat of the standing board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BoardSeatView {
    /// The seat.
    pub seat: Seat,
    /// Whether it may not vote at present.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MinutesView {
    /// Decided since then.
    pub since: Timestamp,
    /// The proposals, the oldest decision first.
    pub decided: Vec<ProposalView>,
    /// Whether there are more than are listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}
