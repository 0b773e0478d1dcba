//! Raising a whole fleet on this machine, for `fleet up`, `demo` and `bench`: database and homeserver,
//! the operator's account, the register, then gateway and bot as processes of their own.

mod operator;
mod settle;

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use fleet_homeserver::Secret;
use fleet_homeserver::accounts::{Accounts, Registration};
use fleet_homeserver::child::ChildSpec;
use fleet_local::data_folder::DataFolder;
use fleet_local::stack::{HomeserverChoice, Report, ServiceSpec, Stack, StackSettings};
use fleet_protocol::api::DEFAULT_PORT;
use url::Url;

use crate::command::gateway;
use crate::error::CliError;
use crate::settings::{self, SecretText, Settings};

pub(crate) use operator::Operator;

/// Name of the gateway among the processes, and of its log.
pub(crate) const GATEWAY: &str = "gateway";
/// Name of the bot.
pub(crate) const BOT: &str = "bot";
/// Local part of the first person's account.
pub(crate) const OPERATOR: &str = "operator";

/// Where everything of our own listens.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What to raise.
pub(crate) struct Plan {
    /// Database and homeserver.
    pub(crate) stack: StackSettings,
    /// What the configuration says; tenant and log are taken over.
    pub(crate) base: Settings,
    /// Put before the local parts of bot and operator, where other fleets share the homeserver.
    pub(crate) prefix: String,
}

/// A fleet that runs.
pub(crate) struct Fleet {
    /// The processes.
    pub(crate) stack: Stack,
    /// What bot and gateway were told; written to `fleet.toml` in the data folder.
    pub(crate) settings: Settings,
    /// That file.
    pub(crate) config: PathBuf,
    /// The first person.
    pub(crate) operator: Operator,
    /// Whether the homeserver is one of our own.
    pub(crate) has_own_homeserver: bool,
}

impl Fleet {
    /// Raises it; a fleet raised before in the same folder goes on.
    pub(crate) async fn raise(plan: Plan, report: Report) -> Result<Self, CliError> {
        let own_name = match &plan.stack.homeserver {
            HomeserverChoice::Embedded { server_name, .. } => Some(server_name.clone()),
            HomeserverChoice::Existing { .. } => None,
        };
        let stack = Stack::start(plan.stack, report)
            .await
            .map_err(|e| CliError::service("the stack", &e))?;
        match assemble(&stack, plan.base, &plan.prefix, own_name.as_deref()).await {
            Ok((settings, config, operator)) => Ok(Self {
                stack,
                settings,
                config,
                operator,
                has_own_homeserver: own_name.is_some(),
            }),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    /// The homeserver's account endpoints and what lets us make accounts.
    pub(crate) fn accounts(&self) -> Result<(Accounts, Registration), CliError> {
        accounts(&self.stack)
    }

    /// Stops everything, the last started first.
    pub(crate) async fn stop(self) -> DataFolder {
        self.stack.stop().await
    }
}

fn accounts(stack: &Stack) -> Result<(Accounts, Registration), CliError> {
    let homeserver = stack.homeserver();
    let registration = homeserver
        .registration
        .clone()
        .ok_or(settings::SettingsError::missing(
            "homeserver.registration_token_file",
        ))?;
    Ok((Accounts::new(homeserver.url.clone())?, registration))
}

async fn assemble(
    stack: &Stack,
    base: Settings,
    prefix: &str,
    own_name: Option<&str>,
) -> Result<(Settings, PathBuf, Operator), CliError> {
    let operator = Operator::of(stack, &base.operator, prefix, own_name).await?;
    let settings = settle::settle(stack, base, prefix, &operator).await?;
    gateway::init(&settings).await?;
    let config = stack.folder().path().join(settings::FILE);
    std::fs::write(&config, settings.shown()?).map_err(|e| CliError::file(&config, e))?;
    let gateway_ready = ready(settings.gateway.listen)?;
    stack
        .run(service(GATEWAY, &[GATEWAY], &config, gateway_ready)?)
        .await
        .map_err(|e| CliError::service("the gateway", &e))?;
    let bot = settings
        .bot
        .listen
        .unwrap_or(SocketAddr::new(LOOPBACK, DEFAULT_PORT + 1));
    stack
        .run(service(BOT, &[BOT], &config, ready(bot)?)?)
        .await
        .map_err(|e| CliError::service("the bot", &e))?;
    Ok((settings, config, operator))
}

fn store(folder: &DataFolder, name: &str, text: &str) -> Result<PathBuf, CliError> {
    folder
        .store_secret(name, &Secret::new(text))
        .map_err(|e| CliError::service("the data folder", &e))?;
    secret_path(folder, name)
}

/// The file of a secret in the data folder.
pub(crate) fn secret_path(folder: &DataFolder, name: &str) -> Result<PathBuf, CliError> {
    folder
        .secret_file(name)
        .map_err(|e| CliError::service("the data folder", &e))
}

fn address(at: SocketAddr) -> Result<Url, CliError> {
    format!("http://{at}")
        .parse()
        .map_err(|e| CliError::Internal(format!("{at} is no address: {e}")))
}

/// Where a service that listens there says that it is ready.
pub(crate) fn ready(at: SocketAddr) -> Result<Url, CliError> {
    address(at)?
        .join("/ready")
        .map_err(|e| CliError::Internal(format!("{at} is no address: {e}")))
}

/// This program with these words as a service. It gets nothing of our environment but what a process needs: the
/// configuration is in the file.
pub(crate) fn service(
    name: &str,
    words: &[&str],
    config: &Path,
    ready_url: Url,
) -> Result<ServiceSpec, CliError> {
    let program = std::env::current_exe().map_err(|e| CliError::file("the running program", e))?;
    let mut child = ChildSpec::new(program)
        .args(words.iter().copied())
        .args([OsStr::new("--config"), config.as_os_str()]);
    child.inherit_env = false;
    for variable in [
        "PATH",
        "HOME",
        "TMPDIR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "RUST_BACKTRACE",
    ] {
        if let Some(value) = std::env::var_os(variable) {
            child = child.env(variable, value);
        }
    }
    Ok(ServiceSpec {
        name: name.to_owned(),
        child,
        ready_url,
    })
}

/// A secret of the configuration as the homeserver's crate wants it.
pub(crate) fn secret(text: &SecretText) -> Secret {
    Secret::new(text.expose())
}
