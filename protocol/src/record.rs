//! The record of a vote: what the board votes on, and everything that happens to it, entry by entry.
//!
//! The record is what `board export` gives and `fleet board verify` checks: the proposal's hash binds
//! its content, and each entry's hash binds the one before (board.md, "Audit").

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::scalar::Name;
use crate::time::Timestamp;
use crate::verbs::board::{Effect, Holder, ProposalKind, Verdict};
use crate::verbs::words;

/// Everything the voters vote on; frozen when the proposal opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The tenant's name.
    pub tenant: String,
    /// The register's key.
    pub id: Uuid,
    /// Title.
    pub title: String,
    /// Text in full.
    pub text: Option<String>,
    /// Kind.
    pub kind: ProposalKind,
    /// Who proposed it.
    pub proposer: String,
    /// The room of its card, by key.
    pub room: String,
    /// The effect, with resolved ids and instants.
    pub effect: Option<Effect>,
    /// The seats, in order.
    pub seats: Vec<FrozenSeat>,
    /// When voting began.
    pub opened_at: Timestamp,
    /// When voting was declared to end; extensions are entries, not content.
    pub closes_at: Timestamp,
    /// How it is decided.
    pub rule: Rule,
    /// The proposal it takes the place of.
    pub supersedes: Option<Uuid>,
}

/// A seat as it was when the proposal opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrozenSeat {
    /// Title, for example `cto`.
    pub title: Name,
    /// Who votes for it.
    pub holder: Holder,
    /// Weight of its ballot, 1 to 1000.
    pub weight: u16,
    /// Whether its veto blocks.
    pub may_veto: bool,
    /// Whether a person holds it.
    pub human: bool,
    /// Whether its holder opened the proposal.
    pub proposer: bool,
}

/// How a proposal is decided; data, frozen with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Share of the weight that must be cast, in percent; abstentions and vetoes count.
    pub quorum: u8,
    /// Share of the weight for and against that must be for it.
    pub threshold: Threshold,
    /// What holds without a quorum, or when nothing was cast for or against.
    pub default: Default,
    /// How many different principals must stand behind it; 1 asks for no more than a majority.
    pub principals: u8,
    /// Whether two principals other than the proposer must approve.
    pub two_keys: bool,
    /// Above this much money (millionths of a US dollar), counted over 7 days, a person must approve;
    /// none asks for no person. A price that is not known counts as above.
    pub human_above: Option<u64>,
}

words! {
    /// What holds without a quorum.
    Default {
        /// Nothing happens.
        Rejected = "rejected",
        /// It passes, if nobody objects; such a proposal has no effect on money or authority.
        Approved = "approved",
    }
}

/// The share of the weight for and against that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Threshold {
    /// Strictly more than half.
    Majority,
    /// At least this share, for example two of three.
    AtLeast {
        /// Numerator, at least 1.
        of: u16,
        /// Denominator, not less than the numerator.
        out_of: u16,
    },
}

/// The text is no threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a threshold; write majority, or a share such as 2/3 or 1/1")]
pub struct NotAThreshold;

impl FromStr for Threshold {
    type Err = NotAThreshold;

    fn from_str(text: &str) -> Result<Self, NotAThreshold> {
        if text == "majority" {
            return Ok(Self::Majority);
        }
        let (of, out_of) = text.split_once('/').ok_or(NotAThreshold)?;
        let number = |t: &str| t.trim().parse::<u16>().map_err(|_| NotAThreshold);
        let (of, out_of) = (number(of)?, number(out_of)?);
        if of == 0 || of > out_of {
            return Err(NotAThreshold);
        }
        Ok(Self::AtLeast { of, out_of })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Majority => f.write_str("majority"),
            Self::AtLeast { of, out_of } => write!(f, "{of}/{out_of}"),
        }
    }
}

impl TryFrom<String> for Threshold {
    type Error = NotAThreshold;

    fn try_from(text: String) -> Result<Self, NotAThreshold> {
        text.parse()
    }
}

impl From<Threshold> for String {
    fn from(threshold: Threshold) -> Self {
        threshold.to_string()
    }
}

impl JsonSchema for Threshold {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Threshold".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(majority|[0-9]{1,5}/[0-9]{1,5})$" })
    }
}

/// Something that happened to a proposal, in the order of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Place in the sequence, from 1.
    pub sequence: u64,
    /// When it counts: the homeserver's clock for what came from a room, the register's otherwise.
    pub at: Timestamp,
    /// Who caused it.
    pub by: String,
    /// The event it came by; none for a call outside rooms and for what time causes.
    pub event: Option<String>,
    /// What happened.
    pub act: Act,
}

/// What happened to a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// A ballot was cast, or changed.
    Cast(Ballot),
    /// A seat took its ballot back: none of its versions before counts.
    Withdraw {
        /// Title of the seat.
        seat: Name,
    },
    /// The voter redacted the message of one version: it does not count, the one before does.
    Retract {
        /// Sequence of the version.
        of: u64,
    },
    /// Voting ends later.
    Extend {
        /// The new end.
        to: Timestamp,
        /// Why.
        why: Extension,
    },
    /// A seat may not vote any more; its weight stays.
    Suspend {
        /// Title of the seat.
        seat: Name,
    },
    /// A suspended seat may vote again.
    Restore {
        /// Title of the seat.
        seat: Name,
    },
    /// Voting ended; the last entry.
    Decide(Decided),
}

words! {
    /// Why voting ends later than declared.
    Extension {
        /// The quorum was reached in the last tenth of the time.
        LateQuorum = "late_quorum",
        /// The room could not be read up to the end.
        RoomUnread = "room_unread",
    }
}
words! {
    /// How a ballot came.
    Via {
        /// A command of any surface.
        Command = "command",
        /// A reply to the card, or a message in its thread.
        Reply = "reply",
        /// A reaction on the card.
        Reaction = "reaction",
    }
}
words! {
    /// How a proposal ends.
    Outcome {
        /// It passed; its effect runs.
        Approved = "approved",
        /// It passed only with conditional ballots; its effect does not run.
        ApprovedWithConditions = "approved_with_conditions",
        /// It did not pass.
        Rejected = "rejected",
        /// Another proposal took its place.
        Superseded = "superseded",
    }
}
words! {
    /// Why a vote ended.
    EndedBy {
        /// Its time came.
        Time = "time",
        /// Nothing could change the outcome any more.
        Settled = "settled",
        /// An operator ended it.
        Operator = "operator",
        /// It was amended.
        Amended = "amended",
    }
}
words! {
    /// What became of an effect.
    EffectState {
        /// None was to run.
        None = "none",
        /// It ran.
        Done = "done",
        /// It was refused, for good.
        Refused = "refused",
    }
}

/// One version of a seat's ballot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ballot {
    /// Title of the seat.
    pub seat: Name,
    /// The verdict.
    pub verdict: Verdict,
    /// How it came.
    pub via: Via,
    /// Which incarnation of an agent cast it.
    pub incarnation: Option<u64>,
    /// How sure the voter is, in percent.
    pub confidence: Option<u8>,
    /// Whether a reason was given.
    pub reasoned: bool,
    /// SHA-256 (hex) over the canonical form of the statement; none without one.
    pub statement_hash: Option<String>,
    /// What the voter wrote; none without one, and where its message was redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Statement>,
}

/// What a voter wrote: the words of a structured review (doctrine, "Board").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Statement {
    /// Why.
    pub reason: Option<String>,
    /// What worries the voter.
    pub concerns: Vec<String>,
    /// What the voter would do.
    pub recommendations: Vec<String>,
    /// What may go badly wrong.
    pub key_risks: Vec<String>,
}

impl Statement {
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.reason.is_none() && !self.is_review()
    }

    /// Whether it is more than a reason.
    pub fn is_review(&self) -> bool {
        !(self.concerns.is_empty() && self.recommendations.is_empty() && self.key_risks.is_empty())
    }
}

/// How a vote ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// Id of the decision, the key under which its effect ran.
    pub decision: Uuid,
    /// The outcome.
    pub outcome: Outcome,
    /// Why it ended.
    pub ended_by: EndedBy,
    /// Whether the default decided, for want of a quorum or of votes for and against.
    pub by_default: bool,
    /// Whether a person had to approve.
    pub human_required: bool,
    /// What became of the effect.
    pub effect: EffectState,
}

/// A record in full, as `board export` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Always `dev.mosaicstack.fleet.board/1`.
    pub format: String,
    /// What was voted on.
    pub proposal: Content,
    /// SHA-256 (hex) over the canonical form of the proposal.
    pub hash: String,
    /// What happened, in order, each with the hash that binds it and all before it.
    pub entries: Vec<Linked>,
    /// Hash of the last entry, or of the proposal while there is none: the card and the decision show it.
    pub head: String,
}

/// An entry and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linked {
    /// The entry.
    pub entry: Entry,
    /// SHA-256 (hex) over the hash before and the entry's canonical form without its statement.
    pub hash: String,
}

/// The format that [`Export::format`] names.
pub const FORMAT: &str = "dev.mosaicstack.fleet.board/1";
