//! A structured command of an agent, and its receipt.

use std::time::Duration;

use fleet_protocol::envelope::Outcome;
use fleet_protocol::event::{
    COMMAND, Chain, CommandContent, LeaseClaim, RECEIPT, ReceiptContent, VERSION, read_json,
};
use fleet_protocol::{Problem, Reply, Request};

pub use fleet_protocol::event::AgentIdentity;

use crate::matrix::{Follow, MatrixError, RoomEvent};

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Matrix failed; the command may have run: send it again with the same id.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// The fleet did not do it, and says why.
    #[error("{} ({})", .0.detail, .0.code.as_str())]
    Refused(Box<Problem>),
    /// A command that cannot be written as JSON, or a receipt that cannot be read.
    #[error("the receipt or the command cannot be read: {0}")]
    Malformed(String),
}

/// Speaks for one agent in one room.
#[derive(Debug)]
pub struct Commands {
    follow: Follow,
    room: String,
    fleet: String,
    /// Who speaks; the incarnation is the one the last registration returned.
    pub agent: AgentIdentity,
    limit: Duration,
}

impl Commands {
    /// Speaks in `room`, where the account `fleet` answers; waits up to `limit` for each receipt.
    pub fn new(
        follow: Follow,
        room: String,
        fleet: String,
        agent: AgentIdentity,
        limit: Duration,
    ) -> Self {
        Self {
            follow,
            room,
            fleet,
            agent,
            limit,
        }
    }

    /// Sends a request under `id` and waits for its receipt. The same id runs once, however often
    /// it is sent, so after a lost receipt the call is simply made again.
    ///
    /// # Errors
    /// [`CommandError::Refused`] with the fleet's reason; [`MatrixError::Deadline`] when no receipt
    /// came in time.
    pub async fn send(
        &mut self,
        id: &str,
        request: Request,
        lease: Option<LeaseClaim>,
    ) -> Result<Option<Reply>, CommandError> {
        self.send_in_chain(id, request, lease, None).await
    }

    /// The same, as part of a causal chain (doctrine 10).
    ///
    /// # Errors
    /// See [`Commands::send`].
    pub async fn send_in_chain(
        &mut self,
        id: &str,
        request: Request,
        lease: Option<LeaseClaim>,
        chain: Option<Chain>,
    ) -> Result<Option<Reply>, CommandError> {
        let what = format!("the receipt of {} {id}", request.name());
        let content = CommandContent {
            v: VERSION,
            id: id.to_owned(),
            command: request,
            agent: self.agent.clone(),
            chain,
            lease,
        };
        let content =
            serde_json::to_value(content).map_err(|e| CommandError::Malformed(e.to_string()))?;
        let event_id = self
            .follow
            .matrix()
            .send(&self.room, COMMAND, &content, id)
            .await?;
        let (room, fleet) = (self.room.clone(), self.fleet.clone());
        let seen = self
            .follow
            .until(&what, self.limit, |seen| {
                seen.room_id == room && answers(&seen.event, &fleet, &event_id, id)
            })
            .await?;
        let receipt: ReceiptContent = read_json(&seen.event.content)
            .map_err(|problem| CommandError::Malformed(problem.detail))?;
        match (receipt.outcome, receipt.error) {
            (Outcome::Done | Outcome::Skipped, None) => Ok(receipt.reply),
            (_, Some(problem)) => Err(CommandError::Refused(Box::new(problem))),
            (outcome, None) => Err(CommandError::Malformed(format!(
                "{outcome:?} without a reason"
            ))),
        }
    }
}

/// Whether an event is the fleet's receipt of the command: anybody can write the type, so the
/// sender counts, and the id or the event it refers to.
fn answers(event: &RoomEvent, fleet: &str, event_id: &str, id: &str) -> bool {
    event.event_type == RECEIPT
        && event.sender == fleet
        && (event.relates_to("m.reference") == Some(event_id)
            || event.content.get("id").and_then(serde_json::Value::as_str) == Some(id))
}
