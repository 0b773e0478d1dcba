//! One command or query over HTTP, for the program's own use.

use fleet_client::Gateway;
use fleet_protocol::envelope::Call;
use fleet_protocol::event::AgentIdentity;
use fleet_protocol::{Command, Query, Reply};

use crate::error::CliError;
use crate::system;

/// Asks, as an agent where one is given.
pub(crate) async fn ask(
    gateway: &Gateway,
    agent: Option<&AgentIdentity>,
    request: Query,
) -> Result<Reply, CliError> {
    Ok(gateway.query(&call(request, agent)).await?)
}

/// Does it, under a key of its own, as an agent where one is given.
pub(crate) async fn write(
    gateway: &Gateway,
    agent: Option<&AgentIdentity>,
    request: Command,
) -> Result<Reply, CliError> {
    let receipt = gateway
        .command(&call(request, agent), &system::id().to_string())
        .await?;
    match (receipt.reply, receipt.problem) {
        (Some(reply), None) => Ok(reply),
        (_, Some(problem)) => Err(CliError::Refused(Box::new(problem))),
        (None, None) => Err(CliError::Internal("a receipt without an answer".into())),
    }
}

fn call<R>(request: R, agent: Option<&AgentIdentity>) -> Call<R> {
    Call {
        request,
        agent: agent.cloned(),
        lease: None,
        chain: None,
        room: None,
    }
}
