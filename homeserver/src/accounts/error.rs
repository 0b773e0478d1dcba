//! Why there is no account or session.

use super::TRIES;

/// Why there is no account or session.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The name is taken.
    #[error("the account `{0}` exists already")]
    AlreadyExists(String),
    /// The application service may not make such an account.
    #[error(
        "`{0}` is outside of the namespaces of the application service; add it to `namespaces.users` of the registration file, for example with the regex '@agent-.*'"
    )]
    OutsideNamespace(String),
    /// The server said no.
    #[error("the homeserver refused to {action}: {status} {code} {message}")]
    Refused {
        /// What was asked.
        action: &'static str,
        /// HTTP status.
        status: u16,
        /// Matrix error code.
        code: String,
        /// The server's words.
        message: String,
    },
    /// No stage we can do leads to an account.
    #[error(
        "the homeserver wants {wanted} to make an account; give it a registration token or shared secret"
    )]
    NoFlow {
        /// The stages it offers.
        wanted: String,
    },
    /// 429 again and again.
    #[error(
        "the homeserver's rate limit did not let us {action} in {TRIES} tries; raise its rc_* limits"
    )]
    RateLimited {
        /// What was asked.
        action: &'static str,
    },
    /// No answer, or none that can be read.
    #[error("cannot {action}: {source}")]
    Transport {
        /// What was asked.
        action: &'static str,
        /// The reason.
        source: reqwest::Error,
    },
    /// An address or key that cannot be used.
    #[error("cannot {action}: {detail}")]
    Unusable {
        /// What was asked.
        action: &'static str,
        /// The reason.
        detail: String,
    },
}
