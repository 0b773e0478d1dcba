//! One agent of a crew: who it is, and its process.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use fleet_agent::credentials::{Credentials, VARIABLE};
use fleet_client::Gateway;
use fleet_protocol::address::Address;
use fleet_protocol::event::AgentIdentity;
use fleet_protocol::verbs::agent;
use fleet_protocol::{Command, Query, Reply};
use tokio::process::{Child, Command as Process};
use url::Url;

use crate::command::agent::join;
use crate::command::call;
use crate::error::{CliError, fixed};

/// One agent.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) gateway: Gateway,
    pub(super) token: String,
    pub(super) agent: AgentIdentity,
}

impl Member {
    /// Joins as `code-N`, without an account on the homeserver.
    pub(super) async fn join(operator: &Gateway, url: &Url, n: u32) -> Result<Self, CliError> {
        let server = join::server(operator).await?;
        let name = format!("code-{n}");
        let user = fixed(&format!("@agent-{name}-bench:{server}"))?;
        let token = join::fresh();
        let register = agent::Register {
            name: fixed(&name)?,
            role: fixed("code")?,
            host: fixed("bench")?,
            runtime: None,
            model: None,
            user: Some(user),
        };
        let agent = join::enroll(operator, register, &token).await?;
        Ok(Self {
            gateway: Gateway::new(url.clone(), token.as_str())?,
            token,
            agent,
        })
    }

    pub(super) fn address(&self) -> Result<Address, CliError> {
        fixed(self.agent.name.as_str())
    }

    pub(super) async fn ask(&self, request: Query) -> Result<Reply, CliError> {
        call::ask(&self.gateway, Some(&self.agent), request).await
    }

    pub(super) async fn say(&self, request: impl Into<Command>) -> Result<Reply, CliError> {
        call::write(&self.gateway, Some(&self.agent), request.into()).await
    }

    /// Becomes a new incarnation, as a process does that starts after one that was killed.
    pub(super) async fn back(&mut self) -> Result<(), CliError> {
        let register = agent::Register {
            name: self.agent.name.clone(),
            role: fixed("code")?,
            host: self.agent.host.clone(),
            runtime: None,
            model: None,
            user: None,
        };
        if let Reply::Agent(changed) = self.say(register).await? {
            self.agent.incarnation = changed.now.incarnation;
        }
        Ok(())
    }

    /// Starts this program as the agent, with its credentials in a file of the folder.
    pub(super) fn start(&self, folder: &Path, args: &[&str]) -> Result<Child, CliError> {
        let program = std::env::current_exe().map_err(|e| CliError::file("this program", e))?;
        Process::new(program)
            .args(args)
            .env(VARIABLE, self.credentials(folder)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| CliError::file("an agent's process", e))
    }

    fn credentials(&self, folder: &Path) -> Result<PathBuf, CliError> {
        let file = folder.join(format!("{}.json", self.agent.name));
        Credentials {
            v: 1,
            gateway: self.gateway.base().clone(),
            token: self.token.clone(),
            agent: self.agent.clone(),
            joined_as: self.agent.incarnation,
            role: fixed("code")?,
            matrix: None,
        }
        .store(&file)?;
        Ok(file)
    }
}
