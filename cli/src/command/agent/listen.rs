//! `fleet agent listen`: what is said to an agent, one JSON object a line, as it comes.

use std::time::Duration;

use fleet_agent::session::Session;
use fleet_protocol::problem::Code;
use fleet_protocol::scalar::Count;
use fleet_protocol::verbs::inbox::Next;
use fleet_protocol::{Query, Reply};

use crate::Context;
use crate::command::{mcp, stop_signal};
use crate::error::CliError;
use crate::exit::Exit;

/// Items in one answer.
const AT_ONCE: u32 = 50;
/// The first wait after a gateway that was away; it doubles up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// Prints items until it is told to stop. It ends when the agent is no longer this incarnation.
pub(crate) async fn run(context: &Context) -> Result<Exit, CliError> {
    let session = mcp::session(context)?;
    let stop = stop_signal()?;
    let mut pause = PAUSES.0;
    loop {
        let taken = tokio::select! {
            () = stop.cancelled() => return Ok(Exit::Done),
            taken = take(&session) => taken,
        };
        match taken {
            Ok(lines) => {
                pause = PAUSES.0;
                for line in lines {
                    context.out.line(&line)?;
                }
            }
            Err(CliError::Refused(problem)) if is_passing(problem.code) => {
                context
                    .out
                    .progress(&format!("{}; it is asked again", problem.detail));
                tokio::select! {
                    () = stop.cancelled() => return Ok(Exit::Done),
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(PAUSES.1);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a refusal is over by itself.
pub(crate) fn is_passing(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Busy)
}

async fn take(session: &Session) -> Result<Vec<String>, CliError> {
    let next = Next {
        wait: None,
        limit: Some(Count::from(AT_ONCE)),
    };
    let answer = session.ask(Query::from(next)).await;
    let reply = answer.map_err(|p| CliError::Refused(Box::new(p)))?.reply;
    let Reply::Items(items) = reply else {
        return Err(CliError::Internal("an inbox answers no items".into()));
    };
    items
        .iter()
        .map(|item| {
            serde_json::to_string(item)
                .map_err(|e| CliError::Internal(format!("an item is no JSON: {e}")))
        })
        .collect()
}
