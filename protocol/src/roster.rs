//! Roster files (doctrine, "Roster"): YAML, snake_case and camelCase keys,
//! unknown keys refused with their path. Secrets have no place in them (doctrine 16).

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::scalar::{Name, Title, UserId};
use crate::verbs::board::Seat;
use crate::verbs::budget;
use crate::verbs::fleet::VerbosityLevel;
use crate::verbs::member::GrantRole;

/// The version this crate reads.
pub const VERSION: u64 = 1;

/// `roster.yaml`: the fleet's agents, and what the fleet starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// Version, 1.
    pub version: u64,
    /// What carries messages to agents.
    pub transport: Transport,
    /// The terminal multiplexer, where it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmux: Option<Tmux>,
    /// What holds for every agent that does not say otherwise.
    #[serde(default)]
    pub defaults: Defaults,
    /// Programs that run agents, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runtimes: BTreeMap<Name, Runtime>,
    /// The agents.
    #[serde(default)]
    pub agents: Vec<RosterAgent>,
    /// How the fleet talks to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Connector>,
    /// The tenant (doctrine 15).
    #[serde(default, alias = "tenantId", skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<Name>,
    /// Rooms by key, for example the room of a role.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rooms: BTreeMap<Name, RoomSettings>,
    /// Who may do what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// The board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<BoardSettings>,
    /// Limits to set, as `budget set` takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<budget::Set>,
}

/// What carries messages to agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Keys typed into terminal sessions.
    Tmux,
    /// Matrix events.
    Matrix,
}

/// The terminal multiplexer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tmux {
    /// Socket; none means tmux's default one.
    #[serde(default, alias = "socketName", skip_serializing_if = "Option::is_none")]
    pub socket_name: Option<String>,
    /// Session that keeps the server alive.
    #[serde(
        default,
        alias = "holderSession",
        skip_serializing_if = "Option::is_none"
    )]
    pub holder_session: Option<String>,
}

/// What holds for every agent that does not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Where agents work.
    #[serde(
        default,
        alias = "workingDirectory",
        skip_serializing_if = "Option::is_none"
    )]
    pub working_directory: Option<String>,
}

/// A program that runs agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// What empties its context between tasks (doctrine 14), for example `/clear`.
    #[serde(
        default,
        alias = "resetCommand",
        skip_serializing_if = "Option::is_none"
    )]
    pub reset_command: Option<String>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RosterAgent {
    /// Its name, for example `code-1`; its terminal session has the same.
    pub name: Name,
    /// What runs it.
    pub runtime: Name,
    /// Its role.
    pub class: Name,
    /// The machine it runs on; none means this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
    /// How to reach that machine, as `ssh` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// Its terminal socket, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// The highest model it may use (doctrine 5).
    #[serde(default, alias = "modelHint", skip_serializing_if = "Option::is_none")]
    pub model_hint: Option<String>,
    /// Whether its context is emptied between tasks (doctrine 14).
    #[serde(default, alias = "resetBetweenTasks")]
    pub reset_between_tasks: bool,
}

/// How the fleet talks to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// Which kind.
    pub kind: ConnectorKind,
    /// Settings of the Matrix connector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<MatrixConnector>,
}

/// Kinds of connectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorKind {
    /// Terminal sessions.
    Tmux,
    /// Discord; known, and answered as not implemented.
    Discord,
    /// Matrix.
    Matrix,
}

/// Settings of the Matrix connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixConnector {
    /// The homeserver.
    #[serde(alias = "homeserverUrl")]
    pub homeserver_url: Url,
    /// The account.
    #[serde(alias = "userId")]
    pub user_id: UserId,
    /// Room id or alias.
    pub room: String,
}

/// Settings of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomSettings {
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Title>,
    /// Topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Title>,
    /// How much it hears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<VerbosityLevel>,
}

/// The board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoardSettings {
    /// Seats, each as `board propose --seat` takes it: `cto=@dana:example.org*2!veto`.
    #[serde(deserialize_with = "seats", serialize_with = "seat_texts")]
    #[schemars(with = "Vec<String>")]
    pub seats: Vec<Seat>,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The Matrix user.
    pub user: UserId,
    /// What it may do.
    pub role: GrantRole,
    /// Only in the room with this key; none means the whole fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Name>,
}

fn seats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Seat>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts
        .into_iter()
        .map(|text| {
            text.parse()
                .map_err(|e| D::Error::custom(format!("\"{text}\" {e}")))
        })
        .collect()
}

fn seat_texts<S: serde::Serializer>(seats: &[Seat], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(seats.iter().map(ToString::to_string))
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A key or value does not fit.
    #[error("{path}: {cause}")]
    At {
        /// Path of the key, for example `agents[2].runtime`.
        path: String,
        /// What is wrong, with line and column where they are known.
        cause: String,
    },
    /// A version this crate does not read.
    #[error("version: {0} is not read here; write 1")]
    Version(u64),
    /// Two agents share a name.
    #[error("agents[{index}].name: there is an agent named {name} above")]
    Twice {
        /// The second one's index.
        index: usize,
        /// The name.
        name: Name,
    },
    /// The connector's settings are missing.
    #[error("connector.matrix: missing, though connector.kind is matrix")]
    NoMatrix,
}

impl Roster {
    /// Reads a roster.
    ///
    /// # Errors
    /// With the path of the first key that does not fit.
    pub fn read(yaml: &str) -> Result<Self, FileError> {
        let roster: Self = read(yaml)?;
        if roster.version != VERSION {
            return Err(FileError::Version(roster.version));
        }
        let mut names = BTreeSet::new();
        if let Some((index, twin)) = roster
            .agents
            .iter()
            .enumerate()
            .find(|(_, a)| !names.insert(&a.name))
        {
            return Err(FileError::Twice {
                index,
                name: twin.name.clone(),
            });
        }
        match &roster.connector {
            Some(Connector {
                kind: ConnectorKind::Matrix,
                matrix: None,
            }) => Err(FileError::NoMatrix),
            _ => Ok(roster),
        }
    }
}

pub(crate) fn read<T: DeserializeOwned>(yaml: &str) -> Result<T, FileError> {
    let read = serde_path_to_error::deserialize(serde_norway::Deserializer::from_str(yaml));
    read.map_err(|e| {
        let path = e.path().to_string();
        let cause = e.inner().to_string();
        // The YAML reader repeats the path of what holds the key.
        let bare = cause
            .split_once(": ")
            .filter(|(head, _)| path.starts_with(head));
        FileError::At {
            cause: bare.map_or_else(|| cause.clone(), |(_, rest)| rest.to_owned()),
            path,
        }
    })
}
