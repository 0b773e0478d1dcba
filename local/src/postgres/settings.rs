//! What cluster to run.

use std::path::PathBuf;

use super::binaries::Source;
use super::init;

/// What cluster to run.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// The data folder; made if absent. Its parent must exist.
    pub data: PathBuf,
    /// The log file.
    pub log: PathBuf,
    /// Where the programs come from.
    pub source: Source,
    /// The database to make in a new cluster.
    pub database: String,
    /// Connections at once.
    pub max_connections: u16,
    /// Do not survive a crash of the machine: much faster, for tests only. A crash of PostgreSQL
    /// alone is survived.
    pub throwaway: bool,
}

impl ClusterSettings {
    /// The usual settings: database `fleet`, log beside the data, 100 connections, durable.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let data = data.into();
        Self {
            log: init::with_suffix(&data, ".log"),
            data,
            source: Source::Auto,
            database: "fleet".to_owned(),
            max_connections: 100,
            throwaway: false,
        }
    }
}
