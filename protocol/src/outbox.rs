//! Rows of the outbox: what is to be said in a room, each exactly once (architecture.md, "Way out").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::document::Document;
use crate::event::ReceiptContent;
use crate::reply::ChartView;
use crate::scalar::UserId;
use crate::time::Timestamp;

/// One thing to do in a room. The bridge turns it into event content without further knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Post {
    /// A message that people read.
    Message(Message),
    /// New content for a message the bot sent; the relation is [`Relation::Replaces`].
    Edit(Message),
    /// A picture of budgets, with words beside it.
    Picture(Box<Picture>),
    /// A receipt for an agent.
    Receipt(Box<ReceiptContent>),
    /// A reaction of the bot; the relation is [`Relation::Annotates`].
    Reaction {
        /// The emoji.
        key: String,
    },
    /// Takes a message of the bot back; the relation is [`Relation::Redacts`].
    Redaction {
        /// Why.
        reason: Option<String>,
    },
    /// Pins or unpins a message; the relation is [`Relation::Pins`].
    Pin {
        /// Whether it shall be pinned.
        pinned: bool,
    },
}

/// A message: what people see, whom it notifies, and its machine-readable twin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// `m.notice`, or `m.text` for what needs a person.
    pub attention: Attention,
    /// What people see.
    pub document: Document,
    /// Users it mentions (`m.mentions`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// The same for programs, under the key `dev.mosaicstack.fleet`.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub twin: serde_json::Value,
}

/// A picture: the figures it is drawn from, so that the same row always gives the same picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Picture {
    /// Its caption, also for who does not see the picture.
    pub message: Message,
    /// What is drawn, from top to bottom.
    pub charts: Vec<ChartView>,
}

/// How loud a message is (element.md: notices never notify).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// `m.notice`: grey and silent.
    Quiet,
    /// `m.text`: counts as unread, and highlights for whom it mentions.
    Loud,
}

/// How a post relates to another event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// A reply; in the thread when the message replied to stands in one.
    Reply {
        /// The message replied to.
        to: Target,
        /// The root of the thread.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread_root: Option<Target>,
    },
    /// Stands in a thread without replying to one message of it.
    Thread {
        /// The root.
        root: Target,
    },
    /// Replaces the content of.
    Replaces(Target),
    /// Reacts to.
    Annotates(Target),
    /// Redacts.
    Redacts(Target),
    /// Pins or unpins.
    Pins(Target),
    /// A receipt refers to the command's event.
    References(Target),
}

impl Relation {
    /// The event it points at.
    pub fn target(&self) -> &Target {
        match self {
            Self::Reply { to, .. } => to,
            Self::Thread { root } => root,
            Self::Replaces(t)
            | Self::Annotates(t)
            | Self::Redacts(t)
            | Self::Pins(t)
            | Self::References(t) => t,
        }
    }
}

/// An event by its id, or by the outbox row that made it; the gateway replaces the latter by the
/// former before it hands the row out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Event id.
    Event(String),
    /// Outbox row.
    Row(Uuid),
}

/// A row of the outbox, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutboxRow {
    /// The row's id: goes into the content, and is the transaction id.
    pub id: Uuid,
    /// Where to send it.
    pub room_id: String,
    /// What to do.
    pub post: Post,
    /// What it relates to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<Relation>,
    /// When it was written.
    pub created_at: Timestamp,
    /// Who tried first; the device rule decides whether to look before sending again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

/// The first attempt to send a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The device that tried.
    pub device: String,
    /// When.
    pub at: Timestamp,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// In the room, under this event id.
    Sent {
        /// The event.
        event_id: String,
    },
    /// The homeserver will never take it; an incident is raised.
    Dead {
        /// What it said.
        reason: String,
    },
    /// The bot is not in the room; kept until it is.
    Parked {
        /// Why.
        reason: String,
    },
}
