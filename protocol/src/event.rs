//! Contents of the fleet's own Matrix events. `v` is 1; integers only, as Matrix refuses floats.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::address::{Address, Endpoint};
use crate::envelope::Outcome;
use crate::ids::TaskRef;
use crate::language::Request;
use crate::problem::{Code, Place, Problem};
use crate::reply::Reply;
use crate::scalar::Name;
use crate::verbs::inbox::Class;

/// Type of a structured command (agent to fleet).
pub const COMMAND: &str = "dev.mosaicstack.fleet.command";
/// Type of a receipt (fleet to agent).
pub const RECEIPT: &str = "dev.mosaicstack.fleet.receipt";
/// Type of the room's state event; a projection, never read as truth.
pub const ROOM: &str = "dev.mosaicstack.fleet.room";
/// Key in a message's content that holds its machine-readable twin.
pub const TWIN: &str = "dev.mosaicstack.fleet";
/// The version this crate speaks.
pub const VERSION: u64 = 1;

/// Content of [`COMMAND`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandContent {
    /// Version, 1.
    pub v: u64,
    /// The agent's own idempotency key, 1 to 128 characters.
    pub id: String,
    /// What it asks: a command or a query, tagged by the verb's dotted name.
    pub command: Request,
    /// Who speaks.
    pub agent: AgentIdentity,
    /// Causal chain (doctrine 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// The lease under which it writes (doctrine 11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseClaim>,
}

/// What stands under [`TWIN`] in a message from one agent to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaidContent {
    /// Version, 1.
    pub v: u64,
    /// Who says it; the account must be that agent's.
    pub from: Endpoint,
    /// Whom it is for.
    pub to: Address,
    /// How it is meant (default: what the address line says).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Causal chain (doctrine 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// Which life of the agent says it.
    pub incarnation: u64,
}

/// An agent as it names itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentIdentity {
    /// Name, for example `code-1`.
    pub name: Name,
    /// The machine it runs on.
    pub host: Name,
    /// Which life of that name; grows with every registration. 0 before the first.
    pub incarnation: u64,
}

/// The causal chain a message belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Id of the chain.
    pub id: Uuid,
    /// How many messages came before in it.
    pub hop: u32,
}

/// The lease a write relies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseClaim {
    /// The leased task.
    pub task: TaskRef,
    /// The epoch the claim returned.
    pub epoch: u64,
}

/// Content of [`RECEIPT`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptContent {
    /// Version, 1.
    pub v: u64,
    /// Id of the receipt.
    pub receipt: Uuid,
    /// The agent's key, when it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What happened.
    pub outcome: Outcome,
    /// The answer, when done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// The reason, when not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// Content of [`ROOM`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomContent {
    /// Version, 1.
    pub v: u64,
    /// The tenant.
    pub tenant: Name,
    /// The room's key, for example `lobby`.
    pub room: Name,
}

impl CommandContent {
    /// Reads the content of a [`COMMAND`] event.
    ///
    /// # Errors
    /// A [`Problem`] that names the JSON path of what is wrong, or the unknown version.
    pub fn read(content: &serde_json::Value) -> Result<Self, Problem> {
        check_version(content)?;
        let read: Self = read_json(content)?;
        if !Self::is_key(&read.id) {
            return Err(Problem::new(
                Code::Malformed,
                "the id must have 1 to 128 characters, none of them a control character",
            )
            .at(Place::Path("id".into())));
        }
        Ok(read)
    }

    /// Whether a text can be an agent's idempotency key.
    pub fn is_key(id: &str) -> bool {
        (1..=128).contains(&id.chars().count()) && !id.chars().any(char::is_control)
    }
}

impl SaidContent {
    /// Reads what stands under [`TWIN`].
    ///
    /// # Errors
    /// A [`Problem`] that names the JSON path of what is wrong, or the unknown version.
    pub fn read(twin: &serde_json::Value) -> Result<Self, Problem> {
        check_version(twin)?;
        read_json(twin)
    }
}

fn check_version(content: &serde_json::Value) -> Result<(), Problem> {
    match content.get("v").and_then(serde_json::Value::as_u64) {
        Some(v) if v != VERSION => Err(Problem::new(
            Code::UnknownVersion,
            format!("version {v} is not spoken here"),
        )
        .remedy(format!("send \"v\": {VERSION}"))
        .at(Place::Path("v".into()))),
        _ => Ok(()),
    }
}

/// Reads a value from JSON; the problem names the path of the first fault.
///
/// # Errors
/// [`Code::Malformed`] with the path.
pub fn read_json<T: serde::de::DeserializeOwned>(json: &serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(json).map_err(|e| {
        let path = e.path().to_string();
        Problem::new(Code::Malformed, e.inner().to_string()).at(Place::Path(path))
    })
}
