//! `fleet agent revoke`: what the fleet takes from an agent, and then its Matrix account.

use fleet_protocol::verbs::agent;
use fleet_protocol::{Command, Reply, Request};

use super::join::account::{self, Ended};
use crate::Context;
use crate::command::say;
use crate::error::{CliError, chain};
use crate::exit::Exit;

/// Revokes; then ends the account, where the configuration says how accounts are made. The fleet has forgotten
/// the agent by then: an account that stays can read and say nothing here, which is told and no failure.
pub(crate) async fn run(context: &Context, request: Request) -> Result<Exit, CliError> {
    let Request::Command(Command::AgentRevoke(revoke)) = &request else {
        return Err(CliError::Internal("a revocation is a command".into()));
    };
    let show = agent::Show {
        name: revoke.name.clone(),
    };
    let user = match say::ask(context, show.into()).await? {
        Reply::Agent(shown) => shown.now.user,
        _ => return Err(CliError::Internal("an agent is answered otherwise".into())),
    };
    let exit = say::run(context, request).await?;
    let said = match account::end(&context.settings()?, &user).await {
        Ok(Ended::Deactivated) => format!("the account {user} is deactivated on the homeserver"),
        Ok(Ended::NoWay) => format!(
            "the account {user} stays on the homeserver: the configuration has no way to make accounts there, so none to end one; \
             the bot takes it out of the rooms"
        ),
        Err(error) => format!(
            "the account {user} stays on the homeserver ({}); the bot takes it out of the rooms",
            chain(&error)
        ),
    };
    context.out.progress(&said);
    Ok(exit)
}
