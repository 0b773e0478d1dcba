//! What the gateway must be told.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use fleet_protocol::api::DEFAULT_PORT;
use fleet_protocol::scalar::{Name, UserId};

/// A text that no log, error or debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; only for where it is used.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Settings of a gateway that serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The register, as the role `fleet_app`.
    pub database_url: Secret,
    /// Connections to the register at once.
    pub pool_size: u32,
    /// The largest body of a request, in bytes.
    pub body_limit: usize,
    /// How long a request may take; a wait for the outbox has its own time on top.
    pub request_timeout: Duration,
    /// Requests at once; more are told to come back.
    pub max_in_flight: usize,
}

impl Settings {
    /// The usual settings: loopback on the fleet's port, 16 connections, 1 MiB, 30 s, 256 requests.
    pub fn new(database_url: Secret) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            database_url,
            pool_size: 16,
            body_limit: 1024 * 1024,
            request_timeout: Duration::from_secs(30),
            max_in_flight: 256,
        }
    }
}

/// What [`crate::init`] makes.
#[derive(Debug, Clone)]
pub struct InitSettings {
    /// The register, as the user who owns it; made for migrations only.
    pub owner_url: Secret,
    /// The tenant.
    pub tenant: Name,
    /// IANA name of the tenant's time zone.
    pub zone: String,
    /// The first operator.
    pub operator: Option<UserId>,
    /// Tokens of services; what a file holds already is kept.
    pub tokens: Vec<TokenFile>,
}

/// A token and the file it is kept in, readable by its owner only.
#[derive(Debug, Clone)]
pub struct TokenFile {
    /// The token's name, for example `bot`.
    pub name: Name,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// The Matrix user for whom it acts; whose grants then decide.
    pub user: Option<UserId>,
    /// The file.
    pub path: PathBuf,
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Submitting events and sending what the outbox holds.
    Bot,
    /// Calls in the name of a person, and metrics.
    Operator,
    /// Calls in the name of an agent.
    Agent,
    /// Metrics.
    Metrics,
}

impl Scope {
    /// The word the register stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bot => "bot",
            Self::Operator => "operator",
            Self::Agent => "agent",
            Self::Metrics => "metrics",
        }
    }

    /// The scope of a stored word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Bot, Self::Operator, Self::Agent, Self::Metrics]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}
