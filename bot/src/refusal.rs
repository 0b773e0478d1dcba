//! What an error of the homeserver means for what to do next.

use std::time::Duration;

use matrix_sdk::HttpError;
use matrix_sdk::ruma::api::error::{ErrorKind, RetryAfter};

/// What an error means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 429: wait this long, with the whole account.
    Limited(Duration),
    /// 401 `M_UNKNOWN_TOKEN` or `M_MISSING_TOKEN`: the session is gone.
    SignedOut,
    /// 413 `M_TOO_LARGE`.
    TooLarge,
    /// 403: the account is not in the room, or may not do this there.
    Forbidden(String),
    /// 404.
    NotFound(String),
    /// Another 4xx, or a request that can never be sent: repeating it is of no use.
    Final(String),
    /// 5xx, a network failure, an answer of a proxy: try again.
    Passing(String),
}

/// How long to wait when a 429 does not say.
const UNSAID: Duration = Duration::from_secs(1);
/// Longest obedience to one 429.
const LONGEST: Duration = Duration::from_secs(300);

/// Reads an HTTP error of the SDK.
pub(crate) fn refusal_of(error: &HttpError) -> Refusal {
    if let HttpError::Cached(inner) = error {
        return refusal_of(inner);
    }
    let Some(api) = error.as_client_api_error() else {
        return match error {
            HttpError::IntoHttp(_) => Refusal::Final(error.to_string()),
            _ => Refusal::Passing(error.to_string()),
        };
    };
    match (api.status_code.as_u16(), api.error_kind()) {
        (429, kind) => Refusal::Limited(wait_of(kind)),
        (_, Some(ErrorKind::LimitExceeded(_))) => Refusal::Limited(wait_of(api.error_kind())),
        (401, _) | (_, Some(ErrorKind::UnknownToken(_))) => Refusal::SignedOut,
        (413, _) | (_, Some(ErrorKind::TooLarge)) => Refusal::TooLarge,
        (403, _) => Refusal::Forbidden(api.to_string()),
        (404, _) => Refusal::NotFound(api.to_string()),
        (status, _) if (400..500).contains(&status) => Refusal::Final(api.to_string()),
        _ => Refusal::Passing(api.to_string()),
    }
}

/// Reads any error of the SDK; what is no HTTP error is worth another try.
pub(crate) fn refusal(error: &matrix_sdk::Error) -> Refusal {
    match error {
        matrix_sdk::Error::Http(http) => refusal_of(http),
        // The SDK knows without asking that the bot is not in the room.
        matrix_sdk::Error::WrongRoomState(state) => Refusal::Forbidden(state.to_string()),
        matrix_sdk::Error::SerdeJson(json) => Refusal::Final(json.to_string()),
        other => Refusal::Passing(other.to_string()),
    }
}

fn wait_of(kind: Option<&ErrorKind>) -> Duration {
    match kind {
        Some(ErrorKind::LimitExceeded(data)) => match data.retry_after {
            Some(RetryAfter::Delay(delay)) => delay.min(LONGEST),
            // An instant on the homeserver's clock: not comparable with ours.
            Some(RetryAfter::DateTime(_)) | None => UNSAID,
        },
        _ => UNSAID,
    }
}

/// A doubling pause between tries, from 100 ms to `longest`.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Starts at 100 ms.
    pub(crate) fn up_to(longest: Duration) -> Self {
        Self {
            next: Duration::from_millis(100),
            longest,
        }
    }

    /// The pause to make now.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next.min(self.longest);
        self.next = self.next.saturating_mul(2).min(self.longest);
        pause
    }

    /// Whether no pause was made yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.next == Duration::from_millis(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::up_to(Duration::from_millis(350));
        let pauses: Vec<_> = (0..4).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 350, 350]);
    }
}
