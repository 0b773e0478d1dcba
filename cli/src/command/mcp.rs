//! `fleet mcp`: the fleet's language as tools of a model.

use std::path::PathBuf;
use std::sync::Arc;

use fleet_agent::credentials::{Credentials, VARIABLE};
use fleet_agent::mcp;
use fleet_agent::session::Session;
use fleet_protocol::event::AgentIdentity;
use jiff::tz::TimeZone;

use super::say;
use crate::args::AgentAddress;
use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::Log;
use crate::{Context, log, system};

/// Serves until the client closes standard input.
pub(crate) async fn run(context: &Context) -> Result<Exit, CliError> {
    let session = session(context)?;
    // Standard output belongs to the protocol; what is logged goes to standard error.
    log::start(&Log {
        filter: "warn".into(),
        ..Log::default()
    })?;
    mcp::serve(session, system::clock(), TimeZone::system())
        .await
        .map_err(|e| CliError::service("mcp", &e))?;
    Ok(Exit::Done)
}

/// The agent of this process: from the credentials file that the environment names, or from the
/// environment itself.
pub(crate) fn session(context: &Context) -> Result<Session, CliError> {
    let ids = Arc::new(system::id);
    if let Some(file) = credentials_file() {
        let credentials = Credentials::read(&file)?;
        return Ok(Session::of(file, credentials, ids)?);
    }
    let global = &context.global;
    let (Some(AgentAddress { name, host }), Some(incarnation)) =
        (&global.agent, global.incarnation)
    else {
        return Err(CliError::Usage(format!(
            "which agent is this? name its credentials file in {VARIABLE}, or set FLEET_AGENT and FLEET_INCARNATION"
        )));
    };
    let agent = AgentIdentity {
        name: name.clone(),
        host: host.clone(),
        incarnation,
    };
    Ok(Session::new(
        say::gateway(&context.settings()?)?,
        agent,
        ids,
    ))
}

/// The file that the environment names.
pub(crate) fn credentials_file() -> Option<PathBuf> {
    std::env::var_os(VARIABLE)
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
}
