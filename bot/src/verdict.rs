//! What an error of the gateway means for what to do next.

use fleet_client::ClientError;
use fleet_protocol::problem::Code;

/// What an error of the gateway means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another bot acts for the account.
    LeaseLost,
    /// The register is ahead of, or behind, what was assumed: read it again.
    Conflict,
    /// The token is not accepted: nothing will work.
    Denied,
    /// This very request will never be accepted.
    Refused,
    /// Not reached, or a fault that may pass.
    Retry,
}

/// Reads an error of the gateway's client.
pub(crate) fn verdict(error: &ClientError) -> Verdict {
    let code = error.problem().map(|problem| problem.code);
    match (status(error), code) {
        (_, Some(Code::BotLeaseHeld | Code::BotLeaseLost)) => Verdict::LeaseLost,
        (Some(401 | 403), _) => Verdict::Denied,
        (Some(409 | 412), _) => Verdict::Conflict,
        (Some(408 | 425 | 429), _) => Verdict::Retry,
        (Some(status), _) if (400..500).contains(&status) => Verdict::Refused,
        (Some(_), _) => Verdict::Retry,
        (None, _) => match error {
            ClientError::Unreachable { .. } => Verdict::Retry,
            _ => Verdict::Denied,
        },
    }
}

fn status(error: &ClientError) -> Option<u16> {
    match error {
        ClientError::Problem { status, .. } | ClientError::Answer { status, .. } => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use fleet_protocol::Problem;

    use super::*;

    #[test]
    fn errors_are_told_apart() {
        let problem = |code: Code| {
            verdict(&ClientError::Problem {
                status: code.status(),
                problem: Box::new(Problem::new(code, "why")),
            })
        };
        for (code, expected) in [
            (Code::BotLeaseLost, Verdict::LeaseLost),
            (Code::BotLeaseHeld, Verdict::LeaseLost),
            (Code::WrongState, Verdict::Conflict),
            (Code::Unauthenticated, Verdict::Denied),
            (Code::WrongScope, Verdict::Denied),
            (Code::Malformed, Verdict::Refused),
            (Code::TooLarge, Verdict::Refused),
            (Code::Unavailable, Verdict::Retry),
            (Code::Internal, Verdict::Retry),
        ] {
            assert_eq!(problem(code), expected, "{code:?}");
        }
    }
}
