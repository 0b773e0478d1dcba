//! The inbox: what agents say to each other, and people to agents. One item for one agent, handed out
//! until it is acknowledged.

use super::{args, words};
use crate::address::Address;
use crate::ids::{ItemRef, TaskRef};
use crate::scalar::{Count, MessageText, Name};

words! {
    /// How something said to an agent is meant (doctrine, "Names").
    Class {
        /// Output to be kept, not acted upon.
        TerminalLog = "terminal-log",
        /// To be acted upon; unacknowledged, it raises one reminder, then an incident.
        Actionable = "actionable",
        /// From or for a person.
        Human = "human",
        /// A sign, such as a thumb up; nobody waits for an answer.
        Reaction = "reaction",
    }
}

impl Class {
    /// Whether somebody waits for it to be acknowledged.
    pub fn is_awaited(self) -> bool {
        matches!(self, Self::Actionable | Self::Human)
    }
}

args! {
    /// Say something to an agent, or to one agent of a role
    Send {
        /// The agent (code-1, h1:code-1) or the role (review) it is for
        #[arg(long, value_name = "ADDRESS")]
        to: Address,
        /// What is said
        #[arg(allow_hyphen_values = true)]
        text: MessageText,
        /// How it is meant (default: actionable; human when a person says it)
        #[arg(long, value_enum)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<Class>,
    }
}
args! {
    /// Say something to an agent; the answer in the room says when it has acknowledged it
    Tell {
        /// The agent (code-2, h1:code-2) or the role (review) it is for
        #[arg(value_name = "ADDRESS")]
        to: Address,
        /// What is said; in a room it needs no quotes
        #[arg(value_name = "WORDS", allow_hyphen_values = true)]
        text: MessageText,
    }
}
args! {
    /// Answer an item of your inbox; it goes to whoever sent it
    Reply {
        /// The item, for example n12
        #[arg(value_name = "ITEM")]
        item: ItemRef,
        /// What is answered
        #[arg(allow_hyphen_values = true)]
        text: MessageText,
        /// How it is meant (default: actionable)
        #[arg(long, value_enum)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<Class>,
        /// Acknowledge the item as well
        #[arg(long)]
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ack: bool,
    }
}
args! {
    /// Say something to every agent of a role
    Broadcast {
        /// The role
        #[arg(long)]
        role: Name,
        /// What is said
        #[arg(allow_hyphen_values = true)]
        text: MessageText,
        /// How it is meant (default: actionable; human when a person says it)
        #[arg(long, value_enum)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<Class>,
    }
}
args! {
    /// Give a task to an agent: its inbox gets the task, the mission and what is added here
    Delegate {
        /// The task
        #[arg(value_name = "TASK")]
        task: TaskRef,
        /// The agent, or the role of which one agent gets it
        #[arg(long, value_name = "ADDRESS")]
        to: Address,
        /// What the agent should know besides
        #[arg(long, allow_hyphen_values = true)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<MessageText>,
    }
}
args! {
    /// Take the next items of your inbox; wait until there is one
    Next {
        /// Seconds to wait (default: 25, at most 25; none in a room)
        #[arg(long, value_name = "SECONDS")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait: Option<Count>,
        /// At most this many (default: 1, at most 50)
        #[arg(long, value_name = "N")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<Count>,
    }
}
args! {
    /// Acknowledge items: they are not handed out again
    Ack {
        /// The items, for example n12
        #[arg(value_name = "ITEM", required = true)]
        items: Vec<ItemRef>,
    }
}
args! {
    /// List the items of an inbox, without taking any
    Inbox {
        /// Whose (default: yours)
        #[arg(value_name = "AGENT")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<Name>,
        /// Include acknowledged ones, the newest 50
        #[arg(long)]
        #[serde(default)]
        all: bool,
    }
}
