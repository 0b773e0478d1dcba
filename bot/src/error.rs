//! Why a bot ends.

use std::path::{Path, PathBuf};

use fleet_client::ClientError;
use fleet_homeserver::accounts::AccountError;

/// Why a bot ends. Everything else is retried, settled or reported as an incident.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// The store folder or a file in it cannot be used.
    #[error("the bot's store {path} cannot be used: {source}")]
    Store {
        /// The folder or file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Another process uses the store folder.
    #[error(
        "the bot's store {path} is used by another process; stop that one, or give this one a store of its own"
    )]
    StoreInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The session file holds something else.
    #[error("{path} is no session of the bot ({detail}); move it away and the bot logs in anew")]
    Session {
        /// The file.
        path: PathBuf,
        /// What could not be read.
        detail: String,
    },
    /// No account or login.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The SDK could not be set up.
    #[error("the Matrix client could not be made: {0}")]
    Build(#[from] Box<matrix_sdk::ClientBuildError>),
    /// The SDK refused something it never should.
    #[error("the Matrix client failed: {0}")]
    Sdk(#[from] Box<matrix_sdk::Error>),
    /// The homeserver no longer knows the bot's access token (`M_UNKNOWN_TOKEN`).
    #[error(
        "the homeserver no longer accepts the bot's session: somebody logged {user} out, or the \
         homeserver lost its data. Move the bot's store folder away and start it again: it then logs in as a \
         new device"
    )]
    SignedOut {
        /// The account.
        user: String,
    },
    /// The gateway's address or token is wrong.
    #[error("the gateway does not accept this bot: {0}")]
    Gateway(#[source] ClientError),
    /// Another bot has taken the account over.
    #[error("another bot has taken over the account {account}; this one stops")]
    LeaseLost {
        /// The account.
        account: String,
    },
    /// The address of `/live`, `/ready` and `/metrics` cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// A part of the bot panicked; the process must be started again.
    #[error("the bot's {part} crashed: {detail}")]
    Crashed {
        /// Which part.
        part: String,
        /// The panic.
        detail: String,
    },
}

impl BotError {
    /// A file of the store cannot be used.
    pub(crate) fn store(path: &Path, source: std::io::Error) -> Self {
        Self::Store {
            path: path.to_owned(),
            source,
        }
    }
}

impl From<matrix_sdk::ClientBuildError> for BotError {
    fn from(error: matrix_sdk::ClientBuildError) -> Self {
        Self::Build(Box::new(error))
    }
}

impl From<matrix_sdk::Error> for BotError {
    fn from(error: matrix_sdk::Error) -> Self {
        Self::Sdk(Box::new(error))
    }
}
