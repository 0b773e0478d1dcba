//! Why there is no running cluster.

use std::io;
use std::path::PathBuf;

use fleet_homeserver::child::ChildError;
use fleet_homeserver::python::PythonError;

use super::{OLDEST, PATIENCE};

/// Why there is no running cluster.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No system installation of a usable version.
    #[error(
        "no PostgreSQL {OLDEST} or later under /usr/lib/postgresql; `apt install postgresql`, or use the wheel"
    )]
    NotInstalled,
    /// A wish of the tests that nothing fulfils.
    #[error("FLEET_TEST_POSTGRES is `{0}`; it may be `system` or `wheel`")]
    NoSource(String),
    /// The folder does not hold a server.
    #[error("no usable PostgreSQL in {folder}: {detail}")]
    Unusable {
        /// The folder of programs.
        folder: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The programs are older than the SQL needs.
    #[error("PostgreSQL {major} in {folder} is too old; {OLDEST} or later is needed")]
    TooOld {
        /// The folder of programs.
        folder: PathBuf,
        /// Their version.
        major: u32,
    },
    /// The data was made by another major version and must not be opened.
    #[error(
        "the data in {data} is of PostgreSQL {made_by}, the programs are {major}; install PostgreSQL {made_by} \
         beside it, or move the data over with pg_dump and a new folder"
    )]
    WrongMajor {
        /// The data folder.
        data: PathBuf,
        /// The version that made it.
        made_by: u32,
        /// The version of the programs.
        major: u32,
    },
    /// Something else is in the data folder.
    #[error("{data} is not empty and not a PostgreSQL data folder; choose another place")]
    NotACluster {
        /// The folder.
        data: PathBuf,
    },
    /// PostgreSQL's user cannot get there (PostgreSQL never runs as root).
    #[error(
        "PostgreSQL runs as {user}, which cannot enter {barrier} on the way to {path}; choose a place outside it"
    )]
    Unreachable {
        /// Where it has to go.
        path: PathBuf,
        /// The closed folder.
        barrier: PathBuf,
        /// The user.
        user: String,
    },
    /// No account to run PostgreSQL as.
    #[error("PostgreSQL does not run as root: {0}")]
    NoAccount(io::Error),
    /// The wheel's environment failed.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// `initdb` or the creation of the database failed.
    #[error("{step} failed: {detail}")]
    InitFailed {
        /// What was being done.
        step: &'static str,
        /// The tool's last lines.
        detail: String,
    },
    /// A name that would need quoting.
    #[error("`{0}` is not a plain database name (lower case letters, digits, `_`)")]
    BadName(String),
    /// Another postmaster works on the folder and does not end.
    #[error("PostgreSQL process {pid} is still using {data}; stop it, then try again")]
    StillRunning {
        /// Its process id.
        pid: u32,
        /// The data folder.
        data: PathBuf,
    },
    /// It ended instead of becoming ready.
    #[error("PostgreSQL ended at its start ({status}); the end of {log}:\n{tail}")]
    Ended {
        /// How.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// It is neither ready nor dead.
    #[error("PostgreSQL was not ready after {} s; see {log}", PATIENCE.as_secs())]
    NotReady {
        /// Its log.
        log: PathBuf,
    },
    /// The process could not be started.
    #[error(transparent)]
    Child(#[from] ChildError),
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
}
