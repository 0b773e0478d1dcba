//! Why there is no running homeserver.

use std::io;
use std::path::PathBuf;

use super::PATIENCE;
use crate::child::ChildError;
use crate::config::ConfigError;
use crate::python::PythonError;

/// Why there is no running homeserver.
#[derive(Debug, thiserror::Error)]
pub enum HomeserverError {
    /// The data folder is Conduit's, but Conduit is not there.
    #[error(
        "the data in {data} is Conduit's, but no `conduit` is on PATH; install it or name its path"
    )]
    NoConduit {
        /// The data folder.
        data: PathBuf,
    },
    /// The data folder belongs to the other software.
    #[error("the data in {data} was made by {made_by}; use it, or choose another folder")]
    OtherSoftware {
        /// The data folder.
        data: PathBuf,
        /// Its maker.
        made_by: &'static str,
    },
    /// The private environment failed.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The configuration failed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The process could not be started.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// It ended instead of becoming ready.
    #[error("the homeserver ended at its start ({status}); the end of {log}:\n{tail}")]
    Ended {
        /// How.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// It is neither ready nor dead.
    #[error("the homeserver was not ready after {} s; see {log}", PATIENCE.as_secs())]
    NotReady {
        /// Its log.
        log: PathBuf,
    },
    /// A file could not be used.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The HTTP client for the readiness question failed.
    #[error("cannot make an HTTP client: {0}")]
    Http(reqwest::Error),
}
