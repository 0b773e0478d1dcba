//! What to bring up, what is told meanwhile, and why it may fail.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use fleet_homeserver::Secret;
use fleet_homeserver::accounts::Registration;
use fleet_homeserver::child::ChildSpec;
use fleet_homeserver::health::HealthError;
use fleet_homeserver::process::{HomeserverError, Software};
use serde::Serialize;
use url::Url;

use crate::data_folder::DataFolderError;
use crate::postgres::{PostgresError, Source};
use crate::supervisor::SupervisorError;

/// Why the stack is not up.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    /// PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The homeserver.
    #[error(transparent)]
    Homeserver(#[from] HomeserverError),
    /// The given homeserver.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// A process.
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
    /// An address.
    #[error("unusable address: {0}")]
    Url(#[from] url::ParseError),
    /// The HTTP client for readiness questions.
    #[error("cannot make an HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// The register's database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A cluster in the data folder.
    Embedded(Source),
    /// One that is there already.
    Url(Secret),
}

/// The homeserver.
#[derive(Debug, Clone)]
pub enum HomeserverChoice {
    /// One of our own.
    Embedded {
        /// Which software.
        software: Software,
        /// The part of user ids after the colon; fixed by the first start.
        server_name: String,
        /// The address to listen on: loopback unless other devices shall reach it.
        ip: IpAddr,
        /// Exactly this port; `None` for the last one, or 8008, or any.
        port: Option<u16>,
        /// The address outside, behind a TLS proxy.
        public_url: Option<Url>,
        /// Cheap password hashes: for throw-away stacks.
        fast_hashing: bool,
    },
    /// One that is there already.
    Existing {
        /// Its address.
        url: Url,
        /// How accounts are made on it, if that is allowed to us.
        registration: Option<Registration>,
    },
}

impl HomeserverChoice {
    /// One of our own on loopback.
    #[must_use]
    pub fn embedded(server_name: impl Into<String>) -> Self {
        Self::Embedded {
            software: Software::Auto,
            server_name: server_name.into(),
            ip: Ipv4Addr::LOCALHOST.into(),
            port: None,
            public_url: None,
            fast_hashing: false,
        }
    }
}

/// What to bring up.
#[derive(Debug, Clone)]
pub struct StackSettings {
    /// The data folder.
    pub folder: PathBuf,
    /// The database.
    pub database: Database,
    /// The homeserver.
    pub homeserver: HomeserverChoice,
    /// The stack is for a demonstration or a test: the database need not survive a crash of the
    /// machine, and the homeserver's port may be any.
    pub throwaway: bool,
}

/// One step of bringing the stack up, for a person or as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What is being brought up: `folder`, [`POSTGRES`](super::POSTGRES), [`HOMESERVER`](super::HOMESERVER), or a service's name.
    pub step: String,
    /// How far it is.
    #[serde(flatten)]
    pub state: ProgressState,
    /// In words; empty if there is nothing to add.
    pub detail: String,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ProgressState {
    /// It has begun.
    Started,
    /// It is going on.
    Working,
    /// It is done.
    Done {
        /// Since it began, in milliseconds.
        ms: u64,
    },
    /// It failed; nothing further follows.
    Failed,
}

/// Told of each step.
pub type Report = Arc<dyn Fn(Progress) + Send + Sync>;

/// A service of the caller's.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Its name: of the process and of its log.
    pub name: String,
    /// The process; its output goes to the log whatever is set here. Secrets by environment or
    /// by file ([`DataFolder::secret_file`](crate::data_folder::DataFolder::secret_file)), never as arguments.
    pub child: ChildSpec,
    /// Answers 200 when the service is ready: the process's own address, not one in front of it.
    pub ready_url: Url,
}

/// Where the homeserver is.
#[derive(Debug, Clone)]
pub struct HomeserverAccess {
    /// The address for clients on this machine.
    pub url: Url,
    /// How accounts are made, if that is allowed to us.
    pub registration: Option<Registration>,
}
