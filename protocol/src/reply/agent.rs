//! Agents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Name, UserId};
use crate::time::Timestamp;

/// The agents, and how they differ from the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PsView {
    /// Those that live.
    pub agents: Vec<AgentView>,
    /// What differs between the roster and them; empty also where there is no roster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentView {
    /// Name.
    pub name: Name,
    /// Role.
    pub role: Name,
    /// Machine.
    pub host: Name,
    /// What runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Name>,
    /// Highest model it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Its Matrix user.
    pub user: UserId,
    /// Which life of that name.
    pub incarnation: u64,
    /// `idle`, `working`, `silent` (for five minutes no heartbeat and, while it holds no task, no question to its inbox) or
    /// `retired`.
    pub state: String,
    /// The task it holds, short form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// When its lease ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Tokens in its context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_at: Option<Timestamp>,
    /// Seconds since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_age: Option<u64>,
    /// Items of its inbox that it has not acknowledged.
    #[serde(default)]
    pub unread: u64,
    /// Tokens that its attempts spent today, in the tenant's zone.
    #[serde(default)]
    pub spent_today: u64,
}

/// What the agents of a role do: the card in the role's room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleCard {
    /// The role.
    pub role: Name,
    /// Its agents that live.
    pub agents: Vec<AgentView>,
    /// Tasks of the role that nobody has claimed.
    pub waiting: u64,
    /// Tasks of the role that somebody works on.
    pub running: u64,
    /// Tasks of the role that need a person.
    pub stuck: u64,
}
