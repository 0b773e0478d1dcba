//! Why a command failed, with what to do about it.

use std::path::PathBuf;

use fleet_agent::connector::ConnectorError;
use fleet_agent::credentials::CredentialsError;
use fleet_agent::gate::GateFault;
use fleet_agent::matrix::MatrixError;
use fleet_client::ClientError;
use fleet_gateway::TokenError;
use fleet_homeserver::accounts::AccountError;
use fleet_homeserver::health::HealthError;
use fleet_protocol::Problem;

use crate::exit::Exit;
use crate::settings::SettingsError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// An agent's credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The way to an agent's terminal.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// A quality gate.
    #[error(transparent)]
    Gate(#[from] GateFault),
    /// The gateway.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The fleet refused.
    #[error("{} ({})", .0.detail, .0.code.as_str())]
    Refused(Box<Problem>),
    /// Tokens in the register.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Matrix.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// An account on the homeserver.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The homeserver as a whole.
    #[error(transparent)]
    Homeserver(#[from] HealthError),
    /// A file.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Standard output takes nothing more.
    #[error("cannot write the answer: {0}")]
    Output(#[source] std::io::Error),
    /// A part of the stack did not start or stopped.
    #[error("{what}: {cause}")]
    Service {
        /// Which part.
        what: &'static str,
        /// Why, with the causes behind it.
        cause: String,
    },
    /// A command line that is well formed but means nothing.
    #[error("{0}")]
    Usage(String),
    /// Something did not happen as it must.
    #[error("{0}")]
    Missed(String),
    /// A fault of the product.
    #[error("{0}")]
    Internal(String),
}

impl CliError {
    /// Whoever read the answer has read enough, as `head` does: what was asked for is done, and nobody is left to tell.
    pub(crate) fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Output(e) if e.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// A failed part of the stack, with the chain of causes.
    pub fn service(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Service {
            what,
            cause: chain(error),
        }
    }

    /// A file that cannot be read or written.
    pub fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File {
            path: path.into(),
            source,
        }
    }

    /// The process's exit.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_)
            | Self::Credentials(_)
            | Self::Client(ClientError::Address(_) | ClientError::Token) => Exit::Configuration,
            Self::Client(ClientError::Unreachable { .. } | ClientError::Untrusted { .. })
            | Self::Homeserver(_) => Exit::Unreachable,
            Self::Client(e) if e.is_retryable() => Exit::Unreachable,
            Self::Client(ClientError::Problem { status, .. }) if *status < 500 => Exit::Refused,
            Self::Matrix(MatrixError::Unreachable { .. })
            | Self::Account(AccountError::Transport { .. }) => Exit::Unreachable,
            Self::Token(TokenError::Database(_)) => Exit::Unreachable,
            Self::Refused(problem) if problem.code.status() == 503 => Exit::Unreachable,
            Self::Connector(ConnectorError::Program { .. }) => Exit::Unreachable,
            Self::Refused(_)
            | Self::Connector(_)
            | Self::Token(_)
            | Self::Account(_)
            | Self::Matrix(MatrixError::Refused { .. }) => Exit::Refused,
            Self::Missed(_) => Exit::Missed,
            Self::Usage(_) => Exit::Usage,
            Self::Client(_)
            | Self::Matrix(_)
            | Self::File { .. }
            | Self::Gate(_)
            | Self::Service { .. }
            | Self::Output(_)
            | Self::Internal(_) => Exit::Internal,
        }
    }

    /// The fleet's reason, when it gave one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::Client(e) => e.problem(),
            _ => None,
        }
    }

    /// What to do, when the error itself does not say.
    pub fn remedy(&self) -> Option<String> {
        if let Some(problem) = self.problem() {
            return problem.remedy.clone();
        }
        match self {
            Self::Client(ClientError::Unreachable { .. }) => {
                Some("is the gateway running (`fleet up`, `fleet gateway`)? its address is the key gateway.url".into())
            }
            Self::Settings(_) => Some("`fleet config check` names every fault; `fleet config show` shows what counts".into()),
            _ => None,
        }
    }
}

/// An error and the causes behind it in one line; a cause that is in the line already is left out.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

/// A value whose text was made in this program.
pub(crate) fn fixed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: &str,
) -> Result<T, CliError> {
    text.parse()
        .map_err(|e| CliError::Internal(format!("\"{text}\" {e}")))
}
