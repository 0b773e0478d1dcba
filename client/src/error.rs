//! Why a call to the gateway has no answer.

use fleet_protocol::Problem;

/// Why a call to the gateway has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The gateway's address is no plain `http` or `https` URL, or holds credentials.
    #[error("{0} is no address of a gateway; write it like http://127.0.0.1:14242")]
    Address(String),
    /// The token holds characters that no header may hold.
    #[error("the gateway's token holds characters that a token never has; check its file")]
    Token,
    /// The HTTP client could not be made (for example: no usable TLS roots).
    #[error("the HTTP client could not be made: {0}")]
    Setup(#[source] reqwest::Error),
    /// No answer: connection refused, broken, or timed out. Whether the request ran is unknown, so
    /// only the same request (same key) may follow.
    #[error("the gateway at {url} cannot be reached: {cause}")]
    Unreachable {
        /// The gateway's address.
        url: String,
        /// The innermost cause, for people.
        cause: String,
        /// The whole chain.
        #[source]
        source: reqwest::Error,
    },
    /// What answers shows a certificate that this machine does not trust. Nothing was sent.
    #[error(
        "the gateway at {url} shows a certificate that is not trusted here ({cause}); name the file with the certificate of \
         the authority that signed it in SSL_CERT_FILE, or install it on this machine"
    )]
    Untrusted {
        /// The gateway's address.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The gateway refused, with a reason.
    #[error("{} ({})", .problem.detail, .problem.code.as_str())]
    Problem {
        /// HTTP status.
        status: u16,
        /// The reason.
        problem: Box<Problem>,
    },
    /// Something answered, but not as this client understands the gateway: a proxy, or another
    /// version.
    #[error("{url} answered {status} in a form that is not the gateway's: {detail}")]
    Answer {
        /// The gateway's address.
        url: String,
        /// HTTP status.
        status: u16,
        /// What could not be read.
        detail: String,
    },
}

impl ClientError {
    /// Whether the same request may succeed later: the gateway was not reached, or said 503.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem { status, .. } | Self::Answer { status, .. } => *status == 503,
            Self::Address(_) | Self::Token | Self::Setup(_) | Self::Untrusted { .. } => false,
        }
    }

    /// The gateway's reason, when it gave one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The error of a request without an answer; the query is left out of the address.
    pub(crate) fn unreachable(mut url: url::Url, source: reqwest::Error) -> Self {
        url.set_query(None);
        if let Some(cause) = distrust(&source) {
            return Self::Untrusted {
                url: url.into(),
                cause,
            };
        }
        let source = source.without_url();
        let mut cause: &dyn std::error::Error = &source;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Self::Unreachable {
            url: url.into(),
            cause: cause.to_string(),
            source,
        }
    }
}

/// What is wrong with the certificate, if that is the cause. An I/O error hides what it wraps from the chain.
fn distrust(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(fault)) = error.downcast_ref() {
            return Some(fault.to_string());
        }
        cause = match error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
