//! What the bridge hands to the gateway, and what comes back: one envelope, one receipt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::{AgentIdentity, Chain, LeaseClaim};
use crate::language::Request;
use crate::outbox::OutboxRow;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::scalar::{Name, UserId};
use crate::time::Timestamp;
use crate::verbs::board::Verdict;

/// One event of a room, understood. Its `key` makes it exactly once: the first submission executes,
/// every later one returns the stored receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// The event id.
    pub key: String,
    /// Who sent it, as the homeserver says.
    pub sender: UserId,
    /// Whether the sender is joined to the room, as the bot reads it now.
    pub joined: bool,
    /// The sender's power level in the room; creators of version 12 rooms have the maximum.
    pub power_level: i64,
    /// The homeserver's clock when the event was sent.
    pub origin_ts: Timestamp,
    /// Whether it came live or was found when a gap was filled.
    pub provenance: Provenance,
    /// SHA-256 (hex) over room, sender, type and decrypted content: tells a replay from a forgery.
    pub digest: String,
    /// What the message replies to and stands under.
    #[serde(default)]
    pub context: Context,
    /// What it says.
    pub body: Body,
}

/// How an event reached the bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// By sync.
    Live,
    /// By reading back to the room's mark.
    Recovered,
}

/// Where in the conversation a message stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Context {
    /// The event it replies to (not the fallback of a thread).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The root of the thread it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_root: Option<String>,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A chat line.
    Line {
        /// The line as typed, to be shown again when it is refused.
        line: String,
        /// What it means.
        request: Request,
    },
    /// A chat line or event that cannot be understood or must not run.
    Refused(Problem),
    /// A structured command of an agent; answered by a receipt event.
    Event {
        /// The agent's own idempotency key.
        id: String,
        /// What it asks.
        request: Request,
        /// Who it says it is.
        agent: AgentIdentity,
        /// Causal chain.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chain: Option<Chain>,
        /// The lease under which it writes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseClaim>,
        /// The event is a message that people read, so that nobody need say it again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_shown: bool,
    },
    /// A malformed structured event; answered by a receipt event.
    RefusedEvent {
        /// The agent's idempotency key, when it could be read.
        id: Option<String>,
        /// What is wrong, and where.
        problem: Problem,
    },
    /// A reply or a reaction that is a ballot if, and only if, it points at a proposal's card.
    Ballot {
        /// The event it points at.
        target: String,
        /// The verdict.
        verdict: Verdict,
        /// The reason given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// How it was cast.
        via: BallotInput,
    },
    /// A reaction that asks the board for authority if, and only if, it is on an alert that needs it.
    Ask {
        /// The event it is on.
        target: String,
    },
    /// A reaction that says that its sender takes care if, and only if, it is on an open incident.
    Acknowledge {
        /// The event it is on.
        target: String,
    },
    /// A redaction of another event.
    Redaction {
        /// The redacted event.
        target: String,
    },
    /// An edit of another message; never run.
    Edit {
        /// The edited event.
        target: String,
    },
}

/// How a ballot without a command was cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BallotInput {
    /// A reply whose first line is a verdict.
    Reply,
    /// A reaction on the card.
    Reaction,
}

/// The bot's right to act for a Matrix account: one live bot per account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotLease {
    /// The bot's Matrix account.
    pub account: UserId,
    /// The epoch it was granted; a later grant makes this one stale.
    pub epoch: u64,
}

/// How far a room has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// The last event read.
    pub event_id: String,
    /// The homeserver's clock up to which nothing was missed.
    pub read_up_to: Timestamp,
}

/// `POST /v1/submit`: envelopes of one room in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Submit {
    /// The bot's lease.
    pub lease: BotLease,
    /// The device that will send the answers; stored before the first attempt.
    pub device: String,
    /// The room all the envelopes come from.
    pub room_id: String,
    /// The mark the room had when these events were read; a different one in the register means
    /// that another bot has read on, and nothing is executed twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_mark: Option<String>,
    /// At most 100 envelopes.
    pub envelopes: Vec<Envelope>,
    /// The room's mark after them; events without an envelope in between were skipped.
    pub mark: Mark,
}

/// Answer to [`Submit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Submitted {
    /// One per envelope, in order.
    pub receipts: Vec<Receipt>,
    /// Rows to send now, already noted as attempted by the submitting device.
    pub outbox: Vec<OutboxRow>,
}

/// What became of an envelope or a command: stored for ever under its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// Id of the admission row; its last eight characters are the reference people see.
    pub id: Uuid,
    /// The key it answers.
    pub key: String,
    /// What happened.
    pub outcome: Outcome,
    /// Whether this key had been admitted before; nothing ran again.
    #[serde(default)]
    pub replayed: bool,
    /// The answer, when done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// The reason, when not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What happened to an admitted envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Executed.
    Done,
    /// Not executed, for a reason of the domain or of authority; final.
    Refused,
    /// Not executed, for a fault that another try will not mend; final.
    Failed,
    /// Nothing to do.
    Skipped,
}

/// `POST /v1/commands` and `/v1/queries`: a request outside a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call<R> {
    /// What is asked.
    pub request: R,
    /// The agent in whose name a token of an agent acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentIdentity>,
    /// The lease under which it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseClaim>,
    /// The causal chain it belongs to (default: that of the item the agent was handed last).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// The room, by key, in which it counts (default: the lobby).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Name>,
}
