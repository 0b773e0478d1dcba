//! Why a Matrix request has no answer.

/// Why a Matrix request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// The homeserver's address or the token cannot be used in a request.
    #[error("cannot talk to the homeserver: {0}")]
    Setup(String),
    /// No answer after the allowed tries.
    #[error("the homeserver at {host} does not answer: {cause}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// The innermost cause.
        cause: String,
    },
    /// The homeserver said no.
    #[error("the homeserver refused {what}: {status} {code} {message}")]
    Refused {
        /// What was asked: method and path pattern.
        what: String,
        /// HTTP status.
        status: u16,
        /// Matrix error code.
        code: String,
        /// The server's words.
        message: String,
    },
    /// An answer that is not Matrix.
    #[error("the answer to {what} cannot be read: {detail}")]
    Answer {
        /// What was asked.
        what: String,
        /// What could not be read.
        detail: String,
    },
    /// A room holds more history than the caller wants to read.
    #[error("{room} holds more than {at_most} events")]
    TooLong {
        /// The room.
        room: String,
        /// The limit.
        at_most: usize,
    },
    /// What was waited for did not come.
    #[error("nothing came within {seconds} s: {what}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
}

impl MatrixError {
    /// Whether the server does not know the login any more.
    pub fn is_forgotten(&self) -> bool {
        matches!(self, Self::Refused { status: 401, .. })
    }

    /// Whether the server said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}
