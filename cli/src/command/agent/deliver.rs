//! `fleet agent deliver`: what is said to an agent, into the terminal or room where it sits.

use std::time::Duration;

use fleet_agent::connector::matrix::MatrixRoom;
use fleet_agent::connector::{Connector, ConnectorError, Ways, of};
use fleet_agent::credentials::{Credentials, MatrixAccount};
use fleet_agent::deliver::{Delivery, Step};
use fleet_agent::matrix::Matrix;
use fleet_protocol::roster::ConnectorKind;
use serde_json::json;

use super::join::account;
use super::listen;
use super::terminal::socket;
use crate::Context;
use crate::args::{AgentConnector, AgentDeliver};
use crate::command::{mcp, stop_signal};
use crate::error::CliError;
use crate::exit::Exit;

/// Between two tries of an item that had to wait, and of a gateway that was not reached.
const AGAIN: Duration = Duration::from_secs(5);

/// Delivers until it is stopped.
pub(crate) async fn run(context: &Context, args: &AgentDeliver) -> Result<Exit, CliError> {
    let stop = stop_signal()?;
    let session = mcp::session(context)?;
    let connector = connector(context, args).await?;
    let health = connector.health().await?;
    context.out.progress(&health.found);
    if let Some(fault) = health.faults.into_iter().next() {
        return Err(ConnectorError::Unsafe(fault).into());
    }
    let mut delivery = Delivery::new(session, connector, args.thread.clone());
    let mut waited_for = String::new();
    loop {
        let step = tokio::select! {
            step = delivery.step() => step,
            () = stop.cancelled() => return Ok(Exit::Done),
        };
        let reason = match step {
            Ok(None) => continue,
            Ok(Some(Step::Accepted(item) | Step::Kept(item))) => {
                let line = item.line();
                context
                    .out
                    .answer(&json!({ "item": item }), || format!("{} {line}", item.id))?;
                waited_for.clear();
                continue;
            }
            Ok(Some(Step::Waits(ConnectorError::Forgotten(_)))) => {
                delivery.reconnect(self::connector(context, args).await?);
                continue;
            }
            Ok(Some(Step::Waits(error))) => error.to_string(),
            Err(problem) if listen::is_passing(problem.code) => problem.detail,
            Err(problem) => return Err(CliError::Refused(Box::new(problem))),
        };
        // Said once, not each time.
        if waited_for != reason {
            context.out.progress(&reason);
            waited_for = reason;
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => return Ok(Exit::Done),
        }
    }
}

async fn connector(context: &Context, args: &AgentDeliver) -> Result<Box<dyn Connector>, CliError> {
    let kind = match args.connector {
        AgentConnector::Tmux => ConnectorKind::Tmux,
        AgentConnector::Matrix => ConnectorKind::Matrix,
        AgentConnector::Discord => ConnectorKind::Discord,
    };
    let ways = Ways {
        socket: socket(args.socket.as_deref()),
        room: match &args.room {
            Some(room) => matrix_room(context, room).await?,
            None => None,
        },
    };
    Ok(of(kind, ways)?)
}

/// The room, as the agent's own account, where the credentials have one. A device that the homeserver has
/// forgotten is logged in again.
async fn matrix_room(context: &Context, room: &str) -> Result<Option<MatrixRoom>, CliError> {
    let Some(file) = mcp::credentials_file() else {
        return Ok(None);
    };
    let Some(account) = Credentials::read(&file)?.matrix else {
        return Ok(None);
    };
    let enter = async |account: MatrixAccount| {
        Matrix::with_token(account.homeserver, &account.access_token).await
    };
    let matrix = match enter(account.clone()).await {
        Err(error) if error.is_forgotten() => {
            enter(account::again(context, &file, &account).await?).await?
        }
        entered => entered?,
    };
    let room = if room.starts_with('#') {
        matrix.resolve(room).await?
    } else {
        room.to_owned()
    };
    Ok(Some(MatrixRoom::new(matrix, room)))
}
